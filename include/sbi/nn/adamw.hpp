// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/denormals.hpp>
#include <sbi/nn/ema.hpp>
#include <sbi/nn/parameters.hpp>

#include <cmath>
#include <span>
#include <string_view>
#include <vector>

namespace sbi::nn {

/// AdamW (Loshchilov & Hutter 2019, ICLR): Adam with bias correction and decoupled weight decay. Decay
/// applies to matrices named "*.weight" only: biases, gains and embeddings are left alone.
template <class T> class AdamW {
public:
  struct Options {
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 1e-4;
  };
  explicit AdamW(const Parameters<T>& parameters) : AdamW(parameters, Options{}) {}
  /// Trains the parameters whose names hold `only`. Throws ValueError when there are none.
  AdamW(const Parameters<T>& parameters, Options options, std::string_view only = "")
      : options_(options), first_(parameters.values().size()), second_(parameters.values().size()),
        pieces_(parameters.pieces(only)) {
    if (pieces_.empty())
      throw ValueError(sbi::text("adamw: no parameter's name holds '", only, "'; nothing would be trained"));
  }

  /// One update of the values in place from `scale` times the gradient, which has the layout of the
  /// parameters, and of their average, in one pass.
  template <Backend B>
  void step(const B& backend, Parameters<T>& parameters, std::span<const T> gradient, double learning_rate,
            double scale = 1, Ema<T>* average = nullptr) {
    ++steps_;
    const double n = static_cast<double>(steps_);
    const T b1 = static_cast<T>(options_.beta1), b2 = static_cast<T>(options_.beta2);
    const T correct1 = static_cast<T>(1 / (1 - std::pow(options_.beta1, n)));
    const T correct2 = static_cast<T>(1 / (1 - std::pow(options_.beta2, n)));
    const T rate = static_cast<T>(learning_rate), epsilon = static_cast<T>(options_.epsilon);
    const T fresh = average ? average->next_share() : T{0};
    backend.for_each(static_cast<index_t>(pieces_.size()), [&](index_t k) {
      const FlushDenormals flush; // moments of gradients that have ended fade out
      const auto& p = pieces_[static_cast<std::size_t>(k)];
      const T keep = static_cast<T>(1 - (p.is_matrix ? learning_rate * options_.weight_decay : 0));
      T *value = parameters.values().data(), *m = first_.data(), *v = second_.data();
      for (index_t i = p.begin; i < p.end; ++i) {
        const T g = static_cast<T>(scale) * gradient[static_cast<std::size_t>(i)];
        m[i] = b1 * m[i] + (1 - b1) * g;
        v[i] = b2 * v[i] + (1 - b2) * g * g;
        value[i] = keep * value[i] - rate * (m[i] * correct1) / (std::sqrt(v[i] * correct2) + epsilon);
      }
      if (average) average->blend(value, fresh, p.begin, p.end);
    });
  }

  /// The state that a resumed run needs.
  [[nodiscard]] index_t& steps() { return steps_; }
  [[nodiscard]] std::vector<T>& first_moment() { return first_; }
  [[nodiscard]] std::vector<T>& second_moment() { return second_; }

private:
  Options options_;
  std::vector<T> first_, second_;
  std::vector<typename Parameters<T>::Piece> pieces_;
  index_t steps_ = 0;
};

} // namespace sbi::nn
