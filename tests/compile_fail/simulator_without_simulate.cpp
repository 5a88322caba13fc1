// SPDX-License-Identifier: MIT
// expect: sbi: a simulator needs parameters, observables, sample_prior
#include <sbi/inference/simulator.hpp>

#include <string>
#include <vector>

struct NoSimulate {
  std::vector<std::string> parameters{"a"}, observables{"x"};
  void sample_prior(sbi::Rng&, std::span<double>) const {}
};

int main() { return static_cast<int>(sbi::joint(NoSimulate{}).size()); }
