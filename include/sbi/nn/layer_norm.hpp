// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/nn/parameters.hpp>
#include <sbi/ops/norm.hpp>

namespace sbi::nn {

/// Layer normalisation over the last axis, with gain (from 1) and bias (from 0).
class LayerNorm {
public:
  template <class T>
  LayerNorm(Parameters<T>& parameters, const std::string& name, index_t width)
      : gain_(parameters.add(name + ".gain", {width}, Init::ones())),
        bias_(parameters.add(name + ".bias", {width}, Init::zeros())) {}

  template <Backend B> Var<typename B::param_t> operator()(Tape<B>& tape, Var<typename B::param_t> x) const {
    return tape.apply(ops::LayerNorm{}, x, tape(gain_), tape(bias_));
  }

private:
  Parameter gain_, bias_;
};

} // namespace sbi::nn
