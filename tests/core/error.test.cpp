// SPDX-License-Identifier: MIT
#include <sbi/core/error.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>

namespace {
struct Named {
  [[nodiscard]] std::string text() const { return "[2,3]"; }
};
} // namespace

TEST_CASE("core/error: text joins strings, characters, numbers and things with a text of their own") {
  const std::string name = "linear";
  CHECK(sbi::text(name, ": x is ", Named{}, ',', ' ', "want ", 64, " of ", 0.25, " and ", true) ==
        "linear: x is [2,3], want 64 of 0.25 and true");
  CHECK(sbi::text() == "");
}

TEST_CASE("core/error: numbers of every kind read well") {
  CHECK(sbi::text(-5, ' ', 7U, ' ', std::size_t{18446744073709551615ULL}) == "-5 7 18446744073709551615");
  CHECK(sbi::text(1.0, ' ', 1e-30, ' ', 123456789.0, ' ', 0.1F) == "1 1e-30 1.23457e+08 0.1");
  CHECK(sbi::text(std::numeric_limits<double>::quiet_NaN(), ' ', -std::numeric_limits<double>::infinity()) ==
        "nan -inf");
  CHECK(sbi::text(static_cast<signed char>(-3)) == "-3");
  CHECK(sbi::text(false) == "false");
}

TEST_CASE("core/error: every error is caught as Error and as std::runtime_error with its message") {
  const auto caught = [](auto error) {
    try {
      throw error;
    } catch (const sbi::Error& e) {
      const std::runtime_error& base = e;
      return std::string(base.what());
    }
  };
  CHECK(caught(sbi::ShapeError("a")) == "a");
  CHECK(caught(sbi::ValueError("b")) == "b");
  CHECK(caught(sbi::FileError("c")) == "c");
  CHECK(caught(sbi::NumericalError("d")) == "d");
}
