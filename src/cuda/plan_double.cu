// SPDX-License-Identifier: MIT
#include "plan.cuh"

namespace sbi::ot::detail {
template void DevicePairs<double>::apply_plan(const double*, const double*, double, double*, double*) const;
template void DevicePairs<double>::plan_gradient(const double*, const double*, double, double*) const;
} // namespace sbi::ot::detail
