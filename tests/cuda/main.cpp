// SPDX-License-Identifier: MIT
#include <sbi/backend/cuda.hpp>

#include <cstdio>

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

/// Without a device there is nothing to test: says so and returns what ctest counts as skipped.
int main(int argc, char** argv) {
  constexpr int skipped = 77;
  if (!sbi::Cuda<float>::available()) {
    std::puts("no CUDA device: skipped");
    return skipped;
  }
  return doctest::Context(argc, argv).run();
}
