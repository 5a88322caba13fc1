// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/inference/training_rows.hpp>

namespace sbi::detail {

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

} // namespace sbi::detail
