#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/checks.sh"
common_checks
for flag in --points --per-class --keypoints; do
  grep -q -- "$flag" <<<"$("$program" --help)" || fail "--help does not name $flag"
  refuses "$flag" "$flag" 0 --output "$work/refused"
done
refuses --points --points many --output "$work/refused"
mkdir "$work/taken" && mkdir "$work/taken/results.json"
refuses results.json --points 20 --per-class 6 --output "$work/taken"

few=(--points 30 --per-class 8)
succeeds "${few[@]}" --threads 1 --output "$work/one"
succeeds "${few[@]}" --threads 2 --output "$work/two"
succeeds "${few[@]}" --seed 2 --output "$work/other"
for file in couplings.dat classes.dat; do
  same "$work/one/$file" "$work/two/$file"
  cmp -s "$work/one/$file" "$work/other/$file" && fail "$file does not depend on the seed"
done

results=$work/one/results.json
[ "$(figure "$results" points)" = 30 ] || fail "results.json has other points"
# at_least A B: A >= B, of decimal numbers.
at_least() {
  awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }'
}
for row in exact "Sinkhorn, epsilon 0.1" "Sinkhorn, epsilon 0.005" unbalanced "partial, 94 % of the mass" "low rank, 10" \
  "Gromov-Wasserstein, in 3D" "fused, in 3D" "keypoints, 94 %, in 3D"; do
  for key in value seconds residual matched distance; do
    figure "$results" curves "$row" $key >/dev/null
  done
  [ "$(figure "$results" curves "$row" converged)" = ON ] || fail "$row did not converge"
  [ "$(figure "$results" curves "$row" value)" = "$(figure "$work/two/results.json" curves "$row" value)" ] ||
    fail "$row: the value depends on threads"
  grep -qF "$row" "$work/one/table.txt" || fail "table.txt has no $row"
done
for name in "exact, padded coordinates" "entropic Gromov-Wasserstein"; do
  plain=$(figure "$results" classes "$name" matched)
  at_least 0.4 "$plain" || fail "$name matches $plain: the spaces' distances say too much"
done
guided=$(figure "$results" classes "keypoint-guided, 3 a class" matched)
at_least "$guided" 0.7 || fail "keypoints match $guided; want 0.7"
echo "all checks passed"
