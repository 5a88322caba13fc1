// SPDX-License-Identifier: MIT
// Optimal transport of every kind between two clouds that are one shape: a curve and what becomes of it when
// it is bent, turned, sampled anew and joined by strays. Then classes in two spaces whose distances have
// nothing to do with each other, where three known pairs a class find the rest.
#include "support/couplings.hpp"
#include "support/program.hpp"
#include "support/shapes.hpp"

#include <sbi/backend/cpu.hpp>
#include <sbi/ot.hpp>
#include <sbi/ot/low_rank.hpp>

namespace {

constexpr double strays = 0.06; // share of the second cloud's mass
namespace ot = sbi::ot;
using example::Curve;
using example::Labelled;
using sbi::index_t;
using sbi::Tensor;
using Backend = sbi::Cpu<double>;
using Span = std::span<const double>;

struct Settings {
  index_t points = 120, per_class = 24, keypoints = 3;
};

/// A solution, and what its solver says of it.
struct Solved {
  Tensor<double> plan;
  double value = 0;
  double iterations = sbi::missing; ///< pivots of the exact methods
  double residual = sbi::missing;   ///< missing: the error of the plan's marginals; partial: of its mass
  bool converged = false;
};

/// One line of a table.
struct Row {
  std::string name;
  Solved solved;
  double seconds = 0, matched = 0, distance = sbi::missing;
};

Tensor<double> as_plan(const std::vector<ot::Shipment>& shipments, sbi::Shape shape) {
  Tensor<double> out(shape);
  for (const ot::Shipment& s : shipments) out(s.from, s.to) += s.mass;
  return out;
}
/// |P 1 - a|_1 + |P^T 1 - b|_1
double marginal_error(const Tensor<double>& plan, Span a, Span b) {
  double error = 0;
  std::vector<double> column(b.size(), 0);
  for (index_t i = 0; i < plan.rows(); ++i) {
    double row = 0;
    for (index_t j = 0; j < plan.cols(); ++j)
      row += plan(i, j), column[static_cast<std::size_t>(j)] += plan(i, j);
    error += std::abs(row - a[static_cast<std::size_t>(i)]);
  }
  for (std::size_t j = 0; j < b.size(); ++j) error += std::abs(column[j] - b[j]);
  return error;
}
/// The share of a plan's mass for which `right(i, j)` holds, of that for which `counts(i)` does.
template <class Counts, class Right>
double share(const Tensor<double>& plan, const Counts& counts, const Right& right) {
  double hit = 0, all = 0;
  for (index_t i = 0; i < plan.rows(); ++i)
    for (index_t j = 0; j < plan.cols() && counts(i); ++j)
      all += plan(i, j), hit += right(i, j) ? plan(i, j) : 0;
  return all > 0 ? hit / all : 0;
}
double mean(const Tensor<double>& matrix) {
  return std::accumulate(matrix.begin(), matrix.end(), 0.0) / static_cast<double>(matrix.size());
}

/// Two curves and where each point of the first belongs in the space of the second.
struct Pair {
  Curve x, y;
  Tensor<double> image;

  [[nodiscard]] Row judged(std::string name, Solved solved, double seconds, const Backend& cpu) const {
    if (sbi::is_missing(solved.residual)) solved.residual = marginal_error(solved.plan, x.weight, y.weight);
    Row out{std::move(name), std::move(solved), seconds};
    const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
    out.matched = share(
        out.solved.plan, [](index_t) { return true; },
        [&](index_t i, index_t j) { return std::abs(x.along[at(i)] - y.along[at(j)]) <= 0.05; });
    // What stays behind has no image, and no part in the mean distance.
    const Tensor<double> to = ot::barycentric_map(cpu, out.solved.plan.view(), y.points.view(), image.view());
    double sum = 0, mass = 0;
    for (index_t i = 0; i < image.rows(); ++i) {
      double row = 0, square = 0;
      for (index_t j = 0; j < out.solved.plan.cols(); ++j) row += out.solved.plan(i, j);
      for (index_t k = 0; k < image.cols(); ++k) square += std::pow(to(i, k) - image(i, k), 2);
      sum += row * std::sqrt(square), mass += row;
    }
    out.distance = sum / mass;
    return out;
  }
};

/// The second cloud is the first one's image with strays; in three dimensions where it is rolled up.
Pair curves(index_t points, double degrees, bool rolled, const sbi::Rng& rng) {
  Pair out{example::sample_hook(points, 1, rng.split(1)),
           example::sample_hook(points + points / 4, 1.4, rng.split(2)),
           {}};
  example::add_strays(out.y, {0.73, -0.35}, strays, rng.split(3));
  const auto move = [&](const Tensor<double>& from) {
    Tensor<double> to(sbi::Shape{from.rows(), rolled ? 3 : 2});
    for (index_t i = 0; i < from.rows(); ++i) {
      const example::Plane flat = example::deformed({from(i, 0), from(i, 1)}, degrees);
      const std::array<double, 3> bent = rolled ? example::rolled(flat) : std::array{flat[0], flat[1], 0.0};
      for (index_t k = 0; k < to.cols(); ++k) to(i, k) = bent[static_cast<std::size_t>(k)];
    }
    return to;
  };
  out.image = move(out.x.points), out.y.points = move(out.y.points);
  return out;
}

/// Pairs of points at six places along both curves.
std::vector<ot::Keypoint> keypoints_along(const Pair& pair) {
  const auto nearest = [](const Curve& curve, double t) {
    index_t best = 0;
    for (index_t i = 0; i < curve.points.rows(); ++i)
      if (!curve.stray(i) && std::abs(curve.along[static_cast<std::size_t>(i)] - t) <
                                 std::abs(curve.along[static_cast<std::size_t>(best)] - t))
        best = i;
    return best;
  };
  std::vector<ot::Keypoint> out;
  for (const double t : {0.05, 0.23, 0.41, 0.59, 0.77, 0.95})
    out.push_back({nearest(pair.x, t), nearest(pair.y, t)});
  return out;
}

class Experiment {
public:
  Experiment(const example::Common& common, const Settings& settings)
      : common_(common), settings_(settings), cpu_(common.threads), rng_(common.seed),
        flat_(curves(settings.points, 30, false, rng_.split(1))),
        rolled_(curves(settings.points, 90, true, rng_.split(1))) {}

  void run() {
    between_comparable();
    between_spaces();
    between_classes();
    report();
    draw_curves();
    draw_classes();
  }

private:
  template <class Solve> void align(const Pair& pair, std::string name, Solve&& solve) {
    const example::Stopwatch watch;
    Solved solved = solve();
    const double seconds = watch.seconds();
    rows_.push_back(pair.judged(std::move(name), std::move(solved), seconds, cpu_));
  }

  /// Both clouds in the plane: distances between them say something.
  void between_comparable() {
    const Span a = flat_.x.weight, b = flat_.y.weight;
    const auto x = flat_.x.points.view(), y = flat_.y.points.view();
    const Tensor<double> cost = ot::cost_matrix(cpu_, ot::SquaredEuclidean{}, x, y);
    const double typical = mean(cost);

    align(flat_, "exact", [&] {
      const ot::ExactResult r = ot::exact_transport<double>(cost.view(), a, b);
      return Solved{as_plan(r.plan, cost.shape()), r.value, static_cast<double>(r.pivots), sbi::missing,
                    r.optimal};
    });
    const auto entropic = [&](std::string name, ot::SinkhornOptions options) {
      align(flat_, std::move(name), [&] {
        const auto r = ot::sinkhorn(cpu_, ot::SquaredEuclidean{}, x, y, a, b, options);
        return Solved{ot::transport_plan(cpu_, cost.view(), a, b, r, options.epsilon), r.value,
                      static_cast<double>(r.iterations), r.residual, r.converged};
      });
    };
    ot::SinkhornOptions options;
    options.epsilon = 0.1 * typical;
    entropic("Sinkhorn, epsilon 0.1", options);
    options.epsilon = 0.005 * typical, options.max_iterations = 20'000;
    entropic("Sinkhorn, epsilon 0.005", options);
    options.rho_a = options.rho_b = 3 * typical;
    entropic("unbalanced", options);
    align(flat_, "partial, 94 % of the mass", [&] {
      const auto r = ot::partial_transport<double>(cost.view(), a, b, 1 - strays);
      return Solved{as_plan(r.plan, cost.shape()), r.value, static_cast<double>(r.pivots),
                    std::abs(r.mass - (1 - strays)), r.converged};
    });
    align(flat_, "low rank, 10", [&] {
      ot::LowRankOptions low;
      low.rank = 10;
      const auto r = ot::low_rank_transport(cpu_, x, y, a, b, low);
      Tensor<double> identity(sbi::Shape{y.rows(), y.rows()});
      for (index_t j = 0; j < y.rows(); ++j) identity(j, j) = 1;
      return Solved{ot::apply_plan(cpu_, r, identity.view()), r.value, static_cast<double>(r.iterations),
                    r.residual, r.converged};
    });
  }

  /// The second cloud turned by a right angle and rolled up in three dimensions: only the distances within
  /// each cloud are left, for the fused problem the points' brightness too, and for the last one six pairs.
  void between_spaces() {
    const Curve &p = rolled_.x, &q = rolled_.y;
    const Span a = p.weight, b = q.weight;
    const Tensor<double> within_x = ot::cost_matrix(cpu_, ot::Euclidean{}, p.points.view(), p.points.view()),
                         within_y = ot::cost_matrix(cpu_, ot::Euclidean{}, q.points.view(), q.points.view());
    align(rolled_, "Gromov-Wasserstein, in 3D", [&] {
      ot::GromovOptions options;
      options.sinkhorn.epsilon = 0.005, options.gradients = false;
      const auto r = ot::entropic_gromov(cpu_, p.points.view(), q.points.view(), a, b, options);
      return Solved{ot::transport_plan(cpu_, ot::stored_cost(cpu_, r.cost).view(), a, b, r.plan,
                                       options.sinkhorn.epsilon),
                    r.value, static_cast<double>(r.iterations), sbi::missing, r.converged};
    });
    align(rolled_, "fused, in 3D", [&] {
      Tensor<double> brightness(sbi::Shape{p.points.rows(), q.points.rows()});
      for (index_t i = 0; i < brightness.rows(); ++i)
        for (index_t j = 0; j < brightness.cols(); ++j)
          brightness(i, j) = std::pow(
              p.brightness[static_cast<std::size_t>(i)] - q.brightness[static_cast<std::size_t>(j)], 2);
      ot::FusedOptions options;
      options.sinkhorn.epsilon = 0.002, options.gradients = false, options.tolerance = 1e-7;
      auto r = ot::entropic_fused(cpu_, brightness.view(), within_x.view(), within_y.view(), a, b, options);
      return Solved{std::move(r.plan), r.value, static_cast<double>(r.iterations), sbi::missing, r.converged};
    });
    keypoints_ = keypoints_along(rolled_);
    align(rolled_, "keypoints, 94 %, in 3D", [&] {
      ot::KeypointOptions options = guiding(0.001);
      options.mass = 1 - strays;
      auto r = ot::keypoint_guided(cpu_, ot::Euclidean{}, p.points.view(), q.points.view(), keypoints_, a, b,
                                   options);
      const double mass = std::accumulate(r.plan.begin(), r.plan.end(), 0.0);
      return Solved{std::move(r.plan), r.value, sbi::missing, std::abs(mass - options.mass), r.converged};
    });
  }

  /// Entropic, by relations to the keypoints alone.
  [[nodiscard]] static ot::KeypointOptions guiding(double epsilon) {
    ot::KeypointOptions out;
    out.sinkhorn.epsilon = epsilon, out.sinkhorn.max_iterations = 20'000;
    out.partners = ot::PartnerWeights::common, out.gradients = false;
    return out;
  }

  /// Classes in two spaces: the share of the mass of points that are no keypoints that reaches its class.
  void between_classes() {
    spaces_ = example::two_spaces(classes, settings_.per_class, rng_.split(2));
    const Labelled &first = spaces_[0], &second = spaces_[1];
    const index_t per_first = settings_.per_class, per_second = second.points.rows() / classes;
    for (index_t c = 0; c < classes; ++c)
      for (index_t u = 0; u < settings_.keypoints; ++u)
        class_keypoints_.push_back({c * per_first + u, c * per_second + u});
    const Tensor<double> x = example::standardised(first.points, first.points.cols()),
                         y = example::standardised(second.points, second.points.cols()),
                         padded = example::standardised(second.points, first.points.cols());
    const auto add = [&](std::string name, const auto& solve) {
      const example::Stopwatch watch;
      Row row{std::move(name), solve(), watch.seconds()};
      const std::vector<double> a(first.label.size(), 1 / static_cast<double>(first.label.size())),
          b(second.label.size(), 1 / static_cast<double>(second.label.size()));
      row.solved.residual = marginal_error(row.solved.plan, a, b);
      row.matched = share(
          row.solved.plan, [&](index_t i) { return i % per_first >= settings_.keypoints; },
          [&](index_t i, index_t j) {
            return first.label[static_cast<std::size_t>(i)] == second.label[static_cast<std::size_t>(j)];
          });
      class_rows_.push_back(std::move(row));
    };
    add("exact, padded coordinates", [&] {
      const Tensor<double> cost = ot::cost_matrix(cpu_, ot::SquaredEuclidean{}, x.view(), padded.view());
      const ot::ExactResult r = ot::exact_transport<double>(cost.view(), {}, {});
      return Solved{as_plan(r.plan, cost.shape()), r.value, static_cast<double>(r.pivots), sbi::missing,
                    r.optimal};
    });
    add("entropic Gromov-Wasserstein", [&] {
      ot::GromovOptions options;
      options.sinkhorn.epsilon = 5, options.gradients = false;
      const auto r = ot::entropic_gromov(cpu_, x.view(), y.view(), {}, {}, options);
      return Solved{ot::transport_plan(cpu_, ot::stored_cost(cpu_, r.cost).view(), {}, {}, r.plan,
                                       options.sinkhorn.epsilon),
                    r.value, static_cast<double>(r.iterations), sbi::missing, r.converged};
    });
    add(sbi::text("keypoint-guided, ", settings_.keypoints, " a class"), [&] {
      auto r = ot::keypoint_guided(cpu_, ot::SquaredEuclidean{}, x.view(), y.view(), class_keypoints_, {}, {},
                                   guiding(0.005));
      return Solved{std::move(r.plan), r.value, sbi::missing, sbi::missing, r.converged};
    });
  }

  void report() const {
    example::Table table;
    sbi::io::Results results, alignments, spaces;
    const auto add = [&](const Row& r, sbi::io::Results& to) {
      const std::string iterations =
          sbi::is_missing(r.solved.iterations) ? "-" : sbi::text(static_cast<long>(r.solved.iterations));
      table.add("%-28s %9.4f %8.3f %10s %9.1e  %-9s %6.0f %%", r.name.c_str(), r.solved.value, r.seconds,
                iterations.c_str(), r.solved.residual, r.solved.converged ? "yes" : "no", 100 * r.matched);
      table.add(sbi::is_missing(r.distance) ? "\n" : "   %8.3f\n", r.distance);
      sbi::io::Results one;
      one.set("value", r.solved.value).set("seconds", r.seconds).set("iterations", r.solved.iterations);
      one.set("residual", r.solved.residual).set("converged", r.solved.converged);
      one.set("matched", r.matched);
      if (!sbi::is_missing(r.distance)) one.set("distance", r.distance);
      to.set(r.name, one);
    };
    const char* head = "%-28s %9s %8s %10s %9s  %-9s %8s";
    table.add(head, "curve", "value", "seconds", "iterations", "residual", "converged", "matched");
    table.add("   %8s\n", "distance");
    for (const Row& r : rows_) add(r, alignments);
    table.add("matched: mass that ends within 0.05 of the curve's length of where it belongs; %.0f %% of the "
              "image's mass are strays.\n",
              100 * strays);
    table.add("distance: mean from a point's image to the true one; the curve is 2 long.\n\n");
    table.add(head, "classes", "value", "seconds", "iterations", "residual", "converged", "matched");
    table.add("\n");
    for (const Row& r : class_rows_) add(r, spaces);
    table.add("matched: mass of points that are no keypoints that ends in its class; by chance %.0f %%. "
              "Keypoints' partners take\nthe smaller of their weights, which is all of the residual there.\n",
              100.0 / static_cast<double>(classes));
    table.show(common_.output / "table.txt");
    results.set("seed", common_.seed).set("points", settings_.points).set("per_class", settings_.per_class);
    results.set("keypoints", settings_.keypoints);
    results.set("curves", alignments).set("classes", spaces);
    results.write(common_.output / "results.json");
  }

  static std::string titled(const Row& row) {
    return sbi::text(row.name, ": ", std::lround(100 * row.matched), " % matched");
  }

  /// Colours run along the curve; strays are grey.
  void draw_curves() const {
    constexpr std::size_t shades = 10;
    std::vector<sbi::io::Colour> colours;
    for (std::size_t k = 0; k < shades; ++k)
      colours.push_back(
          static_cast<sbi::io::Colour>(sbi::io::viridis(0.92 * static_cast<double>(k) / (shades - 1))));
    colours.push_back(sbi::io::Colour::grey);
    const auto drawn = [&](const Curve& curve, double offset) {
      example::Drawn out;
      for (index_t i = 0; i < curve.points.rows(); ++i) {
        const auto at = static_cast<std::size_t>(i);
        out.x.push_back(curve.points(i, 0) + offset);
        out.y.push_back(curve.points(i, 1));
        out.size.push_back(1.1 * std::sqrt(curve.weight[at] * static_cast<double>(curve.weight.size())));
        out.group.push_back(curve.stray(i)
                                ? shades
                                : std::min(static_cast<std::size_t>(curve.along[at] * shades), shades - 1));
      }
      return out;
    };
    sbi::io::Figure figure(3, 3);
    figure.title =
        "Couplings of a curve, on the left, with its bent, turned and newly sampled image; strays are grey";
    figure.panel_width = 420, figure.panel_height = 265;
    int index = 0;
    for (const Row& row : rows_) {
      auto& panel = figure.panel(index++);
      const bool spatial = index > 6;
      const Pair& pair = spatial ? rolled_ : flat_;
      std::vector<std::pair<index_t, index_t>> rings;
      if (&row == &rows_.back())
        for (const ot::Keypoint& k : keypoints_) rings.emplace_back(k.x, k.y);
      panel.title = titled(row);
      panel.x_range = {{-1.0, 3.6}}, panel.y_range = {{-1.2, 1.25}};
      example::draw_coupling(panel, drawn(pair.x, 0), drawn(pair.y, 2.5), row.solved.plan, colours, rings);
    }
    std::printf("%s\n", figure.write(common_.output / "couplings.png").note.c_str());
  }

  void draw_classes() const {
    using sbi::io::Colour;
    const std::vector<Colour> colours{Colour::blue,   Colour::vermillion, Colour::green,
                                      Colour::orange, Colour::purple,     Colour::black};
    const auto drawn = [&](const Labelled& cloud, double offset) {
      const Tensor<double> seen = example::seen_in_plane(cloud.points);
      example::Drawn out;
      for (index_t i = 0; i < seen.rows(); ++i) {
        out.x.push_back(seen(i, 0) + offset), out.y.push_back(seen(i, 1)), out.size.push_back(0.9);
        out.group.push_back(static_cast<std::size_t>(cloud.label[static_cast<std::size_t>(i)]));
      }
      return out;
    };
    sbi::io::Figure figure(1, 3);
    figure.title = "Six classes in ten dimensions, on the left, and in five: two principal components each";
    figure.panel_width = 440, figure.panel_height = 250;
    int index = 0;
    for (const Row& row : class_rows_) {
      auto& panel = figure.panel(index++);
      std::vector<std::pair<index_t, index_t>> rings;
      if (index == 3)
        for (const ot::Keypoint& k : class_keypoints_) rings.emplace_back(k.x, k.y);
      panel.title = titled(row);
      example::draw_coupling(panel, drawn(spaces_[0], 0), drawn(spaces_[1], 6), row.solved.plan, colours,
                             rings);
    }
    std::printf("%s\n", figure.write(common_.output / "classes.png").note.c_str());
  }

  static constexpr index_t classes = 6;
  example::Common common_;
  Settings settings_;
  Backend cpu_;
  sbi::Rng rng_;
  Pair flat_, rolled_;
  std::vector<ot::Keypoint> keypoints_, class_keypoints_;
  std::array<Labelled, 2> spaces_;
  std::vector<Row> rows_, class_rows_;
};

} // namespace

int main(int argc, char** argv) {
  example::Common common;
  Settings s;
  const auto flags = [&](CLI::App& app) {
    app.add_option("--points", s.points, "points of the curve; its image has a quarter more")
        ->check(CLI::Range(20, 2'000))
        ->capture_default_str();
    app.add_option("--per-class", s.per_class, "points of a class; the second space has a quarter more")
        ->check(CLI::Range(5, 500))
        ->capture_default_str();
    app.add_option("--keypoints", s.keypoints, "known pairs a class")
        ->check(CLI::Range(1, 4))
        ->capture_default_str();
  };
  return example::program(argc, argv, "Aligns clouds by optimal transport of every kind.", "out/04_transport",
                          common, flags, [&] { Experiment(common, s).run(); });
}
