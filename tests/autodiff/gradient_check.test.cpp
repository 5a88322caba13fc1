// SPDX-License-Identifier: MIT
#include <sbi/autodiff/gradient_check.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {
/// y = a b^2, and its vjp with `error` added to the derivative by b.
struct Product {
  double error = 0;
  sbi::Shape shape(sbi::Shape a, sbi::Shape) const { return a; }
  template <sbi::Backend B, class T>
  void fwd(B&, sbi::View<const T> a, sbi::View<const T> b, sbi::View<T> y) const {
    for (sbi::index_t i = 0; i < y.size(); ++i) y.data[i] = a.data[i] * b.data[i] * b.data[i];
  }
  template <sbi::Backend B, class T>
  void vjp(B&, sbi::View<const T> a, sbi::View<const T> b, sbi::View<const T>, sbi::View<const T> dy,
           sbi::View<T> da, sbi::View<T> db) const {
    for (sbi::index_t i = 0; i < dy.size(); ++i) {
      if (da) da.data[i] += dy.data[i] * b.data[i] * b.data[i];
      if (db) db.data[i] += dy.data[i] * (2 * a.data[i] * b.data[i] + static_cast<T>(error));
    }
  }
};
sbi::GradientCheck check(double error, double step = 1e-5) {
  sbi::Cpu<double> be(1);
  const sbi::Tensor<double> a({3}, {1, -2, 3}), b({3}, {0.5, 1.5, -1});
  return sbi::gradient_check(
      be, [&](auto& tape, const auto& in) { return tape.apply(Product{error}, in[0], in[1]); }, {a, b},
      sbi::Rng(4), step);
}
} // namespace

TEST_CASE("autodiff/gradient_check: a right vjp passes, a wrong one does not") {
  const auto right = check(0);
  CHECK(std::abs(right.analytic) > 0.1); // the direction is not an accidental zero
  CHECK(right.relative_error < 1e-9);
  CHECK(check(1e-3).relative_error > 1e-5);
}

TEST_CASE("autodiff/gradient_check: the error of central differences falls with the square of the step") {
  const double coarse = check(0, 1e-1).relative_error, fine = check(0, 1e-2).relative_error;
  CHECK(coarse / fine == doctest::Approx(100).epsilon(0.05));
}
