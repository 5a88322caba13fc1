// SPDX-License-Identifier: MIT
// A coupling of two clouds as a picture: both side by side, and a line wherever mass goes.
#pragma once
#include <sbi/core/tensor.hpp>
#include <sbi/io/panel.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace example {

/// A cloud in the plane; points of one group share a colour.
struct Drawn {
  std::vector<double> x, y, size;
  std::vector<std::size_t> group;
};

/// Lines have the colour of the point that they start from and are as strong as their mass: a line that takes
/// all of an average point is at its strongest, those below a fiftieth of it are left out. `rings` are
/// circled points of both clouds.
inline void draw_coupling(sbi::io::Panel& panel, const Drawn& from, const Drawn& to,
                          const sbi::Tensor<double>& plan, const std::vector<sbi::io::Colour>& colours,
                          const std::vector<std::pair<sbi::index_t, sbi::index_t>>& rings = {}) {
  panel.equal_units = true, panel.axes = false, panel.legend = "none";
  const double most = 1 / static_cast<double>(std::max(plan.rows(), plan.cols()));
  const auto at = [](sbi::index_t i) { return static_cast<std::size_t>(i); };
  for (std::size_t group = 0; group < colours.size(); ++group) {
    std::vector<double> x, y, to_x, to_y, strength;
    for (sbi::index_t i = 0; i < plan.rows(); ++i)
      for (sbi::index_t j = 0; j < plan.cols(); ++j)
        if (from.group[at(i)] == group && plan(i, j) > 0.02 * most) {
          x.push_back(from.x[at(i)]), y.push_back(from.y[at(i)]);
          to_x.push_back(to.x[at(j)]), to_y.push_back(to.y[at(j)]);
          strength.push_back(std::min(plan(i, j) / most, 1.0));
        }
    panel.segments(x, y, to_x, to_y, strength, {.colour = colours[group], .size = 0.6, .opacity = 0.6});
  }
  std::vector<double> x, y;
  for (const auto& [i, j] : rings)
    for (const auto& [cloud, k] : {std::pair(&from, at(i)), std::pair(&to, at(j))})
      x.push_back(cloud->x[k]), y.push_back(cloud->y[k]);
  panel.points(x, y, {.colour = sbi::io::Colour::black, .size = 2.6});
  panel.points(x, y, {.colour = static_cast<sbi::io::Colour>(0xFFFFFF), .size = 2.0});
  for (std::size_t group = 0; group < colours.size(); ++group)
    for (const Drawn* cloud : {&from, &to}) {
      std::vector<double> px, py, size;
      for (std::size_t i = 0; i < cloud->x.size(); ++i)
        if (cloud->group[i] == group)
          px.push_back(cloud->x[i]), py.push_back(cloud->y[i]), size.push_back(cloud->size[i]);
      panel.points_by_size(px, py, size, {.colour = colours[group]});
    }
}

} // namespace example
