// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/dust_map.hpp>
#include <sbi/io/fits.hpp>
#include <sbi/io/npy.hpp>
#include <sbi/io/text_file.hpp>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Reads a user's dust map: one matrix, whose first row holds the distances [pc] and whose other rows hold
/// the values at these distances, one row a cell of the sky: 12 nside^2 rows in HEALPix's ring order, in
/// galactic coordinates. `kind` says what the values are; a row of NaN is a cell without a map. The matrix is
/// - in name.npy: a two-dimensional array of doubles ('<f8');
/// - in name.fits or name.fits.gz: the image of the primary HDU, NAXIS1 = the number of distances;
/// - in any other file: text, plain or gzipped, numbers separated by commas or blanks, '#' before comments.
/// Throws FileError that names the file for one that cannot be read, is no such matrix, or holds values that
/// GridDust refuses.
[[nodiscard]] inline GridDust read_dust_map(const std::string& path,
                                            GridDust::Values kind = GridDust::Values::a_v) {
  index_t rows = 0, columns = 0;
  std::vector<double> matrix;
  if (path.ends_with(".npy")) {
    const xt::xtensor<double, 2> array = io::read_npy<double, 2>(path);
    rows = static_cast<index_t>(array.shape(0));
    columns = static_cast<index_t>(array.shape(1));
    matrix.assign(array.begin(), array.end());
  } else if (path.ends_with(".fits") || path.ends_with(".fits.gz")) {
    io::FitsImage image = io::read_fits_image(path);
    if (image.shape.rank() != 2)
      throw FileError(text(path, ": an image of ", image.shape.rank(), " axes; want 2"));
    rows = image.shape[0];
    columns = image.shape[1];
    matrix = std::move(image.values);
  } else {
    io::NumberTable table = io::read_numbers(path);
    rows = table.rows();
    columns = table.columns;
    matrix = std::move(table.values);
  }
  const auto nside = static_cast<index_t>(std::lround(std::sqrt(static_cast<double>(rows) / 12)));
  if (columns < 1 || nside < 1 || rows != 1 + 12 * nside * nside)
    throw FileError(text(path, ": ", rows, " rows of ", columns,
                         "; want one row of distances and 12 nside^2 rows of values"));
  try {
    std::vector<double> distances(matrix.begin(), matrix.begin() + columns);
    matrix.erase(matrix.begin(), matrix.begin() + columns);
    return {SkyCells(static_cast<int>(nside)), std::move(distances), std::move(matrix), kind};
  } catch (const Error& e) {
    throw FileError(text(path, ": ", e.what()));
  }
}

} // namespace sbi::forward
