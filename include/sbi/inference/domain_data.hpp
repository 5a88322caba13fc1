// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/inference/simulator.hpp>

namespace sbi {

/// What a domain-adaptive model learns from. Parts may be empty: no real stars, no pairs, or pairs only
/// (fine-tuning).
struct DomainData {
  Dataset simulated;                 ///< theta, x, sigma
  Tensor<double> real_x, real_sigma; ///< unlabelled real rows [n, observables]
  Dataset pairs;                     ///< real rows whose theta is known, in whole or in part (NaN: unknown)
  Tensor<double> partner_x, partner_sigma; ///< the same stars in the simulator, row by row with `pairs`
};

} // namespace sbi
