// SPDX-License-Identifier: MIT
#include <sbi/io/npy.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <unistd.h>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

namespace {
namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / sbi::text("sbi-npy-", ::getpid());
  Folder() { fs::remove_all(path), fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
};

template <class T, std::size_t N> std::string message(const fs::path& path) {
  try {
    (void)sbi::io::read_npy<T, N>(path);
  } catch (const sbi::FileError& error) {
    const std::string what = error.what();
    REQUIRE(what.substr(0, path.string().size()) == path.string());
    return what.substr(path.string().size());
  }
  return "";
}

/// The bytes numpy.save writes (format 1.0) for a header and data.
std::string npy(std::string header, const std::string& data) {
  header.resize(117, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(header.size()) + '\0' + header + data;
}
} // namespace

TEST_CASE("io/npy: arrays come back as they were, in every type and rank used here") {
  const Folder folder;
  const auto path = folder.path / "sub" / "x.npy";
  const xt::xtensor<double, 2> x{{1.5, -0.0, 1e300}, {4, 5, 6}};
  sbi::io::write_npy(path, x);
  CHECK(sbi::io::read_npy<double, 2>(path) == x);
  const xt::xtensor<float, 1> y{1, 2, 3};
  sbi::io::write_npy(path, y);
  CHECK(sbi::io::read_npy<float, 1>(path) == y);
  const xt::xtensor<std::int64_t, 3> z{{{1, 2}, {3, 4}}};
  sbi::io::write_npy(path, z);
  CHECK(sbi::io::read_npy<std::int64_t, 3>(path) == z);
  const xt::xtensor<double, 2> none(xt::xtensor<double, 2>::shape_type{0, 3});
  sbi::io::write_npy(path, none);
  CHECK(sbi::io::read_npy<double, 2>(path).shape()[1] == 3);
}

TEST_CASE("io/npy: a slice and an expression are written as what they show") {
  const Folder folder;
  sbi::Tensor<double> t(sbi::Shape{2, 3}, {0, 1, 2, 3, 4, 5});
  sbi::io::write_npy(folder.path / "x.npy", sbi::as_xtensor<2>(t.view().columns(1, 2)));
  CHECK(sbi::io::read_npy<double, 2>(folder.path / "x.npy") == xt::xtensor<double, 2>{{1, 2}, {4, 5}});
  const xt::xtensor<double, 1> x{1, 2};
  sbi::io::write_npy(folder.path / "y.npy", 2 * x);
  CHECK(sbi::io::read_npy<double, 1>(folder.path / "y.npy") == xt::xtensor<double, 1>{2, 4});
}

TEST_CASE("io/npy: the bytes are those numpy.save writes") {
  const Folder folder;
  sbi::io::write_npy(folder.path / "x.npy", xt::xtensor<float, 2>{{1, 2}});
  const std::string bytes = sbi::io::read_file(folder.path / "x.npy");
  CHECK(bytes.size() == 128 + 8);
  CHECK(bytes.substr(10, 61) == "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }  ");
  CHECK(bytes[127] == '\n');
  CHECK(bytes.substr(128) == std::string("\0\0\x80\x3f\0\0\0\x40", 8));
}

TEST_CASE("io/npy: a file in Fortran order is read by its meaning") {
  const Folder folder;
  const std::int32_t values[] = {1, 3, 2, 4}; // columns first
  const std::string data(reinterpret_cast<const char*>(values), sizeof values);
  sbi::io::write_file(folder.path / "f.npy",
                      npy("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 2), }", data));
  CHECK(sbi::io::read_npy<std::int32_t, 2>(folder.path / "f.npy") ==
        xt::xtensor<std::int32_t, 2>{{1, 2}, {3, 4}});
}

TEST_CASE("io/npy: what does not fit is said in one sentence") {
  const Folder folder;
  const auto path = folder.path / "x.npy";
  CHECK(message<double, 2>(path) == ": cannot be read: No such file or directory");
  sbi::io::write_npy(path, xt::xtensor<float, 1>{1, 2, 3});
  CHECK(message<double, 1>(path) == ": holds values of type '<f4'; want '<f8'");
  CHECK(message<float, 2>(path) == ": has the shape (3,); want an array of rank 2");
  const std::string whole = sbi::io::read_file(path);
  sbi::io::write_file(path, whole.substr(0, whole.size() - 1));
  CHECK(message<float, 1>(path) == ": is cut short: 11 bytes of values for the shape (3,)");
  sbi::io::write_file(path, whole + "x");
  CHECK(message<float, 1>(path) == ": has 13 bytes of values, more than the shape (3,) needs");
  sbi::io::write_file(path, "a table");
  CHECK(message<float, 1>(path) == ": is no .npy file");
  sbi::io::write_file(path, "");
  CHECK(message<float, 1>(path) == ": is no .npy file");
}

TEST_CASE("io/npy: a damaged header is refused before memory is asked for") {
  const Folder folder;
  const auto path = folder.path / "x.npy";
  const auto with_shape = [&](const std::string& shape) {
    sbi::io::write_file(
        path, npy("{'descr': '<f8', 'fortran_order': False, 'shape': (" + shape + "), }", "12345678"));
    return message<double, 2>(path);
  };
  CHECK(with_shape("4294967296, 4294967296").find("is cut short") != std::string::npos); // 2^64: wraps to 0
  CHECK(with_shape("1000000, 1000000").find("is cut short") != std::string::npos);
  CHECK(with_shape("-1, 1") == ": has the shape (-1, 1), which is no list of extents");
  CHECK(with_shape("a, 1") == ": has the shape (a, 1), which is no list of extents");
  CHECK(with_shape("1, 1") == "");
  // Every prefix of a good file is refused, and none crashes.
  const std::string whole = sbi::io::read_file(path);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    sbi::io::write_file(path, whole.substr(0, n));
    CHECK_THROWS_AS((void)(sbi::io::read_npy<double, 2>(path)), sbi::FileError);
  }
  // In version 2 the header's length has two bytes more, of which nothing is read that is not there: the
  // library's checks of indices (_GLIBCXX_ASSERTIONS) see it.
  const std::string second =
      std::string("\x93NUMPY\x02\0", 8) + whole.substr(8, 2) + std::string(2, '\0') + whole.substr(10);
  for (const std::size_t n : {10U, 11U}) {
    sbi::io::write_file(path, second.substr(0, n));
    CHECK(message<double, 2>(path) == sbi::text(": is cut short: its header ends beyond its ", n, " bytes"));
  }
  sbi::io::write_file(path, second);
  CHECK(message<double, 2>(path) == "");
}

TEST_CASE("io/npy: the reference samples of the inference tasks, written by NumPy") {
  const char* set = std::getenv("SBI_DATA_DIR");
  const fs::path data = set ? fs::path(set) : fs::path(SBI_SOURCE_DIR) / ".." / "shared" / "data";
  if (!fs::is_directory(data / "sbibm")) {
    MESSAGE("skipped: no folder sbibm in ", data.string());
    return;
  }
  int read = 0;
  for (const auto& entry : fs::recursive_directory_iterator(data / "sbibm")) {
    if (entry.path().extension() != ".npy" || ++read > 20) continue;
    const auto double_message = message<double, 2>(entry.path()),
               float_message = message<float, 2>(entry.path());
    CHECK((double_message.empty() || float_message.empty()));
  }
  CHECK(read > 0);
}
