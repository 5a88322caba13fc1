// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/evolution_range.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace sbi::forward {

/// Where one model gives way to another on an axis: only the first up to `from`, only the second beyond `to`.
struct Handover {
  double from = 0, to = 0;

  /// Share of the first model: 1, falling linearly, 0.
  [[nodiscard]] double first(double x) const { return x <= from ? 1 : x >= to ? 0 : (to - x) / (to - from); }
};

/// Two models of evolution as one: young stars from the first, old ones from the second; satisfies
/// `Evolution`. In between, log L, log T_eff and log g are mixed linearly in log age, so that the star is a
/// continuous function of mass, age and metallicity wherever both give one. A second handover in log mass
/// leaves the young but massive stars to the second model too, for a first model that ends below them; the
/// share of the first is then the product of both. There is a star where every model that has a share in it
/// gives one: no model stands in for another beyond its own tables.
template <RangedEvolution Young, RangedEvolution Old> class JoinedEvolution {
public:
  static constexpr bool has_age = true;

  /// Throws ValueError for a handover with from >= to, or one that a model's range does not reach: the young
  /// model must extend to the end of both, the old one to their beginning.
  JoinedEvolution(Young young, Old old, Handover log_age, std::optional<Handover> log_mass = std::nullopt)
      : young_(std::move(young)), old_(std::move(old)), log_age_(log_age), log_mass_(log_mass) {
    const EvolutionRange y = young_.range(), o = old_.range();
    check("log age", log_age_, y.log_age_max, o.log_age_min);
    if (log_mass_) check("log mass", *log_mass_, y.log_mass_max, o.log_mass_min);
  }

  [[nodiscard]] std::optional<StarState> state(double log_mass, double log_age, double mh) const {
    const double share = log_age_.first(log_age) * (log_mass_ ? log_mass_->first(log_mass) : 1);
    if (!(share < 1)) return young_.state(log_mass, log_age, mh); // NaN too: no model has a star there
    if (share == 0) return old_.state(log_mass, log_age, mh);
    const std::optional<StarState> y = young_.state(log_mass, log_age, mh),
                                   o = old_.state(log_mass, log_age, mh);
    if (!y || !o) return std::nullopt;
    const auto mix = [&](double a, double b) { return share * a + (1 - share) * b; };
    return StarState{log_mass,
                     log_age,
                     mh,
                     mix(y->log_l, o->log_l),
                     mix(y->log_teff, o->log_teff),
                     mix(y->log_g, o->log_g)};
  }

  /// The box around the parts of both models that are used.
  [[nodiscard]] EvolutionRange range() const {
    EvolutionRange y = young_.range(), o = old_.range();
    y.log_age_max = std::min(y.log_age_max, log_age_.to);
    if (log_mass_)
      y.log_mass_max = std::min(y.log_mass_max, log_mass_->to);
    else
      o.log_age_min = std::max(o.log_age_min, log_age_.from);
    return {std::min(y.log_mass_min, o.log_mass_min),
            std::max(y.log_mass_max, o.log_mass_max),
            std::min(y.log_age_min, o.log_age_min),
            std::max(y.log_age_max, o.log_age_max),
            std::min(y.mh_min, o.mh_min),
            std::max(y.mh_max, o.mh_max)};
  }
  [[nodiscard]] const Young& young() const { return young_; }
  [[nodiscard]] const Old& old() const { return old_; }

private:
  static void check(const char* axis, const Handover& h, double young_end, double old_begin) {
    if (!(h.from < h.to))
      throw ValueError(text("joined evolution: handover in ", axis, " from ", h.from, " to ", h.to,
                            "; want it to increase"));
    if (!(young_end >= h.to && old_begin <= h.from))
      throw ValueError(text("joined evolution: handover in ", axis, " from ", h.from, " to ", h.to,
                            ", but the young model ends at ", young_end, " and the old one begins at ",
                            old_begin, "; want both to cover it"));
  }

  Young young_;
  Old old_;
  Handover log_age_;
  std::optional<Handover> log_mass_;
};

} // namespace sbi::forward
