// SPDX-License-Identifier: MIT
// expect: sbi: an objective needs prepare(backend, values, step), chunks(), chunk(tape, step, i)
#include <sbi/inference/trainer.hpp>

struct NoChunk {
  void prepare(sbi::Cpu<>&, const std::vector<float>&, sbi::index_t) {}
  sbi::index_t chunks() const { return 1; }
  double validation_loss(sbi::Cpu<>&, const std::vector<float>&) const { return 0; }
  std::string fingerprint() const { return ""; }
};

int main() {
  sbi::Cpu<> cpu(1);
  sbi::nn::Parameters<float> parameters;
  NoChunk objective;
  (void)sbi::train(cpu, parameters, objective, {});
}
