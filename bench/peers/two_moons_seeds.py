#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/01_two_moons over several training seeds: the C2ST of its samples against as many exact ones for each
observation, and the seconds of the whole job (10 000 simulations, training, 3 x 10 000 samples, pictures). Prints a line a
seed, then the means and the worst of the seeds, and writes results.json into --output. Needs setup.sh and a release
build."""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

from c2st import c2st

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/examples/01_two_moons")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "out/two_moons_seeds")
    parser.add_argument("--seeds", default="1,2,3", help="training seeds (default 1,2,3)")
    parser.add_argument("--classifiers", default="rf", help="comma-separated, of rf and mlp (default rf)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    runs = []
    for seed in map(int, args.seeds.split(",")):
        folder = args.output / f"seed_{seed}"
        begin = time.perf_counter()
        subprocess.run([args.program, "--seed", str(seed), "--threads", str(args.threads), "--output", folder],
                       check=True, stdout=sys.stderr)
        seconds = time.perf_counter() - begin
        figures = json.loads((folder / "results.json").read_text())
        run = {"seed": seed, "job_seconds": round(seconds, 1), "train_seconds": round(figures["train_seconds"], 1),
               "sample_seconds_an_observation": round(figures["sample_seconds_an_observation"], 2)}
        for name in args.classifiers.split(","):
            run[f"c2st_{name}"] = [
                round(c2st(np.load(folder / f"exact_{k}.npy"), np.load(folder / f"samples_{k}.npy"), name, 1,
                           args.threads), 4) for k in (1, 2, 3)]
        runs.append(run)
        print(json.dumps(run), flush=True)
    names = [f"c2st_{name}" for name in args.classifiers.split(",")]
    summary = {which: {"job_seconds": round(float(f([r["job_seconds"] for r in runs])), 1),
                       **{name: round(float(f([np.mean(r[name]) for r in runs])), 4) for name in names}}
               for which, f in (("mean", np.mean), ("worst seed", np.max))}
    print(json.dumps(summary))
    (args.output / "results.json").write_text(json.dumps({"runs": runs, **summary}, indent=1) + "\n")


if __name__ == "__main__":
    main()
