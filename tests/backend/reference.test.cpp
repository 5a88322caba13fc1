// SPDX-License-Identifier: MIT
#include <sbi/backend/reference.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("backend/reference: one thread, in order, one arena shared by copies") {
  const sbi::Reference<> reference;
  const auto copy = reference;
  CHECK(reference.threads() == 1);
  CHECK(&copy.arena() == &reference.arena());
  CHECK(&sbi::Reference<>{}.arena() != &reference.arena());
  std::vector<sbi::index_t> order;
  reference.for_each(4, [&](sbi::index_t i) { order.push_back(i); });
  CHECK(order == std::vector<sbi::index_t>{0, 1, 2, 3});
}
