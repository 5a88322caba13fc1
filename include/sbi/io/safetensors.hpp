// SPDX-License-Identifier: MIT
#pragma once
#if !__has_include(<nlohmann/json.hpp>)
#error "sbi: <sbi/io/safetensors.hpp> needs nlohmann-json; link sbi::json"
#endif
#include <sbi/core/tensor.hpp>
#include <sbi/io/files.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
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
#include <vector>

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
  static const char* type_of(const Values& values) {
    static constexpr const char* names[] = {"F32", "F64", "I64"};
    return names[values.index()];
  }
  template <class T> [[nodiscard]] static Values values_from(std::string_view bytes, Shape shape) {
    Tensor<T> out(shape);
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }

  std::map<std::string, Values> tensors_;
  std::string source_ = "safetensors";
};

static_assert(std::endian::native == std::endian::little, "sbi: safetensors files are little-endian");

inline std::string Safetensors::serialize() const {
  // Types of eight bytes first: then every tensor starts at a multiple of its own element size.
  std::vector<std::pair<const std::string*, std::string_view>> order;
  for (const bool wide : {true, false})
    for (const auto& [name, values] : tensors_)
      std::visit(
          [&]<class T>(const Tensor<T>& t) {
            if ((sizeof(T) == 8) == wide)
              order.emplace_back(&name, std::string_view(reinterpret_cast<const char*>(t.data()),
                                                         static_cast<std::size_t>(t.size()) * sizeof(T)));
          },
          values);

  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t offset = 0;
  for (const auto& [name, bytes] : order) {
    const auto& values = tensors_.at(*name);
    auto extents = nlohmann::ordered_json::array();
    const Shape shape = std::visit([](const auto& t) { return t.shape(); }, values);
    for (int i = 0; i < shape.rank(); ++i) extents.push_back(shape[i]);
    header[*name] = {
        {"dtype", type_of(values)}, {"shape", extents}, {"data_offsets", {offset, offset + bytes.size()}}};
    offset += bytes.size();
  }
  std::string json;
  try {
    json = header.dump();
  } catch (const nlohmann::json::exception& error) { // a name or a text that is not UTF-8
    throw ValueError(text("safetensors: a name or a text cannot be written: ", error.what()));
  }
  json.append((8 - json.size() % 8) % 8, ' ');

  std::string out(8, '\0');
  const std::uint64_t length = json.size();
  std::memcpy(out.data(), &length, 8);
  out.reserve(8 + json.size() + offset);
  out += json;
  for (const auto& [name, bytes] : order) out += bytes;
  return out;
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
  const std::string_view text_of_header = bytes.substr(8, length), data = bytes.substr(8 + length);

  std::set<std::string> seen;
  std::string twice;
  const auto note_names = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (event == nlohmann::json::parse_event_t::key && depth == 1 &&
        !seen.insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  const auto header = nlohmann::json::parse(text_of_header, note_names, false);
  if (!header.is_object()) fail("its header is no JSON object");
  if (!twice.empty()) fail("tensor '", twice, "' is there twice");

  struct Part {
    std::size_t first, last;
    std::string name;
  };
  Safetensors out;
  std::vector<Part> parts;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) fail("its metadata are no JSON object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) fail("metadata '", key, "' is ", value.type_name(), "; want a string");
        out.metadata[key] = value.template get<std::string>();
      }
      continue;
    }
    const auto field = [&](const char* key) -> const nlohmann::json& {
      if (!entry.is_object() || !entry.contains(key)) fail("tensor '", name, "' has no ", key);
      return entry[key];
    };
    const auto& type = field("dtype");
    const std::string dtype = type.is_string() ? type.get<std::string>() : type.dump();
    if (dtype != "F32" && dtype != "F64" && dtype != "I64")
      fail("tensor '", name, "' has dtype ", dtype, "; want F32, F64 or I64");

    const std::size_t item = dtype == "F32" ? 4 : 8;
    const auto& extents = field("shape");
    if (!extents.is_array() || extents.size() > Shape::max_rank)
      fail("tensor '", name, "' has shape ", extents.dump(), "; want a list of 4 extents at most");
    std::size_t e[4] = {0, 0, 0, 0}, count = 1;
    for (std::size_t i = 0; i < extents.size(); ++i) {
      if (!extents[i].is_number_unsigned())
        fail("tensor '", name, "' has shape ", extents.dump(), "; want extents of 0 or more");
      e[i] = extents[i].template get<std::size_t>();
    }
    if (std::count(e, e + extents.size(), std::size_t{0}) > 0) count = 0;
    for (std::size_t i = 0; i < extents.size() && count > 0;
         ++i) { // divided, not multiplied: it may overflow
      if (count > data.size() / e[i])
        fail("tensor '", name, "' has shape ", extents.dump(), ", more than the file's ", data.size(),
             " bytes hold");
      count *= e[i];
    }

    const auto& offsets = field("data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      fail("tensor '", name, "' has data_offsets ", offsets.dump(), "; want two numbers");
    const auto first = offsets[0].template get<std::size_t>(), last = offsets[1].template get<std::size_t>();
    if (first > last || last > data.size())
      fail("tensor '", name, "' lies at bytes ", first, " to ", last, " of ", data.size(),
           ": cut short or damaged");
    if (last - first != count * item)
      fail("tensor '", name, "' has ", last - first, " bytes; its shape ", extents.dump(), " needs ",
           count * item);
    parts.push_back({first, last, name});

    const auto at = [&](std::size_t i) { return static_cast<index_t>(e[i]); };
    const Shape shape = extents.empty()       ? Shape{}
                        : extents.size() == 1 ? Shape{at(0)}
                        : extents.size() == 2 ? Shape{at(0), at(1)}
                        : extents.size() == 3 ? Shape{at(0), at(1), at(2)}
                                              : Shape{at(0), at(1), at(2), at(3)};
    const auto values = data.substr(first, last - first);
    out.tensors_.emplace(name, dtype == "F32"   ? values_from<float>(values, shape)
                               : dtype == "F64" ? values_from<double>(values, shape)
                                                : values_from<std::int64_t>(values, shape));
  }

  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return std::pair(a.first, a.last) < std::pair(b.first, b.last);
  });
  std::size_t reached = 0;
  for (const auto& part : parts) {
    if (part.first != reached)
      fail("tensor '", part.name, "' starts at byte ", part.first, ", the one before ends at ", reached,
           part.first < reached ? ": they overlap" : ": there is a hole");
    reached = part.last;
  }
  if (reached != data.size())
    fail("the tensors end at byte ", reached, " of ", data.size(), ": there is a hole");
  out.source_ = std::move(source);
  return out;
}

} // namespace sbi::io
