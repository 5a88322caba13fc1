// SPDX-License-Identifier: MIT
#include <sbi/core/adapt.hpp>
#include <sbi/sbi.hpp>

#include <cmath>
#include <cstdio>

int main() {
  const sbi::Cpu<double> cpu{2};
  const sbi::Rng rng{7};
  sbi::Tensor<double> draws(sbi::Shape{1000, 4});
  cpu.for_each(draws.rows(), [&](sbi::index_t i) {
    sbi::Rng own = rng.split(static_cast<std::uint64_t>(i));
    for (sbi::index_t j = 0; j < draws.cols(); ++j) draws(i, j) = own.normal();
  });
  const double mean = sbi::as_eigen(draws).mean();
  std::printf("mean of 4000 standard normals: %.4f\n", mean);
  return std::abs(mean) < 0.08 ? 0 : 1; // five standard errors of 1/sqrt(4000)
}
