// SPDX-License-Identifier: MIT
// expect: sbi: a simulator needs parameters, observables, sample_prior
#include <sbi/inference/simformer.hpp>

struct NotASimulator {};

int main() {
  sbi::Simformer<> model(sbi::Cpu<>(1), sbi::Nodes{{"a"}, {{}}, 1});
  (void)sbi::fit(model, NotASimulator{});
}
