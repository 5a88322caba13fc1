// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/nn/linear.hpp>
#include <sbi/ops/elementwise.hpp>

#include <vector>

namespace sbi::nn {

/// Linear layers with GELU between them: widths {in, hidden..., out}. The last layer starts at `last_gain`
/// times the usual scale; 0 makes the network start as the zero function.
class Mlp {
public:
  /// Throws ValueError for fewer than two widths.
  template <class T>
  Mlp(Parameters<T>& parameters, const std::string& name, const std::vector<index_t>& widths,
      double last_gain = 1) {
    if (widths.size() < 2)
      throw ValueError(sbi::text("mlp ", name, ": ", widths.size(), " widths; want an input and an output"));
    for (std::size_t i = 0; i + 1 < widths.size(); ++i)
      layers_.emplace_back(parameters, sbi::text(name, ".", i), widths[i], widths[i + 1],
                           i + 2 == widths.size() ? last_gain : std::sqrt(2.0));
  }
  template <Backend B> Var<typename B::param_t> operator()(Tape<B>& tape, Var<typename B::param_t> x) const {
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i)
      x = layers_[i].template activated<ops::GeluFunction>(tape, x);
    return layers_.back()(tape, x);
  }

private:
  std::vector<Linear> layers_;
};

} // namespace sbi::nn
