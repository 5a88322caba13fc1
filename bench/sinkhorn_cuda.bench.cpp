// SPDX-License-Identifier: MIT
// Entropic transport on a GPU between two Gaussian clouds of unit variance, shifted by half a standard
// deviation, squared Euclidean cost, float; the clouds and epsilons of peers/transport_gpu.py. One line of
// JSON a measurement: the median of `runs` whole calls, host to host (points go up, results come back).
//   iteration  ms a round of both potentials: (time of 60 rounds - time of 10) / 50, without convergence
//   checks
//              that end early; Gpair/s the exponentials a second of that
//   solve      ms to the tolerance, from nothing
//   divergence ms of value and gradients by points and weights, from nothing and from its own solution
#include <sbi/core/rng.hpp>
#include <sbi/ot/cuda.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {
using sbi::index_t;
using sbi::Tensor;

Tensor<float> cloud(index_t n, index_t d, std::uint64_t seed, double shift) {
  Tensor<float> out({n, d});
  sbi::Rng rng(seed);
  for (auto& v : out) v = static_cast<float>(rng.normal(shift, 1));
  return out;
}

/// Median of the milliseconds of `runs` calls, after one that does not count unless there is one run only.
template <class F> double median_ms(int runs, F&& call) {
  if (runs > 1) call();
  std::vector<double> times;
  for (int r = 0; r < runs; ++r) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + runs / 2, times.end());
  return times[static_cast<std::size_t>(runs / 2)];
}

template <class T> void measure(const sbi::Cuda<T>& gpu, index_t n, index_t d) {
  const Tensor<float> xf = cloud(n, d, 3, 0), yf = cloud(n, d, 4, 0.5);
  Tensor<T> x(xf.shape()), y(yf.shape());
  std::copy(xf.begin(), xf.end(), x.begin()), std::copy(yf.begin(), yf.end(), y.begin());
  const double mean = 2.25 * static_cast<double>(d); // cost
  sbi::ot::SinkhornOptions options;
  options.epsilon = 0.05 * mean;
  const char* type = sizeof(T) == 4 ? "float" : "double";
  const int runs = n > 50'000 ? 1 : 9;
  auto fixed = options;
  fixed.tolerance = 1e-300, fixed.scaling = 1;
  const auto rounds = [&](int count) {
    fixed.max_iterations = count;
    return median_ms(runs, [&] {
      return sbi::ot::sinkhorn(gpu, sbi::ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, fixed)
          .iterations;
    });
  };
  const double iteration = (rounds(60) - rounds(10)) / 50;
  const double pairs = 2 * static_cast<double>(n) * static_cast<double>(n);
  std::printf(
      "{\"tool\": \"sbi\", \"type\": \"%s\", \"what\": \"iteration\", \"n\": %td, \"d\": %td, \"ms\": %.5g, "
      "\"Gpair/s\": %.5g}\n",
      type, n, d, iteration, pairs / iteration * 1e-6);
  int iterations = 0;
  double residual = 0;
  const double solve = median_ms(runs, [&] {
    const auto result =
        sbi::ot::sinkhorn(gpu, sbi::ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, options);
    iterations = result.iterations, residual = result.residual;
  });
  std::printf(
      "{\"tool\": \"sbi\", \"type\": \"%s\", \"what\": \"solve\", \"n\": %td, \"d\": %td, \"ms\": %.5g, "
      "\"iterations\": %d, \"residual\": %.3g}\n",
      type, n, d, solve, iterations, residual);
  std::fflush(stdout);
}

template <class T> void divergence(const sbi::Cuda<T>& gpu, index_t n, index_t d) {
  const Tensor<float> xf = cloud(n, d, 3, 0), yf = cloud(n, d, 4, 0.5);
  Tensor<T> x(xf.shape()), y(yf.shape());
  std::copy(xf.begin(), xf.end(), x.begin()), std::copy(yf.begin(), yf.end(), y.begin());
  sbi::ot::DivergenceOptions options;
  options.sinkhorn.epsilon = 0.05 * 2.25 * static_cast<double>(d);
  options.unconverged = sbi::ot::Unconverged::report;
  const auto run = [&](const sbi::ot::Divergence<T>* start) {
    return sbi::ot::sinkhorn_divergence(gpu, sbi::ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, options,
                                        start);
  };
  const int runs = n > 50'000 ? 1 : 9;
  const auto cold = run(nullptr);
  const double time = median_ms(runs, [&] { return run(nullptr).value; });
  const double warm = median_ms(runs, [&] { return run(&cold).value; });
  std::printf(
      "{\"tool\": \"sbi\", \"type\": \"%s\", \"what\": \"divergence\", \"n\": %td, \"d\": %td, \"ms\": %.5g, "
      "\"warm_ms\": %.5g, \"iterations\": %d, \"value\": %.6g, \"converged\": %s}\n",
      sizeof(T) == 4 ? "float" : "double", n, d, time, warm, cold.iterations, cold.value,
      cold.converged ? "true" : "false");
  std::fflush(stdout);
}
} // namespace

/// Optional argument: the largest n (default 100000).
int main(int argc, char** argv) {
  if (!sbi::Cuda<float>::available()) {
    std::puts("no CUDA device");
    return 77;
  }
  const index_t most = argc > 1 ? std::atol(argv[1]) : 100'000;
  const sbi::Cuda<float> gpu;
  const sbi::Cuda<double> twofold;
  std::printf("{\"tool\": \"sbi\", \"device\": \"%s\"}\n", gpu.name().c_str());
  for (index_t n : {1024, 4096, 10'000, 100'000})
    for (index_t d : {3, 6, 64})
      if (n <= most) measure(gpu, n, d);
  for (index_t n : {1024, 4096, 100'000})
    if (n <= most) divergence(gpu, n, 64);
  for (index_t d : {3, 64}) measure(twofold, 4096, d);
  if (most >= 1'000'000) measure(gpu, 1'000'000, 3);
}
