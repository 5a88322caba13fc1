// SPDX-License-Identifier: MIT
// Training states as safetensors files, written to a temporary file and renamed. The head of such a file
// follows from the run and its sizes, so it is compared, not parsed: programs that train need no JSON
// library.
#pragma once
#include <sbi/inference/training_state.hpp>
#include <sbi/io/files.hpp>
#include <sbi/io/safetensors_write.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sbi {

namespace detail {

inline constexpr const char* training_state_format = "sbi training state 2";

/// What the file of a state begins with.
template <class T> [[nodiscard]] std::string training_state_head(TrainingState<T>& state) {
  io::SafetensorsHeader header(
      io::JsonObject().add("fingerprint", state.fingerprint).add("format", training_state_format));
  state.each_counter([&](const char* name, auto&) { header.add(name, "I64", {}, sizeof(std::int64_t)); });
  state.each_array([&]<class V>(const char* name, const std::vector<V>& values) {
    header.add(name, io::safetensors_dtype<V>, {static_cast<index_t>(values.size())},
               values.size() * sizeof(V));
  });
  return header.bytes();
}

/// The fingerprint as it stands in the head of a state's file; empty: there is none.
[[nodiscard]] inline std::string stored_fingerprint(std::string_view file) {
  constexpr std::string_view before = "{\"__metadata__\":{\"fingerprint\":\"";
  const std::size_t first = 8 + before.size(), // behind the length of the header
      end = file.find(sbi::text("\",\"format\":\"", training_state_format, "\"}"));
  if (end == file.npos || end < first || file.substr(8, before.size()) != before) return "";
  return std::string(file.substr(first, end - first));
}

} // namespace detail

template <class T> void save_training_state(const std::filesystem::path& path, TrainingState<T>& state) {
  std::string out = detail::training_state_head(state);
  const auto append = [&](const auto* values, std::size_t n) {
    out.append(reinterpret_cast<const char*>(values), n * sizeof *values);
  };
  state.each_counter([&](const char*, const auto& value) {
    const auto number = static_cast<std::int64_t>(value);
    append(&number, 1);
  });
  state.each_array([&](const char*, const auto& values) { append(values.data(), values.size()); });
  io::write_file(path, out);
}

/// Reads a state of the same fingerprint with as many parameters as `state.values`; false when there is no
/// such file. Throws FileError for a state of another run or one that cannot be read.
template <class T>
[[nodiscard]] bool load_training_state(const std::filesystem::path& path, TrainingState<T>& state) {
  if (!std::filesystem::exists(path)) return false;
  const std::string bytes = io::read_file(path);
  TrainingState<T> read;
  read.fingerprint = state.fingerprint;
  std::size_t fixed = 0; // bytes of all values but the validation's, whose number only the file knows
  read.each_counter([&](const char*, auto&) { fixed += sizeof(std::int64_t); });
  read.each_array([&]<class V>(const char* name, std::vector<V>& values) {
    if (std::string_view(name) != "validation") values.resize(state.values.size());
    fixed += values.size() * sizeof(V);
  });
  std::uint64_t length = 0; // of the header
  if (bytes.size() > sizeof length) std::memcpy(&length, bytes.data(), sizeof length);
  const std::size_t behind = bytes.size() - std::min(bytes.size(), sizeof length);
  if (length <= behind && behind - length > fixed)
    read.validation.resize((behind - length - fixed) / sizeof(double));

  const std::string head = detail::training_state_head(read);
  const std::size_t want = head.size() + fixed + read.validation.size() * sizeof(double);
  const auto fail = [&](const auto&... why) { throw FileError(sbi::text(path.string(), ": ", why...)); };
  if (bytes.size() != want || !bytes.starts_with(head)) {
    const std::string found = detail::stored_fingerprint(bytes), own = detail::stored_fingerprint(head);
    if (found.empty())
      fail("is no training state of this version of sbi, or cut short; remove it to start afresh");
    if (found != own)
      fail("the training state belongs to another run (", found, "); want ", own, ", or another file name");
    fail("the training state is damaged or of another model: ", bytes.size(), " bytes; want ", want, " for ",
         state.values.size(), " parameters in ", sizeof(T), " bytes each");
  }
  const char* next = bytes.data() + head.size();
  read.each_counter([&]<class V>(const char* name, V& value) {
    std::int64_t number = 0;
    std::memcpy(&number, next, sizeof number);
    if (number < 0) fail("the training state is damaged: ", name, " = ", number, "; want 0 or more");
    value = static_cast<V>(number), next += sizeof number;
  });
  read.each_array([&]<class V>(const char*, std::vector<V>& values) {
    std::copy_n(next, values.size() * sizeof(V), reinterpret_cast<char*>(values.data()));
    next += values.size() * sizeof(V);
  });
  state = std::move(read);
  return true;
}

} // namespace sbi
