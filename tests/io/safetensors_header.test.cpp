// SPDX-License-Identifier: MIT
#include <sbi/io/safetensors_header.hpp>

#include <doctest/doctest.h>

#include <string>

using sbi::io::SafetensorsHeader;

TEST_CASE("io/safetensors_header: the header lists notes and tensors, padded to eight bytes") {
  SafetensorsHeader header({{"format", "a \"b\""}, {"z", ""}});
  header.add("w", "F64", {2, 3}, 48);
  header.add("n", "I64", {}, 8);
  const std::string bytes = header.bytes();
  CHECK(bytes.size() % 8 == 0);
  CHECK(static_cast<unsigned char>(bytes[0]) == bytes.size() - 8);
  const std::string text = bytes.substr(8, bytes.find_last_not_of(' ') - 7);
  CHECK(
      text ==
      R"({"__metadata__":{"format":"a \"b\"","z":""},"w":{"dtype":"F64","shape":[2,3],"data_offsets":[0,48]},)"
      R"("n":{"dtype":"I64","shape":[],"data_offsets":[48,56]}})");
  CHECK(SafetensorsHeader().bytes().substr(8) == "{}      ");
}
