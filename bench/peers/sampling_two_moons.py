#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seconds for 10 000 posterior samples of two moons, and their C2ST (random forest) against as many exact ones, means of
three observations: our model of examples/01_two_moons by several solvers and numbers of steps, and NPSE of the sbi
package at its defaults, on as many threads. Prints a table in Markdown. Needs setup.sh --all, a release build and a
trained model: build/release/examples/01_two_moons, which leaves it in out/01_two_moons."""

import argparse
import contextlib
import importlib.metadata
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from transport_common import pin

ROOT = pathlib.Path(__file__).resolve().parents[2]
OBSERVATIONS = [(-0.6396706, 0.16234657), (-0.5676688, -0.33194834), (0.00301096, -0.6457662)]  # of the example
SOLVERS = "euler:500,dpm:500,heun:40,heun:10,dpm:20:10,dpm:15"


def ours(args, score):
    """Rows by solver."""
    with tempfile.TemporaryDirectory(prefix="sampling_") as folder:
        folder = pathlib.Path(folder)
        command = [args.program, args.model / "model.safetensors", folder, "--solvers", args.solvers, "--samples",
                   args.samples, "--threads", args.threads,
                   "--observed=" + ",".join(str(v) for x in OBSERVATIONS for v in x)]
        if code := subprocess.call(list(map(str, command))):
            sys.exit(f"{args.program} ended with {code}")
        results = json.loads((folder / "results.json").read_text())
        rows = []
        for name, figures in results["solvers"].items():
            rows.append({"method": f"sbi (C++), {name}", **figures, "c2st": score(lambda k: folder / f"{name}_{k}.npy")})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        return results["instruction_set"], rows


def npse(args, score):
    """The row of the sbi package."""
    import numpy as np
    import torch
    from sbi.inference import NPSE
    from sbi.utils import BoxUniform
    from two_moons_peers import two_moons
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    prior = BoxUniform(-torch.ones(2), torch.ones(2))
    theta = prior.sample((10_000,))
    inference = NPSE(prior)
    begin = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):  # its progress
        inference.append_simulations(theta, two_moons(theta)).train(
            **({"max_num_epochs": args.epochs} if args.epochs else {}))
    trained = time.perf_counter() - begin
    posterior = inference.build_posterior()
    seconds = []
    with tempfile.TemporaryDirectory(prefix="sampling_") as folder:
        for k, x in enumerate(OBSERVATIONS, 1):
            begin = time.perf_counter()
            samples = posterior.sample((args.samples,), x=torch.tensor([x]), show_progress_bars=False)
            seconds.append(time.perf_counter() - begin)
            np.save(f"{folder}/{k}.npy", samples.detach().reshape(args.samples, 2).numpy())
        c2st = None if args.epochs else score(lambda k: f"{folder}/{k}.npy")
    return {"method": f"NPSE of sbi {importlib.metadata.version('sbi')}", "seconds": sorted(seconds)[len(seconds) // 2],
            "evaluations": 500, "c2st": c2st, "train_seconds": trained}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bench/bench_sampling_peer")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "out/01_two_moons",
                        help="output folder of the example (default out/01_two_moons)")
    parser.add_argument("--solvers", default=SOLVERS, help="of ours, NAME:STEPS[:RHO] (default %(default)s)")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="of NPSE, when only its speed is wanted (default its own stop)")
    parser.add_argument("--ours-alone", action="store_true", help="without the sbi package")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write all figures there")
    args = parser.parse_args()
    for file in (args.program, args.model / "model.safetensors"):
        if not file.exists():
            sys.exit(f"{file} is missing: cmake --build --preset release, then build/release/examples/01_two_moons")
    pin(args.threads)
    import numpy as np
    from c2st import c2st

    def score(file):
        return float(np.mean([c2st(np.load(args.model / f"exact_{k}.npy"), np.load(file(k)), "rf", 1, args.threads)
                              for k in (1, 2, 3)]))
    instruction_set, rows = ours(args, score)
    if not args.ours_alone:
        rows.append(npse(args, score))
    if args.json:
        args.json.write_text(json.dumps({"instruction_set": instruction_set, "threads": args.threads,
                                         "samples": args.samples, "rows": rows}, indent=1) + "\n")
    print(f"ours: {instruction_set}; {args.threads} threads, {args.samples} samples\n")
    print("| | passes | seconds | C2ST |" + " of NPSE's time |" * (not args.ours_alone))
    print("|---|--:|--:|--:|" + "--:|" * (not args.ours_alone))
    for row in rows:
        line = f"| {row['method']} | {row['evaluations']} | {row['seconds']:.3g} | "
        line += f"{row['c2st']:.3f} |" if row["c2st"] else "- |"
        print(line + (f" 1/{rows[-1]['seconds'] / row['seconds']:.0f} |" if not args.ours_alone else ""))


if __name__ == "__main__":
    main()
