// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/aligned.hpp>
#include <sbi/core/shape.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

namespace sbi {

/// Bump allocator over growing blocks. Memory is handed out 64-byte aligned, freed all at once or back to a
/// mark, and kept for reuse: a loop that resets it allocates in its first round only. Nothing in it is
/// destroyed, so only trivially destructible types may live here.
class Arena {
public:
  struct Mark {
    std::size_t block = 0, offset = 0;
  };

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Never inlined: every operation asks for memory several times, and a call costs it nothing.
  [[nodiscard, gnu::noinline]] void* raw(std::size_t bytes) {
    bytes = (bytes + alignment - 1) / alignment * alignment;
    while (block_ < blocks_.size() && offset_ + bytes > blocks_[block_].size) {
      ++block_;
      offset_ = 0;
    }
    if (block_ == blocks_.size()) {
      const std::size_t size = std::max(bytes, blocks_.empty() ? first_block : 2 * blocks_.back().size);
      blocks_.push_back({Memory(new (std::align_val_t(alignment)) std::byte[size]), size});
    }
    void* out = blocks_[block_].memory.get() + offset_;
    offset_ += bytes;
    return out;
  }
  /// n uninitialised values.
  template <class T> [[nodiscard]] T* array(index_t n) {
    static_assert(std::is_trivially_destructible_v<T>, "sbi: nothing in an arena is ever destroyed");
    return static_cast<T*>(raw(static_cast<std::size_t>(n) * sizeof(T)));
  }
  /// n zeros.
  template <class T> [[nodiscard]] T* zeros(index_t n) {
    T* out = array<T>(n);
    if (n > 0) std::memset(static_cast<void*>(out), 0, static_cast<std::size_t>(n) * sizeof(T));
    return out;
  }
  [[nodiscard]] Mark mark() const { return {block_, offset_}; }
  void rewind(Mark to) { block_ = to.block, offset_ = to.offset; }
  void reset() { rewind({}); }
  /// Bytes reserved from the system: constant once a loop has reached its steady state.
  [[nodiscard]] std::size_t capacity() const {
    std::size_t n = 0;
    for (const auto& b : blocks_) n += b.size;
    return n;
  }

private:
  static constexpr std::size_t alignment = cache_line, first_block = std::size_t{1} << 18;
  struct Free {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t(alignment)); }
  };
  using Memory = std::unique_ptr<std::byte[], Free>;
  struct Block {
    Memory memory;
    std::size_t size;
  };
  std::vector<Block> blocks_;
  std::size_t block_ = 0, offset_ = 0;
};

/// Gives back, at the end of a scope, what the scope took from an arena.
class ArenaScope {
public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.rewind(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

private:
  Arena& arena_;
  Arena::Mark mark_;
};

} // namespace sbi
