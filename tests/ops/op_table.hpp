// SPDX-License-Identifier: MIT
// The one table of operations: what each is called, how it is made, on which shapes. Agreement between
// backends, gradient checks, shape errors and benchmarks all walk it (op_checks.hpp, bench/ops.bench.cpp). A
// new op is a new entry here.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/ops/attention.hpp>
#include <sbi/ops/contrastive.hpp>
#include <sbi/ops/elementwise.hpp>
#include <sbi/ops/linear.hpp>
#include <sbi/ops/loss.hpp>
#include <sbi/ops/norm.hpp>
#include <sbi/ops/softmax.hpp>
#include <sbi/ops/tokens.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace sbi::testing {

/// The constants an op refers to (masks, identities, targets), drawn from a fixed seed. Each number fits in a
/// float, so every number type computes from the same ones.
template <class T> class Constants {
public:
  /// f(rng, i) for each element i.
  template <class F> View<const T> filled(Shape shape, F&& f) {
    auto& x = reals_.emplace_back(shape);
    for (index_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(static_cast<float>(f(rng_, i)));
    return std::as_const(x).view();
  }
  View<const T> normal(Shape shape) {
    return filled(shape, [](Rng& rng, index_t) { return rng.normal(); });
  }
  View<const std::int32_t> ids(index_t count, index_t below) {
    auto& x = ids_.emplace_back(Shape{count});
    for (auto& id : x) id = static_cast<std::int32_t>(rng_.below(below));
    return std::as_const(x).view();
  }

private:
  Rng rng_{11};
  std::deque<Tensor<T>> reals_; // a deque: views of earlier elements stay valid
  std::deque<Tensor<std::int32_t>> ids_;
};

template <Backend B>
using OpOn =
    std::function<Var<typename B::param_t>(Tape<B>&, const std::vector<Var<typename B::param_t>>& inputs)>;

/// Which axis of each input the op has an opinion about, if any: a wrong extent there must be refused.
enum class Checked { no_axis, rows, columns };

/// One op with its constants on input shapes, on every backend.
struct OpCase {
  std::string family, name;
  std::vector<Shape> inputs;
  Checked checked;
  double condition; ///< how much the op magnifies the rounding of an intermediate
  std::tuple<OpOn<Cpu<float>>, OpOn<Cpu<double>>, OpOn<Reference<double>>> on;

  template <Backend B> [[nodiscard]] const OpOn<B>& op() const { return std::get<OpOn<B>>(on); }
};

namespace detail {
template <class Op> constexpr int arity() {
  if constexpr (requires(Op op, Shape s) { op.shape(s); })
    return 1;
  else if constexpr (requires(Op op, Shape s) { op.shape(s, s); })
    return 2;
  else if constexpr (requires(Op op, Shape s) { op.shape(s, s, s); })
    return 3;
  else
    return 4;
}
template <Backend B, class Make> OpOn<B> on_backend(Make make) {
  using T = typename B::param_t;
  const auto constants = std::make_shared<Constants<T>>();
  const auto op = make(*constants);
  return [constants, op](Tape<B>& tape, const std::vector<Var<T>>& in) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) { return tape.apply(op, in.at(I)...); }
    (std::make_index_sequence<static_cast<std::size_t>(arity<decltype(op)>())>{});
  };
}
} // namespace detail

/// `make(Constants<T>&)` gives the op for number type T.
template <class Make>
OpCase op_case(std::string family, const std::string& name, std::vector<Shape> inputs, Checked checked,
               Make make, double condition = 1) {
  std::string full = name;
  for (const Shape& s : inputs) full += text(" ", s);
  return {std::move(family),
          full,
          std::move(inputs),
          checked,
          condition,
          {detail::on_backend<Cpu<float>>(make), detail::on_backend<Cpu<double>>(make),
           detail::on_backend<Reference<double>>(make)}};
}

/// Odd extents for tests: one row, one column, whole vectors, and columns that are no multiple of any lane
/// count; one large extent for benchmarks.
enum class Sizes { odd, bench };
struct Extent {
  index_t rows, cols;
};
inline std::vector<Extent> extents(Sizes sizes) {
  if (sizes == Sizes::bench) return {{256, 64}};
  return {{1, 1}, {1, 13}, {7, 1}, {5, 16}, {13, 17}, {3, 33}, {2, 64}};
}

inline std::vector<OpCase> elementwise_cases(Sizes sizes) {
  std::vector<OpCase> out;
  for (const Extent e : extents(sizes)) {
    const Shape s{e.rows, e.cols};
    out.push_back(op_case("elementwise", "gelu", {s}, Checked::no_axis, [](auto&) { return ops::Gelu{}; }));
    out.push_back(
        op_case("elementwise", "scale", {s}, Checked::no_axis, [](auto&) { return ops::Scale{-0.75}; }));
    out.push_back(op_case("elementwise", "add", {s, s}, Checked::columns, [](auto&) { return ops::Add{}; }));
  }
  return out;
}

inline std::vector<OpCase> linear_cases(Sizes sizes) {
  std::vector<OpCase> out;
  const auto add = [&](Shape x, index_t width) {
    const Shape w{x.cols(), width}, b{width};
    out.push_back(op_case("linear", "linear", {x, w, b}, Checked::columns,
                          []<class T>(Constants<T>&) { return ops::Linear<T>{}; }));
    out.push_back(op_case("linear", "linear, gelu", {x, w, b}, Checked::columns, []<class T>(Constants<T>&) {
      return ops::LinearActivation<T, ops::GeluFunction>{};
    }));
    out.push_back(op_case("linear", "linear, added", {x.with_cols(width), x, w, b}, Checked::columns,
                          []<class T>(Constants<T>&) { return ops::LinearAdd<T>{}; }));
  };
  if (sizes == Sizes::bench) {
    for (const index_t width : {32, 64, 256}) add({256, 64}, width);
    return out;
  }
  for (const Extent e : extents(sizes)) add({e.rows, e.cols}, 2 * e.rows + 3);
  add({3, 5, 7}, 64);
  add({2, 300}, 1); // longer than a slice of the depth
  return out;
}

inline std::vector<OpCase> norm_cases(Sizes sizes) {
  std::vector<OpCase> out;
  for (const Extent e : extents(sizes)) // a single column has no variance: rstd = 1 / sqrt(1e-5) = 316
    out.push_back(op_case(
        "norm", "layer norm", {{e.rows, e.cols}, {e.cols}, {e.cols}}, Checked::columns,
        [](auto&) { return ops::LayerNorm{}; }, e.cols == 1 ? 316 : 1));
  return out;
}

inline std::vector<OpCase> softmax_cases(Sizes sizes) {
  std::vector<OpCase> out;
  for (const Extent e : extents(sizes))
    out.push_back(op_case("softmax", "softmax", {{e.rows, e.cols}}, Checked::no_axis,
                          [](auto&) { return ops::Softmax{}; }));
  return out;
}

enum class MaskKind { none, shared, each };
struct AttentionSetting {
  index_t samples, tokens, heads, head;
  MaskKind mask = MaskKind::none;
  index_t context_tokens = 0, samples_per_context = 1;
};
/// Three in ten keys are forbidden, and all the keys of each sample's first query.
inline OpCase attention_case(const AttentionSetting& a) {
  const auto make = [a]<class T>(Constants<T>& c) {
    AttentionExtent<T> at{a.heads, a.tokens, {}, {}, a.context_tokens, a.samples_per_context};
    const Shape each{a.samples, a.tokens, at.keys()}, shared{a.tokens, at.keys()};
    if (a.mask != MaskKind::none)
      at.mask = c.filled(a.mask == MaskKind::each ? each : shared, [&](Rng& rng, index_t i) {
        const bool first_query = i / at.keys() % a.tokens == 0;
        return first_query || rng.bernoulli(0.3) ? -std::numeric_limits<double>::infinity() : rng.normal();
      });
    if (a.context_tokens > 0)
      at.context = c.normal({a.samples / a.samples_per_context * a.context_tokens, 2 * a.heads * a.head});
    return ops::Attention<T>{at};
  };
  const char* masks[] = {"", " shared mask", " mask a sample"};
  std::string name =
      text("attention ", a.samples, "x", a.tokens, ", ", a.heads, " heads", masks[static_cast<int>(a.mask)]);
  if (a.context_tokens > 0) name += text(" context ", a.context_tokens, "/", a.samples_per_context);
  return op_case("attention", name, {{a.samples * a.tokens, 3 * a.heads * a.head}}, Checked::columns, make);
}
inline std::vector<OpCase> attention_cases(Sizes sizes) {
  std::vector<OpCase> out;
  const auto add = [&](const AttentionSetting& a) { out.push_back(attention_case(a)); };
  if (sizes == Sizes::bench) {
    add({8, 16, 2, 16, MaskKind::each});
    add({8, 32, 4, 16, MaskKind::each});
    add({4, 64, 8, 16, MaskKind::each});
    add({8, 5, 4, 16, MaskKind::none, 16, 8});
    return out;
  }
  add({1, 1, 1, 1});
  add({2, 13, 2, 5});
  add({3, 17, 1, 8, MaskKind::shared});
  add({2, 16, 2, 16, MaskKind::each});
  add({4, 5, 2, 3, MaskKind::each, 13, 2});
  add({2, 33, 3, 17, MaskKind::shared, 1, 1});
  add({4, 2, 1, 4, MaskKind::none, 2, 4});
  return out;
}

inline std::vector<OpCase> tokens_cases(Sizes sizes) {
  std::vector<OpCase> out;
  for (const Extent e : extents(sizes)) {
    const index_t samples = 3, tokens = e.rows, rows = samples * tokens, table = tokens + 2;
    out.push_back(op_case("tokens", "add embedding", {{rows, e.cols}, {table, e.cols}}, Checked::columns,
                          [=](auto& c) { return ops::AddEmbedding{c.ids(tokens, table)}; }));
    out.push_back(op_case("tokens", "add gated", {{rows, e.cols}, {samples, e.cols}}, Checked::columns,
                          [=]<class T>(Constants<T>& c) {
                            return ops::AddGated<T>{c.filled({rows}, [](Rng& rng, index_t) {
                              return rng.bernoulli(0.5) ? rng.uniform() : 0.0;
                            })};
                          }));
    out.push_back(op_case("tokens", "concatenate", {{rows, e.cols}, {2 * samples, e.cols}}, Checked::columns,
                          [=](auto&) {
                            return ops::Concatenate{tokens, 2};
                          }));
    out.push_back(op_case("tokens", "masked mean", {{rows, e.cols}}, Checked::rows,
                          [=]<class T>(Constants<T>& c) { // nothing is present in the first sample
                            return ops::MaskedMean<T>{c.filled({rows},
                                                               [=](Rng& rng, index_t i) {
                                                                 return i >= tokens && rng.bernoulli(0.7) ? 1
                                                                                                          : 0;
                                                               }),
                                                      tokens};
                          }));
  }
  return out;
}

inline std::vector<OpCase> loss_cases(Sizes sizes) {
  std::vector<OpCase> out;
  for (const Extent e : extents(sizes)) {
    const Shape s{e.rows, e.cols};
    out.push_back(op_case("loss", "weighted squares", {s}, Checked::columns, [=]<class T>(Constants<T>& c) {
      return ops::WeightedSquares<T>{c.normal(s), c.filled(s, [](Rng& rng, index_t) {
                                       return rng.bernoulli(0.5) ? rng.uniform() : 0.0;
                                     })};
    }));
  }
  return out;
}

inline std::vector<OpCase> contrastive_cases(Sizes sizes) {
  std::vector<OpCase> out;
  for (const Extent e : extents(sizes)) {
    const Shape s{e.rows, e.cols};
    const auto mask = []<class T>(Constants<T>& c, index_t n) { // the first row is always there
      return c.filled({n}, [](Rng& rng, index_t i) { return i == 0 || rng.bernoulli(0.7) ? 1 : 0; });
    };
    // 1 / temperature, and the norms of short embeddings, which may be small
    constexpr double condition = 10;
    out.push_back(op_case(
        "contrastive", "info nce", {s, s}, Checked::columns,
        [=]<class T>(Constants<T>& c) {
          return ops::InfoNce<T>{0.3, mask(c, e.rows)};
        },
        condition));
    out.push_back(op_case(
        "contrastive", "pair loss", {s, s}, Checked::columns,
        [=]<class T>(Constants<T>& c) {
          return ops::PairLoss<T>{0.5, 0.7, mask(c, e.rows)};
        },
        condition));
  }
  return out;
}

/// The whole table.
inline std::vector<OpCase> op_cases(Sizes sizes) {
  std::vector<OpCase> out;
  for (const auto& family : {elementwise_cases, linear_cases, norm_cases, softmax_cases, attention_cases,
                             tokens_cases, loss_cases, contrastive_cases}) {
    const auto cases = family(sizes);
    out.insert(out.end(), cases.begin(), cases.end());
  }
  return out;
}

} // namespace sbi::testing
