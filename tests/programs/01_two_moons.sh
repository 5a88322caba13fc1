#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/checks.sh"
common_checks
for count in --simulations --steps --samples; do
  refuses "$count" $count 0 --output "$work/refused"
  refuses "$count" $count -1 --output "$work/refused"
done

# Few simulations make small batches. The training state is written every 500 steps: a run killed after the first one
# has work left.
few=(--simulations 64 --steps 900 --samples 40)
succeeds "${few[@]}" --threads 1 --output "$work/one"
succeeds "${few[@]}" --threads 2 --output "$work/two"
for file in model.safetensors samples_1.npy samples_3.npy exact_2.npy; do
  same "$work/one/$file" "$work/two/$file"
done
[ "$(figure "$work/one/results.json" steps)" = 900 ] || fail "results.json has other steps"
for key in seed simulations parameters held_out_loss train_seconds sample_seconds_an_observation; do
  figure "$work/one/results.json" $key >/dev/null
done

killed_at "$work/killed/training_state.safetensors" "${few[@]}" --threads 2 --output "$work/killed" --resume
[ ! -e "$work/killed/model.safetensors" ] || fail "a model was written before the kill"
succeeds "${few[@]}" --threads 1 --output "$work/killed" --resume
for file in model.safetensors samples_1.npy; do
  same "$work/one/$file" "$work/killed/$file"
done

# Another run's state is not taken over.
refuses "belongs to another run" "${few[@]}" --seed 2 --output "$work/killed" --resume
echo "all checks passed"
