#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/checks.sh"
succeeds --help
for flag in --seed --threads --output --atmosphere --dust --surveys --noise --missing; do
  grep -q -- "$flag" "$work/out" || fail "--help does not name $flag"
done

table=$work/stars.csv
{
  echo "# a sequence of dwarfs, one star outside, one without a distance"
  echo "teff,logg,mh,radius,distance,a_v,r_v"
  for k in $(seq 0 199); do echo "$((3500 + 40 * k)),4.4,0,1,$((100 + k)),0.3,3.1"; done
  echo "200000,4.4,0,1,100,0.3,3.1"
  echo "5000,4.4,0,1,,0.3,3.1"
} >"$table"

few=("$table" --atmosphere analytic)
succeeds "${few[@]}" --threads 1 --output "$work/one"
grep -q "202 stars: .* 1 outside the atmospheres, 0 without light in a band, 1 with unusable numbers" "$work/out" || fail "flags are not counted: $(cat "$work/out")"
succeeds "${few[@]}" --threads 2 --output "$work/two"
succeeds "${few[@]}" --seed 2 --output "$work/other"
same "$work/one/stars.csv" "$work/two/stars.csv"
cmp -s "$work/one/stars.csv" "$work/other/stars.csv" && fail "the noise does not depend on the seed"
[ "$(wc -l <"$work/one/stars.csv")" -eq 203 ] || fail "not a row a star"
[ "$(head -1 "$work/one/stars.csv")" = G,G_error,BP,BP_error,RP,RP_error,parallax,parallax_error,J,J_error,H,H_error,Ks,Ks_error,W1,W1_error,W2,W2_error,W3,W3_error,W4,W4_error,flag ] ||
  fail "other columns: $(head -1 "$work/one/stars.csv")"
[ "$(figure "$work/one/results.json" flags no_atmosphere)" = 1 ] || fail "results.json counts other flags"

# Without noise: the Sun at 10 pc, whose magnitudes are known (Gaia EDR3: G 4.66, BP 4.99, RP 4.18; 2MASS Ks 3.27).
sun=$work/sun.csv
printf 'teff,logg,mh,luminosity,distance\n5772,4.438,0,1,10\n' >"$sun"
for atmosphere in analytic black_body; do
  for dust in ccm89 odonnell94 f99 f19 g23; do
    succeeds "$sun" --atmosphere $atmosphere --dust $dust --no-noise --surveys gaia,2mass --output "$work/sun"
  done
done
succeeds "$sun" --atmosphere analytic --no-noise --surveys gaia,2mass --output "$work/sun"
awk -F, 'NR == 2 { d = ($1 - 4.66)^2 + ($2 - 4.99)^2 + ($3 - 4.18)^2 + ($7 - 3.27)^2; exit !(d < 0.05^2 * 4 && $4 == 100) }' "$work/sun/stars.csv" ||
  fail "the Sun is $(tail -1 "$work/sun/stars.csv")"

# Half of the values lost at random.
succeeds "${few[@]}" --missing 0.5 --output "$work/gaps"
awk -F, 'NR > 1 && $NF == 0 { for (i = 1; i <= 9; i += 2) { n++; gone += ($i == "") } } END { exit !(gone / n > 0.4 && gone / n < 0.6) }' "$work/gaps/stars.csv" ||
  fail "--missing 0.5 loses another share"

refuses "required" --output "$work/refused"
refuses absent.csv "$work/absent.csv" --atmosphere analytic --output "$work/refused"
printf 'temperature,logg,mh,radius,distance\n5772,4.4,0,1,10\n' >"$work/bad.csv"
refuses "no column 'teff'" "$work/bad.csv" --atmosphere analytic --output "$work/refused"
printf 'teff,logg,mh,distance\n5772,4.4,0,10\n' >"$work/bad.csv"
refuses "'radius' and 'luminosity'" "$work/bad.csv" --atmosphere analytic --output "$work/refused"
printf 'teff,logg,mh,radius,distance\n3.76,4.4,0,1,10\n' >"$work/bad.csv"
refuses "kelvin, not its logarithm" "$work/bad.csv" --atmosphere analytic --output "$work/refused"
printf 'teff,logg,mh,radius,distance\n5772,4.4,0,1\n' >"$work/bad.csv"
refuses "line 2: 4 fields; want 5" "$work/bad.csv" --atmosphere analytic --output "$work/refused"
refuses phoenix "$sun" --atmosphere phoenix --output "$work/refused"
refuses sloan "$sun" --surveys sloan --output "$work/refused"
refuses "missingness: rate 2; want 0 to 1" "$sun" --atmosphere analytic --missing 2 --output "$work/refused"
refuses /no/data "$sun" --data /no/data --output "$work/refused"
echo "all checks passed"
