// SPDX-License-Identifier: MIT
#include <sbi/forward/sky_cells.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <set>
#include <vector>

using namespace sbi;
using sbi::forward::SkyCells;

TEST_CASE("forward/sky_cells: known cells") {
  // From the Python package astropy_healpix 2.0.1 (ring scheme): longitude, latitude, and the cell for
  // nside = 1, 2, 4, 8, 64, 1024.
  struct Known {
    double longitude, latitude;
    index_t cells[6];
  };
  const Known known[]{{10, 5, {4, 20, 88, 337, 22151, 5740657}},
                      {123.4, -33.3, {9, 38, 157, 603, 38104, 9743740}},
                      {266.4, -28.9, {7, 34, 148, 583, 36413, 9335767}},
                      {300, 80, {3, 3, 3, 10, 410, 95338}},
                      {0, 90, {0, 0, 0, 0, 0, 0}},
                      {359.9, -89.9, {11, 47, 191, 767, 49151, 12582899}}};
  const int nsides[]{1, 2, 4, 8, 64, 1024};
  for (const Known& k : known)
    for (std::size_t i = 0; i < 6; ++i) {
      CAPTURE(nsides[i]);
      const SkyCells cells(nsides[i]);
      CHECK(cells.cell(k.longitude, k.latitude) == k.cells[i]);
      CHECK(cells.cell(k.longitude - 720, k.latitude) == k.cells[i]); // any turn of longitude
      CHECK(cells.cell(k.longitude + 360, k.latitude) == k.cells[i]);
    }
}

TEST_CASE("forward/sky_cells: known centres") {
  struct Known {
    int nside;
    index_t cell;
    double longitude, latitude;
  };
  // The same package: rings of the caps, of the belt and of both edges between them.
  const Known known[]{{1, 0, 45, 41.8103149},
                      {1, 4, 0, 0},
                      {1, 11, 315, -41.8103149},
                      {2, 5, 67.5, 41.8103149},
                      {2, 12, 0, 19.47122063},
                      {2, 24, 202.5, 0},
                      {2, 42, 292.5, -41.8103149},
                      {4, 0, 45, 78.28414761},
                      {4, 40, 0, 30},
                      {4, 186, 292.5, -66.44353569},
                      {8, 112, 5.625, 41.8103149},
                      {8, 144, 0, 35.68533471},
                      {8, 767, 315, -84.14973294}};
  for (const Known& k : known) {
    CAPTURE(k.nside);
    CAPTURE(k.cell);
    const auto [longitude, latitude] = SkyCells(k.nside).centre(k.cell);
    CHECK(std::abs(longitude - k.longitude) < 1e-8); // eight decimals
    CHECK(std::abs(latitude - k.latitude) < 1e-8);
  }
}

TEST_CASE("forward/sky_cells: every centre lies in its cell, and rings go south") {
  for (int nside : {1, 2, 3, 4, 8, 13}) {
    CAPTURE(nside);
    const SkyCells cells(nside);
    CHECK(cells.nside() == nside);
    CHECK(cells.count() == 12 * nside * nside);
    CHECK(cells.area() * static_cast<double>(cells.count()) == doctest::Approx(4 * std::numbers::pi));
    double before = 91;
    index_t rings = 0;
    for (index_t c = 0; c < cells.count(); ++c) {
      const auto [longitude, latitude] = cells.centre(c);
      CHECK(longitude >= 0);
      CHECK(longitude < 360);
      CHECK(cells.cell(longitude, latitude) == c);
      // Mirrored at the galactic plane, the ring is the opposite one, at the same longitude.
      const auto mirrored = cells.centre(cells.cell(longitude, -latitude));
      CHECK(std::abs(mirrored[0] - longitude) < 1e-9);
      CHECK(std::abs(mirrored[1] + latitude) < 1e-9);
      CHECK(latitude < before + 1e-9);
      rings += latitude < before - 1e-9;
      before = latitude;
    }
    CHECK(rings == 4 * nside - 1);
  }
  for (int nside : {1 << 20, 1 << 29}) { // the far end, where indices do not fit 32 bits
    const SkyCells cells(nside);
    Rng rng(1);
    for (int i = 0; i < 1000; ++i) {
      const index_t c = rng.below(cells.count());
      const auto [longitude, latitude] = cells.centre(c);
      CHECK(cells.cell(longitude, latitude) == c);
    }
  }
}

TEST_CASE("forward/sky_cells: the cells have one area") {
  // A lattice that is uniform on the sphere: points a cell, of which a cell's edge can gain or lose some.
  for (int nside : {3, 4}) {
    const SkyCells cells(nside);
    std::vector<int> points(static_cast<std::size_t>(cells.count()));
    const int n = 400'000;
    for (int i = 0; i < n; ++i) {
      const double z = 1 - (2 * i + 1.0) / n, turns = i * (std::numbers::phi - 1);
      ++points[static_cast<std::size_t>(
          cells.cell(360 * (turns - std::floor(turns)), std::asin(z) * 180 / std::numbers::pi))];
    }
    for (int p : points) CHECK(p == doctest::Approx(n / static_cast<double>(cells.count())).epsilon(0.01));
  }
}

TEST_CASE("forward/sky_cells: draws are uniform within the cell") {
  // Cells of nside k n divide those of nside n into k^2 equal parts each: the draws must share out evenly.
  for (int nside : {1, 2, 3}) {
    const SkyCells cells(nside), parts(4 * nside);
    std::vector<std::set<index_t>> inside(static_cast<std::size_t>(cells.count()));
    for (index_t p = 0; p < parts.count(); ++p) {
      const auto [longitude, latitude] = parts.centre(p);
      inside[static_cast<std::size_t>(cells.cell(longitude, latitude))].insert(p);
    }
    double chi_squared = 0;
    Rng rng(7);
    for (index_t c = 0; c < cells.count(); ++c) {
      REQUIRE(inside[static_cast<std::size_t>(c)].size() == 16);
      std::vector<int> count(static_cast<std::size_t>(parts.count()));
      const int draws = 1600;
      for (int i = 0; i < draws; ++i) {
        const auto [longitude, latitude] = cells.draw(c, rng);
        REQUIRE(cells.cell(longitude, latitude) == c);
        ++count[static_cast<std::size_t>(parts.cell(longitude, latitude))];
      }
      int total = 0;
      for (index_t p : inside[static_cast<std::size_t>(c)]) {
        const int n = count[static_cast<std::size_t>(p)];
        total += n;
        chi_squared += (n - 100.0) * (n - 100.0) / 100.0;
      }
      CHECK(total == draws); // none in parts of other cells
    }
    const auto freedom = static_cast<double>(15 * cells.count());
    CHECK(std::abs(chi_squared - freedom) < 4 * std::sqrt(2 * freedom)); // four sigma of chi^2
  }
}

TEST_CASE("forward/sky_cells: a draw depends on the generator alone") {
  const SkyCells cells(8);
  Rng a(3), b(3);
  for (index_t c = 0; c < cells.count(); c += 7) CHECK(cells.draw(c, a) == cells.draw(c, b));
}

TEST_CASE("forward/sky_cells: what is refused is named") {
  CHECK_THROWS_WITH_AS(SkyCells(0), "sky cells: nside = 0; want 1 to 2^29", ValueError);
  CHECK_THROWS_AS(SkyCells((1 << 29) + 1), ValueError);
  const SkyCells cells(2);
  CHECK_THROWS_WITH_AS((void)cells.centre(48), "sky cells: cell 48; want 0 to 47", ValueError);
  CHECK_THROWS_AS((void)cells.centre(-1), ValueError);
  Rng rng(1);
  CHECK_THROWS_AS((void)cells.draw(48, rng), ValueError);
  CHECK_THROWS_WITH_AS((void)cells.cell(10, 90.5),
                       "sky cells: longitude 10, latitude 90.5 degrees; want a finite longitude and a "
                       "latitude of -90 to 90",
                       ValueError);
  CHECK_THROWS_AS((void)cells.cell(std::nan(""), 0), ValueError);
  CHECK_THROWS_AS((void)cells.cell(0, std::nan("")), ValueError);
  CHECK_THROWS_AS((void)cells.cell(HUGE_VAL, 0), ValueError);
}
