// SPDX-License-Identifier: MIT
// The trainings of a program: named, resumable, reported.
#pragma once
#include "program.hpp"

#include <sbi/inference/domain_objective.hpp>

namespace example {

class Trainings {
public:
  explicit Trainings(const Common& common) : folder_(common.output) {}

  /// Trains a model. Its state goes to a file of that name: a program that was killed goes on from there.
  template <class Model>
  void fit(const std::string& name, Model& model, const sbi::DomainData& data,
           const sbi::Alignment& alignment, sbi::FitOptions options) {
    std::fprintf(stderr, "%s\n", name.c_str());
    std::string file = name + ".checkpoint";
    std::replace(file.begin(), file.end(), ' ', '_');
    states_.push_back(folder_ / file);
    options.checkpoint = states_.back().string();
    sbi::AlignmentLosses losses;
    const sbi::FitReport fitted = sbi::fit(model, data, alignment, options, &losses);
    // Steps whose transport missed its tolerance took place without it: were they many, the adaptation is not
    // what its weights say.
    if (losses.unconverged > 0)
      std::fprintf(stderr, "  transport missed its tolerance in %td of %td steps, which went without it\n",
                   losses.unconverged, fitted.steps);
    sbi::io::Results one;
    one.set("seconds", fitted.seconds).set("steps", fitted.steps).set("stopped_early", fitted.stopped_early);
    one.set("contrastive", losses.contrastive).set("transport", losses.transport).set("pairs", losses.pairs);
    results_.set(name, one.set("steps_without_transport", losses.unconverged));
  }
  [[nodiscard]] const sbi::io::Results& results() const { return results_; }
  /// For the end of a program that has written all it had to.
  void remove_states() const {
    for (const auto& path : states_) std::filesystem::remove(path);
  }

private:
  std::filesystem::path folder_;
  std::vector<std::filesystem::path> states_;
  sbi::io::Results results_;
};

} // namespace example
