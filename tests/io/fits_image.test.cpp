// SPDX-License-Identifier: MIT
#include <sbi/io/fits_image.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace sbi;
using sbi::io::FitsImageHdu;

namespace {

/// A file with a primary image [4] of integers, a table, and an image [2, 3, 5] of floats whose element (i,
/// j, k) is 100 i + 10 j + k, the last one blank.
struct Sample {
  std::string path;
  Sample() {
    static std::atomic<int> count{0};
    path = (std::filesystem::temp_directory_path() /
            text("sbi-fits-image-", static_cast<long>(::getpid()), "-", count++, ".fits"))
               .string();
    fitsfile* f = nullptr;
    int status = 0;
    long four[1] = {4}, box[3] = {5, 3, 2};
    int flags[4] = {1, 0, 1, 7};
    double distance = 3.5e21;
    char name[] = "x", format[] = "1D", unit[] = "mJy";
    char *names[] = {name}, *formats[] = {format};
    std::vector<float> values;
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 3; ++j)
        for (int k = 0; k < 5; ++k) values.push_back(static_cast<float>(100 * i + 10 * j + k));
    values.back() = std::numeric_limits<float>::quiet_NaN();
    char extension[] = "VALUES";
    fits_create_diskfile(&f, path.c_str(), &status);
    fits_create_img(f, LONG_IMG, 1, four, &status);
    fits_write_img(f, TINT, 1, 4, flags, &status);
    fits_write_key(f, TDOUBLE, "DISTANCE", &distance, "", &status);
    fits_create_tbl(f, BINARY_TBL, 0, 1, names, formats, nullptr, "TABLE", &status);
    fits_create_img(f, FLOAT_IMG, 3, box, &status);
    fits_write_key(f, TSTRING, "EXTNAME", extension, "", &status);
    fits_write_key(f, TSTRING, "BUNIT", unit, "", &status);
    fits_write_img(f, TFLOAT, 1, 30, values.data(), &status);
    fits_close_file(f, &status);
    REQUIRE(status == 0);
  }
  Sample(const Sample&) = delete;
  ~Sample() { std::filesystem::remove(path); }
};

} // namespace

TEST_CASE("io/fits_image: an image by name, its shape in the order of C, its unit and its blanks") {
  const Sample sample;
  const FitsImageHdu image(sample.path, "VALUES");
  CHECK(image.shape() == Shape{2, 3, 5});
  CHECK(image.unit() == "mJy");
  CHECK_FALSE(image.number("DISTANCE"));
  const std::vector<double> v = image.values();
  REQUIRE(v.size() == 30);
  CHECK(v[7] == 12);
  CHECK(v[28] == 123);
  CHECK(is_missing(v[29]));
}

TEST_CASE("io/fits_image: the primary image and the keywords of its header") {
  const Sample sample;
  const FitsImageHdu primary(sample.path);
  CHECK(primary.shape() == Shape{4});
  CHECK(primary.unit().empty());
  CHECK(primary.number("DISTANCE").value() == 3.5e21);
  CHECK_FALSE(primary.number("NOTHING"));
  CHECK(primary.values() == std::vector<double>{1, 0, 1, 7});
}

TEST_CASE("io/fits_image: boxes") {
  const Sample sample;
  const FitsImageHdu image(sample.path, "VALUES");
  std::vector<float> box(4);
  image.read<float>(std::array<index_t, 3>{0, 1, 2}, std::array<index_t, 3>{2, 1, 2}, box);
  CHECK(box == std::vector<float>{12, 13, 112, 113});
  std::vector<double> whole(10);
  image.read<double>(std::array<index_t, 3>{1, 0, 0}, std::array<index_t, 3>{1, 2, 5}, whole);
  CHECK(whole.front() == 100);
  CHECK(whole.back() == 114);
  image.read<float>(std::array<index_t, 3>{0, 0, 0}, std::array<index_t, 3>{0, 3, 5}, std::span<float>{});
  const auto read = [&](std::array<index_t, 3> first, std::array<index_t, 3> count) {
    image.read<float>(first, count, box);
  };
  CHECK_THROWS_AS(read({0, 1, 2}, {2, 1, 3}), ShapeError); // 6 elements into 4 places
  CHECK_THROWS_AS(read({0, 2, 2}, {2, 2, 1}), ShapeError); // beyond the second axis
  CHECK_THROWS_AS(read({-1, 1, 2}, {2, 1, 2}), ShapeError);
  CHECK_THROWS_WITH_AS(image.read<float>(std::array<index_t, 1>{0}, std::array<index_t, 1>{4}, box),
                       doctest::Contains("image 'VALUES' of shape [2,3,5]"), ShapeError);
}

TEST_CASE("io/fits_image: what is not there is named") {
  const Sample sample;
  CHECK_THROWS_WITH_AS(FitsImageHdu(sample.path, "VALUE"),
                       doctest::Contains("no image named 'VALUE'; there is only 'VALUES'"), FileError);
  CHECK_THROWS_WITH_AS(FitsImageHdu(sample.path, "TABLE"), doctest::Contains("image 'TABLE' is a table"),
                       FileError);
  CHECK_THROWS_WITH_AS(FitsImageHdu(sample.path + ".none"), doctest::Contains("no such file"), FileError);
  std::filesystem::resize_file(sample.path, 3 * 2880); // the last header and data are gone
  CHECK_THROWS_AS((void)FitsImageHdu(sample.path, "VALUES").values(), FileError);
}
