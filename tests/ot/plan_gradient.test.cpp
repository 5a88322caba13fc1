// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/ot/plan_gradient.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace sbi;

namespace {
template <class T> struct Problem {
  Tensor<T> x, y, cost;
  std::vector<T> left, right;

  template <class C>
  Problem(const C& c, index_t n, index_t m, index_t d, double offset)
      : x(Shape{n, d}), y(Shape{m, d}), left(static_cast<std::size_t>(n)),
        right(static_cast<std::size_t>(m)) {
    Rng rng(static_cast<std::uint64_t>(100 * n + m));
    for (T& v : x) v = static_cast<T>(rng.normal() + offset);
    for (T& v : y) v = static_cast<T>(rng.normal() + offset);
    std::copy(x.row(0), x.row(0) + d, y.row(0)); // a coincident pair
    for (T& v : left) v = static_cast<T>(-rng.uniform());
    for (T& v : right) v = static_cast<T>(-rng.uniform());
    right.back() = -std::numeric_limits<T>::infinity(); // a point without weight
    cost = ot::cost_matrix(Cpu<T>(1), c, x.view(), y.view());
  }
  // The plan spreads over many pairs: the product form is exact relative to the spread of y, not to x_i -
  // y_j.
  [[nodiscard]] double epsilon() const { return static_cast<double>(x.cols()); }
  template <class B, class C> Tensor<T> gradient(const B& be, const C& c) const {
    Tensor<T> out(x.shape());
    ot::detail::add_plan_gradient<B, C, T>(be, c, cost.view(), x.view(), y.view(), left, right, epsilon(),
                                           T{-1}, out);
    return out;
  }
};

template <class T, class C> void check(const C& cost, double offset, double tolerance) {
  for (const auto& size : {std::array<index_t, 3>{3, 4, 1}, {40, 33, 5}, {70, 17, 32}}) {
    const Problem<T> problem(cost, size[0], size[1], size[2], offset);
    const Tensor<T> fast = problem.gradient(Cpu<T>(2), cost), slow = problem.gradient(Reference<T>(), cost);
    double scale = 0;
    for (T v : slow) scale = std::max(scale, std::abs(static_cast<double>(v)));
    for (index_t k = 0; k < fast.size(); ++k)
      CHECK(std::abs(static_cast<double>(fast.data()[k] - slow.data()[k])) <= tolerance * scale);
  }
}
} // namespace

TEST_CASE("ot/plan_gradient: the product form agrees with the sum over pairs") {
  check<double>(ot::SquaredEuclidean{}, 0, 1e-13);
  check<double>(ot::Euclidean{}, 0, 1e-13);
  check<float>(ot::SquaredEuclidean{}, 0, 1e-5);
  check<float>(ot::Euclidean{}, 0, 1e-5);
}

TEST_CASE("ot/plan_gradient: far from the origin too") {
  check<double>(ot::SquaredEuclidean{}, 1e6,
                1e-8); // the coordinates themselves have 1e-10 of the spread left
  check<float>(ot::SquaredEuclidean{}, 1e3, 1e-3);
}
