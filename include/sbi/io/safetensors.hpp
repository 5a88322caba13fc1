// SPDX-License-Identifier: MIT
#pragma once
#if !__has_include(<nlohmann/json.hpp>)
#error "sbi: <sbi/io/safetensors.hpp> needs nlohmann-json; link sbi::json"
#endif
#include <sbi/core/tensor.hpp>
#include <sbi/io/files.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sbi::io {

/// Named arrays and a dictionary of texts, as a safetensors file holds them: eight bytes with the length of a
/// JSON header, the header, the values. Any tool that knows the format reads what is written here; read here
/// are arrays of float32, float64 and int64 of rank 4 at most.
class Safetensors {
public:
  using Values = std::variant<Tensor<float>, Tensor<double>, Tensor<std::int64_t>>;

  std::map<std::string, std::string> metadata;

  template <class T> void set(const std::string& name, Tensor<T> values) {
    if (name == "__metadata__") throw ValueError("safetensors: '__metadata__' is the format's own name");
    tensors_.insert_or_assign(name, Values(std::move(values)));
  }
  template <class T> void set(const std::string& name, View<T> values) {
    Tensor<std::remove_const_t<T>> copy(values.shape);
    for (index_t r = 0; r < values.rows(); ++r) std::copy_n(values.row(r), values.cols(), copy.row(r));
    set(name, std::move(copy));
  }

  [[nodiscard]] bool contains(const std::string& name) const { return tensors_.contains(name); }
  [[nodiscard]] const std::map<std::string, Values>& tensors() const { return tensors_; }

  /// Throws FileError when there is no such tensor, or one of another type.
  template <class T> [[nodiscard]] const Tensor<T>& get(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw FileError(text(source_, ": there is no tensor '", name, "'"));
    if (const auto* values = std::get_if<Tensor<T>>(&found->second)) return *values;
    throw FileError(text(source_, ": tensor '", name, "' is ", type_of(found->second), "; want ",
                         type_of(Values(Tensor<T>{}))));
  }
  [[nodiscard]] const std::string& meta(const std::string& key) const {
    const auto found = metadata.find(key);
    if (found == metadata.end()) throw FileError(text(source_, ": the metadata have no '", key, "'"));
    return found->second;
  }

  /// The bytes of the file.
  [[nodiscard]] std::string serialize() const;
  /// Writes the file in one step. Throws FileError.
  void write(const std::filesystem::path& path) const { write_file(path, serialize()); }

  /// Reads and checks a whole file; `source` is how errors name it. Throws FileError for anything that is not
  /// exactly a safetensors file: sizes, offsets that overlap, leave a hole or run out, unknown types, names
  /// given twice.
  [[nodiscard]] static Safetensors parse(std::string_view bytes, std::string source);
  [[nodiscard]] static Safetensors read(const std::filesystem::path& path) {
    return parse(read_file(path), path.string());
  }

private:
  /// One tensor's line of the header, checked against itself and against the bytes that follow the header.
  struct Entry {
    std::string dtype;
    Shape shape;
    std::size_t first, last;
    [[nodiscard]] Values values(std::string_view data) const;
  };
  [[nodiscard]] static Entry entry(const nlohmann::json& json, std::size_t data_bytes);

  static const char* type_of(const Values& values) {
    static constexpr const char* names[] = {"F32", "F64", "I64"};
    return names[values.index()];
  }

  std::map<std::string, Values> tensors_;
  std::string source_ = "safetensors";
};

static_assert(std::endian::native == std::endian::little, "sbi: safetensors files are little-endian");

inline std::string Safetensors::serialize() const {
  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::string data;
  // Types of eight bytes first: then every tensor starts at a multiple of its own element size.
  for (const std::size_t width : {8U, 4U})
    for (const auto& item : tensors_)
      std::visit(
          [&]<class T>(const Tensor<T>& t) {
            if (sizeof(T) != width) return;
            auto extents = nlohmann::ordered_json::array();
            for (int i = 0; i < t.shape().rank(); ++i) extents.push_back(t.shape()[i]);
            const std::size_t first = data.size();
            data.append(reinterpret_cast<const char*>(t.data()),
                        static_cast<std::size_t>(t.size()) * sizeof(T));
            header[item.first] = {
                {"dtype", type_of(item.second)}, {"shape", extents}, {"data_offsets", {first, data.size()}}};
          },
          item.second);
  std::string json;
  try {
    json = header.dump();
  } catch (const nlohmann::json::exception& error) {
    throw ValueError(text("safetensors: a name or a text is not UTF-8: ", error.what()));
  }
  json.append((8 - json.size() % 8) % 8, ' ');
  const std::uint64_t length = json.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + json + data;
}

inline Safetensors::Entry Safetensors::entry(const nlohmann::json& json, std::size_t data_bytes) {
  const auto fail = [](const auto&... why) { throw FileError(text(why...)); };
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
    const auto n = shape[i].get<std::uint64_t>();
    if (n > room) fail("has shape ", shape.dump(), "; want fewer than 2^62 values");
    room /= std::max<std::uint64_t>(n, 1);
    count *= n;
    e[i] = static_cast<index_t>(n);
  }

  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    fail("has data_offsets ", offsets.dump(), "; want two numbers");
  const auto first = offsets[0].get<std::uint64_t>(), last = offsets[1].get<std::uint64_t>();
  if (first > last || last > data_bytes)
    fail("lies at bytes ", first, " to ", last, " of ", data_bytes, ": cut short or damaged");
  const std::uint64_t width = dtype == "F32" ? 4 : 8;
  if ((last - first) % width != 0 || (last - first) / width != count)
    fail("has ", last - first, " bytes; want ", count, " values of ", width, " for its shape ", shape.dump());

  const Shape shapes[] = {{}, {e[0]}, {e[0], e[1]}, {e[0], e[1], e[2]}, {e[0], e[1], e[2], e[3]}};
  return {dtype.get<std::string>(), shapes[shape.size()], first, last};
}

inline Safetensors::Values Safetensors::Entry::values(std::string_view data) const {
  const auto read = [&]<class T>(Tensor<T> out) -> Values {
    if (last > first) std::memcpy(out.data(), data.data() + first, last - first);
    return out;
  };
  if (dtype == "F32") return read(Tensor<float>(shape));
  if (dtype == "F64") return read(Tensor<double>(shape));
  return read(Tensor<std::int64_t>(shape));
}

inline Safetensors Safetensors::parse(std::string_view bytes, std::string source) {
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
  const auto note_names = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (event == nlohmann::json::parse_event_t::key && depth == 1 &&
        !seen.insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  const auto header = nlohmann::json::parse(bytes.substr(8, length), note_names, false);
  if (!header.is_object()) fail("its header is no JSON object");
  if (!twice.empty()) fail("tensor '", twice, "' is there twice");

  Safetensors out;
  std::map<std::pair<std::size_t, std::size_t>, std::string> places; // empty tensors may share one
  for (const auto& item : header.items()) {
    if (item.key() == "__metadata__") {
      if (!item.value().is_object()) fail("its metadata are no JSON object");
      for (const auto& note : item.value().items()) {
        if (!note.value().is_string()) fail("metadata '", note.key(), "' is a ", note.value().type_name());
        out.metadata[note.key()] = note.value().get<std::string>();
      }
      continue;
    }
    try {
      const Entry checked = entry(item.value(), data.size());
      const bool free = places.emplace(std::pair(checked.first, checked.last), item.key()).second;
      if (!free && checked.first != checked.last) throw FileError("overlaps another");
      out.tensors_.emplace(item.key(), checked.values(data));
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
