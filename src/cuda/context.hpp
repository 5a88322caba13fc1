// SPDX-License-Identifier: MIT
// A device, its stream and its memory, with every call checked.
#pragma once
#include <sbi/backend/cuda.hpp>

#include <cstddef>
#include <cuda_runtime.h>
#include <utility>

namespace sbi::detail {

/// Throws CudaError in the name of `call` unless it succeeded.
inline void check(cudaError_t result, const char* call) {
  if (result != cudaSuccess) throw CudaError(text("cuda: ", call, " failed: ", cudaGetErrorString(result)));
}
/// After a launch: whether the configuration was accepted.
inline void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

class CudaContext {
public:
  explicit CudaContext(int device);
  ~CudaContext();
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  [[nodiscard]] int device() const { return device_; }
  [[nodiscard]] int multiprocessors() const { return multiprocessors_; }
  [[nodiscard]] cudaStream_t stream() const { return stream_; }
  /// Page-locked memory of the host that kernels write results of a few bytes to.
  static constexpr std::size_t mailbox_bytes = 4096;
  [[nodiscard]] void* mailbox() const { return mailbox_; }

  [[nodiscard]] void* allocate(std::size_t bytes) const;
  void release(void* memory) const noexcept;
  void synchronize() const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }
  void upload(void* to, const void* from, std::size_t bytes) const {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "cudaMemcpyAsync to the device");
  }
  /// Waits for the copy.
  void download(void* to, const void* from, std::size_t bytes) const {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "cudaMemcpyAsync to the host");
    synchronize();
  }
  void clear(void* memory, std::size_t bytes) const {
    check(cudaMemsetAsync(memory, 0, bytes, stream_), "cudaMemsetAsync");
  }

private:
  void give_back() noexcept;
  int device_, multiprocessors_ = 0;
  cudaStream_t stream_ = nullptr;
  cudaMemPool_t pool_ = nullptr;
  void* mailbox_ = nullptr;
};

/// Makes the context's device current for the calling thread, and the former one again at the end.
class OnDeviceScope {
public:
  explicit OnDeviceScope(const CudaContext& context) {
    check(cudaGetDevice(&former_), "cudaGetDevice");
    if (former_ != context.device()) check(cudaSetDevice(context.device()), "cudaSetDevice");
  }
  ~OnDeviceScope() { cudaSetDevice(former_); }
  OnDeviceScope(const OnDeviceScope&) = delete;
  OnDeviceScope& operator=(const OnDeviceScope&) = delete;

private:
  int former_ = 0;
};

/// Device memory for `size` elements; nothing in it is set. Lives no longer than its context.
template <class T> class Buffer {
public:
  Buffer() = default;
  Buffer(const CudaContext& context, std::size_t size)
      : context_(&context), data_(size ? static_cast<T*>(context.allocate(size * sizeof(T))) : nullptr),
        size_(size) {}
  ~Buffer() {
    if (data_) context_->release(data_);
  }
  Buffer(Buffer&& other) noexcept
      : context_(other.context_), data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(context_, other.context_), std::swap(data_, other.data_), std::swap(size_, other.size_);
    return *this;
  }
  [[nodiscard]] T* get() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  void clear() const { context_->clear(data_, size_ * sizeof(T)); }
  void upload(const T* from, std::size_t count) const { context_->upload(data_, from, count * sizeof(T)); }
  void download(T* to, std::size_t count) const { context_->download(to, data_, count * sizeof(T)); }

private:
  const CudaContext* context_ = nullptr;
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

} // namespace sbi::detail
