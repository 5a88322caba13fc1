# SPDX-License-Identifier: MIT
# Cross-build for 64-bit ARM with Debian's compiler; programs run under qemu's user emulation. SBI_SYSROOT holds the
# target's libraries and all headers that do not come with the compiler (scripts/test_aarch64.sh fills it), so that none
# of the host's are found.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L /usr/aarch64-linux-gnu)

set(SBI_SYSROOT "" CACHE PATH "Libraries and headers for the target")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SBI_SYSROOT)
set(CMAKE_FIND_ROOT_PATH ${SBI_SYSROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
