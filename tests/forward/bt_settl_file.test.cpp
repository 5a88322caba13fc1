// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/bt_settl_file.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/photometry.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

TEST_CASE("forward/bt_settl_file: file names give T_eff and log g, other metallicities are not taken") {
  double teff = 0, log_g = 0;
  CHECK(forward::detail::parse_bt_settl_name("lte058.0-4.5-0.0a+0.0.BT-Settl.spec.txt.gz", teff, log_g));
  CHECK(teff == 5800);
  CHECK(log_g == 4.5);
  CHECK(forward::detail::parse_bt_settl_name("lte015.5-5.0-0.0a+0.0.BT-Settl.spec.txt", teff, log_g));
  CHECK(teff == 1550);
  CHECK_FALSE(forward::detail::parse_bt_settl_name("lte058.0-4.5-0.5a+0.0.BT-Settl.spec.txt", teff, log_g));
  CHECK_FALSE(forward::detail::parse_bt_settl_name("README.txt", teff, log_g));
}

TEST_CASE("forward/bt_settl_file: averaging in bins keeps the integral, inside bins and across them") {
  std::vector<double> w, f;
  for (int i = 0; i <= 400; ++i) w.push_back(1 + 0.0025 * i), f.push_back(2 + std::sin(40 * w.back()));
  double trapezoid = 0;
  for (std::size_t i = 1; i < w.size(); ++i) trapezoid += 0.5 * (f[i] + f[i - 1]) * (w[i] - w[i - 1]);
  for (int bins : {1, 7, 3000}) { // coarser and finer than the spectrum, and wider than it
    std::vector<double> edges;
    for (int b = 0; b <= bins; ++b) edges.push_back(0.9 + 1.2 * b / bins);
    const auto mean = forward::detail::rebin(w, f, edges);
    double sum = 0;
    for (std::size_t b = 0; b < mean.size(); ++b) sum += mean[b] * (edges[b + 1] - edges[b]);
    CHECK(sum == doctest::Approx(trapezoid).epsilon(1e-12));
  }
}

TEST_CASE("forward/bt_settl_file: the grid holds sigma T^4 and differs from Kurucz as measured") {
  const std::string folder = sbi_test::data_file("btsettl_cifist");
  if (folder.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  GridRange range;
  range.teff_min = 5600;
  range.teff_max = 6000;
  const SpectralGrid grid = read_bt_settl_grid(folder, range);
  CHECK(grid.covers(std::log10(5777.), 4.3, 0));
  CHECK_FALSE(grid.covers(std::log10(5777.), 4.3, 0.2));
  CHECK_FALSE(grid.covers(std::log10(5777.), 2.0, 0));
  std::vector<double> f(grid.wavelengths().size());
  grid.flux(std::log10(5777.), 4.44, 0, f);
  double sum = 0;
  for (std::size_t i = 1; i < f.size(); ++i)
    sum += 0.5 * (f[i] + f[i - 1]) * 1e4 * (grid.wavelengths()[i] - grid.wavelengths()[i - 1]);
  CHECK(sum == doctest::Approx(5.670374e-5 * std::pow(5777., 4)).epsilon(0.01)); // the files: 0.994 to 1.009
  const StellarPhotometry<SpectralGrid, CCM89> photometry(grid, CCM89{},
                                                          passbands({"GaiaDR3.G", "2MASS.Ks", "WISE.W4"}));
  std::vector<double> m(3);
  photometry.magnitudes({0, 9.66, 0, 0, std::log10(5772.), 4.438}, 0, 1, f, m);
  CHECK(std::abs(m[0] - 4.67) < 0.03); // the Sun; BT-Settl is within .02-.03 mag of Kurucz at 6000 K
  CHECK(std::abs(m[1] - 3.28) < 0.04);
}
