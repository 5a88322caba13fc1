// SPDX-License-Identifier: MIT
#include <sbi/inference/nodes.hpp>

#include <doctest/doctest.h>

TEST_CASE("inference/nodes: counts, roles and names") {
  const sbi::Nodes nodes{{"mass", "age", "G"}, {{}, {0, 1}, {}}, 2};
  CHECK(nodes.size() == 3);
  CHECK(nodes.observables() == 1);
  CHECK(nodes.find("mass") == 0);
  CHECK(nodes.find("G") == 2);
  CHECK(nodes.is_parameter() == std::vector<std::uint8_t>{1, 1, 0});
  CHECK_THROWS_WITH_AS((void)nodes.find("g"), "no node is called g; want one of mass, age, G",
                       sbi::ValueError);
}
