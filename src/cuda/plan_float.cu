// SPDX-License-Identifier: MIT
#include "plan.cuh"

namespace sbi::ot::detail {
template void DevicePairs<float>::apply_plan(const float*, const float*, double, float*, float*) const;
template void DevicePairs<float>::plan_gradient(const float*, const float*, double, float*) const;
} // namespace sbi::ot::detail
