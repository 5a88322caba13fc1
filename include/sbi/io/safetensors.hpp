// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/compiled.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/io/safetensors_write.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
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
    throw FileError(
        text(source_, ": tensor '", name, "' is ", type_of(found->second), "; want ", safetensors_dtype<T>));
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
  /// given twice. (Templates, so that programs that only write do not wait for a JSON library to compile.)
  template <class Lazy = void>
  [[nodiscard]] static Safetensors parse(std::string_view bytes, std::string source);
  template <class Lazy = void> [[nodiscard]] static Safetensors read(const std::filesystem::path& path) {
    return parse<Lazy>(read_file(path), path.string());
  }

private:
  static const char* type_of(const Values& values) {
    return std::visit([]<class T>(const Tensor<T>&) { return safetensors_dtype<T>; }, values);
  }

  std::map<std::string, Values> tensors_;
  std::string source_ = "safetensors";
};

inline std::string Safetensors::serialize() const {
  JsonObject notes;
  for (const auto& [key, note] : metadata) notes.add(key, note);
  SafetensorsWriter file(notes);
  for (const std::size_t width : {8U, 4U})
    for (const auto& [name, values] : tensors_)
      std::visit(
          [&, &name = name]<class T>(const Tensor<T>& t) {
            if (sizeof(T) == width) file.add(name, t.view());
          },
          values);
  return file.bytes();
}

} // namespace sbi::io

#ifdef SBI_COMPILED
extern template sbi::io::Safetensors sbi::io::Safetensors::parse(std::string_view, std::string);
extern template sbi::io::Safetensors sbi::io::Safetensors::read(const std::filesystem::path&);
#else
#include <sbi/io/safetensors_read.hpp>
#endif
