#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One training step of a transformer in PyTorch on the CPU: forward, backward and AdamW, the work of the bare steps of
bench/train_step.bench.cpp. Float32, four pre-norm layers with fused attention under an additive mask a row, tanh-GELU, a
projection to 16 outputs, mean square, fused AdamW. Modes: eager, compile (torch.compile) and autotune (its
max-autotune-no-cudagraphs). Prints a line of JSON a case and mode. Needs setup.sh --all."""

import argparse
import json
import re
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

LAYERS, OUTPUTS = 4, 16
# batch, tokens, width: heads, MLP factor
CASES = {"256x16x32": (2, 2), "512x32x64": (4, 4), "1024x32x64": (4, 4), "256x64x128": (8, 4), "300x13x50": (5, 4),
         "128x70x96": (4, 4)}
COMPILE = {"eager": None, "compile": "default", "autotune": "max-autotune-no-cudagraphs"}


class Block(nn.Module):
    def __init__(self, width, heads, mlp_factor):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, mlp_factor * width), nn.Linear(mlp_factor * width, width)

    def forward(self, x, mask):
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Transformer(nn.Module):
    """Ends in a normalisation, as ours."""

    def __init__(self, width, heads, mlp_factor):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, mlp_factor) for _ in range(LAYERS))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, OUTPUTS)

    def forward(self, x, mask):
        for block in self.blocks:
            x = block(x, mask)
        return self.out(self.norm(x))


class TrainingStep:
    def __init__(self, case, mode):
        torch.manual_seed(2)
        batch, tokens, width = map(int, case.split("x"))
        network = Transformer(width, *CASES[case])
        self.optimiser = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
        self.x = torch.randn(batch, tokens, width)
        forbidden = torch.rand(batch, 1, tokens, tokens) < 0.3
        forbidden[..., 0] = False
        self.mask = torch.zeros(forbidden.shape).masked_fill(forbidden, float("-inf"))
        self.network = network if mode == "eager" else torch.compile(network, mode=COMPILE[mode], dynamic=False)

    def __call__(self):
        self.optimiser.zero_grad(set_to_none=True)
        self.network(self.x, self.mask).square().mean().backward()
        self.optimiser.step()


def measure(work, seconds, least=5):
    """Milliseconds of calls, at least so many."""
    work()  # reserves memory, compiles
    work()
    times, end = [], time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begin))
    return {"median_ms": statistics.median(times), "best_ms": min(times)}


def versions():
    """What PyTorch is built on, and the instructions that its parts choose here."""
    from threadpoolctl import threadpool_info
    config = torch.__config__.show()

    def found(pattern):
        match = re.search(pattern, config)
        return match.group(1) if match else None
    return {"torch": torch.__version__, "mkl": found(r"Math Kernel Library Version ([\d.]+)"),
            "onednn": found(r"(?:MKL-DNN|oneDNN) v([\d.]+)"), "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "blas": sorted({f"{p['internal_api']} {p.get('version')} {p.get('architecture', '')}".strip()
                            for p in threadpool_info() if p["user_api"] == "blas"})}


def serve(build):
    """Says what it is in a line, then measures what lines of JSON {case, mode, seconds} ask for. What
    `build(case, mode)` gave is kept."""
    print(json.dumps(versions()), flush=True)
    built = {}
    for line in sys.stdin:
        want = json.loads(line)
        key = want["case"], want["mode"]
        if key not in built:
            built[key] = build(*key)
        print(json.dumps(measure(built[key], want["seconds"])), flush=True)


def run(description, build, cases, threads):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=";".join(cases), help="separated by semicolons (default all)")
    parser.add_argument("--modes", default="eager,compile", help=f"of {','.join(COMPILE)} (default eager,compile)")
    parser.add_argument("--threads", type=int, default=threads, help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=1, help="of calls a case and mode (default 1)")
    parser.add_argument("--serve", action="store_true",
                        help="read lines of {case, mode, seconds} from standard input instead, for bench/report")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.serve:
        return serve(build)
    names, modes = args.cases.split(";"), args.modes.split(",")
    for given, known in ((names, cases), (modes, COMPILE)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown {sorted(unknown)}; want some of {list(known)}")
    for case in names:
        for mode in modes:
            print(json.dumps({"case": case, "mode": mode, "threads": args.threads}
                             | measure(build(case, mode), args.seconds)), flush=True)


if __name__ == "__main__":
    run(__doc__, TrainingStep, CASES, 2)
