// SPDX-License-Identifier: MIT
#include <sbi/backend/gemm.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace {
using sbi::index_t;
using sbi::Shape;
using sbi::Transpose;
using sbi::View;
using sbi::Write;

struct Problem {
  index_t rows, cols, depth;
};
constexpr Problem problems[] = {{1, 1, 1},     {1, 13, 5},   {13, 1, 7},  {7, 33, 1},
                                {13, 17, 33},  {6, 64, 16},  {31, 48, 9}, {5, 80, 12},
                                {29, 31, 300}, {2, 16, 520}, {3, 5, 0}};

/// A matrix of normals whose rows are `gap` elements further apart than they need be.
template <class T> sbi::Tensor<T> drawn(sbi::Rng& rng, index_t rows, index_t cols, index_t gap) {
  sbi::Tensor<T> x({rows, cols + gap});
  for (auto& v : x) v = static_cast<T>(static_cast<float>(rng.normal()));
  return x;
}

/// Every transpose, write mode, bias and row gap of one size, against the loops of the definition.
template <class T, int N> void check_products(Problem p) {
  sbi::Cpu<T> cpu(1);
  const sbi::Reference<double> reference;
  sbi::Rng rng(17);
  for (const auto ta : {Transpose::no, Transpose::yes})
    for (const auto tb : {Transpose::no, Transpose::yes})
      for (const auto write : {Write::overwrite, Write::accumulate})
        for (const index_t gap : {0, 3}) {
          const bool at = ta == Transpose::yes, bt = tb == Transpose::yes;
          const Shape sa = at ? Shape{p.depth, p.rows} : Shape{p.rows, p.depth};
          const Shape sb = bt ? Shape{p.cols, p.depth} : Shape{p.depth, p.cols}, sc{p.rows, p.cols};
          const auto a = drawn<T>(rng, sa.rows(), sa.cols(), gap),
                     b = drawn<T>(rng, sb.rows(), sb.cols(), gap);
          const auto bias = drawn<T>(rng, 1, p.cols, 0);
          auto c = drawn<T>(rng, p.rows, p.cols, gap);
          sbi::Tensor<double> wide_a(a.shape()), wide_b(b.shape()), wide_bias(bias.shape()),
              wide_c(c.shape());
          std::copy(a.begin(), a.end(), wide_a.begin());
          std::copy(b.begin(), b.end(), wide_b.begin());
          std::copy(bias.begin(), bias.end(), wide_bias.begin());
          std::copy(c.begin(), c.end(), wide_c.begin());
          const bool with_bias = write == Write::overwrite;
          sbi::gemm<T, N>(cpu, {a.data(), sa, sa.cols() + gap}, ta, {b.data(), sb, sb.cols() + gap}, tb,
                          View<T>(c.data(), sc, p.cols + gap), write,
                          with_bias ? bias.view() : View<const T>{});
          sbi::gemm(reference, {wide_a.data(), sa, sa.cols() + gap}, ta, {wide_b.data(), sb, sb.cols() + gap},
                    tb, View<double>(wide_c.data(), sc, p.cols + gap), write,
                    with_bias ? std::as_const(wide_bias).view() : View<const double>{});
          // A sum of n products of normals grows as sqrt(n) and gathers at most n roundings of that size.
          const double n = static_cast<double>(p.depth) + 2;
          const double bound = static_cast<double>(std::numeric_limits<T>::epsilon()) * n * 2 * std::sqrt(n);
          double worst = 0;
          for (index_t i = 0; i < c.size(); ++i) // the gaps, too: nothing may be written there
            worst = std::max(worst, std::abs(static_cast<double>(c.data()[i]) - wide_c.data()[i]));
          CHECK(worst <= bound);
        }
}
} // namespace

TEST_CASE("backend/gemm: every width, transpose and stride agrees with the definition") {
  for (const Problem p : problems) {
    CAPTURE(p.rows);
    CAPTURE(p.cols);
    CAPTURE(p.depth);
    check_products<float, 4>(p);
    check_products<float, 8>(p);
    check_products<float, 16>(p);
    check_products<double, 4>(p);
    check_products<double, 8>(p);
  }
}

TEST_CASE("backend/gemm: a row's bits do not depend on the rows beside it") {
  const sbi::Cpu<float> cpu(1);
  sbi::Rng rng(23);
  for (const index_t cols : {7, 16, 64, 83}) {
    constexpr index_t rows = 29, depth = 37;
    const auto a = drawn<float>(rng, rows, depth, 0), b = drawn<float>(rng, depth, cols, 0);
    sbi::Tensor<float> whole({rows, cols}), part({rows, cols});
    sbi::gemm(cpu, a.view(), Transpose::no, b.view(), Transpose::no, whole.view(), Write::overwrite);
    for (index_t first = 0, count = 1; first < rows; first += count, ++count) {
      count = std::min(count, rows - first);
      sbi::gemm(cpu, a.view().row_block(first, count), Transpose::no, b.view(), Transpose::no,
                part.view().row_block(first, count), Write::overwrite);
    }
    CHECK(std::equal(whole.begin(), whole.end(), part.begin()));
  }
}

namespace {
template <class T, int N> void check_packed(Problem p) {
  sbi::Cpu<T> cpu(1);
  sbi::Rng rng(29);
  for (const auto tb : {Transpose::no, Transpose::yes}) {
    const Shape sb = tb == Transpose::yes ? Shape{p.cols, p.depth} : Shape{p.depth, p.cols};
    const auto a = drawn<T>(rng, p.rows, p.depth, 0), b = drawn<T>(rng, sb.rows(), sb.cols(), 2),
               d = drawn<T>(rng, p.rows, p.cols, 5), bias = drawn<T>(rng, 1, p.cols, 0);
    const View<const T> of_b(b.data(), sb, sb.cols() + 2), of_d(d.data(), {p.rows, p.cols}, p.cols + 5);
    sbi::Tensor<T> packed({sbi::packed_size<T, N>(p.depth, p.cols)}), want({p.rows, p.cols}),
        got(want.shape());
    sbi::pack<T, N>(of_b, tb, packed.data());
    // D first, then the rest: the bits of adding to C.
    for (index_t i = 0; i < p.rows; ++i) std::copy_n(of_d.row(i), p.cols, want.row(i));
    sbi::gemm<T, N>(cpu, a.view(), Transpose::no, of_b, tb, want.view(), Write::accumulate, bias.view());
    sbi::gemm<T, N>(cpu, a.view(), Transpose::no, of_b, tb, got.view(), Write::overwrite, bias.view(), of_d,
                    {packed.data()});
    CHECK(std::equal(want.begin(), want.end(), got.begin()));
  }
}
} // namespace

TEST_CASE("backend/gemm: a packed B and an addend of its own give the bits of the plain product") {
  for (const Problem p : problems) {
    CAPTURE(p.rows);
    CAPTURE(p.cols);
    CAPTURE(p.depth);
    check_packed<float, 4>(p);
    check_packed<float, 8>(p);
    check_packed<float, 16>(p);
    check_packed<double, 2>(p);
    check_packed<double, 8>(p);
  }
}

TEST_CASE("backend/gemm: sizes that do not fit are refused") {
  const sbi::Cpu<float> cpu(1);
  const sbi::Tensor<float> a({2, 3}), b({4, 5});
  sbi::Tensor<float> c({2, 5});
  const auto product = [&](Transpose ta, Transpose tb) {
    sbi::gemm(cpu, a.view(), ta, b.view(), tb, c.view(), Write::overwrite);
  };
  CHECK_THROWS_WITH_AS(product(Transpose::no, Transpose::no), "product: A is [2,3], B is [4,5], C is [2,5]",
                       sbi::ShapeError);
  CHECK_THROWS_WITH_AS(product(Transpose::yes, Transpose::yes),
                       "product: A is [2,3] transposed, B is [4,5] transposed, C is [2,5]", sbi::ShapeError);
  const sbi::Tensor<float> fits({3, 5}), addend({2, 4});
  CHECK_THROWS_WITH_AS(sbi::gemm(cpu, a.view(), Transpose::no, fits.view(), Transpose::no, c.view(),
                                 Write::overwrite, {}, addend.view()),
                       "product: D is [2,4], C is [2,5]", sbi::ShapeError);
  const sbi::Tensor<float> bias({5, 2});
  const auto biased = [&](View<const float> with) {
    sbi::gemm(cpu, a.view(), Transpose::no, fits.view(), Transpose::no, c.view(), Write::overwrite, with);
  };
  CHECK_THROWS_WITH_AS(biased(bias.view().row_block(0, 2)),
                       "product: bias is [2,2] with rows 2 apart; want [5] without gaps", sbi::ShapeError);
  CHECK_THROWS_WITH_AS(biased(bias.view().columns(0, 1)),
                       "product: bias is [5,1] with rows 2 apart; want [5] without gaps", sbi::ShapeError);
  sbi::Tensor<float> tall({200, 5});
  CHECK_THROWS_AS(sbi::parallel_gemm(cpu, a.view(), Transpose::no, fits.view(), Transpose::no, tall.view(),
                                     Write::overwrite),
                  sbi::ShapeError);
}
