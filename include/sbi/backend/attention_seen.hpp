// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/attention_extent.hpp>
#include <sbi/backend/attention_lanes.hpp>
#include <sbi/backend/attention_tiles.hpp>
#include <sbi/core/arena.hpp>

#include <algorithm>
#include <limits>

namespace sbi::detail {

/// Where a block's queries see so few of its keys that they go by single edges: an edge takes as long as this
/// many entries of the block.
inline constexpr index_t entries_an_edge = 10;

/// The keys that one query sees, and their mask over log 2.
template <class T> struct QueryEdges {
  const index_t* key;
  const T* mask;
  index_t count;
};

/// Who sees whom under one mask: the queries that see anything and, for a block of them, the keys that any
/// of them sees, in order. Work on the others is left out.
template <class T, int N> class SeenKeys {
public:
  SeenKeys(Arena& arena, const AttentionExtent<T>& at)
      : at_(at), query_(arena.array<index_t>(at.tokens)), key_(arena.array<index_t>(at.keys() + N)),
        mask_(at.mask ? arena.array<T>((at.keys() + N) * lanes) : nullptr),
        edge_key_(at.mask ? arena.array<index_t>(at.keys() * lanes / entries_an_edge) : nullptr),
        edge_mask_(at.mask ? arena.array<T>(at.keys() * lanes / entries_an_edge) : nullptr),
        edge_begin_(arena.array<index_t>(lanes + 1)) {}

  /// Reads the mask of a sample.
  void look(index_t sample) {
    sample_ = sample, queries_ = 0;
    for (index_t q = 0; q < at_.tokens; ++q)
      if (!at_.mask || sees_any(at_.mask_row(sample, q))) query_[queries_++] = q;
  }
  [[nodiscard]] index_t queries() const { return queries_; }
  [[nodiscard]] index_t query(index_t i) const { return query_[i]; }

  /// Reads the mask of `count` <= vectors * N queries from the `first` on. Single edges are listed where they
  /// may be.
  void choose(int vectors, index_t first, index_t count, bool by_edges) {
    keys_ = 0, sparse_ = false;
    const index_t all = at_.keys();
    if (!at_.mask) {
      for (index_t k = 0; k < all; ++k) key_[k] = k;
      keys_ = all;
      return;
    }
    const T* row[lanes];
    for (index_t i = 0; i < vectors * N; ++i)
      row[i] = at_.mask_row(sample_, query_[first + std::min(i, count - 1)]);
    index_t edges = 0;
    for (index_t k = 0; k < all; k += N) {
      const index_t width = std::min<index_t>(N, all - k);
      typename Vec<T, N>::mask_type seen{};
      for (index_t i = 0; i < count; ++i) seen -= allowed(load_part<T, N>(row[i] + k, width));
      index_t chosen[N], n = 0;
      for (int j = 0; j < width; ++j) {
        chosen[n] = j;
        n += seen[j] != 0, edges += seen[j];
      }
      if (n == 0) continue;
      for (int v = 0; v < vectors; ++v) {
        T* const to = mask_ + (keys_ * vectors + v) * N;
        T block[N * N];
        const bool whole = n == width;
        transpose_rows<T, N>(row + v * N, k, width, Vec<T, N>(log2_e), whole ? to : block,
                             whole ? vectors * N : N);
        for (index_t j = 0; j < n && !whole; ++j)
          Vec<T, N>::load(block + chosen[j] * N).store(to + j * vectors * N);
      }
      for (index_t j = 0; j < n; ++j) key_[keys_++] = k + chosen[j];
    }
    if (by_edges && edges * entries_an_edge < keys_ * vectors * N) list_edges(row, count);
  }
  [[nodiscard]] index_t keys() const { return keys_; }
  [[nodiscard]] index_t key(index_t i) const { return key_[i]; }
  /// Whether the block goes by edges; then key(i) = i, for all keys.
  [[nodiscard]] bool sparse() const { return sparse_; }
  /// Of the block's query i.
  [[nodiscard]] QueryEdges<T> edges(index_t i) const {
    const index_t begin = edge_begin_[i];
    return {edge_key_ + begin, edge_mask_ + begin, edge_begin_[i + 1] - begin};
  }
  /// Keys of the context come first.
  [[nodiscard]] index_t context_keys() const {
    return std::lower_bound(key_, key_ + keys_, at_.context_tokens) - key_;
  }
  /// The mask of the block over log 2, [keys(), vectors * N], from an entry on; or null.
  [[nodiscard]] const T* mask(index_t entry) const { return mask_ ? mask_ + entry : nullptr; }

private:
  static constexpr index_t lanes = attention_widest<N> * N;
  static constexpr double log2_e = 1.4426950408889634;
  static constexpr T never = -std::numeric_limits<T>::infinity();
  /// Not a number is allowed, so that it is seen.
  static bool allowed(T x) { return !(x < AttentionExtent<T>::forbidden); }
  static typename Vec<T, N>::mask_type allowed(Vec<T, N> x) {
    return ~(x.raw < Vec<T, N>(AttentionExtent<T>::forbidden).raw);
  }
  static bool any(Vec<T, N> x) { return horizontal_max(select(allowed(x), Vec<T, N>(1), Vec<T, N>(0))) > 0; }
  [[nodiscard]] bool sees_any(const T* row) const {
    if (allowed(row[0])) return true;
    for (index_t k = 0; k < at_.keys(); k += N) {
      const index_t width = std::min<index_t>(N, at_.keys() - k);
      if (any(first_lanes(load_part<T, N>(row + k, width), width, never))) return true;
    }
    return false;
  }
  void list_edges(const T* const* row, index_t count) {
    sparse_ = true, keys_ = at_.keys();
    for (index_t k = 0; k < keys_; ++k) key_[k] = k;
    index_t n = 0;
    for (index_t i = 0; i < count; ++i) {
      edge_begin_[i] = n;
      for (index_t k = 0; k < keys_; k += N) {
        const index_t width = std::min<index_t>(N, keys_ - k);
        if (!any(first_lanes(load_part<T, N>(row[i] + k, width), width, never))) continue;
        for (index_t j = k; j < k + width; ++j)
          if (allowed(row[i][j])) {
            edge_key_[n] = j;
            edge_mask_[n++] = row[i][j] * static_cast<T>(log2_e);
          }
      }
    }
    edge_begin_[count] = n;
  }

  const AttentionExtent<T>& at_;
  index_t *query_, *key_;
  T* mask_;
  index_t* edge_key_;
  T* edge_mask_;
  index_t* edge_begin_;
  index_t sample_ = 0, queries_ = 0, keys_ = 0;
  bool sparse_ = false;
};

} // namespace sbi::detail
