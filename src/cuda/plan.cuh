// SPDX-License-Identifier: MIT
// A plan times points, without the plan: sums over columns j of P_ij (k_j, 1), P_ij = 2^(left_i + right_j +
// <q_i, k_j> / unit). Sums go on in double after a few thousand columns.
#pragma once
#include "softmin.cuh"

#include <limits>

namespace sbi::ot::detail {

/// The coordinates' sums of a row at sums[split * split_stride + row * row_stride + k * step], and behind
/// them that of the weights.
struct PlanSums {
  double* data;
  std::size_t split_stride, row_stride, step;
  __device__ double& operator()(int split, int row, int k) const {
    return data[split * split_stride + row * row_stride + k * step];
  }
};

template <class T> struct PlanTask {
  const T *queries, *keys; ///< [width, rows], [width, columns]
  const T *left, *right;   ///< [rows], [columns], minus infinity for nothing
  double inverse_unit;
  PlanSums sums; ///< zeros
  int rows, columns, width;
  Partition partition;
  int last; ///< place of the sum of the weights
};

inline constexpr int columns_in_T = 2048; ///< a multiple of all tiles

template <class T, int D, int R>
__global__ void __launch_bounds__(narrow_threads) plan_narrow(const PlanTask<T> task) {
  __shared__ Quad<T> keys[D][narrow_columns / 4];
  __shared__ Quad<T> right[narrow_columns / 4];
  const int base = static_cast<int>(blockIdx.x) * narrow_threads * R, t = static_cast<int>(threadIdx.x);
  T q[D][R], left[R], weighted[D][R], weights[R];
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const int row = base + r * narrow_threads + t;
    const bool inside = row < task.rows;
    left[r] = inside ? task.left[row] : -static_cast<T>(INFINITY);
    weights[r] = 0;
#pragma unroll
    for (int k = 0; k < D; ++k) {
      q[k][r] = inside ? static_cast<T>(static_cast<double>(
                                            task.queries[static_cast<std::size_t>(k) * task.rows + row]) *
                                        task.inverse_unit)
                       : T{0};
      weighted[k][r] = 0;
    }
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
      reinterpret_cast<T*>(right)[t] = task.right[first + t];
    }
    __syncthreads();
#pragma unroll 1
    for (int c = 0; c < count / 4; ++c) {
      T p[R][4];
      const Quad<T> b = right[c];
#pragma unroll
      for (int r = 0; r < R; ++r)
#pragma unroll
        for (int v = 0; v < 4; ++v) p[r][v] = b.v[v] + left[r];
#pragma unroll
      for (int k = 0; k < D; ++k) {
        const Quad<T> key = keys[k][c];
#pragma unroll
        for (int r = 0; r < R; ++r)
#pragma unroll
          for (int v = 0; v < 4; ++v) p[r][v] = fma(q[k][r], key.v[v], p[r][v]);
      }
#pragma unroll
      for (int r = 0; r < R; ++r) {
#pragma unroll
        for (int v = 0; v < 4; ++v) p[r][v] = power_of_2(p[r][v]);
        weights[r] += (p[r][0] + p[r][1]) + (p[r][2] + p[r][3]);
      }
#pragma unroll
      for (int k = 0; k < D; ++k) {
        const Quad<T> key = keys[k][c];
#pragma unroll
        for (int r = 0; r < R; ++r)
#pragma unroll
          for (int v = 0; v < 4; ++v) weighted[k][r] = fma(p[r][v], key.v[v], weighted[k][r]);
      }
    }
    if ((first - begin) % columns_in_T == columns_in_T - narrow_columns || first + narrow_columns >= end) {
#pragma unroll
      for (int r = 0; r < R; ++r) {
        const int row = base + r * narrow_threads + t, split = static_cast<int>(blockIdx.y);
        if (row < task.rows) {
#pragma unroll
          for (int k = 0; k < D; ++k) task.sums(split, row, k) += static_cast<double>(weighted[k][r]);
          task.sums(split, row, task.last) += static_cast<double>(weights[r]);
        }
        weights[r] = 0;
#pragma unroll
        for (int k = 0; k < D; ++k) weighted[k][r] = 0;
      }
    }
  }
}

inline constexpr int plan_tile_size = 64,
                     plan_row = plan_tile_size + 4; // of shared memory, against conflicts

template <class T> constexpr std::size_t plan_tile_bytes() {
  return sizeof(T) * (2 * width_step * plan_tile_size + 2 * plan_tile_size * plan_row);
}

/// 64 rows, 64 of the coordinates, the columns of one split in tiles of 64. More coordinates are other
/// blocks', which compute the plan again: that happens once a problem.
template <class T> __global__ void __launch_bounds__(tile_threads) plan_tile(const PlanTask<T> task) {
  constexpr int size = plan_tile_size;
  extern __shared__ __align__(32) unsigned char memory_of_block[];
  T* queries = reinterpret_cast<T*>(memory_of_block); // [8][64]
  T* keys = queries + width_step * size;              // [8][64]
  T* points = keys + width_step * size;               // [coordinate][plan_row]
  T* plan = points + size * plan_row;                 // [row][plan_row]
  const int t = static_cast<int>(threadIdx.x), tx = t % 16, ty = t / 16;
  const int base = static_cast<int>(blockIdx.x) * size, split = static_cast<int>(blockIdx.y);
  const int first_k = static_cast<int>(blockIdx.z) * size;
  const int begin = split * task.partition.columns, end = min(task.columns, begin + task.partition.columns);
  const T scale = static_cast<T>(task.inverse_unit);
  T left[4], weights[4], weighted[4][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    left[i] = task.left[base + ty * 4 + i];
    weights[i] = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) weighted[i][j] = 0;
  }
  for (int first = begin; first < end; first += size) {
    T acc[4][4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) acc[i][j] = 0;
    for (int k = 0; k < task.width; k += width_step) {
      __syncthreads();
      for (int e = t; e < width_step * size; e += tile_threads) {
        queries[e] = task.queries[static_cast<std::size_t>(k + e / size) * task.rows + base + e % size];
        keys[e] = task.keys[static_cast<std::size_t>(k + e / size) * task.columns + first + e % size];
      }
      __syncthreads();
#pragma unroll
      for (int l = 0; l < width_step; ++l) {
        const Quad<T> a = *reinterpret_cast<const Quad<T>*>(queries + l * size + ty * 4);
        const Quad<T> b = *reinterpret_cast<const Quad<T>*>(keys + l * size + tx * 4);
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) acc[i][j] = fma(a.v[i], b.v[j], acc[i][j]);
      }
    }
    const Quad<T> right = *reinterpret_cast<const Quad<T>*>(task.right + first + tx * 4);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      Quad<T> p;
#pragma unroll
      for (int j = 0; j < 4; ++j) p.v[j] = power_of_2(fma(acc[i][j], scale, right.v[j] + left[i]));
      weights[i] += (p.v[0] + p.v[1]) + (p.v[2] + p.v[3]);
      *reinterpret_cast<Quad<T>*>(plan + (ty * 4 + i) * plan_row + tx * 4) = p;
    }
    for (int e = t; e < size * size; e += tile_threads) {
      const int k = first_k + e / size;
      points[e / size * plan_row + e % size] =
          k < task.width ? task.keys[static_cast<std::size_t>(k) * task.columns + first + e % size] : T{0};
    }
    __syncthreads();
#pragma unroll 2
    for (int c = 0; c < size; c += 4) {
      Quad<T> p[4], x[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        p[i] = *reinterpret_cast<const Quad<T>*>(plan + (ty * 4 + i) * plan_row + c);
        x[i] = *reinterpret_cast<const Quad<T>*>(points + (tx + 16 * i) * plan_row + c);
      }
#pragma unroll
      for (int v = 0; v < 4; ++v)
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) weighted[i][j] = fma(p[i].v[v], x[j].v[v], weighted[i][j]);
    }
    if ((first - begin) % columns_in_T == columns_in_T - size || first + size >= end) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = base + ty * 4 + i;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          task.sums(split, row, first_k + tx + 16 * j) += static_cast<double>(weighted[i][j]);
          weighted[i][j] = 0;
        }
        double sum = static_cast<double>(weights[i]);
#pragma unroll
        for (int step = 8; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, step);
        if (tx == 0 && blockIdx.z == 0) task.sums(split, row, task.last) += sum;
        weights[i] = 0;
      }
    }
  }
}

template <class T> constexpr int plan_rows(int width) {
  return width <= 4 ? 4 : sizeof(T) == 4 && width <= 8 ? 4 : width <= 8 ? 2 : sizeof(T) == 4 ? 2 : 1;
}

template <class T>
__global__ void plan_biases(const T* natural, const double* offset, double eps, int count, int padded,
                            T* bias) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < padded) bias[i] = i < count ? bias_of(T{0}, offset[i], natural[i], eps) : -static_cast<T>(INFINITY);
}

template <class T>
__global__ void finish_plan(PlanSums sums, int splits, int last, int count, int width, T* weights,
                            T* weighted) {
  const std::size_t at = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<std::size_t>(count) * (width + 1)) return;
  const int i = static_cast<int>(at / (width + 1)), k = static_cast<int>(at % (width + 1));
  double sum = 0;
  for (int s = 0; s < splits; ++s) sum += sums(s, i, k == width ? last : k);
  if (k == width)
    weights[i] = static_cast<T>(sum);
  else
    weighted[static_cast<std::size_t>(i) * width + k] = static_cast<T>(sum);
}

template <class T> void launch_plan(const CudaContext& on, const PlanTask<T>& task) {
  const Partition& p = task.partition;
  const auto narrow = [&]<int D>() {
    const dim3 grid(static_cast<unsigned>((task.rows + p.rows - 1) / p.rows),
                    static_cast<unsigned>(p.splits));
    plan_narrow<T, D, plan_rows<T>(D)><<<grid, narrow_threads, 0, on.stream()>>>(task);
  };
  if (!with_narrow_width(task.width, narrow)) {
    constexpr std::size_t bytes = plan_tile_bytes<T>();
    check(cudaFuncSetAttribute(plan_tile<T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(bytes)),
          "cudaFuncSetAttribute");
    const dim3 grid(static_cast<unsigned>(task.rows / plan_tile_size), static_cast<unsigned>(p.splits),
                    static_cast<unsigned>((task.width + plan_tile_size - 1) / plan_tile_size));
    plan_tile<T><<<grid, tile_threads, bytes, on.stream()>>>(task);
  }
  check_launch("launch of plan");
}

/// Sums of the plan's rows [n] and of the plan times keys [n, d], on the device.
template <class T> struct AppliedPlan { Buffer<T> sums, weighted; };

template <class T>
[[nodiscard]] AppliedPlan<T> applied_plan(const CudaContext& on, const DeviceCloud<T>& rows,
                                          const DeviceCloud<T>& columns, const T* left, const T* right,
                                          double eps) {
  const auto size = [](int count) { return static_cast<std::size_t>(count); };
  const auto blocks = [](std::size_t count) { return static_cast<unsigned>((count + 255) / 256); };
  const auto bias = [&](const T* natural, const DeviceCloud<T>& cloud) {
    const Buffer<T> given(on, size(cloud.count));
    given.upload(natural, given.size());
    Buffer<T> out(on, size(cloud.padded));
    plan_biases<<<blocks(out.size()), 256, 0, on.stream()>>>(given.get(), cloud.offset.get(), eps,
                                                             cloud.count, cloud.padded, out.get());
    check_launch("launch of plan_biases");
    return out;
  };
  const Buffer<T> left_bias = bias(left, rows), right_bias = bias(right, columns);
  const int width = rows.padded_width, sm = on.multiprocessors();
  const bool narrow = width <= narrow_width;
  const int tile = narrow ? narrow_threads * plan_rows<T>(width) : plan_tile_size;
  const int last = narrow ? width : (width + plan_tile_size - 1) / plan_tile_size * plan_tile_size;
  // A block's columns are a multiple of its tile; no more memory than for 2^27 sums, unless one part has
  // more.
  const int row_tiles = (rows.padded + tile - 1) / tile, units = columns.padded / narrow_columns;
  Partition partition = divide(row_tiles, tile, rows.padded, units, narrow_columns, 4 * sm, 0.5);
  const std::size_t each = size(rows.padded) * size(last + 1);
  const int most = std::max(1, static_cast<int>((std::size_t{1} << 27) / each));
  if (partition.splits > most) {
    const int columns_each = (units + most - 1) / most;
    partition = {(units + columns_each - 1) / columns_each, columns_each * narrow_columns, tile};
  }
  const Buffer<double> slab(on, each * size(partition.splits));
  slab.clear();
  const PlanSums layout{slab.get(), each, narrow ? 1 : size(last + 1), narrow ? size(rows.padded) : 1};
  launch_plan<T>(on,
                 {rows.points.get(), columns.points.get(), left_bias.get(), right_bias.get(),
                  1 / (eps * log_2_of_device), layout, rows.padded, columns.padded, width, partition, last});
  AppliedPlan<T> out{{on, size(rows.count)}, {on, size(rows.count) * size(rows.width)}};
  finish_plan<<<blocks(size(rows.count) * size(rows.width + 1)), 256, 0, on.stream()>>>(
      layout, partition.splits, last, rows.count, rows.width, out.sums.get(), out.weighted.get());
  check_launch("launch of finish_plan");
  return out;
}

template <class T>
void DevicePairs<T>::apply_plan(const T* left, const T* right, double eps, T* sums, T* weighted) const {
  const OnDeviceScope scope(*context_);
  const AppliedPlan<T> plan = applied_plan<T>(*context_, *queries_, *keys_, left, right, eps);
  plan.sums.download(sums, plan.sums.size());
  if (plan.weighted.size()) plan.weighted.download(weighted, plan.weighted.size());
}

/// 2 sum_j P_ij (x_i - y_j) by queries and keys, which are multiples of x - centre and y - centre.
template <class T>
__global__ void squared_gradient(const T* sums, const T* queries, double of_query, double of_keys, int count,
                                 int padded, int width, T* weighted) {
  const std::size_t at = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<std::size_t>(count) * width) return;
  const int i = static_cast<int>(at / width), k = static_cast<int>(at % width);
  const double query = static_cast<double>(queries[static_cast<std::size_t>(k) * padded + i]);
  weighted[at] = static_cast<T>(of_query * static_cast<double>(sums[i]) * query -
                                of_keys * static_cast<double>(weighted[at]));
}

/// Queries and keys are directions: the part of the keys' sum along x has no gradient.
template <class T>
__global__ void cosine_gradient(const T* queries, const double* length, int count, int padded, int width,
                                T* weighted) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  T* row = weighted + static_cast<std::size_t>(i) * width;
  const auto query = [&](int k) {
    return static_cast<double>(queries[static_cast<std::size_t>(k) * padded + i]);
  };
  double along = 0;
  for (int k = 0; k < width; ++k) along += query(k) * static_cast<double>(row[k]);
  const double factor = length[i] > 0 ? -1 / length[i] : 0;
  for (int k = 0; k < width; ++k)
    row[k] = static_cast<T>(factor * (static_cast<double>(row[k]) - along * query(k)));
}

template <class T>
void DevicePairs<T>::plan_gradient(const T* left, const T* right, double eps, T* out) const {
  const CudaContext& on = *context_;
  const OnDeviceScope scope(on);
  const DeviceCloud<T>& rows = *queries_;
  const AppliedPlan<T> plan = applied_plan<T>(on, rows, *keys_, left, right, eps);
  if (!plan.weighted.size()) return;
  const auto blocks = [](std::size_t count) { return static_cast<unsigned>((count + 255) / 256); };
  if (cost_ == DeviceCost::cosine)
    cosine_gradient<<<blocks(plan.sums.size()), 256, 0, on.stream()>>>(
        rows.points.get(), rows.length.get(), rows.count, rows.padded, rows.width, plan.weighted.get());
  else
    squared_gradient<<<blocks(plan.weighted.size()), 256, 0, on.stream()>>>(
        plan.sums.get(), rows.points.get(), 2 / rows.factor, 2 / keys_->factor, rows.count, rows.padded,
        rows.width, plan.weighted.get());
  check_launch("launch of the plan's gradient");
  plan.weighted.download(out, plan.weighted.size());
}

} // namespace sbi::ot::detail
