// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/infrared_noise.hpp>
#include <sbi/io/fits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

using namespace sbi::forward;

TEST_CASE("forward/infrared_noise: floors for bright stars, scales at the pivots, slopes beyond") {
  struct Row {
    ErrorCurve curve;
    double floor, scale, slope, pivot;
  };
  const Row rows[]{{j_error, .022, .113, .37, 16.5},   {h_error, .022, .109, .38, 15.5},
                   {ks_error, .0185, .160, .37, 15.5}, {w1_error, .0225, .038, .27, 15.5},
                   {w2_error, .0205, .115, .32, 15.5}, {w3_error, .018, .0875, .40, 10.5},
                   {w4_error, .026, .385, .40, 8.5}};
  for (const Row& r : rows) {
    CAPTURE(r.scale);
    CHECK(r.curve(-10) == doctest::Approx(r.floor).epsilon(1e-6));
    CHECK(r.curve(r.pivot) == doctest::Approx(std::hypot(r.floor, r.scale)).epsilon(1e-12));
    CHECK(r.curve(r.pivot + 20) / r.curve(r.pivot + 19) ==
          doctest::Approx(std::pow(10, r.slope)).epsilon(1e-6));
  }
}

TEST_CASE("forward/infrared_noise: the errors of M67's stars") {
  const std::string path = sbi_test::data_file("m67_ngc2682/NGC_2682.fits.gz");
  if (path.empty()) {
    MESSAGE("skipped: no file m67_ngc2682/NGC_2682.fits.gz");
    return;
  }
  const sbi::io::FitsTable table(path);
  struct Row {
    const char* column;
    ErrorCurve curve;
    int bins; ///< of half a magnitude, that hold ten stars or more
  };
  const Row rows[]{{"2MASS_J", j_error, 13},  {"2MASS_H", h_error, 13},  {"2MASS_Ks", ks_error, 12},
                   {"WISE_W1", w1_error, 12}, {"WISE_W2", w2_error, 12}, {"WISE_W3", w3_error, 6},
                   {"WISE_W4", w4_error, 1}};
  for (const Row& r : rows) {
    const auto magnitude = table.numbers(r.column), error = table.numbers(std::string(r.column) + "_Err");
    int bins = 0;
    for (double low = 4; low < 18; low += .5) {
      std::vector<double> ratio;
      for (std::size_t i = 0; i < magnitude.size(); ++i)
        if (magnitude[i] >= low && magnitude[i] < low + .5 && error[i] > 0) // limits have none, or -9999
          ratio.push_back(error[i] / r.curve(magnitude[i]));
      if (ratio.size() < 10) continue;
      const auto middle = ratio.begin() + static_cast<std::ptrdiff_t>(ratio.size() / 2);
      std::nth_element(ratio.begin(), middle, ratio.end());
      CAPTURE(r.column);
      CAPTURE(low);
      CHECK(std::abs(*middle - 1) < 0.1);
      ++bins;
    }
    CHECK(bins == r.bins);
  }
}
