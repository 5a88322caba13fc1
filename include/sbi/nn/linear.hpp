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
    using T = typename B::param_t;
    return tape.apply(ops::Linear<T>{tape.packed(weight_)}, x, tape(weight_), tape(bias_));
  }
  /// F(x W + b) for a function object F, see ops::Elementwise.
  template <class F, Backend B>
  Var<typename B::param_t> activated(Tape<B>& tape, Var<typename B::param_t> x) const {
    using T = typename B::param_t;
    return tape.apply(ops::LinearActivation<T, F>{tape.packed(weight_)}, x, tape(weight_), tape(bias_));
  }
  /// r + x W + b
  template <Backend B>
  Var<typename B::param_t> add_to(Tape<B>& tape, Var<typename B::param_t> r,
                                  Var<typename B::param_t> x) const {
    using T = typename B::param_t;
    return tape.apply(ops::LinearAdd<T>{tape.packed(weight_)}, r, x, tape(weight_), tape(bias_));
  }

private:
  Parameter weight_, bias_;
};

} // namespace sbi::nn
