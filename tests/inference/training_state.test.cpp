// SPDX-License-Identifier: MIT
#include <sbi/inference/training_state.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

TEST_CASE("inference/training_state: every array and counter is visited once, by reference") {
  sbi::TrainingState<float> state;
  std::set<std::string> names;
  int arrays = 0;
  state.each_array([&](const char* name, auto& array) {
    ++arrays;
    CHECK(names.insert(name).second);
    array.assign(static_cast<std::size_t>(arrays), static_cast<float>(arrays));
  });
  CHECK(arrays == 6);
  CHECK(state.values.size() + state.first_moment.size() + state.second_moment.size() + state.average.size() +
            state.best.size() + state.validation.size() ==
        1 + 2 + 3 + 4 + 5 + 6);
  int counters = 0;
  state.each_counter([&]<class V>(const char* name, V& value) {
    CHECK(names.insert(name).second);
    value = static_cast<V>(++counters);
  });
  CHECK(counters == 5);
  CHECK(state.step + state.optimiser_steps + state.average_updates + state.stale == 1 + 2 + 3 + 4);
  CHECK(state.stopped_early);
}
