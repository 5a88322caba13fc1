#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Entropic transport on a GPU with torch, OTT-JAX, GeomLoss and KeOps, for the clouds and epsilons of
sinkhorn_cuda.bench.cpp: float, |x - y|^2, epsilon a twentieth of the mean cost. Prints lines of JSON in the form of
that program, then tables of both if --ours names its output, with --markdown in Markdown. Each tool runs in a process of
its own: one that is missing, crashes, runs out of memory or of its time (--seconds) says so in its line and costs the
others nothing.

iteration   ms a round of both potentials, (time of 60 rounds - time of 10) / 50, points on the device
solve       ms to an l1 error of the rows of 1e-4, looked at every ten rounds, from nothing, without a schedule unless
            the tool has one
divergence  ms of value and gradient by the points of both clouds, from nothing"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import threading
import time
from importlib import metadata

SEED, TOLERANCE, FRACTION = 3, 1e-4, 0.05
results = []


def say(tool, what, n, d, **numbers):
    line = {"tool": tool, "type": "float", "what": what, "n": n, "d": d, **numbers}
    results.append(line)
    print(json.dumps(line), flush=True)


def median_ms(call, runs, wait):
    call()  # compiles
    wait()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        call()
        wait()
        times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times)


def guarded(tool, what, n, d, run):
    """Runs one measurement; a failure is a line too."""
    try:
        say(tool, what, n, d, **run())
    except Exception as error:  # noqa: BLE001: whatever a foreign tool throws
        text = str(error)
        reason = "out of memory" if "out of memory" in text.lower() or "RESOURCE_EXHAUSTED" in text else text[:160]
        say(tool, what, n, d, failed=f"{type(error).__name__}: {reason}")


def clouds(n, d):
    import numpy as np
    rng = np.random.default_rng(SEED)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n, d)) + 0.5
    return x.astype(np.float32), y.astype(np.float32), FRACTION * 2.25 * d


def of_rounds(run, runs, wait, n):
    slow, fast = median_ms(lambda: run(60), runs, wait), median_ms(lambda: run(10), runs, wait)
    ms = (slow - fast) / 50
    return {"ms": ms, "Gpair/s": 2 * n * n / ms * 1e-6}


# torch: dense costs, torch.logsumexp ---------------------------------------------------------------------------------
def torch_tools():
    import torch
    torch.backends.cuda.matmul.allow_tf32 = False

    def costs(x, y):
        return ((x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T).clamp_min_(0)

    def softmin(cost, g, log_b, eps):
        return -eps * torch.logsumexp((g - cost) / eps + log_b, dim=1)

    def solver(half):
        def potentials(cost, cost_t, eps, rounds, tolerance=None):
            n, m = cost.shape
            log_a, log_b = -math.log(n), -math.log(m)
            f, g = cost.new_zeros(n), cost.new_zeros(m)
            for r in range(rounds):
                g = half(cost_t, f, log_a, eps)
                after = half(cost, g, log_b, eps)
                if tolerance and r % 10 == 9:
                    error = (((f - after) / eps).exp() - 1).abs().mean().item()
                    if error <= tolerance:
                        return f, g, r + 1
                f = after
            return f, g, rounds
        return potentials

    plain = solver(softmin)
    compiled = solver(torch.compile(softmin, dynamic=False))
    return torch, costs, {"torch": plain, "torch.compile": compiled}


def run_torch(cases, divergences):
    try:
        torch, costs, solvers = torch_tools()
    except ImportError as error:
        return say("torch", "iteration", 0, 0, failed=str(error))
    wait = torch.cuda.synchronize
    for tool, potentials in solvers.items():
        for n, d in cases:
            runs = 1 if n > 20_000 else 9
            torch._dynamo.reset()  # it compiles for one epsilon and one size, and no more than eight times

            def iteration():
                x, y, eps = clouds(n, d)
                x, y = torch.tensor(x, device="cuda"), torch.tensor(y, device="cuda")
                cost = costs(x, y)
                return of_rounds(lambda r: potentials(cost, cost.T.contiguous(), eps, r), runs, wait, n)

            def solve():
                x, y, eps = clouds(n, d)
                x, y = torch.tensor(x, device="cuda"), torch.tensor(y, device="cuda")
                rounds = 0

                def call():
                    nonlocal rounds
                    cost = costs(x, y)
                    rounds = potentials(cost, cost.T.contiguous(), eps, 2000, TOLERANCE)[2]
                return {"ms": median_ms(call, runs, wait), "iterations": rounds}

            guarded(tool, "iteration", n, d, iteration)
            if n <= 20_000:
                guarded(tool, "solve", n, d, solve)
            torch.cuda.empty_cache()

        def gradient(n, d):
            x, y, eps = clouds(n, d)
            x, y = torch.tensor(x, device="cuda"), torch.tensor(y, device="cuda")
            rounds = 0

            def transport(u, v):
                nonlocal rounds
                u, v = u.detach(), v.detach()
                cost = costs(u, v)
                f, g, used = potentials(cost, cost.T.contiguous(), eps, 2000, TOLERANCE)
                rounds += used
                plan = ((f[:, None] + g[None] - cost) / eps).exp() / cost.numel()
                du = 2 * (plan.sum(1)[:, None] * u - plan @ v)
                dv = 2 * (plan.sum(0)[:, None] * v - plan.T @ u)
                return f.mean() + g.mean(), du, dv

            def call():
                nonlocal rounds
                rounds = 0
                ab, dx, dy = transport(x, y)
                aa, du, dv = transport(x, x)
                bb, dw, dz = transport(y, y)
                call.value = (ab - (aa + bb) / 2).item()
                return dx - (du + dv) / 2, dy - (dw + dz) / 2
            ms = median_ms(call, 5, wait)
            return {"ms": ms, "iterations": rounds, "value": call.value}

        for n, d in divergences:
            torch._dynamo.reset()
            guarded(tool, "divergence", n, d, lambda: gradient(n, d))
            torch.cuda.empty_cache()


# OTT-JAX --------------------------------------------------------------------------------------------------------------
def run_ott(cases, divergences):
    import os
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        import jax
        jax.config.update("jax_default_matmul_precision", "highest")  # no TF32
        from ott.geometry import pointcloud
        from ott.problems.linear import linear_problem
        from ott.solvers.linear import sinkhorn
        from ott.tools import sinkhorn_divergence
    except Exception as error:  # noqa: BLE001
        return say("ott", "iteration", 0, 0, failed=f"{type(error).__name__}: {str(error)[:200]}")

    def solver(n, eps, **options):
        batch = None if n <= 20_000 else 1024

        @jax.jit
        def solve(x, y):
            geometry = pointcloud.PointCloud(x, y, epsilon=eps, batch_size=batch)
            out = sinkhorn.Sinkhorn(**options)(linear_problem.LinearProblem(geometry))
            return out.f, out.g, out.n_iters
        return solve

    def wait():
        pass

    for n, d in cases:
        runs = 1 if n > 20_000 else 9
        x, y, eps = clouds(n, d)
        x, y = jax.device_put(x), jax.device_put(y)

        def iteration():
            made = {r: solver(n, eps, threshold=-1.0, min_iterations=r, max_iterations=r, inner_iterations=10)
                    for r in (10, 60)}
            return of_rounds(lambda r: jax.block_until_ready(made[r](x, y)), runs, wait, n)

        def solve():
            made = solver(n, eps, threshold=TOLERANCE)
            ms = median_ms(lambda: jax.block_until_ready(made(x, y)), runs, wait)
            return {"ms": ms, "iterations": int(made(x, y)[2])}

        guarded("ott", "iteration", n, d, iteration)
        if n <= 20_000:
            guarded("ott", "solve", n, d, solve)

    for n, d in divergences:
        def divergence():
            x, y, eps = clouds(n, d)
            x, y = jax.device_put(x), jax.device_put(y)

            def value(u, v):
                return sinkhorn_divergence.sinkdiv(u, v, epsilon=eps, solve_kwargs={"threshold": TOLERANCE})[0]
            slope = jax.jit(jax.value_and_grad(value, argnums=(0, 1)))
            ms = median_ms(lambda: jax.block_until_ready(slope(x, y)), 5, wait)
            return {"ms": ms, "value": float(slope(x, y)[0])}
        guarded("ott", "divergence", n, d, divergence)


# GeomLoss and KeOps -----------------------------------------------------------------------------------------------------
def run_geomloss(divergences, backend):
    try:
        import torch
        from geomloss import SamplesLoss
    except Exception as error:  # noqa: BLE001
        return say("geomloss", "divergence", 0, 0, failed=f"{type(error).__name__}: {str(error)[:200]}")
    wait = torch.cuda.synchronize

    def gradient(n, d):
        x, y, eps = clouds(n, d)
        x = torch.tensor(x, device="cuda", requires_grad=True)
        y = torch.tensor(y, device="cuda", requires_grad=True)
        loss = SamplesLoss("sinkhorn", p=2, blur=math.sqrt(eps / 2), scaling=0.5, backend=backend)

        def call():
            value = loss(x, y)
            torch.autograd.grad(value, [x, y])
            call.value = 2 * value.item()
        return {"ms": median_ms(call, 3, wait), "value": call.value}

    for n, d in divergences:
        guarded(f"geomloss {backend}", "divergence", n, d, lambda: gradient(n, d))
        torch.cuda.empty_cache()


def run_keops(cases):
    try:
        import torch
        from pykeops.torch import LazyTensor
    except Exception as error:  # noqa: BLE001
        return say("keops", "iteration", 0, 0, failed=f"{type(error).__name__}: {str(error)[:200]}")
    wait = torch.cuda.synchronize

    def iteration(n, d):
        x, y, eps = clouds(n, d)
        x, y = torch.tensor(x, device="cuda"), torch.tensor(y, device="cuda")

        def half(u, v, g):
            cost = ((LazyTensor(u[:, None, :]) - LazyTensor(v[None, :, :])) ** 2).sum(-1)
            bias = LazyTensor(((g / eps) - math.log(n))[None, :, None])
            return -eps * (bias - cost / eps).logsumexp(dim=1).view(-1)

        def run(rounds):
            f = torch.zeros(n, device="cuda")
            for _ in range(rounds):
                g = half(y, x, f)
                f = half(x, y, g)
        return of_rounds(run, 1 if n > 20_000 else 5, wait, n)

    for n, d in cases:
        guarded("keops", "iteration", n, d, lambda: iteration(n, d))
        if results[-1].get("failed"):
            break


TOOLS = {"torch": run_torch, "ott": run_ott, "geomloss": lambda c, d: run_geomloss(d, "tensorized"),
         "keops": lambda c, d: run_keops(c), "geomloss-online": lambda c, d: run_geomloss(d, "online")}


def in_child(tool, most, seconds):
    """Runs this program for one tool and keeps its lines, whatever becomes of it."""
    command = [sys.executable, __file__, "--child", tool, "--most", str(most)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    late = threading.Event()
    timer = threading.Timer(seconds, lambda: (late.set(), child.kill()))
    timer.start()
    for line in child.stdout:
        if line.startswith("{"):
            results.append(json.loads(line))
            print(line, end="", flush=True)
    status = child.wait()
    timer.cancel()
    if late.is_set():
        say(tool, "end", 0, 0, failed=f"stopped after {seconds} s")
    elif status:
        say(tool, "end", 0, 0, failed=f"its process ended with {'signal ' if status < 0 else ''}{abs(status)}")


def versions():
    found = []
    for package in ("torch", "jax", "ott-jax", "geomloss", "pykeops"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            pass
    return ", ".join(found)


def device():
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown device"


def cell(row):
    if "failed" not in row:
        return f"{row['ms']:.3g}"
    return "no memory" if "out of memory" in row["failed"] else "failed"


def table(rows, markdown):
    print(f"\n{device()}; float; {versions()}")
    kinds = [("iteration", "ms a round"), ("solve", "ms to 1e-4"), ("divergence", "ms with gradients")]
    for what, title in kinds:
        picked = [r for r in rows if r.get("what") == what and r["type"] == "float" and r["n"]]
        tools = list(dict.fromkeys(r["tool"] for r in picked))
        lines = [["n", "d", *tools]]
        for n, d in sorted({(r["n"], r["d"]) for r in picked}):
            cells = {r["tool"]: cell(r) for r in picked if (r["n"], r["d"]) == (n, d)}
            lines.append([str(n), str(d), *(cells.get(t, "-") for t in tools)])
        if markdown:
            lines.insert(1, ["--:"] * len(lines[0]))
        print(f"\n{title}\n")
        for line in lines:
            print("| " + " | ".join(line) + " |" if markdown else "".join(f"{c:>15}" for c in line))
    failures = {(r["tool"], r["failed"]) for r in rows if "failed" in r}
    if failures:
        print("\nfailures\n")
    for tool, failed in sorted(failures):
        sizes = [f"{r['what']} n={r['n']} d={r['d']}" for r in rows
                 if r.get("failed") == failed and r["tool"] == tool and r["n"]]
        print(f"- {tool}: {failed}" + (f" ({', '.join(sizes)})" if sizes else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", help="output of bench_sinkhorn_cuda, for the tables")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--most", type=int, default=100_000, help="largest n (default 100000)")
    parser.add_argument("--seconds", type=float, default=100, help="the most a tool may take (default 100)")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    parser.add_argument("--table", help="only print the tables of these lines, an earlier output")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    for tool in args.tools.split(","):
        if tool not in TOOLS:
            parser.error(f"no tool '{tool}'; want some of {', '.join(TOOLS)}")
    if args.child:
        cases = [(n, d) for n in (1024, 4096, 10_000, 100_000) for d in (3, 6, 64) if n <= args.most]
        return TOOLS[args.child](cases, [(n, 64) for n in (1024, 4096) if n <= args.most])

    def lines_of(path):
        with open(path, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.startswith("{") and '"what"' in line]
    rows = lines_of(args.ours) if args.ours else []
    if args.table:
        rows += lines_of(args.table)
    else:
        for tool in args.tools.split(","):
            in_child(tool, args.most, args.seconds)
    table(rows + results, args.markdown)


if __name__ == "__main__":
    main()
