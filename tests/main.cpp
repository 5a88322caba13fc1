// SPDX-License-Identifier: MIT
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <tbb/global_control.h>

int main(int argc, char** argv) {
  // Tests of several threads shall have them, on a machine with fewer cores, too.
  const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, 8);
  return doctest::Context(argc, argv).run();
}
