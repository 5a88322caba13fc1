// SPDX-License-Identifier: MIT
#include <sbi/inference/fit_options.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <limits>

TEST_CASE("inference/fit_options: the defaults are valid, and each setting out of range is named") {
  CHECK_NOTHROW(sbi::FitOptions{}.check());
  using Set = std::function<void(sbi::FitOptions&)>;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<const char*, Set>> wrong{
      {"fit: simulations = 0; want at least 1", [](auto& o) { o.simulations = 0; }},
      {"fit: steps = -3; want at least 1", [](auto& o) { o.steps = -3; }},
      {"fit: batch = 0; want at least 1", [](auto& o) { o.batch = 0; }},
      {"fit: learning_rate = 0; want a positive number", [](auto& o) { o.learning_rate = 0; }},
      {"fit: learning_rate = nan; want a positive number", [=](auto& o) { o.learning_rate = nan; }},
      {"fit: warmup = -1; want 0 or more", [](auto& o) { o.warmup = -1; }},
      {"fit: clip = -1; want a positive number", [](auto& o) { o.clip = -1; }},
      {"fit: average = 1; want 0 <= average < 1", [](auto& o) { o.average = 1; }},
      {"fit: validation = 1; want 0 <= validation < 1", [](auto& o) { o.validation = 1; }},
      {"fit: validate_every = 0; want at least 1", [](auto& o) { o.validate_every = 0; }},
      {"fit: patience = 0; want at least 1", [](auto& o) { o.patience = 0; }},
      {"fit: gradient_slots = 0; want at least 1", [](auto& o) { o.gradient_slots = 0; }},
      {"fit: checkpoint_every = 0; want at least 1", [](auto& o) { o.checkpoint_every = 0; }},
  };
  for (const auto& [message, set] : wrong) {
    sbi::FitOptions options;
    set(options);
    CHECK_THROWS_WITH_AS(options.check(), message, sbi::ValueError);
  }
}
