// SPDX-License-Identifier: MIT
// Clouds on the device: points as they are given, the dot-product forms that are made of them, and what is to
// be known about those before the first round.
#include "pairs.hpp"
#include "reduce.cuh"

#include <cmath>
#include <limits>

namespace sbi::ot::detail {
namespace {

constexpr int transpose_tile = 32;

/// to[k * padded + i] = from[i * width + k], 0 outside.
template <class T>
__global__ void transpose(const T* from, int count, int width, T* to, int padded, int padded_width) {
  __shared__ T tile[transpose_tile][transpose_tile + 1];
  const int i0 = static_cast<int>(blockIdx.x) * transpose_tile,
            k0 = static_cast<int>(blockIdx.y) * transpose_tile;
  const int x = static_cast<int>(threadIdx.x);
  for (int y = static_cast<int>(threadIdx.y); y < transpose_tile; y += static_cast<int>(blockDim.y)) {
    const int i = i0 + y, k = k0 + x;
    tile[y][x] = i < count && k < width ? from[static_cast<std::size_t>(i) * width + k] : T{0};
  }
  __syncthreads();
  for (int y = static_cast<int>(threadIdx.y); y < transpose_tile; y += static_cast<int>(blockDim.y)) {
    const int i = i0 + x, k = k0 + y;
    if (i < padded && k < padded_width) to[static_cast<std::size_t>(k) * padded + i] = tile[x][y];
  }
}

/// Sums over the points of one coordinate, given by blockIdx.y: of weight times coordinate or, without
/// weights, of the differences from the first point. The row behind the coordinates is that of the offsets.
constexpr int points_a_sum = 4096;
template <class T>
__global__ void __launch_bounds__(element_threads)
    coordinate_sums(const T* points, const double* offset, const double* weight, int count, int padded,
                    int width, double* sums) {
  const int k = static_cast<int>(blockIdx.y), begin = static_cast<int>(blockIdx.x) * points_a_sum;
  const int end = min(count, begin + points_a_sum);
  const T* row = points + static_cast<std::size_t>(k) * padded;
  GridSums<1> total{};
  for (int i = begin + static_cast<int>(threadIdx.x); i < end; i += element_threads) {
    if (k == width)
      total.sum[0] += weight[i] * offset[i];
    else if (weight)
      total.sum[0] += weight[i] * static_cast<double>(row[i]);
    else // not a number, or infinite, where a coordinate is
      total.sum[0] += static_cast<double>(row[i]) - static_cast<double>(row[0]);
  }
  block_sums(total, false);
  if (threadIdx.x == 0) sums[static_cast<std::size_t>(k) * gridDim.x + blockIdx.x] = total.sum[0];
}

/// Least and largest offset, largest squared norm; [3 * gridDim.x].
template <class T>
__global__ void __launch_bounds__(element_threads)
    extremes(const T* points, const double* offset, int count, int padded, int width, double* out) {
  __shared__ double all[3][element_threads];
  const int t = static_cast<int>(threadIdx.x);
  double found[3] = {INFINITY, -INFINITY, 0};
  for (int i = static_cast<int>(blockIdx.x) * element_threads + t; i < count;
       i += static_cast<int>(gridDim.x) * element_threads) {
    double square = 0;
    for (int k = 0; k < width; ++k) {
      const double v = static_cast<double>(points[static_cast<std::size_t>(k) * padded + i]);
      square += v * v;
    }
    found[0] = fmin(found[0], offset[i]), found[1] = fmax(found[1], offset[i]);
    found[2] = fmax(found[2], square);
  }
  for (int k = 0; k < 3; ++k) all[k][t] = found[k];
  for (int step = element_threads / 2; step > 0; step /= 2) {
    __syncthreads();
    if (t >= step) continue;
    all[0][t] = fmin(all[0][t], all[0][t + step]);
    all[1][t] = fmax(all[1][t], all[1][t + step]);
    all[2][t] = fmax(all[2][t], all[2][t + step]);
  }
  if (t == 0)
    for (int k = 0; k < 3; ++k) out[3 * blockIdx.x + static_cast<unsigned>(k)] = all[k][0];
}

/// Points about a centre, times a factor, with the squares of their norms without it.
template <class T>
__global__ void centred(const T* points, const double* centre, double factor, int count, int padded,
                        int width, T* to, double* square) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= padded) return;
  double sum = 0;
  for (int k = 0; k < width; ++k) {
    const std::size_t at = static_cast<std::size_t>(k) * padded + i;
    const T v = i < count ? static_cast<T>(static_cast<double>(points[at]) - centre[k]) : T{0};
    sum += static_cast<double>(v) * static_cast<double>(v);
    to[at] = static_cast<T>(factor) * v;
  }
  square[i] = sum;
}

/// Points over their lengths; the origin stays where it is.
template <class T>
__global__ void directions(const T* points, int count, int padded, int width, double offset, T* to,
                           double* offsets, double* length) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= padded) return;
  double sum = 0;
  for (int k = 0; k < width; ++k) {
    const double v = static_cast<double>(points[static_cast<std::size_t>(k) * padded + i]);
    sum += v * v;
  }
  const double norm = sqrt(sum);
  for (int k = 0; k < width; ++k) {
    const std::size_t at = static_cast<std::size_t>(k) * padded + i;
    to[at] = norm > 0 ? static_cast<T>(static_cast<double>(points[at]) / norm) : T{0};
  }
  offsets[i] = i < count ? offset : 0;
  if (i < count) length[i] = norm;
}

[[nodiscard]] int filled_up(int width) {
  for (int w : narrow_widths)
    if (width <= w) return w;
  return (width + width_step - 1) / width_step * width_step;
}
[[nodiscard]] unsigned blocks_of(int count) {
  return static_cast<unsigned>((count + element_threads - 1) / element_threads);
}

template <class T>
[[nodiscard]] std::shared_ptr<DeviceCloud<T>> empty_cloud(const CudaContext& on, index_t count, index_t width,
                                                          bool with_offset = true) {
  if (count > std::numeric_limits<int>::max() / 2 || width > 65535)
    throw ShapeError(text("cuda: a cloud of ", count, " points of ", width,
                          " coordinates; want at most 2^30 points and 65535 coordinates"));
  auto out = std::make_shared<DeviceCloud<T>>();
  out->count = static_cast<int>(count);
  out->padded = (out->count + cloud_block - 1) / cloud_block * cloud_block;
  out->width = static_cast<int>(width);
  out->padded_width = filled_up(out->width);
  out->points = Buffer<T>(on, static_cast<std::size_t>(out->padded_width) * out->padded);
  if (with_offset) out->offset = Buffer<double>(on, static_cast<std::size_t>(out->padded));
  return out;
}

/// Points of the host, [count, width].
template <class T> void fill(const CudaContext& on, const T* points, DeviceCloud<T>& out) {
  const Buffer<T> rows(on, static_cast<std::size_t>(out.count) * out.width);
  if (rows.size()) rows.upload(points, rows.size());
  const dim3 grid(static_cast<unsigned>((out.padded + transpose_tile - 1) / transpose_tile),
                  static_cast<unsigned>((out.padded_width + transpose_tile - 1) / transpose_tile));
  transpose<<<grid, dim3(transpose_tile, 8), 0, on.stream()>>>(
      rows.get(), out.count, out.width, out.points.get(), out.padded, out.padded_width);
  check_launch("launch of transpose");
}
template <class T>
[[nodiscard]] std::shared_ptr<const DeviceCloud<T>>
given_cloud(const CudaContext& on, const T* points, const double* offset, index_t count, index_t width) {
  auto out = empty_cloud<T>(on, count, width);
  out->offset.clear();
  out->offset.upload(offset, static_cast<std::size_t>(out->count));
  fill(on, points, *out);
  return out;
}

/// Sums of coordinate_sums, added up.
template <class T>
[[nodiscard]] std::vector<double> sums_of(const CudaContext& on, const DeviceCloud<T>& cloud,
                                          const double* weight) {
  const int rows = cloud.width + (weight ? 1 : 0), parts = (cloud.count + points_a_sum - 1) / points_a_sum;
  std::vector<double> out(static_cast<std::size_t>(rows), 0),
      all(out.size() * static_cast<std::size_t>(parts));
  if (all.empty()) return out;
  const Buffer<double> on_device(on, all.size());
  const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(rows));
  coordinate_sums<<<grid, element_threads, 0, on.stream()>>>(cloud.points.get(), cloud.offset.get(), weight,
                                                             cloud.count, cloud.padded, cloud.width,
                                                             on_device.get());
  check_launch("launch of coordinate_sums");
  on_device.download(all.data(), all.size());
  for (std::size_t k = 0; k < out.size(); ++k)
    for (int p = 0; p < parts; ++p)
      out[k] += all[k * static_cast<std::size_t>(parts) + static_cast<std::size_t>(p)];
  return out;
}

/// The mean of two clouds, taken relative to the first point of one: clouds of one and the same point have it
/// exactly there.
template <class T>
[[nodiscard]] std::vector<double> centre_of(const DeviceCloud<T>& x, const DeviceCloud<T>& y) {
  std::vector<double> out(x.first);
  for (std::size_t k = 0; k < out.size(); ++k)
    out[k] += (x.sum[k] + (y.sum[k] + static_cast<double>(y.count) * (y.first[k] - x.first[k]))) /
              (static_cast<double>(x.count) + static_cast<double>(y.count));
  return out;
}

template <class T>
[[nodiscard]] std::shared_ptr<const DeviceCloud<T>>
centred_cloud(const CudaContext& on, const DeviceCloud<T>& x, const Buffer<double>& centre, double factor) {
  auto out = empty_cloud<T>(on, x.count, x.width);
  out->factor = factor;
  centred<<<blocks_of(x.padded), element_threads, 0, on.stream()>>>(x.points.get(), centre.get(), factor,
                                                                    x.count, x.padded, x.padded_width,
                                                                    out->points.get(), out->offset.get());
  check_launch("launch of centred");
  return out;
}
template <class T>
[[nodiscard]] std::shared_ptr<const DeviceCloud<T>> direction_cloud(const CudaContext& on,
                                                                    const DeviceCloud<T>& x, double offset) {
  auto out = empty_cloud<T>(on, x.count, x.width);
  out->length = Buffer<double>(on, static_cast<std::size_t>(x.count));
  directions<<<blocks_of(x.padded), element_threads, 0, on.stream()>>>(
      x.points.get(), x.count, x.padded, x.padded_width, offset, out->points.get(), out->offset.get(),
      out->length.get());
  check_launch("launch of directions");
  return out;
}

/// Least and largest offset, largest norm.
struct Extremes {
  double least = INFINITY, most = -INFINITY, longest = 0;
};
template <class T> [[nodiscard]] Extremes extremes_of(const CudaContext& on, const DeviceCloud<T>& cloud) {
  const unsigned blocks = std::min(blocks_of(cloud.count), 64U);
  std::vector<double> all(3 * blocks);
  const Buffer<double> found(on, all.size());
  extremes<<<blocks, element_threads, 0, on.stream()>>>(cloud.points.get(), cloud.offset.get(), cloud.count,
                                                        cloud.padded, cloud.padded_width, found.get());
  check_launch("launch of extremes");
  found.download(all.data(), all.size());
  Extremes out;
  for (std::size_t b = 0; b < all.size(); b += 3) {
    out.least = std::min(out.least, all[b]), out.most = std::max(out.most, all[b + 1]);
    out.longest = std::max(out.longest, all[b + 2]);
  }
  out.longest = std::sqrt(out.longest);
  return out;
}
} // namespace

template <class T> DevicePoints<T>::DevicePoints(const Cuda<T>& be, const T* points, index_t n, index_t d) {
  const CudaContext& on = be.context();
  const OnDeviceScope scope(on);
  const auto cloud = empty_cloud<T>(on, n, d, false);
  cloud->first.assign(points, points + d);
  fill(on, points, *cloud);
  cloud->sum = sums_of<T>(on, *cloud, nullptr);
  for (double sum : cloud->sum) cloud->finite &= std::isfinite(sum);
  cloud_ = cloud;
}
template <class T> bool DevicePoints<T>::all_finite() const { return cloud_->finite; }

template <class T>
DevicePairs<T>::DevicePairs(const Cuda<T>& be, const T* q, const double* alpha, index_t n, const T* k,
                            const double* beta, index_t m, index_t d)
    : context_(&be.context()) {
  const OnDeviceScope scope(*context_);
  queries_ = given_cloud(*context_, q, alpha, n, d);
  keys_ = given_cloud(*context_, k, beta, m, d);
}

template <class T>
DevicePairs<T>::DevicePairs(const Cuda<T>& be, DeviceCost cost, const DevicePoints<T>& x,
                            const DevicePoints<T>& y)
    : context_(&be.context()), cost_(cost) {
  const CudaContext& on = *context_;
  const OnDeviceScope scope(on);
  if (cost == DeviceCost::cosine) {
    queries_ = direction_cloud(on, x.cloud(), 1);
    keys_ = direction_cloud(on, y.cloud(), 0);
    return;
  }
  std::vector<double> centre = centre_of(x.cloud(), y.cloud());
  centre.resize(static_cast<std::size_t>(x.cloud().padded_width), 0);
  const Buffer<double> on_device(on, centre.size());
  on_device.upload(centre.data(), centre.size());
  queries_ = centred_cloud(on, x.cloud(), on_device, 2);
  keys_ = centred_cloud(on, y.cloud(), on_device, 1);
}

template <class T> auto DevicePairs<T>::extents() const -> Extents {
  return {queries_->count, keys_->count, queries_->width};
}

template <class T> double DevicePairs<T>::range() const {
  const OnDeviceScope scope(*context_);
  const Extremes q = extremes_of(*context_, *queries_), k = extremes_of(*context_, *keys_);
  return (q.most - q.least) + (k.most - k.least) + 2 * q.longest * k.longest;
}

template <class T>
double DevicePairs<T>::mean(const double* a, double mass_a, const double* b, double mass_b) const {
  const CudaContext& on = *context_;
  const OnDeviceScope scope(on);
  const auto sums = [&](const DeviceCloud<T>& cloud, const double* weights) {
    const Buffer<double> on_device(on, static_cast<std::size_t>(cloud.count));
    on_device.upload(weights, on_device.size());
    return sums_of<T>(on, cloud, on_device.get());
  };
  const std::vector<double> left = sums(*queries_, a), right = sums(*keys_, b);
  double out = left.back() / mass_a + right.back() / mass_b;
  for (std::size_t k = 0; k + 1 < left.size(); ++k) out -= left[k] / mass_a * (right[k] / mass_b);
  return out;
}

template class DevicePoints<float>;
template class DevicePoints<double>;
#define SBI_PAIRS(T)                                                                                         \
  template DevicePairs<T>::DevicePairs(const Cuda<T>&, const T*, const double*, index_t, const T*,           \
                                       const double*, index_t, index_t);                                     \
  template DevicePairs<T>::DevicePairs(const Cuda<T>&, DeviceCost, const DevicePoints<T>&,                   \
                                       const DevicePoints<T>&);                                              \
  template auto DevicePairs<T>::extents() const->Extents;                                                    \
  template double DevicePairs<T>::range() const;                                                             \
  template double DevicePairs<T>::mean(const double*, double, const double*, double) const;
SBI_PAIRS(float)
SBI_PAIRS(double)
#undef SBI_PAIRS

} // namespace sbi::ot::detail
