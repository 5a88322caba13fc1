// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/backend/cpu.hpp>
#include <sbi/ot/gromov_barycentre.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
using Matrix = Tensor<double>;
using Space = ot::GromovSpace<double>;
const Cpu<double> be(1);

/// Symmetric costs of random points.
Matrix space(std::uint64_t seed, index_t n, double scale = 1) {
  const Matrix x = random_points(seed, n, 2, scale);
  return ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), x.view());
}
ot::GromovBarycentreOptions options() {
  ot::GromovBarycentreOptions o;
  o.tolerance = 1e-12, o.fused.tolerance = 1e-12;
  return o;
}
/// The costs or features in another order.
Matrix permuted(const Matrix& c, index_t step, bool columns = true) {
  Matrix out(c.shape());
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t k = 0; k < c.cols(); ++k)
      out((step * i + 1) % c.rows(), columns ? (step * k + 1) % c.cols() : k) = c(i, k);
  return out;
}
Matrix times(Matrix c, double factor) {
  for (double& v : c) v *= factor;
  return c;
}
/// The least distortion between two spaces of equal weights.
double apart(const Matrix& x, const Matrix& y) {
  return ot::exact_fused(be, {}, x.view(), y.view(), {}, {}, ot::FusedOptions{}).distortion;
}
double asymmetry(const Matrix& c) {
  double worst = 0;
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t k = 0; k < i; ++k) worst = std::max(worst, std::abs(c(i, k) - c(k, i)));
  return worst;
}
/// The objective by its definition, without entropy.
template <class L = ot::SquareLoss>
double objective(const ot::GromovBarycentre<double>& r, const std::vector<Space>& spaces, const Vector& share,
                 double alpha, const L& loss = {}) {
  double sum = 0;
  for (std::size_t s = 0; s < spaces.size(); ++s) {
    const Matrix& t = r.plans[s];
    sum += share[s] * alpha *
           distortion_by_definition(
               t, loss, [&](index_t i, index_t k) { return r.cost(i, k); },
               [&](index_t j, index_t l) { return spaces[s].cost(j, l); });
    for (index_t i = 0; alpha < 1 && i < t.rows(); ++i)
      for (index_t j = 0; j < t.cols(); ++j)
        for (index_t c = 0; c < r.features.cols(); ++c)
          sum += share[s] * (1 - alpha) * t(i, j) * std::pow(r.features(i, c) - spaces[s].features(j, c), 2);
  }
  return sum;
}
} // namespace

TEST_CASE("ot/gromov barycentre: of one space, and of its copies in other orders, it is that space") {
  const Matrix c = space(1, 8), d = permuted(c, 3), e = permuted(c, 5);
  for (const std::vector<Space>& spaces :
       {std::vector<Space>{{c.view(), {}, {}}},
        std::vector<Space>{{c.view(), {}, {}}, {d.view(), {}, {}, 2}, {e.view(), {}, {}}}}) {
    const auto r = ot::gromov_barycentre(be, spaces, 8, {}, options());
    CHECK(r.converged);
    CHECK(r.objective < 1e-12);
    CHECK(apart(r.cost, c) < 1e-12);
    CHECK(asymmetry(r.cost) < 1e-12);
  }
}

TEST_CASE("ot/gromov barycentre: of one space from random costs of all plans' solvers") {
  // A random start has to find the space by rounds of plans and entries alone.
  const Matrix c = space(2, 7);
  Matrix start = random_matrix(3, 7, 7);
  for (index_t i = 0; i < 7; ++i)
    for (index_t k = 0; k <= i; ++k) start(i, k) = start(k, i) = i == k ? 0 : start(k, i);
  for (const ot::GromovPlans plans : {ot::GromovPlans::exact, ot::GromovPlans::proximal}) {
    auto o = options();
    o.plans = plans, o.fused.sinkhorn.epsilon = 0.5;
    o.fused.sinkhorn.tolerance = 1e-8;
    const auto r = ot::gromov_barycentre(be, std::vector<Space>{{c.view(), {}, {}}}, 7, {}, o,
                                         ot::SquareLoss{}, start.view());
    CHECK(apart(r.cost, c) < 1e-6);
  }
}

TEST_CASE("ot/gromov barycentre: between copies of two scales it has the mean scale") {
  const Matrix c = space(4, 7), d = times(permuted(c, 3), 3);
  for (double share : {0.2, 0.5, 0.9}) {
    const std::vector<Space> spaces{{c.view(), {}, {}, share}, {d.view(), {}, {}, 1 - share}};
    const auto r = ot::gromov_barycentre(be, spaces, 7, {}, options());
    CHECK(r.converged);
    CHECK(apart(r.cost, times(c, share + 3 * (1 - share))) < 1e-12);
    // l (s - 1)^2 + (1 - l) (3 - s)^2 of the squares at s = l + 3 (1 - l), which is 4 l (1 - l)
    double squares = 0;
    for (double v : c) squares += v * v / 49;
    CHECK(r.objective == doctest::Approx(4 * share * (1 - share) * squares).epsilon(1e-10));
    // By logarithms the mean is geometric.
    const ot::KullbackLeiblerLoss loss{0.5};
    Matrix cs = c, ds = d;
    for (index_t k = 0; k < cs.size(); ++k) ds.data()[k] = 3 * (permuted(c, 3).data()[k] + 0.5) - 0.5;
    const std::vector<Space> shifted{{cs.view(), {}, {}, share}, {ds.view(), {}, {}, 1 - share}};
    const auto g = ot::gromov_barycentre(be, shifted, 7, {}, options(), loss);
    Matrix expected = c;
    for (double& v : expected) v = (v + 0.5) * std::pow(3, 1 - share) - 0.5;
    CHECK(apart(g.cost, expected) < 1e-10);
  }
}

TEST_CASE("ot/gromov barycentre: the objective is that of the definition and never rises") {
  const Matrix c = space(5, 6), d = random_matrix(6, 7, 7), e = space(7, 5, 0.7);
  const Vector a = random_weights(8, 6), b = random_weights(9, 7), p = random_weights(10, 6);
  const Matrix u = random_points(11, 6, 2), v = random_points(12, 7, 2), w = random_points(13, 5, 2);
  const std::vector<Space> plain{{c.view(), a, {}, 1}, {d.view(), b, {}, 2}, {e.view(), {}, {}, 3}};
  std::vector<Space> featured = plain;
  featured[0].features = u.view(), featured[1].features = v.view(), featured[2].features = w.view();
  const Vector share{1.0 / 6, 1.0 / 3, 0.5};
  const Matrix start = random_matrix(14, 6, 6);
  for (const ot::GromovPlans plans :
       {ot::GromovPlans::exact, ot::GromovPlans::proximal, ot::GromovPlans::entropic})
    for (const std::vector<Space>& spaces : {plain, featured}) {
      auto o = options();
      o.plans = plans, o.trial_iterations = 1, o.fused.alpha = 0.3;
      o.fused.random_starts = 2, o.fused.max_iterations = 60;
      o.fused.tolerance = 1e-9, o.fused.sinkhorn.epsilon = 2, o.fused.sinkhorn.tolerance = 1e-8;
      double before = std::numeric_limits<double>::infinity();
      ot::GromovBarycentre<double> r;
      for (int rounds : {1, 2, 4}) {
        o.max_iterations = rounds;
        r = ot::gromov_barycentre(be, spaces, 6, p, o, ot::SquareLoss{}, start.view());
        CHECK(r.objective <= before * (1 + 1e-9));
        before = r.objective;
      }
      double entropy = 0;
      for (std::size_t s = 0; plans == ot::GromovPlans::entropic && s < 3; ++s) {
        const Vector q = s == 0 ? a : s == 1 ? b : Vector(5, 0.2);
        entropy += 2 * share[s] * relative_entropy(r.plans[s], p, q);
      }
      const double alpha = spaces[0].features ? 0.3 : 1;
      const double expected = objective(r, spaces, share, alpha) + entropy;
      CHECK(r.objective == doctest::Approx(expected).epsilon(1e-8));
      // The entries are the best ones for these plans.
      const auto changed = [&](double h, bool of_features) {
        auto other = r;
        (of_features ? other.features(4, 1) : other.cost(2, 5)) += h;
        return objective(other, spaces, share, alpha) + entropy;
      };
      for (const bool of_features : {false, true}) {
        if (of_features && alpha == 1) continue;
        const double up = changed(1e-3, of_features), down = changed(-1e-3, of_features);
        CHECK(up > expected);
        CHECK(std::abs(up - down) < 1e-4 * (up + down - 2 * expected)); // a parabola about its minimum
      }
    }
}

TEST_CASE("ot/gromov barycentre: with features, copies of one space give it back with its features") {
  const Matrix c = space(15, 8), u = random_points(16, 8, 3);
  const Matrix d = permuted(c, 3), v = permuted(u, 3, false);
  const std::vector<Space> spaces{{c.view(), {}, u.view()}, {d.view(), {}, v.view()}};
  const auto r = ot::gromov_barycentre(be, spaces, 8, {}, options());
  CHECK(r.converged);
  CHECK(r.objective < 1e-12);
  // Every point is one of the space's, by its features, and lies as that does.
  std::vector<index_t> copy;
  for (index_t i = 0; i < 8; ++i)
    for (index_t j = 0; j < 8; ++j)
      if (squared_distance(r.features, i, u, j) < 1e-12) copy.push_back(j);
  REQUIRE(copy.size() == 8);
  for (index_t i = 0; i < 8; ++i)
    for (index_t k = 0; k < 8; ++k)
      CHECK(r.cost(i, k) ==
            doctest::Approx(c(copy[static_cast<std::size_t>(i)], copy[static_cast<std::size_t>(k)])));
}

TEST_CASE("ot/gromov barycentre: shares count by their ratio, a space without share plays no part") {
  const Matrix c = space(17, 5), d = space(18, 6);
  const auto two = ot::gromov_barycentre(be, std::vector<Space>{{c.view(), {}, {}, 1}, {d.view(), {}, {}, 3}},
                                         4, {}, options());
  const auto scaled = ot::gromov_barycentre(
      be, std::vector<Space>{{c.view(), {}, {}, 5}, {d.view(), {}, {}, 15}}, 4, {}, options());
  CHECK(two.objective == doctest::Approx(scaled.objective).epsilon(1e-12));
  const auto one = ot::gromov_barycentre(be, std::vector<Space>{{d.view(), {}, {}, 0}, {c.view(), {}, {}, 1}},
                                         5, {}, options());
  CHECK(one.plans[0].size() == 0);
  CHECK(apart(one.cost, c) < 1e-12);
}

TEST_CASE("ot/gromov barycentre: float finds what double finds") {
  const Matrix c = space(19, 7), d = times(permuted(c, 3), 2);
  Tensor<float> fc(c.shape()), fd(d.shape());
  std::transform(c.begin(), c.end(), fc.begin(), [](double v) { return static_cast<float>(v); });
  std::transform(d.begin(), d.end(), fd.begin(), [](double v) { return static_cast<float>(v); });
  const std::vector<ot::GromovSpace<float>> spaces{{fc.view(), {}, {}}, {fd.view(), {}, {}}};
  const auto r = ot::gromov_barycentre(Cpu<float>(1), spaces, 7, {}, ot::GromovBarycentreOptions{});
  CHECK(r.converged);
  Matrix wide(c.shape());
  std::copy(r.cost.begin(), r.cost.end(), wide.begin());
  CHECK(apart(wide, times(c, 1.5)) < 1e-8);
}

TEST_CASE("ot/gromov barycentre: what cannot be solved is refused by name") {
  const Matrix c = space(20, 4), u = random_points(21, 4, 2);
  const auto solve = [&](const std::vector<Space>& spaces, const Vector& p = {},
                         ot::GromovBarycentreOptions o = options(), const Matrix& start = {}) {
    return ot::gromov_barycentre(be, spaces, 3, p, o, ot::SquareLoss{},
                                 start.size() > 0 ? start.view() : View<const double>());
  };
  const std::vector<Space> one{{c.view(), {}, {}}};
  CHECK_THROWS_WITH_AS(std::ignore = solve({}),
                       "gromov barycentre: the shares of 0 spaces sum to 0; want > 0", ValueError);
  CHECK_THROWS_WITH_AS(std::ignore = solve({{c.view(), {}, {}, -1}}),
                       "gromov barycentre: share 0 = -1; want >= 0 and finite", ValueError);
  CHECK_THROWS_WITH_AS(std::ignore = solve(one, {0.5, 0, 0.5}),
                       "gromov barycentre: weight p[1] = 0; want > 0", ValueError);
  CHECK_THROWS_AS(std::ignore = solve(one, {1, 2}), ShapeError);
  CHECK_THROWS_WITH_AS(std::ignore = ot::gromov_barycentre(be, one, 0, {}, options()),
                       "gromov barycentre: 0 points; want at least 1", ShapeError);
  CHECK_THROWS_WITH_AS(std::ignore = solve({{c.view(), {}, u.view()}, {c.view(), {}, {}}}),
                       "gromov barycentre: features 1 are []; want [4,d] for every space or none",
                       ShapeError);
  CHECK_THROWS_WITH_AS(std::ignore = solve(one, {}, options(), random_matrix(22, 4, 4)),
                       "gromov barycentre: start is [4,4]; want [3,3]", ShapeError);
  Matrix bad = c;
  bad(1, 2) = missing;
  CHECK_THROWS_WITH_AS(std::ignore = solve({{bad.view(), {}, {}}}),
                       "distortion: space 0: C[1,2] = nan; want finite", ValueError);
  auto o = options();
  o.starts = 0;
  CHECK_THROWS_WITH_AS(std::ignore = solve(one, {}, o),
                       "gromov barycentre: 100 iterations, 3 of a trial, 0 starts; want at least 1",
                       ValueError);
  o = options(), o.max_iterations = 1, o.trial_iterations = 1;
  CHECK(!solve(one, {}, o).converged); // and says so where it is not
}
