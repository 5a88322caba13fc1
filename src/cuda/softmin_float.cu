// SPDX-License-Identifier: MIT
#include "softmin.cuh"

namespace sbi::ot::detail {
template Partition partition_of<float>(const CudaContext&, const DeviceCloud<float>&,
                                       const DeviceCloud<float>&);
template void launch_softmin<float>(const CudaContext&, const SoftminTask<float>&);
} // namespace sbi::ot::detail
