// SPDX-License-Identifier: MIT
// Many small entropic transport problems at once. One thread solves a problem from begin to end while its
// matrices stay in the first caches; problems share nothing, so that none can spoil another.
#pragma once
#include <sbi/ot/sinkhorn.hpp>
#include <sbi/ot/small_transport.hpp>

#include <optional>
#include <string>

namespace sbi::ot {

struct BatchOptions {
  SinkhornOptions sinkhorn; ///< of every problem; its epsilon where a problem has none of its own
};

enum class BatchStatus : char { converged, not_converged, invalid };

/// One problem of a batch: cost [n, m], weights a [n] and b [m] (empty: uniform), and its own epsilon in
/// units of the cost (none: that of the options).
template <class T> struct BatchProblem {
  View<const T> cost;
  std::span<const T> a, b;
  std::optional<double> epsilon = {};
};

/// The solution of one problem. An invalid one has potentials and value 0 and an infinite residual.
template <class T> struct BatchItem : SinkhornResult<T> {
  BatchStatus status = BatchStatus::invalid;
  int kernel_iterations = 0; ///< of the iterations, those in the kernel domain
  std::string reason;        ///< why it is invalid: the message that `sinkhorn` would throw
};

namespace detail {
/// Solves one problem; whatever is wrong with it ends in its item. `uniform`: weights of all problems that
/// have none and this shape.
template <int N, class B, class T>
void solve_item(const B& be, const BatchProblem<T>& problem, const BatchOptions& options,
                const std::pair<Weights<T>, Weights<T>>* uniform, BatchItem<T>& item) {
  SinkhornOptions own = options.sinkhorn;
  own.epsilon = problem.epsilon.value_or(own.epsilon);
  try {
    check(own);
    if constexpr (is_reference_v<B>) {
      static_cast<SinkhornResult<T>&>(item) = sinkhorn(be, problem.cost, problem.a, problem.b, own);

    } else {
      std::optional<std::pair<Weights<T>, Weights<T>>> weights;
      if (!uniform) {
        weights = checked_weights<T>(problem.a, problem.b, problem.cost.rows(), problem.cost.cols(), own);
        uniform = &*weights;
      }
      const ArenaScope scope(be.arena());
      SmallTransport<T, N> solver(be.arena(), problem.cost, uniform->first, uniform->second, own);
      item.kernel_iterations = solver.solve(item);
    }
    item.status = item.converged ? BatchStatus::converged : BatchStatus::not_converged;
  } catch (const Error& error) {
    item = BatchItem<T>{};
    item.f.assign(static_cast<std::size_t>(problem.cost.rows()), T{0});
    item.g.assign(static_cast<std::size_t>(problem.cost.cols()), T{0});
    item.reason = error.what();
  }
}
} // namespace detail

/// Solves every problem of a list, of any sizes. Agrees with `sinkhorn` item by item within the tolerance; an
/// item with bad weights, costs, masses or epsilon is marked invalid and leaves the others' bits as they are.
/// Bits do not depend on the number of threads. Throws ShapeError when a cost is no matrix or weights do not
/// fit it, and ValueError for bad options.
template <class B, class T = typename B::compute_t, int N = native_lanes<T>>
[[nodiscard]] std::vector<BatchItem<T>>
sinkhorn_batch(const B& be, std::type_identity_t<std::span<const BatchProblem<T>>> problems,
               const BatchOptions& options) {
  SinkhornOptions common = options.sinkhorn;
  bool own_epsilon = true, same = true; // all problems with the shape of the first, and without weights
  for (std::size_t k = 0; k < problems.size(); ++k) {
    const BatchProblem<T>& p = problems[k];
    if (p.cost.shape.rank() != 2 || p.cost.rows() < 1 || p.cost.cols() < 1)
      throw ShapeError(
          sbi::text("sinkhorn batch: cost ", k, " is ", p.cost.shape, "; want [n, m], not empty"));
    const auto fits = [&](const char* name, std::span<const T> w, index_t want) {
      if (!w.empty() && static_cast<index_t>(w.size()) != want)
        throw ShapeError(
            sbi::text("sinkhorn batch: problem ", k, " has ", w.size(), " weights ", name, "; want ", want));
    };
    fits("a", p.a, p.cost.rows()), fits("b", p.b, p.cost.cols());
    same &= p.cost.shape == problems[0].cost.shape && p.a.empty() && p.b.empty();
    own_epsilon &= p.epsilon.has_value();
  }
  if (own_epsilon && !problems.empty()) common.epsilon = 1;
  detail::check(common);
  std::optional<std::pair<Weights<T>, Weights<T>>> uniform;
  if (same && !problems.empty())
    uniform = detail::checked_weights<T>({}, {}, problems[0].cost.rows(), problems[0].cost.cols(), common);
  const auto count = static_cast<index_t>(problems.size());
  std::vector<BatchItem<T>> items(problems.size());
  constexpr index_t task = 8; // problems
  be.for_each((count + task - 1) / task, [&](index_t block) {
    const FlushDenormals flush; // on every thread alike, whatever the caller's setting
    for (index_t k = block * task; k < std::min(count, (block + 1) * task); ++k)
      detail::solve_item<N>(be, problems[static_cast<std::size_t>(k)], options, uniform ? &*uniform : nullptr,
                            items[static_cast<std::size_t>(k)]);
  });
  return items;
}

/// The same for problems of one size: cost [count n, m], of which problem k owns rows k n to (k + 1) n - 1;
/// weights a [count, n] and b [count, m] (empty: uniform); epsilons, empty (that of the options for all) or
/// one a problem. Throws ShapeError for extents that do not fit.
template <class B, class T = typename B::compute_t, int N = native_lanes<T>>
[[nodiscard]] std::vector<BatchItem<T>>
sinkhorn_batch(const B& be, std::type_identity_t<View<const T>> cost, index_t count,
               std::type_identity_t<View<const T>> a, std::type_identity_t<View<const T>> b,
               const BatchOptions& options, std::span<const double> epsilons = {}) {
  if (cost.shape.rank() != 2 || count < 1 || cost.rows() % count != 0)
    throw ShapeError(sbi::text("sinkhorn batch: the cost is ", cost.shape, " for ", count,
                               " problems; want [count n, m]"));
  const index_t n = cost.rows() / count, m = cost.cols();
  const auto fits = [&](const char* name, View<const T> w, index_t want) {
    if (w && w.shape != Shape{count, want})
      throw ShapeError(
          sbi::text("sinkhorn batch: weights ", name, " are ", w.shape, "; want ", Shape{count, want}));
  };
  fits("a", a, n), fits("b", b, m);
  if (!epsilons.empty() && static_cast<index_t>(epsilons.size()) != count)
    throw ShapeError(sbi::text("sinkhorn batch: ", epsilons.size(), " epsilons for ", count, " problems"));
  std::vector<BatchProblem<T>> problems(static_cast<std::size_t>(count));
  for (index_t k = 0; k < count; ++k) {
    BatchProblem<T>& p = problems[static_cast<std::size_t>(k)];
    p.cost = cost.row_block(k * n, n);
    if (a) p.a = {a.row(k), static_cast<std::size_t>(n)};
    if (b) p.b = {b.row(k), static_cast<std::size_t>(m)};
    if (!epsilons.empty()) p.epsilon = epsilons[static_cast<std::size_t>(k)];
  }
  return sinkhorn_batch<B, T, N>(be, problems, options);
}

} // namespace sbi::ot
