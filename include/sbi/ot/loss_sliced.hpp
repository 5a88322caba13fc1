// SPDX-License-Identifier: MIT
// Transport on the line and along directions as losses: solvers for `ot::loss`, with a cost of their own.
#pragma once
#include <sbi/ot/loss.hpp>
#include <sbi/ot/sliced.hpp>

#include <utility>
#include <vector>

namespace sbi::ot {

/// `line_transport` of clouds of one coordinate, [n,1] and [m,1], under |x - y|^p.
struct LineTransport {
  static constexpr const char* name = "line transport";
  using own_cost = void;
  double p = 2;

  bool one_space() const { return true; }
  template <class B, class T>
  LossResult<T> solve(const B&, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    if (x.cols() != 1)
      throw ShapeError(
          sbi::text(name, " loss: the clouds are ", x.shape, " and ", y.shape, "; want [n,1] and [m,1]"));
    const auto line = [](View<const T> points) {
      std::vector<T> out;
      for (index_t i = 0; i < points.rows(); ++i) out.push_back(points(i, 0));
      return out;
    };
    const LineResult r = line_transport<T>(line(x), line(y), a, b, p);
    LossResult<T> out{r.value, Tensor<T>(x.shape), Tensor<T>(y.shape), true};
    const auto write = [](const std::vector<double>& from, Tensor<T>& to) {
      std::transform(from.begin(), from.end(), to.begin(), [](double v) { return static_cast<T>(v); });
    };
    write(r.dx, out.dx), write(r.dy, out.dy);
    return out;
  }
};

/// `sliced_wasserstein` along directions [L,d], which belong to the caller, or `max_sliced_wasserstein`.
template <class T> struct SlicedWasserstein {
  static constexpr const char* name = "sliced wasserstein";
  using own_cost = void;
  View<const T> directions;
  double p = 2;
  bool largest = false;

  bool one_space() const { return true; }
  template <class B>
  LossResult<T> solve(const B& be, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    SlicedResult<T> r = largest ? max_sliced_wasserstein(be, x, y, a, b, directions, p)
                                : sliced_wasserstein(be, x, y, a, b, directions, p);
    return {r.value, std::move(r.dx), std::move(r.dy), true};
  }
};

/// `sliced_gromov` along directions [L,max(d,e)]: the clouds may have different widths.
template <class T> struct SlicedGromov {
  static constexpr const char* name = "sliced gromov";
  using own_cost = void;
  View<const T> directions;

  bool one_space() const { return false; }
  template <class B>
  LossResult<T> solve(const B& be, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    SlicedResult<T> r = sliced_gromov(be, x, y, a, b, directions);
    return {r.value, std::move(r.dx), std::move(r.dy), true};
  }
};

} // namespace sbi::ot
