// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace sbi {

/// How to train. Everything here but `progress`, `checkpoint` and `checkpoint_every` shapes the result.
struct FitOptions {
  index_t simulations = 10'000; ///< drawn when `fit` is given a simulator
  index_t steps = 5'000;
  index_t batch = 512;
  double learning_rate = 2e-3; ///< peak of the schedule
  index_t warmup = 300;        ///< steps of linear warm-up; half a cosine follows
  double clip = 5;             ///< largest norm of a gradient
  double average = 0.999;      ///< decay of the parameter average that is returned
  double validation = 0.05;    ///< share of the rows held out
  index_t validate_every = 250;
  index_t patience = 6;   ///< validations without a better one before training stops early
  std::string train_only; ///< part of the names of the parameters to train, such as ".adapter"; empty: all
  std::uint64_t seed = 1;
  index_t gradient_slots =
      8; ///< partial gradients that tasks add to; fixed, so that bits do not depend on threads

  bool progress = true;           ///< a line with the time left on standard error
  std::string checkpoint;         ///< file of the training state; resumes from it when it exists; empty: none
  index_t checkpoint_every = 500; ///< steps

  /// Throws ValueError naming the first setting out of range.
  void check() const {
    const auto want = [](bool ok, const char* name, auto value, const char* range) {
      if (!ok) throw ValueError(sbi::text("fit: ", name, " = ", value, "; want ", range));
    };
    want(simulations > 0, "simulations", simulations, "at least 1");
    want(steps > 0, "steps", steps, "at least 1");
    want(batch > 0, "batch", batch, "at least 1");
    want(learning_rate > 0, "learning_rate", learning_rate, "a positive number");
    want(warmup >= 0, "warmup", warmup, "0 or more");
    want(clip > 0, "clip", clip, "a positive number");
    want(average >= 0 && average < 1, "average", average, "0 <= average < 1");
    want(validation >= 0 && validation < 1, "validation", validation, "0 <= validation < 1");
    want(validate_every > 0, "validate_every", validate_every, "at least 1");
    want(patience > 0, "patience", patience, "at least 1");
    want(gradient_slots > 0, "gradient_slots", gradient_slots, "at least 1");
    want(checkpoint_every > 0, "checkpoint_every", checkpoint_every, "at least 1");
  }
};

/// What training did.
struct FitReport {
  index_t steps = 0;        ///< done in all, those before a resume included
  index_t resumed_from = 0; ///< step at which this call took over; 0: started afresh
  bool stopped_early = false;
  double seconds = 0;               ///< of this call
  double best_validation = missing; ///< NaN where nothing is held out
  std::vector<double> validation;   ///< loss at every validation
};

} // namespace sbi
