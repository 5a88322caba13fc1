# SPDX-License-Identifier: MIT
# The compiled target sbi::cuda. Users of it need the CUDA toolkit's runtime library and no CUDA compiler.
# CMAKE_CUDA_ARCHITECTURES (default: machine code for 8.0 and 9.0, and PTX of 9.0 for what comes after) and
# CMAKE_CUDA_COMPILER are CMake's own.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90 CACHE STRING "GPU architectures")
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
file(GLOB sbi_cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cuda/*.cu)
add_library(sbi_cuda STATIC ${sbi_cuda_sources})
add_library(sbi::cuda ALIAS sbi_cuda)
set_target_properties(sbi_cuda PROPERTIES EXPORT_NAME cuda POSITION_INDEPENDENT_CODE ON)
# By its flag: older versions of CMake know no CUDA_STANDARD 20 for newer compilers.
target_compile_options(sbi_cuda PRIVATE -std=c++20 $<$<BOOL:${SBI_WARNINGS_AS_ERRORS}>:--Werror=all-warnings>)
target_link_libraries(sbi_cuda PUBLIC sbi PRIVATE CUDA::cudart_static)
set_property(GLOBAL APPEND PROPERTY SBI_COMPILED sbi_cuda)
