// SPDX-License-Identifier: MIT
// Where tests find the optional data files: $SBI_DATA_DIR, then ../shared/data beside the repository.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

namespace sbi_test {

/// Full path of a data file or folder; "" where there is none.
inline std::string data_file(const std::string& name) {
  const char* variable = std::getenv("SBI_DATA_DIR");
  for (const std::string& root :
       {std::string(variable ? variable : ""), std::string(SBI_SOURCE_DIR) + "/../shared/data"})
    if (!root.empty() && std::filesystem::exists(root + "/" + name)) return root + "/" + name;
  return "";
}

} // namespace sbi_test
