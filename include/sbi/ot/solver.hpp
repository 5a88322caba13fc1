// SPDX-License-Identifier: MIT
// The choice of a solver, where a problem has several.
#pragma once
#include <sbi/ot/fused.hpp>

#include <span>

namespace sbi::ot {

enum class Solver {
  exact,    ///< network simplex; for distortions conditional gradients
  entropic, ///< Sinkhorn; for distortions mirror descent
  proximal  ///< for distortions alone: proximal points, without entropy in the objective
};

/// Fused Gromov-Wasserstein transport by `exact_fused`, `entropic_fused` or `proximal_fused`, which say what
/// the arguments are and what is thrown.
template <class B, DistortionLoss L = SquareLoss, class T = typename B::compute_t>
[[nodiscard]] FusedResult<T>
fused_transport(const B& be, Solver solver, std::type_identity_t<View<const T>> cost,
                std::type_identity_t<View<const T>> x, std::type_identity_t<View<const T>> y,
                std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                const FusedOptions& options, const L& loss = {},
                std::type_identity_t<View<const T>> start = {}) {
  switch (solver) {
  case Solver::entropic:
    return entropic_fused(be, cost, x, y, a, b, options, loss, start);
  case Solver::proximal:
    return proximal_fused(be, cost, x, y, a, b, options, loss, start);
  case Solver::exact:
    break;
  }
  return exact_fused(be, cost, x, y, a, b, options, loss, start);
}

} // namespace sbi::ot
