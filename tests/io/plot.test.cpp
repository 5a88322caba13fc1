// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/io/plot.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

namespace {
namespace fs = std::filesystem;
using sbi::io::Colour;
using sbi::io::Figure;

struct Folder {
  fs::path path = fs::temp_directory_path() / sbi::text("sbi-plot-", ::getpid());
  Folder() { fs::remove_all(path), fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
};

std::vector<double> normals(std::uint64_t seed, int n, double mean = 0, double sigma = 1) {
  sbi::Rng rng(seed);
  std::vector<double> out;
  for (int i = 0; i < n; ++i) out.push_back(rng.normal(mean, sigma));
  return out;
}

/// Every kind of series once, on six panels; segments and maps have tests of their own.
Figure gallery() {
  Figure figure(2, 3);
  figure.title = "Stars with missing surveys";
  const auto truth = normals(1, 4000);
  auto estimate = normals(2, 4000, 0, 0.25);
  for (std::size_t i = 0; i < truth.size(); ++i) estimate[i] += truth[i];
  auto& a = figure.panel(0);
  a.title = "Recovered against true", a.x_label = "true log_{10}(M/M_☉)", a.y_label = "posterior median";
  a.diagonal = true;
  a.points_by_density(truth, estimate);

  auto& b = figure.panel(1);
  b.title = "Coverage", b.x_label = "credible level", b.y_label = "fraction of true values inside";
  b.diagonal = true;
  std::vector<double> level, low, high, with, without;
  for (int i = 0; i <= 40; ++i) {
    const double p = i / 40.0, e = 0.08 * std::sqrt(p * (1 - p));
    level.push_back(p), low.push_back(p - 2 * e), high.push_back(p + 2 * e);
    with.push_back(p + e), without.push_back(std::pow(p, 1.7));
  }
  b.band(level, low, high, {.label = "95 % of calibrated runs", .colour = Colour::grey});
  b.line(level, with, {.label = "with adaptation", .colour = Colour::blue});
  b.line(level, without, {.label = "without", .colour = Colour::vermillion, .dashed = true});

  auto& c = figure.panel(2);
  c.title = "Colour-magnitude diagram", c.x_label = "BP - RP", c.y_label = "M_G";
  c.y_range = {{6, -6}};
  c.points_by_value(estimate, truth, normals(3, 4000, 5000, 500), {.label = "T_{eff} (K)"});

  auto& d = figure.panel(1, 0);
  d.title = "Loss", d.x_label = "step", d.y_label = "score loss", d.legend = "top right";
  d.log_x = d.log_y = true;
  std::vector<double> step, loss;
  for (int i = 0; i < 200; ++i)
    step.push_back(std::pow(10.0, i / 50.0)), loss.push_back(3 / std::sqrt(step.back()));
  loss[100] = sbi::missing;
  d.line(step, loss, {.label = "training"});

  auto& e = figure.panel(1, 1);
  e.title = "Posterior of A_V", e.x_label = "A_V (mag)", e.y_label = "density";
  e.histogram(normals(5, 3000, 1, 0.3), 40, {.label = "with adaptation"});
  e.histogram(normals(6, 3000, 1.3, 0.4), 40, {.label = "without", .colour = Colour::vermillion});

  auto& f = figure.panel(1, 2);
  f.title = "M67 members", f.x_label = "APOGEE T_{eff} (K)", f.y_label = "inferred T_{eff} (K)";
  const auto t = normals(7, 40, 5000, 400);
  std::vector<double> t_low, t_high;
  for (double v : t) t_low.push_back(v - 90), t_high.push_back(v + 110);
  f.diagonal = true;
  f.intervals(t, t, t_low, t_high, {.label = "68 % interval"});
  f.points({4000, 6000}, {4200, 5700}, {.label = "outliers", .colour = Colour::vermillion, .size = 2});
  return figure;
}
} // namespace

TEST_CASE("io/plot: a figure with every kind of series becomes a picture of the size asked for") {
  const Folder folder;
  const auto picture = gallery().write(folder.path / "deep" / "all.png");
  CHECK(fs::exists(folder.path / "deep" / "all.gp"));
  CHECK(fs::exists(folder.path / "deep" / "all.dat"));
  if (!picture.drawn) {
    CHECK(picture.note.find("gnuplot is not installed") != std::string::npos);
    MESSAGE("skipped: no gnuplot");
    return;
  }
  const auto png = sbi::io::read_file(picture.png);
  CHECK(png.compare(0, 8, "\x89PNG\r\n\x1a\n") == 0);
  const auto word = [&](std::size_t at) {
    return (static_cast<unsigned char>(png[at]) << 8) + static_cast<unsigned char>(png[at + 1]);
  };
  CHECK(word(18) == 3 * 460 * 2);
  CHECK(word(22) == (2 * 390 + 30) * 2);
  CHECK(png.size() > 100'000); // an empty canvas of this size is 20 kB
}

TEST_CASE("io/plot: without gnuplot the script and the data are there and the note says what to do") {
  const Folder folder;
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nonexistent", 1);
  Figure figure;
  figure.panel(0).line({1, 2}, {3, 4});
  const auto picture = figure.write(folder.path / "line.png");
  ::setenv("PATH", path.c_str(), 1);
  CHECK(!picture.drawn);
  CHECK(picture.note == "no picture " + picture.png.string() +
                            ": gnuplot is not installed; draw it later with: gnuplot " +
                            picture.script.string());
  CHECK(sbi::io::read_file(folder.path / "line.dat") == "# \n1 3 \n2 4 \n\n\n");
}

TEST_CASE("io/plot: missing values interrupt a line, are left out of points, and may be all there is") {
  const Folder folder;
  Figure figure(1, 3);
  const double nan = sbi::missing;
  figure.panel(0).line({1, 2, 3, 4}, {1, nan, 3, 4});
  figure.panel(1).points({1, nan, 3}, {1, 2, 3});
  figure.panel(2)
      .points({nan}, {nan}, {.label = "nothing"})
      .points_by_density(std::vector<double>{}, {})
      .histogram({});
  const auto picture = figure.write(folder.path / "gaps.png");
  CHECK(sbi::io::read_file(folder.path / "gaps.dat") == "# \n1 1 \n\n3 3 \n4 4 \n\n\n# \n1 1 \n3 3 \n\n\n");
  if (picture.drawn) CHECK(fs::exists(picture.png));
}

TEST_CASE("io/plot: a logarithmic axis drops what it cannot show") {
  const Folder folder;
  Figure figure;
  auto& panel = figure.panel(0);
  panel.log_y = true;
  panel.points({1, 2, 3}, {0, -1, 10}).band({1, 2}, {0, 1}, {1, 2});
  (void)figure.write(folder.path / "log.png");
  CHECK(sbi::io::read_file(folder.path / "log.dat") == "# \n3 10 \n\n\n# \n2 1 2 \n\n\n");
}

TEST_CASE("io/plot: segments are as opaque as they are strong, the strongest on top, the unseen left out") {
  sbi::io::Panel panel;
  panel.segments({0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}, {12, 13, 14, 15}, {1, 0.001, 0.5, sbi::missing},
                 {.colour = Colour::blue, .opacity = 0.8});
  const auto& c = panel.series()[0].columns;
  CHECK(c[0] == std::vector<double>{2, 0});
  CHECK(c[1] == std::vector<double>{6, 4});
  CHECK(c[2] == std::vector<double>{10, 8});
  CHECK(c[3] == std::vector<double>{14, 12});
  CHECK(c[4] == std::vector<double>{0x990072B2, 0x330072B2}); // transparencies of 0.6 and 0.2
  CHECK_THROWS_WITH_AS(panel.segments({0, 1}, {0, 1}, {0}, {0, 1}, {1, 1}),
                       "plot: 1 values beside 2; want as many", sbi::ShapeError);
}

TEST_CASE("io/plot: a map has equal units and no axes, and leaves the next panel its own") {
  const Folder folder;
  Figure figure(1, 2);
  auto& map = figure.panel(0);
  map.equal_units = true, map.axes = false, map.diagonal = true;
  map.segments({1, 2}, {1, 2}, {30, 4}, {5, -6}, {1, 0.5}).points_by_size({1, 2}, {3, 4}, {0.5, 2});
  auto& logarithmic = figure.panel(1);
  logarithmic.log_x = true;
  logarithmic.segments({1, 2}, {1, 2}, {0, 4}, {5, 6}, {1, 1}); // one ends where the axis has no place
  const auto picture = figure.write(folder.path / "map.png");
  if (picture.drawn) CHECK(fs::file_size(picture.png) > 1000);
  CHECK(sbi::io::read_file(folder.path / "map.dat") ==
        "# \n2 2 4 -6 2147513010 \n1 1 30 5 29362 \n\n\n# \n1 3 0.5 \n2 4 2 \n\n\n# \n2 2 4 6 29362 \n\n\n");
  const std::string script = sbi::io::read_file(picture.script);
  const auto at = [&](const char* text) { return script.find(text); };
  CHECK(at("set size ratio -1") < at("set size noratio"));
  CHECK(at("unset border") < at("set border 3"));
  CHECK(at("set size noratio") != std::string::npos);
  CHECK(at("set border 3") != std::string::npos);
  CHECK(at("set xrange [-7.08:31.08]") != std::string::npos); // both ends of segments, and 3 % of 36
}

TEST_CASE("io/plot: limits and data that differ in their last digits stay apart") {
  const Folder folder;
  Figure figure(1, 2);
  auto& dates = figure.panel(0);
  dates.points({2459000.1, 2459000.9}, {1, 2});
  dates.x_range = {{2459000.1, 2459000.9}};
  auto& equal = figure.panel(1);
  equal.diagonal = true;
  equal.points({123456789.0625, 123456789.125}, {123456789.0625, 123456789.125}); // exact in binary
  const auto picture = figure.write(folder.path / "digits.png"); // gnuplot refuses empty ranges
  const std::string script = sbi::io::read_file(picture.script),
                    data = sbi::io::read_file(folder.path / "digits.dat");
  CHECK(script.find("set xrange [2459000.1:2459000.9]") != std::string::npos);
  CHECK(data.find("123456789.0625 123456789.0625 \n123456789.125 123456789.125 \n") != std::string::npos);
  const auto at = script.find("set yrange [123456789.06");
  REQUIRE(at != std::string::npos);
  CHECK(script.compare(script.find(':', at), 14, ":123456789.126") == 0); // a margin of 3 %: 0.001875
}

TEST_CASE("io/plot: texts with quotes and names with underscores") {
  const Folder folder;
  CHECK(sbi::io::plain_text("log_mass^{2}") == "log\\_mass\\^\\{2\\}");
  Figure figure;
  figure.title = "Kroupa's \"law\"; $(exit 1) `exit 1`";
  figure.panel(0).title = sbi::io::plain_text("x_1 & y_2");
  figure.panel(0).points({1, 2}, {1, 2}, {.label = "it's"});
  const auto picture = figure.write(folder.path / "it's a name.png");
  if (picture.drawn) CHECK(fs::file_size(picture.png) > 1000);
}

TEST_CASE("io/plot: a histogram has area one, the density colours the crowd, viridis ends where it should") {
  sbi::io::Panel panel;
  panel.histogram(normals(1, 1000), 17);
  double area = 0;
  for (std::size_t i = 0; i < 17; ++i)
    area += panel.series()[0].columns[1][i] * panel.series()[0].columns[2][i];
  CHECK(area == doctest::Approx(1).epsilon(1e-12)); // rounding of 1000 sums
  std::vector<double> x(50, 0.0), y(50, 0.0);
  x[3] = y[3] = 1;
  panel.points_by_density(x, y);
  const auto& columns = panel.series()[1].columns;
  CHECK(columns[0][0] == 1); // the lonely one is drawn first
  CHECK(columns[2][0] != columns[2][49]);
  CHECK(columns[2][49] == sbi::io::viridis(0.92));
  CHECK(sbi::io::viridis(0) == 0x440154);
  CHECK(sbi::io::viridis(1) == 0xFDE725);
  CHECK(sbi::io::viridis(-5) == sbi::io::viridis(0));
}

TEST_CASE("io/plot: what cannot be drawn is refused") {
  const Folder folder;
  Figure figure;
  CHECK_THROWS_WITH_AS(figure.panel(0).line({1, 2}, {1}), "plot: 1 values beside 2; want as many",
                       sbi::ShapeError);
  CHECK_THROWS_AS(figure.panel(0).points_by_density({1, 2}, {1}), sbi::ShapeError);
  CHECK_THROWS_WITH_AS((void)figure.panel(1), "plot: panel 1 of 1", sbi::ValueError);
  CHECK_THROWS_AS(Figure(0, 1), sbi::ValueError);
  CHECK_THROWS_AS(figure.panel(0).histogram({1}, 0), sbi::ValueError);
  CHECK_THROWS_AS((void)figure.write(folder.path / "x.pdf"), sbi::ValueError);
  figure.panel(0).line({1, 2}, {1, 2});
  figure.panel(0).legend = "nowhere at all";
  if (std::system("gnuplot --version >/dev/null 2>&1") != 0) return;
  CHECK_THROWS_AS((void)figure.write(folder.path / "bad.png"), sbi::FileError);
  CHECK(fs::exists(folder.path / "bad.gp"));
  CHECK(!fs::exists(folder.path / "bad.png"));
}
