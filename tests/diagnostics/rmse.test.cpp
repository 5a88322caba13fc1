// SPDX-License-Identifier: MIT
#include <sbi/diagnostics/rmse.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace sbi::diagnostics;
using doctest::Approx;

TEST_CASE("diagnostics/rmse: bias and root mean square over the pairs that are there") {
  const std::vector<double> truth{1, 2, sbi::missing, 4}, estimate{2, 0, 7, sbi::missing};
  const auto out = point_errors(estimate, truth);
  CHECK(out.count == 2);
  CHECK(out.bias == Approx(-0.5));
  CHECK(out.rmse == Approx(std::sqrt(2.5)));
  const auto none = point_errors({}, {});
  CHECK(none.count == 0);
  CHECK(sbi::is_missing(none.rmse));
  CHECK_THROWS_AS((void)point_errors(truth, {}), sbi::ShapeError);
}
