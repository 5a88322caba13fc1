// SPDX-License-Identifier: MIT
#pragma once
#include "machine.hpp"

#include <benchmark/benchmark.h>

namespace sbi::bench {

/// Runs the registered benchmarks and says what they were built for and by; the exit status.
inline int run(int argc, char** argv) {
  benchmark::AddCustomContext("instruction_set", instruction_set);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

} // namespace sbi::bench
