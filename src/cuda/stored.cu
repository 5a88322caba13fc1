// SPDX-License-Identifier: MIT
// Rounds on products that are kept: a warp reads a row, finishes it and goes on to its next one; all blocks
// meet between half rounds. One launch does as many rounds as it takes.
#include "potentials.cuh"
#include "softmin.cuh"

namespace sbi::ot::detail {
namespace {

constexpr int product_tile = 64, product_threads = 256;

/// 64 x 64 products a block.
template <class T>
__global__ void __launch_bounds__(product_threads)
    multiply(const T* queries, const T* keys, int rows, int padded_rows, int columns, int width, T* out) {
  __shared__ alignas(16) T left[width_step][product_tile], right[width_step][product_tile];
  const int t = static_cast<int>(threadIdx.x), tx = t % 16, ty = t / 16;
  const int i0 = static_cast<int>(blockIdx.x) * product_tile,
            j0 = static_cast<int>(blockIdx.y) * product_tile;
  T acc[4][4] = {};
  for (int k = 0; k < width; k += width_step) {
    __syncthreads();
    for (int e = t; e < width_step * product_tile; e += product_threads) {
      const int l = e / product_tile, at = e % product_tile;
      const bool inside = k + l < width;
      left[l][at] = inside ? queries[static_cast<std::size_t>(k + l) * padded_rows + i0 + at] : T{0};
      right[l][at] = inside ? keys[static_cast<std::size_t>(k + l) * columns + j0 + at] : T{0};
    }
    __syncthreads();
#pragma unroll
    for (int l = 0; l < width_step; ++l) {
      const Quad<T> a = *reinterpret_cast<const Quad<T>*>(&left[l][ty * 4]);
      const Quad<T> b = *reinterpret_cast<const Quad<T>*>(&right[l][tx * 4]);
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) acc[i][j] = fma(a.v[i], b.v[j], acc[i][j]);
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = i0 + ty * 4 + i;
    if (row < rows)
      *reinterpret_cast<Quad<T>*>(out + static_cast<std::size_t>(row) * columns + j0 +
                                  tx * 4) = {{acc[i][0], acc[i][1], acc[i][2], acc[i][3]}};
  }
}

constexpr int stored_threads = 512, stored_warps = stored_threads / 32;

/// Four products, which are read once a round: past the first cache, where the biases are to stay.
__device__ inline Quad<float> read_once(const float* from) {
  Quad<float> out;
  asm volatile("ld.global.nc.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(out.v[0]), "=f"(out.v[1]), "=f"(out.v[2]), "=f"(out.v[3])
               : "l"(from));
  return out;
}
__device__ inline Quad<double> read_once(const double* from) {
  Quad<double> out;
  asm volatile("ld.global.nc.L1::no_allocate.v2.f64 {%0, %1}, [%2];"
               : "=d"(out.v[0]), "=d"(out.v[1])
               : "l"(from));
  asm volatile("ld.global.nc.L1::no_allocate.v2.f64 {%0, %1}, [%2];"
               : "=d"(out.v[2]), "=d"(out.v[3])
               : "l"(from + 2));
  return out;
}

/// log2 sum_j 2^(scale product_j + bias_j) of one row by a warp; `columns` is a multiple of 128. The terms
/// are taken relative to `reference`, or to the largest one where that is too far from it.
template <class T>
__device__ inline double log2_sum_of_row(const T* products, const T* bias, int columns, T scale, T reference,
                                         int lane) {
  constexpr int at_once = sizeof(T) == 4 ? 8 : 4, step = 128;
  const auto exponent = [&](const Quad<T>& p, const Quad<T>& b, int v, T from) {
    return fma(p.v[v], scale, b.v[v] - from);
  };
  const auto sum_from = [&](T from) {
    double total = 0;
    for (int first = lane * 4; first < columns; first += at_once * step) {
      Quad<T> p[at_once];
#pragma unroll
      for (int u = 0; u < at_once; ++u)
        if (first + u * step < columns) p[u] = read_once(products + first + u * step);
      T part = 0;
#pragma unroll
      for (int u = 0; u < at_once; ++u)
        if (first + u * step < columns) {
          const Quad<T> b = *reinterpret_cast<const Quad<T>*>(bias + first + u * step);
          part += (power_of_2(exponent(p[u], b, 0, from)) + power_of_2(exponent(p[u], b, 1, from))) +
                  (power_of_2(exponent(p[u], b, 2, from)) + power_of_2(exponent(p[u], b, 3, from)));
        }
      total += static_cast<double>(part); // long rows keep their digits
    }
#pragma unroll
    for (int way = 16; way > 0; way /= 2) total += __shfl_xor_sync(0xffffffffU, total, way);
    return total; // the same in all lanes: sums of two do not depend on their order
  };
  if (reference > no_reference<T>) {
    const double total = sum_from(reference);
    if (total > lost_below && total <= static_cast<double>(too_large<T>))
      return static_cast<double>(reference) + log2(total);
  }
  T top = no_reference<T>;
  for (int first = lane * 4; first < columns; first += step) {
    const Quad<T> p = read_once(products + first), b = *reinterpret_cast<const Quad<T>*>(bias + first);
#pragma unroll
    for (int v = 0; v < 4; ++v) top = max(top, exponent(p, b, v, T{0}));
  }
#pragma unroll
  for (int way = 16; way > 0; way /= 2) top = max(top, __shfl_xor_sync(0xffffffffU, top, way));
  return static_cast<double>(top) + log2(sum_from(top));
}

/// Waits until all blocks of the launch have come here, and sees what they have written.
__device__ inline void meet(unsigned* arrived, unsigned& target) {
  __syncthreads();
  if (threadIdx.x == 0) {
    target += gridDim.x;
    __threadfence();
    atomicAdd(arrived, 1U);
    while (*static_cast<volatile unsigned*>(arrived) < target) {
    }
    __threadfence();
  }
  __syncthreads();
}

/// Adds `mine` up over the block into `all`; K sums.
template <int K>
__device__ inline void add_up_block(double (&mine)[K], double (&parts)[stored_warps][K], double* out) {
  const int t = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < K; ++k) {
#pragma unroll
    for (int way = 16; way > 0; way /= 2) mine[k] += __shfl_xor_sync(0xffffffffU, mine[k], way);
    if (t % 32 == 0) parts[t / 32][k] = mine[k];
  }
  __syncthreads();
  if (t < K) {
    double sum = 0;
    for (int w = 0; w < stored_warps; ++w) sum += parts[w][t];
    out[t] = sum;
  }
}
/// The sums of `blocks` blocks, by every block for itself in the same order; one warp a sum, so in two steps.
template <int K> __device__ inline void add_up_grid(const double* sums, int blocks, double (&all)[K]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int k = static_cast<int>(threadIdx.x) / 32; k < K; k += stored_warps) {
    double sum = 0;
    for (int b = lane; b < blocks; b += 32)
      sum += __ldcg(sums + static_cast<std::size_t>(b) * sums_of_stored + k);
#pragma unroll
    for (int way = 16; way > 0; way /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, way);
    if (lane == 0) all[k] = sum;
  }
  __syncthreads();
}

/// log sum_i w_i exp(-potential_i / price), by every block for itself in the same order.
template <class T> __device__ double log_sum(const Side<T>& side, LogSum (&parts)[stored_warps]) {
  LogSum mine;
  const int t = static_cast<int>(threadIdx.x);
  for (int i = t; i < side.count; i += stored_threads)
    if (isfinite(side.log_weight[i]))
      mine.add(static_cast<double>(side.log_weight[i]) - static_cast<double>(side.potential[i]) / side.price);
  for (int way = 16; way > 0; way /= 2) {
    LogSum other;
    other.peak = __shfl_down_sync(0xffffffffU, mine.peak, way);
    other.sum = __shfl_down_sync(0xffffffffU, mine.sum, way);
    mine.merge(other);
  }
  __syncthreads();
  if (t % 32 == 0) parts[t / 32] = mine;
  __syncthreads();
  LogSum all = parts[0];
  for (int w = 1; w < stored_warps; ++w) all.merge(parts[w]);
  return all.log();
}

template <class T, bool alternating>
__global__ void __launch_bounds__(stored_threads) stored_rounds(const StoredRounds<T> task, Letter* letter) {
  __shared__ Scalars scalars;
  __shared__ double all[extrapolation_sums], parts[stored_warps][extrapolation_sums], found[2],
      check_parts[stored_warps][2];
  __shared__ LogSum logs[stored_warps];
  const Side<T>&a = task.a, &b = alternating ? task.b : task.a;
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, block = static_cast<int>(blockIdx.x);
  const int blocks = static_cast<int>(gridDim.x), global = block * stored_threads + t;
  const int everyone = blocks * stored_threads;
  // Neighbouring rows go to different blocks.
  const int first_row = t / 32 * blocks + block, row_step = stored_warps * blocks;
  const int with_elements = min(blocks, (a.count + stored_threads - 1) / stored_threads);
  const double unit = task.eps * log_2_of_device, damping_a = damping_of(a.price, task.eps),
               damping_b = damping_of(b.price, task.eps);
  const T scale = static_cast<T>(1 / unit);
  const auto exact_of = [&](const Side<T>& rows, const T* products, const Side<T>& columns, int i,
                            bool known) {
    T reference = no_reference<T>;
    if (known) {
      const double estimate = (rows.offset[i] - static_cast<double>(rows.exact[i])) / unit;
      if (isfinite(estimate)) reference = static_cast<T>(estimate - estimate_margin);
    }
    const double sum = log2_sum_of_row(products + static_cast<std::size_t>(i) * columns.padded, columns.bias,
                                       columns.padded, scale, reference, lane);
    return static_cast<T>(rows.offset[i] - unit * sum);
  };
  if (t == 0) scalars = *task.scalars;
  __syncthreads();
  unsigned target = 0;
  bool first = task.first, known = task.known;
  double residual = task.last_residual, damping = task.last_damping;
  for (int used = 1;; ++used) {
    Update update = first ? Update::none : alternating ? Update::image : Update::mean;
    if (alternating && !first && residual < task.linear) {
      update = Update::extrapolated;
      double sum[extrapolation_sums] = {};
      for (int i = global; i < a.count; i += everyone)
        remember_row(a, damping, scalars, task.history, i, sum);
      if (block < with_elements)
        add_up_block(sum, parts, task.sums + static_cast<std::size_t>(block) * sums_of_stored);
      meet(task.arrived, target);
      add_up_grid(task.sums, with_elements, all);
      if (t < 32) decide_step<T>(scalars, all, lane);
    } else if (update == Update::image && t == 0) {
      forget(scalars);
    }
    __syncthreads();
    if (!alternating) damping = damping_a;
    for (int i = global; i < a.padded; i += everyone)
      if (i < a.count)
        update_row(a, update, damping, task.eps, scalars, task.history, i);
      else
        a.bias[i] = -static_cast<T>(INFINITY);
    if (alternating && first)
      for (int j = b.count + global; j < b.padded; j += everyone) b.bias[j] = -static_cast<T>(INFINITY);
    meet(task.arrived, target);
    if constexpr (alternating) {
      for (int j = first_row; j < b.count; j += row_step) {
        const T exact = exact_of(b, task.products_of_b, a, j, known);
        if (lane == 0) {
          const T g = damped(exact, damping_b);
          b.exact[j] = exact;
          b.potential[j] = g;
          b.bias[j] = bias_of(g, b.column_offset[j], b.log_weight[j], task.eps);
        }
      }
      meet(task.arrived, target);
    }
    double check[2] = {};
    for (int i = first_row; i < a.count; i += row_step) {
      const T exact = exact_of(a, task.products, b, i, known);
      if (lane == 0) {
        a.exact[i] = exact;
        check_row(a, exact, task.eps, i, check[0], check[1]);
      }
    }
    // Elsewhere than the sums above, which blocks that are ahead write next.
    double* checks = task.sums + static_cast<std::size_t>(blocks) * sums_of_stored;
    add_up_block(check, check_parts, checks + static_cast<std::size_t>(block) * sums_of_stored);
    meet(task.arrived, target);
    add_up_grid(checks, blocks, found);
    residual = found[0] / task.mass;
    damping = damping_a, first = false, known = true;
    if (alternating && (isfinite(a.price) || isfinite(b.price))) {
      Side<T> next = a; // the damped f to come
      double left = a.log_mass, right = b.log_mass;
      if (isfinite(a.price)) {
        next.potential = a.exact, next.price = a.price / damping_a;
        left = log_sum(next, logs);
      }
      if (isfinite(b.price)) right = log_sum(b, logs);
      if (t == 0) scalars.shift = shift_of(left, right, a.price, b.price);
    }
    __syncthreads();
    if (used == task.most || !(residual > task.enough)) {
      if (block == 0 && t == 0) {
        *task.scalars = scalars;
        *letter = {found[0], found[1], 0, used};
      }
      return;
    }
  }
}

template <class T> [[nodiscard]] const void* kernel_of(bool alternating) {
  return alternating ? reinterpret_cast<const void*>(&stored_rounds<T, true>)
                     : reinterpret_cast<const void*>(&stored_rounds<T, false>);
}
} // namespace

template <class T>
void launch_products(const CudaContext& on, const DeviceCloud<T>& queries, const DeviceCloud<T>& keys,
                     T* out) {
  const dim3 grid(static_cast<unsigned>(queries.padded / product_tile),
                  static_cast<unsigned>(keys.padded / product_tile));
  multiply<<<grid, product_threads, 0, on.stream()>>>(queries.points.get(), keys.points.get(), queries.count,
                                                      queries.padded, keys.padded, queries.padded_width, out);
  check_launch("launch of multiply");
}

template <class T> void launch_stored_rounds(const CudaContext& on, StoredRounds<T> task, bool alternating) {
  Letter* letter = static_cast<Letter*>(on.mailbox());
  void* arguments[] = {&task, &letter};
  check(cudaLaunchCooperativeKernel(kernel_of<T>(alternating),
                                    dim3(static_cast<unsigned>(on.multiprocessors())), dim3(stored_threads),
                                    arguments, 0, on.stream()),
        "launch of stored_rounds");
}

#define SBI_STORED(T)                                                                                        \
  template void launch_products<T>(const CudaContext&, const DeviceCloud<T>&, const DeviceCloud<T>&, T*);    \
  template void launch_stored_rounds<T>(const CudaContext&, StoredRounds<T>, bool);
SBI_STORED(float)
SBI_STORED(double)
#undef SBI_STORED

} // namespace sbi::ot::detail
