// SPDX-License-Identifier: MIT
#include <sbi/backend/cuda.hpp>

#include <doctest/doctest.h>

#include <utility>

using namespace sbi;

TEST_CASE("backend/cuda: a device has a name; one that is not there is an error that says so") {
  Cuda<float> gpu;
  CHECK(gpu.device() == 0);
  CHECK(!gpu.name().empty());
  CHECK_THROWS_WITH_AS(Cuda<float>(-1), "cuda: device -1; want 0 or more", ValueError);
  CHECK_THROWS_AS(Cuda<double>(4096), CudaError);
  Cuda<float> moved = std::move(gpu);
  CHECK(moved.device() == 0);
}
