#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/checks.sh"
common_checks
refuses "steps = 0" --steps 0 --output "$work/refused"

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

"$program" "${few[@]}" --threads 2 --output "$work/killed" --resume 2>"$work/err" >"$work/out" &
pid=$!
for _ in $(seq 6000); do
  [ -e "$work/killed/training_state.safetensors" ] && break
  kill -0 $pid 2>/dev/null || fail "the run ended without a training state: $(cat "$work/err")"
  sleep 0.05
done
kill -9 $pid
wait $pid 2>/dev/null
[ $? -eq 137 ] || fail "the run was over before it was killed"
[ ! -e "$work/killed/model.safetensors" ] || fail "a model was written before the kill"
succeeds "${few[@]}" --threads 1 --output "$work/killed" --resume
for file in model.safetensors samples_1.npy; do
  same "$work/one/$file" "$work/killed/$file"
done

# Another run's state is not taken over.
refuses "belongs to another run" "${few[@]}" --seed 2 --output "$work/killed" --resume
echo "all checks passed"
