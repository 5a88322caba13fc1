// SPDX-License-Identifier: MIT
// What users have: arrays of xtensor and Eigen, plain memory with rows apart, standard containers, and a cost
// of their own. All of it is read where it lies and gives the bits that the library's own arrays give.
#include "clouds.hpp"

#include <sbi/backend/cpu.hpp>
#include <sbi/core/adapt.hpp>
#include <sbi/ot.hpp>

#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

using namespace sbi;

namespace {
constexpr index_t n = 7, m = 9, d = 3;
const Cpu<double> be(1);
const ot::SquaredEuclidean square;

ot::SinkhornOptions entropy(double epsilon = 0.3) {
  ot::SinkhornOptions o;
  o.epsilon = epsilon, o.tolerance = 1e-10, o.max_iterations = 20'000;
  return o;
}
/// The problem that every test states in another way.
struct Problem {
  Tensor<double> x = random_points(1, n, d), y = random_points(2, m, d);
  std::vector<double> a = random_weights(3, n), b = random_weights(4, m);
  ot::SinkhornResult<double> solved = ot::sinkhorn(be, square, x.view(), y.view(), a, b, entropy());
};
void check_same(const ot::SinkhornResult<double>& r, const ot::SinkhornResult<double>& wanted) {
  CHECK(r.converged);
  CHECK(r.value == wanted.value);
  CHECK(r.f == wanted.f);
  CHECK(r.g == wanted.g);
}

/// A user's cost, with nothing that the library knows of: sum_k weight_k log cosh(x_k - y_k).
struct LogCosh {
  std::array<double, 3> weight{1, 2, 0.5};
  template <class T> T operator()(std::span<const T> x, std::span<const T> y) const {
    T sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k)
      sum += static_cast<T>(weight[k]) * std::log(std::cosh(x[k] - y[k]));
    return sum;
  }
  template <class T>
  void add_gradient(T w, std::span<const T> x, std::span<const T> y, std::span<T> out) const {
    for (std::size_t k = 0; k < x.size(); ++k)
      out[k] += w * static_cast<T>(weight[k]) * std::tanh(x[k] - y[k]);
  }
};
static_assert(ot::Cost<LogCosh, double> && ot::Cost<LogCosh, float>);
static_assert(!ot::RadialCost<LogCosh, double> && !ot::DotFormCost<LogCosh, double>);

/// The headers of the library that one of them includes, itself among them, directly or not.
void collect(const std::string& header, std::set<std::string>& seen) {
  if (!seen.insert(header).second) return;
  std::ifstream in(std::filesystem::path(SBI_SOURCE_DIR) / "include" / header);
  REQUIRE_MESSAGE(in.good(), header);
  const std::string start = "#include <sbi/";
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(start)) collect(line.substr(10, line.find('>') - 10), seen);
}
bool needs(const std::set<std::string>& headers, const std::string& folder) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const std::string& name) { return name.starts_with(folder); });
}
} // namespace

TEST_CASE("ot/inputs: arrays of xtensor are read in place, the plan is an xtensor in place") {
  const Problem p;
  xt::xtensor<double, 2> x = as_xtensor<2>(p.x);
  const xt::xtensor<double, 2> y = as_xtensor<2>(p.y);
  CHECK(as_view(x).data == x.data());
  CHECK(as_view(y).data == y.data());
  const xt::xtensor<double, 1> a = xt::adapt(p.a, std::array<std::size_t, 1>{p.a.size()});
  const std::span<const double> of_a(a.data(), a.size());
  const auto r = ot::sinkhorn(be, square, as_view(x), as_view(y), of_a, p.b, entropy());
  check_same(r, p.solved);

  const Tensor<double> cost = ot::cost_matrix(be, square, as_view(x), as_view(y));
  const Tensor<double> plan = ot::transport_plan(be, cost.view(), of_a, p.b, r, entropy().epsilon);
  const auto seen = as_xtensor<2>(plan);
  CHECK(seen.data() == plan.data());
  for (std::size_t i = 0; i < a.size(); ++i) {
    double row = 0;
    for (std::size_t j = 0; j < p.b.size(); ++j) row += seen(i, j);
    CHECK(row == doctest::Approx(a(i)).epsilon(1e-9)); // the tolerance is 1e-10 of the mass, 1
  }
}

TEST_CASE("ot/inputs: row-major matrices and maps of Eigen, also of a block whose rows are apart") {
  const Problem p;
  const EigenMatrix<double> x = as_eigen(p.x);
  CHECK(as_view(x).data == x.data());
  check_same(ot::sinkhorn(be, square, as_view(x), p.y.view(), p.a, p.b, entropy()), p.solved);

  // A map of somebody's memory, of which the points are a block: columns 2 to 4 of rows of 8.
  std::vector<double> memory(static_cast<std::size_t>(m * 8), std::numeric_limits<double>::quiet_NaN());
  Eigen::Map<EigenMatrix<double>, 0, Eigen::OuterStride<>> map(memory.data() + 2, m, d,
                                                               Eigen::OuterStride<>(8));
  map = as_eigen(p.y);
  const View<const double> y = as_view(map);
  CHECK_FALSE(y.contiguous());
  check_same(ot::sinkhorn(be, square, p.x.view(), y, p.a, p.b, entropy()), p.solved);

  // Every function that takes points or costs keeps to the rows' distance: NaN lies between them.
  const Tensor<double> cost = ot::cost_matrix(be, square, p.x.view(), p.y.view());
  const Tensor<double> same = ot::cost_matrix(be, square, p.x.view(), y);
  CHECK(as_eigen(same) == as_eigen(cost));
  EigenMatrix<double> wide =
      EigenMatrix<double>::Constant(n, m + 5, std::numeric_limits<double>::quiet_NaN());
  wide.middleCols(3, m) = as_eigen(cost);
  const View<const double> apart = as_view(std::as_const(wide)).columns(3, m);
  check_same(ot::sinkhorn(be, apart, p.a, p.b, entropy()),
             ot::sinkhorn(be, cost.view(), p.a, p.b, entropy()));
  CHECK(ot::exact_transport<double>(apart, p.a, p.b).value ==
        ot::exact_transport<double>(cost.view(), p.a, p.b).value);
  CHECK(ot::partial_transport<double>(apart, p.a, p.b, 0.5).value ==
        ot::partial_transport<double>(cost.view(), p.a, p.b, 0.5).value);
  ot::GromovOptions gromov;
  gromov.sinkhorn = entropy(1), gromov.max_iterations = 5;
  CHECK(ot::entropic_gromov(be, p.x.view(), y, p.a, p.b, gromov).value ==
        ot::entropic_gromov(be, p.x.view(), p.y.view(), p.a, p.b, gromov).value);
  const std::array<ot::Keypoint, 2> pairs{{{0, 1}, {3, 2}}};
  ot::KeypointOptions guided;
  guided.sinkhorn = entropy(0.05), guided.partners = ot::PartnerWeights::common;
  CHECK(ot::keypoint_guided(be, square, p.x.view(), y, pairs, p.a, p.b, guided).value ==
        ot::keypoint_guided(be, square, p.x.view(), p.y.view(), pairs, p.a, p.b, guided).value);
}

TEST_CASE("ot/inputs: vectors, arrays and pointers, as points and as weights") {
  const Problem p;
  const std::vector<double> x(p.x.begin(), p.x.end());
  std::array<double, n> a{};
  std::copy(p.a.begin(), p.a.end(), a.begin());
  const Eigen::VectorXd b = Eigen::Map<const Eigen::VectorXd>(p.b.data(), m);
  const View<const double> points(x.data(), Shape{n, d});
  check_same(ot::sinkhorn(be, square, points, p.y.view(), a, std::span(b.data(), p.b.size()), entropy()),
             p.solved);
  // No weights: uniform ones.
  const std::vector<double> even(n, 1.0 / n), even_b(m, 1.0 / m);
  const auto uniform = ot::sinkhorn(be, square, points, p.y.view(), {}, {}, entropy());
  CHECK(uniform.value ==
        doctest::Approx(ot::sinkhorn(be, square, points, p.y.view(), even, even_b, entropy()).value)
            .epsilon(1e-12)); // rounding of 1 / n
  CHECK(uniform.value != p.solved.value);
  // Single precision, from the same containers.
  const Cpu<float> single(1);
  const std::vector<float> xf(x.begin(), x.end()), yf(p.y.begin(), p.y.end());
  ot::SinkhornOptions rough;
  rough.epsilon = 0.3;
  const auto r = ot::sinkhorn(single, square, View<const float>(xf.data(), Shape{n, d}),
                              View<const float>(yf.data(), Shape{m, d}), {}, {}, rough);
  CHECK(r.value == doctest::Approx(uniform.value).epsilon(1e-4)); // the tolerance of float
}

TEST_CASE("ot/inputs: a cost of the user's in every solver that takes one, its gradient exact") {
  const Problem p;
  const LogCosh cost;
  const Tensor<double> c = ot::cost_matrix(be, cost, p.x.view(), p.y.view());
  CHECK(c(2, 5) == cost(std::span<const double>(p.x.row(2), d), std::span<const double>(p.y.row(5), d)));
  check_same(ot::sinkhorn(be, cost, p.x.view(), p.y.view(), p.a, p.b, entropy()),
             ot::sinkhorn(be, c.view(), p.a, p.b, entropy()));
  ot::SinkhornOptions recomputed = entropy();
  recomputed.costs = ot::Costs::recomputed;
  CHECK_THROWS_AS((void)ot::sinkhorn(be, cost, p.x.view(), p.y.view(), p.a, p.b, recomputed), ValueError);

  ot::DivergenceOptions options;
  options.sinkhorn = entropy();
  const std::array<ot::Keypoint, 2> pairs{{{0, 1}, {3, 2}}};
  ot::KeypointOptions guided;
  guided.sinkhorn = entropy(0.05), guided.partners = ot::PartnerWeights::common;
  guided.form = ot::KeypointForm::with_cost, guided.temperature_unit = ot::TemperatureUnit::cost;
  guided.temperature = 0.5;
  const auto divergence = [&](const Tensor<double>& x) {
    return ot::sinkhorn_divergence(be, cost, x.view(), p.y.view(), p.a, p.b, options);
  };
  const auto keypoints = [&](const Tensor<double>& x) {
    return ot::keypoint_guided(be, cost, x.view(), p.y.view(), pairs, p.a, p.b, guided);
  };
  const auto check_gradient = [&](const auto& value, index_t i, index_t k) {
    const double step = 1e-5;
    Tensor<double> up = p.x, down = p.x;
    up(i, k) += step, down(i, k) -= step;
    const double numeric = (value(up).value - value(down).value) / (2 * step);
    // Central differences err by step^2 and by the values' 1e-10 over the step.
    CHECK(value(p.x).dx(i, k) == doctest::Approx(numeric).epsilon(1e-5));
  };
  for (const index_t i : {0, 4})
    for (index_t k = 0; k < d; ++k) check_gradient(divergence, i, k), check_gradient(keypoints, i, k);
}

TEST_CASE("ot/inputs: what does not fit is named") {
  const Problem p;
  const auto solve = [&](View<const double> x, std::span<const double> a) {
    (void)ot::sinkhorn(be, square, x, p.y.view(), a, p.b, entropy());
  };
  CHECK_THROWS_AS(solve(View<const double>(p.x.data(), Shape{n, d - 1}), p.a), ShapeError);
  CHECK_THROWS_AS(solve(View<const double>(p.x.data(), Shape{n * d}), p.a), ShapeError);
  CHECK_THROWS_AS(solve(p.x.view(), std::span(p.a).first(n - 1)), ShapeError);
}

TEST_CASE("ot/inputs: the transport headers include neither tape nor networks") {
  std::set<std::string> headers;
  collect("sbi/ot.hpp", headers);
  CHECK(headers.count("sbi/ot/sinkhorn.hpp") == 1);
  for (const char* folder : {"sbi/autodiff/", "sbi/nn/", "sbi/ops/", "sbi/inference/", "sbi/io/"})
    CHECK_MESSAGE(!needs(headers, folder), folder);
  std::set<std::string> of_losses; // the search finds what is there
  collect("sbi/ot/loss.hpp", of_losses);
  CHECK(needs(of_losses, "sbi/autodiff/"));
}
