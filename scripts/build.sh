#!/bin/sh
# SPDX-License-Identifier: MIT
# Configures and builds one preset. usage: scripts/build.sh PRESET [TARGET...]
set -eu
cd "$(dirname "$0")/.."

preset=$1
shift
folder=build/$preset
if [ ! -f "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then
  cmake --preset "$preset" -G Ninja
else
  cmake --preset "$preset"
fi
if [ $# -gt 0 ]; then
  cmake --build "$folder" -j "${SBI_JOBS:-2}" --target "$@"
else
  cmake --build "$folder" -j "${SBI_JOBS:-2}"
fi
