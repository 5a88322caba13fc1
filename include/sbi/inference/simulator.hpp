// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/inference/nodes.hpp>

#include <concepts>
#include <iterator>
#include <span>

namespace sbi {

/// Something that draws parameters from a prior and data given parameters. `parameters` and `observables` are
/// ranges of names. A simulator may also
///   - write measurement errors: simulate(rng, theta, x, sigma), one standard deviation a value, in its unit;
///   - bound its parameters: a range `bounds` of sbi::Bounds, one a parameter;
///   - refuse threads: `static constexpr bool thread_safe = false`.
/// NaN in x means: not observed.
template <class S>
concept SimulatorWithErrors = requires(const S& s, Rng& rng, std::span<const double> theta,
                                       std::span<double> out) {
  s.sample_prior(rng, out);
  s.simulate(rng, theta, out, out);
};
template <class S>
concept SimulatorWithoutErrors = requires(const S& s, Rng& rng, std::span<const double> theta,
                                          std::span<double> out) {
  s.sample_prior(rng, out);
  s.simulate(rng, theta, out);
};
template <class S>
concept Simulator = requires(const S& s) {
  std::string(*std::begin(s.parameters));
  std::string(*std::begin(s.observables));
}
&&(SimulatorWithErrors<S> || SimulatorWithoutErrors<S>);

/// The variables of a simulator's joint distribution p(theta, x). Throws ValueError for bounds of another
/// number than the parameters'.
template <class S> [[nodiscard]] Nodes joint(const S& simulator) {
  static_assert(Simulator<S>,
                "sbi: a simulator needs parameters, observables, sample_prior(Rng&, span<double> theta) "
                "and simulate(Rng&, span<const double> theta, span<double> x[, span<double> sigma])");
  Nodes nodes;
  if constexpr (requires { std::size(simulator.bounds); })
    if (const auto given = std::size(simulator.bounds), wanted = std::size(simulator.parameters);
        given != wanted)
      throw ValueError(sbi::text("simulator: ", static_cast<index_t>(given), " bounds for ",
                                 static_cast<index_t>(wanted), " parameters; want one each"));
  for (const auto& name : simulator.parameters) {
    nodes.names.emplace_back(name);
    if constexpr (requires {
                    { simulator.bounds[0] } -> std::convertible_to<Bounds>;
                  })
      nodes.bounds.push_back(simulator.bounds[static_cast<std::size_t>(nodes.parameters)]);
    else
      nodes.bounds.emplace_back();
    ++nodes.parameters;
  }
  for (const auto& name : simulator.observables) {
    nodes.names.emplace_back(name);
    nodes.bounds.emplace_back();
  }
  return nodes;
}

/// Rows of a joint distribution: theta [n, parameters], x [n, observables] with NaN where missing, and sigma
/// [n, observables], the standard deviation of each value's error (empty when the data have none).
struct Dataset {
  Tensor<double> theta, x, sigma;

  [[nodiscard]] index_t rows() const { return x.rows(); }
  [[nodiscard]] bool has_errors() const { return sigma.size() > 0; }
  /// Throws ShapeError when the parts do not fit each other.
  void check(index_t parameters, index_t observables) const {
    if (theta.cols() != parameters || x.cols() != observables || theta.rows() != x.rows() ||
        (has_errors() && sigma.shape() != x.shape()))
      throw ShapeError(sbi::text("data set: theta is ", theta.shape(), ", x is ", x.shape(), ", sigma is ",
                                 sigma.shape(), "; want [n,", parameters, "], [n,", observables,
                                 "] and the same or none"));
  }
};

/// Draws n rows of p(theta, x). Row i comes from rng.split(i): the same rows for any number of threads. An
/// exception of the simulator is rethrown as sbi::Error with the theta that caused it.
template <Backend B, class S>
[[nodiscard]] Dataset simulate(const B& backend, const S& simulator, index_t n, Rng rng) {
  const Nodes nodes = joint(simulator);
  Dataset data{Tensor<double>({n, nodes.parameters}), Tensor<double>({n, nodes.observables()}), {}};
  if constexpr (SimulatorWithErrors<S>) data.sigma = Tensor<double>({n, nodes.observables()});
  const auto one = [&](index_t i) {
    Rng row = rng.split(static_cast<std::uint64_t>(i));
    const std::span theta(data.theta.row(i), static_cast<std::size_t>(nodes.parameters));
    const std::span x(data.x.row(i), static_cast<std::size_t>(nodes.observables()));
    simulator.sample_prior(row, theta);
    try {
      if constexpr (SimulatorWithErrors<S>)
        simulator.simulate(row, theta, x, std::span(data.sigma.row(i), x.size()));
      else
        simulator.simulate(row, theta, x);
    } catch (const std::exception& error) {
      std::string at;
      for (index_t j = 0; j < nodes.parameters; ++j)
        at += sbi::text(j ? ", " : "", nodes.names[static_cast<std::size_t>(j)], " = ", data.theta(i, j));
      throw Error(sbi::text("simulator failed at ", at, ": ", error.what()));
    }
  };
  bool threads = true;
  if constexpr (requires {
                  { S::thread_safe } -> std::convertible_to<bool>;
                })
    threads = S::thread_safe;
  constexpr index_t block = 64;
  const auto run = [&](index_t b) {
    for (index_t i = b * block; i < std::min(n, (b + 1) * block); ++i) one(i);
  };
  const index_t blocks = (n + block - 1) / block;
  if (threads)
    backend.for_each(blocks, run);
  else
    for (index_t b = 0; b < blocks; ++b) run(b);
  return data;
}

} // namespace sbi
