// SPDX-License-Identifier: MIT
// expect: sbi: model files know the diffusions VE, VP and SubVP
#include <sbi/inference/model_file.hpp>

struct Own {
  double alpha(double t) const { return ve.alpha(t); }
  double sigma(double t) const { return ve.sigma(t); }
  double drift(double t) const { return ve.drift(t); }
  double diffusion(double t) const { return ve.diffusion(t); }
  double time(double ratio) const { return ve.time(ratio); }
  double t_min() const { return ve.t_min(); }
  sbi::diffusion::VE ve = sbi::diffusion::VE();
};

int main() {
  const sbi::Simformer<sbi::Cpu<>, Own> model(sbi::Cpu<>(1), {{"a", "x"}, {{}, {}}, 1});
  sbi::save(model, "model");
}
