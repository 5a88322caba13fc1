// SPDX-License-Identifier: MIT
// Entropic transport between points on a GPU: the functions of <sbi/ot/sinkhorn.hpp> and
// <sbi/ot/divergence.hpp> for sbi::Cuda<T>, for costs with a dot-product form. Clouds and potentials stay on
// the device from the first round to the last. Points, weights and results are the host's. Programs link
// sbi::cuda.
#pragma once
#include <sbi/ot/cuda_pairs.hpp>
#include <sbi/ot/divergence.hpp>

#include <algorithm>
#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace sbi::ot {

namespace detail {
/// Costs in dot-product form on the device.
template <class T> class DeviceForm {
public:
  explicit DeviceForm(DevicePairs<T> pairs) : pairs_(std::move(pairs)) {}
  DeviceForm(const Cuda<T>& be, const DotForm<T>& form)
      : pairs_(be, form.q.data(), form.alpha.data(), form.q.rows(), form.k.data(), form.beta.data(),
               form.k.rows(), form.q.cols()) {}

  [[nodiscard]] DeviceForm transposed() const { return DeviceForm(pairs_.transposed()); }
  [[nodiscard]] const DevicePairs<T>& pairs() const { return pairs_; }

private:
  DevicePairs<T> pairs_;
};

/// Costs whose form is made where the points are, once they are on the device.
template <class C>
inline constexpr DeviceCost device_cost = std::is_same_v<C, SquaredEuclidean> ? DeviceCost::squared_euclidean
                                          : std::is_same_v<C, Cosine>         ? DeviceCost::cosine
                                                                              : DeviceCost::other;

/// Finite points [n, d] of a call, on the device if the cost's form is made there. Throws as check_points
/// does.
template <class C, class T> class DeviceInput {
public:
  DeviceInput(const Cuda<T>& be, const char* who, const char* name, View<const T> points)
      : be_(&be), points_(points) {
    if constexpr (device_cost<C> == DeviceCost::other) {
      check_points(who, name, points);
    } else {
      if (points.shape.rank() == 2 && points.rows() > 0)
        copy_ = std::make_shared<const DevicePoints<T>>(be, points.data, points.rows(), points.cols());
      if (!copy_ || !copy_->all_finite()) check_points(who, name, points);
    }
  }
  /// Costs between these points and others, of the same number of coordinates and not none.
  [[nodiscard]] DeviceForm<T> form(const C& cost, const DeviceInput& others) const {
    if constexpr (device_cost<C> == DeviceCost::other)
      return {*be_, cost.dot_form(points_, others.points_)};
    else
      return DeviceForm<T>(DevicePairs<T>(*be_, device_cost<C>, *copy_, *others.copy_));
  }

private:
  const Cuda<T>* be_;
  View<const T> points_;
  std::shared_ptr<const DevicePoints<T>> copy_;
};
template <class C, class T>
[[nodiscard]] std::pair<DeviceInput<C, T>, DeviceInput<C, T>>
device_clouds(const Cuda<T>& be, const char* who, View<const T> x, View<const T> y) {
  std::pair<DeviceInput<C, T>, DeviceInput<C, T>> out{{be, who, "x", x}, {be, who, "y", y}};
  if (x.cols() != y.cols()) check_clouds(who, x, y); // says so
  return out;
}

/// Whether `count` matrices of the pairs' products are kept. Few coordinates are multiplied anew faster than
/// a matrix is read that is much larger than the cache.
template <class T> [[nodiscard]] bool keeps_products(Costs wish, int count, const DevicePairs<T>& pairs) {
  constexpr double narrow = 128.0 * 1024 * 1024, wide = 1024.0 * 1024 * 1024;
  if (wish != Costs::automatic) return wish == Costs::stored;
  const auto [n, m, d] = pairs.extents();
  return count * static_cast<double>(sizeof(T)) * static_cast<double>(n) * static_cast<double>(m) <=
         (d <= 16 ? narrow : wide);
}

/// The schedule of `anneal` for a device that goes on by itself: run(eps, most, enough) does one round at
/// least, at most `most`, none after a residual of `enough`, and gives what it used and the last residual.
template <class F>
[[nodiscard]] std::pair<double, int> anneal_in_runs(const SinkhornOptions& options, double range,
                                                    double tolerance, F&& run) {
  constexpr int rounds = 5;
  int used = 0;
  for (int k = stages(options, range); k > 0; --k)
    for (int left = std::min(rounds, options.max_iterations - 1 - used); left > 0;) {
      const auto done = run(stage(options, k), left, rough);
      used += done.used, left -= done.used;
      if (done.residual <= rough) break;
    }
  for (;;) {
    const auto done = run(options.epsilon, options.max_iterations - used, tolerance);
    used += done.used;
    if (is_missing(done.residual))
      throw NumericalError(sbi::text("sinkhorn: a potential is not a number after ", used,
                                     " iterations at epsilon = ", options.epsilon));
    if (done.residual <= tolerance || used >= options.max_iterations) return {done.residual, used};
  }
}

template <class T> [[nodiscard]] DeviceMarginal<T> marginal_of(const Weights<T>& weights, double price) {
  return {weights.value.data(), weights.log.data(), weights.mass, price};
}
template <class T>
[[nodiscard]] double mean_cost(const DeviceForm<T>& cost, const Weights<T>& a, const Weights<T>& b) {
  const double mean = cost.pairs().mean(a.value.data(), a.mass, b.value.data(), b.mass);
  return mean > 0 ? mean : 1;
}
template <class B, class T>
[[nodiscard]] double checked_range(const B&, const DeviceForm<T>& cost, const Weights<T>&,
                                   const Weights<T>&) {
  return cost.pairs().range();
}
/// For drivers that keep their potentials on the host.
template <class B, class T>
void softmin(const B&, const DeviceForm<T>& cost, std::type_identity_t<std::span<const T>> log_b,
             std::type_identity_t<std::span<const T>> g, double eps, std::type_identity_t<std::span<T>> out) {
  cost.pairs().softmin(log_b.data(), g.data(), eps, out.data());
}

/// The same rounds as for costs on the host (see sinkhorn.hpp).
template <class B, class T>
[[nodiscard]] SinkhornResult<T> alternate(const B& be, const DeviceForm<T>& cost, const Weights<T>& a,
                                          const Weights<T>& b, SinkhornOptions options,
                                          const std::vector<T>* start) {
  const double tolerance = tolerance_of<T>(options), range = checked_range(be, cost, a, b);
  SinkhornResult<T> out;
  begin("f", out.f, a.value.size(), start, options);
  out.g.resize(b.value.size());
  DevicePotentials<T> potentials(cost.pairs(), marginal_of(a, options.rho_a), marginal_of(b, options.rho_b),
                                 out.f.data(), keeps_products(options.costs, 2, cost.pairs()));
  std::tie(out.residual, out.iterations) =
      anneal_in_runs(options, range, tolerance, [&](double eps, int most, double enough) {
        const auto done = potentials.alternate({eps, most, enough, eps == options.epsilon ? rough : 0});
        out.mass = done.mass;
        return done;
      });
  potentials.read(out.f.data(), out.g.data());
  out.converged = out.residual <= tolerance;
  out.value = side(a, out.f, options.rho_a) + side(b, out.g, options.rho_b) -
              options.epsilon * (out.mass - a.mass * b.mass);
  return out;
}
template <class B, class T>
[[nodiscard]] SinkhornResult<T> symmetrise(const B&, const DeviceForm<T>& cost, const Weights<T>& a,
                                           SinkhornOptions options, const std::vector<T>* start) {
  const double tolerance = tolerance_of<T>(options);
  SinkhornResult<T> out;
  begin("f", out.f, a.value.size(), start, options);
  options.scaling = 1; // no schedule, so no range
  DevicePotentials<T> potentials(cost.pairs(), marginal_of(a, options.rho_a), out.f.data(),
                                 keeps_products(options.costs, 1, cost.pairs()));
  std::tie(out.residual, out.iterations) =
      anneal_in_runs(options, 0, tolerance, [&](double eps, int most, double enough) {
        const auto done = potentials.symmetrise({eps, most, enough, 0});
        out.mass = done.mass;
        return done;
      });
  potentials.read(out.f.data(), nullptr);
  out.converged = out.residual <= tolerance;
  out.value = 2 * side(a, out.f, options.rho_a) - options.epsilon * (out.mass - a.mass * a.mass);
  out.g = out.f;
  return out;
}

template <class B, class C, class T>
void add_plan_gradient(const B&, const C&, const DeviceForm<T>& form, View<const T> x, View<const T>,
                       const std::vector<T>& left, const std::vector<T>& right, double eps, T sign,
                       Tensor<T>& out) {
  static_assert(device_cost<C> != DeviceCost::other,
                "sbi: gradients on the GPU are there for SquaredEuclidean and Cosine");
  Tensor<T> gradient(x.shape);
  form.pairs().plan_gradient(left.data(), right.data(), eps, gradient.data());
  T* to = out.data();
  const T* from = gradient.data();
  for (index_t i = 0; i < x.size(); ++i) to[i] += sign * from[i];
}
} // namespace detail

/// Entropic transport between points x [n, d] and y [m, d] with weights a and b (empty: uniform). Options,
/// results, start and errors are those of `sinkhorn` on the host; CudaError when a call of the CUDA runtime
/// fails. Costs::recomputed takes O(n + m) memory, Costs::stored two matrices on the device, automatic what
/// is faster with at most 1 GiB. The same bits from run to run on one kind of device. In float, potentials
/// agree with those of the host to about 1e-6 of the largest cost, besides what the tolerance leaves open.
template <class B, class C, class T = typename B::compute_t>
requires Cost<C, T> && OnDevice<B>
[[nodiscard]] SinkhornResult<T> sinkhorn(const B& be, const C& cost, std::type_identity_t<View<const T>> x,
                                         std::type_identity_t<View<const T>> y,
                                         std::type_identity_t<std::span<const T>> a,
                                         std::type_identity_t<std::span<const T>> b,
                                         const SinkhornOptions& options,
                                         const SinkhornResult<T>* start = nullptr) {
  static_assert(DotFormCost<C, T>, "sbi: transport on the GPU needs a cost with a dot_form");
  const auto [on_x, on_y] = detail::device_clouds<C, T>(be, "sinkhorn", x, y);
  const auto [wa, wb] = detail::checked_weights<T>(a, b, x.rows(), y.rows(), options);
  const detail::DeviceForm<T> form = on_x.form(cost, on_y);
  return detail::alternate<B, T>(be, form, wa, wb, options, start ? &start->f : nullptr);
}

/// The problem between a cloud x [n, d] and itself: f = g, both marginals priced `rho_a`. Throws as
/// `sinkhorn` does.
template <class B, class C, class T = typename B::compute_t>
requires Cost<C, T> && OnDevice<B>
[[nodiscard]] SinkhornResult<T> sinkhorn_self(const B& be, const C& cost,
                                              std::type_identity_t<View<const T>> x,
                                              std::type_identity_t<std::span<const T>> a,
                                              const SinkhornOptions& options,
                                              const SinkhornResult<T>* start = nullptr) {
  static_assert(DotFormCost<C, T>, "sbi: transport on the GPU needs a cost with a dot_form");
  detail::check(options);
  const detail::DeviceInput<C, T> points(be, "sinkhorn", "x", x);
  const Weights<T> weights("a", a, x.rows());
  const detail::DeviceForm<T> form = points.form(cost, points);
  return detail::symmetrise<B, T>(be, form, weights, options, start ? &start->f : nullptr);
}

/// Sinkhorn divergence between clouds, its gradients by points and weights, as `sinkhorn_divergence` on the
/// host. Throws what that throws, and CudaError when a call of the CUDA runtime fails.
template <class B, class C, class T = typename B::compute_t>
requires OnDevice<B>
[[nodiscard]] Divergence<T>
sinkhorn_divergence(const B& be, const C& cost, std::type_identity_t<View<const T>> x,
                    std::type_identity_t<View<const T>> y, std::type_identity_t<std::span<const T>> a,
                    std::type_identity_t<std::span<const T>> b, const DivergenceOptions& options,
                    const Divergence<T>* start = nullptr) {
  static_assert(DotFormCost<C, T>, "sbi: transport on the GPU needs a cost with a dot_form");
  const SinkhornOptions& run = options.sinkhorn;
  detail::check_prices(run);
  const auto [on_x, on_y] = detail::device_clouds<C, T>(be, "sinkhorn divergence", x, y);
  auto [wa, wb] = detail::checked_weights<T>(a, b, x.rows(), y.rows(), run);
  const detail::DeviceForm<T> xy = on_x.form(cost, on_y), xx = on_x.form(cost, on_x),
                              yy = on_y.form(cost, on_y);
  return detail::divergence<B, C, T>(be, cost, x, y, xy, xx, yy, std::move(wa), wb, run, options, start);
}

} // namespace sbi::ot
