// SPDX-License-Identifier: MIT
// expect: sbi: a simulator needs parameters, observables, sample_prior
#include <sbi/inference/simulator.hpp>

struct NoNames {
  void sample_prior(sbi::Rng&, std::span<double>) const {}
  void simulate(sbi::Rng&, std::span<const double>, std::span<double>) const {}
};

int main() { return static_cast<int>(sbi::simulate(sbi::Cpu<>(1), NoNames{}, 1, sbi::Rng(1)).rows()); }
