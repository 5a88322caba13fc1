// SPDX-License-Identifier: MIT
// Sums over all elements of an array in one launch and in a fixed order: the same bits from run to run.
#pragma once
#include <cmath>
#include <cstddef>
#include <cuda_runtime.h>

namespace sbi::ot::detail {

inline constexpr int element_threads = 256, most_blocks = 512;

[[nodiscard]] inline unsigned element_blocks(int n) {
  const int blocks = (n + element_threads - 1) / element_threads;
  return static_cast<unsigned>(blocks < most_blocks ? blocks : most_blocks);
}

/// log sum exp, as sum times exp(peak); merging is exact for an empty one.
struct LogSum {
  double peak = -INFINITY, sum = 0;
  __device__ void add(double exponent) { merge({exponent, 1}); }
  __device__ void merge(LogSum other) {
    if (!(other.sum > 0)) return;
    if (!(sum > 0)) {
      *this = other;
      return;
    }
    const double top = fmax(peak, other.peak);
    sum = sum * exp(peak - top) + other.sum * exp(other.peak - top);
    peak = top;
  }
  __device__ double log() const { return peak + ::log(sum); }
};

/// What the threads of a grid have found, added up: K sums and one log-sum-exp.
template <int K> struct GridSums {
  double sum[K];
  LogSum log_sum;
};

/// Adds up over a block; all threads get the result.
template <int K> __device__ void block_sums(GridSums<K>& mine, bool with_log) {
  constexpr int warps = element_threads / 32;
  __shared__ double partial[warps][K], all[K];
  __shared__ LogSum logs[warps];
  const int t = static_cast<int>(threadIdx.x);
  __syncthreads();
#pragma unroll
  for (int k = 0; k < K; ++k) {
    for (int step = 16; step > 0; step /= 2) mine.sum[k] += __shfl_xor_sync(0xffffffffU, mine.sum[k], step);
    if (t % 32 == 0) partial[t / 32][k] = mine.sum[k];
  }
  if (with_log) {
    for (int step = 16; step > 0; step /= 2) {
      LogSum other;
      other.peak = __shfl_down_sync(0xffffffffU, mine.log_sum.peak, step);
      other.sum = __shfl_down_sync(0xffffffffU, mine.log_sum.sum, step);
      mine.log_sum.merge(other);
    }
    if (t % 32 == 0) logs[t / 32] = mine.log_sum;
  }
  __syncthreads();
  if (t < K) {
    double sum = 0;
    for (int w = 0; w < warps; ++w) sum += partial[w][t];
    all[t] = sum;
  }
  if (with_log && t == 0)
    for (int w = 1; w < warps; ++w) logs[0].merge(logs[w]);
  __syncthreads();
#pragma unroll
  for (int k = 0; k < K; ++k) mine.sum[k] = all[k];
  if (with_log) mine.log_sum = logs[0];
}

/// Adds up over the grid; true in the block that finishes last, whose threads all have the result. `blocks`
/// has most_blocks entries, `counter` is 0 before and after.
template <int K>
__device__ bool grid_sums(GridSums<K>& mine, bool with_log, GridSums<K>* blocks, unsigned* counter) {
  __shared__ bool last;
  block_sums(mine, with_log);
  if (threadIdx.x == 0) {
    blocks[blockIdx.x] = mine;
    __threadfence();
    last = atomicAdd(counter, 1U) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return false;
  __threadfence();
  GridSums<K> total{};
  for (unsigned b = threadIdx.x; b < gridDim.x; b += element_threads) {
    const volatile GridSums<K>& part = blocks[b];
    for (int k = 0; k < K; ++k) total.sum[k] += part.sum[k];
    if (with_log) {
      LogSum other;
      other.peak = part.log_sum.peak, other.sum = part.log_sum.sum;
      total.log_sum.merge(other);
    }
  }
  mine = total;
  block_sums(mine, with_log);
  if (threadIdx.x == 0) *counter = 0;
  return true;
}

} // namespace sbi::ot::detail
