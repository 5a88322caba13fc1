#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/checks.sh"
common_checks
"$program" --help >"$work/out"
for flag in --data --analytic --compare --log-age --mh --distance --longitude --latitude --a-v --stars --mass --binaries --radius \
  --field-radius --g-limit --no-field --stream; do
  grep -q -- "$flag" "$work/out" || fail "--help does not name $flag"
done

quick=(--analytic --output "$work/refused")
refuses "number of stars -3" "${quick[@]}" --stars -3
refuses "distance -860" "${quick[@]}" --distance -860
refuses "latitude 95" "${quick[@]}" --latitude 95
refuses "A_V nan" "${quick[@]}" --a-v nan
refuses "binary fraction 1.5" "${quick[@]}" --binaries 1.5
refuses "cluster: radius 0" "${quick[@]}" --radius 0
refuses "cone: radius 0 degrees" "${quick[@]}" --field-radius 0
refuses "no star brighter than G = -20" "${quick[@]}" --g-limit -20 --no-field
refuses --stars "${quick[@]}" --stars 10 --mass 100
refuses --stream "${quick[@]}" --stream 0
refuses --no-field "${quick[@]}" --stream 10 --no-field
refuses --analytic "${quick[@]}" --compare m67
refuses m42 --compare m42 --output "$work/refused"
refuses "/no/data/ck04: no such folder" --data /no/data --output "$work/refused"
refuses NGC_2682 --compare m67 --data "$work" --output "$work/refused"

# at_least A B: A >= B, of decimal numbers.
at_least() {
  awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }'
}
# consistent RESULTS: its counts add up, and every star of the catalogue has an outcome in every channel.
consistent() {
  local of key sum catalogue
  for of in cluster field; do
    sum=0
    for key in whole dark_companions no_evolution no_atmosphere no_light bad_value; do
      sum=$((sum + $(figure "$1" $of $key)))
    done
    [ "$(figure "$1" $of drawn)" = $sum ] || fail "$1: flags of the $of add up to $sum"
    [ "$(figure "$1" $of bad_value)" = 0 ] || fail "$1: unusable numbers in the $of"
  done
  catalogue=$(($(figure "$1" cluster catalogue) + $(figure "$1" field catalogue)))
  for of in G BP RP parallax J H Ks W1 W2 W3 W4 XP; do
    sum=0
    for key in observed not_covered lost too_faint; do
      sum=$((sum + $(figure "$1" channels $of $key)))
    done
    [ $sum = $catalogue ] || fail "$1: $sum outcomes of $of for $catalogue stars"
  done
  [ "$(figure "$1" channels G observed)" = $catalogue ] || fail "$1: a star without G"
}

# Without data files the program says so, and what that means.
mkdir "$work/empty"
few=(--stars 600 --field-radius 0.4)
SBI_DATA_DIR=$work/empty succeeds "${few[@]}" --threads 1 --output "$work/one"
grep -q "no giants" "$work/err" || fail "no word of the missing data files: $(cat "$work/err")"
succeeds "${few[@]}" --analytic --threads 2 --output "$work/two"
succeeds "${few[@]}" --analytic --seed 2 --output "$work/other"
same "$work/one/stars.fits" "$work/two/stars.fits"
cmp -s "$work/one/stars.fits" "$work/other/stars.fits" && fail "the stars do not depend on the seed"
results=$work/one/results.json
consistent "$results"
[ "$(figure "$results" cluster drawn)" = 600 ] || fail "results.json has other stars"
[ "$(figure "$results" models)" = "analytic, Tout" ] || fail "results.json names other models"
# The parallax of 860 pc alone is worth this much.
at_least "$(figure "$results" membership purity)" 0.6 && at_least "$(figure "$results" membership completeness)" 0.6 ||
  fail "members are not found: $(cat "$work/one/table.txt")"
for key in seconds stars_a_second; do
  at_least "$(figure "$results" $key)" 0.0001 || fail "results.json: $key"
done

succeeds --analytic --no-field --mass 100 --output "$work/alone"
consistent "$work/alone/results.json"
[ "$(figure "$work/alone/results.json" field drawn)" = 0 ] || fail "--no-field has a field"

# A stream is counted, and gives the same counts on any number of threads.
for threads in 1 2; do
  succeeds --analytic --stream 40000 --threads $threads --output "$work/stream$threads"
  [ "$(figure "$work/stream$threads/results.json" field drawn)" = 40000 ] || fail "another number of stars"
done
for key in whole no_evolution no_atmosphere catalogue; do
  [ "$(figure "$work/stream1/results.json" field $key)" = "$(figure "$work/stream2/results.json" field $key)" ] ||
    fail "--stream: $key depends on threads"
done

data=${SBI_DATA_DIR:-$(dirname "$0")/../../../shared/data}
for folder in m67_ngc2682 ck04 isochrones_parsec_fsps; do
  if [ ! -d "$data/$folder" ]; then
    echo "no folder $folder in '$data': M67 is skipped"
    exit 0
  fi
done
succeeds "${few[@]}" --data "$data" --threads 1 --output "$work/files"
succeeds "${few[@]}" --data "$data" --threads 2 --output "$work/files2"
same "$work/files/stars.fits" "$work/files2/stars.fits"
consistent "$work/files/results.json"
[ "$(figure "$work/files/results.json" models)" = "Castelli-Kurucz, PARSEC" ] || fail "other models than the files'"

succeeds --compare m67 --stars 500 --data "$data" --threads 1 --output "$work/m67"
succeeds --compare m67 --stars 500 --data "$data" --threads 2 --output "$work/m67_2"
same "$work/m67/results.json" "$work/m67_2/results.json"
[ "$(figure "$work/m67/results.json" members)" = 753 ] || fail "another M67"
offset=$(figure "$work/m67/results.json" median_offset)
at_least 0.05 "$offset" || fail "the ridge lines are $offset mag apart"
# A cluster twice as far is another cluster: what is measured can fail.
succeeds --compare m67 --stars 500 --distance 1720 --data "$data" --output "$work/far"
offset=$(figure "$work/far/results.json" median_offset)
at_least "$offset" 0.05 || fail "twice as far, and the ridge lines are $offset mag apart"
echo "all checks passed"
