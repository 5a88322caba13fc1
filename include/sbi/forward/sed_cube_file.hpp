// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/sed_cube.hpp>
#include <sbi/io/fits.hpp>
#include <sbi/io/fits_image.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sbi::forward {

/// What to read of a cube: positions of models and of apertures in the file, both increasing; empty is all.
struct SedSelection {
  std::vector<index_t> models, apertures;
  bool uncertainties = false;
};

/// A cube of spectral energy distributions in the FITS layout of the grids of Robitaille (2017) and
/// Richardson et al. (2024), the `flux.fits` of a model set as sedfitter writes it: a primary image [models]
/// of flags with the keyword DISTANCE [cm]; tables MODEL_NAMES (MODEL_NAME), SPECTRAL_INFO (WAVELENGTH,
/// FREQUENCY) and, unless the light is not divided, APERTURES (APERTURE); images VALUES and, optionally,
/// UNCERTAINTIES [models, apertures, wavelengths]. Opening reads the tables only; `read` takes from the
/// images what is asked for, since they exceed 10 GB (720 000 spectra).
class SedCubeFile {
public:
  /// Throws FileError naming the part that is missing, has another unit or does not fit the others.
  explicit SedCubeFile(std::string path) : path_(std::move(path)), values_(path_, "VALUES") {
    const io::FitsImageHdu primary(path_);
    const std::optional<double> centimetres = primary.number("DISTANCE");
    if (!centimetres || !(*centimetres > 0))
      throw FileError(sbi::text(path_, ": primary HDU without a positive DISTANCE; want it in cm"));
    distance_ = *centimetres / parsec;
    for (const double flag : primary.values()) valid_.push_back(flag != 0);
    names_ = io::FitsTable(path_, "MODEL_NAMES").strings("MODEL_NAME");
    wavelengths_ = axis("SPECTRAL_INFO", "WAVELENGTH", {"um", "micron", "microns", "MICRONS"}, "micron");
    if (wavelengths_.size() > 1 && wavelengths_.front() > wavelengths_.back()) { // the published cubes
      std::reverse(wavelengths_.begin(), wavelengths_.end());
      reversed_ = true;
    }
    if (has_table("APERTURES")) apertures_ = axis("APERTURES", "APERTURE", {"AU", "au"}, "au");
    scale_ = scale_of(values_, "VALUES");
    const Shape want{static_cast<index_t>(names_.size()),
                     apertures_.empty() ? 1 : static_cast<index_t>(apertures_.size()),
                     static_cast<index_t>(wavelengths_.size())};
    if (!(values_.shape() == want) || valid_.size() != names_.size())
      throw FileError(sbi::text(path_, ": VALUES is ", values_.shape(), " with ", valid_.size(),
                                " flags; want ", want, " (names, apertures, wavelengths)"));
  }

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] const std::vector<double>& wavelengths() const {
    return wavelengths_;
  }                                                                                 ///< micron, increasing
  [[nodiscard]] const std::vector<double>& apertures() const { return apertures_; } ///< au
  [[nodiscard]] double distance() const { return distance_; }                       ///< parsec
  /// Position of a model; throws ValueError with the nearest names.
  [[nodiscard]] index_t index(std::string_view name) const {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end())
      throw ValueError(sbi::text(path_, ": no model '", name, "'", io::nearest_names(name, names_)));
    return at - names_.begin();
  }
  /// Memory that `read` needs for this selection [bytes].
  [[nodiscard]] std::size_t bytes(const SedSelection& selection = {}) const {
    const std::size_t models = selection.models.empty() ? names_.size() : selection.models.size();
    return models * rows(selection).size() * wavelengths_.size() * sizeof(float) *
           (selection.uncertainties ? 2 : 1);
  }

  /// The selected part, without parameters. Throws ValueError for positions that are not increasing or not
  /// there, FileError for what cannot be read.
  [[nodiscard]] SedCube read(const SedSelection& selection = {}) const {
    std::vector<index_t> models = selection.models;
    if (models.empty()) {
      models.resize(names_.size());
      std::iota(models.begin(), models.end(), index_t{0});
    }
    require_increasing(models, names_.size(), "model");
    require_increasing(selection.apertures, apertures_.size(), "aperture");
    SedCube out;
    out.distance = distance_;
    out.wavelengths = wavelengths_;
    for (const index_t m : models) {
      out.names.push_back(names_[static_cast<std::size_t>(m)]);
      out.valid.push_back(valid_[static_cast<std::size_t>(m)]);
    }
    const std::vector<index_t> chosen = rows(selection);
    if (!apertures_.empty())
      for (const index_t a : chosen) out.apertures.push_back(apertures_[static_cast<std::size_t>(a)]);
    out.fluxes = image(values_, scale_, models, chosen);
    if (selection.uncertainties) {
      const io::FitsImageHdu errors(path_, "UNCERTAINTIES");
      if (!(errors.shape() == values_.shape()))
        throw FileError(sbi::text(path_, ": UNCERTAINTIES is ", errors.shape(), "; want ", values_.shape(),
                                  " as VALUES"));
      out.uncertainties = image(errors, scale_of(errors, "UNCERTAINTIES"), models, chosen);
    }
    out.check();
    return out;
  }

private:
  [[nodiscard]] bool has_table(const char* name) const {
    try {
      (void)io::FitsTable(path_, name);
      return true;
    } catch (const FileError&) {
      return false;
    }
  }
  [[nodiscard]] std::vector<double> axis(const char* table, const char* column,
                                         std::initializer_list<std::string_view> units,
                                         const char* wanted) const {
    const io::FitsTable t(path_, table);
    const std::string& unit = t.column(column).unit;
    if (std::find(units.begin(), units.end(), unit) == units.end())
      throw FileError(
          sbi::text(path_, ": table '", table, "', column '", column, "' in '", unit, "'; want ", wanted));
    return t.numbers(column);
  }
  [[nodiscard]] float scale_of(const io::FitsImageHdu& image, const char* name) const {
    if (image.unit() == "mJy") return 1;
    if (image.unit() == "Jy") return 1000;
    throw FileError(sbi::text(path_, ": ", name, " in '", image.unit(), "'; want mJy or Jy"));
  }
  void require_increasing(const std::vector<index_t>& positions, std::size_t size, const char* what) const {
    index_t last = -1;
    for (const index_t p : positions) {
      if (!(p > last && p < static_cast<index_t>(size)))
        throw ValueError(sbi::text(path_, ": ", what, " ", p, " after ", last,
                                   "; want increasing positions below ", size));
      last = p;
    }
  }
  /// Positions on the second axis of the images.
  [[nodiscard]] std::vector<index_t> rows(const SedSelection& selection) const {
    if (!selection.apertures.empty()) return selection.apertures;
    std::vector<index_t> all(static_cast<std::size_t>(values_.shape()[1]));
    std::iota(all.begin(), all.end(), index_t{0});
    return all;
  }
  /// Runs of neighbouring models are read together: whole if all apertures are wanted, else aperture by
  /// aperture.
  [[nodiscard]] Tensor<float> image(const io::FitsImageHdu& hdu, float scale,
                                    const std::vector<index_t>& models,
                                    const std::vector<index_t>& chosen) const {
    const auto wide = static_cast<index_t>(wavelengths_.size()), count = static_cast<index_t>(chosen.size());
    Tensor<float> out(Shape{static_cast<index_t>(models.size()), count, wide});
    const bool all = count == hdu.shape()[1];
    std::vector<float> plane;
    for (std::size_t from = 0, to = 0; from < models.size(); from = to) {
      for (to = from + 1; to < models.size() && models[to] == models[to - 1] + 1;) ++to;
      const auto run = static_cast<index_t>(to - from);
      float* at = out.data() + static_cast<index_t>(from) * count * wide;
      if (all) {
        hdu.read<float>(std::array<index_t, 3>{models[from], 0, 0}, std::array<index_t, 3>{run, count, wide},
                        {at, static_cast<std::size_t>(run * count * wide)});
        continue;
      }
      plane.resize(static_cast<std::size_t>(run * wide));
      for (index_t a = 0; a < count; ++a) {
        hdu.read<float>(std::array<index_t, 3>{models[from], chosen[static_cast<std::size_t>(a)], 0},
                        std::array<index_t, 3>{run, 1, wide}, plane);
        for (index_t m = 0; m < run; ++m)
          std::copy_n(plane.data() + m * wide, wide, at + (m * count + a) * wide);
      }
    }
    for (index_t r = 0; r < out.rows() && reversed_; ++r) std::reverse(out.row(r), out.row(r) + wide);
    if (scale != 1)
      for (float& x : out) x *= scale;
    return out;
  }

  std::string path_;
  io::FitsImageHdu values_;
  std::vector<std::string> names_;
  std::vector<double> wavelengths_, apertures_;
  std::vector<bool> valid_;
  double distance_ = 0;
  float scale_ = 1;
  bool reversed_ = false;
};

/// Reads the `parameters.fits` of a model set: a table with the column MODEL_NAME and columns of numbers, of
/// which those of text are left out. The rows come in the order of `names`, whatever theirs; rows of other
/// models are left out. Throws FileError for a model without a row.
[[nodiscard]] inline SedParameters read_sed_parameters(const std::string& path,
                                                       std::span<const std::string> names) {
  const io::FitsTable table(path);
  const std::vector<std::string> own = table.strings("MODEL_NAME");
  std::unordered_map<std::string_view, std::size_t> row;
  for (std::size_t r = 0; r < own.size(); ++r) row.emplace(own[r], r);
  std::vector<std::size_t> order;
  for (const std::string& name : names) {
    const auto at = row.find(name);
    if (at == row.end())
      throw FileError(sbi::text(path, ": no row of model '", name, "' among ", own.size()));
    order.push_back(at->second);
  }
  SedParameters out;
  for (const io::FitsColumn& c : table.columns()) {
    if (c.kind == io::FitsColumn::Kind::text || c.count < 1) continue;
    const std::vector<double> values = c.count == 1 ? table.numbers(c.name) : table.vectors(c.name);
    SedColumn column{c.name, c.unit, c.count, {}};
    for (const std::size_t r : order)
      for (index_t k = 0; k < c.count; ++k)
        column.values.push_back(values[r * static_cast<std::size_t>(c.count) + static_cast<std::size_t>(k)]);
    out.columns.push_back(std::move(column));
  }
  return out;
}

} // namespace sbi::forward
