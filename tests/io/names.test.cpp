// SPDX-License-Identifier: MIT
#include <sbi/io/names.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sbi::io;

TEST_CASE("io/names: edit distance counts changes and ignores case") {
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("Teff", "teff") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
}

TEST_CASE("io/names: the nearest names come first, at most three, ties in their own order") {
  const std::vector<std::string> names{"ra", "parallax", "parallax_error", "teff", "logg"};
  CHECK(nearest_names("paralax", names) == "; the nearest are 'parallax', 'ra', 'parallax_error'");
  CHECK(nearest_names("x", std::vector<std::string>{}) == "; there are none");
  CHECK(nearest_names("x", std::vector<std::string>{"only"}) == "; there is only 'only'");
}
