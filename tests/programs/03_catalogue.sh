#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/checks.sh"
common_checks

# cards TEXT...: FITS header cards, and blanks up to a whole block.
cards() {
  local n=0
  for card in "$@" END; do
    printf '%-80s' "$card"
    n=$((n + 1))
  done
  printf '%*s' $(((36 - n % 36) % 36 * 80)) ''
}
# table FLUX ERROR: a catalogue of 40 stars that differ in nothing, flux and error in hexadecimal (32 bits).
table() {
  cards 'SIMPLE  =                    T' 'BITPIX  =                    8' 'NAXIS   =                    0' \
    'EXTEND  =                    T'
  cards "XTENSION= 'BINTABLE'" 'BITPIX  =                    8' 'NAXIS   =                    2' \
    'NAXIS1  =                   12' 'NAXIS2  =                   40' 'PCOUNT  =                    0' \
    'GCOUNT  =                    1' 'TFIELDS =                    3' "TTYPE1  = 'id'" "TFORM1  = 'J'" \
    "TTYPE2  = 'flux'" "TFORM2  = 'E'" "TTYPE3  = 'error'" "TFORM3  = 'E'"
  for _ in $(seq 40); do
    printf "\\x00\\x00\\x00\\x07$(sed 's/../\\x&/g' <<<"$1$2")"
  done
  head -c $((2880 - 480)) /dev/zero
}
# columns VALUE: how the table is described.
columns() {
  echo '{"file": "stars.fits", "id": "id", "observables": [{"name": "g", "band": "GaiaDR3.G", "flux": true,
    "zero_point": 25.7, "value": "'"$1"'", "error": "error"}]}'
}
hundred=42c80000 one=3f800000 minus=c2c80000 nan=7fc00000
table $hundred $one >"$work/stars.fits"
table $hundred $nan >"$work/nan.fits"
table $minus $one >"$work/negative.fits"
head -c 3000 "$work/stars.fits" >"$work/short.fits"
columns flux >"$work/columns.json"
columns flus >"$work/misspelt.json"
echo '{"file": "stars.fits"' >"$work/broken.json"
printf '\xff\x01\0\0\0\0\0\0{"__metadata__": {' >"$work/short.safetensors"

quick=(--output "$work/refused" --data "$work")
refuses "no column 'flus'; the nearest are 'flux'" "${quick[@]}" --columns "$work/misspelt.json"
refuses "column 'error', row 1: nan" "${quick[@]}" --columns "$work/columns.json" --catalogue "$work/nan.fits"
refuses "column 'flux', row 1: -100" "${quick[@]}" --columns "$work/columns.json" --catalogue "$work/negative.fits"
refuses short.fits "${quick[@]}" --columns "$work/columns.json" --catalogue "$work/short.fits"
refuses none.fits "${quick[@]}" --columns "$work/columns.json" --catalogue "$work/none.fits"
refuses none.json "${quick[@]}" --columns "$work/none.json"
refuses broken.json "${quick[@]}" --columns "$work/broken.json"
refuses "no label 'teff'" "${quick[@]}" --columns "$work/columns.json" --labels teff
refuses short.safetensors "${quick[@]}" --columns "$work/columns.json" --model "$work/short.safetensors"
refuses none.safetensors "${quick[@]}" --columns "$work/columns.json" --model "$work/none.safetensors"
refuses "$work/ck04: no such folder" "${quick[@]}" --columns "$work/columns.json"
refuses --pairs "${quick[@]}" --pairs -3
refuses --draws "${quick[@]}" --draws 0

data=${SBI_DATA_DIR:-$(dirname "$0")/../../../shared/data}
if [ ! -d "$data/m67_ngc2682" ]; then
  echo "no data folder: M67 is skipped"
  exit 0
fi
few=(--data "$data" --simulations 2000 --samples 12 --steps 6 --adapt-steps 4)
refuses "--pairs 205 of 210" --data "$data" --output "$work/refused" --pairs 205
succeeds "${few[@]}" --threads 1 --output "$work/one"
succeeds "${few[@]}" --threads 2 --output "$work/two"
for file in model.safetensors adapted.safetensors posterior.fits; do
  same "$work/one/$file" "$work/two/$file"
done
ls "$work"/one/*.checkpoint >/dev/null 2>&1 && fail "checkpoints are left"
results=$work/one/results.json
[ "$(figure "$results" stars)" = 1585 ] && [ "$(figure "$results" labelled)" = 210 ] &&
  [ "$(figure "$results" test_stars)" = 160 ] || fail "results.json counts other stars"
for row in "quadratic in BP - RP, draw 1" "unadapted, draw 1" "fine-tuned, draw 1" "no alignment, draw 1" \
  "adapted, draw 1" "adapted, mean"; do
  for key in rmse nll coverage_68; do
    figure "$results" scores "$row" teff $key >/dev/null
  done
done
figure "$results" scores "adapted, draw 1" distance_median >/dev/null

# A model that is given is used, and a damaged one refused.
succeeds "${few[@]}" --model "$work/one/model.safetensors" --pairs 0 --labels log_teff --output "$work/given"
[ -e "$work/given/model.safetensors" ] && fail "a model was trained beside the given one"
head -c 20000 "$work/one/model.safetensors" >"$work/cut.safetensors"
refuses cut.safetensors "${few[@]}" --model "$work/cut.safetensors" --output "$work/refused"
echo "all checks passed"
