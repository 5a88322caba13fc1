// SPDX-License-Identifier: MIT
#pragma once
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace sbi {

/// Flushes denormal numbers to zero on the calling thread for the length of a scope and restores the caller's
/// setting after it. A masked softmax fills products with denormals, which cost a factor of four on x86.
class FlushDenormals {
public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | flush_to_zero | denormals_are_zero); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

private:
  static constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
  unsigned saved_;
#else
  FlushDenormals() {}
  ~FlushDenormals() {} // not trivial: an object that is there for its scope is no unused one
#endif
};

} // namespace sbi
