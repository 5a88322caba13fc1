// SPDX-License-Identifier: MIT
// Keypoint-guided transport as a loss: a solver for `ot::loss`.
#pragma once
#include <sbi/ot/keypoint.hpp>
#include <sbi/ot/loss.hpp>

#include <span>
#include <utility>

namespace sbi::ot {

/// The value of `keypoint_guided` for keypoints that outlive the tape; with a cost between the clouds these
/// are of one width. The option `gradients` is not read.
struct KeypointGuided {
  static constexpr const char* name = "keypoint-guided";
  std::span<const Keypoint> keypoints;
  KeypointOptions options;

  bool one_space() const { return options.form == KeypointForm::with_cost; }
  template <class B, class C, class T>
  LossResult<T> solve(const B& be, const C& cost, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    KeypointOptions run = options;
    run.gradients = true;
    KeypointResult<T> r = keypoint_guided(be, cost, x, y, keypoints, a, b, run);
    return {r.value, std::move(r.dx), std::move(r.dy), r.converged};
  }
};

} // namespace sbi::ot
