// SPDX-License-Identifier: MIT
// Keypoint-guided transport with a cost between the clouds, with a distortion, of a part of the mass.
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/keypoint.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>

using namespace sbi;
using ot::Keypoint;
using ot::KeypointForm;
using ot::Solver;

namespace {
using Vector = std::vector<double>;
using Matrix = Tensor<double>;
using Result = ot::KeypointResult<double>;
const Cpu<double> be(1);
const ot::SquaredEuclidean square;

const std::array<Keypoint, 3> pairs{{{0, 4}, {3, 0}, {6, 2}}};
const Vector a{0.1, 0.12, 0.08, 0.2, 0.15, 0.1, 0.05, 0.2}, b{0.2, 0.2, 0.05, 0.3, 0.1, 0.15};

ot::KeypointOptions options(KeypointForm form, Solver solver, double alpha = 0.3) {
  ot::KeypointOptions o;
  o.form = form, o.solver = solver, o.alpha = alpha, o.temperature = 0.4;
  o.sinkhorn.epsilon = solver == Solver::proximal ? 1 : 0.2;
  o.sinkhorn.tolerance = 1e-13, o.sinkhorn.max_iterations = 200'000;
  o.fused.tolerance = 1e-15, o.fused.random_starts = 3;
  return o;
}
Result guided(const Matrix& x, const Matrix& y, const ot::KeypointOptions& o, const Vector& left = a,
              const Vector& right = b, std::span<const Keypoint> keypoints = pairs) {
  return ot::keypoint_guided(be, square, x.view(), y.view(), keypoints, left, right, o);
}
double inner(const Matrix& x, const Matrix& y) {
  double sum = 0;
  for (index_t k = 0; k < x.size(); ++k) sum += x.data()[k] * y.data()[k];
  return sum;
}
double apart(const Matrix& x, const Matrix& y) {
  double worst = 0;
  for (index_t k = 0; k < x.size(); ++k) worst = std::max(worst, std::abs(x.data()[k] - y.data()[k]));
  return worst;
}
Matrix costs(const Matrix& x, const Matrix& y) { return ot::cost_matrix(be, square, x.view(), y.view()); }
/// The objective of a plan by its definition.
double objective(const Matrix& x, const Matrix& y, const Result& r, KeypointForm form, double alpha) {
  if (form == KeypointForm::relations) return inner(r.plan, r.guide);
  const double more =
      form == KeypointForm::with_cost
          ? inner(r.plan, costs(x, y))
          : ot::distortion(be, costs(x, x).view(), costs(y, y).view(), r.plan.view(), ot::SquareLoss{});
  return alpha * more + (1 - alpha) * inner(r.plan, r.guide);
}
/// eps KL(P | a x b) over the points that are no keypoints.
double entropy(const Result& r, const Vector& left, const Vector& right) {
  double sum = 0;
  for (index_t i : r.rest_x)
    for (index_t j : r.rest_y) {
      const double p = r.plan(i, j),
                   q = left[static_cast<std::size_t>(i)] * right[static_cast<std::size_t>(j)];
      sum += (p > 0 ? p * std::log(p / q) : 0) - p + q;
    }
  return sum;
}
void check_marginals(const Matrix& p, const Vector& left, const Vector& right, double tolerance) {
  const ot::detail::Marginals of(be, p.view());
  for (std::size_t i = 0; i < left.size(); ++i) CHECK(std::abs(of.rows[i] - left[i]) < tolerance);
  for (std::size_t j = 0; j < right.size(); ++j) CHECK(std::abs(of.columns[j] - right[j]) < tolerance);
}
struct Case {
  KeypointForm form;
  Solver solver;
};
const Case cases[] = {
    {KeypointForm::relations, Solver::exact},         {KeypointForm::relations, Solver::entropic},
    {KeypointForm::with_cost, Solver::exact},         {KeypointForm::with_cost, Solver::entropic},
    {KeypointForm::with_distortion, Solver::exact},   {KeypointForm::with_distortion, Solver::entropic},
    {KeypointForm::with_distortion, Solver::proximal}};
} // namespace

TEST_CASE("ot/keypoint: values are those of the whole plan by their definition, which keeps the pairs") {
  const auto x = random_points(21, 8, 2), y = random_points(22, 6, 2);
  for (const Case& c : cases) {
    CAPTURE(static_cast<int>(c.form));
    CAPTURE(static_cast<int>(c.solver));
    const auto o = options(c.form, c.solver);
    const Result r = guided(x, y, o);
    CHECK(r.converged);
    check_marginals(r.plan, a, b, 1e-10);
    for (const Keypoint& k : pairs) CHECK(r.plan(k.x, k.y) == a[static_cast<std::size_t>(k.x)]);
    const double smooth = c.solver == Solver::entropic ? 0.2 * entropy(r, a, b) : 0;
    CHECK(r.value == doctest::Approx(objective(x, y, r, c.form, o.alpha) + smooth).epsilon(1e-10));
  }
}

TEST_CASE("ot/keypoint: the exact plan is that of the whole problem with a price on all pairs that are not") {
  const auto x = random_points(23, 8, 2), y = random_points(24, 6, 2);
  for (KeypointForm form : {KeypointForm::relations, KeypointForm::with_cost}) {
    const Result r = guided(x, y, options(form, Solver::exact));
    const Matrix between = costs(x, y);
    Matrix masked(Shape{8, 6}, Vector(48, 1000.0)); // no plan pays it
    const auto entry = [&](index_t i, index_t j) {
      return form == KeypointForm::with_cost ? 0.3 * between(i, j) + 0.7 * r.guide(i, j) : r.guide(i, j);
    };
    for (const Keypoint& k : pairs) masked(k.x, k.y) = entry(k.x, k.y);
    for (index_t i : r.rest_x)
      for (index_t j : r.rest_y) masked(i, j) = entry(i, j);
    const auto whole = ot::exact_transport<double>(masked.view(), a, b);
    CHECK(r.value == doctest::Approx(whole.value).epsilon(1e-10));
    Matrix plan(Shape{8, 6});
    for (const ot::Shipment& s : whole.plan) plan(s.from, s.to) = s.mass;
    CHECK(apart(plan, r.plan) < 1e-14);
  }
}

TEST_CASE("ot/keypoint: with a distortion it finds the best of all assignments that keep the pairs") {
  // Uniform weights and squared distances, for which E is concave: a minimum is an assignment.
  const auto x = random_points(25, 7, 2), y = random_points(26, 7, 3);
  const std::array<Keypoint, 2> two{{{1, 2}, {5, 0}}};
  const double alpha = 0.2;
  for (Solver solver : {Solver::exact, Solver::proximal}) {
    auto o = options(KeypointForm::with_distortion, solver, alpha);
    o.sinkhorn.tolerance = 1e-9, o.fused.random_starts = 20;
    const Result r = guided(x, y, o, {}, {}, two);
    CHECK(r.converged);
    std::vector<index_t> to = r.rest_y;
    Result best;
    best.value = std::numeric_limits<double>::infinity();
    do {
      Result assigned;
      assigned.guide = r.guide, assigned.plan = Matrix(Shape{7, 7});
      for (const Keypoint& k : two) assigned.plan(k.x, k.y) = 1.0 / 7;
      for (std::size_t i = 0; i < to.size(); ++i) assigned.plan(r.rest_x[i], to[i]) = 1.0 / 7;
      assigned.value = objective(x, y, assigned, o.form, alpha);
      if (assigned.value < best.value) best = assigned;
    } while (std::next_permutation(to.begin(), to.end()));
    CHECK(r.value == doctest::Approx(best.value).epsilon(solver == Solver::exact ? 1e-12 : 1e-6));
    CHECK(apart(r.plan, best.plan) < (solver == Solver::exact ? 1e-15 : 1e-6));
  }
}

TEST_CASE("ot/keypoint: without a share of the cost or the distortion the forms are one") {
  const auto x = random_points(27, 8, 2), y = random_points(28, 6, 2);
  for (Solver solver : {Solver::exact, Solver::entropic}) {
    const Result plain = guided(x, y, options(KeypointForm::relations, solver));
    for (KeypointForm form : {KeypointForm::with_cost, KeypointForm::with_distortion}) {
      const Result r = guided(x, y, options(form, solver, 0));
      CHECK(r.value == doctest::Approx(plain.value).epsilon(1e-10));
      CHECK(apart(r.plan, plain.plan) < 1e-10);
      CHECK(apart(r.dx, plain.dx) < 1e-9);
      CHECK(apart(r.dy, plain.dy) < 1e-9);
    }
  }
}

TEST_CASE("ot/keypoint: where the relations say nothing it is plain transport of the other points") {
  const auto x = random_points(29, 8, 2), y = random_points(30, 6, 2);
  const Matrix between = costs(x, y);
  const auto rest = [&](std::span<const Keypoint> known) {
    double value = 0;
    Vector p, q;
    std::vector<index_t> rows, columns;
    for (index_t i = 0; i < 8; ++i)
      if (std::none_of(known.begin(), known.end(), [&](Keypoint k) { return k.x == i; }))
        rows.push_back(i), p.push_back(a[static_cast<std::size_t>(i)]);
    for (index_t j = 0; j < 6; ++j)
      if (std::none_of(known.begin(), known.end(), [&](Keypoint k) { return k.y == j; }))
        columns.push_back(j), q.push_back(b[static_cast<std::size_t>(j)]);
    Matrix c(Shape{static_cast<index_t>(p.size()), static_cast<index_t>(q.size())});
    for (index_t i = 0; i < c.rows(); ++i)
      for (index_t j = 0; j < c.cols(); ++j)
        c(i, j) = between(rows[static_cast<std::size_t>(i)], columns[static_cast<std::size_t>(j)]);
    for (const Keypoint& k : known) value += a[static_cast<std::size_t>(k.x)] * between(k.x, k.y);
    return value + ot::exact_transport<double>(c.view(), p, q).value;
  };
  // One keypoint is related to by all points alike, G = 0; alpha = 1 does not look at G.
  const std::span<const Keypoint> one(pairs.data(), 1);
  const Result r = guided(x, y, options(KeypointForm::with_cost, Solver::exact, 0.5), a, b, one);
  CHECK(*std::max_element(r.guide.begin(), r.guide.end()) < 1e-15);
  CHECK(r.value == doctest::Approx(0.5 * rest(one)).epsilon(1e-12));
  const Result all = guided(x, y, options(KeypointForm::with_cost, Solver::exact, 1));
  CHECK(all.value == doctest::Approx(rest(pairs)).epsilon(1e-12));
}

TEST_CASE("ot/keypoint: turning the target changes nothing without a cost between the clouds") {
  const auto x = random_points(31, 8, 2), y = random_points(32, 6, 2);
  Matrix turned(y.shape());
  for (index_t j = 0; j < 6; ++j)
    turned(j, 0) = 2 - 0.6 * y(j, 0) - 0.8 * y(j, 1), turned(j, 1) = 0.8 * y(j, 0) - 0.6 * y(j, 1) - 1;
  for (const Case& c : cases) {
    const auto o = options(c.form, c.solver);
    const Result r = guided(x, y, o), t = guided(x, turned, o);
    if (c.form == KeypointForm::with_cost) {
      CHECK(std::abs(t.value - r.value) > 0.1);
    } else {
      CHECK(t.value == doctest::Approx(r.value).epsilon(1e-9));
      CHECK(apart(t.plan, r.plan) < 1e-8);
    }
  }
}

TEST_CASE("ot/keypoint: points in another order give the plan in that order") {
  const auto x = random_points(33, 8, 2), y = random_points(34, 6, 2);
  const std::array<index_t, 8> p{3, 6, 1, 7, 0, 2, 5, 4};
  const std::array<index_t, 6> q{5, 2, 0, 3, 1, 4};
  Matrix px(x.shape()), qy(y.shape());
  Vector pa(8), qb(6);
  for (std::size_t i = 0; i < 8; ++i) {
    pa[i] = a[static_cast<std::size_t>(p[i])];
    for (index_t k = 0; k < 2; ++k) px(static_cast<index_t>(i), k) = x(p[i], k);
  }
  for (std::size_t j = 0; j < 6; ++j) {
    qb[j] = b[static_cast<std::size_t>(q[j])];
    for (index_t k = 0; k < 2; ++k) qy(static_cast<index_t>(j), k) = y(q[j], k);
  }
  std::vector<Keypoint> moved;
  for (const Keypoint& k : pairs)
    moved.push_back(
        {std::find(p.begin(), p.end(), k.x) - p.begin(), std::find(q.begin(), q.end(), k.y) - q.begin()});
  std::reverse(moved.begin(), moved.end()); // nor does the order of the pairs matter
  for (const Case& c : cases) {
    const auto o = options(c.form, c.solver);
    const Result r = guided(x, y, o), t = guided(px, qy, o, pa, qb, moved);
    CHECK(t.value == doctest::Approx(r.value).epsilon(1e-9));
    double worst = 0;
    for (index_t i = 0; i < 8; ++i)
      for (index_t j = 0; j < 6; ++j)
        worst = std::max(worst, std::abs(t.plan(i, j) - r.plan(p[static_cast<std::size_t>(i)],
                                                               q[static_cast<std::size_t>(j)])));
    CHECK(worst < 1e-8);
  }
}

TEST_CASE("ot/keypoint: gradients of every form and solver are those of finite differences") {
  auto x = random_points(35, 8, 2), y = random_points(36, 6, 2);
  const auto check = [&](const ot::KeypointOptions& o, double tolerance) {
    CAPTURE(static_cast<int>(o.form));
    CAPTURE(static_cast<int>(o.solver));
    const Result r = guided(x, y, o);
    CHECK(r.converged);
    auto without = o;
    without.gradients = false;
    double largest = 0, worst = 0;
    const auto along = [&](Matrix& points, const Matrix& gradient) {
      for (index_t i = 0; i < points.rows(); ++i) {
        const double at = points(i, i % 2), h = 1e-5;
        points(i, i % 2) = at + h;
        const double up = guided(x, y, without).value;
        points(i, i % 2) = at - h;
        const double down = guided(x, y, without).value;
        points(i, i % 2) = at;
        worst = std::max(worst, std::abs(gradient(i, i % 2) - (up - down) / (2 * h)));
        largest = std::max(largest, std::abs(gradient(i, i % 2)));
      }
    };
    along(x, r.dx), along(y, r.dy);
    CHECK(largest > 1e-2);
    CHECK(worst < tolerance * largest);
  };
  for (const Case& c : cases) {
    auto o = options(c.form, c.solver);
    o.temperature_unit = ot::TemperatureUnit::cost, o.temperature = 2;
    check(o, 1e-6);
    if (c.form == KeypointForm::with_distortion) continue;
    o.mass = 0.7;
    check(o, 1e-6);
  }
}

TEST_CASE("ot/keypoint: of a part of the mass that of the keypoints always moves") {
  const auto x = random_points(37, 8, 2), y = random_points(38, 6, 2);
  const double keys = a[0] + a[3] + a[6];
  for (KeypointForm form : {KeypointForm::relations, KeypointForm::with_cost})
    for (Solver solver : {Solver::exact, Solver::entropic}) {
      const Result all = guided(x, y, options(form, solver));
      double before = -std::numeric_limits<double>::infinity();
      for (double mass : {keys, 0.5, 0.8, 1.0}) {
        auto o = options(form, solver);
        o.mass = mass;
        const Result r = guided(x, y, o);
        CHECK(r.converged);
        for (const Keypoint& k : pairs) CHECK(r.plan(k.x, k.y) == a[static_cast<std::size_t>(k.x)]);
        double total = 0;
        for (double v : r.plan) total += v;
        CHECK(total == doctest::Approx(mass).epsilon(1e-10));
        const ot::detail::Marginals of(be, r.plan.view());
        for (std::size_t i = 0; i < a.size(); ++i) CHECK(of.rows[i] < a[i] + 1e-10);
        for (std::size_t j = 0; j < b.size(); ++j) CHECK(of.columns[j] < b[j] + 1e-10);
        const double smooth = solver == Solver::entropic ? 0.2 * entropy(r, a, b) : 0;
        const double value = objective(x, y, r, form, o.alpha);
        CHECK(r.value == doctest::Approx(value + smooth).epsilon(1e-9));
        if (solver == Solver::exact) CHECK(r.value >= before); // costs are not negative
        before = r.value;
        if (mass == 1) CHECK(apart(r.plan, all.plan) < 1e-10);
      }
    }
}

TEST_CASE("ot/keypoint: partners of different weight can be given a common one") {
  const auto x = random_points(39, 9, 2), y = random_points(40, 6, 2);
  const std::array<Keypoint, 2> two{{{1, 2}, {5, 0}}};
  for (const Case& c : cases) {
    auto o = options(c.form, c.solver);
    o.partners = ot::PartnerWeights::common;
    const Result r = guided(x, y, o, {}, {}, two); // 1/9 and 1/6
    CHECK(r.converged);
    const double other = (1 - 2.0 / 9) / 4;
    Vector right(6, other);
    right[2] = right[0] = 1.0 / 9;
    check_marginals(r.plan, Vector(9, 1.0 / 9), right, 1e-10);
    for (const Keypoint& k : two) CHECK(r.plan(k.x, k.y) == doctest::Approx(1.0 / 9).epsilon(1e-14));
  }
}

TEST_CASE("ot/keypoint: bits do not depend on threads, float agrees with double, reference with both") {
  const auto x = random_points(41, 75, 3), y = random_points(42, 70, 3);
  Vector left(75, 1.0 / 75), right(70, (1 - 3.0 / 75) / 67);
  for (const Keypoint& k : pairs) right[static_cast<std::size_t>(k.y)] = 1.0 / 75;
  const auto single = []<class V>(const V& from) {
    std::vector<float> out;
    for (double v : from) out.push_back(static_cast<float>(v));
    return out;
  };
  const Tensor<float> fx(x.shape(), single(x)), fy(y.shape(), single(y));
  const auto fa = single(left), fb = single(right);
  const Cpu<double> many(3);
  const Reference<double> reference;
  const Cpu<float> small(1);
  for (const Case& c : cases) {
    auto o = options(c.form, c.solver);
    o.sinkhorn.epsilon = 0.5, o.sinkhorn.tolerance = 1e-6, o.fused.tolerance = 1e-8;
    o.fused.random_starts = 1, o.fused.trial_iterations = 3;
    const Result r = guided(x, y, o, left, right);
    const Result t = ot::keypoint_guided(many, square, x.view(), y.view(), pairs, left, right, o);
    CHECK(r.value == t.value);
    CHECK(std::equal(r.dx.begin(), r.dx.end(), t.dx.begin()));
    CHECK(std::equal(r.dy.begin(), r.dy.end(), t.dy.begin()));
    const Result s = ot::keypoint_guided(reference, square, x.view(), y.view(), pairs, left, right, o);
    CHECK(s.value == doctest::Approx(r.value).epsilon(1e-5)); // of the inner problems' tolerance
    o.sinkhorn.tolerance = 1e-4, o.fused.tolerance = 1e-5;
    const auto f = ot::keypoint_guided(small, square, fx.view(), fy.view(), pairs, fa, fb, o);
    CHECK(f.converged);
    CHECK(f.value == doctest::Approx(r.value).epsilon(2e-3));
  }
}

TEST_CASE("ot/keypoint: two or three pairs match clusters that plain transport confuses") {
  // The paper's toy: three Gaussian clusters a domain, here on a triangle that the target has turned by a
  // third, so that each cluster lies nearest to the wrong one; pairs are the clusters' first points.
  constexpr index_t each = 12, n = 3 * each;
  const double third = 2 * 3.14159265358979 / 3;
  Matrix x(Shape{n, 2}), y(Shape{n, 2});
  Rng rng(46);
  for (index_t i = 0; i < n; ++i) {
    const double angle = third * static_cast<double>(i / each);
    for (auto [cloud, turn] : {std::pair{&x, 0.0}, std::pair{&y, third}}) {
      (*cloud)(i, 0) = 3 * std::cos(angle + turn) + 0.6 * rng.normal();
      (*cloud)(i, 1) = 3 * std::sin(angle + turn) + 0.6 * rng.normal();
    }
  }
  const auto right = [&](const Matrix& plan) {
    double sum = 0;
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j < n; ++j)
        if (i / each == j / each) sum += plan(i, j);
    return sum;
  };
  Matrix plain(Shape{n, n});
  for (const ot::Shipment& s : ot::exact_transport<double>(costs(x, y).view(), {}, {}).plan)
    plain(s.from, s.to) = s.mass;
  CHECK(right(plain) < 0.1);
  const std::array<Keypoint, 3> known{{{0, 0}, {each, each}, {2 * each, 2 * each}}};
  std::string shares = sbi::text("right without pairs ", right(plain));
  for (const std::size_t count : {std::size_t{2}, std::size_t{3}})
    for (const Case& c : cases) {
      auto o = options(c.form, c.solver, c.form == KeypointForm::with_cost ? 0.001 : 0.1);
      // The cost, about 10, pulls the wrong way, and the distortion, about 100, the right one; G < 0.7.
      o.temperature = 0.1, o.sinkhorn.epsilon = c.form == KeypointForm::with_distortion ? 1 : 0.02;
      o.sinkhorn.tolerance = o.fused.tolerance = 1e-6; // proximal points go on in ever smaller steps
      const Result r = guided(x, y, o, {}, {}, std::span(known).first(count));
      CAPTURE(count);
      CAPTURE(static_cast<int>(c.form));
      CAPTURE(static_cast<int>(c.solver));
      CHECK(r.converged);
      shares += sbi::text("; ", count, " pairs, form ", static_cast<int>(c.form), ", solver ",
                          static_cast<int>(c.solver), ": ", right(r.plan));
      CHECK(right(r.plan) > (count == 2 ? 0.8 : 0.99)); // of two the third cluster is as far from both
    }
  MESSAGE(shares);
}

TEST_CASE("ot/keypoint: options that do not fit together are refused by name") {
  const auto x = random_points(43, 8, 2), y = random_points(44, 6, 2), wide = random_points(45, 6, 3);
  const auto message = [&](const ot::KeypointOptions& o, const Matrix& target) {
    try {
      std::ignore = guided(x, target, o);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  auto o = options(KeypointForm::with_cost, Solver::exact);
  CHECK(message(o, wide).find("want equal last axes") != std::string::npos);
  o.solver = Solver::proximal;
  CHECK(message(o, y) == "keypoints: the proximal solver is for distortions; want the exact or entropic one");
  o = options(KeypointForm::with_cost, Solver::exact, 1.5);
  CHECK(message(o, y) == "keypoints: alpha = 1.5; want in [0, 1]");
  o = options(KeypointForm::with_distortion, Solver::exact);
  o.mass = 0.5;
  CHECK(message(o, y) == "keypoints: mass = 0.5; want infinity with a distortion");
  o = options(KeypointForm::relations, Solver::exact);
  o.mass = 0.2;
  CHECK(message(o, y).find("keypoints: mass = 0.2; want 0.35") == 0);
  o.mass = 1.2;
  CHECK(message(o, y).find("keypoints: mass = 1.2; want 0.35") == 0);
  o.mass = std::numeric_limits<double>::quiet_NaN();
  CHECK(message(o, y).find("keypoints: mass = ") == 0);
  o = options(KeypointForm::relations, Solver::exact);
  o.sinkhorn.rho_a = 1;
  CHECK(message(o, y).find("want infinity for both with the exact solver") != std::string::npos);
  o = options(KeypointForm::with_distortion, Solver::entropic);
  o.sinkhorn.rho_a = 1;
  CHECK(message(o, y).find("want infinity for both") != std::string::npos);
}
