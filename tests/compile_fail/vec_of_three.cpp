// SPDX-License-Identifier: MIT
// expect: sbi: Vec<T, N> wants N a power of two and at most 64 bytes
#include <sbi/core/simd.hpp>

int main() { return static_cast<int>(sbi::Vec<float, 3>(1).raw[0]); }
