#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what the build, the tests and the pictures need (Debian and Ubuntu); does nothing when all of it is there.
# usage: scripts/dependencies.sh [extra packages...]
set -eu

packages="cmake ninja-build g++ pkg-config libeigen3-dev libxtensor-dev libtbb-dev libcfitsio-dev nlohmann-json3-dev
libcli11-dev doctest-dev libbenchmark-dev zlib1g-dev $*"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  for tool in cmake c++ pkg-config; do
    if ! command -v "$tool" >/dev/null; then
      echo "dependencies: this is no Debian or Ubuntu machine and $tool is missing: install it first" >&2
      exit 1
    fi
  done
  echo "dependencies: no apt here; CMake looks for the libraries and fetches those that are missing"
  exit 0
fi

missing=""
for package in $packages; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done
command -v gnuplot >/dev/null || missing="$missing gnuplot-nox"
[ -z "$missing" ] && exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root="sudo"
else
  echo "dependencies: missing:$missing" >&2
  echo "run: sudo apt-get update && sudo $install" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root $install
