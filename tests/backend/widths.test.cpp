// SPDX-License-Identifier: MIT
// Every vector width of every instruction set, on any machine: products, attention and row kernels against
// their definitions in double, at extents that fill no vector, or nothing at all.
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/attention.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/ops/elementwise.hpp>
#include <sbi/ops/norm.hpp>
#include <sbi/ops/softmax.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace {
using sbi::index_t;
using sbi::Reference;
using sbi::Shape;
using sbi::Tensor;
using sbi::Transpose;
using sbi::View;
using sbi::Write;

/// check.operator()<T, N>() for SSE and NEON, AVX2 and AVX-512.
template <class F> void for_each_width(F&& check) {
  check.template operator()<float, 4>();
  check.template operator()<float, 8>();
  check.template operator()<float, 16>();
  check.template operator()<double, 2>();
  check.template operator()<double, 4>();
  check.template operator()<double, 8>();
}

/// Normals that a float holds, so that no difference comes from rounding the input.
Tensor<double> normals(sbi::Rng& rng, Shape shape) {
  Tensor<double> x(shape);
  for (double& v : x) v = static_cast<double>(static_cast<float>(rng.normal()));
  return x;
}
template <class T> Tensor<T> as(const Tensor<double>& x) {
  Tensor<T> out(x.shape());
  std::copy(x.begin(), x.end(), out.begin());
  return out;
}
/// The largest difference in units of T's epsilon and of the largest wanted number (at least 1).
template <class T> double epsilons_off(const Tensor<T>& got, const Tensor<double>& want) {
  double worst = 0, largest = 1;
  for (index_t i = 0; i < want.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got.data()[i]) - want.data()[i]);
    if (!(difference <= worst)) worst = difference; // NaN, too
    largest = std::max(largest, std::abs(want.data()[i]));
  }
  return worst / largest / static_cast<double>(std::numeric_limits<T>::epsilon());
}

/// A Cpu whose rows go N lanes at a time.
template <class T, int N> struct Lanes : sbi::Cpu<T> {
  Lanes() : sbi::Cpu<T>(1) {}
};
template <class T, int N> sbi::VectorRow<T, N> row_of(const Lanes<T, N>&, index_t n) { return {n}; }

/// Value of an op and gradients of its inputs, for a cotangent of normals.
struct Outcome {
  Tensor<double> value;
  std::vector<Tensor<double>> gradients;
};
template <class B, class Op, class... In>
auto run_op(B& backend, Op op, const Tensor<double>& cotangent, const In&... in) {
  using T = typename B::param_t;
  std::vector<Tensor<T>> values{as<T>(in)...}, gradients{Tensor<T>(in.shape())...};
  sbi::Tape<B> tape(backend);
  const auto y = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return tape.apply(op, tape.input(std::as_const(values[I]).view(), gradients[I].view())...);
  }
  (std::index_sequence_for<In...>{});
  Tensor<T> value(y.shape());
  std::copy_n(y.value.data, y.value.size(), value.data());
  const auto w = as<T>(cotangent);
  tape.seed(y, w.view());
  tape.backward();
  return std::pair{std::move(value), std::move(gradients)};
}
/// At every width within `epsilons` of the reference backend in double.
template <class Op, class... In>
void check_op(Op op, double epsilons, const Tensor<double>& cotangent, const In&... in) {
  Reference<double> reference;
  const auto want = run_op(reference, op, cotangent, in...);
  for_each_width([&]<class T, int N>() {
    CAPTURE(N);
    CAPTURE(sizeof(T));
    Lanes<T, N> backend;
    const auto got = run_op(backend, op, cotangent, in...);
    CHECK(epsilons_off(got.first, want.first) <= epsilons);
    for (std::size_t k = 0; k < want.second.size(); ++k)
      CHECK(epsilons_off(got.second[k], want.second[k]) <= epsilons);
  });
}

/// Attention on one draw of everything. The mask is absent, shared by all samples, or of each sample.
struct Attended {
  enum class Mask { none, shared, each };
  index_t samples, tokens, heads, head, context_tokens;
  Tensor<double> qkv, context, mask, dy;
  Shape mask_shape;

  Attended(index_t samples_, index_t tokens_, index_t heads_, index_t head_, index_t context_tokens_,
           Mask which)
      : samples(samples_), tokens(tokens_), heads(heads_), head(head_), context_tokens(context_tokens_) {
    sbi::Rng rng(31);
    const index_t width = heads * head, keys = context_tokens + tokens;
    qkv = normals(rng, {samples * tokens, 3 * width}), dy = normals(rng, {samples * tokens, width});
    context = normals(rng, {samples * context_tokens, 2 * width});
    if (which == Mask::none) return;
    mask_shape = which == Mask::each ? Shape{samples, tokens, keys} : Shape{tokens, keys};
    mask = Tensor<double>(mask_shape);
    for (double& m : mask) m = rng.bernoulli(0.3) ? -std::numeric_limits<double>::infinity() : 0.0;
  }
  template <class T> struct Result { Tensor<T> y, dqkv; };
  template <class T, class F, class G> Result<T> run(F&& forward, G&& backward) const {
    const auto x = as<T>(qkv), shared = as<T>(context), seen = as<T>(mask), w = as<T>(dy);
    const sbi::AttentionExtent<T> at{
        heads,
        tokens,
        mask.size() > 0 ? View<const T>(seen.data(), mask_shape) : View<const T>{},
        shared.view(),
        context_tokens,
        1};
    Result<T> out{Tensor<T>(dy.shape()), Tensor<T>(qkv.shape())};
    Tensor<T> kept({samples * heads, at.kept()});
    forward(at, x.view(), out.y.view(), kept.view());
    backward(at, x.view(), std::as_const(out.y).view(), std::as_const(kept).view(), w.view(),
             out.dqkv.view());
    return out;
  }
  template <class T, int N> Result<T> at_width() const {
    const sbi::Cpu<T> cpu(1);
    return run<T>([&](auto... a) { sbi::attention_forward<T, N>(cpu, a...); },
                  [&](auto... a) { sbi::attention_backward<T, N>(cpu, a...); });
  }
  [[nodiscard]] Result<double> by_definition() const {
    const Reference<double> reference;
    return run<double>([&](auto... a) { sbi::attention_forward(reference, a...); },
                       [&](auto... a) { sbi::attention_backward(reference, a...); });
  }
};
} // namespace

TEST_CASE(
    "backend/widths: products at sizes beside every vector, with no rows, no columns, or nothing to sum") {
  sbi::Rng rng(17);
  const Reference<double> reference;
  for (const index_t rows : {0, 1, 3, 13, 50})
    for (const index_t cols : {0, 1, 5, 17, 70})
      for (const index_t depth : {0, 1, 13, 70})
        for (const auto ta : {Transpose::no, Transpose::yes})
          for (const auto tb : {Transpose::no, Transpose::yes}) {
            const auto a = normals(rng, ta == Transpose::yes ? Shape{depth, rows} : Shape{rows, depth});
            const auto b = normals(rng, tb == Transpose::yes ? Shape{cols, depth} : Shape{depth, cols});
            const auto start = normals(rng, {rows, cols});
            Tensor<double> want = start;
            sbi::gemm(reference, a.view(), ta, b.view(), tb, want.view(), Write::accumulate);
            for_each_width([&]<class T, int N>() {
              const sbi::Cpu<T> cpu(1);
              const auto narrow_a = as<T>(a), narrow_b = as<T>(b);
              Tensor<T> c = as<T>(start);
              sbi::gemm<T, N>(cpu, narrow_a.view(), ta, narrow_b.view(), tb, c.view(), Write::accumulate);
              // A sum of n products of normals grows as sqrt(n) and gathers at most n roundings of that size,
              // here in units of the largest element.
              if (!(epsilons_off(c, want) <= static_cast<double>(depth) + 2))
                FAIL_CHECK(sbi::text("[", rows, ",", depth, "] [", depth, ",", cols, "] in ", N, " lanes of ",
                                     sizeof(T), " bytes: ", epsilons_off(c, want), " epsilon off"));
            });
          }
}

TEST_CASE("backend/widths: attention with one token, one head, heads of one number, no sample, any mask") {
  struct Extent {
    index_t samples, tokens, heads, head, context;
  };
  for (const Extent e :
       {Extent{2, 1, 1, 1, 0}, Extent{2, 1, 1, 1, 3}, Extent{2, 5, 3, 1, 2}, Extent{3, 3, 1, 17, 0},
        Extent{2, 13, 1, 13, 0}, Extent{1, 50, 2, 5, 1}, Extent{1, 70, 1, 3, 7}, Extent{1, 131, 1, 2, 0},
        Extent{2, 17, 5, 4, 0}, Extent{0, 3, 2, 5, 1}})
    for (const auto mask : {Attended::Mask::none, Attended::Mask::shared, Attended::Mask::each}) {
      CAPTURE(e.tokens);
      CAPTURE(e.heads);
      CAPTURE(e.head);
      CAPTURE(e.context);
      CAPTURE(static_cast<int>(mask));
      const Attended problem(e.samples, e.tokens, e.heads, e.head, e.context, mask);
      const auto want = problem.by_definition();
      for_each_width([&]<class T, int N>() {
        CAPTURE(N);
        CAPTURE(sizeof(T));
        const auto got = problem.at_width<T, N>();
        // Logits and sums of up to 131 terms of order one, each rounded a few times.
        CHECK(epsilons_off(got.y, want.y) <= 60);
        CHECK(epsilons_off(got.dqkv, want.dqkv) <= 200);
      });
    }
}

TEST_CASE("backend/widths: attention does not lose what is not a number") {
  using Mask = Attended::Mask;
  for_each_width([]<class T, int N>() {
    CAPTURE(N);
    CAPTURE(sizeof(T));
    for (const index_t part : {0, 1, 2}) { // a query, a key, a value of the second of three samples
      Attended problem(3, 5, 2, 3, 0, Mask::none);
      const auto clean = problem.at_width<T, N>().y;
      problem.qkv(7, part * 6) = std::numeric_limits<double>::quiet_NaN();
      const auto got = problem.at_width<T, N>().y;
      for (index_t r = 0; r < 15; ++r) {
        const bool touched =
            part == 0 ? r == 7 : r / 5 == 1; // others than its own query see a key and a value
        CHECK(std::isnan(got(r, 0)) == touched);
        for (index_t c = 3; c < 6; ++c) CHECK(got(r, c) == clean(r, c)); // the other head
      }
    }
  });
}

TEST_CASE("backend/widths: layer norm, softmax and GELU of rows that fill no vector") {
  sbi::Rng rng(23);
  for (const index_t rows : {0, 1, 17})
    for (const index_t cols : {1, 3, 5, 13, 17, 50, 70}) {
      CAPTURE(rows);
      CAPTURE(cols);
      const auto x = normals(rng, {rows, cols}), dy = normals(rng, {rows, cols}), gain = normals(rng, {cols}),
                 bias = normals(rng, {cols});
      const double n = static_cast<double>(cols); // the longest sum; a dozen roundings beside it for exp
      check_op(sbi::ops::Softmax{}, 32 + n, dy, x);
      check_op(sbi::ops::Gelu{}, 32, dy, x);
      // Differences from the mean lose what the spread of a row is smaller than its numbers: three of them
      // may lie within a tenth of each other.
      check_op(sbi::ops::LayerNorm{}, 10 * (32 + n), dy, x, gain, bias);
    }
}
