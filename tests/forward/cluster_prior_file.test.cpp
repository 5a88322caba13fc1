// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/cluster_prior_file.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace sbi::forward;
using sbi::index_t;
using sbi::Rng;

namespace {

/// Writes content to a file, reads it as a prior, and removes it; the message of an error, without the path.
struct Attempt {
  std::string message;
  std::vector<ClusterParameters> clusters;

  explicit Attempt(const std::string& content, const ClusterTableOptions& options = {}) {
    const std::string path =
        (std::filesystem::temp_directory_path() / sbi::text("sbi-clusters-", static_cast<long>(::getpid())))
            .string();
    std::ofstream(path) << content;
    try {
      clusters = read_cluster_prior(path, options).clusters();
    } catch (const sbi::FileError& e) {
      message = e.what();
      if (message.starts_with(path)) message.erase(0, path.size());
    }
    std::filesystem::remove(path);
  }
};

const std::string header = "# name l b r50 nbstars dmode logt_Kharchenko junk FeH_synth\n";

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

} // namespace

TEST_CASE("forward/cluster_prior_file: a small table") {
  const Attempt good(header +
                     "  A  10 0  0.5 100 1000 8.5 \"\" 0.1\n\n# a remark\nB -20 30 1 7 500 9 x -0.2\n");
  CHECK(good.message == "");
  REQUIRE(good.clusters.size() == 2);
  const ClusterParameters &a = good.clusters[0], &b = good.clusters[1];
  CHECK(a.log_age == 8.5);
  CHECK(a.mh == .1);
  CHECK(a.longitude == 10);
  CHECK(a.distance_pc == 1000);
  CHECK(a.radius_pc == doctest::Approx(1000 * std::tan(.5 * std::acos(-1) / 180)).epsilon(1e-14));
  CHECK(a.stars == 100);
  CHECK(a.a_v == doctest::Approx(.7).epsilon(1e-12)); // 1 kpc in the middle of the dust
  CHECK(a.a_v_spread == doctest::Approx(.07).epsilon(1e-12));
  // 250 pc above the plane: the integral of exp(-z/100) up to there, over sin 30 degrees
  CHECK(b.a_v == doctest::Approx(.7e-3 * 100 * (1 - std::exp(-2.5)) / .5).epsilon(1e-12));
  ClusterTableOptions options;
  options.stars_per_member = 20, options.av_per_kpc = 0;
  const Attempt other(header + "A 10 0 0.5 100 1000 8.5 \"\" 0.1\n", options);
  CHECK(other.clusters.at(0).stars == 2000);
  CHECK(other.clusters[0].a_v == 0);
}

TEST_CASE("forward/cluster_prior_file: errors name line and column") {
  CHECK(Attempt("").message == ": no clusters");
  CHECK(Attempt(header).message == ": no clusters");
  CHECK(Attempt("A 10 0 0.5 100 1000 8.5 x 0.1\n").message ==
        ", line 1: want '# ' and the names of the columns");
  CHECK(Attempt("# name l b r50 dmode logt_Kharchenko FeH_synth\n").message ==
        ", line 1: no column 'nbstars'");
  CHECK(Attempt(header + "A 10 0 0.5 100 1000 8.5 x 0.1\nB 10 0 0.5 100 1000\n").message ==
        ", line 3: 6 words; want 9 columns");
  CHECK(Attempt(header + "A 10 0 0.5 100 1000 8.5 x 0.1\nB 10 0 \"\" 100 1000 8.5 x 0.1\n").message ==
        ", line 3, column 'r50': '\"\"' is not a number");
  CHECK(Attempt(header + "A 10 0 0.5 100 1000 8.5 x 90.1\n").message ==
        ", line 2, column 'FeH_synth': 90.1; want -5 to 1");
  CHECK(Attempt(header + "A 10 0 0.5 100 nan 8.5 x 0.1\n").message ==
        ", line 2, column 'dmode': nan; want 1 to 1e+06");
  CHECK_THROWS_WITH((void)read_cluster_prior("no/such/file"), "no/such/file: no such file");
  ClusterTableOptions options;
  options.dust_height_pc = 0;
  CHECK_THROWS_WITH((void)read_cluster_prior("no/such/file", options),
                    "cluster table: height of the dust 0; want a positive value");
}

TEST_CASE("forward/cluster_prior_file: 1118 open clusters, and samples with their medians") {
  const std::string path = sbi_test::data_file("clusters_gaia/1118_real_clusters_withFeH.dat.gz");
  if (path.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const ClusterTableOptions options;
  const EmpiricalClusterPrior prior = read_cluster_prior(path, options);
  const std::vector<ClusterParameters>& table = prior.clusters();
  REQUIRE(table.size() == 1118);
  CHECK(table[0].longitude == 68.028); // ASCC_101
  CHECK(table[0].latitude == 11.608);
  CHECK(table[0].distance_pc == 397.3);
  CHECK(table[0].stars == 75);
  CHECK(table[0].log_age == 8.62);
  CHECK(table[0].mh == .07724125);

  using T = ClusterParameters;
  const auto column = [](const std::vector<T>& clusters, auto&& value) {
    std::vector<double> out;
    for (const T& t : clusters) out.push_back(value(t));
    return out;
  };
  // Degrees and parsec do make sizes of clusters: half-light radii of .2 to 16 pc.
  const auto radii = column(table, [](const T& t) { return t.radius_pc; });
  CHECK(*std::min_element(radii.begin(), radii.end()) > .2);
  CHECK(*std::max_element(radii.begin(), radii.end()) < 16);
  CHECK(median(radii) == doctest::Approx(2.71).epsilon(.01));

  std::vector<T> samples;
  Rng rng(6);
  for (int i = 0; i < 20000; ++i) samples.push_back(prior.sample(rng));
  const auto compare = [&](double width, auto&& value) {
    CHECK(std::abs(median(column(samples, value)) - median(column(table, value))) < width);
  };
  const ClusterKernel& k = options.kernel;
  compare(k.log_age, [](const T& t) { return t.log_age; });
  compare(k.mh, [](const T& t) { return t.mh; });
  compare(k.direction, [](const T& t) { return t.latitude; });
  compare(k.log_distance, [](const T& t) { return std::log10(t.distance_pc); });
  compare(k.log_radius, [](const T& t) { return std::log10(t.radius_pc); });
  compare(k.log_stars, [](const T& t) { return std::log10(static_cast<double>(t.stars)); });
  compare(k.log_av, [](const T& t) { return std::log10(t.a_v); });
}
