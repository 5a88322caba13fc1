// SPDX-License-Identifier: MIT
// How safetensors files are read; part of sbi/io/safetensors.hpp.
#pragma once
#if !__has_include(<nlohmann/json.hpp>)
#error "sbi: <sbi/io/safetensors.hpp> needs nlohmann-json; link sbi::json"
#endif
#include <sbi/io/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cstring>
#include <set>
#include <utility>

namespace sbi::io {

namespace detail {

/// The JSON library, as a name that a template looks up when it is used.
template <class Lazy> struct JsonLibrary { using Json = nlohmann::json; };

/// One tensor's line of the header.
struct SafetensorsEntry {
  std::string dtype;
  Shape shape;
  std::size_t first, last;
};

/// A line of the header, checked against itself and against the bytes that follow the header.
template <class Json> SafetensorsEntry safetensors_entry(const Json& json, std::size_t data_bytes) {
  const auto fail = [](const auto&... why) { throw FileError(sbi::text(why...)); };
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!json.is_object() || !json.contains(key)) fail("has no ", key);
  const auto &dtype = json["dtype"], &shape = json["shape"], &offsets = json["data_offsets"];

  if (dtype != "F32" && dtype != "F64" && dtype != "I64")
    fail("has dtype ", dtype.dump(), "; want F32, F64 or I64");
  if (!shape.is_array() || shape.size() > Shape::max_rank)
    fail("has shape ", shape.dump(), "; want a list of 4 extents at most");
  constexpr std::uint64_t most = std::uint64_t{1} << 62;
  std::uint64_t count = 1, room = most; // room is divided down, so that no product of extents overflows
  std::array<index_t, Shape::max_rank> e{};
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (!shape[i].is_number_unsigned()) fail("has shape ", shape.dump(), "; want extents of 0 or more");
    const auto n = shape[i].template get<std::uint64_t>();
    if (n > room) fail("has shape ", shape.dump(), "; want fewer than 2^62 values");
    room /= std::max<std::uint64_t>(n, 1);
    count *= n;
    e[i] = static_cast<index_t>(n);
  }

  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    fail("has data_offsets ", offsets.dump(), "; want two numbers");
  const auto first = offsets[0].template get<std::uint64_t>(),
             last = offsets[1].template get<std::uint64_t>();
  if (first > last || last > data_bytes)
    fail("lies at bytes ", first, " to ", last, " of ", data_bytes, ": cut short or damaged");
  const std::uint64_t width = dtype == "F32" ? 4 : 8;
  if ((last - first) % width != 0 || (last - first) / width != count)
    fail("has ", last - first, " bytes; want ", count, " values of ", width, " for its shape ", shape.dump());

  const Shape shapes[] = {{}, {e[0]}, {e[0], e[1]}, {e[0], e[1], e[2]}, {e[0], e[1], e[2], e[3]}};
  return {dtype.template get<std::string>(), shapes[shape.size()], first, last};
}

/// Its values among those of the file.
[[nodiscard]] inline Safetensors::Values safetensors_values(const SafetensorsEntry& entry,
                                                            std::string_view data) {
  const auto read = [&]<class T>(Tensor<T> out) -> Safetensors::Values {
    if (entry.last > entry.first)
      std::memcpy(out.data(), data.data() + entry.first, entry.last - entry.first);
    return out;
  };
  if (entry.dtype == "F32") return read(Tensor<float>(entry.shape));
  if (entry.dtype == "F64") return read(Tensor<double>(entry.shape));
  return read(Tensor<std::int64_t>(entry.shape));
}

} // namespace detail

template <class Lazy> Safetensors Safetensors::parse(std::string_view bytes, std::string source) {
  using Json = typename detail::JsonLibrary<Lazy>::Json;
  const auto fail = [&](const auto&... why) { throw FileError(text(source, ": ", why...)); };
  constexpr std::uint64_t longest_header = 100'000'000; // the limit of the format

  if (bytes.size() < 8) fail(bytes.size(), " bytes; want the 8 bytes of a header length at least");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  if (length > longest_header || length > bytes.size() - 8)
    fail("its header claims ", length, " bytes and ", bytes.size() - 8,
         " follow: cut short, or no safetensors file");
  const std::string_view data = bytes.substr(8 + length);

  std::set<std::string> seen;
  std::string twice;
  const auto note_names = [&](int depth, typename Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 &&
        !seen.insert(parsed.template get<std::string>()).second)
      twice = parsed.template get<std::string>();
    return true;
  };
  const auto header = Json::parse(bytes.substr(8, length), note_names, false);
  if (!header.is_object()) fail("its header is no JSON object");
  if (!twice.empty()) fail("tensor '", twice, "' is there twice");

  Safetensors out;
  std::map<std::pair<std::size_t, std::size_t>, std::string> places; // empty tensors may share one
  for (const auto& item : header.items()) {
    if (item.key() == "__metadata__") {
      if (!item.value().is_object()) fail("its metadata are no JSON object");
      for (const auto& note : item.value().items()) {
        if (!note.value().is_string()) fail("metadata '", note.key(), "' is a ", note.value().type_name());
        out.metadata[note.key()] = note.value().template get<std::string>();
      }
      continue;
    }
    try {
      const auto checked = detail::safetensors_entry(item.value(), data.size());
      const bool free = places.emplace(std::pair(checked.first, checked.last), item.key()).second;
      if (!free && checked.first != checked.last) throw FileError("overlaps another");
      out.tensors_.emplace(item.key(), detail::safetensors_values(checked, data));
    } catch (const FileError& error) {
      fail("tensor '", item.key(), "' ", error.what());
    }
  }

  std::size_t reached = 0;
  for (const auto& [range, name] : places) {
    if (range.first != reached)
      fail("tensor '", name, "' starts at byte ", range.first, ", the one before ends at ", reached,
           range.first < reached ? ": they overlap" : ": there is a hole");
    reached = range.second;
  }
  if (reached != data.size())
    fail("the tensors end at byte ", reached, " of ", data.size(), ": there is a hole");
  out.source_ = std::move(source);
  return out;
}

} // namespace sbi::io
