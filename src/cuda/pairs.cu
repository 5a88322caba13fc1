// SPDX-License-Identifier: MIT
// The softmin of costs between clouds for potentials of the host.
#include "pairs.hpp"
#include "reduce.cuh"

namespace sbi::ot::detail {
namespace {

template <class T>
__global__ void fill_bias(const T* potential, const double* offset, const T* log_weight, double eps,
                          int count, int padded, T* bias) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < padded)
    bias[i] = i < count ? bias_of(potential[i], offset[i], log_weight[i], eps) : -static_cast<T>(INFINITY);
}

template <class T>
__global__ void finish_softmin(const PartialSum<T>* partial, int splits, int rows, int count,
                               const double* alpha, double unit, T* out) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  bool lost;
  if (i < count) out[i] = static_cast<T>(alpha[i] - unit * log2_sum(partial, splits, rows, i, lost));
}

} // namespace

template <class T> void DevicePairs<T>::softmin(const T* log_b, const T* g, double eps, T* out) const {
  const CudaContext& on = *context_;
  const OnDeviceScope scope(on);
  const DeviceCloud<T>&rows = *queries_, &columns = *keys_;
  const auto size = [](int count) { return static_cast<std::size_t>(count); };
  const Buffer<T> potential(on, size(columns.count)), log_weight(on, size(columns.count)),
      bias(on, size(columns.padded)), result(on, size(rows.count));
  potential.upload(g, potential.size());
  log_weight.upload(log_b, log_weight.size());
  const auto blocks = [](int count) {
    return static_cast<unsigned>((count + element_threads - 1) / element_threads);
  };
  fill_bias<<<blocks(columns.padded), element_threads, 0, on.stream()>>>(
      potential.get(), columns.offset.get(), log_weight.get(), eps, columns.count, columns.padded,
      bias.get());
  check_launch("launch of fill_bias");
  const double unit = eps * log_2_of_device;
  const Partition partition = partition_of(on, rows, columns);
  const Buffer<PartialSum<T>> partial(on, size(partition.splits) * size(rows.padded));
  launch_softmin<T>(on, {rows.points.get(), columns.points.get(), bias.get(), rows.offset.get(), nullptr,
                         1 / unit, partial.get(), rows.padded, columns.padded, rows.padded_width, partition});
  finish_softmin<<<blocks(rows.count), element_threads, 0, on.stream()>>>(
      partial.get(), partition.splits, rows.padded, rows.count, rows.offset.get(), unit, result.get());
  check_launch("launch of finish_softmin");
  result.download(out, result.size());
}

template void DevicePairs<float>::softmin(const float*, const float*, double, float*) const;
template void DevicePairs<double>::softmin(const double*, const double*, double, double*) const;

} // namespace sbi::ot::detail
