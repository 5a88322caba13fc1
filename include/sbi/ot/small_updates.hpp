// SPDX-License-Identifier: MIT
// The updates of Sinkhorn's algorithm for a problem whose matrices stay in the first caches, in two ways.
// With potentials in powers of two, phi = f / (eps log 2), psi = g / (eps log 2), c = C / (eps log 2):
//   log domain     phi_i = -log2 sum_j b_j 2^(psi_j - c_ij), an exponential a pair;
//   kernel domain  K_ij = 2^(phi_i + psi_j - c_ij) once, then u = 1 / (K (b v)), v = 1 / (K^T (a u)), a
//                  multiply-add a pair; log u and log v are absorbed into phi, psi and K before they grow so
//                  large that the entries of K lost to underflow would count (Schmitzer 2019, "Stabilized
//                  sparse scaling algorithms", SIAM J. Sci. Comput. 41).
// Vector lanes are the points whose potential is computed: no sum over lanes, one broadcast a partner.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/core/arena.hpp>
#include <sbi/ot/softmin.hpp>

#include <algorithm>
#include <cstring>

namespace sbi::ot::detail {

/// log2 x of positive normal numbers to a few units in the last place: x = 2^e m with m in [sqrt(1/2), sqrt
/// 2), log m = 2 artanh((m - 1) / (m + 1)).
template <class T, int N> [[nodiscard]] [[gnu::always_inline]] inline Vec<T, N> log2_of_normal(Vec<T, N> x) {
  using V = Vec<T, N>;
  using Int = typename V::int_type;
  constexpr bool single = sizeof(T) == 4;
  constexpr int mantissa = single ? 23 : 52;
  constexpr Int root_half = static_cast<Int>(single ? 0x3f3504f3LL : 0x3fe6a09e667f3bcdLL);
  constexpr double two_over_log2 = 2.8853900817779268;
  typename V::mask_type bits;
  std::memcpy(&bits, &x.raw, sizeof bits);
  const typename V::mask_type exponent = (bits - root_half) >> mantissa;
  bits -= exponent << mantissa;
  V m;
  std::memcpy(&m.raw, &bits, sizeof bits);
  const V z = (m - V(1)) / (m + V(1)), square = z * z;
  V series(two_over_log2 / (single ? 9 : 21));
  for (int k = single ? 7 : 19; k >= 1; k -= 2)
    series = fused_multiply_add(series, square, V(two_over_log2 / k));
  return fused_multiply_add(z, series, V(__builtin_convertvector(exponent, typename V::raw_type)));
}

/// The points of one side of a problem: matrices are [points of the other side, padded], arrays [padded], 0
/// behind the points.
template <class T, int N> struct SmallSide {
  using V = Vec<T, N>;
  static constexpr T infinity = std::numeric_limits<T>::infinity();
  /// 2^x loses what is below 2^-limit. Scalings within 2^+-bound lose less than 2^(2 bound - limit) of a sum
  /// then, far below rounding; sums of exponentials with a guessed reference are held to the same bound.
  static constexpr double limit = sizeof(T) == 4 ? 126 : 1022, bound = 0.29 * limit;

  const Weights<T>& weights;
  double rho;
  index_t count, padded;
  T *cost, *kernel;
  T *weight, *log_weight; ///< log2, minus infinity without weight
  T* potential;           ///< phi or psi; in the kernel domain the absorbed part; 0 without weight
  T* soft; ///< last exact update in the log domain, before damping, of points without weight too
  T *scaling, *fresh, *product; ///< u, the u to come, weight u; 1, 1, 0 without weight
  T* scratch;
  bool has_reference = false; ///< whether `soft` is a guess of the next one

  SmallSide(Arena& arena, const Weights<T>& w, index_t others, double price)
      : weights(w), rho(price), count(static_cast<index_t>(w.value.size())), padded((count + N - 1) / N * N),
        cost(arena.zeros<T>(others * padded)), kernel(arena.zeros<T>(others * padded)) {
    for (T** p : {&weight, &log_weight, &potential, &soft, &scaling, &fresh, &product, &scratch})
      *p = arena.zeros<T>(padded);
    std::fill(log_weight, log_weight + padded, -infinity);
    for (std::size_t i = 0; i < w.value.size(); ++i) {
      weight[i] = static_cast<T>(w.value[i]);
      log_weight[i] = static_cast<T>(static_cast<double>(w.log[i]) / std::log(2.0));
    }
  }
  [[nodiscard]] auto present(index_t at) const { return V::load(weight + at) > V(0); }

  /// potential = factor soft + shift
  void damp(double factor, double shift) {
    for (index_t i = 0; i < padded; i += N)
      select(present(i), fused_multiply_add(V(factor), V::load(soft + i), V(shift)), V(0))
          .store(potential + i);
  }
  /// Makes the scaling to come the present one.
  void use_fresh() {
    for (index_t i = 0; i < padded; i += N) {
      const V u = V::load(fresh + i);
      u.store(scaling + i);
      (V::load(weight + i) * u).store(product + i);
    }
  }
  /// out = potential + log2 u for these scalings u
  void add_log(const T* u, T* out) const {
    for (index_t i = 0; i < padded; i += N)
      (V::load(potential + i) + log2_of_normal(V::load(u + i))).store(out + i);
  }
};

/// Calls f.operator()<W>(at) for blocks of W vectors from element `at` on.
template <int N, class F> void each_block(index_t padded, F&& f) {
  index_t at = 0;
  for (; at + 4 * N <= padded; at += 4 * N) f.template operator()<4>(at);
  switch ((padded - at) / N) {
  case 3:
    return f.template operator()<3>(at);
  case 2:
    return f.template operator()<2>(at);
  case 1:
    return f.template operator()<1>(at);
  default:
    return;
  }
}

/// 0 in the lanes that hold a number in (2^-bound, 2^bound), 1 in the others, NaN too.
template <class T, int N> [[nodiscard]] Vec<T, N> out_of_bounds(Vec<T, N> x) {
  using V = Vec<T, N>;
  const V low(std::exp2(-SmallSide<T, N>::bound)), high(std::exp2(SmallSide<T, N>::bound));
  return select(x > low, select(x < high, V(0), V(1)), V(1));
}

/// W vectors of x.soft with the last result as the reference of the exponentials, false when their sum is out
/// of bounds; or with their maximum as the reference.
template <int W, bool FindMaximum, class T, int N>
[[gnu::noinline]] bool log_block(SmallSide<T, N>& x, const SmallSide<T, N>& y, T scale, index_t at) {
  using V = Vec<T, N>;
  const V minus_scale(-scale);
  V shift[W], sum[W];
  const auto term = [&](index_t j, int w) {
    return fused_multiply_add(minus_scale, V::load(x.cost + j * x.padded + at + w * N), V(y.scratch[j]));
  };
#pragma GCC unroll 4
  for (int w = 0; w < W; ++w) {
    shift[w] = FindMaximum ? V(-x.infinity) : V::load(x.soft + at + w * N);
    sum[w] = V(0);
  }
  if constexpr (FindMaximum) {
    for (index_t j = 0; j < y.count; ++j)
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) shift[w] = max(term(j, w), shift[w]);
    for (int w = 0; w < W; ++w) shift[w] = -shift[w]; // plus infinity: no partner, and so is the result
  }
  for (index_t j = 0; j < y.count; ++j)
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) sum[w] += exp2_bounded(term(j, w) + shift[w]);
  if constexpr (!FindMaximum) {
    V outside(0);
    for (int w = 0; w < W; ++w) outside += out_of_bounds(first_lanes(sum[w], x.count - at - w * N, T{1}));
    if (horizontal_max(outside) > 0) return false;
  }
#pragma GCC unroll 4
  for (int w = 0; w < W; ++w) {
    const V result = shift[w] - log2_of_normal(sum[w]);
    (FindMaximum ? select(shift[w] < V(x.infinity), result, shift[w]) : result).store(x.soft + at + w * N);
  }
  return true;
}

/// x.soft_i = -log2 sum_j weight_j 2^(y.potential_j - scale c_ji), plus infinity without partner.
template <class T, int N> void log_step(SmallSide<T, N>& x, SmallSide<T, N>& y, T scale) {
  using V = Vec<T, N>;
  for (index_t j = 0; j < y.padded; j += N)
    (V::load(y.log_weight + j) + V::load(y.potential + j)).store(y.scratch + j);
  each_block<N>(x.padded, [&]<int W>(index_t at) {
    if (!x.has_reference || !log_block<W, false>(x, y, scale, at)) log_block<W, true>(x, y, scale, at);
  });
  x.has_reference = true;
}

/// K of the present potentials of rows x and columns y for both, with u = v = 1.
template <class T, int N> void build_kernel(SmallSide<T, N>& x, SmallSide<T, N>& y, T scale) {
  using V = Vec<T, N>;
  for (SmallSide<T, N>* s : {&x, &y}) {
    std::fill(s->fresh, s->fresh + s->padded, T{1});
    s->use_fresh();
  }
  for (index_t i = 0; i < x.count; ++i)
    for (index_t j = 0; j < y.padded; j += N) {
      const index_t at = i * y.padded + j;
      const V term = fused_multiply_add(V(-scale), V::load(y.cost + at), V::load(y.potential + j));
      exp2_bounded(term + V(x.potential[i])).store(y.kernel + at);
    }
  sbi::detail::transpose_into<T, N>({y.kernel, {x.count, y.count}, y.padded}, x.kernel, x.padded);
}

/// x.fresh_i = 1 / sum_j K_ij y.product_j. Adds sum_i weight_i |x.scaling_i / x.fresh_i - 1| to `error`;
/// false when a scaling leaves its bounds.
template <class T, int N>
[[nodiscard]] bool kernel_step(SmallSide<T, N>& x, const SmallSide<T, N>& y, Vec<T, N>& error) {
  using V = Vec<T, N>;
  V outside(0);
  each_block<N>(x.padded, [&]<int W>(index_t at) {
    constexpr int chains = 8 / W; // sums that do not wait for each other
    V sum[chains][W];
#pragma GCC unroll 8
    for (int c = 0; c < chains; ++c)
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) sum[c][w] = V(0);
    const auto add = [&](index_t j, int c) {
      const V factor(y.product[j]);
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w)
        sum[c][w] = fused_multiply_add(factor, V::load(x.kernel + j * x.padded + at + w * N), sum[c][w]);
    };
    index_t j = 0;
    for (; j + chains <= y.count; j += chains)
#pragma GCC unroll 8
      for (int c = 0; c < chains; ++c) add(j + c, c);
    for (; j < y.count; ++j) add(j, 0);
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) {
#pragma GCC unroll 8
      for (int c = 1; c < chains; ++c) sum[0][w] += sum[c][w];
      const index_t i = at + w * N;
      const V s = select(x.present(i), sum[0][w], V(1)), off = V::load(x.scaling + i) * s - V(1);
      error += V::load(x.weight + i) * max(off, -off);
      outside += out_of_bounds(s);
      (V(1) / s).store(x.fresh + i);
    }
  });
  return !(horizontal_max(outside) > 0);
}

} // namespace sbi::ot::detail
