#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/checks.sh"
common_checks

few=(--simulations 400 --real 200 --held-out 12 --samples 16 --steps 6 --adapt-steps 4)
succeeds "${few[@]}" --threads 1 --output "$work/one"
succeeds "${few[@]}" --threads 2 --output "$work/two"
for model in no_adaptation fully_adapted; do
  same "$work/one/$model.safetensors" "$work/two/$model.safetensors"
done
cmp -s "$work/one/no_adaptation.safetensors" "$work/one/fully_adapted.safetensors" && fail "adaptation changed nothing"

results=$work/one/results.json
[ "$(figure "$results" simulations)" = 400 ] || fail "results.json has other simulations"
for key in seed real held_out samples missing gap stars_a_second "cost on simulated stars, crps"; do
  figure "$results" "$key" >/dev/null
done
for row in "no adaptation, simulated" "no adaptation, real" "fine-tuned on pairs, real" "adapted without pairs, real" \
  "fully adapted, simulated" "fully adapted, real" "best possible, real"; do
  [ "$(figure "$results" scores "$row" crps)" = "$(figure "$work/two/results.json" scores "$row" crps)" ] ||
    fail "$row: scores depend on threads"
  for name in log_mass mh av log_distance log_teff log_l log_g; do
    figure "$results" scores "$row" "$name" rmse >/dev/null
    figure "$results" scores "$row" "$name" coverage_68 >/dev/null
  done
done
for method in "fine-tuned on pairs" "adapted without pairs" "fully adapted"; do
  figure "$results" "gap closed, $method" crps >/dev/null
done
for key in seconds steps transport steps_without_transport; do
  figure "$results" trained "fully adapted" "$key" >/dev/null
done

# States are written every 500 steps: a run killed after the first one has work left, and ends in the same bits.
longer=(--simulations 40 --real 100 --held-out 10 --samples 10 --steps 700 --adapt-steps 4)
succeeds "${longer[@]}" --threads 1 --output "$work/whole"
killed_at "$work/killed/no_adaptation.checkpoint" "${longer[@]}" --threads 2 --output "$work/killed"
[ ! -e "$work/killed/no_adaptation.safetensors" ] || fail "a model was written before the kill"
succeeds "${longer[@]}" --threads 1 --output "$work/killed"
for model in no_adaptation fully_adapted; do
  same "$work/whole/$model.safetensors" "$work/killed/$model.safetensors"
done
ls "$work"/killed/*.checkpoint >/dev/null 2>&1 && fail "checkpoints are left"
echo "all checks passed"
