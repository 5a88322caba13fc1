// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/inference/alignment.hpp>
#include <sbi/inference/domain_adaptation.hpp>
#include <sbi/inference/domain_data.hpp>
#include <sbi/inference/domain_rows.hpp>
#include <sbi/inference/trainer.hpp>
#include <sbi/inference/training_rows.hpp>

#include <numeric>
#include <optional>

namespace sbi {

/// Score matching on simulated and paired real rows, and the losses that couple all rows of a batch, in two
/// passes: (1) encoders run a micro-batch at a time without a tape and write Z of the whole batch; (2) the
/// coupled losses on Z, on a tape of their own, give dZ; (3) micro-batches run encoders and score network
/// forward and backward with dZ added at Z. So memory stays that of a micro-batch and the bits do not depend
/// on threads.
template <Backend B, diffusion::Sde S> class DomainObjective {
public:
  using T = typename B::param_t;
  using Model = DomainAdaptive<B, S>;

  DomainObjective(Model& model, const DomainData& data, const Alignment& alignment, const FitOptions& options)
      : model_(model), alignment_(alignment), simulated_(model, data.simulated),
        real_(model, data.real_x, data.real_sigma), pairs_(model, data.pairs),
        partners_(model, data.partner_x, data.partner_sigma),
        split_(pairs_.size() > 0 ? pairs_.size() : simulated_.size(), options.validation),
        rng_(Rng(options.seed).split(2)),
        rows_a_chunk_(
            std::max<index_t>(1, nn::rows_a_task / (model.nodes().parameters + model.encoders().tokens()))) {
    if (split_.train.empty()) throw ValueError("fit: neither simulated rows nor pairs; want one of them");
    if (pairs_.size() != partners_.size() && partners_.size() > 0)
      throw ShapeError(
          sbi::text("fit: ", pairs_.size(), " pairs and ", partners_.size(), " partners; want as many"));
    const auto everything = [](index_t n) {
      std::vector<index_t> all(static_cast<std::size_t>(n));
      std::iota(all.begin(), all.end(), 0);
      return all;
    };
    const Rng order = Rng(options.seed).split(1);
    const bool couples = alignment.contrastive > 0 || alignment.transport > 0;
    const auto part = [&](Kind kind, std::vector<index_t> rows, index_t batch, std::uint64_t stream) {
      if (!rows.empty())
        parts_.push_back({kind, detail::BatchOrder(std::move(rows), batch, order.split(stream)), 0, {}});
    };
    const bool judged_by_pairs = pairs_.size() > 0;
    if (simulated_.size() > 0)
      part(Kind::simulated, judged_by_pairs ? everything(simulated_.size()) : split_.train, options.batch, 0);
    if (couples) part(Kind::real, everything(real_.size()), alignment.real_batch, 1);
    const index_t pair_batch = simulated_.size() > 0 ? alignment.pair_batch : options.batch;
    if (judged_by_pairs) part(Kind::pair, split_.train, pair_batch, 2);
    if (partners_.size() > 0 && alignment.pairs > 0)
      part(Kind::partner, split_.train, pair_batch, 2); // the pairs' own order: row by row
    for (auto& p : parts_) p.first = rows_, rows_ += p.order.batch();
    const auto cut = [&](std::size_t k, index_t rows, std::vector<Chunk>& to) {
      for (index_t i = 0; i < parts_[k].order.batch(); i += rows)
        to.push_back({k, i, std::min(rows, parts_[k].order.batch() - i)});
    };
    constexpr index_t encoded_at_once = 64; // where no score follows; in chunks if that leaves no slot idle
    for (std::size_t k = 0; k < parts_.size(); ++k) {
      const index_t a_slot = (parts_[k].order.batch() + options.gradient_slots - 1) / options.gradient_slots;
      const index_t encoded = std::max(rows_a_chunk_, std::min(a_slot, encoded_at_once));
      cut(k, is_scored(parts_[k].kind) ? rows_a_chunk_ : encoded, chunks_);
      cut(k, encoded_at_once, blocks_);
    }
    ids_ = std::vector<std::int32_t>(static_cast<std::size_t>(model.nodes().parameters));
    std::iota(ids_.begin(), ids_.end(), 0);
  }

  void prepare(B& backend, const std::vector<T>& values, index_t step) {
    step_ = step;
    for (auto& p : parts_) {
      p.rows.resize(static_cast<std::size_t>(p.order.batch()));
      for (index_t i = 0; i < p.order.batch(); ++i)
        p.rows[static_cast<std::size_t>(i)] = p.order.row(step, i);
    }
    const double ramp = alignment_.ramp(step);
    const bool coupled = alignment_.contrastive > 0 || alignment_.transport > 0 || alignment_.pairs > 0;
    aligned_ = ramp > 0 && (coupled || translates());
    if (aligned_ && coupled) couple(backend, values, ramp);
  }
  [[nodiscard]] index_t chunks() const { return static_cast<index_t>(chunks_.size()); }
  double chunk(Tape<B>& tape, index_t step, index_t i) const {
    return rows_loss(tape, step, chunks_[static_cast<std::size_t>(i)]);
  }
  /// The first row of the batch whose loss or gradient is not finite by itself, with the noise of the step.
  [[nodiscard]] std::string blame(B& backend, const std::vector<T>& values, index_t step) const {
    std::vector<T> gradient(values.size());
    for (std::size_t k = 0; k < parts_.size(); ++k)
      for (index_t i = 0; i < parts_[k].order.batch(); ++i) {
        std::fill(gradient.begin(), gradient.end(), T{0});
        Tape<B> tape(backend, values.data(), gradient.data());
        if (!is_finite(rows_loss(tape, step, {k, i, 1})) ||
            !std::all_of(gradient.begin(), gradient.end(), [](T g) { return is_finite(g); }))
          return sbi::text(name(parts_[k].kind), " row ", parts_[k].rows[static_cast<std::size_t>(i)]);
      }
    return {};
  }
  /// The score loss on held-out rows, eight fixed draws each: of pairs where there are any, since they are
  /// real, of simulated rows otherwise.
  std::optional<double> validation_loss(B& backend, const std::vector<T>& values) const {
    if (split_.held_out.empty()) return std::nullopt;
    constexpr index_t repeats = 8;
    const index_t n = static_cast<index_t>(split_.held_out.size()),
                  a_pass = (n + rows_a_chunk_ - 1) / rows_a_chunk_;
    std::vector<double> losses(static_cast<std::size_t>(repeats * a_pass));
    backend.for_each(repeats * a_pass, [&](index_t i) {
      Tape<B> tape(backend, values.data());
      const bool pair = pairs_.size() > 0;
      const index_t first = i % a_pass * rows_a_chunk_, count = std::min(rows_a_chunk_, n - first);
      EncoderRows<T> rows = model_.encoders().rows(tape, count);
      for (index_t r = 0; r < count; ++r)
        write(rows, r, pair ? pairs_ : simulated_, split_.held_out[static_cast<std::size_t>(first + r)],
              pair);
      const Var<T> loss =
          score_loss(tape, pair, split_.held_out, first, count, rows, model_.encoders()(tape, rows),
                     rng_.split(0xC0FFEE + static_cast<std::uint64_t>(i / a_pass)));
      losses[static_cast<std::size_t>(i)] = static_cast<double>(loss.value.data[0]) / static_cast<double>(n);
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0) / repeats;
  }
  [[nodiscard]] std::string fingerprint() const {
    std::uint64_t data = 0;
    for (const auto* rows : {&simulated_, &real_, &pairs_, &partners_}) data = data * 31 + rows->checksum();
    return sbi::text("domain-adaptive data=", static_cast<index_t>(data >> 1),
                     detail::model_fingerprint(model_), model_.encoders().fingerprint(),
                     alignment_.fingerprint());
  }
  [[nodiscard]] const AlignmentLosses& losses() const { return losses_; }

private:
  using Kind = detail::RowKind;
  struct Part {
    Kind kind;
    detail::BatchOrder order;
    index_t first; ///< of its rows in the batch
    std::vector<index_t> rows;
  };
  struct Chunk {
    std::size_t part;
    index_t first, count;
  };
  using Rows = detail::DomainRows<T>;

  [[nodiscard]] const Rows& rows_of(Kind kind) const {
    return kind == Kind::simulated ? simulated_
           : kind == Kind::real    ? real_
           : kind == Kind::pair    ? pairs_
                                   : partners_;
  }
  void write(EncoderRows<T>& out, index_t at, const Rows& rows, index_t row, bool real_domain) const {
    model_.encoders().write(out, at, rows.x(row), rows.sigma(row), real_domain);
  }
  /// The loss of rows of one part, played back.
  double rows_loss(Tape<B>& tape, index_t step, const Chunk& c) const {
    const Part& p = parts_[c.part];
    if (!is_scored(p.kind) && !aligned_) return 0;
    EncoderRows<T> rows = encoder_rows(tape, p, c, p.kind);
    const bool priced = aligned_ && (p.kind == Kind::real || p.kind == Kind::pair);
    std::vector<Var<T>> moves;
    const Var<T> z = model_.encoders()(tape, rows, priced ? &moves : nullptr);
    if (aligned_ && gradient_.size() > 0)
      tape.seed(z, View<const T>(gradient_.row((p.first + c.first) * model_.encoders().tokens()), z.shape()));
    if (priced) price(tape, p, c, rows, moves);
    if (!is_scored(p.kind)) {
      tape.backward();
      return 0;
    }
    const Var<T> loss = score_loss(tape, p.kind == Kind::pair, p.rows, c.first, c.count, rows, z,
                                   rng_.split(static_cast<std::uint64_t>(step)).split(c.part));
    const bool alone = simulated_.size() == 0;
    const double share =
        (p.kind == Kind::pair && !alone ? alignment_.pair_score : 1.0) / static_cast<double>(p.rows.size());
    tape.backward(loss, static_cast<T>(share));
    return static_cast<double>(loss.value.data[0]) * share;
  }
  /// The rows of `kind` at the places of a part's chunk.
  EncoderRows<T> encoder_rows(Tape<B>& tape, const Part& p, const Chunk& c, Kind kind) const {
    EncoderRows<T> rows = model_.encoders().rows(tape, c.count);
    const Rows& from = rows_of(kind);
    const bool real_domain = kind == Kind::real || kind == Kind::pair;
    const bool thinned = (kind == Kind::pair || kind == Kind::partner) &&
                         (alignment_.survey_dropout > 0 || alignment_.value_dropout > 0);
    std::vector<T> x(static_cast<std::size_t>(from.observables()));
    for (index_t i = 0; i < c.count; ++i) {
      const index_t row = p.rows[static_cast<std::size_t>(c.first + i)];
      std::copy_n(from.x(row), from.observables(), x.begin());
      if (thinned)
        detail::drop_values(model_.encoders().modalities(), alignment_.survey_dropout,
                            alignment_.value_dropout, drops_of(c.first + i), x);
      model_.encoders().write(rows, i, x.data(), from.sigma(row), real_domain);
    }
    return rows;
  }
  /// The stream is that of the row in its batch: a star and its partner lose the same values.
  [[nodiscard]] Rng drops_of(index_t row) const {
    return rng_.split(0xD20).split(static_cast<std::uint64_t>(step_)).split(static_cast<std::uint64_t>(row));
  }

  Var<T> score_loss(Tape<B>& tape, bool pair, const std::vector<index_t>& rows, index_t first, index_t count,
                    const EncoderRows<T>& encoded, Var<T> z, const Rng& rng) const {
    const index_t p = model_.nodes().parameters, extra = model_.encoders().tokens();
    const Rows& from = pair ? pairs_ : simulated_;
    ScoreRows<T> batch(tape, model_.network(), count, p);
    std::vector<std::uint8_t> states(static_cast<std::size_t>(p + extra));
    const std::vector<std::uint8_t> all_parameters(static_cast<std::size_t>(p), 1);
    const std::vector<T> no_error(static_cast<std::size_t>(p), T{0});
    const double offset = Rng(rng).uniform();
    for (index_t i = 0; i < count; ++i) {
      const T* theta = from.theta(rows[static_cast<std::size_t>(first + i)]);
      Rng stream = rng.split(static_cast<std::uint64_t>(first + i));
      diffusion::mark_missing(View<const T>(theta, {1, p}), View<std::uint8_t>(states.data(), {1, p}));
      diffusion::draw_condition(model_.config().conditions, stream, all_parameters,
                                std::span(states.data(), static_cast<std::size_t>(p)));
      for (index_t k = 0; k < extra; ++k)
        states[static_cast<std::size_t>(p + k)] = model_.encoders().present(encoded, i, k)
                                                      ? diffusion::Node::conditioned
                                                      : diffusion::Node::missing;
      const double t = stratified_time(model_.sde(), offset, first + i, static_cast<index_t>(rows.size()));
      batch.set(i, model_.sde(), t, theta, no_error.data(), states, stream, T{1});
    }
    return batch.loss(tape, View<const std::int32_t>(ids_.data(), {p}), z);
  }

  [[nodiscard]] bool translates() const { return alignment_.translation > 0 && partners_.size() > 0; }
  /// Seeds w_D L_D, the mean square of what the adapters add to the real rows of a part, and w_T L_T, which
  /// takes its place for features of pairs: what they should add is known there.
  void price(Tape<B>& tape, const Part& p, const Chunk& c, const EncoderRows<T>& rows,
             const std::vector<Var<T>>& moves) const {
    const index_t surveys = model_.encoders().count();
    const double ramp = alignment_.ramp(step_), total = static_cast<double>(p.rows.size());
    const bool shown = p.kind == Kind::pair && translates();
    const EncoderRows<T> partners = shown ? encoder_rows(tape, p, c, Kind::partner) : EncoderRows<T>{};
    for (std::size_t k = 0; k < moves.size(); ++k) {
      const Shape shape = moves[k].shape();
      const std::size_t survey = k / 2;
      const bool translated = shown && k % 2 == 0;
      const double each =
          translated ? ramp * alignment_.translation / (total * static_cast<double>(pairs_.observables()))
                     : ramp * alignment_.displacement / (total * static_cast<double>(surveys * shape.cols()));
      if (!(each > 0)) continue;
      const View<T> wanted = tape.scratch(shape), weight = tape.scratch(shape);
      if (translated)
        SurveyEncoders::differences(rows, partners, survey, wanted);
      else
        std::fill_n(wanted.data, wanted.size(), T{0});
      for (index_t r = 0; r < shape.rows(); ++r)
        std::fill_n(weight.row(r), shape.cols(),
                    static_cast<T>(each) * rows.present.data[r * surveys + static_cast<index_t>(survey)]);
      const Var<T> cost = tape.apply(ops::WeightedSquares<T>{wanted, weight}, moves[k]);
      const T one{1};
      tape.seed(cost, View<const T>(&one, {1}));
    }
  }

  /// Passes (1) and (2): Z of the batch, the coupled losses, and their gradient.
  void couple(B& backend, const std::vector<T>& values, double ramp) {
    const index_t tokens = model_.encoders().tokens(), width = model_.encoders().width();
    if (z_.size() == 0) {
      z_ = Tensor<T>({rows_ * tokens, width}), gradient_ = Tensor<T>(z_.shape());
      present_ = Tensor<T>({tokens, rows_});
    }
    backend.for_each(static_cast<index_t>(blocks_.size()), [&](index_t i) {
      const Chunk& c = blocks_[static_cast<std::size_t>(i)];
      const Part& p = parts_[c.part];
      Tape<B> tape(backend, values.data());
      const EncoderRows<T> rows = encoder_rows(tape, p, c, p.kind);
      const Var<T> z = model_.encoders()(tape, rows);
      const index_t at = (p.first + c.first) * tokens;
      std::copy_n(z.value.data, z.value.size(), z_.row(at));
      std::fill_n(gradient_.row(at), z.value.size(), T{0});
      for (index_t r = 0; r < c.count; ++r)
        for (index_t k = 0; k < tokens; ++k)
          present_(k, p.first + c.first + r) = model_.encoders().present(rows, r, k) ? T{1} : T{0};
    });

    const auto range = [&](Kind kind) {
      for (const auto& p : parts_)
        if (p.kind == kind) return detail::RowRange{p.first, p.order.batch()};
      return detail::RowRange{};
    };
    const detail::BatchRanges ranges{range(Kind::simulated), range(Kind::real), range(Kind::pair),
                                     range(Kind::partner)};
    detail::coupled_losses(backend, alignment_, ramp, ranges, z_, present_, gradient_, losses_);
  }

  Model& model_;
  Alignment alignment_;
  Rows simulated_, real_, pairs_, partners_;
  detail::Split split_;
  Rng rng_;
  index_t rows_a_chunk_;
  std::vector<Part> parts_;
  std::vector<Chunk> chunks_, blocks_; ///< of the last pass, of the first
  index_t rows_ = 0;                   ///< of a batch, all parts
  std::vector<std::int32_t> ids_;
  Tensor<T> z_, gradient_, present_;
  index_t step_ = 0;
  bool aligned_ = false;
  AlignmentLosses losses_;
};

/// Trains or adapts a model. The standardisation is fitted to the simulated rows the first time and kept
/// after that, so that a trained model can be adapted. `losses`, where given, receives the coupled losses of
/// the last step of this call, zeros where a run that is resumed had none left to make. Throws ValueError for
/// options and weights out of range; see `train` for more.
template <Backend B, diffusion::Sde S>
FitReport fit(DomainAdaptive<B, S>& model, const DomainData& data, const Alignment& alignment,
              const FitOptions& options, AlignmentLosses* losses = nullptr) {
  options.check(), alignment.check();
  detail::fit_transforms(model, data.simulated);
  DomainObjective<B, S> objective(model, data, alignment, options);
  const FitReport report = train(model.backend(), model.parameters(), objective, options);
  if (losses) *losses = objective.losses();
  return report;
}

} // namespace sbi
