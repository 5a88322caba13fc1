// SPDX-License-Identifier: MIT
#include <sbi/diffusion/sampler.hpp>

#include <Eigen/Dense>
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace sbi::diffusion;
using doctest::Approx;
using sbi::index_t;
using sbi::Shape;
using sbi::Tensor;
using sbi::View;

namespace {

/// N(mean, covariance) over the latent nodes given the conditioned ones, and its exact denoiser:
/// x0_hat = m + alpha C (alpha^2 C + sigma^2 I)^-1 (x_t - alpha m).
class Gaussian {
public:
  Gaussian(Eigen::VectorXd mean, const Eigen::MatrixXd& covariance,
           const std::vector<std::uint8_t>& states = {}, const Eigen::VectorXd& given = {}) {
    std::vector<int> fixed;
    for (int j = 0; j < mean.size(); ++j)
      (!states.empty() && states[std::size_t(j)] == Node::conditioned ? fixed : latent).push_back(j);
    m = mean(latent), c = covariance(latent, latent);
    if (!fixed.empty()) {
      const Eigen::MatrixXd gain = covariance(latent, fixed) * covariance(fixed, fixed).inverse();
      m += gain * (given(fixed) - mean(fixed));
      c -= gain * covariance(fixed, latent);
    }
  }
  template <class S, class T> auto denoiser(const S& sde) const {
    return [this, &sde](double t, View<const T> x, View<T> x0) {
      const double alpha = sde.alpha(t), sigma = sde.sigma(t);
      const auto n = c.rows();
      const Eigen::MatrixXd gain =
          alpha * c * (alpha * alpha * c + sigma * sigma * Eigen::MatrixXd::Identity(n, n)).inverse();
      Eigen::VectorXd v(n);
      for (index_t i = 0; i < x.rows(); ++i) {
        for (int k = 0; k < n; ++k) v[k] = double(x(i, latent[std::size_t(k)])) - alpha * m[k];
        v = (gain * v).eval() + m;
        for (int k = 0; k < n; ++k) x0(i, latent[std::size_t(k)]) = T(v[k]);
      }
    };
  }
  std::vector<int> latent;
  Eigen::VectorXd m;
  Eigen::MatrixXd c;
};

Gaussian joint(const std::vector<std::uint8_t>& states = {}, const Eigen::VectorXd& given = {}) {
  Eigen::MatrixXd c(3, 3);
  c << 1, 0.8, -0.3, 0.8, 1, 0.1, -0.3, 0.1, 1;
  return Gaussian(Eigen::VectorXd::Zero(3), c, states, given);
}

/// Mean and covariance of n samples against the target, within 4.5 standard deviations of their Monte-Carlo
/// errors (sqrt(v / n) and sqrt((c_ii c_jj + c_ij^2) / n)) plus `bias` times the scale of the entry for the
/// finite step.
template <class T> void check_moments(const Gaussian& target, const Tensor<T>& x, double bias) {
  const auto n = x.rows();
  const auto p = target.m.size();
  Eigen::MatrixXd samples(n, p);
  for (index_t i = 0; i < n; ++i)
    for (int k = 0; k < p; ++k) samples(i, k) = double(x(i, target.latent[std::size_t(k)]));
  const Eigen::RowVectorXd mean = samples.colwise().mean();
  const Eigen::MatrixXd centred = samples.rowwise() - mean, c = centred.transpose() * centred / double(n - 1);
  for (int i = 0; i < p; ++i) {
    CAPTURE(i);
    CHECK(std::abs(mean[i] - target.m[i]) < std::sqrt(target.c(i, i)) * (4.5 / std::sqrt(double(n)) + bias));
    for (int j = 0; j < p; ++j) {
      CAPTURE(j);
      const double scale = target.c(i, i) * target.c(j, j) + target.c(i, j) * target.c(i, j);
      CHECK(std::abs(c(i, j) - target.c(i, j)) < std::sqrt(scale) * (4.5 / std::sqrt(double(n)) + bias));
    }
  }
}

template <class T, class S, class Sampler>
void check_gaussian(const S& sde, const Sampler& sampler, double bias) {
  const index_t n = 8000;
  Tensor<T> x(Shape{n, 3});
  index_t calls = 0;
  const auto target = joint();
  const auto exact = target.template denoiser<S, T>(sde);
  const auto counted = [&](double t, View<const T> a, View<T> b) { ++calls, exact(t, a, b); };
  CHECK(sampler.sample(sde, counted, x.view(), {}, sbi::Rng(1)) == calls);
  check_moments(target, x, bias);

  // Node 1 given at 1.2: the samples of 0 and 2 follow the conditional Gaussian and the given value stays.
  const std::vector<std::uint8_t> states{Node::latent, Node::conditioned, Node::latent};
  const auto given = joint(states, Eigen::Vector3d(0, 1.2, 0));
  for (index_t i = 0; i < n; ++i) x(i, 0) = x(i, 2) = std::numeric_limits<T>::quiet_NaN(), x(i, 1) = T(1.2);
  sampler.sample(sde, given.template denoiser<S, T>(sde), x.view(),
                 View<const std::uint8_t>(states.data(), Shape{3}), sbi::Rng(2));
  check_moments(given, x, bias);
  bool kept = true;
  for (index_t i = 0; i < n; ++i) kept &= x(i, 1) == T(1.2);
  CHECK(kept);
}

/// Error of the mean of a one-dimensional N(1, 0.4): the samplers are affine in the noise for a Gaussian
/// target, so the difference between the paths of N(1, 0.4) and N(0, 0.4) under the same noise is the mean
/// without Monte-Carlo error.
template <class S, class Sampler> double mean_error(const S& sde, const Sampler& sampler) {
  const Gaussian there(Eigen::VectorXd::Ones(1), Eigen::MatrixXd::Constant(1, 1, 0.4));
  const Gaussian here(Eigen::VectorXd::Zero(1), Eigen::MatrixXd::Constant(1, 1, 0.4));
  Tensor<double> a(Shape{1, 1}), b(Shape{1, 1});
  sampler.sample(sde, there.denoiser<S, double>(sde), a.view(), {}, sbi::Rng(4));
  sampler.sample(sde, here.denoiser<S, double>(sde), b.view(), {}, sbi::Rng(4));
  return a(0, 0) - b(0, 0) - 1;
}

/// Relative error of the standard deviation of N(0, 0.4) under an ODE solver, whose map is a factor. The
/// exact one is sqrt((v + s_1^2) / (v + s_0^2)) from the start s_0 to the last s_1, then v / (v + s_1^2) for
/// the denoised value.
template <class S, class Sampler> double scale_error(const S& sde, const Sampler& sampler) {
  const double v = 0.4;
  const Gaussian target(Eigen::VectorXd::Zero(1), Eigen::MatrixXd::Constant(1, 1, v));
  Tensor<double> x(Shape{1, 1});
  sampler.sample(sde, target.denoiser<S, double>(sde), x.view(), {}, sbi::Rng(4));
  const double s = noise_ratio(sde, 1), end = noise_ratio(sde, sde.t_min());
  const double start = s * sbi::Rng(4).split(0).normal() * (1 + v / (v + s * s));
  return x(0, 0) / (start * std::sqrt((v + end * end) / (v + s * s)) * v / (v + end * end)) - 1;
}

/// Relative error of the variance of n samples of N(0, 0.4) under the reverse SDE.
template <class S> double variance_error(const S& sde, int steps, index_t n) {
  const double v = 0.4;
  const auto denoise = [v, &sde](double t, View<const double> x, View<double> x0) {
    const double a = sde.alpha(t), s = sde.sigma(t), gain = a * v / (a * a * v + s * s);
    for (index_t i = 0; i < x.size(); ++i) x0.data[i] = gain * x.data[i];
  };
  Tensor<double> x(Shape{n, 1});
  EulerMaruyama{steps}.sample(sde, denoise, x.view(), {}, sbi::Rng(6));
  double sum = 0;
  for (double value : x) sum += value * value;
  const double end = noise_ratio(sde, sde.t_min());
  return sum / double(n) / (v * v / (v + end * end)) - 1;
}

} // namespace

TEST_CASE("diffusion/sampler: every sampler draws from a correlated Gaussian and its conditionals") {
  // The bias is the discretisation error: g^2 dt / sigma^2 / sqrt(2) for Euler-Maruyama (0.02 for this VE),
  // twice the 0.5 % of the order test for the ODE solvers.
  SUBCASE("reverse SDE") {
    check_gaussian<double>(VE{1e-2, 15}, EulerMaruyama{500}, 0.025);
    check_gaussian<double>(VP{0.1, 10}, EulerMaruyama{500}, 0.025);
    check_gaussian<float>(VE{1e-2, 15}, EulerMaruyama{500}, 0.025);
  }
  SUBCASE("probability flow") {
    check_gaussian<double>(VE{}, Heun{20}, 0.012);
    check_gaussian<double>(VP{}, Heun{20}, 0.012);
    check_gaussian<float>(SubVP{}, Heun{20}, 0.012);
    check_gaussian<double>(VE{}, DpmSolver{40}, 0.012);
    check_gaussian<float>(VP{}, DpmSolver{40}, 0.012);
  }
  SUBCASE("probability flow with new noise") {
    check_gaussian<double>(VE{}, Heun{40, 7, {.amount = 20}}, 0.012);
    check_gaussian<float>(VP{}, Heun{40, 7, {.amount = 20}}, 0.012);
    check_gaussian<double>(SubVP{}, Heun{40, 7, {.amount = 5, .from = 0.05, .to = 5}}, 0.012);
  }
}

TEST_CASE("diffusion/sampler: order of convergence") {
  // Ratios of the errors of n and 2 n steps tend to 2 and 4; the ranges leave room for the next order.
  const VP vp{0.1, 10};
  for (int steps : {200, 400}) {
    CAPTURE(steps);
    const double ratio = mean_error(vp, EulerMaruyama{steps}) / mean_error(vp, EulerMaruyama{2 * steps});
    CHECK(ratio > 1.8);
    CHECK(ratio < 2.3);
  }
  // VE has no drift: what a step of a Gaussian loses by contraction at its start it gains in noise there. The
  // variance's recursion gives +0.14 % at 100 steps; 4.5 Monte-Carlo errors of sqrt(2 / n) are 2.8 %.
  CHECK(std::abs(variance_error(VE{0.05, 15}, 100, 50000)) < 0.03);
  for (int steps : {30, 60}) {
    CAPTURE(steps);
    const auto check = [&](const auto& sde, const auto& coarse, const auto& fine) {
      const double ratio = scale_error(sde, coarse) / scale_error(sde, fine);
      CHECK(ratio > 3.4);
      CHECK(ratio < 4.6);
    };
    check(VE{}, Heun{steps}, Heun{2 * steps});
    check(vp, Heun{steps}, Heun{2 * steps});
    check(VE{}, DpmSolver{steps}, DpmSolver{2 * steps});
    check(vp, DpmSolver{steps}, DpmSolver{2 * steps});
  }
  CHECK(std::abs(scale_error(VE{}, Heun{20})) < 0.006);      // 0.4 % at 42 evaluations
  CHECK(std::abs(scale_error(VE{}, DpmSolver{40})) < 0.008); // 0.5 % at 42 evaluations
}

TEST_CASE("diffusion/sampler: the start knows the mean given the conditioned nodes") {
  // A start at N(0, alpha^2 + sigma^2) would shift the mean of N(1, v) by sqrt(v) / 15 = 0.042.
  CHECK(std::abs(mean_error(VE{}, Heun{40})) < 1e-3);
  CHECK(std::abs(mean_error(VE{}, DpmSolver{40})) < 1e-3);
}

TEST_CASE("diffusion/sampler: the grid is that of Karras et al. (2022)") {
  // Equation 5 with their sigma from 80 to .002 and rho = 7 in 17 steps, computed in Python.
  const std::vector<double> grid{80,         57.585985,  40.785574,   28.374585,   19.352453,  12.910082,
                                 8.4009353,  5.3151945,  3.2568215,   1.9233398,   1.0881706,  0.58534812,
                                 0.29644228, 0.13951647, 0.059947311, 0.022934518, 0.00752802, 0.002};
  const VE ve{0.002, 80};
  std::vector<double> seen;
  const auto record = [&](double t, View<const double>, View<double> x0) {
    seen.push_back(ve.sigma(t)), x0.data[0] = 0;
  };
  Tensor<double> x(Shape{1, 1});
  CHECK(DpmSolver{17}.sample(ve, record, x.view(), {}, sbi::Rng(1)) == 19);
  REQUIRE(seen.size() == 19); // the first twice: it places the start
  for (std::size_t i = 0; i < grid.size(); ++i) CHECK(seen[i + 1] == Approx(grid[i]).epsilon(1e-6));
  seen.clear();
  CHECK(Heun{17}.sample(ve, record, x.view(), {}, sbi::Rng(1)) == 36);
  REQUIRE(seen.size() == 36); // each step looks at both of its ends
  for (std::size_t i = 0; i + 1 < grid.size(); ++i) {
    CHECK(seen[2 * i + 1] == Approx(grid[i]).epsilon(1e-6));
    CHECK(seen[2 * i + 2] == Approx(grid[i + 1]).epsilon(1e-6));
  }
}

TEST_CASE("diffusion/sampler: new noise rises to the ratio it should, and errors keep the second order") {
  const Churn churn{.amount = 2, .from = 0.1, .to = 3};
  CHECK(churn.raised(1, 10, 15) == Approx(1.2));           // amount / steps
  CHECK(churn.raised(1, 2, 15) == Approx(std::sqrt(2.0))); // at most sqrt 2
  CHECK(churn.raised(2.9, 10, 3) == 3);                    // never above the start
  CHECK(churn.raised(0.09, 10, 15) == 0.09);               // below `from`
  CHECK(churn.raised(3.1, 10, 15) == 3.1);                 // above `to`
  CHECK(Churn{}.raised(1, 10, 15) == 1);
  // The first evaluation of a step is at the raised ratio.
  const VE ve{0.1, 10};
  std::vector<double> seen;
  const auto record = [&](double t, View<const double>, View<double> x0) {
    seen.push_back(ve.sigma(t)), x0.data[0] = 0;
  };
  Tensor<double> x(Shape{1, 1});
  Heun{4, 1, {.amount = 0.4}}.sample(ve, record, x.view(), {}, sbi::Rng(1));
  REQUIRE(seen.size() == 10); // steps of 2.475 from 10, raised by a tenth from the second on
  for (const auto& [at, want] :
       {std::pair{1, 10.0}, {2, 7.525}, {3, 7.525 * 1.1}, {4, 5.05}, {5, 5.05 * 1.1}})
    CHECK(seen[std::size_t(at)] == Approx(want));
  // Without a start's error: VE from 150 leaves a mean of the third order in 1 / 150.
  const auto noisy = [](int steps) { return Heun{steps, 7, {.amount = 10}}; };
  for (int steps : {40, 80}) {
    const double ratio =
        mean_error(VE{1e-3, 150}, noisy(steps)) / mean_error(VE{1e-3, 150}, noisy(2 * steps));
    CAPTURE(steps);
    CHECK(ratio > 3.2);
    CHECK(ratio < 4.8);
  }
  // No noise: the plain sampler to the bit. Scale 0: the path is pulled in, the deviation too small.
  const auto target = joint();
  const auto denoise = target.denoiser<VE, double>(ve);
  Tensor<double> plain(Shape{200, 3}), none(Shape{200, 3}), shrunk(Shape{200, 3});
  Heun{10}.sample(ve, denoise, plain.view(), {}, sbi::Rng(3));
  Heun{10, 7, {.amount = 5, .from = 20}}.sample(ve, denoise, none.view(), {}, sbi::Rng(3));
  Heun{10, 7, {.amount = 5, .scale = 0}}.sample(ve, denoise, shrunk.view(), {}, sbi::Rng(3));
  bool same = true;
  double before = 0, after = 0;
  for (index_t i = 0; i < plain.size(); ++i) {
    same &= plain.data()[i] == none.data()[i];
    before += plain.data()[i] * plain.data()[i], after += shrunk.data()[i] * shrunk.data()[i];
  }
  CHECK(same);
  CHECK(after < 0.8 * before);
}

TEST_CASE("diffusion/sampler: samples do not depend on how rows are cut into blocks") {
  const VE ve;
  const auto target = joint();
  const auto denoise = target.denoiser<VE, float>(ve);
  const auto compare = [&](const auto& sampler) {
    Tensor<float> whole(Shape{10, 3}), parts(Shape{10, 3});
    sampler.sample(ve, denoise, whole.view(), {}, sbi::Rng(9), 100);
    sampler.sample(ve, denoise, parts.view().row_block(0, 7), {}, sbi::Rng(9), 100);
    sampler.sample(ve, denoise, parts.view().row_block(7, 3), {}, sbi::Rng(9), 107);
    bool same = true;
    for (index_t i = 0; i < 10; ++i)
      for (index_t j = 0; j < 3; ++j) same &= whole(i, j) == parts(i, j);
    CHECK(same);
  };
  compare(EulerMaruyama{30});
  compare(Heun{10});
  compare(Heun{10, 7, {.amount = 10}});
  compare(DpmSolver{10});
}

TEST_CASE("diffusion/sampler: rows may differ in their states, and missing nodes are left as they are") {
  const VP vp;
  const auto target = joint();
  const std::vector<std::uint8_t> states{0, 0, 2, 0, 1, 0};
  Tensor<double> x(Shape{2, 3}, {0, 0, sbi::missing, 0, 0.5, 0});
  const auto denoise = [](double, View<const double> a, View<double> b) {
    for (index_t i = 0; i < a.rows(); ++i)
      for (index_t j = 0; j < a.cols(); ++j) b(i, j) = 0.25;
  };
  Heun{5}.sample(vp, denoise, x.view(), View<const std::uint8_t>(states.data(), Shape{2, 3}), sbi::Rng(1));
  CHECK(sbi::is_missing(x(0, 2)));
  CHECK(x(1, 1) == 0.5);
  CHECK(x(0, 0) == 0.25); // the last value is the denoised one
  CHECK(x(1, 2) == 0.25);
}

TEST_CASE("diffusion/sampler: wrong shapes, settings and non-finite networks are reported") {
  const VE ve;
  const auto target = joint();
  const auto denoise = target.denoiser<VE, double>(ve);
  Tensor<double> x(Shape{2, 3});
  const std::vector<std::uint8_t> states(4);
  CHECK_THROWS_AS(Heun{0}.sample(ve, denoise, x.view(), {}, sbi::Rng(1)), sbi::ValueError);
  CHECK_THROWS_AS((Heun{5, -1}.sample(ve, denoise, x.view(), {}, sbi::Rng(1))), sbi::ValueError);
  CHECK_THROWS_AS(EulerMaruyama{0}.sample(ve, denoise, x.view(), {}, sbi::Rng(1)), sbi::ValueError);
  CHECK_THROWS_AS(
      Heun{5}.sample(ve, denoise, x.view(), View<const std::uint8_t>(states.data(), Shape{4}), sbi::Rng(1)),
      sbi::ShapeError);
  const auto broken = [](double, View<const double> a, View<double> b) {
    for (index_t i = 0; i < a.size(); ++i) b.data[i] = sbi::missing;
  };
  const auto message = [&](const auto& run) {
    try {
      run();
    } catch (const sbi::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message([&] { Heun{5}.sample(ve, broken, x.view(), {}, sbi::Rng(1), 30); }) ==
        "sampler: node 0 of row 30 is nan; want a finite value");
  CHECK(message([&] {
          Heun{5, 7, {.amount = -1}}.sample(ve, denoise, x.view(), {}, sbi::Rng(1));
        }) == "churn: amount = -1, from = 0, to = inf, scale = 1; want 0 or more");
  CHECK(message([&] {
          Heun{5, 7, {.scale = sbi::missing}}.sample(ve, denoise, x.view(), {}, sbi::Rng(1));
        }).starts_with("churn: "));
  CHECK(message([&] {
          DpmSolver{5, 0}.sample(ve, denoise, x.view(), {}, sbi::Rng(1));
        }) == "DpmSolver: rho = 0; want > 0");
  CHECK_THROWS_AS(Heun{5}.sample(ve, broken, x.view(), {}, sbi::Rng(1)), sbi::NumericalError);
  Tensor<double> nobody(Shape{0, 3}); // no rows: nothing to do
  CHECK(Heun{5}.sample(ve, denoise, nobody.view(), {}, sbi::Rng(1)) == 12);
}
