// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/core/aligned.hpp>
#include <sbi/core/rng.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::nn {

/// How a parameter starts: normal with this mean and standard deviation.
struct Init {
  double mean = 0, stddev = 0;
  static Init zeros() { return {0, 0}; }
  static Init ones() { return {1, 0}; }
  static Init normal(double stddev) { return {0, stddev}; }
};

/// All parameters of a model in one flat buffer, under dotted names ("block.0.attention.qkv.weight"). Modules
/// keep Parameter handles into it; optimiser, clipping, averaging and checkpoints are loops over it.
/// Parameters start at multiples of 64 bytes; the gaps hold zeros.
template <class T> class Parameters {
public:
  struct Entry {
    std::string name;
    Parameter at;
    [[nodiscard]] bool is_matrix() const { return at.shape.rank() == 2 && name.ends_with(".weight"); }
  };

  /// A part of one entry's values, [begin, end) of the flat buffer: what a task of an optimiser works on.
  struct Piece {
    index_t begin, end;
    bool is_matrix;
  };

  /// Initial values depend on the seed and the order of `add` only.
  explicit Parameters(std::uint64_t seed = 0) : rng_(seed) {}

  /// Throws ValueError for a name that is already there.
  Parameter add(const std::string& name, Shape shape, Init init) {
    for (const auto& e : entries_)
      if (e.name == name) throw ValueError(sbi::text("parameters: ", name, " is added twice"));
    constexpr index_t alignment = cache_line / sizeof(T);
    const Parameter at{static_cast<index_t>(values_.size()), shape};
    values_.resize(values_.size() +
                   static_cast<std::size_t>((shape.size() + alignment - 1) / alignment * alignment));
    Rng rng = rng_.split(entries_.size());
    for (index_t i = 0; i < shape.size(); ++i)
      values_[static_cast<std::size_t>(at.offset + i)] =
          static_cast<T>(init.mean + (init.stddev > 0 ? rng.normal(0, init.stddev) : 0.0));
    entries_.push_back({name, at});
    return at;
  }

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] std::vector<T>& values() { return values_; }
  [[nodiscard]] const std::vector<T>& values() const { return values_; }
  /// Length of the flat buffer, gaps included.
  [[nodiscard]] index_t size() const { return static_cast<index_t>(values_.size()); }
  /// Number of trained values.
  [[nodiscard]] index_t count() const {
    index_t n = 0;
    for (const auto& e : entries_) n += e.at.shape.size();
    return n;
  }
  /// Pieces of the entries whose names hold `only`.
  [[nodiscard]] std::vector<Piece> pieces(std::string_view only = "") const {
    constexpr index_t longest = 8192;
    std::vector<Piece> out;
    for (const auto& e : entries_) {
      if (e.name.find(only) == std::string::npos) continue;
      const index_t end = e.at.offset + e.at.shape.size();
      for (index_t begin = e.at.offset; begin < end; begin += longest)
        out.push_back({begin, std::min(begin + longest, end), e.is_matrix()});
    }
    return out;
  }
  /// The matrices that enter products: those named "*.weight".
  [[nodiscard]] std::vector<Parameter> matrices() const {
    std::vector<Parameter> out;
    for (const auto& e : entries_)
      if (e.is_matrix()) out.push_back(e.at);
    return out;
  }
  [[nodiscard]] View<const T> view(const Entry& e) const {
    return {values_.data() + e.at.offset, e.at.shape};
  }

private:
  Rng rng_;
  std::vector<Entry> entries_;
  std::vector<T> values_;
};

} // namespace sbi::nn
