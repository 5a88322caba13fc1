// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/nn/parameters.hpp>
#include <sbi/ops/linear.hpp>

#include <cmath>

namespace sbi::nn {

/// y[..., out] = x[..., in] W + b; W starts at N(0, gain^2 / in), b at 0.
class Linear {
public:
  template <class T>
  Linear(Parameters<T>& parameters, const std::string& name, index_t in, index_t out, double gain = 1)
      : weight_(parameters.add(name + ".weight", {in, out},
                               Init::normal(gain / std::sqrt(static_cast<double>(in))))),
        bias_(parameters.add(name + ".bias", {out}, Init::zeros())) {}

  template <Backend B> Var<typename B::param_t> operator()(Tape<B>& tape, Var<typename B::param_t> x) const {
    return tape.apply(ops::Linear{}, x, tape(weight_), tape(bias_));
  }

private:
  Parameter weight_, bias_;
};

} // namespace sbi::nn
