// SPDX-License-Identifier: MIT
// Fixed-width vectors on the compilers' vector types. The width is a template parameter, so that every width
// can be tested on any machine; `native_lanes<T>` is the one that the instruction set of this translation
// unit makes fast.
#pragma once
#include <sbi/core/shape.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace sbi {

#if defined(__AVX512F__)
inline constexpr int native_vector_bytes = 64, native_registers = 32;
#elif defined(__AVX__)
inline constexpr int native_vector_bytes = 32, native_registers = 16;
#elif defined(__aarch64__)
inline constexpr int native_vector_bytes = 16, native_registers = 32;
#else
inline constexpr int native_vector_bytes = 16, native_registers = 16;
#endif
template <class T> inline constexpr int native_lanes = native_vector_bytes / static_cast<int>(sizeof(T));

/// N values of T that are computed together, in at most 64 bytes. Comparisons give lane masks for `select`.
template <class T, int N = native_lanes<T>> struct Vec {
  static_assert(std::is_floating_point_v<T>, "sbi: Vec<T, N> wants float or double");
  static_assert(N > 0 && (N & (N - 1)) == 0 && N * sizeof(T) <= 64,
                "sbi: Vec<T, N> wants N a power of two and at most 64 bytes");
  using value_type = T;
  using int_type = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  static constexpr int lanes = N;
  typedef T raw_type __attribute__((vector_size(N * sizeof(T))));
  typedef int_type mask_type __attribute__((vector_size(N * sizeof(T))));

  raw_type raw;

  Vec() = default;
  Vec(raw_type r) : raw(r) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> Vec(Number x) : raw(static_cast<T>(x) - raw_type{}) {}

  // GCC 12 warns of whole vectors beyond the end of short arrays, on paths that are never taken.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"
  static Vec load(const T* p) {
    Vec out;
    std::memcpy(&out.raw, p, sizeof out.raw);
    return out;
  }
  void store(T* p) const { std::memcpy(p, &raw, sizeof raw); }
#pragma GCC diagnostic pop
  /// The first `count` lanes from memory, zero in the others.
  static Vec load(const T* p, index_t count) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float> && N == 16)
      return _mm512_maskz_loadu_ps(bits(count), p);
    else if constexpr (std::is_same_v<T, double> && N == 8)
      return _mm512_maskz_loadu_pd(bits(count), p);
    else
#elif defined(__AVX__)
    if constexpr (std::is_same_v<T, float> && N == 8)
      return _mm256_maskload_ps(p, reinterpret_cast<__m256i>(lanes_below(count)));
    else if constexpr (std::is_same_v<T, double> && N == 4)
      return _mm256_maskload_pd(p, reinterpret_cast<__m256i>(lanes_below(count)));
    else
#endif
    {
      Vec out(0);
      for (index_t i = 0; i < count; ++i) out.raw[i] = p[i];
      return out;
    }
  }
  void store(T* p, index_t count) const {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float> && N == 16)
      _mm512_mask_storeu_ps(p, bits(count), raw);
    else if constexpr (std::is_same_v<T, double> && N == 8)
      _mm512_mask_storeu_pd(p, bits(count), raw);
    else
#elif defined(__AVX__)
    if constexpr (std::is_same_v<T, float> && N == 8)
      _mm256_maskstore_ps(p, reinterpret_cast<__m256i>(lanes_below(count)), raw);
    else if constexpr (std::is_same_v<T, double> && N == 4)
      _mm256_maskstore_pd(p, reinterpret_cast<__m256i>(lanes_below(count)), raw);
    else
#endif
      for (index_t i = 0; i < count; ++i) p[i] = raw[i];
  }

  friend Vec operator+(Vec a, Vec b) { return a.raw + b.raw; }
  friend Vec operator-(Vec a, Vec b) { return a.raw - b.raw; }
  friend Vec operator*(Vec a, Vec b) { return a.raw * b.raw; }
  friend Vec operator/(Vec a, Vec b) { return a.raw / b.raw; }
  friend Vec operator-(Vec a) { return -a.raw; }
  Vec& operator+=(Vec b) { return *this = *this + b; }
  Vec& operator*=(Vec b) { return *this = *this * b; }
  friend mask_type operator<(Vec a, Vec b) { return a.raw < b.raw; }
  friend mask_type operator>(Vec a, Vec b) { return a.raw > b.raw; }
  /// All ones in the lanes below `count`.
  static mask_type lanes_below(index_t count) {
    mask_type lane;
    for (int i = 0; i < N; ++i) lane[i] = i;
    return lane < static_cast<int_type>(count);
  }

private:
#if defined(__AVX512F__)
  static constexpr auto bits(index_t count) {
    return static_cast<std::conditional_t<N == 16, __mmask16, __mmask8>>((1u << count) - 1);
  }
#endif
};

template <class T, int N> Vec<T, N> select(typename Vec<T, N>::mask_type mask, Vec<T, N> yes, Vec<T, N> no) {
  return mask ? yes.raw : no.raw;
}
/// a > b ? a : b and a < b ? a : b: b where one of them is not a number, as the processors' own have it.
template <class T, int N> Vec<T, N> max(Vec<T, N> a, Vec<T, N> b) {
  [[maybe_unused]] constexpr int bytes = N * static_cast<int>(sizeof(T));
  [[maybe_unused]] constexpr bool single = sizeof(T) == 4;
#if defined(__AVX512F__)
  if constexpr (bytes == 64 && single) return Vec<T, N>(_mm512_max_ps(a.raw, b.raw));
  if constexpr (bytes == 64 && !single) return Vec<T, N>(_mm512_max_pd(a.raw, b.raw));
#endif
#if defined(__AVX__)
  if constexpr (bytes == 32 && single) return Vec<T, N>(_mm256_max_ps(a.raw, b.raw));
  if constexpr (bytes == 32 && !single) return Vec<T, N>(_mm256_max_pd(a.raw, b.raw));
#endif
  return select(a > b, a, b);
}
template <class T, int N> Vec<T, N> min(Vec<T, N> a, Vec<T, N> b) {
  [[maybe_unused]] constexpr int bytes = N * static_cast<int>(sizeof(T));
  [[maybe_unused]] constexpr bool single = sizeof(T) == 4;
#if defined(__AVX512F__)
  if constexpr (bytes == 64 && single) return Vec<T, N>(_mm512_min_ps(a.raw, b.raw));
  if constexpr (bytes == 64 && !single) return Vec<T, N>(_mm512_min_pd(a.raw, b.raw));
#endif
#if defined(__AVX__)
  if constexpr (bytes == 32 && single) return Vec<T, N>(_mm256_min_ps(a.raw, b.raw));
  if constexpr (bytes == 32 && !single) return Vec<T, N>(_mm256_min_pd(a.raw, b.raw));
#endif
  return select(a < b, a, b);
}

/// a b + c in one rounding where the instruction set has it, in two everywhere else: whether compilers fuse
/// an expression depends on its surroundings (GCC: on the processor tuned for), and with it the bits.
template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N> fused_multiply_add(Vec<T, N> a, Vec<T, N> b, Vec<T, N> c) {
  [[maybe_unused]] constexpr int bytes = N * static_cast<int>(sizeof(T));
  [[maybe_unused]] constexpr bool single = sizeof(T) == 4;
#if defined(__AVX512F__)
  if constexpr (bytes == 64 && single) return Vec<T, N>(_mm512_fmadd_ps(a.raw, b.raw, c.raw));
  if constexpr (bytes == 64 && !single) return Vec<T, N>(_mm512_fmadd_pd(a.raw, b.raw, c.raw));
#endif
#if defined(__FMA__)
  if constexpr (bytes == 32 && single) return Vec<T, N>(_mm256_fmadd_ps(a.raw, b.raw, c.raw));
  if constexpr (bytes == 32 && !single) return Vec<T, N>(_mm256_fmadd_pd(a.raw, b.raw, c.raw));
  if constexpr (bytes == 16 && single) return Vec<T, N>(_mm_fmadd_ps(a.raw, b.raw, c.raw));
  if constexpr (bytes == 16 && !single) return Vec<T, N>(_mm_fmadd_pd(a.raw, b.raw, c.raw));
#endif
#if defined(__aarch64__)
  if constexpr (bytes == 16 && single) return Vec<T, N>(vfmaq_f32(c.raw, a.raw, b.raw));
  if constexpr (bytes == 16 && !single) return Vec<T, N>(vfmaq_f64(c.raw, a.raw, b.raw));
#endif
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  for (int i = 0; i < N; ++i) c.raw[i] = std::fma(a.raw[i], b.raw[i], c.raw[i]); // widths of no register here
  return c;
#else
  return a * b + c;
#endif
}

/// The same for single values of the scalar row policy, where nothing needs the same bits.
inline double fused_multiply_add(double a, double b, double c) { return a * b + c; }

namespace detail {
template <int N> using Lanes = std::make_integer_sequence<int, N>;
template <int... I> using LaneList = std::integer_sequence<int, I...>;

/// Lanes [First, First + N / 2).
template <int First, class T, int N, int... I> Vec<T, N / 2> half(Vec<T, N> v, LaneList<I...>) {
  return __builtin_shufflevector(v.raw, v.raw, (First + I)...);
}
/// Exchanges the upper half of each group of 2 Half lanes in row i with the lower half in row i + Half, then
/// the same within the halves: the steps of a transposition.
template <int Half, class T, int N, int... I>
[[gnu::always_inline]] inline void exchange_halves(Vec<T, N> (&rows)[N], LaneList<I...> lanes) {
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i)
    if (!(i & Half)) {
      const auto a = rows[i].raw, b = rows[i + Half].raw;
      rows[i] = __builtin_shufflevector(a, b, (I & Half ? N + I - Half : I)...);
      rows[i + Half] = __builtin_shufflevector(a, b, (I & Half ? N + I : I + Half)...);
    }
  if constexpr (Half > 1) exchange_halves<Half / 2>(rows, lanes);
}
} // namespace detail

/// The sum of the lanes, pairwise, in an order that does not depend on the compiler.
template <class T, int N> T horizontal_sum(Vec<T, N> v) {
  if constexpr (N == 1)
    return v.raw[0];
  else
    return horizontal_sum(detail::half<0>(v, detail::Lanes<N / 2>{}) +
                          detail::half<N / 2>(v, detail::Lanes<N / 2>{}));
}
template <class T, int N> T horizontal_max(Vec<T, N> v) {
  if constexpr (N == 1)
    return v.raw[0];
  else
    return horizontal_max(
        max(detail::half<0>(v, detail::Lanes<N / 2>{}), detail::half<N / 2>(v, detail::Lanes<N / 2>{})));
}
/// `rest` in all lanes from `count` on.
template <class T, int N> Vec<T, N> first_lanes(Vec<T, N> v, index_t count, T rest = T{0}) {
  return select(Vec<T, N>::lanes_below(count), v, Vec<T, N>(rest));
}
/// An N x N block, given by its rows, becomes its transpose.
template <class T, int N> [[gnu::always_inline]] inline void transpose(Vec<T, N> (&rows)[N]) {
  if constexpr (N > 1) detail::exchange_halves<N / 2>(rows, detail::Lanes<N>{});
}

/// e^x to about one unit in the last place. Exactly 0 where the result nears the smallest normal number
/// (below -86.6 in float, -708 in double), so that no denormals leave it; infinity
/// above 88.7 (709.7), where it nears the largest; NaN for NaN.
template <class T, int N> Vec<T, N> exp(Vec<T, N> x) {
  using V = Vec<T, N>;
  using I = typename V::mask_type;
  constexpr bool single = sizeof(T) == 4;
  const V low(single ? -86.6 : -708.0), high(single ? 88.7 : 709.7);
  const V clamped = select(x < low, low, select(x > high, high, x));
  // x = n log 2 + r with |r| <= log(2) / 2; adding 1.5 * 2^mantissa leaves n in the low bits of the sum.
  const V magic(single ? 12582912.0 : 6755399441055744.0);
  const V shifted = fused_multiply_add(clamped, V(1.4426950408889634), magic);
  const V n = shifted - magic;
  const V r = fused_multiply_add(
      n, V(single ? -1.42860677e-6 : -1.90821492927058770002e-10),
      fused_multiply_add(n, V(single ? -0.693145752 : -6.93147180369123816490e-01), clamped));
  V p;
  if constexpr (single) {
    p = V(1.3888889e-3);
    for (double c : {8.3333333e-3, 4.1666667e-2, 0.16666667, 0.5, 1.0, 1.0})
      p = fused_multiply_add(p, r, V(c));
  } else {
    p = V(1.0 / 6227020800.0);
    for (double c : {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                     1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0})
      p = fused_multiply_add(p, r, V(c));
  }
  // 2^n as 2 * 2^(n - 1): n reaches 128 (1024 in double), one more than an exponent holds.
  I bits;
  std::memcpy(&bits, &shifted.raw, sizeof bits);
  constexpr int mantissa = single ? 23 : 52;
  bits = ((bits - 1) << mantissa) + (static_cast<typename V::int_type>(single ? 127 : 1023) << mantissa);
  V scale;
  std::memcpy(&scale.raw, &bits, sizeof bits);
  V result = (p * scale) * V(2);
  result = select(x > high, V(std::numeric_limits<T>::infinity()), result);
  return select(x < low, V(0), result);
}
/// 2^x to about one unit in the last place, for -126 <= x <= 126 in float, +-1022 in double, NaN for
/// NaN, and nothing that means anything for other arguments. Polynomials of least relative error on [-1/2,
/// 1/2]: 7.5e-8 in float, 3e-18 in double.
template <class T, int N> [[gnu::always_inline]] inline Vec<T, N> exp2_inside(Vec<T, N> x) {
  using V = Vec<T, N>;
  using I = typename V::mask_type;
  constexpr bool single = sizeof(T) == 4;
  const V magic(single ? 12582912.0 + 127 : 6755399441055744.0 + 1023);
  const V shifted = x + magic;
  const V r = x - (shifted - magic);
  V p;
  if constexpr (single) {
    p = V(1.3276472e-3);
    for (double c : {9.6755410e-3, 5.5507131e-2, 0.24022120, 0.69314694, 1.0000001})
      p = fused_multiply_add(p, r, V(c));
  } else {
    p = V(4.4352453902330447e-10);
    for (double c :
         {7.0741365732124034e-09, 1.0178198058765788e-07, 1.3215432891916156e-06, 1.5252733490722503e-05,
          1.5403530462958226e-04, 1.3333558146787757e-03, 9.618129107587924e-03, 5.550410866481994e-02,
          0.24022650695910158, 0.6931471805599453, 1.0})
      p = fused_multiply_add(p, r, V(c));
  }
  // Bias and whole part, the low bits of the sum, make a factor: added to p's exponent they could hide a NaN.
  I bits;
  std::memcpy(&bits, &shifted.raw, sizeof bits);
  bits <<= (single ? 23 : 52);
  V scale;
  std::memcpy(&scale.raw, &bits, sizeof bits);
  return p * scale;
}
/// The same, arguments outside moved to these bounds. Without the cases at the ends it takes half the time of
/// `exp`.
template <class T, int N> [[gnu::always_inline]] inline Vec<T, N> exp2_bounded(Vec<T, N> x) {
  const Vec<T, N> bound(sizeof(T) == 4 ? 126.0 : 1022.0);
  return exp2_inside(max(min(x, bound), -bound));
}
/// 1 / (1 + e^-x), to two units in the last place; below -87 (-708 in double) it stays at 2^-126 (2^-1022).
template <class T, int N> [[gnu::always_inline]] inline Vec<T, N> logistic(Vec<T, N> x) {
  using V = Vec<T, N>;
  const V s = V(1) / (V(1) + exp2_bounded(x * V(-1.4426950408889634)));
  return select(x.raw == x.raw, s, x); // not a number stays so
}
template <class T, int N> Vec<T, N> sqrt(Vec<T, N> x) {
  T lane[N];
  x.store(lane);
  for (int i = 0; i < N; ++i) lane[i] = std::sqrt(lane[i]);
  return Vec<T, N>::load(lane);
}

} // namespace sbi
