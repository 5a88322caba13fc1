// SPDX-License-Identifier: MIT
// From the gradient of a number in the costs to that in the points.
#pragma once
#include <sbi/ot/exact.hpp>

#include <span>
#include <vector>

namespace sbi::ot::detail {

template <class T> [[nodiscard]] std::span<const T> point(View<const T> x, index_t i) {
  return {x.row(i), static_cast<std::size_t>(x.cols())};
}
template <class T> [[nodiscard]] std::span<T> point(Tensor<T>& x, index_t i) {
  return {x.row(i), static_cast<std::size_t>(x.cols())};
}

/// dx_i += sum_j slope_ij d1 c(x_i, y_j) and the same for dy_j: slope [n, m] is the gradient in the matrix of
/// costs between x and y.
template <class B, class C, class T>
void add_between(const B& be, const C& cost, View<const T> slope, View<const T> x, View<const T> y,
                 Tensor<T>& dx, Tensor<T>& dy) {
  const auto rows = [&](View<const T> weight, View<const T> own, View<const T> other, Tensor<T>& to) {
    for_each_row(be, own.rows(), [&](index_t i) {
      for (index_t j = 0; j < other.rows(); ++j)
        if (weight(i, j) != 0) cost.add_gradient(weight(i, j), point(own, i), point(other, j), point(to, i));
    });
  };
  rows(slope, x, y, dx);
  const Tensor<T> turned = transposed<T>(slope, slope.rows());
  rows(turned.view(), y, x, dy);
}

/// The same for the costs of x to itself: slope [n, n], every entry on its own.
template <class B, class C, class T>
void add_within(const B& be, const C& cost, View<const T> slope, View<const T> x, Tensor<T>& dx) {
  for_each_row(be, x.rows(), [&](index_t i) {
    for (index_t k = 0; k < x.rows(); ++k)
      if (const T both = slope(i, k) + slope(k, i); both != 0)
        cost.add_gradient(both, point(x, i), point(x, k), point(dx, i));
  });
}

/// The same for a sparse plan, which is the gradient of <P, C> in C.
template <class C, class T>
void add_between(const C& cost, std::span<const Shipment> plan, View<const T> x, View<const T> y,
                 Tensor<T>& dx, Tensor<T>& dy) {
  for (const Shipment& s : plan) {
    const T mass = static_cast<T>(s.mass);
    cost.add_gradient(mass, point(x, s.from), point(y, s.to), point(dx, s.from));
    cost.add_gradient(mass, point(y, s.to), point(x, s.from), point(dy, s.to));
  }
}

} // namespace sbi::ot::detail
