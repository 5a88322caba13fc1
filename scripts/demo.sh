#!/bin/sh
# SPDX-License-Identifier: MIT
# The library at work: trains on simulated stars, infers stars with missing surveys, and, where the catalogue of the
# open cluster M67 is at hand, infers its real members. Ends with the tables and the paths of the pictures.
# SBI_DATA_DIR names the folder with the data (default: ../shared/data next to this repository).
set -eu
cd "$(dirname "$0")/.."

scripts/dependencies.sh

programs="02_stars"
data=${SBI_DATA_DIR:-../shared/data}
if [ -d "$data/m67_ngc2682" ]; then
  programs="$programs 03_catalogue"
else
  echo "demo: no folder m67_ngc2682 in '$data': the real cluster is left out (set SBI_DATA_DIR to include it)"
fi
for program in $programs; do
  if [ ! -f "examples/$program.cpp" ]; then
    echo "demo: examples/$program.cpp is missing, so there is nothing to run" >&2
    exit 1
  fi
done

# shellcheck disable=SC2086
scripts/build.sh release $programs

# Half the training, a quarter of the held-out stars and a third of the samples of a full run: the whole demonstration
# stays within a quarter of an hour.
build/release/examples/02_stars --steps 3000 --adapt-steps 1000 --held-out 500 --samples 300 --output out/02_stars
case $programs in
*03_catalogue*) build/release/examples/03_catalogue --draws 1 --data "$data" --output out/03_catalogue ;;
esac

echo
for program in $programs; do
  if [ -f "out/$program/table.txt" ]; then
    echo "== $program"
    cat "out/$program/table.txt"
  fi
done
echo
echo "pictures:"
for program in $programs; do
  find "out/$program" -name '*.png' | sort
done
