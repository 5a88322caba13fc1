// SPDX-License-Identifier: MIT
#include <sbi/core/missing.hpp>
#include <sbi/io/json_text.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <string>

using sbi::io::json_text;
using sbi::io::JsonObject;

TEST_CASE("io/json_text: texts are quoted as a JSON library does it") {
  for (int c = 0; c < 128; ++c) {
    const std::string text = std::string("a") + static_cast<char>(c) + "b";
    CHECK(json_text(text) == nlohmann::json(text).dump());
  }
  for (const std::string text :
       {"", "µ", "ﬁ", "\xF0\x9F\x8C\x9F star", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"})
    CHECK(json_text(text) == nlohmann::json(text).dump());
}

TEST_CASE("io/json_text: every sequence of bytes that the JSON library refuses is refused") {
  const auto refused = [](const std::string& text) {
    try {
      (void)json_text(text);
    } catch (const sbi::ValueError&) {
      return true;
    }
    return false;
  };
  const auto refused_there = [](const std::string& text) {
    try {
      (void)nlohmann::json(text).dump();
    } catch (const nlohmann::json::exception&) {
      return true;
    }
    return false;
  };
  int differences = 0;
  const auto compare = [&](const std::string& text) { differences += refused(text) != refused_there(text); };
  for (int a = 0x80; a < 0x100; ++a) {
    compare({static_cast<char>(a)});
    for (int b : {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF}) {
      compare({static_cast<char>(a), static_cast<char>(b)});
      for (int c : {0x41, 0x7F, 0x80, 0xBF, 0xC0}) {
        compare({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)});
        for (int d : {0x41, 0x80, 0xBF, 0xC0})
          compare({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c), static_cast<char>(d)});
      }
    }
  }
  CHECK(differences == 0);
  CHECK(refused("\xff"));
  CHECK(!refused("\xC2\xB5"));
  CHECK_THROWS_WITH_AS((void)json_text("ab\xff"), "json: a text is not UTF-8 at byte 2: ab\xff",
                       sbi::ValueError);
}

TEST_CASE("io/json_text: numbers come back bit for bit") {
  for (double x : {0.0, -0.0, 1.0, 15.0, 0.1, 1.0 / 3, -1e-4, 1e22, 5e-324, 1.7976931348623157e308}) {
    const auto back = nlohmann::json::parse(json_text(x));
    CHECK(back.get<double>() == x);
    CHECK(back.is_number());
  }
  CHECK(json_text(0.25) == "0.25");
  CHECK(json_text(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(json_text(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(json_text(true) == "true");
  CHECK_THROWS_WITH_AS((void)json_text(sbi::missing), "json: nan; want a finite number", sbi::ValueError);
}

TEST_CASE("io/json_text: objects and lists nest, members keep their order") {
  JsonObject inner;
  CHECK(inner.text() == "{}");
  inner.add("z", 1).add("a", std::vector<std::string>{"x", "\"y\""});
  const std::string text = JsonObject()
                               .add("list", std::vector<JsonObject>{inner, JsonObject()})
                               .add("none", std::vector<double>{})
                               .text();
  CHECK(text == R"({"list":[{"z":1,"a":["x","\"y\""]},{}],"none":[]})");
  CHECK(nlohmann::json::parse(text)["list"][0]["a"][1] == "\"y\"");
}
