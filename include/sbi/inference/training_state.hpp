// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/shape.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sbi {

/// All that a training run needs to go on with the same bits: nothing in it depends on the clock, and
/// batches, masks and noise are functions of the seed and the step.
template <class T> struct TrainingState {
  std::string fingerprint; ///< of the options, the model and the data; a resume with another one is refused
  index_t step = 0, optimiser_steps = 0, average_updates = 0, stale = 0;
  bool stopped_early = false;
  std::vector<T> values, first_moment, second_moment, average, best;
  std::vector<double> validation;

  /// f(name, array) for every array, in order.
  template <class F> void each_array(F&& f) {
    f("validation", validation); // first: eight bytes each, so that all lie at multiples of their size
    f("values", values);
    f("first_moment", first_moment);
    f("second_moment", second_moment);
    f("average", average);
    f("best", best);
  }
  /// f(name, number) for every counter, the flag among them.
  template <class F> void each_counter(F&& f) {
    f("step", step);
    f("optimiser_steps", optimiser_steps);
    f("average_updates", average_updates);
    f("stale", stale);
    f("stopped_early", stopped_early);
  }
};

namespace detail {
/// Of the bits of all values: tells one array from another.
template <class T> [[nodiscard]] std::uint64_t checksum(std::span<const T> x) {
  std::uint64_t hash = 1469598103934665603ULL; // FNV-1a
  const auto* bytes = reinterpret_cast<const unsigned char*>(x.data());
  for (std::size_t i = 0; i < x.size_bytes(); ++i) hash = (hash ^ bytes[i]) * 1099511628211ULL;
  return hash;
}
} // namespace detail

} // namespace sbi
