// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/nn/parameters.hpp>

#include <cmath>
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
  AdamW(const Parameters<T>& parameters, Options options)
      : options_(options), first_(parameters.values().size()), second_(parameters.values().size()) {}

  /// One update of the values in place. gradient has the layout of the parameters.
  void step(Parameters<T>& parameters, const std::vector<T>& gradient, double learning_rate) {
    ++steps_;
    const double n = static_cast<double>(steps_);
    const T b1 = static_cast<T>(options_.beta1), b2 = static_cast<T>(options_.beta2);
    const T correct1 = static_cast<T>(1 / (1 - std::pow(options_.beta1, n)));
    const T correct2 = static_cast<T>(1 / (1 - std::pow(options_.beta2, n)));
    const T rate = static_cast<T>(learning_rate), epsilon = static_cast<T>(options_.epsilon);
    for (const auto& e : parameters.entries()) {
      const bool decays = e.at.shape.rank() == 2 && e.name.ends_with(".weight");
      const T keep = static_cast<T>(1 - (decays ? learning_rate * options_.weight_decay : 0));
      const auto begin = static_cast<std::size_t>(e.at.offset),
                 end = begin + static_cast<std::size_t>(e.at.shape.size());
      T *value = parameters.values().data(), *m = first_.data(), *v = second_.data();
      const T* g = gradient.data();
      for (std::size_t i = begin; i < end; ++i) {
        m[i] = b1 * m[i] + (1 - b1) * g[i];
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        value[i] = keep * value[i] - rate * (m[i] * correct1) / (std::sqrt(v[i] * correct2) + epsilon);
      }
    }
  }

  /// The state that a resumed run needs.
  [[nodiscard]] index_t& steps() { return steps_; }
  [[nodiscard]] std::vector<T>& first_moment() { return first_; }
  [[nodiscard]] std::vector<T>& second_moment() { return second_; }

private:
  Options options_;
  std::vector<T> first_, second_;
  index_t steps_ = 0;
};

} // namespace sbi::nn
