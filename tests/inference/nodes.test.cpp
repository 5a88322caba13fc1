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

TEST_CASE("inference/nodes: parameters, bounds and names must fit each other") {
  const auto refused = [](const sbi::Nodes& nodes) {
    try {
      nodes.check("model");
    } catch (const sbi::ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused({{"a", "x"}, {{}, {}}, 1}).empty());
  CHECK(refused({{"a", "b"}, {{}, {}}, 2}).empty()); // a prior alone
  CHECK(refused({{"a", "x"}, {{}, {}}, 3}) ==
        "model: 3 parameters among 2 nodes with 2 bounds; want at least one, and bounds for each node");
  CHECK(refused({{"x"}, {{}}, 0}).starts_with("model: 0 parameters"));
  CHECK(refused({{"a", "x"}, {{}}, 1}).starts_with("model: 1 parameters among 2 nodes with 1 bounds"));
  CHECK(refused({{"a", "x", "x"}, {{}, {}, {}}, 1}) == "model: two nodes are called x; want different names");
}
