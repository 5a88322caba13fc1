// SPDX-License-Identifier: MIT
// expect: sbi: fit needs a Dataset or a simulator
#include <sbi/inference/simformer.hpp>

struct NotASimulator {};

int main() {
  sbi::Simformer<> model(sbi::Cpu<>(1), sbi::Nodes{{"a"}, {{}}, 1});
  (void)sbi::fit(model, NotASimulator{});
}
