// SPDX-License-Identifier: MIT
#include <sbi/core/missing.hpp>
#include <sbi/io/safetensors.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <numeric>
#include <string>
#include <unistd.h>

namespace {
namespace fs = std::filesystem;
using sbi::Shape;
using sbi::Tensor;
using sbi::io::Safetensors;

struct Folder {
  fs::path path = fs::temp_directory_path() / sbi::text("sbi-safetensors-", ::getpid());
  Folder() { fs::remove_all(path), fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string file(const std::string& header, const std::string& data) {
  std::string out(8, '\0');
  const std::uint64_t n = header.size();
  std::memcpy(out.data(), &n, 8);
  return out + header + data;
}

std::string message(const std::string& bytes) {
  try {
    (void)Safetensors::parse(bytes, "f");
  } catch (const sbi::FileError& error) {
    return error.what();
  }
  return "";
}

Safetensors sample() {
  Safetensors s;
  s.metadata = {{"format", "sbi"}, {"note", "three \"kinds\" and a µ"}};
  s.set("block.0.attention.qkv.weight", Tensor<float>(Shape{2, 3}, {1, 2, 3, -0.0F, 1e-45F, 6}));
  s.set("clock", Tensor<std::int64_t>(Shape{}, {std::numeric_limits<std::int64_t>::min()}));
  s.set("moments", Tensor<double>(Shape{2, 1, 2}, {0.1, sbi::missing, 1e300, -4}));
  s.set("none", Tensor<float>(Shape{0, 5}));
  return s;
}
} // namespace

TEST_CASE("io/safetensors: what is written is read back, bit for bit") {
  const Folder folder;
  const auto path = folder.path / "new" / "model.safetensors";
  const auto s = sample();
  s.write(path);
  const auto r = Safetensors::read(path);
  CHECK(r.metadata == s.metadata);
  CHECK(r.tensors().size() == 4);
  const auto& w = r.get<float>("block.0.attention.qkv.weight");
  CHECK(w.shape() == Shape{2, 3});
  CHECK(std::memcmp(w.data(), s.get<float>("block.0.attention.qkv.weight").data(), 6 * sizeof(float)) == 0);
  CHECK(r.get<std::int64_t>("clock").shape() == Shape{});
  CHECK(r.get<std::int64_t>("clock").data()[0] == std::numeric_limits<std::int64_t>::min());
  CHECK(sbi::is_missing(r.get<double>("moments").data()[1]));
  CHECK(r.get<float>("none").shape() == Shape{0, 5});
  CHECK(r.contains("none"));
  CHECK(!r.contains("non"));
  CHECK(r.meta("format") == "sbi");
  CHECK(r.serialize() == s.serialize());
}

TEST_CASE("io/safetensors: a view with gaps between its rows is stored without them") {
  Tensor<float> t(Shape{2, 4});
  std::iota(t.begin(), t.end(), 0.0F);
  Safetensors s;
  s.set("slice", t.view().columns(1, 2));
  CHECK(s.get<float>("slice").shape() == Shape{2, 2});
  CHECK(s.get<float>("slice")(1, 1) == 6);
}

TEST_CASE("io/safetensors: the values start at a multiple of eight bytes, and every tensor at one of its own "
          "size") {
  for (const std::string name : {"a", "ab", "abc", "abcdefgh"}) {
    Safetensors s;
    s.set(name, Tensor<float>(Shape{1}));
    s.set("z", Tensor<double>(Shape{1}));
    const auto bytes = s.serialize();
    std::uint64_t n = 0;
    std::memcpy(&n, bytes.data(), 8);
    CHECK(n % 8 == 0);
    CHECK(bytes.size() == 8 + n + 12);
    CHECK(bytes.find("\"z\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}") != std::string::npos);
  }
}

TEST_CASE("io/safetensors: asking for what is not there names file and tensor") {
  const auto s = Safetensors::parse(sample().serialize(), "model.safetensors");
  CHECK_THROWS_WITH_AS((void)s.get<float>("x"), "model.safetensors: there is no tensor 'x'", sbi::FileError);
  CHECK_THROWS_WITH_AS((void)s.get<float>("clock"), "model.safetensors: tensor 'clock' is I64; want F32",
                       sbi::FileError);
  CHECK_THROWS_WITH_AS((void)s.meta("step"), "model.safetensors: the metadata have no 'step'",
                       sbi::FileError);
  Safetensors t;
  CHECK_THROWS_AS(t.set("__metadata__", Tensor<float>(Shape{1})), sbi::ValueError);
  t.set("\xff", Tensor<float>(Shape{1}));
  CHECK_THROWS_AS((void)t.serialize(), sbi::ValueError);
}

TEST_CASE("io/safetensors: every kind of damage has its sentence") {
  const std::string four(4, '\0'), eight(8, '\0');
  CHECK(message("abc") == "f: 3 bytes; want the 8 bytes of a header length at least");
  CHECK(message(std::string(8, '\xff')) ==
        "f: its header claims 18446744073709551615 bytes and 0 follow: cut short, or no safetensors file");
  CHECK(message(file("{", "")) == "f: its header is no JSON object");
  CHECK(message(file("[]", "")) == "f: its header is no JSON object");
  CHECK(message(file("{}", "x")) == "f: the tensors end at byte 0 of 1: there is a hole");
  CHECK(message(file("{}", "")) == "");
  CHECK(message(file(R"({"a":3})", "")) == "f: tensor 'a' has no dtype");
  CHECK(message(file(R"({"__metadata__":{"a":3}})", "")) == "f: metadata 'a' is a number");
  const auto a = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  CHECK(message(file(a("\"F32\"", "[1]", "[0,4]"), four)) == "");
  CHECK(message(file(a("\"F16\"", "[2]", "[0,4]"), four)) ==
        "f: tensor 'a' has dtype \"F16\"; want F32, F64 or I64");
  CHECK(message(file(a("\"F32\"", "[-1]", "[0,4]"), four)) ==
        "f: tensor 'a' has shape [-1]; want extents of 0 or more");
  CHECK(message(file(a("\"F32\"", "[1,1,1,1,1]", "[0,4]"), four)) ==
        "f: tensor 'a' has shape [1,1,1,1,1]; want a list of 4 extents at most");
  CHECK(message(file(a("\"F32\"", "[2]", "[0,4]"), four)) ==
        "f: tensor 'a' has 4 bytes; want 2 values of 4 for its shape [2]");
  CHECK(message(file(a("\"F32\"", "[4294967296,4294967296]", "[0,0]"), ""))
            .find("want fewer than 2^62 values") != std::string::npos);
  CHECK(message(file(a("\"F32\"", "[5,0]", "[0,0]"), "")) == "");
  CHECK(message(file(a("\"F32\"", "[2]", "[0,8]"), four)) ==
        "f: tensor 'a' lies at bytes 0 to 8 of 4: cut short or damaged");
  CHECK(message(file(a("\"F32\"", "[1]", "[4,0]"), four)) ==
        "f: tensor 'a' lies at bytes 4 to 0 of 4: cut short or damaged");
  CHECK(message(file(a("\"F32\"", "[1]", "[0]"), four)) ==
        "f: tensor 'a' has data_offsets [0]; want two numbers");
  CHECK(message(file(a("\"F32\"", "[1]", "[4,8]"), eight)) ==
        "f: tensor 'a' starts at byte 4, the one before ends at 0: there is a hole");
  const std::string one = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  CHECK(message(file(R"({"a":)" + one + R"(,"b":)" + one + "}", four)) == "f: tensor 'b' overlaps another");
  CHECK(message(file(R"({"a":)" + one + R"(,"b":{"dtype":"F64","shape":[1],"data_offsets":[2,10]}})",
                     eight + eight)) ==
        "f: tensor 'b' starts at byte 2, the one before ends at 4: they overlap");
  CHECK(message(file(R"({"a":)" + one + R"(,"a":)" + one + "}", four)) == "f: tensor 'a' is there twice");
}

TEST_CASE("io/safetensors: no prefix of a file and no changed byte of its header crashes") {
  const auto whole = sample().serialize();
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK(message(whole.substr(0, n)) != "");
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  int refused = 0;
  for (std::size_t i = 0; i < 8 + header; ++i)
    for (const char c : {'\0', '9', '"', '}', '\xff'}) {
      auto damaged = whole;
      damaged[i] = c;
      refused += message(damaged) != ""; // a changed letter of a name is a good file: only crashes are wrong
    }
  CHECK(refused > 1000);
}

TEST_CASE("io/safetensors: Python's own package reads the file") {
  if (std::system("python3 -c 'import numpy, safetensors.numpy' >/dev/null 2>&1") != 0) {
    MESSAGE("skipped: python3 with numpy and safetensors is not there");
    return;
  }
  const Folder folder;
  const auto path = folder.path / "model.safetensors";
  sample().write(path);
  const std::string script = R"(
import sys, numpy as np
from safetensors import safe_open
with safe_open(sys.argv[1], 'np') as f:
    assert f.metadata() == {'format': 'sbi', 'note': 'three "kinds" and a µ'}, f.metadata()
    t = {k: f.get_tensor(k) for k in f.keys()}
w = t['block.0.attention.qkv.weight']
assert w.dtype == np.float32 and (w == np.array([[1, 2, 3], [-0.0, 1e-45, 6]], np.float32)).all()
assert t['clock'].shape == () and t['clock'] == -2**63
assert t['moments'].shape == (2, 1, 2) and np.isnan(t['moments'][0, 0, 1]) and t['moments'][1, 0, 0] == 1e300
assert t['none'].shape == (0, 5)
)";
  sbi::io::write_file(folder.path / "read.py", script);
  CHECK(std::system(
            ("python3 '" + (folder.path / "read.py").string() + "' '" + path.string() + "'").c_str()) == 0);
}
