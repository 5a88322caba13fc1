// SPDX-License-Identifier: MIT
// What the objectives of all models share: standardised rows, the held-out split, the order of batches.
#pragma once
#include <sbi/inference/fit_options.hpp>
#include <sbi/inference/standardise.hpp>
#include <sbi/inference/training_state.hpp>

#include <algorithm>
#include <cmath>

namespace sbi::detail {

/// Fits the standardisation of every node of a model to a data set, the first time; after that it is kept, so
/// that a trained model can be trained further. Throws ShapeError for a data set of other columns and
/// ValueError for one without rows or a value outside its bounds.
template <class Model> void fit_transforms(Model& model, const Dataset& data) {
  if (model.standardised()) return;
  data.check(model.nodes().parameters, model.nodes().observables());
  if (data.rows() == 0) throw ValueError("fit: 0 rows; want at least one to standardise by");
  std::vector<double> column(static_cast<std::size_t>(data.rows()));
  for (index_t j = 0; j < model.nodes().size(); ++j) {
    const index_t p = model.nodes().parameters;
    for (index_t i = 0; i < data.rows(); ++i)
      column[static_cast<std::size_t>(i)] = j < p ? data.theta(i, j) : data.x(i, j - p);
    model.transforms()[static_cast<std::size_t>(j)].fit(column,
                                                        model.nodes().names[static_cast<std::size_t>(j)]);
  }
  model.standardised() = true;
}

/// A data set in the network's units: z and sigma [n, nodes], NaN where missing; sigma 0 where there is none.
/// Throws ValueError naming row and node for a value outside its bounds or too large for T, and for an error
/// that is negative, infinite or too large for T.
template <class T> struct StandardRows {
  Tensor<T> z, sigma;

  StandardRows(const Dataset& data, const std::vector<NodeTransform>& transforms,
               const std::vector<std::string>& names)
      : StandardRows(&data.theta, data.x, data.sigma, transforms, names) {}
  /// Of observables alone: theta is missing. `errors` may be empty.
  StandardRows(const Tensor<double>& x, const Tensor<double>& errors,
               const std::vector<NodeTransform>& transforms, const std::vector<std::string>& names)
      : StandardRows(nullptr, x, errors, transforms, names) {}

private:
  StandardRows(const Tensor<double>* theta, const Tensor<double>& x, const Tensor<double>& errors,
               const std::vector<NodeTransform>& transforms, const std::vector<std::string>& names)
      : z({x.rows(), static_cast<index_t>(transforms.size())}), sigma(z.shape()) {
    const index_t p = z.cols() - x.cols();
    for (index_t i = 0; i < x.rows(); ++i)
      in_row(i, [&] {
        for (index_t j = 0; j < z.cols(); ++j) {
          const auto k = static_cast<std::size_t>(j);
          const double v = j >= p ? x(i, j - p) : theta ? (*theta)(i, j) : missing;
          write(v, j >= p && errors.size() > 0 ? errors(i, j - p) : 0, transforms[k], names[k], i, j);
        }
      });
  }
  void write(double v, double e, const NodeTransform& transform, const std::string& name, index_t i,
             index_t j) {
    z(i, j) = static_cast<T>(is_missing(v) ? missing : transform.to_network(v, name));
    if (!is_missing(v) && !is_finite(z(i, j)))
      throw ValueError(sbi::text(name, " = ", v, "; want a number within ", std::numeric_limits<T>::max(),
                                 " standard deviations (", transform.stddev(), ")"));
    sigma(i, j) = is_missing(e) ? T{0} : transform.template error_to_network<T>(e, name);
  }
};

/// Rows of a data set that are held out, evenly spaced, so that both parts cover it: of the first n rows the
/// whole part of share n.
struct Split {
  std::vector<index_t> train, held_out;
  Split(index_t rows, double share) {
    const auto of_first = [&](index_t n) { // 20 times 0.05 shall not be less than 1
      return static_cast<index_t>(std::floor(share * static_cast<double>(n) + 1e-9));
    };
    for (index_t i = 0; i < rows; ++i) (of_first(i + 1) > of_first(i) ? held_out : train).push_back(i);
  }
};

/// Rows of a batch: step after step through a fresh permutation each epoch, a function of seed and step only.
class BatchOrder {
public:
  BatchOrder(std::vector<index_t> rows, index_t batch, Rng rng)
      : rows_(std::move(rows)), batch_(std::min(batch, static_cast<index_t>(rows_.size()))), rng_(rng) {}
  [[nodiscard]] index_t batch() const { return batch_; }
  /// Row i of the batch of a step.
  [[nodiscard]] index_t row(index_t step, index_t i) {
    const index_t steps_an_epoch = static_cast<index_t>(rows_.size()) / batch_, epoch = step / steps_an_epoch;
    if (epoch != epoch_) {
      order_ = rows_;
      Rng rng = rng_.split(static_cast<std::uint64_t>(epoch));
      shuffle(rng, order_);
      epoch_ = epoch;
    }
    return order_[static_cast<std::size_t>(step % steps_an_epoch * batch_ + i)];
  }

private:
  std::vector<index_t> rows_, order_;
  index_t batch_, epoch_ = -1;
  Rng rng_;
};

template <class T> [[nodiscard]] std::uint64_t checksum(const Tensor<T>& x) {
  return checksum(std::span<const T>(x.data(), static_cast<std::size_t>(x.size())));
}

/// What of a model shapes its training beside its parameters' number: diffusion, condition masks, heads, who
/// sees whom.
template <class Model> [[nodiscard]] std::string model_fingerprint(const Model& model) {
  const auto& sde = model.sde();
  const auto& c = model.config().conditions;
  const auto& network = model.network().config();
  return sbi::text(" parameters=", model.parameters().size(), " heads=", network.transformer.heads,
                   " cached_context=", network.cached_context ? 1 : 0, " noise=", sde.sigma(sde.t_min()),
                   "..", sde.sigma(1), " signal=", sde.alpha(1), " conditions=", c.joint, ",", c.posterior,
                   ",", c.likelihood, ",", c.sparse, ",", c.dense, ",", c.sparse_probability, ",",
                   c.dense_probability, ",", c.marginal);
}

} // namespace sbi::detail
