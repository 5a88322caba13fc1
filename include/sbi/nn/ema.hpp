// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/shape.hpp>

#include <algorithm>
#include <vector>

namespace sbi::nn {

/// Exponential moving average of parameters. The decay rises as (1 + n) / (10 + n) to its limit, so that the
/// first values are forgotten at once.
template <class T> class Ema {
public:
  explicit Ema(std::vector<T> start, double decay = 0.999) : average_(std::move(start)), decay_(decay) {}

  void update(const std::vector<T>& values) {
    blend(values.data(), next_share(), 0, static_cast<index_t>(average_.size()));
  }
  /// The same in parts: counts an update and returns the weight of the new values, for `blend`.
  [[nodiscard]] T next_share() {
    const double n = static_cast<double>(++updates_);
    return static_cast<T>(1 - std::min(decay_, (1 + n) / (10 + n)));
  }
  /// Moves elements [begin, end) of the average towards the values by that weight.
  void blend(const T* values, T share, index_t begin, index_t end) {
    T* average = average_.data();
    for (index_t i = begin; i < end; ++i) average[i] += share * (values[i] - average[i]);
  }
  [[nodiscard]] const std::vector<T>& average() const { return average_; }

  /// The state that a resumed run needs.
  [[nodiscard]] std::vector<T>& average() { return average_; }
  [[nodiscard]] index_t& updates() { return updates_; }

private:
  std::vector<T> average_;
  double decay_;
  index_t updates_ = 0;
};

} // namespace sbi::nn
