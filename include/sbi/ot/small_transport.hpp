// SPDX-License-Identifier: MIT
// Sinkhorn's algorithm for one small problem on one thread: the same iteration, schedule, acceleration and
// stopping rule as `sinkhorn`, with updates that move between the log and the kernel domain.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/ot/anderson.hpp>
#include <sbi/ot/potentials.hpp>
#include <sbi/ot/small_updates.hpp>

#include <optional>

namespace sbi::ot {

namespace detail {

template <class T, int N> class SmallTransport {
  using V = Vec<T, N>;
  using Side = SmallSide<T, N>;
  static constexpr double bound = Side::bound;
  // Iterations at the last epsilon before acceleration begins, and iterations a step of it: in the kernel
  // domain a step costs more than many of them.
  static constexpr int patience = 100, stride = 16;

public:
  /// For checked options. Throws ValueError for a cost as `sinkhorn` does, and for one that epsilon makes
  /// overflow.
  SmallTransport(Arena& arena, View<const T> cost, const Weights<T>& a, const Weights<T>& b,
                 const SinkhornOptions& options)
      : options_(options), a_(arena, a, cost.cols(), options.rho_a), b_(arena, b, cost.rows(), options.rho_b),
        tolerance_(tolerance_of<T>(options)), range_(load_cost(cost)) {
    T least = 0;
    for (const Side* x : {&a_, &b_})
      for (index_t i = 0; i < x->count; ++i)
        if (x->weight[i] > 0) least = std::min(least, x->log_weight[i]);
    use_kernel_ = options.domain == SinkhornDomain::automatic && !is_finite(options.rho_a) &&
                  !is_finite(options.rho_b) &&
                  static_cast<double>(least) > bound - Side::limit; // weight times scaling stays normal
  }

  /// Gives the number of iterations in the kernel domain. Throws NumericalError for a value that overflows.
  int solve(SinkhornResult<T>& out) {
    SinkhornOptions options = options_;
    for (;;) {
      const auto [residual, used] =
          anneal(options, range_, tolerance_, [&](double eps) { return iterate(eps); });
      out.iterations += used;
      finish(out);
      out.converged = out.residual <= tolerance_;
      options.max_iterations -= used;
      if (out.converged || options.max_iterations < 1) return kernel_iterations_;
      options.scaling = 1, use_kernel_ = false; // its rounding stood between the kernel and the tolerance
    }
  }

private:
  /// Copies the cost and its transpose; gives max - min of the finite entries.
  double load_cost(View<const T> cost) {
    bool finite = true; // by bits, which hold under -ffast-math
    V high(-Side::infinity), low(-Side::infinity);
    for (index_t i = 0; i < cost.rows(); ++i) {
      T* to = b_.cost + i * b_.padded;
      std::copy(cost.row(i), cost.row(i) + b_.count, to);
      for (index_t j = 0; j < b_.count; ++j) finite &= is_finite(to[j]);
      for (index_t j = 0; j < b_.count; j += N) {
        const V c = V::load(to + j);
        high = max(first_lanes(c, b_.count - j, -Side::infinity), high);
        low = max(first_lanes(-c, b_.count - j, -Side::infinity), low);
      }
    }
    double top = static_cast<double>(horizontal_max(high)),
           bottom = -static_cast<double>(horizontal_max(low));
    if (!finite) {
      check_entries(cost, a_.weights, b_.weights);
      top = std::numeric_limits<double>::lowest(), bottom = std::numeric_limits<double>::max();
      for (index_t i = 0; i < cost.rows(); ++i)
        for (index_t j = 0; j < cost.cols(); ++j)
          if (is_finite(cost(i, j))) {
            top = std::max(top, static_cast<double>(cost(i, j)));
            bottom = std::min(bottom, static_cast<double>(cost(i, j)));
          }
    }
    const double largest = std::max(std::abs(top), std::abs(bottom)) / options_.epsilon;
    if (!(largest < 0.01 * static_cast<double>(std::numeric_limits<T>::max())))
      throw ValueError(sbi::text("sinkhorn: cost / epsilon reaches ", largest, ", which overflows"));
    sbi::detail::transpose_into<T, N>({b_.cost, {cost.rows(), cost.cols()}, b_.padded}, a_.cost, a_.padded);
    return top - bottom;
  }

  /// `best_shift` of the potentials as they are, in units of epsilon log 2.
  [[nodiscard]] double shift() const {
    const auto log_mass_of = [&](const Side& x) {
      if (!is_finite(x.rho)) return std::log(x.weights.mass);
      return static_cast<double>(log_sum_exp_row(VectorRow<T, N>{x.count}, x.potential, x.weights.log.data(),
                                                 static_cast<T>(unit_ / x.rho)));
    };
    const double prices = (is_finite(a_.rho) ? 1 / a_.rho : 0) + (is_finite(b_.rho) ? 1 / b_.rho : 0);
    return prices > 0 ? (log_mass_of(a_) - log_mass_of(b_)) / (prices * unit_) : 0;
  }

  /// Makes the update that the last iteration has computed the present potential, every few iterations an
  /// accelerated one.
  void advance(bool last_epsilon) {
    const bool ready = last_epsilon && residual_ < rough && ++settled_ > patience;
    if (!ready) start_.clear();
    const bool step = ready && (start_.empty() || ++since_ == stride);
    if (!in_kernel_) {
      a_.damp(damping(a_.rho, eps_), 0);
      if (const double t = shift(); t != 0) a_.damp(damping(a_.rho, eps_), t);
      if (step) accelerate(a_.potential);
      return;
    }
    if (step) {
      a_.add_log(a_.fresh, a_.scratch);
      accelerate(a_.scratch);
      V outside(0);
      for (index_t i = 0; i < a_.padded; i += N) {
        const V u = exp2_bounded(V::load(a_.scratch + i) - V::load(a_.potential + i));
        u.store(a_.fresh + i);
        outside += out_of_bounds(u);
      }
      if (horizontal_max(outside) > 0) {
        std::copy(a_.scratch, a_.scratch + a_.padded, a_.potential);
        in_kernel_ = false, change_ = 0;
        return;
      }
    }
    a_.use_fresh();
  }
  void accelerate(T* next) {
    const auto n = static_cast<std::size_t>(a_.count);
    since_ = 0;
    if (!anderson_) anderson_.emplace(a_.weights.value, std::max(range_, options_.epsilon) / unit_);
    if (start_.empty()) {
      anderson_->restart();
      start_.assign(next, next + n);
    } else {
      anderson_->step(start_, std::span<const T>(next, n));
      std::copy(start_.begin(), start_.end(), next);
    }
  }
  /// Leaves the kernel domain. Psi is not needed, it follows from phi.
  void absorb() {
    a_.add_log(a_.scaling, a_.potential);
    in_kernel_ = false, change_ = 0;
  }
  void set_epsilon(double eps) {
    if (in_kernel_) absorb();
    const double ratio = eps_ / eps;
    for (index_t i = 0; i < a_.padded; ++i) {
      a_.potential[i] = static_cast<T>(ratio * static_cast<double>(a_.potential[i]));
      a_.soft[i] = static_cast<T>(ratio * static_cast<double>(a_.soft[i]));
    }
    for (index_t j = 0; j < b_.padded; ++j)
      b_.soft[j] = static_cast<T>(ratio * static_cast<double>(b_.soft[j]));
    eps_ = eps, unit_ = eps * std::log(2.0);
    change_ = is_finite(change_) ? change_ * ratio : range_ / unit_;
  }

  /// Potential g from f, then the f to come, which gives the residual of the present one.
  double iterate(double eps) {
    if (eps_ > 0) advance(eps == eps_ && eps == options_.epsilon);
    if (eps != eps_) set_epsilon(eps);
    const auto mean = [&](V error) { return static_cast<double>(horizontal_sum(error)) / a_.weights.mass; };
    const T scale = static_cast<T>(1 / unit_);
    V error(0), unused(0);
    if (in_kernel_) {
      bool good = kernel_step(b_, a_, unused);
      if (good) {
        b_.use_fresh();
        good = kernel_step(a_, b_, error);
      }
      if (good) return ++kernel_iterations_, residual_ = mean(error);
      absorb();
    }
    update_g();
    if (use_kernel_ && change_ <= bound) {
      build_kernel(a_, b_, scale);
      error = V(0);
      in_kernel_ = kernel_step(a_, b_, error);
      if (in_kernel_) return ++kernel_iterations_, residual_ = mean(error);
    }
    log_step(a_, b_, scale);
    error = V(0);
    V most(0);
    for (index_t i = 0; i < a_.padded; i += N) {
      const V phi = V::load(a_.potential + i);
      const V change = select(a_.present(i), phi - V::load(a_.soft + i), V(0));
      const V wanted_row = is_finite(a_.rho) ? exp2_bounded(V(-eps / a_.rho) * phi) : V(1);
      const V off = exp2_bounded(change) - wanted_row;
      error += V::load(a_.weight + i) * max(off, -off);
      most = max(max(change, -change), most);
    }
    change_ = static_cast<double>(horizontal_max(most));
    return residual_ = mean(error);
  }
  void update_g() {
    log_step(b_, a_, static_cast<T>(1 / unit_));
    b_.damp(damping(b_.rho, eps_), 0);
  }

  /// Potentials, residual, mass and value by an iteration in the log domain, whatever came before it.
  void finish(SinkhornResult<T>& out) {
    if (in_kernel_) {
      absorb();
      update_g();
      log_step(a_, b_, static_cast<T>(1 / unit_));
    }
    const auto in_cost_units = [&](const Side& x, const T* values, double factor, std::vector<T>& to) {
      to.resize(static_cast<std::size_t>(x.count));
      for (std::size_t i = 0; i < to.size(); ++i)
        to[i] = static_cast<T>(factor * unit_ * static_cast<double>(values[i]));
    };
    std::vector<T> exact;
    in_cost_units(a_, a_.soft, 1, exact);
    in_cost_units(a_, a_.potential, 1, out.f);
    in_cost_units(b_, b_.soft, damping(b_.rho, eps_), out.g);
    for (std::size_t i = 0; i < exact.size(); ++i)
      if (!(a_.weight[i] > 0))
        out.f[i] = static_cast<T>(damping(a_.rho, eps_) * static_cast<double>(exact[i]));
    out.residual = row_residual(a_.weights, out.f, exact, eps_, a_.rho, out.mass);
    out.value = side(a_.weights, out.f, a_.rho) + side(b_.weights, out.g, b_.rho) -
                eps_ * (out.mass - a_.weights.mass * b_.weights.mass);
    if (!is_finite(out.value))
      throw NumericalError(sbi::text("sinkhorn: the value is ", out.value, " after ", out.iterations,
                                     " iterations at epsilon = ", eps_));
  }

  SinkhornOptions options_;
  Side a_, b_;
  double tolerance_, range_, eps_ = 0;
  double unit_ = 0; ///< epsilon log 2, the unit of the potentials
  double residual_ = std::numeric_limits<double>::infinity();
  double change_ = residual_; ///< of log2 u, the largest in the last iteration
  bool use_kernel_ = false, in_kernel_ = false;
  int kernel_iterations_ = 0, settled_ = 0, since_ = 0;
  std::vector<T> start_; ///< where the present step of the acceleration began
  std::optional<Anderson<T>> anderson_;
};
} // namespace detail

} // namespace sbi::ot
