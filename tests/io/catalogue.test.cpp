// SPDX-License-Identifier: MIT
#include <sbi/io/catalogue.hpp>

#include <doctest/doctest.h>

using namespace sbi;
using namespace sbi::io;

TEST_CASE("io/catalogue: columns are found by name, a wrong one is answered with the nearest") {
  Catalogue c;
  c.observables = {"gaia_g", "gaia_bp", "parallax"};
  c.labels = {"log_teff"};
  CHECK(c.find("parallax") == 2);
  CHECK(c.find_label("log_teff") == 0);
  CHECK(c.rows() == 0);
  CHECK_THROWS_WITH_AS((void)c.find("gaia_rp"),
                       "catalogue: no column 'gaia_rp'; the nearest are 'gaia_bp', 'gaia_g', 'parallax'",
                       ValueError);
  CHECK_THROWS_AS((void)c.find_label("teff"), ValueError);
}
