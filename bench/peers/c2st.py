#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Classifier two-sample test: can a classifier tell two sets of samples apart? 0.5 no, 1 always.

Both sets are z-scored by the reference, then 5-fold cross-validated accuracy (folds shuffled with --seed) of
  rf   a random forest with scikit-learn's defaults: what Simformer, sbi and GenSBI report;
  mlp  two hidden layers of 10 units a dimension, ReLU, Adam: what sbibm (Lueckmann et al. 2021) reports.
The two numbers are not comparable with each other. Reads two .npy files of [n, d] and writes one line of JSON. The
longer set is cut to the length of the shorter, so that the classes are balanced."""

import argparse
import json
import os
import sys

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier


def classifier(name, dimension, seed, jobs):
    if name == "rf":
        return RandomForestClassifier(random_state=seed, n_jobs=jobs)
    if name == "mlp":
        return MLPClassifier(hidden_layer_sizes=(10 * dimension, 10 * dimension), activation="relu", solver="adam",
                             max_iter=1000, random_state=seed)
    raise ValueError(f"classifier {name!r}; want rf or mlp")


def c2st(reference, samples, name, seed=1, jobs=1):
    """Mean cross-validated accuracy on reference [n, d] against samples [m, d]."""
    if reference.ndim != 2 or samples.ndim != 2 or reference.shape[1] != samples.shape[1]:
        raise ValueError(f"reference is {reference.shape}, samples are {samples.shape}; want [n, d] and [m, d]")
    if not (np.isfinite(reference).all() and np.isfinite(samples).all()):
        raise ValueError("samples hold values that are not finite")
    n = min(len(reference), len(samples))
    mean, sd = reference.mean(0), reference.std(0)
    if not (sd > 0).all():
        raise ValueError("a column of the reference is constant")
    x = (np.concatenate([reference[:n], samples[:n]]) - mean) / sd
    label = np.repeat([0, 1], n)
    folds = KFold(n_splits=5, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier(name, x.shape[1], seed, jobs), x, label, cv=folds).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", help=".npy of [n, d]: samples of the exact posterior")
    parser.add_argument("samples", help=".npy of [m, d]: samples to judge")
    parser.add_argument("--classifiers", default="rf,mlp", help="comma-separated, of rf and mlp (default both)")
    parser.add_argument("--seed", type=int, default=1, help="seed of folds and classifiers (default 1)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the forest (default all)")
    args = parser.parse_args()
    try:
        reference, samples = np.load(args.reference), np.load(args.samples)
        scores = {name: c2st(reference, samples, name, args.seed, args.threads) for name in args.classifiers.split(",")}
    except (OSError, ValueError) as error:
        sys.exit(f"c2st: {error}")
    n = min(len(reference), len(samples))
    print(json.dumps({f"c2st_{name}": round(score, 4) for name, score in scores.items()} | {"n": n, "seed": args.seed}))


if __name__ == "__main__":
    main()
