#!/bin/sh
# SPDX-License-Identifier: MIT
# The library at work: trains on simulated stars, infers stars with missing surveys, and, where the catalogue of the
# open cluster M67 is at hand, infers its real members. Ends with the tables and the paths of the pictures.
# SBI_DATA_DIR names the folder with the data (default: ../shared/data next to this repository).
set -eu
# A relative folder means the caller's.
data=${SBI_DATA_DIR:-$(dirname "$0")/../../shared/data}
if [ -d "$data" ]; then data=$(cd "$data" && pwd); fi
cd "$(dirname "$0")/.."

scripts/dependencies.sh

programs="02_stars 03_catalogue"
for folder in m67_ngc2682 ck04 isochrones_parsec_fsps passbands_speclite; do
  if [ ! -d "$data/$folder" ]; then
    echo "demo: no folder $folder in '$data': the real cluster is left out (docs/data.md, SBI_DATA_DIR)"
    programs="02_stars"
    break
  fi
done
# shellcheck disable=SC2086
scripts/build.sh release $programs

# run PROGRAM FLAGS...: not again while its results are newer than the program.
run() {
  program=$1
  shift
  if [ -n "$(find "out/$program/results.json" -newer "build/release/examples/$program" 2>/dev/null)" ]; then
    echo "demo: out/$program is up to date"
  else
    "build/release/examples/$program" "$@" --output "out/$program"
  fi
}
# Half the training, a quarter of the held-out stars and a third of the samples of a full run: the whole demonstration
# stays within a quarter of an hour.
run 02_stars --steps 3000 --adapt-steps 1000 --held-out 500 --samples 300
case $programs in
*03_catalogue*) run 03_catalogue --draws 1 --data "$data" ;;
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
