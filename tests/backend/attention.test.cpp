// SPDX-License-Identifier: MIT
#include <sbi/backend/attention.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace {
using sbi::index_t;
using sbi::Tensor;
using sbi::View;
constexpr double inf = std::numeric_limits<double>::infinity();

/// One attention with everything on: context shared by two samples, a mask with a blind query, odd extents.
template <class T> struct Problem {
  index_t samples, tokens, heads, head, context_tokens;
  Tensor<T> qkv, mask, context, dy;

  Problem(index_t samples_, index_t tokens_, index_t heads_, index_t head_, index_t context_tokens_)
      : samples(samples_), tokens(tokens_), heads(heads_), head(head_), context_tokens(context_tokens_),
        qkv({samples * tokens, 3 * heads * head}), mask({samples, tokens, context_tokens + tokens}),
        context({samples / 2 * context_tokens, 2 * heads * head}), dy({samples * tokens, heads * head}) {
    sbi::Rng rng(31);
    for (Tensor<T>* x : {&qkv, &context, &dy})
      for (auto& v : *x) v = static_cast<T>(static_cast<float>(rng.normal()));
    for (auto& m : mask) m = static_cast<T>(rng.bernoulli(0.3) ? -inf : 0.0);
    std::fill_n(mask.row(tokens - 1), mask.cols(),
                static_cast<T>(-inf)); // the last query of the first sample
  }
  [[nodiscard]] sbi::AttentionExtent<T> extent() const {
    return {heads, tokens, mask.view(), context.view(), context_tokens, 2};
  }
};
/// `written`: dqkv once more, in memory that held no zeros.
template <class T> struct Result { Tensor<T> y, dqkv, written; };
template <class T, class F, class G> Result<T> run(const Problem<T>& problem, F&& forward, G&& backward) {
  Result<T> out{Tensor<T>(problem.dy.shape()), Tensor<T>(problem.qkv.shape()),
                Tensor<T>(problem.qkv.shape())};
  const auto at = problem.extent();
  Tensor<T> kept({problem.samples * problem.heads, at.kept()});
  forward(at, problem.qkv.view(), out.y.view(), kept.view());
  backward(at, problem.qkv.view(), std::as_const(out.y).view(), std::as_const(kept).view(), problem.dy.view(),
           out.dqkv.view(), sbi::Write::accumulate);
  std::fill(out.written.begin(), out.written.end(), std::numeric_limits<T>::quiet_NaN());
  backward(at, problem.qkv.view(), std::as_const(out.y).view(), std::as_const(kept).view(), problem.dy.view(),
           out.written.view(), sbi::Write::overwrite);
  return out;
}
template <class T> bool written_alike(const Result<T>& result) {
  return std::equal(result.dqkv.begin(), result.dqkv.end(), result.written.begin());
}
template <class T, int N> Result<T> on_cpu(const Problem<T>& problem) {
  const sbi::Cpu<T> be(1);
  return run(
      problem, [&](auto... a) { sbi::attention_forward<T, N>(be, a...); },
      [&](auto... a) { sbi::attention_backward<T, N>(be, a...); });
}
Result<double> by_definition(const Problem<double>& problem) {
  const sbi::Reference<double> be;
  return run(
      problem, [&](auto... a) { sbi::attention_forward(be, a...); },
      [&](auto... a) { sbi::attention_backward(be, a...); });
}
template <class T> void check_close(const Tensor<T>& got, const Tensor<double>& want, double epsilons) {
  double worst = 0;
  for (index_t i = 0; i < want.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(got.data()[i]) - want.data()[i]));
  CHECK(worst < epsilons * static_cast<double>(std::numeric_limits<T>::epsilon()));
}
} // namespace

TEST_CASE("backend/attention: every width agrees with the definition") {
  struct Extents {
    index_t tokens, heads, head, context;
  };
  for (const Extents e :
       {Extents{13, 2, 5, 3}, {17, 1, 16, 7}, {33, 3, 8, 1}, {1, 2, 1, 4}, {70, 1, 24, 2}, {130, 2, 3, 5}}) {
    CAPTURE(e.tokens);
    const Problem<double> exact(4, e.tokens, e.heads, e.head, e.context);
    const Problem<float> single(4, e.tokens, e.heads, e.head, e.context);
    const auto want = by_definition(exact);
    const auto check = [&](const auto& got) { // logits and sums of a few tens of terms of order one
      check_close(got.y, want.y, 60);
      check_close(got.dqkv, want.dqkv, 200);
      CHECK(written_alike(got));
    };
    CHECK(written_alike(want));
    check(on_cpu<float, 4>(single));
    check(on_cpu<float, 8>(single));
    check(on_cpu<float, 16>(single));
    check(on_cpu<double, 2>(exact));
    check(on_cpu<double, 4>(exact));
    check(on_cpu<double, 8>(exact));
  }
}

TEST_CASE("backend/attention: a query that may see nothing gives 0 and takes no gradient") {
  const Problem<float> problem(2, 5, 2, 3, 2);
  const auto got = on_cpu<float, 8>(problem);
  for (index_t c = 0; c < got.y.cols(); ++c) CHECK(got.y(4, c) == 0);
  for (index_t c = 0; c < got.y.cols(); ++c) CHECK(got.dqkv(4, c) == 0); // its q; its k and v serve others
  CHECK(std::all_of(got.dqkv.begin(), got.dqkv.end(), [](float v) { return std::isfinite(v); }));
}

TEST_CASE("backend/attention: a forbidden key does not matter at all") {
  Problem<float> problem(2, 6, 2, 4, 2);
  const index_t key = 3;
  for (index_t r = 0; r < problem.mask.rows(); ++r)
    problem.mask(r, problem.context_tokens + key) = -std::numeric_limits<float>::infinity();
  const auto before = on_cpu<float, 4>(problem);
  const index_t width = problem.heads * problem.head;
  for (index_t c = width; c < 3 * width; ++c) problem.qkv(key, c) = 1e3f;
  const auto after = on_cpu<float, 4>(problem);
  CHECK(std::equal(before.y.begin(), before.y.end(), after.y.begin()));
}

TEST_CASE("backend/attention: the lowest number forbids as minus infinity does") {
  for (const index_t tokens : {6, 30, 150}) { // dense, by single edges, with weights that are not kept
    Problem<double> problem(2, tokens, 2, 4, 2);
    if (tokens == 30)
      for (index_t r = 0; r < problem.mask.rows(); ++r)
        for (index_t k = 0; k < problem.mask.cols(); ++k)
          if (k != r % problem.mask.cols()) problem.mask(r, k) = -inf;
    Problem<float> single(2, tokens, 2, 4, 2);
    std::copy(problem.mask.begin(), problem.mask.end(), single.mask.begin());
    const auto want = by_definition(problem);
    const auto infinite = on_cpu<float, 16>(single);
    for (auto& m : problem.mask)
      if (m == -inf) m = std::numeric_limits<double>::lowest();
    for (auto& m : single.mask)
      if (std::isinf(m)) m = std::numeric_limits<float>::lowest();
    const auto lowest = on_cpu<float, 16>(single);
    CHECK(std::equal(infinite.y.begin(), infinite.y.end(), lowest.y.begin()));
    CHECK(std::equal(infinite.dqkv.begin(), infinite.dqkv.end(), lowest.dqkv.begin()));
    check_close(by_definition(problem).y, want.y, 1);
    check_close(on_cpu<double, 8>(problem).y, want.y, 60);
  }
}

TEST_CASE("backend/attention: no samples are no work, whatever the mask") {
  const sbi::Cpu<float> be(1);
  const Tensor<float> some({1, 3, 3});
  const View<const float> mask(some.data(), {0, 3, 3}), qkv(some.data(), {0, 6});
  const sbi::AttentionExtent<float> at{1, 3, mask, {}, 0, 1};
  Tensor<float> none({0, 2}), kept({0, at.kept()}), dqkv({0, 6});
  CHECK_NOTHROW(sbi::attention_forward<float>(be, at, qkv, none.view(), kept.view()));
  CHECK_NOTHROW(sbi::attention_backward<float>(be, at, qkv, std::as_const(none).view(),
                                               std::as_const(kept).view(), std::as_const(none).view(),
                                               dqkv.view()));
}

TEST_CASE("backend/attention: a sample's bits do not depend on the samples beside it") {
  const Problem<float> both(4, 7, 2, 5, 3);
  const auto whole = on_cpu<float, 16>(both);
  const sbi::Cpu<float> be(1);
  Tensor<float> y({14, 10}), dqkv({14, 30});
  auto extent = both.extent(); // the last two samples alone
  Tensor<float> kept({4, extent.kept()});
  extent.mask = View<const float>(both.mask.row(14), {2, 7, 10});
  extent.context = both.context.view().row_block(3, 3);
  const auto qkv = both.qkv.view().row_block(14, 14);
  sbi::attention_forward<float, 16>(be, extent, qkv, y.view(), kept.view());
  sbi::attention_backward<float, 16>(be, extent, qkv, std::as_const(y).view(), std::as_const(kept).view(),
                                     both.dy.view().row_block(14, 14), dqkv.view());
  CHECK(std::equal(y.begin(), y.end(), whole.y.row(14)));
  CHECK(std::equal(dqkv.begin(), dqkv.end(), whole.dqkv.row(14)));
}

namespace {
/// Every kind of pattern that leaves work out.
template <class F> Problem<double> with_mask(index_t tokens, F&& allowed) {
  Problem<double> problem(2, tokens, 2, 4, 0);
  for (index_t r = 0; r < problem.mask.rows(); ++r)
    for (index_t k = 0; k < tokens; ++k)
      problem.mask(r, k) = allowed(r % tokens, k) ? 0.25 * static_cast<double>(k % 3) : -inf;
  return problem;
}
} // namespace

TEST_CASE("backend/attention: missing tokens, bands, blocks and few edges, with and without kept weights") {
  sbi::Rng rng(7);
  for (const index_t tokens : {40, 140}) {
    CAPTURE(tokens);
    const auto agrees = [&](auto&& allowed) {
      const Problem<double> problem = with_mask(tokens, allowed);
      const auto want = by_definition(problem);
      for (const auto& got : {on_cpu<double, 2>(problem), on_cpu<double, 8>(problem)}) {
        check_close(got.y, want.y, 60); // sums of at most 140 weights times numbers of order one
        check_close(got.dqkv, want.dqkv, 200);
        CHECK(written_alike(got));
      }
    };
    agrees([](index_t, index_t) { return true; });
    agrees([](index_t q, index_t k) { return q > k; });
    agrees(
        [](index_t q, index_t k) { return q >= 32 && (q + k) % 40 == 0; }); // edges after no edges, or none
    agrees([](index_t q, index_t k) { return q < 32 || (q + k) % 40 == 0; });
    agrees([](index_t q, index_t k) { return q % 3 != 0 && k % 3 != 0; });
    agrees([](index_t q, index_t k) { return std::abs(q - k) <= 5; });
    agrees([](index_t q, index_t k) { return q / 10 == k / 10; });
    agrees([&](index_t, index_t) { return rng.bernoulli(0.03); });
    agrees([](index_t, index_t) { return false; });
  }
}

TEST_CASE("backend/attention: weights do not overflow, whatever the order of large logits") {
  for (const index_t tokens : {20, 200}) { // one run of keys; several
    Problem<double> exact(2, tokens, 1, 2, 0);
    for (index_t r = 0; r < exact.qkv.rows(); ++r)
      exact.qkv(r, 0) = 40 + exact.qkv(r, 0), exact.qkv(r, 2) *= 40;
    const auto want = by_definition(exact), got = on_cpu<double, 4>(exact);
    check_close(got.y, want.y, 1e5); // logits of 3000, each rounded: 3000 epsilons and some
  }
}

TEST_CASE("backend/attention: not-a-number in one sample stays there and is not hidden") {
  for (const index_t tokens : {9, 150}) {
    Problem<float> problem(4, tokens, 2, 4, 3);
    const auto before = on_cpu<float, 16>(problem);
    problem.qkv(tokens + 1, 3) = std::bit_cast<float>(0xffffffffu); // a query of the second sample
    const auto after = on_cpu<float, 16>(problem);
    const auto width = before.y.cols();
    CHECK(std::isnan(after.y(tokens + 1, 3)));
    CHECK(std::isnan(after.dqkv(tokens + 1, 3)));
    for (index_t r = 0; r < 4 * tokens; ++r) {
      if (r / tokens == 1) continue;
      CHECK(std::equal(before.y.row(r), before.y.row(r) + width, after.y.row(r)));
      CHECK(std::equal(before.dqkv.row(r), before.dqkv.row(r) + 3 * width, after.dqkv.row(r)));
    }
  }
}

TEST_CASE("backend/attention: weights that vanish are exactly 0") {
  Problem<float> problem(2, 3, 1, 1, 0);
  std::fill(problem.mask.begin(), problem.mask.end(), 0.0f);
  for (index_t q = 0; q < 3; ++q) // the second key; e^-80 is a normal number, below 2^-100
    problem.qkv(q, 0) = 1, problem.qkv(q, 1) = 0, problem.qkv(q, 2) = q == 1 ? 1e30f : 1.0f,
                   problem.mask(q, 1) = -80;
  const auto got = on_cpu<float, 4>(problem);
  CHECK(got.y(0, 0) == 1);
  CHECK(got.dqkv(1, 1) == 0);
  CHECK(got.dqkv(1, 2) == 0);
}
