// SPDX-License-Identifier: MIT
// The two worlds of domain adaptation from real libraries: Kurucz atmospheres, PARSEC isochrones and CCM89
// dust against BT-Settl, SPOTS and G23.
#include "../data_file.hpp"

#include <sbi/backend/cpu.hpp>
#include <sbi/forward/bt_settl_file.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/dust_g23.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/parsec_file.hpp>
#include <sbi/forward/survey.hpp>
#include <sbi/forward/track_file.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// Young stars of solar metallicity: what both evolutions know.
std::vector<Star> young_stars(std::size_t n) {
  const Kroupa imf(.65, 1.5); // Castelli-Kurucz atmospheres begin at 3500 K
  std::vector<Star> stars(n);
  Rng rng(12);
  for (Star& s : stars) {
    s.log_mass = std::log10(imf.sample(rng)), s.log_age = rng.uniform(6.7, 7.8);
    s.log_distance = rng.uniform(2, 2.5), s.a_v = rng.uniform(0, 2), s.r_v = rng.uniform(2.8, 5);
  }
  return stars;
}
/// Median of second minus first in a channel over the pairs.
double median_gap(const SurveyPairs& pairs, index_t channel) {
  std::vector<double> gap;
  for (const std::size_t k : pairs.kept) {
    const auto i = static_cast<index_t>(k);
    gap.push_back(pairs.second.truth.values(i, channel) - pairs.first.truth.values(i, channel));
  }
  std::nth_element(gap.begin(), gap.begin() + static_cast<index_t>(gap.size() / 2), gap.end());
  return gap[gap.size() / 2];
}

} // namespace

TEST_CASE("forward/two_worlds: pairs come from the common hull, and any part can differ alone") {
  for (const char* folder : {"ck04", "btsettl_cifist", "isochrones_parsec_fsps", "pms_tracks"})
    if (sbi_test::data_file(folder).empty()) {
      MESSAGE("no data folder: skipped");
      return;
    }
  GridRange solar;
  solar.mh_min = -.6, solar.mh_max = .3, solar.teff_max = 8000;
  const SpectralGrid kurucz = read_kurucz_grid(sbi_test::data_file("ck04"), solar),
                     bt_settl = read_bt_settl_grid(sbi_test::data_file("btsettl_cifist"));
  ParsecOptions young;
  young.log_age_min = 6.4, young.log_age_max = 8;
  const Isochrones isochrones = read_parsec_isochrones(sbi_test::data_file("isochrones_parsec_fsps"), young);
  const TrackGrid spots = read_track_grid(sbi_test::data_file("pms_tracks") + "/spots_fspot_0339");

  const Cpu<float> be(2);
  const Survey source{kurucz, isochrones, CCM89{}};
  const Survey target{bt_settl, spots, G23{}};
  const auto stars = young_stars(3000);
  const SurveyPairs both = record_pairs(be, source, target, Rng(3), stars);
  StarFlagCounts first, second;
  first.add(both.first.truth.flags), second.add(both.second.truth.flags);
  MESSAGE("outside the common hull: ", 100 * both.outside(), " %; source: ", first.text(),
          "; target: ", second.text());
  CHECK(both.outside() > 0);
  CHECK(both.outside() < .5);
  for (const std::size_t k : both.kept) {
    CHECK(shines(both.first.truth.flags[k]));
    CHECK(both.second.truth.states[k].log_teff <= std::log10(7000) + 1e-9); // where BT-Settl ends
  }

  // One part at a time: the differences of the parts are those of the libraries, in the bands that they
  // should be in.
  const SurveyPairs atmospheres =
                        record_pairs(be, source, Survey{bt_settl, isochrones, CCM89{}}, Rng(3), stars),
                    evolutions = record_pairs(be, source, Survey{kurucz, spots, CCM89{}}, Rng(3), stars),
                    dusts = record_pairs(be, source, Survey{kurucz, isochrones, G23{}}, Rng(3), stars);
  for (index_t c : {0, 1, 2, 4, 6, 7})
    MESSAGE(source.channels()[static_cast<std::size_t>(c)].name, ": atmosphere ", median_gap(atmospheres, c),
            ", evolution ", median_gap(evolutions, c), ", dust ", median_gap(dusts, c));
  CHECK(std::abs(median_gap(evolutions, 0)) > .05); // spots make young stars cooler and larger
  CHECK(dusts.outside() == 0);
  CHECK(std::abs(median_gap(dusts, 1)) < .1);
  CHECK(std::abs(median_gap(atmospheres, 0)) < .1);
  for (const std::size_t k : dusts.kept) // the same star: its temperature does not know of the dust
    CHECK(dusts.first.truth.states[k].log_teff == dusts.second.truth.states[k].log_teff);
}
