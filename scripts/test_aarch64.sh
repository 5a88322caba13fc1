#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the tests of the kernels and the networks for 64-bit ARM and runs them under qemu (Debian and Ubuntu). The
# target's libraries are unpacked into the build folder: packages of two architectures do not meet on the machine.
# usage: scripts/test_aarch64.sh [TEST...]; default: core backend autodiff ops nn. SBI_JOBS: compile jobs (default 2).
set -eu
cd "$(dirname "$0")/.."

if ! command -v apt-get >/dev/null; then
  echo "test_aarch64: no apt-get here; the ARM compiler and libraries are taken from Debian's packages" >&2
  exit 1
fi
scripts/dependencies.sh g++-aarch64-linux-gnu qemu-user-static
[ $# -gt 0 ] || set -- core backend autodiff ops nn

build=$PWD/build/aarch64
sysroot=$build/sysroot
packages="libtbb-dev libtbb12 libtbbbind-2-5 libtbbmalloc2 libeigen3-dev libxtensor-dev xtl-dev doctest-dev
nlohmann-json3-dev"
if [ "$(cat "$sysroot/packages" 2>/dev/null)" != "$packages" ]; then
  apt=$build/apt # an apt of its own: neither root nor a change of this machine's
  mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$sysroot"
  : >"$apt/status"
  arm() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$apt/state" \
      -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
  }
  arm update
  # shellcheck disable=SC2086
  (cd "$apt" && arm download $packages)
  for package in "$apt"/*.deb; do
    dpkg -x "$package" "$sysroot"
  done
  echo "$packages" >"$sysroot/packages"
fi

if [ ! -f "$build/CMakeCache.txt" ] && command -v ninja >/dev/null; then
  cmake --preset aarch64 -G Ninja
else
  cmake --preset aarch64
fi
cmake --build "$build" -j "${SBI_JOBS:-2}" --target $(printf 'test_%s ' "$@")
ctest --preset aarch64 -R "^($(echo "$*" | tr ' ' '|'))\$"
