// SPDX-License-Identifier: MIT
#include "softmin.cuh"

namespace sbi::ot::detail {
template Partition partition_of<double>(const CudaContext&, const DeviceCloud<double>&,
                                        const DeviceCloud<double>&);
template void launch_softmin<double>(const CudaContext&, const SoftminTask<double>&);
} // namespace sbi::ot::detail
