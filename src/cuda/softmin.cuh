// SPDX-License-Identifier: MIT
// The kernels over all pairs of rows and columns. Points of few coordinates: a thread holds several rows in
// registers and meets one column after the other. More coordinates: a matrix product in tiles whose results
// never leave the registers.
#pragma once
#include "pairs.hpp"

#include <cuda_pipeline.h>

namespace sbi::ot::detail {

__device__ inline float power_of_2(float x) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x)); // 2 ulp
  return out;
}
__device__ inline double power_of_2(double x) { return exp2(x); }

template <class T> struct alignas(4 * sizeof(T)) Quad { T v[4]; };

template <class T> inline constexpr T no_reference = static_cast<T>(-1e30);
/// Above this the sum of a tile counts as overflown: 2^100.
template <class T> inline constexpr T too_large = static_cast<T>(1.2676506002282294e30);

/// What the exponents of a row are taken relative to.
template <class T> __device__ inline T reference_of(const SoftminTask<T>& task, int row) {
  if (!task.estimate) return no_reference<T>;
  const double value = (task.alpha[row] - static_cast<double>(task.estimate[row])) * task.inverse_unit;
  return isfinite(value) ? static_cast<T>(value - estimate_margin) : no_reference<T>;
}

inline constexpr int narrow_threads = 128, narrow_columns = 128;

/// Sums of 128 R rows over the columns of one split. D coordinates.
template <class T, int D, int R>
__global__ void __launch_bounds__(narrow_threads) softmin_narrow(const SoftminTask<T> task) {
  __shared__ Quad<T> keys[D][narrow_columns / 4];
  __shared__ Quad<T> bias[narrow_columns / 4];
  const int base = static_cast<int>(blockIdx.x) * narrow_threads * R, t = static_cast<int>(threadIdx.x);
  T q[D][R], reference[R];
  double total[R];
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const int row = base + r * narrow_threads + t;
    const bool inside = row < task.rows;
    reference[r] = inside ? reference_of(task, row) : T{0};
    total[r] = 0;
#pragma unroll
    for (int k = 0; k < D; ++k)
      q[k][r] = inside ? static_cast<T>(static_cast<double>(
                                            task.queries[static_cast<std::size_t>(k) * task.rows + row]) *
                                        task.inverse_unit)
                       : T{0};
  }
  const int begin = static_cast<int>(blockIdx.y) * task.partition.columns;
  const int end = min(task.columns, begin + task.partition.columns);
  for (int first = begin; first < end; first += narrow_columns) {
    const int count = min(narrow_columns, end - first);
    __syncthreads();
    if (t < count) {
#pragma unroll
      for (int k = 0; k < D; ++k)
        reinterpret_cast<T*>(keys[k])[t] = task.keys[static_cast<std::size_t>(k) * task.columns + first + t];
      reinterpret_cast<T*>(bias)[t] = task.bias[first + t];
    }
    __syncthreads();
    const auto exponents = [&](int c, const T* from, T(&e)[R][4]) {
      const Quad<T> b = bias[c];
#pragma unroll
      for (int r = 0; r < R; ++r)
#pragma unroll
        for (int v = 0; v < 4; ++v) e[r][v] = b.v[v] - from[r];
#pragma unroll
      for (int k = 0; k < D; ++k) {
        const Quad<T> key = keys[k][c];
#pragma unroll
        for (int r = 0; r < R; ++r)
#pragma unroll
          for (int v = 0; v < 4; ++v) e[r][v] = fma(q[k][r], key.v[v], e[r][v]);
      }
    };
    T part[R];
#pragma unroll
    for (int r = 0; r < R; ++r) part[r] = 0;
#pragma unroll 1
    for (int c = 0; c < count / 4; ++c) {
      T e[R][4];
      exponents(c, reference, e);
#pragma unroll
      for (int r = 0; r < R; ++r)
        part[r] += (power_of_2(e[r][0]) + power_of_2(e[r][1])) + (power_of_2(e[r][2]) + power_of_2(e[r][3]));
    }
    bool overflow = false;
#pragma unroll
    for (int r = 0; r < R; ++r) overflow |= !(part[r] <= too_large<T>);
    if (overflow) { // the tile again, relative to its largest term
      T zero[R], top[R];
      bool again[R];
#pragma unroll
      for (int r = 0; r < R; ++r) {
        again[r] = !(part[r] <= too_large<T>);
        zero[r] = 0, top[r] = no_reference<T>;
      }
#pragma unroll 1
      for (int c = 0; c < count / 4; ++c) {
        T e[R][4];
        exponents(c, zero, e);
#pragma unroll
        for (int r = 0; r < R; ++r) top[r] = max(max(top[r], max(e[r][0], e[r][1])), max(e[r][2], e[r][3]));
      }
#pragma unroll
      for (int r = 0; r < R; ++r)
        if (again[r]) {
          if (total[r] > 0) total[r] *= exp2(static_cast<double>(reference[r]) - static_cast<double>(top[r]));
          reference[r] = top[r], part[r] = 0;
        }
#pragma unroll 1
      for (int c = 0; c < count / 4; ++c) {
        T e[R][4];
        exponents(c, reference, e);
#pragma unroll
        for (int r = 0; r < R; ++r)
          if (again[r])
            part[r] +=
                (power_of_2(e[r][0]) + power_of_2(e[r][1])) + (power_of_2(e[r][2]) + power_of_2(e[r][3]));
      }
    }
#pragma unroll
    for (int r = 0; r < R; ++r) total[r] += static_cast<double>(part[r]); // long rows keep their digits
  }
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const int row = base + r * narrow_threads + t;
    if (row < task.rows)
      task.partial[static_cast<std::size_t>(blockIdx.y) * task.rows + row] = {reference[r],
                                                                              static_cast<T>(total[r])};
  }
}

inline constexpr int tile_threads = 256, tile_stages = 3;

/// Brings coordinates of tiles into shared memory in the background, 16 bytes a thread and call.
template <class T, int N> struct TileFetch {
  static constexpr int a_copy = 16 / sizeof(T), copies_a_row = N / a_copy;
  static_assert(width_step * copies_a_row <= tile_threads);
  const T* from;
  std::size_t step; ///< from one group of coordinates to the next
  int to;           ///< place in a stage
  bool active;

  __device__ TileFetch(const T* points, int padded, int first)
      : step(static_cast<std::size_t>(width_step) * padded) {
    const int t = static_cast<int>(threadIdx.x), row = t / copies_a_row, column = t % copies_a_row * a_copy;
    active = t < width_step * copies_a_row;
    from = points + static_cast<std::size_t>(row) * padded + first + column;
    to = row * N + column;
  }
  __device__ void fetch(T* stage) {
    if (active) __pipeline_memcpy_async(stage + to, from, 16);
    from += step;
  }
  /// Back to the first coordinates, of points `by` further.
  __device__ void rewind(int groups, int by) { from = from - groups * step + by; }
};

/// Element i of the 4 or 8 that a thread at place `at` of 16 has in a tile: groups of four neighbours.
template <int N> __device__ constexpr int tile_place(int at, int i) { return i / 4 * 64 + at * 4 + i % 4; }

/// Sums of 16 M rows over the columns of one split in tiles of 16 M x 16 M, M = 4 or 8 a thread.
template <class T, int M>
__global__ void __launch_bounds__(tile_threads, M == 8 ? 2 : 1) softmin_tile(const SoftminTask<T> task) {
  constexpr int size = 16 * M;
  __shared__ alignas(16) T queries[tile_stages][width_step][size];
  __shared__ alignas(16) T keys[tile_stages][width_step][size];
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  const int base = static_cast<int>(blockIdx.x) * size;
  const int begin = static_cast<int>(blockIdx.y) * task.partition.columns;
  const int end = min(task.columns, begin + task.partition.columns);
  const T scale = static_cast<T>(task.inverse_unit);
  T reference[M], acc[M][M];
  double total[M];
#pragma unroll
  for (int i = 0; i < M; ++i) {
    reference[i] = reference_of(task, base + tile_place<M>(ty, i));
    total[i] = 0;
#pragma unroll
    for (int j = 0; j < M; ++j) acc[i][j] = 0;
  }
  const int groups = task.width / width_step;
  TileFetch<T, size> query_fetch(task.queries, task.rows, base), key_fetch(task.keys, task.columns, begin);
  int group = 0, next = begin; // of the fetch
  const auto fetch = [&](int stage) {
    if (next < end) {
      query_fetch.fetch(&queries[stage][0][0]);
      key_fetch.fetch(&keys[stage][0][0]);
      if (++group == groups) {
        query_fetch.rewind(groups, 0);
        key_fetch.rewind(groups, size);
        group = 0, next += size;
      }
    }
    __pipeline_commit();
  };
  for (int s = 0; s + 1 < tile_stages; ++s) fetch(s);
  int stage = 0;
  for (int first = begin; first < end; first += size) {
#pragma unroll 1
    for (int g = 0; g < groups; ++g) {
      __pipeline_wait_prior(tile_stages - 2);
      __syncthreads();
      fetch(stage == 0 ? tile_stages - 1 : stage - 1);
#pragma unroll
      for (int l = 0; l < width_step; ++l) {
        Quad<T> a[M / 4], b[M / 4];
#pragma unroll
        for (int i = 0; i < M / 4; ++i) {
          a[i] = *reinterpret_cast<const Quad<T>*>(&queries[stage][l][tile_place<M>(ty, 4 * i)]);
          b[i] = *reinterpret_cast<const Quad<T>*>(&keys[stage][l][tile_place<M>(tx, 4 * i)]);
        }
#pragma unroll
        for (int i = 0; i < M; ++i)
#pragma unroll
          for (int j = 0; j < M; ++j) acc[i][j] = fma(a[i / 4].v[i % 4], b[j / 4].v[j % 4], acc[i][j]);
      }
      stage = stage + 1 == tile_stages ? 0 : stage + 1;
    }
    Quad<T> bias[M / 4];
#pragma unroll
    for (int j = 0; j < M / 4; ++j)
      bias[j] = *reinterpret_cast<const Quad<T>*>(task.bias + first + tile_place<M>(tx, 4 * j));
#pragma unroll
    for (int i = 0; i < M; ++i) {
      T part = 0;
#pragma unroll
      for (int j = 0; j < M; ++j)
        part += power_of_2(fma(acc[i][j], scale, bias[j / 4].v[j % 4] - reference[i]));
      if (!(part <= too_large<T>)) { // again, relative to the largest term
        T top = no_reference<T>;
#pragma unroll
        for (int j = 0; j < M; ++j) top = max(top, fma(acc[i][j], scale, bias[j / 4].v[j % 4]));
        if (total[i] > 0) total[i] *= exp2(static_cast<double>(reference[i]) - static_cast<double>(top));
        reference[i] = top, part = 0;
#pragma unroll
        for (int j = 0; j < M; ++j)
          part += power_of_2(fma(acc[i][j], scale, bias[j / 4].v[j % 4] - reference[i]));
      }
      total[i] += static_cast<double>(part); // long rows keep their digits
#pragma unroll
      for (int j = 0; j < M; ++j) acc[i][j] = 0;
    }
  }
#pragma unroll
  for (int i = 0; i < M; ++i) {
#pragma unroll
    for (int step = 8; step > 0; step /= 2) { // the 16 threads of these rows
      const T other = __shfl_xor_sync(0xffffffffU, reference[i], step);
      const double sum = __shfl_xor_sync(0xffffffffU, total[i], step);
      const T top = max(reference[i], other);
      total[i] = total[i] * exp2(static_cast<double>(reference[i]) - static_cast<double>(top)) +
                 sum * exp2(static_cast<double>(other) - static_cast<double>(top));
      reference[i] = top;
    }
    if (tx == 0)
      task.partial[static_cast<std::size_t>(blockIdx.y) * task.rows + base + tile_place<M>(ty, i)] = {
          reference[i], static_cast<T>(total[i])};
  }
}

/// Rows a thread holds at a time in narrow kernels: many where there are enough rows to fill the device.
template <class T> constexpr int many_rows(int width) {
  return sizeof(T) == 4 ? (width <= 8 ? 8 : 4) : (width <= 8 ? 4 : 2);
}
inline constexpr int few_rows = 2;

/// Divides `units` of columns among blocks so that the last wave of blocks is as full as may be. Every block
/// pays for `overhead` units.
inline Partition divide(int row_tiles, int rows_a_tile, int rows, int units, int columns_a_unit, int slots,
                        double overhead) {
  const int most = std::max(1, std::min(units, std::min(4096, (1 << 24) / rows)));
  double best = 0;
  Partition out;
  for (int s = 1; s <= most; ++s) {
    const int each = (units + s - 1) / s;
    if ((units + each - 1) / each != s) continue; // some would be empty
    const double waves = static_cast<double>((static_cast<long long>(row_tiles) * s + slots - 1) / slots);
    const double cost = waves * (each + overhead);
    if (s == 1 || cost < 0.98 * best) best = cost, out = {s, each * columns_a_unit, rows_a_tile};
  }
  return out;
}

template <class T>
Partition partition_of(const CudaContext& context, const DeviceCloud<T>& queries,
                       const DeviceCloud<T>& keys) {
  const int sm = context.multiprocessors(), rows = queries.padded;
  if (queries.padded_width <= narrow_width) {
    const int large = many_rows<T>(queries.padded_width) * narrow_threads, small = few_rows * narrow_threads;
    const bool many = rows / large * (keys.padded / narrow_columns) >= 16 * sm;
    const int tile = many ? large : small;
    return divide((rows + tile - 1) / tile, tile, rows, keys.padded / 32, 32, (many ? 4 : 8) * sm, 4);
  }
  const bool big = sizeof(T) == 4 && rows / 128 * (keys.padded / 128) >= 4 * sm;
  const int tile = big ? 128 : 64;
  return divide(rows / tile, tile, rows, keys.padded / tile, tile, (big ? 2 : 4) * sm, 0.5);
}

template <class T, int D> void launch_narrow(const CudaContext& context, const SoftminTask<T>& task) {
  const Partition& p = task.partition;
  const dim3 grid(static_cast<unsigned>((task.rows + p.rows - 1) / p.rows), static_cast<unsigned>(p.splits));
  if (p.rows == few_rows * narrow_threads)
    softmin_narrow<T, D, few_rows><<<grid, narrow_threads, 0, context.stream()>>>(task);
  else
    softmin_narrow<T, D, many_rows<T>(D)><<<grid, narrow_threads, 0, context.stream()>>>(task);
}

template <class T> void launch_softmin(const CudaContext& context, const SoftminTask<T>& task) {
  const Partition& p = task.partition;
  if (!with_narrow_width(task.width, [&]<int D>() { launch_narrow<T, D>(context, task); })) {
    const dim3 grid(static_cast<unsigned>(task.rows / p.rows), static_cast<unsigned>(p.splits));
    bool launched = false;
    if constexpr (sizeof(T) == 4)
      if (p.rows == 128) {
        softmin_tile<T, 8><<<grid, tile_threads, 0, context.stream()>>>(task);
        launched = true;
      }
    if (!launched) softmin_tile<T, 4><<<grid, tile_threads, 0, context.stream()>>>(task);
  }
  check_launch("launch of softmin");
}

} // namespace sbi::ot::detail
