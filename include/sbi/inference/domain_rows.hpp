// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/rng.hpp>
#include <sbi/inference/encoder.hpp>
#include <sbi/inference/training_rows.hpp>

namespace sbi::detail {

/// Which rows of a batch: pairs are real stars whose theta is known, partners the same in the simulator.
enum class RowKind { simulated, real, pair, partner };
[[nodiscard]] inline const char* name(RowKind kind) {
  return kind == RowKind::simulated ? "simulated"
         : kind == RowKind::real    ? "real"
         : kind == RowKind::pair    ? "paired"
                                    : "partner";
}
/// Whether the score loss reads them.
[[nodiscard]] inline bool is_scored(RowKind kind) {
  return kind == RowKind::simulated || kind == RowKind::pair;
}

/// Rows of a domain-adaptive model in the network's units. Throws ShapeError for other columns than the
/// model's, and what StandardRows throws.
template <class T> class DomainRows {
public:
  template <class Model>
  DomainRows(const Model& model, const Dataset& data)
      : parameters_(model.nodes().parameters), rows_(data, model.transforms(), checked(model, data).names) {}
  /// Of stars whose theta is not known; sigma may be empty.
  template <class Model>
  DomainRows(const Model& model, const Tensor<double>& x, const Tensor<double>& sigma)
      : parameters_(model.nodes().parameters),
        rows_(x, sigma, model.transforms(), checked(model, x, sigma).names) {}

  [[nodiscard]] index_t size() const { return rows_.z.rows(); }
  [[nodiscard]] index_t observables() const { return rows_.z.cols() - parameters_; }
  [[nodiscard]] const T* theta(index_t row) const { return rows_.z.row(row); }
  [[nodiscard]] const T* x(index_t row) const { return rows_.z.row(row) + parameters_; }
  [[nodiscard]] const T* sigma(index_t row) const { return rows_.sigma.row(row) + parameters_; }
  [[nodiscard]] std::uint64_t checksum() const {
    return detail::checksum(rows_.z) + 7 * detail::checksum(rows_.sigma);
  }

private:
  template <class Model> static const Nodes& checked(const Model& model, const Dataset& data) {
    if (data.rows() > 0) data.check(model.nodes().parameters, model.nodes().observables());
    return model.nodes();
  }
  template <class Model>
  static const Nodes& checked(const Model& model, const Tensor<double>& x, const Tensor<double>& sigma) {
    const index_t k = model.nodes().observables();
    if (x.rows() > 0 && (x.cols() != k || (sigma.size() > 0 && sigma.shape() != x.shape())))
      throw ShapeError(sbi::text("domain adaptation: x is ", x.shape(), ", sigma is ", sigma.shape(),
                                 "; want [n,", k, "] twice, or no sigma"));
    return model.nodes();
  }

  index_t parameters_;
  StandardRows<T> rows_;
};

/// Takes values out of the observables x of a row: each survey with the chance `survey_rate`, each value with
/// one that is drawn for the row, uniform with the mean `value_rate`.
template <class T>
void drop_values(const std::vector<Modality>& modalities, double survey_rate, double value_rate, Rng rng,
                 std::vector<T>& x) {
  const double rate = rng.uniform(0, 2 * value_rate);
  for (const auto& modality : modalities) {
    const bool survey = rng.bernoulli(survey_rate);
    for (index_t j : modality.observables)
      if (rng.bernoulli(rate) || survey) x[static_cast<std::size_t>(j)] = static_cast<T>(missing);
  }
}

} // namespace sbi::detail
