// SPDX-License-Identifier: MIT
#include "context.hpp"

#include <cstdint>

namespace sbi {
namespace detail {

CudaContext::CudaContext(int device) : device_(device) {
  if (device < 0) throw ValueError(text("cuda: device ", device, "; want 0 or more"));
  int count = 0;
  check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  if (device >= count) throw CudaError(text("cuda: device ", device, " of ", count, "; there is none"));
  const OnDeviceScope scope(*this);
  try {
    check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device),
          "cudaDeviceGetAttribute");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    cudaMemPoolProps properties{};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = device;
    check(cudaMemPoolCreate(&pool_, &properties), "cudaMemPoolCreate");
    std::uint64_t keep = UINT64_MAX;
    check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute");
    check(cudaHostAlloc(&mailbox_, mailbox_bytes, cudaHostAllocMapped), "cudaHostAlloc");
  } catch (...) {
    give_back();
    throw;
  }
}
CudaContext::~CudaContext() {
  int former = 0;
  cudaGetDevice(&former);
  cudaSetDevice(device_);
  give_back();
  cudaSetDevice(former);
}
void CudaContext::give_back() noexcept {
  if (stream_) cudaStreamSynchronize(stream_);
  if (mailbox_) cudaFreeHost(mailbox_);
  if (pool_) cudaMemPoolDestroy(pool_);
  if (stream_) cudaStreamDestroy(stream_);
}
void* CudaContext::allocate(std::size_t bytes) const {
  void* out = nullptr;
  const cudaError_t result = cudaMallocFromPoolAsync(&out, bytes, pool_, stream_);
  if (result == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError()); // the next call is not to find it
    throw CudaError(text("cuda: no room for ", bytes, " bytes on device ", device_));
  }
  check(result, "cudaMallocFromPoolAsync");
  return out;
}
void CudaContext::release(void* memory) const noexcept { cudaFreeAsync(memory, stream_); }

} // namespace detail

template <class T> Cuda<T>::Cuda(int device) : context_(std::make_unique<detail::CudaContext>(device)) {}
template <class T> Cuda<T>::~Cuda() = default;
template <class T> Cuda<T>::Cuda(Cuda&&) noexcept = default;
template <class T> Cuda<T>& Cuda<T>::operator=(Cuda&&) noexcept = default;
template <class T> bool Cuda<T>::available() {
  int count = 0;
  const bool found = cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
  static_cast<void>(cudaGetLastError()); // the next call is not to find it
  return found;
}
template <class T> int Cuda<T>::device() const { return context_->device(); }
template <class T> std::string Cuda<T>::name() const {
  cudaDeviceProp properties;
  detail::check(cudaGetDeviceProperties(&properties, device()), "cudaGetDeviceProperties");
  return properties.name;
}
template class Cuda<float>;
template class Cuda<double>;

} // namespace sbi
