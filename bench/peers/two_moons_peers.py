#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The estimators of the sbi toolbox on two moons: seconds to train, seconds to draw the samples, and both C2STs against
the reference samples of sbibm, all at sbi's defaults. Prints one line of JSON an observation and writes all of them,
and the samples as .npy, into --output. Needs setup.sh --all."""

import argparse
import contextlib
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
from sbi.inference import FMPE, NPE, NPSE
from sbi.utils import BoxUniform

from c2st import c2st

METHODS = {
    "npse_ve": lambda prior: NPSE(prior, sde_type="ve"),
    "npse_vp": lambda prior: NPSE(prior, sde_type="vp"),
    "npe": NPE,
    "fmpe": FMPE,
}


def two_moons(theta):
    """Simulator of Lueckmann et al. (2021), task T.8; theta is [n, 2]."""
    n = len(theta)
    r, a = 0.1 + 0.01 * torch.randn(n), math.pi * (torch.rand(n) - 0.5)
    crescent = torch.stack([r * a.cos() + 0.25, r * a.sin()], 1)
    total, difference = theta.sum(1), theta[:, 1] - theta[:, 0]
    return crescent + torch.stack([-total.abs(), difference], 1) / math.sqrt(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path,
                        help="folder with two_moons/observation_K/{observation,reference_posterior}.npy")
    parser.add_argument("--output", required=True, type=pathlib.Path, help="folder for results.json and samples")
    parser.add_argument("--methods", default="npse_ve,npe", help=f"of {','.join(METHODS)} (default npse_ve,npe)")
    parser.add_argument("--observations", default="1,2,3", help="which observations (default 1,2,3)")
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    unknown = set(args.methods.split(",")) - set(METHODS)
    if unknown:
        sys.exit(f"two_moons_peers: unknown methods {sorted(unknown)}; want some of {sorted(METHODS)}")

    torch.set_num_threads(args.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    results = []
    for method in args.methods.split(","):
        torch.manual_seed(args.seed)
        np.random.seed(args.seed)
        prior = BoxUniform(-torch.ones(2), torch.ones(2))
        theta = prior.sample((args.simulations,))
        x = two_moons(theta)
        start = time.perf_counter()
        inference = METHODS[method](prior)
        with contextlib.redirect_stdout(sys.stderr):  # sbi prints its progress there; ours is JSON
            inference.append_simulations(theta, x).train()
        posterior = inference.build_posterior()
        train_seconds = time.perf_counter() - start
        for observation in map(int, args.observations.split(",")):
            folder = args.data / "two_moons" / f"observation_{observation}"
            observed = torch.tensor(np.load(folder / "observation.npy"), dtype=torch.float32).reshape(1, 2)
            reference = np.load(folder / "reference_posterior.npy")
            start = time.perf_counter()
            samples = posterior.sample((args.samples,), x=observed, show_progress_bars=False)
            sample_seconds = time.perf_counter() - start
            samples = samples.detach().reshape(args.samples, 2).numpy()
            np.save(args.output / f"{method}_observation_{observation}.npy", samples)
            results.append({
                "task": "two_moons", "method": f"sbi_{method}", "observation": observation,
                "simulations": args.simulations, "samples": args.samples, "threads": args.threads, "seed": args.seed,
                "epochs": len(inference.summary["training_loss"]), "train_seconds": round(train_seconds, 1),
                "sample_seconds": round(sample_seconds, 2),
                "c2st_rf": round(c2st(reference, samples, "rf", args.seed, args.threads), 4),
                "c2st_mlp": round(c2st(reference, samples, "mlp", args.seed, args.threads), 4),
            })
            print(json.dumps(results[-1]), flush=True)
            (args.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
