// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/core/aligned.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace sbi {

/// Where a module's parameter lies in the flat buffer of a model.
struct Parameter {
  index_t offset = 0;
  Shape shape;
};

/// A weight matrix W [in, out] packed for x W and for dy W'; empty where nobody keeps it so.
template <class T> struct PackedWeight { PackedMatrix<T> forward, backward; };

/// The weight matrices of a model in the order that products read them: made once a step (or once a sampling
/// run) instead of once a product. `update` follows every change of the parameters.
template <class T> class PackedWeights {
public:
  PackedWeights() = default;
  /// matrices: by offset, as nn::Parameters lists them. Throws ValueError for another order and for what is
  /// no matrix.
  explicit PackedWeights(std::vector<Parameter> matrices) : matrices_(std::move(matrices)) {
    index_t end = 0;
    for (const Parameter& w : matrices_) {
      if (w.offset < end)
        throw ValueError(sbi::text("packed weights: a matrix at offset ", w.offset, " behind values up to ",
                                   end, "; want matrices in the order of their offsets"));
      if (w.shape.rank() != 2)
        throw ValueError(sbi::text("packed weights: a parameter of shape ", w.shape, "; want matrices"));
      end = w.offset + w.shape.size();
      forward_.push_back(size_), size_ += packed_size<T>(w.shape[0], w.shape[1]);
      backward_.push_back(size_), size_ += packed_size<T>(w.shape[1], w.shape[0]);
    }
  }

  /// Packs the matrices of a flat buffer of parameters; does nothing on a backend that reads them as they
  /// are.
  template <Backend B> void update(const B& backend, const T* parameters) {
    if constexpr (!is_reference_v<B>) {
      values_.resize(static_cast<std::size_t>(size_));
      backend.for_each(static_cast<index_t>(matrices_.size()), [&](index_t i) {
        const auto at = static_cast<std::size_t>(i);
        const View<const T> w(parameters + matrices_[at].offset, matrices_[at].shape);
        pack(w, Transpose::no, values_.data() + forward_[at]);
        pack(w, Transpose::yes, values_.data() + backward_[at]);
      });
    }
  }
  [[nodiscard]] PackedWeight<T> operator()(const Parameter& w) const {
    const auto at = std::lower_bound(matrices_.begin(), matrices_.end(), w.offset,
                                     [](const Parameter& p, index_t offset) { return p.offset < offset; });
    if (values_.empty() || at == matrices_.end() || at->offset != w.offset) return {};
    const auto i = static_cast<std::size_t>(at - matrices_.begin());
    return {{values_.data() + forward_[i]}, {values_.data() + backward_[i]}};
  }

private:
  std::vector<Parameter> matrices_; ///< by offset
  std::vector<index_t> forward_, backward_;
  index_t size_ = 0;
  AlignedVector<T> values_; ///< none before the first update
};

} // namespace sbi
