// SPDX-License-Identifier: MIT
// The backend of one NVIDIA GPU, behind a compiled library: this header needs no CUDA, programs link
// sbi::cuda.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/view.hpp>

#include <memory>
#include <string>
#include <type_traits>

namespace sbi {

/// A call of the CUDA runtime that failed, or a device that is not there. The message names the call.
struct CudaError : Error {
  using Error::Error;
};

namespace detail {
class CudaContext;
}

/// One GPU with a stream and a memory pool of its own, which keeps what it has allocated for the next call
/// and gives it back with the object. Passed in, never global; moved, not copied. One thread at a time may
/// use it; several objects of one device work side by side.
template <class T = float> class Cuda {
public:
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "sbi: Cuda<T> wants float or double");
  using param_t = T;
  using compute_t = T;
  using index_t = sbi::index_t;
  using space = Device;

  /// Throws ValueError for a negative device number, CudaError when there is no device of that number.
  explicit Cuda(int device = 0);
  ~Cuda();
  Cuda(Cuda&&) noexcept;
  Cuda& operator=(Cuda&&) noexcept;

  /// Whether this machine has a device and a driver for it.
  [[nodiscard]] static bool available();

  [[nodiscard]] int device() const;
  /// Its product name.
  [[nodiscard]] std::string name() const;
  /// For the library's own kernels.
  [[nodiscard]] detail::CudaContext& context() const { return *context_; }

private:
  std::unique_ptr<detail::CudaContext> context_;
};

/// A backend whose computations run in device memory.
template <class B>
concept OnDevice = std::is_same_v<typename B::space, Device>;

} // namespace sbi
