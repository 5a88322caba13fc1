// SPDX-License-Identifier: MIT
// What the compiled library sbi::cuda does for entropic transport, behind plain pointers to memory of the
// host.
#pragma once
#include <sbi/backend/cuda.hpp>

#include <memory>
#include <utility>

namespace sbi::ot::detail {

/// Points on the device with the offset that the cost has for each of them.
template <class T> struct DeviceCloud;

/// Points as they are given.
template <class T> class DevicePoints {
public:
  /// points [n, d] are copied, n > 0.
  DevicePoints(const Cuda<T>& be, const T* points, index_t n, index_t d);
  [[nodiscard]] bool all_finite() const;
  [[nodiscard]] const DeviceCloud<T>& cloud() const { return *cloud_; }

private:
  std::shared_ptr<const DeviceCloud<T>> cloud_;
};

/// Costs whose dot-product form is made on the device, as their `dot_form` on the host makes it.
enum class DeviceCost : char { other, squared_euclidean, cosine };

/// Costs C_ij = alpha_i + beta_j - <q_i, k_j> between points on the device. Lives no longer than its backend.
template <class T> class DevicePairs {
public:
  /// q [n, d], k [m, d], alpha [n], beta [m] are copied.
  DevicePairs(const Cuda<T>& be, const T* q, const double* alpha, index_t n, const T* k, const double* beta,
              index_t m, index_t d);
  /// Between points of the same number of coordinates, for a cost that is not `other`.
  DevicePairs(const Cuda<T>& be, DeviceCost cost, const DevicePoints<T>& x, const DevicePoints<T>& y);
  [[nodiscard]] DevicePairs transposed() const { return {*context_, cost_, keys_, queries_}; }

  /// Rows, columns, coordinates.
  struct Extents {
    index_t n, m, d;
  };
  [[nodiscard]] Extents extents() const;
  /// An upper bound of max - min of the costs, the same as for a DotForm.
  [[nodiscard]] double range() const;
  /// sum_ij a_i b_j C_ij / (sum a sum b) for weights a [n] and b [m] of these sums.
  [[nodiscard]] double mean(const double* a, double mass_a, const double* b, double mass_b) const;
  /// out_i = -eps log sum_j exp(log_b_j + (g_j - C_ij) / eps), as the softmin of a matrix; `out` [n] is not
  /// read.
  void softmin(const T* log_b, const T* g, double eps, T* out) const;
  /// sums_i = sum_j P_ij and weighted_i = sum_j P_ij k_j [n, d] of P_ij = exp(left_i + right_j - C_ij / eps).
  void apply_plan(const T* left, const T* right, double eps, T* sums, T* weighted) const;
  /// out_i = sum_j P_ij dC_ij / dx_i [n, d] by the points of the rows, for a cost that is not `other`.
  void plan_gradient(const T* left, const T* right, double eps, T* out) const;

  [[nodiscard]] sbi::detail::CudaContext& context() const { return *context_; }
  [[nodiscard]] const DeviceCloud<T>& queries() const { return *queries_; }
  [[nodiscard]] const DeviceCloud<T>& keys() const { return *keys_; }

private:
  DevicePairs(sbi::detail::CudaContext& context, DeviceCost cost,
              std::shared_ptr<const DeviceCloud<T>> queries, std::shared_ptr<const DeviceCloud<T>> keys)
      : context_(&context), cost_(cost), queries_(std::move(queries)), keys_(std::move(keys)) {}

  sbi::detail::CudaContext* context_;
  DeviceCost cost_ = DeviceCost::other;
  std::shared_ptr<const DeviceCloud<T>> queries_, keys_;
};

/// One marginal: weights and their logarithms (minus infinity for 0), their sum, the price of leaving them.
template <class T> struct DeviceMarginal {
  const double* value;
  const T* log;
  double mass, price;
};

/// The potentials of one problem, which stay on the device from round to round.
template <class T> class DevicePotentials {
public:
  /// Between two clouds, from the potential f [n]. `stored`: the products <q_i, k_j> are kept, row by row and
  /// column by column.
  DevicePotentials(const DevicePairs<T>& cost, const DeviceMarginal<T>& a, const DeviceMarginal<T>& b,
                   const T* f, bool stored);
  /// Between a cloud and itself.
  DevicePotentials(const DevicePairs<T>& cost, const DeviceMarginal<T>& a, const T* f, bool stored);
  ~DevicePotentials();
  DevicePotentials(DevicePotentials&&) noexcept;

  /// Rounds to do, and when to stop before.
  struct Wish {
    double eps;
    int most;      ///< rounds, > 0
    double enough; ///< residual that ends them
    double linear; ///< residual below which rounds are extrapolated; 0: none
  };
  /// What the last round of them found: first-order error of f relative to the mass of a, and the mass of the
  /// plan (see SinkhornResult).
  struct Rounds {
    int used;
    double residual, mass;
  };
  /// Each round takes over the f of the round before, extrapolated where that is asked for, then updates g
  /// and finds the next f. May end early, after one round at least.
  Rounds alternate(const Wish& wish);
  /// Each round takes over the mean of f and its softmin of the round before, and finds the next softmin.
  Rounds symmetrise(const Wish& wish);
  /// f [n] and g [m] (not for a cloud and itself) of the last round's plan.
  void read(T* f, T* g) const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace sbi::ot::detail
