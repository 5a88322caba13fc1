// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/shape.hpp>
#include <sbi/io/json_text.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

namespace sbi::io {

static_assert(std::endian::native == std::endian::little, "sbi: safetensors files are little-endian");

/// The header of a safetensors file: the tensors in the order of their values. Throws ValueError for a name
/// or a text that is not UTF-8.
class SafetensorsHeader {
public:
  explicit SafetensorsHeader(const std::map<std::string, std::string>& metadata = {}) {
    JsonObject notes;
    for (const auto& [key, note] : metadata) notes.add(key, note);
    if (!metadata.empty()) header_.add("__metadata__", notes);
  }
  /// dtype: as the format names it, such as "F32". `bytes` of values follow those of the tensors before.
  void add(std::string_view name, std::string_view dtype, const Shape& shape, std::size_t bytes) {
    std::vector<index_t> extents;
    for (int i = 0; i < shape.rank(); ++i) extents.push_back(shape[i]);
    const std::vector<std::size_t> offsets{end_, end_ + bytes};
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

} // namespace sbi::io
