// SPDX-License-Identifier: MIT
// How safetensors files are written: needs no JSON library.
#pragma once
#include <sbi/core/view.hpp>
#include <sbi/io/files.hpp>
#include <sbi/io/json_text.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sbi::io {

static_assert(std::endian::native == std::endian::little, "sbi: safetensors files are little-endian");

/// What the format calls the values of a tensor.
template <class T> inline constexpr const char* safetensors_dtype = nullptr;
template <> inline constexpr const char* safetensors_dtype<float> = "F32";
template <> inline constexpr const char* safetensors_dtype<double> = "F64";
template <> inline constexpr const char* safetensors_dtype<std::int64_t> = "I64";

/// The header of a safetensors file: the tensors in the order of their values. Throws ValueError for a name
/// or a text that is not UTF-8.
class SafetensorsHeader {
public:
  /// metadata: members that are texts.
  explicit SafetensorsHeader(const JsonObject& metadata = {}) {
    if (!metadata.empty()) header_.add("__metadata__", metadata);
  }
  /// dtype: as the format names it. `bytes` of values follow those of the tensors before.
  void add(std::string_view name, std::string_view dtype, const Shape& shape, std::size_t bytes) {
    std::vector<std::size_t> extents, offsets{end_, end_ + bytes};
    for (int i = 0; i < shape.rank(); ++i) extents.push_back(static_cast<std::size_t>(shape[i]));
    header_.add(name, JsonObject().add("dtype", dtype).add("shape", extents).add("data_offsets", offsets));
    end_ += bytes;
  }
  /// What a file begins with: the header's length in eight bytes and the header, padded with spaces so that
  /// the values start at a multiple of eight bytes.
  [[nodiscard]] std::string bytes() const {
    std::string header = header_.text();
    header.append((8 - header.size() % 8) % 8, ' ');
    const std::uint64_t length = header.size();
    std::string out(sizeof length, '\0');
    std::memcpy(out.data(), &length, sizeof length);
    return out + header;
  }

private:
  JsonObject header_;
  std::size_t end_ = 0;
};

/// A whole file, tensor by tensor. Those of eight bytes a value come first: then each starts at a multiple of
/// its own element size.
class SafetensorsWriter {
public:
  explicit SafetensorsWriter(const JsonObject& metadata = {}) : header_(metadata) {}

  template <class T> void add(std::string_view name, View<T> values) {
    using Value = std::remove_const_t<T>;
    static_assert(safetensors_dtype<Value> != nullptr,
                  "sbi: safetensors files are written of float, double and std::int64_t");
    header_.add(name, safetensors_dtype<Value>, values.shape,
                static_cast<std::size_t>(values.size()) * sizeof(Value));
    for (index_t r = 0; r < values.rows(); ++r)
      data_.append(reinterpret_cast<const char*>(values.row(r)),
                   static_cast<std::size_t>(values.cols()) * sizeof(Value));
  }
  [[nodiscard]] std::string bytes() const { return header_.bytes() + data_; }
  /// Writes the file in one step. Throws FileError.
  void write(const std::filesystem::path& path) const { write_file(path, bytes()); }

private:
  SafetensorsHeader header_;
  std::string data_;
};

} // namespace sbi::io
