// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/nn/layer_norm.hpp>
#include <sbi/nn/mlp.hpp>
#include <sbi/nn/tokenizer.hpp>
#include <sbi/ops/tokens.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace sbi {

/// One survey: the observables that it measures, by their index among the observables.
struct Modality {
  std::string name;
  std::vector<index_t> observables;
};

/// Inputs of the encoders for a block of samples.
template <class T> struct EncoderRows {
  std::vector<View<T>> features; ///< one a modality: [samples, features(m)]
  View<T> present;               ///< [samples * modalities]: 1 where the modality has any value
  View<T> adapted;               ///< [samples]: 1 for rows of the real domain, which pass the adapters
};

namespace detail {
/// y[place[k]] = x[k], 0 in the other rows of y [rows, width].
struct Spread {
  const index_t* place;
  index_t rows;

  Shape shape(Shape x) const { return {rows, x.cols()}; }
  template <Backend B, class T> void fwd(B& be, View<const T> x, View<T> y) const {
    std::fill_n(y.data, y.size(), T{0});
    for (index_t k = 0; k < x.rows(); ++k)
      row_of(be, x.cols()).each([&](auto i) { store(y.row(place[k]), i, load(x.row(k), i)); });
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T>, View<const T>, View<const T> dy, View<T> dx) const {
    for (index_t k = 0; k < dx.rows(); ++k)
      row_of(be, dx.cols()).each([&](auto i) { add(dx.row(k), i, load(dy.row(place[k]), i)); });
  }
};
} // namespace detail

/// Encoders z_m = E_m(x_m), one a modality, and their pool, the mean of those that are present. An MLP sees
/// each value, its error and whether it was observed; a layer normalisation ends it, so that an embedding
/// cannot shrink. Rows without any value of a modality do not pass its encoder: their z_m is 0.
///
/// Rows of the real domain first pass an adapter, x_m + A_m(x_m), that starts as the identity. Where two
/// domains overlap in x but differ in p(x | theta), no function of x alone can give partners the same
/// embedding; the adapter is what alignment trains to undo the difference.
class SurveyEncoders {
public:
  static constexpr index_t features_a_value = 4;

  template <class T>
  SurveyEncoders(nn::Parameters<T>& parameters, const std::string& name, std::vector<Modality> modalities,
                 const std::vector<index_t>& hidden, const std::vector<index_t>& adapter_hidden,
                 index_t width)
      : modalities_(std::move(modalities)), width_(width) {
    const auto widths = [](index_t in, const std::vector<index_t>& middle, index_t out) {
      std::vector<index_t> all{in};
      all.insert(all.end(), middle.begin(), middle.end());
      all.push_back(out);
      return all;
    };
    for (std::size_t m = 0; m < modalities_.size(); ++m) {
      const std::string at = name + "." + modalities_[m].name;
      const index_t in = features(m);
      adapters_.emplace_back(parameters, at + ".adapter", widths(in, adapter_hidden, in), 0);
      encoders_.emplace_back(parameters, at, widths(in, hidden, width));
      norms_.emplace_back(parameters, at + ".norm", width);
      shifts_.emplace_back(parameters, at + ".adapter.out", widths(width, adapter_hidden, width), 0);
    }
  }
  [[nodiscard]] const std::vector<Modality>& modalities() const { return modalities_; }
  [[nodiscard]] index_t count() const { return static_cast<index_t>(modalities_.size()); }
  /// Who sees which observables, for checkpoints.
  [[nodiscard]] std::string fingerprint() const {
    std::string out;
    for (const Modality& m : modalities_) {
      out += sbi::text(" ", m.name, "=");
      for (const index_t j : m.observables) out += sbi::text(j, ",");
    }
    return out;
  }
  /// Tokens a sample: one a modality and the pool.
  [[nodiscard]] index_t tokens() const { return count() + 1; }
  [[nodiscard]] index_t width() const { return width_; }
  [[nodiscard]] index_t features(std::size_t m) const {
    return features_a_value * static_cast<index_t>(modalities_[m].observables.size());
  }

  /// Memory for `samples` rows on a tape.
  template <Backend B>
  [[nodiscard]] EncoderRows<typename B::param_t> rows(Tape<B>& tape, index_t samples) const {
    EncoderRows<typename B::param_t> out;
    for (std::size_t m = 0; m < modalities_.size(); ++m)
      out.features.push_back(tape.scratch({samples, features(m)}));
    out.present = tape.scratch({samples * count()});
    out.adapted = tape.scratch({samples});
    return out;
  }
  /// Row `row`: standardised values x and errors sigma (0: none) of all observables, NaN where missing.
  template <class T>
  void write(EncoderRows<T>& rows, index_t row, const T* x, const T* sigma, bool real_domain) const {
    rows.adapted.data[row] = real_domain ? T{1} : T{0};
    for (std::size_t m = 0; m < modalities_.size(); ++m) {
      bool any = false;
      T* f = rows.features[m].row(row);
      for (index_t j : modalities_[m].observables) {
        const bool observed = !is_missing(x[j]), error = observed && sigma[j] > 0;
        any |= observed;
        f[0] = observed ? x[j] : T{0};
        f[1] = observed ? T{1} : T{0};
        f[2] = error ? std::min(sigma[j], T{4}) : T{0};
        f[3] = error ? nn::scaled_log_error(sigma[j]) : T{0};
        f += features_a_value;
      }
      rows.present.data[row * count() + static_cast<index_t>(m)] = any ? T{1} : T{0};
    }
  }
  /// What takes the features of modality m of rows `from` to those of rows `to`, [samples, features(m)]: the
  /// difference of the values that both have, 0 for everything else.
  template <class T>
  static void differences(const EncoderRows<T>& from, const EncoderRows<T>& to, std::size_t m, View<T> out) {
    const View<T> f = from.features[m], t = to.features[m];
    for (index_t r = 0; r < out.rows(); ++r)
      for (index_t j = 0; j < out.cols(); j += features_a_value) {
        const bool both = f(r, j + 1) > 0 && t(r, j + 1) > 0;
        out(r, j) = both ? t(r, j) - f(r, j) : T{0};
        for (index_t k = 1; k < features_a_value; ++k) out(r, j + k) = T{0};
      }
  }
  /// Whether each of tokens() of a row is present, after `write`.
  template <class T>
  [[nodiscard]] bool present(const EncoderRows<T>& rows, index_t row, index_t token) const {
    if (token < count()) return rows.present.data[row * count() + token] != T{0};
    for (index_t m = 0; m < count(); ++m)
      if (rows.present.data[row * count() + m] != T{0}) return true;
    return false;
  }
  /// z [samples * tokens(), width()]: the modalities of a sample, then its pool. `moves`, where given,
  /// receives what the adapters add to each modality m of rows of the real domain that have it, [samples,
  /// features(m)] and, to its embedding, [samples, width()]. Blocks without such rows pass the adapters by.
  template <Backend B>
  Var<typename B::param_t> operator()(Tape<B>& tape, const EncoderRows<typename B::param_t>& rows,
                                      std::vector<Var<typename B::param_t>>* moves = nullptr) const {
    using T = typename B::param_t;
    const bool adapts = moves || std::any_of(rows.adapted.data, rows.adapted.data + rows.adapted.size(),
                                             [](T gate) { return gate != T{0}; });
    Var<T> all;
    for (std::size_t m = 0; m < modalities_.size(); ++m) {
      const Seen<T> seen = with_modality(tape, rows, m);
      const auto to_all_rows = [&](Var<T> v) {
        return seen.features.rows() == rows.adapted.size()
                   ? v
                   : tape.apply(detail::Spread{seen.place, rows.adapted.size()}, v);
      };
      Var<T> z = tape.constant(seen.features), move = z, shift = tape.constant(seen.nothing);
      if (seen.features.rows() == 0) {
        z = shift;
      } else {
        if (adapts) move = adapters_[m](tape, z), z = tape.apply(ops::AddGated<T>{seen.adapted}, z, move);
        z = norms_[m](tape, encoders_[m](tape, z));
        if (adapts) shift = shifts_[m](tape, z), z = tape.apply(ops::AddGated<T>{seen.adapted}, z, shift);
      }
      if (moves) moves->insert(moves->end(), {to_all_rows(move), to_all_rows(shift)});
      z = to_all_rows(z);
      all = m == 0 ? z : tape.apply(ops::Concatenate{static_cast<index_t>(m), 1}, all, z);
    }
    const Var<T> pool = tape.apply(ops::MaskedMean<T>{rows.present, count()}, all);
    return tape.apply(ops::Concatenate{count(), 1}, all, pool);
  }

private:
  /// The rows of a block that have a modality.
  template <class T> struct Seen {
    const index_t* place; ///< of each, among all
    View<const T> features, adapted;
    View<const T> nothing; ///< [0, width()]
  };
  template <Backend B, class T>
  [[nodiscard]] Seen<T> with_modality(Tape<B>& tape, const EncoderRows<T>& rows, std::size_t m) const {
    const index_t samples = rows.adapted.size();
    index_t* place = tape.arena().template array<index_t>(samples);
    index_t seen = 0;
    for (index_t r = 0; r < samples; ++r)
      if (rows.present.data[r * count() + static_cast<index_t>(m)] != T{0}) place[seen++] = r;
    const View<const T> nothing = tape.scratch({0, width_});
    if (seen == samples) return {place, rows.features[m], rows.adapted, nothing};
    const View<T> features = tape.scratch({seen, this->features(m)}), adapted = tape.scratch({seen});
    for (index_t k = 0; k < seen; ++k) {
      row_of(tape.backend(), features.cols()).each([&](auto i) {
        store(features.row(k), i, load(rows.features[m].row(place[k]), i));
      });
      adapted.data[k] = rows.adapted.data[place[k]];
    }
    return {place, features, adapted, nothing};
  }

  std::vector<Modality> modalities_;
  index_t width_;
  std::vector<nn::Mlp> adapters_, encoders_, shifts_;
  std::vector<nn::LayerNorm> norms_;
};

} // namespace sbi
