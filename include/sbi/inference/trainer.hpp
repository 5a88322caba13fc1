// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/denormals.hpp>
#include <sbi/compiled.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/inference/checkpoint.hpp>
#include <sbi/inference/fit_options.hpp>
#include <sbi/inference/training_state.hpp>
#include <sbi/nn/adamw.hpp>
#include <sbi/nn/gradient_slots.hpp>
#include <sbi/nn/schedule.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <unistd.h>

namespace sbi {

/// What is trained. A step is cut into `chunks()` micro-batches; `chunk` runs one forward and backward on a
/// tape of the parameters and returns its share of the loss. `prepare` comes before the chunks of a step,
/// with the parameters that they will see: it draws the batch and computes losses that couple all rows.
/// `validation_loss` is a deterministic function of the parameters, or none where nothing is held out.
/// `fingerprint` names model and data. `blame(backend, values, step)`, where there is one, names a row of the
/// batch that `prepare` drew last whose own loss or gradient is not finite ("row 7"; empty: none).
template <class O, class B>
concept Objective = requires(O& o, B& be, Tape<B>& tape, const std::vector<typename B::param_t>& values,
                             index_t n) {
  o.prepare(be, values, n);
  { o.chunks() } -> std::convertible_to<index_t>;
  { o.chunk(tape, n, n) } -> std::convertible_to<double>;
  { o.validation_loss(be, values) } -> std::convertible_to<std::optional<double>>;
  { o.fingerprint() } -> std::convertible_to<std::string>;
};

namespace detail {

/// Progress on standard error with the time left: one line rewritten on a terminal, a new line now and then
/// in a log.
class ProgressLine {
public:
  ProgressLine(bool on, index_t first, index_t total)
      : on_(on), terminal_(isatty(fileno(stderr)) != 0), first_(first), total_(total), begin_(Clock::now()),
        shown_(begin_) {}
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - begin_).count();
  }
  void show(index_t step, double loss, double validation) {
    const auto pause = std::chrono::milliseconds(terminal_ ? 500 : 20'000);
    if (!on_ || step == first_ || (step < total_ && Clock::now() - shown_ < pause)) return;
    shown_ = Clock::now();
    const double left = seconds() / static_cast<double>(step - first_) * static_cast<double>(total_ - step);
    std::fprintf(stderr, "%s  step %td of %td, loss %.4f", terminal_ ? "\r" : "", step, total_, loss);
    if (!is_missing(validation)) std::fprintf(stderr, ", validation %.4f", validation);
    std::fprintf(stderr, ", %.0f s left  %s", left, terminal_ && step < total_ ? "" : "\n");
    std::fflush(stderr);
  }

private:
  using Clock = std::chrono::steady_clock;
  bool on_, terminal_;
  index_t first_, total_;
  Clock::time_point begin_, shown_;
};

/// An objective of any type, so that the loop below is compiled once a backend.
template <class B> struct AnyObjective {
  using Values = std::vector<typename B::param_t>;
  virtual void prepare(B& backend, const Values& values, index_t step) = 0;
  virtual index_t chunks() = 0;
  virtual double chunk(Tape<B>& tape, index_t step, index_t i) = 0;
  virtual std::optional<double> validation_loss(B& backend, const Values& values) = 0;
  virtual std::string fingerprint() = 0;
  virtual std::string blame(B& backend, const Values& values, index_t step) = 0;

protected:
  ~AnyObjective() = default;
};
template <class B, class O> struct ObjectiveOf final : AnyObjective<B> {
  using typename AnyObjective<B>::Values;
  explicit ObjectiveOf(O& objective) : o(objective) {}
  void prepare(B& backend, const Values& values, index_t step) override { o.prepare(backend, values, step); }
  index_t chunks() override { return o.chunks(); }
  double chunk(Tape<B>& tape, index_t step, index_t i) override { return o.chunk(tape, step, i); }
  std::optional<double> validation_loss(B& backend, const Values& values) override {
    return o.validation_loss(backend, values);
  }
  std::string fingerprint() override { return o.fingerprint(); }
  std::string blame([[maybe_unused]] B& backend, [[maybe_unused]] const Values& values,
                    [[maybe_unused]] index_t step) override {
    if constexpr (requires { o.blame(backend, values, step); })
      return o.blame(backend, values, step);
    else
      return {};
  }
  O& o;
};

template <Backend B>
FitReport train_any(B& backend, nn::Parameters<typename B::param_t>& parameters, AnyObjective<B>& objective,
                    const FitOptions& options);

} // namespace detail

/// AdamW on an objective with warm-up and cosine decay, clipping, parameter averaging, validation and early
/// stop. On return the parameters are the averaged ones of the best validation (the last ones without
/// validation). With a checkpoint file, the state is written every so often and a run that finds the file
/// goes on from it to the same bits as one that was never interrupted. Throws NumericalError for a loss that
/// is not finite, FileError for a checkpoint that cannot be used.
template <Backend B, class O>
FitReport train(B& backend, nn::Parameters<typename B::param_t>& parameters, O& objective,
                const FitOptions& options) {
  static_assert(Objective<O, B>,
                "sbi: an objective needs prepare(backend, values, step), chunks(), chunk(tape, step, i), "
                "validation_loss(backend, values) and fingerprint()");
  detail::ObjectiveOf<B, O> any(objective);
  return detail::train_any(backend, parameters, any, options);
}

namespace detail {

template <Backend B>
FitReport train_any(B& backend, nn::Parameters<typename B::param_t>& parameters, AnyObjective<B>& objective,
                    const FitOptions& options) {
  using T = typename B::param_t;
  options.check();
  nn::AdamW<T> optimiser(parameters, {}, options.train_only);
  nn::Ema<T> average(parameters.values(), options.average);
  TrainingState<T> state;
  state.fingerprint = sbi::text(
      objective.fingerprint(), " seed=", static_cast<index_t>(options.seed), " steps=", options.steps,
      " batch=", options.batch, " learning_rate=", options.learning_rate, " warmup=", options.warmup,
      " clip=", options.clip, " average=", options.average, " validation=", options.validation,
      " validate_every=", options.validate_every, " patience=", options.patience,
      " train_only=", options.train_only, " slots=", options.gradient_slots,
      " start=", static_cast<index_t>(checksum(std::span<const T>(parameters.values())) >> 1));
  state.values = state.best = parameters.values();

  FitReport report;
  if (!options.checkpoint.empty() && load_training_state(options.checkpoint, state)) {
    parameters.values() = state.values;
    optimiser.first_moment() = state.first_moment, optimiser.second_moment() = state.second_moment;
    optimiser.steps() = state.optimiser_steps;
    average.average() = state.average, average.updates() = state.average_updates;
    report.resumed_from = state.step;
  }
  const auto save = [&] {
    if (options.checkpoint.empty()) return;
    state.values = parameters.values();
    state.first_moment = optimiser.first_moment(), state.second_moment = optimiser.second_moment();
    state.optimiser_steps = optimiser.steps();
    state.average = average.average(), state.average_updates = average.updates();
    save_training_state(options.checkpoint, state);
  };

  const nn::WarmupCosine rate{options.learning_rate, options.warmup, options.steps};
  PackedWeights<T> packed(parameters.matrices());
  nn::GradientSlots<T> gradients(options.gradient_slots, parameters, options.train_only);
  std::vector<double> losses;
  ProgressLine progress(options.progress, state.step, options.steps);
  double smooth_loss = 0, smooth_weight = 0;
  double best = state.validation.empty()
                    ? std::numeric_limits<double>::infinity()
                    : *std::min_element(state.validation.begin(), state.validation.end());

  while (state.step < options.steps && !state.stopped_early) {
    objective.prepare(backend, parameters.values(), state.step);
    const index_t chunks = objective.chunks();
    losses.assign(static_cast<std::size_t>(chunks), 0.0);
    packed.update(backend, parameters.values().data());
    backend.for_each(options.gradient_slots, [&](index_t slot) {
      T* gradient = gradients.cleared(slot);
      for (index_t i = slot; i < chunks; i += options.gradient_slots) {
        Tape<B> tape(backend, parameters.values().data(), gradient, &packed);
        losses[static_cast<std::size_t>(i)] = objective.chunk(tape, state.step, i);
      }
    });
    const double norm = gradients.reduce(backend);
    double loss = 0;
    for (double l : losses) loss += l;
    if (!std::isfinite(loss) || !std::isfinite(norm)) {
      const std::string row = objective.blame(backend, parameters.values(), state.step);
      throw NumericalError(sbi::text("fit: step ", state.step, " has loss ", loss, " and gradient norm ",
                                     norm, row.empty() ? "" : " from ", row, "; want finite numbers"));
    }
    optimiser.step(backend, parameters, gradients.total(), rate(state.step),
                   nn::clip_factor(norm, options.clip), &average);
    ++state.step;

    smooth_loss = 0.98 * smooth_loss + 0.02 * loss, smooth_weight = 0.98 * smooth_weight + 0.02;
    if (state.step % options.validate_every == 0 || state.step == options.steps) {
      const std::optional<double> held_out = objective.validation_loss(backend, average.average());
      if (!held_out) {
        state.best = average.average();
      } else if (is_finite(*held_out)) {
        state.validation.push_back(*held_out);
        state.stale = *held_out < best ? 0 : state.stale + 1;
        if (*held_out < best) best = *held_out, state.best = average.average();
        state.stopped_early = state.stale >= options.patience;
      } else {
        throw NumericalError(sbi::text("fit: the validation after step ", state.step, " is ", *held_out,
                                       "; want a finite number"));
      }
    }
    if (state.step % options.checkpoint_every == 0 || state.step == options.steps || state.stopped_early)
      save();
    progress.show(state.step, smooth_loss / smooth_weight,
                  state.validation.empty() ? std::numeric_limits<double>::quiet_NaN()
                                           : state.validation.back());
  }
  parameters.values() = state.best;
  report.steps = state.step;
  report.stopped_early = state.stopped_early;
  report.seconds = progress.seconds();
  if (!state.validation.empty()) report.best_validation = best;
  report.validation = state.validation;
  return report;
}

#ifdef SBI_COMPILED
extern template FitReport train_any(Cpu<float>&, nn::Parameters<float>&, AnyObjective<Cpu<float>>&,
                                    const FitOptions&);
#endif

} // namespace detail
} // namespace sbi
