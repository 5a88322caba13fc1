// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/denormals.hpp>
#include <sbi/inference/fit_options.hpp>
#include <sbi/inference/training_state.hpp>
#include <sbi/nn/adamw.hpp>
#include <sbi/nn/clip.hpp>
#include <sbi/nn/ema.hpp>
#include <sbi/nn/schedule.hpp>

#if __has_include(<nlohmann/json.hpp>)
#include <sbi/inference/checkpoint.hpp>
#define SBI_HAS_CHECKPOINT 1
#else
#define SBI_HAS_CHECKPOINT 0
#endif

#include <chrono>
#include <cstdio>
#include <unistd.h>

namespace sbi {

/// What is trained. A step is cut into `chunks()` micro-batches; `chunk` runs one forward and backward on a
/// tape of the parameters and returns its share of the loss. `prepare` comes before the chunks of a step,
/// with the parameters that they will see: it draws the batch and computes losses that couple all rows.
/// `validation_loss` is a deterministic function of the parameters (NaN: nothing is held out). `fingerprint`
/// names model and data.
template <class O, class B>
concept Objective = requires(O& o, B& be, Tape<B>& tape, const std::vector<typename B::param_t>& values,
                             index_t n) {
  o.prepare(be, values, n);
  { o.chunks() } -> std::convertible_to<index_t>;
  { o.chunk(tape, n, n) } -> std::convertible_to<double>;
  { o.validation_loss(be, values) } -> std::convertible_to<double>;
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

} // namespace detail

/// AdamW on an objective with warm-up and cosine decay, clipping, parameter averaging, validation and early
/// stop. On return the parameters are the averaged ones of the best validation (the last ones without
/// validation). With a checkpoint file, the state is written every so often and a run that finds the file
/// goes on from it to the same bits as one that was never interrupted. Throws NumericalError for a loss that
/// is not finite, FileError for a checkpoint that cannot be used.
template <Backend B, class O>
FitReport train(B& backend, nn::Parameters<typename B::param_t>& parameters, O& objective,
                const FitOptions& options) {
  using T = typename B::param_t;
  static_assert(Objective<O, B>,
                "sbi: an objective needs prepare(backend, values, step), chunks(), chunk(tape, step, i), "
                "validation_loss(backend, values) and fingerprint()");
  options.check();
  nn::AdamW<T> optimiser(parameters);
  nn::Ema<T> average(parameters.values(), options.average);
  TrainingState<T> state;
  state.fingerprint = sbi::text(
      objective.fingerprint(), " seed=", static_cast<index_t>(options.seed), " steps=", options.steps,
      " batch=", options.batch, " learning_rate=", options.learning_rate, " warmup=", options.warmup,
      " clip=", options.clip, " average=", options.average, " validation=", options.validation,
      " validate_every=", options.validate_every, " train_only=", options.train_only,
      " slots=", options.gradient_slots,
      " start=", static_cast<index_t>(detail::checksum(std::span<const T>(parameters.values())) >> 1));
  state.best = parameters.values();

  FitReport report;
#if SBI_HAS_CHECKPOINT
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
#else
  if (!options.checkpoint.empty())
    throw Error("fit: checkpoints need nlohmann-json, which was not found when this program was built");
  const auto save = [] {};
#endif

  const nn::WarmupCosine rate{options.learning_rate, options.warmup, options.steps};
  const auto slots = static_cast<std::size_t>(options.gradient_slots);
  std::vector<std::vector<T>> partial(slots, std::vector<T>(parameters.values().size()));
  std::vector<double> losses;
  const std::vector<T> initial = parameters.values();
  std::vector<std::pair<index_t, index_t>> frozen;
  for (const auto& e : parameters.entries())
    if (e.name.find(options.train_only) == std::string::npos)
      frozen.emplace_back(e.at.offset, e.at.offset + e.at.shape.size());
  if (frozen.size() == parameters.entries().size())
    throw ValueError(
        sbi::text("fit: no parameter's name holds '", options.train_only, "'; nothing would be trained"));
  detail::ProgressLine progress(options.progress, state.step, options.steps);
  double smooth_loss = 0, smooth_weight = 0;
  double best = state.validation.empty()
                    ? std::numeric_limits<double>::infinity()
                    : *std::min_element(state.validation.begin(), state.validation.end());

  while (state.step < options.steps && !state.stopped_early) {
    objective.prepare(backend, parameters.values(), state.step);
    const index_t chunks = objective.chunks();
    losses.assign(static_cast<std::size_t>(chunks), 0.0);
    backend.for_each(options.gradient_slots, [&](index_t slot) {
      auto& gradient = partial[static_cast<std::size_t>(slot)];
      std::fill(gradient.begin(), gradient.end(), T{0});
      for (index_t i = slot; i < chunks; i += options.gradient_slots) {
        Tape<B> tape(backend, parameters.values().data(), gradient.data());
        losses[static_cast<std::size_t>(i)] = objective.chunk(tape, state.step, i);
      }
    });
    const FlushDenormals flush; // moments of gradients that have ended fade out
    auto& total = partial.front();
    for (std::size_t s = 1; s < slots; ++s)
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += partial[s][i];
    for (const auto& [begin, end] : frozen) std::fill(total.begin() + begin, total.begin() + end, T{0});
    double loss = 0;
    for (double l : losses) loss += l;
    const double norm = nn::clip_norm(total, options.clip);
    if (!std::isfinite(loss) || !std::isfinite(norm))
      throw NumericalError(sbi::text("fit: step ", state.step, " has loss ", loss, " and gradient norm ",
                                     norm, "; want finite numbers"));
    optimiser.step(parameters, total, rate(state.step));
    for (const auto& [begin, end] : frozen) // weight decay included
      std::copy(initial.begin() + begin, initial.begin() + end, parameters.values().begin() + begin);
    average.update(parameters.values());
    ++state.step;

    smooth_loss = 0.98 * smooth_loss + 0.02 * loss, smooth_weight = 0.98 * smooth_weight + 0.02;
    if (state.step % options.validate_every == 0 || state.step == options.steps) {
      const double held_out = objective.validation_loss(backend, average.average());
      if (std::isfinite(held_out)) {
        state.validation.push_back(held_out);
        state.stale = held_out < best ? 0 : state.stale + 1;
        if (held_out < best) best = held_out, state.best = average.average();
        state.stopped_early = state.stale >= options.patience;
      } else if (is_missing(held_out) && state.validation.empty()) { // nothing is held out
        state.best = average.average();
      } else {
        throw NumericalError(sbi::text("fit: the validation after step ", state.step, " is ", held_out,
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
  report.best_validation = best;
  report.validation = state.validation;
  return report;
}

} // namespace sbi
