// SPDX-License-Identifier: MIT
// Costs in dot-product form on the device: how clouds are stored, and what the kernels over all pairs offer.
//
// Exponents are powers of 2: with unit = eps log 2 the softmin of a row is
//   alpha_i - unit log2 sum_j 2^(bias_j + <q_i, k_j> / unit),  bias_j = log2(e) ((g_j - beta_j) / eps + log
//   b_j).
#pragma once
#include "context.hpp"

#include <sbi/ot/cuda_pairs.hpp>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

using sbi::detail::Buffer;
using sbi::detail::check;
using sbi::detail::check_launch;
using sbi::detail::CudaContext;
using sbi::detail::OnDeviceScope;

inline constexpr double log2_e_of_device = 1.4426950408889634, log_2_of_device = 0.6931471805599453;
inline constexpr int cloud_block = 128; ///< clouds are filled up to a multiple of it
/// Widths that have kernels of their own, which hold a row's coordinates in registers; clouds of fewer
/// coordinates are filled up to the next.
inline constexpr std::array narrow_widths{2, 3, 4, 6, 8, 12, 16};
inline constexpr int narrow_width = narrow_widths.back();
inline constexpr int width_step = 8; ///< beyond, coordinates are filled up to a multiple of it

/// f.operator()<width>() for a narrow width; false for any other.
template <class F> bool with_narrow_width(int width, F&& f) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return ((width == narrow_widths[I] && (f.template operator()<narrow_widths[I]>(), true)) || ...);
  }
  (std::make_index_sequence<narrow_widths.size()>{});
}

/// Coordinate k of point i at points[k * padded + i], so that neighbouring threads read neighbouring points.
/// What is filled up is 0.
template <class T> struct DeviceCloud {
  int count = 0, padded = 0;       ///< points, and with those that are filled up
  int width = 0, padded_width = 0; ///< coordinates
  Buffer<T> points;                ///< [padded_width, padded]
  Buffer<double> offset;           ///< [padded], alpha or beta; none for points as they are given
  // Of points as they are given:
  std::vector<double> first, sum; ///< [width] the first of them, and the sum of the others less that one
  bool finite = true;
  // Of a form made here:
  double factor = 1;     ///< that points less their centre are multiplied by
  Buffer<double> length; ///< [count] of Cosine's points
};

/// Sums of a part of the columns: sum_j 2^e_j = sum 2^reference. A reference below all numbers that occur
/// stands for an empty sum.
template <class T> struct alignas(2 * sizeof(T)) PartialSum { T reference, sum; };

/// How the columns are divided among blocks. It depends on sizes and on the device only.
struct Partition {
  int splits = 1, columns = 0; ///< blocks a row tile, columns a block
  int rows = 0;                ///< of a tile
};

template <class T> struct SoftminTask {
  const T* queries; ///< [width, rows]
  const T* keys;    ///< [width, columns]
  const T* bias;    ///< [columns], minus infinity in columns that are filled up
  const double* alpha;
  const T* estimate; ///< [rows] the potential of the round before; null: none is known
  double inverse_unit;
  PartialSum<T>* partial; ///< [splits, rows]
  int rows, columns, width;
  Partition partition;
};

template <class T>
[[nodiscard]] Partition partition_of(const CudaContext& context, const DeviceCloud<T>& queries,
                                     const DeviceCloud<T>& keys);
/// Sums 2^e of all pairs, parts of rows to `partial`. The terms are taken relative to what the estimate says,
/// or, where it says too little, to the largest term; where it says too much, the sum is marked as lost.
template <class T> void launch_softmin(const CudaContext& context, const SoftminTask<T>& task);

/// bias_i = log2(e) ((potential_i - offset_i) / eps + log_weight_i), minus infinity without weight.
template <class T> __device__ inline T bias_of(T potential, double offset, T log_weight, double eps) {
  return isfinite(log_weight)
             ? static_cast<T>(log2_e_of_device * ((static_cast<double>(potential) - offset) / eps +
                                                  static_cast<double>(log_weight)))
             : -static_cast<T>(INFINITY);
}

inline constexpr double estimate_margin = 20; ///< powers of 2 that an estimate is taken below its word
inline constexpr double lost_below = 8.271806125530277e-25; ///< 2^-80: terms that count are normal numbers

/// log2 of the sum of one row, its parts added in their order. `lost`: the estimate was too high for it.
template <class T>
__device__ inline double log2_sum(const PartialSum<T>* partial, int splits, int rows, int row, bool& lost) {
  T top = -static_cast<T>(INFINITY);
  for (int s = 0; s < splits; ++s) {
    const PartialSum<T> p = partial[static_cast<std::size_t>(s) * rows + row];
    if (p.sum > 0) top = max(top, p.reference);
  }
  double sum = 0;
  for (int s = 0; s < splits; ++s) {
    const PartialSum<T> p = partial[static_cast<std::size_t>(s) * rows + row];
    if (p.sum > 0) sum += static_cast<double>(p.sum) * exp2(static_cast<double>(p.reference - top));
  }
  lost = !(sum > lost_below);
  return sum > 0 ? static_cast<double>(top) + log2(sum) : -static_cast<double>(INFINITY);
}

} // namespace sbi::ot::detail
