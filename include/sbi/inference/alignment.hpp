// SPDX-License-Identifier: MIT
// The losses that couple all rows of a batch through their embeddings.
#pragma once
#include <sbi/core/tensor.hpp>
#include <sbi/nn/schedule.hpp>
#include <sbi/ops/contrastive.hpp>
#include <sbi/ot/loss.hpp>

#include <algorithm>
#include <numeric>
#include <string>

namespace sbi {

/// Weights of the losses beside the score:
/// L = L_score + ramp (w_C L_C + w_OT L_OT + w_RS L_RS + w_T L_T + w_D L_D).
struct Alignment {
  /// w_C, L_C: InfoNCE between each survey's embedding and the pool, within each domain.
  double contrastive = 0.002;
  /// w_OT, L_OT: Sinkhorn divergence between the pooled embeddings of the domains, per dimension.
  double transport = 0.1;
  /// w_RS, L_RS: pair loss between the embeddings of a known star in both worlds, for each survey and the
  /// pool.
  double pairs = 0.1;
  /// Of L_RS: weight of the partners' squared distance beside the contrast with negatives.
  double attraction = 1;
  /// w_T, L_T: mean square, over all values of a paired row, of x + A(x) - partner, in standard deviations of
  /// the simulations. Shows the adapter of the features what separates the worlds, instead of letting it find
  /// out through the score. For partners that are the same star in all of theta: where a part of theta had to
  /// be drawn, the partner differs for reasons that are not the simulator's. The squares are small (1e-4 for
  /// 0.01), so a weight that matters is large.
  double translation = 0;
  /// w_D, L_D: mean square of what the adapters add to features and embeddings of real rows. The losses above
  /// cannot tell a small move from a large one that aligns as well; this one prefers what is near the
  /// simulator. It comes with them: without any of them it is not computed.
  double displacement = 1;
  double pair_score = 1; ///< weight of the score loss on paired real rows, relative to simulated rows
  /// Chance that a survey of a pair is left out of a step, and that a value is: the latter's rate is drawn
  /// for each row, uniform with this mean. Pairs are few and would be learnt by heart; what is inferred from
  /// fewer values is as true as what is inferred from all.
  double survey_dropout = 0.1, value_dropout = 0.15;
  index_t real_batch = 256, pair_batch = 128;
  double temperature = 0.1; ///< of both contrasts
  double epsilon = 0.05;    ///< entropic regularisation in units of the mean cost
  double rho = 1; ///< price of reweighting simulations in that unit: their population is not the real one
  nn::Ramp ramp{0, 500};

  [[nodiscard]] static Alignment none() {
    Alignment out;
    out.contrastive = out.transport = out.pairs = out.translation = out.displacement = 0;
    return out;
  }
  /// Throws ValueError naming the first setting out of range.
  void check() const {
    const auto want = [](bool ok, const char* name, auto value, const char* range) {
      if (!ok) throw ValueError(sbi::text("alignment: ", name, " = ", value, "; want ", range));
    };
    const auto weight = [&](const char* name, double value) {
      want(value >= 0 && is_finite(value), name, value, "a finite number, at least 0");
    };
    weight("contrastive", contrastive), weight("transport", transport), weight("pairs", pairs);
    weight("attraction", attraction), weight("translation", translation);
    weight("displacement", displacement), weight("pair_score", pair_score);
    want(survey_dropout >= 0 && survey_dropout < 1, "survey_dropout", survey_dropout,
         "0 <= survey_dropout < 1");
    want(value_dropout >= 0 && value_dropout <= 0.5, "value_dropout", value_dropout, "a mean of 0 to 0.5");
    want(real_batch > 0, "real_batch", real_batch, "at least 1");
    want(pair_batch > 0, "pair_batch", pair_batch, "at least 1");
    want(temperature > 0 && is_finite(temperature), "temperature", temperature, "a positive number");
    want(epsilon > 0 && is_finite(epsilon), "epsilon", epsilon, "a positive number");
    want(rho > 0, "rho", rho, "a positive number");
    want(ramp.length >= 0, "ramp.length", ramp.length, "0 or more");
  }
  /// All settings, for checkpoints.
  [[nodiscard]] std::string fingerprint() const {
    return sbi::text(" contrastive=", contrastive, " transport=", transport, " pairs=", pairs,
                     " pair_score=", pair_score, " real_batch=", real_batch, " pair_batch=", pair_batch,
                     " temperature=", temperature, " epsilon=", epsilon, " rho=", rho,
                     " displacement=", displacement, " attraction=", attraction, " translation=", translation,
                     " survey_dropout=", survey_dropout, " value_dropout=", value_dropout,
                     " ramp=", ramp.begin, "+", ramp.length);
  }
};

/// Values of the coupled losses at the last step.
struct AlignmentLosses {
  double contrastive = 0, transport = 0, pairs = 0;
  index_t unconverged = 0; ///< steps whose transport missed its tolerance and was left out
};

namespace detail {

/// Rows [first, first + count) of a batch; none where count is 0.
struct RowRange {
  index_t first = 0, count = 0;
};
/// Where the kinds of rows lie in a batch. Pairs and their partners correspond row by row.
struct BatchRanges {
  RowRange simulated, real, pair, partner;
};

/// The coupled losses of a batch and their gradient, times `ramp`, added to `gradient`. z and gradient are
/// [rows * tokens, width]: the surveys' embeddings of a row, then their pool; present [tokens, rows] tells
/// which exist. A transport problem that misses its tolerance is left out and counted: its gradient would be
/// wrong. The losses are tasks beside each other, each with loops of its own: transport has much that one
/// thread alone can do.
template <Backend B, class T = typename B::param_t>
void coupled_losses(B& backend, const Alignment& alignment, double ramp, const BatchRanges& ranges,
                    const Tensor<T>& z, const Tensor<T>& present, Tensor<T>& gradient,
                    AlignmentLosses& losses) {
  const index_t tokens = present.rows(), rows = present.cols(), width = z.cols(), surveys = tokens - 1;
  const Shape wide{rows, tokens * width}; // the tokens of a row side by side
  const auto part = [&](auto all, RowRange at, index_t token) {
    return all.row_block(at.first, at.count).columns(token * width, width);
  };
  const auto values = [&](RowRange at, index_t token) {
    return part(View<const T>(z.data(), wide), at, token);
  };
  const auto slopes = [&](RowRange at, index_t token) {
    return part(View<T>(gradient.data(), wide), at, token);
  };
  const auto cloud = [&](Tape<B>& tape, RowRange at, index_t token) {
    return tape.input(values(at, token), slopes(at, token));
  };
  const auto exists = [&](RowRange at, index_t token) {
    return View<const T>(present.row(token) + at.first, {at.count});
  };
  const auto run = [&](double weight, auto&& loss) { // one tape a loss: its memory goes back at once
    Tape<B> tape(backend);
    const Var<T> value = loss(tape);
    tape.backward(value, static_cast<T>(ramp * weight));
    return static_cast<double>(value.value.data[0]);
  };
  const auto contrast = [&](RowRange at) {
    double out = 0;
    for (index_t m = 0; alignment.contrastive > 0 && at.count > 0 && m < surveys; ++m)
      out += run(alignment.contrastive / static_cast<double>(surveys), [&](Tape<B>& tape) {
        return tape.apply(ops::InfoNce<T>{alignment.temperature, exists(at, m)}, cloud(tape, at, m),
                          cloud(tape, at, surveys));
      });
    return out;
  };
  const auto pairs = [&] {
    double out = 0;
    if (!(alignment.pairs > 0 && ranges.pair.count > 0 && ranges.partner.count > 0)) return out;
    for (index_t token = 0; token < tokens; ++token) { // the score network reads all of them
      std::vector<T> both(static_cast<std::size_t>(ranges.pair.count));
      for (index_t i = 0; i < ranges.pair.count; ++i)
        both[static_cast<std::size_t>(i)] =
            exists(ranges.pair, token).data[i] * exists(ranges.partner, token).data[i];
      const View<const T> shared(both.data(), {ranges.pair.count});
      out += run(alignment.pairs / static_cast<double>(tokens), [&](Tape<B>& tape) {
        return tape.apply(ops::PairLoss<T>{alignment.temperature, alignment.attraction, shared},
                          cloud(tape, ranges.partner, token), cloud(tape, ranges.pair, token));
      });
    }
    return out;
  };
  const auto weights = [&](RowRange at) { // a star without any survey has no embedding to align
    std::vector<T> w(static_cast<std::size_t>(at.count));
    std::copy_n(present.row(surveys) + at.first, at.count, w.begin());
    const T sum = std::accumulate(w.begin(), w.end(), T{0});
    if (sum == 0) w.clear();
    for (T& v : w) v /= sum;
    return w;
  };
  // Contrasts reach the same pools meanwhile.
  const bool transports = alignment.transport > 0;
  Tensor<T> of_simulated({transports ? ranges.simulated.count : 0, width}),
      of_real({transports ? ranges.real.count : 0, width});
  const auto transport = [&] {
    if (!transports) return 0.0;
    const std::vector<T> a = weights(ranges.simulated), b = weights(ranges.real);
    if (a.empty() || b.empty()) return 0.0;
    auto divergence = ot::SinkhornDivergence::relative(alignment.epsilon, alignment.rho);
    divergence.options.sinkhorn.tolerance = 2e-3; // of the mass; the gradient's error is of this order
    const auto loss = ot::loss<T>(divergence, View<const T>(a.data(), {ranges.simulated.count}),
                                  View<const T>(b.data(), {ranges.real.count}));
    try {
      return run(alignment.transport / static_cast<double>(width), [&](Tape<B>& tape) {
        return tape.apply(loss, tape.input(values(ranges.simulated, surveys), of_simulated.view()),
                          tape.input(values(ranges.real, surveys), of_real.view()));
      });
    } catch (const NumericalError&) {
      ++losses.unconverged;
      return 0.0;
    }
  };
  double of_task[4]; // the longest ones first
  backend.for_each(4, [&](index_t task) {
    of_task[task] = task == 0   ? transport()
                    : task == 1 ? contrast(ranges.simulated)
                    : task == 2 ? contrast(ranges.real)
                                : pairs();
  });
  losses.transport = of_task[0], losses.contrastive = of_task[1] + of_task[2], losses.pairs = of_task[3];
  const auto add_rows = [&](const Tensor<T>& from, View<T> to) {
    for (index_t r = 0; r < from.rows(); ++r)
      row_of(backend, width).each([&](auto k) { add(to.row(r), k, load(from.row(r), k)); });
  };
  add_rows(of_simulated, slopes(ranges.simulated, surveys));
  add_rows(of_real, slopes(ranges.real, surveys));
}

} // namespace detail
} // namespace sbi
