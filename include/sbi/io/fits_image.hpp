// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/io/fits.hpp>

#include <array>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sbi::io {

/// An image of one to four axes in a FITS file, open for reading by parts: what does not fit into memory need
/// not be there. Axes are in the C sense (the last FITS axis first); blanks read as NaN. Throws FileError for
/// anything that cannot be read.
class FitsImageHdu {
public:
  /// extension: the EXTNAME wanted; "" is the primary image.
  explicit FitsImageHdu(std::string path, std::string_view extension = "") : path_(std::move(path)) {
    const std::lock_guard guard(detail::cfitsio_lock());
    file_ = detail::open_fits(path_);
    where_ = extension.empty() ? text(path_, ": primary HDU") : text(path_, ": image '", extension, "'");
    int status = 0, hdus = 0, kind = IMAGE_HDU;
    std::vector<std::string> images;
    bool found = extension.empty();
    fits_get_num_hdus(file_.get(), &hdus, &status);
    for (int hdu = 2; hdu <= hdus && status == 0 && !found; ++hdu) {
      fits_movabs_hdu(file_.get(), hdu, &kind, &status);
      const std::string name = keyword<std::string>("EXTNAME").value_or("");
      found = status == 0 && extension == name;
      if (kind == IMAGE_HDU) images.push_back(name);
    }
    if (status != 0) detail::throw_fits(path_, status);
    if (!found)
      throw FileError(text(path_, ": no image named '", extension, "'", nearest_names(extension, images)));
    if (kind != IMAGE_HDU) throw FileError(text(where_, " is a table; want an image"));
    int axes = 0;
    fits_get_img_dim(file_.get(), &axes, &status);
    if (status == 0 && (axes < 1 || axes > Shape::max_rank))
      throw FileError(text(where_, " has ", axes, " axes; want 1 to ", Shape::max_rank));
    LONGLONG extent[Shape::max_rank] = {};
    fits_get_img_sizell(file_.get(), axes, extent, &status);
    if (status != 0) detail::throw_fits(where_, status);
    const auto at = [&](int axis) { return static_cast<index_t>(extent[axes - 1 - axis]); };
    shape_ = axes == 1   ? Shape{at(0)}
             : axes == 2 ? Shape{at(0), at(1)}
             : axes == 3 ? Shape{at(0), at(1), at(2)}
                         : Shape{at(0), at(1), at(2), at(3)};
    unit_ = keyword<std::string>("BUNIT").value_or("");
  }

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const std::string& unit() const { return unit_; } ///< BUNIT, "" without one
  /// A number of this HDU's header; nothing if the keyword is not there or is not a number.
  [[nodiscard]] std::optional<double> number(const std::string& key) const {
    const std::lock_guard guard(detail::cfitsio_lock());
    return keyword<double>(key);
  }

  /// The box of `count` elements an axis from `first` on, row-major, as float or double. Throws ShapeError
  /// for a box that is not in the image and for an `out` of another size.
  template <class T>
  void read(std::span<const index_t> first, std::span<const index_t> count, std::span<T> out) const {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
    const auto rank = static_cast<std::size_t>(shape_.rank());
    index_t size = 1;
    bool inside = first.size() == rank && count.size() == rank;
    for (std::size_t a = 0; a < rank && inside; ++a) {
      inside = first[a] >= 0 && count[a] >= 0 && first[a] <= shape_[static_cast<int>(a)] - count[a];
      size *= count[a];
    }
    if (!inside || size != static_cast<index_t>(out.size()))
      throw ShapeError(text(where_, " of shape ", shape_, ": a box of ", size, " elements into ", out.size(),
                            "; want one inside the image and as many places"));
    if (size == 0) return;
    std::array<long, Shape::max_rank> low{}, high{}, step{};
    for (std::size_t a = 0; a < rank; ++a) {
      const std::size_t axis = rank - 1 - a;
      low[a] = static_cast<long>(first[axis]) + 1;
      high[a] = static_cast<long>(first[axis] + count[axis]);
      step[a] = 1;
    }
    T null = std::numeric_limits<T>::quiet_NaN();
    int status = 0, any_null = 0;
    const std::lock_guard guard(detail::cfitsio_lock());
    fits_read_subset(file_.get(), std::is_same_v<T, float> ? TFLOAT : TDOUBLE, low.data(), high.data(),
                     step.data(), &null, out.data(), &any_null, &status);
    if (status != 0) detail::throw_fits(where_, status);
  }
  /// The whole image, row-major.
  [[nodiscard]] std::vector<double> values() const {
    std::array<index_t, Shape::max_rank> first{}, count{};
    const auto rank = static_cast<std::size_t>(shape_.rank());
    for (std::size_t a = 0; a < rank; ++a) count[a] = shape_[static_cast<int>(a)];
    std::vector<double> out(static_cast<std::size_t>(shape_.size()));
    read<double>({first.data(), rank}, {count.data(), rank}, out);
    return out;
  }

private:
  template <class T> [[nodiscard]] std::optional<T> keyword(const std::string& key) const {
    int absent = 0;
    std::optional<T> out;
    if constexpr (std::is_same_v<T, double>) {
      double value = 0;
      fits_read_key(file_.get(), TDOUBLE, key.c_str(), &value, nullptr, &absent);
      if (absent == 0) out = value;
    } else {
      char value[FLEN_VALUE] = {};
      fits_read_key(file_.get(), TSTRING, key.c_str(), value, nullptr, &absent);
      if (absent == 0) out = value;
    }
    if (absent != 0) fits_clear_errmsg();
    return out;
  }

  std::string path_, where_, unit_;
  detail::FitsHandle file_;
  Shape shape_;
};

} // namespace sbi::io
