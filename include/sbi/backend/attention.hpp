// SPDX-License-Identifier: MIT
// Attention of one sample after the other: a block of queries, in the lanes, meets the keys that it may see,
// a run of them at a time that stays in the first cache. Nothing is permuted or padded beforehand, and what
// the mask forbids to a whole block costs nothing.
#pragma once
#include <sbi/backend/attention_edges.hpp>
#include <sbi/backend/attention_reference.hpp>
#include <sbi/backend/attention_seen.hpp>
#include <sbi/backend/attention_tiles.hpp>
#include <sbi/backend/cpu.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sbi {
namespace detail {

/// Keys of a run.
inline constexpr index_t attention_run = 64;

/// What the two directions share: extents, scratch, and where the rows of a block of queries and their keys
/// lie.
template <class T, int N, int Widest> struct AttentionWork {
  static constexpr index_t lanes = Widest * N;
  /// Narrow vectors serve so few tokens that single edges gain nothing.
  static constexpr bool has_edges = Widest > 1;

  AttentionWork(Arena& arena, const AttentionExtent<T>& at_, View<const T> qkv_)
      : at(at_), qkv(qkv_), width(qkv.cols() / 3), head(width / at.heads), padded((head + N - 1) / N * N),
        samples(qkv.rows() / at.tokens), scale(T{1} / std::sqrt(static_cast<T>(head))), seen(arena, at),
        query(arena.array<index_t>(lanes)), key(arena.array<const T*>(at.keys())) {}

  /// body(sample, first query in `seen`, number of queries, vectors for them) for all blocks of all samples,
  /// after skipped(sample, query) for those that see nothing.
  template <class Skipped, class Body> void run(Skipped&& skipped, Body&& body) {
    if (samples == 0) return;
    const index_t masks = at.mask_a_sample() ? samples : 1, together = samples / masks;
    for (index_t m = 0; m < masks; ++m) {
      seen.look(m);
      for (index_t q = 0, i = 0; q < at.tokens && seen.queries() < at.tokens; ++q) {
        if (i < seen.queries() && seen.query(i) == q)
          ++i;
        else
          for (index_t b = m * together; b < (m + 1) * together; ++b) skipped(b, q);
      }
      int vectors = Widest;
      for (index_t first = 0; first < seen.queries(); first += vectors * N) {
        const index_t left = seen.queries() - first;
        while (vectors > 1 && left <= (vectors - 1) * N)
          vectors /= 2; // at most a part of a vector stays empty
        const index_t count = std::min<index_t>(vectors * N, left);
        seen.choose(vectors, first, count, has_edges);
        for (index_t b = m * together; b < (m + 1) * together; ++b) {
          for (index_t i = 0; i < vectors * N; ++i)
            query[i] = b * at.tokens + seen.query(first + std::min(i, count - 1));
          for (index_t k = 0; k < seen.keys(); ++k) key[k] = at.key(qkv, b, seen.key(k));
          body(b, first, count, vectors);
        }
      }
    }
  }
  /// Where the queries of a block of so many lanes have their rows.
  template <class U> void find(View<U> from, index_t block, U** row) const {
    for (index_t i = 0; i < block; ++i) row[i] = from.row(query[i]);
  }
  const AttentionExtent<T>& at;
  View<const T> qkv;
  index_t width, head, padded, samples;
  T scale;
  SeenKeys<T, N> seen;
  index_t* query; ///< rows of qkv of the block's queries, the last again in the lanes beyond
  const T** key;  ///< its keys
};

/// Few tokens fit into vectors of half the width, which waste fewer lanes. Not narrower still: each width is
/// compiled.
template <class T, int N, int Widest>
inline constexpr bool has_narrower = N * sizeof(T) > 16 && Widest == attention_widest<N>;

} // namespace detail

/// y [samples * tokens, width]; `kept` [samples * heads, at.kept()] receives what the vector-Jacobian
/// product needs: the weights, or the logarithm of their sum, a number a query, where they are not kept or a
/// query goes by single edges.
template <class T, int N = native_lanes<T>, int Widest = detail::attention_widest<N>>
void attention_forward(const Cpu<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<T> y,
                       View<T> kept) {
  if constexpr (detail::has_narrower<T, N, Widest>)
    if (2 * at.tokens <= N) return attention_forward<T, N / 2, 1>(be, at, qkv, y, kept);
  constexpr T never = -std::numeric_limits<T>::infinity(), log2_e = static_cast<T>(1.4426950408889634);
  using Vector = Vec<T, N>;
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  detail::AttentionWork<T, N, Widest> work(arena, at, qkv);
  const index_t head = work.head, width = work.width;
  T *queries = arena.array<T>(work.padded * work.lanes),
    *weights = at.keeps_weights() ? nullptr : arena.array<T>(detail::attention_run * work.lanes),
    *edge_weights = arena.array<T>(at.keys() + N), **y_row = arena.array<T*>(work.lanes);
  const T** q_row = arena.array<const T*>(work.lanes);
  work.run([&](index_t b, index_t q) { std::fill_n(y.row(b * at.tokens + q), width, T{0}); },
           [&](index_t b, index_t first, index_t count, int vectors) {
             const index_t keys = work.seen.keys(), lanes = vectors * N;
             const index_t run = at.keeps_weights() ? keys : detail::attention_run;
             work.find(qkv, lanes, q_row), work.find(y, lanes, y_row);
             for (index_t h = 0; h < at.heads; ++h) {
               const index_t column = h * head;
               T* numbers = kept.row(b * at.heads + h) + first;
               if constexpr (work.has_edges)
                 if (work.seen.sparse()) {
                   for (index_t i = 0; i < count; ++i)
                     numbers[i] = detail::edges_forward<T, N>(work.seen.edges(i), q_row[i] + column, head,
                                                              width, work.scale * log2_e, work.key, column,
                                                              edge_weights, y_row[i] + column);
                   continue;
                 }
               T* w = at.keeps_weights() ? kept.row(b * at.heads + h) + at.padded_tokens() + first * at.keys()
                                         : weights;
               Vector top[Widest], sum[Widest], factor[Widest];
               for (int v = 0; v < vectors; ++v)
                 top[v] = Vector(never), sum[v] = Vector(0), factor[v] = Vector(work.scale) * Vector(log2_e);
               detail::gather_lanes<T, N>(q_row, column, head, vectors, factor, queries);
               for (index_t from = 0; from < keys; from += run) {
                 const index_t n = std::min(run, keys - from);
                 Vector before[Widest];
                 std::copy_n(top, vectors, before);
                 detail::attention_logits<Widest, T, N>(vectors, n, head, work.key + from, column, queries,
                                                        work.seen.mask(from * lanes), w, top);
                 for (int v = 0; v < vectors; ++v) {
                   const Vector shift = select(top[v] > Vector(never), top[v], Vector(0));
                   factor[v] = detail::attention_weight(before[v] - shift);
                   sum[v] = sum[v] * factor[v] + detail::attention_weights<T, N>(n, lanes, shift, w + v * N);
                 }
                 if (at.keeps_weights())
                   for (int v = 0; v < vectors; ++v) {
                     const Vector share = select(sum[v] > Vector(0), Vector(1) / sum[v], Vector(0));
                     for (index_t i = v * N; i < n * lanes; i += lanes)
                       (Vector::load(w + i) * share).store(w + i);
                   }
                 else if (from > 0)
                   detail::scale_rows<T, N>(factor, y_row, count, column, head);
                 detail::attention_combine<Widest, T, N>(from == 0 ? Write::overwrite : Write::accumulate,
                                                         count, n, head, w, 1, lanes, work.key + from,
                                                         width + column, y_row, column);
               }
               if (at.keeps_weights()) continue;
               for (int v = 0; v < vectors; ++v) {
                 factor[v] = select(sum[v] > Vector(0), Vector(1) / sum[v], Vector(0));
                 for (int i = 0; i < N; ++i) numbers[v * N + i] = top[v].raw[i] + std::log2(sum[v].raw[i]);
               }
               detail::scale_rows<T, N>(factor, y_row, count, column, head);
             }
           });
}

/// dqkv += the vector-Jacobian product, or = where `mode` says so. The context is a constant.
template <class T, int N = native_lanes<T>, int Widest = detail::attention_widest<N>>
void attention_backward(const Cpu<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<const T> y,
                        View<const T> kept, View<const T> dy, View<T> dqkv, Write mode = Write::accumulate) {
  if constexpr (detail::has_narrower<T, N, Widest>)
    if (2 * at.tokens <= N) return attention_backward<T, N / 2, 1>(be, at, qkv, y, kept, dy, dqkv, mode);
  using Vector = Vec<T, N>;
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  detail::AttentionWork<T, N, Widest> work(arena, at, qkv);
  const index_t head = work.head, width = work.width, padded = work.padded, lanes = work.lanes;
  constexpr T log2_e = static_cast<T>(1.4426950408889634);
  const bool again = !at.keeps_weights(); // the weights are computed again
  T *dy_lanes = arena.array<T>(padded * lanes), *queries = again ? arena.array<T>(padded * lanes) : nullptr,
    *gradient = arena.array<T>(detail::attention_run * lanes),
    *weights = again ? arena.array<T>(detail::attention_run * lanes) : nullptr;
  T* edge_weights = arena.array<T>(2 * (at.keys() + N));
  T **own_row = arena.array<T*>(at.keys()), // gradients of the block's keys
      **to_row = arena.array<T*>(lanes);    // and of its queries
  const T **q_row = arena.array<const T*>(lanes), **y_row = arena.array<const T*>(lanes),
          **dy_row = arena.array<const T*>(lanes);
  const bool fresh = mode == Write::overwrite; // then what no block writes is set to zero
  work.run(
      [&](index_t b, index_t q) {
        if (fresh) std::fill_n(dqkv.row(b * at.tokens + q), 3 * width, T{0});
      },
      [&](index_t b, index_t first, index_t count, int vectors) {
        const index_t keys = work.seen.keys(), context = work.seen.context_keys(), block = vectors * N;
        work.find(qkv, block, q_row), work.find(y, block, y_row), work.find(dy, block, dy_row);
        work.find(dqkv, block, to_row);
        std::fill_n(own_row, context, nullptr);
        for (index_t k = context; k < keys; ++k)
          own_row[k] = dqkv.row(b * at.tokens + work.seen.key(k) - at.context_tokens) + width;
        // The first block writes the gradients of all keys, if it sees them all. Edges only add.
        const bool edges = work.has_edges && work.seen.sparse();
        const Write to_queries = fresh && !edges ? Write::overwrite : Write::accumulate;
        const Write to_keys =
            fresh && !edges && first == 0 && keys == at.keys() ? Write::overwrite : Write::accumulate;
        if (fresh && first == 0 && to_keys == Write::accumulate)
          for (index_t t = 0; t < at.tokens; ++t)
            std::fill_n(dqkv.row(b * at.tokens + t) + width, 2 * width, T{0});
        if (fresh && edges)
          for (index_t i = 0; i < count; ++i) std::fill_n(to_row[i], width, T{0});
        for (index_t h = 0; h < at.heads; ++h) {
          const index_t column = h * head;
          const T* numbers = kept.row(b * at.heads + h) + first;
          if constexpr (work.has_edges)
            if (edges) {
              for (index_t i = 0; i < count; ++i)
                detail::edges_backward<T, N>(work.seen.edges(i), q_row[i] + column, y_row[i] + column,
                                             dy_row[i] + column, numbers[i], head, width, work.scale,
                                             work.scale * log2_e, work.key, own_row, column, edge_weights,
                                             edge_weights + at.keys() + N, to_row[i] + column);
              continue;
            }
          const T* w = kept.row(b * at.heads + h) + at.padded_tokens() + first * at.keys();
          Vector factor[Widest], inner[Widest];
          if (again) {
            std::fill_n(factor, vectors, Vector(work.scale) * Vector(log2_e));
            detail::gather_lanes<T, N>(q_row, column, head, vectors, factor, queries);
          }
          std::fill_n(factor, vectors, Vector(work.scale));
          for (int v = 0; v < vectors; ++v)
            inner[v] = detail::products_of_rows<T, N>(y_row + v * N, dy_row + v * N, column, column + head) *
                       factor[v];
          detail::gather_lanes<T, N>(dy_row, column, head, vectors, factor, dy_lanes);
          for (index_t from = 0; from < keys; from += detail::attention_run) {
            const index_t n = std::min(detail::attention_run, keys - from);
            if (again) {
              detail::attention_logits<Widest, T, N>(vectors, n, head, work.key + from, column, queries,
                                                     work.seen.mask(from * block), weights, nullptr);
              for (int v = 0; v < vectors; ++v)
                (void)detail::attention_weights<T, N>(n, block, Vector::load(numbers + v * N),
                                                      weights + v * N);
            }
            const T* p = again ? weights : w + from * block;
            detail::attention_logits<Widest, T, N>(vectors, n, head, work.key + from, width + column,
                                                   dy_lanes, nullptr, gradient, nullptr);
            for (int v = 0; v < vectors; ++v)
              for (index_t i = v * N; i < n * block; i += block)
                (Vector::load(p + i) * (Vector::load(gradient + i) - inner[v])).store(gradient + i);
            detail::attention_combine<Widest, T, N>(from == 0 ? to_queries : Write::accumulate, count, n,
                                                    head, gradient, 1, block, work.key + from, column, to_row,
                                                    column);
            const index_t skip = std::clamp<index_t>(context - from, 0, n);
            T* const* rows = own_row + from + skip;
            detail::attention_combine<Widest, T, N>(to_keys, n - skip, count, head, gradient + skip * block,
                                                    block, 1, q_row, column, rows, column);
            detail::attention_combine<Widest, T, N>(to_keys, n - skip, count, head, p + skip * block, block,
                                                    1, dy_row, column, rows, width + column);
          }
        }
      });
}

} // namespace sbi
