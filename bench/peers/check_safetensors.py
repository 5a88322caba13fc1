#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a checkpoint with the safetensors package, as a Python user would, and describes it in one line of JSON: each
tensor's shape, type, sum and greatest magnitude, and the metadata, whose JSON values are parsed. Fails where the
package cannot read the file or a tensor holds NaN. Infinities are allowed in `standardisation` alone, which has the
bounds of unbounded nodes."""

import argparse
import json
import sys

import numpy as np
from safetensors import SafetensorError, safe_open


def parsed(value):
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def describe(path):
    tensors = {}
    with safe_open(path, framework="numpy") as file:
        for name in sorted(file.keys()):
            values = file.get_tensor(name)
            finite = np.isfinite(values)
            if np.isnan(values).any() or not (finite.all() or name == "standardisation"):
                raise ValueError(f"tensor {name!r} holds values that are not finite")
            wide = values[finite].astype(np.float64)
            tensors[name] = {"shape": list(values.shape), "type": str(values.dtype), "sum": float(wide.sum()),
                             "max": float(np.abs(wide).max(initial=0))}
        metadata = {key: parsed(value) for key, value in (file.metadata() or {}).items()}
    return {"file": path, "tensors": tensors, "metadata": metadata}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help=".safetensors file")
    args = parser.parse_args()
    try:
        print(json.dumps(describe(args.checkpoint)))
    except (OSError, SafetensorError, ValueError) as error:
        sys.exit(f"check_safetensors: {args.checkpoint}: {error}")


if __name__ == "__main__":
    main()
