// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/concepts.hpp>

#include <concepts>

namespace sbi::forward {

/// The box around all stars that a model of evolution covers: log10 of initial mass [solar masses], log10 of
/// age [years], [M/H] [dex]. Outside it there is no star; inside it there need not be one: the hull itself is
/// where `state` gives a star.
struct EvolutionRange {
  double log_mass_min, log_mass_max, log_age_min, log_age_max, mh_min, mh_max;
};

/// A model of evolution that knows its box.
template <class E>
concept RangedEvolution = Evolution<E> && requires(const E& evolution) {
  { evolution.range() } -> std::same_as<EvolutionRange>;
};

} // namespace sbi::forward
