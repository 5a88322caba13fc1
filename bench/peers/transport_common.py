# SPDX-License-Identifier: MIT
"""What transport_agreement.py and transport_speed.py share: threads, our program, objectives, versions.

Nothing here imports numpy before `pin` has run: libraries of threads read their settings when they are loaded."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile


def program_option(parser):
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--program", type=pathlib.Path, default=root / "build/release/bench/bench_transport_peer",
                        help="our solvers (default build/release/bench/bench_transport_peer)")


def _one_cpu_a_core():
    """The CPUs that this process may use, one of each core first."""
    allowed, first, others, seen = sorted(os.sched_getaffinity(0)), [], [], set()
    for cpu in allowed:
        topology = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = topology.read_text() if topology.exists() else str(cpu)
        (others if core in seen else first).append(cpu)
        seen.add(core)
    return first + others


def pin(threads):
    """The same CPUs, as many as threads, for this process and its children, whatever a library thinks of threads."""
    cpus = _one_cpu_a_core()
    if threads > len(cpus):
        sys.exit(f"{threads} threads on {len(cpus)} CPUs")
    os.sched_setaffinity(0, cpus[:threads])
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    # POT looks for these at import, which takes seconds, and compares with numpy here.
    for name in ("PYTORCH", "JAX", "TENSORFLOW", "CUPY"):
        os.environ[f"POT_BACKEND_DISABLE_{name}"] = "1"


def machine(threads):
    """Versions and the machine."""
    import numpy  # noqa: F401: its BLAS is what is asked for
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info
    blas = sorted({f"{p['internal_api']} {p.get('version')} {p.get('architecture', '')}".strip()
                   for p in threadpool_info() if p["user_api"] == "blas"})
    cpu = platform.processor()
    flags = set()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                cpu = value.strip()
            elif name.strip() == "flags":
                flags = set(value.split())
    widest = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "SSE2")
    versions = {name: importlib.metadata.version(name)
                for name in ("numpy", "scipy", "POT", "ott-jax", "jax", "geomloss", "torch")}
    return {"cpu": cpu, "widest_instruction_set": widest, "threads": threads, "blas": blas,
            "load": round(os.getloadavg()[0], 2), "python": platform.python_version(), **versions}


def print_machine(info, ours):
    print(f"{info['cpu']}, {info['threads']} threads, widest instructions {info['widest_instruction_set']}, "
          f"load {info['load']}")
    print(f"ours: {ours.get('instruction_set')}, GCC {ours.get('compiler')}; BLAS of numpy and scipy: "
          f"{'; '.join(info['blas'])}")
    print(", ".join(f"{name} {info[name]}" for name in
                    ("numpy", "scipy", "POT", "ott-jax", "jax", "geomloss", "torch")))


class Solution:
    """Figures as attributes, arrays by name."""

    def __init__(self, folder, figures):
        self.folder, self.__dict__["figures"] = folder, figures

    def __getattr__(self, name):
        try:
            return self.figures[name]
        except KeyError:
            raise AttributeError(name) from None

    def array(self, name):
        import numpy as np
        return np.load(self.folder / f"{self.figures['name']}.{name}.npy")


class Ours:
    """Runs our program on problems, all in one process."""

    def __init__(self, program, threads):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is missing: cmake --build --preset release --target bench_transport_peer, or "
                     "--program PROGRAM")
        self.program, self.threads, self.machine = program, threads, {}
        self._scratch = tempfile.TemporaryDirectory(prefix="transport_")
        self.folder = pathlib.Path(self._scratch.name)

    def save(self, name, precision, **arrays):
        """The arrays of a problem, for `data`."""
        import numpy as np
        for array_name, array in arrays.items():
            if array is not None:
                np.save(self.folder / f"{name}.{array_name}.npy",
                        np.ascontiguousarray(array, dtype={"float": np.float32, "double": np.float64}[precision]))

    def solve(self, precision, problems):
        """Solutions by name. A problem is a dictionary as bench/transport_peer.cpp wants it."""
        (self.folder / "params.json").write_text(json.dumps({"precision": precision, "problems": problems}))
        (self.folder / "results.json").unlink(missing_ok=True)
        code = subprocess.call([self.program, self.folder, "--threads", str(self.threads)])
        if code:
            sys.exit(f"{self.program} ended with {code}")
        results = json.loads((self.folder / "results.json").read_text())
        self.machine = results["machine"]
        return {figures["name"]: Solution(self.folder, figures) for figures in results["problems"]}


def squared_distances(x, y):
    """[n, m], by differences."""
    import numpy as np
    return np.square(x[:, None] - y[None]).sum(-1)


def kl(p, q):
    """sum p log(p / q) - p + q"""
    import numpy as np
    from scipy.special import xlogy
    return float(np.sum(xlogy(p, p) - xlogy(p, q) - p + q))


def entropic_value(plan, cost, a, b, epsilon, rho_a=float("inf"), rho_b=float("inf")):
    """The primal objective of docs/transport.md."""
    import numpy as np
    value = float(np.sum(plan * cost)) + epsilon * kl(plan, np.outer(a, b))
    for rho, have, want in ((rho_a, plan.sum(1), a), (rho_b, plan.sum(0), b)):
        if rho < float("inf"):
            value += rho * kl(have, want)
    return value


def round_to_marginals(plan, a, b):
    """A plan of exactly these marginals nearby (Altschuler, Weed, Rigollet 2017): none gains by missing them."""
    import numpy as np
    plan = np.maximum(plan, 0)
    plan = plan * np.minimum(1, a / np.maximum(plan.sum(1), 1e-300))[:, None]
    plan = plan * np.minimum(1, b / np.maximum(plan.sum(0), 1e-300))[None]
    rest_a, rest_b = np.maximum(a - plan.sum(1), 0), np.maximum(b - plan.sum(0), 0)
    return plan + np.outer(rest_a, rest_b) / rest_a.sum() if rest_a.sum() > 1e-16 else plan


def distortion(plan, cost_x, cost_y):
    """sum_ijkl (X_ik - Y_jl)^2 P_ij P_kl for symmetric X and Y."""
    import numpy as np
    rows, columns = plan.sum(1), plan.sum(0)
    return float(rows @ np.square(cost_x) @ rows + columns @ np.square(cost_y) @ columns
                 - 2 * np.sum((cost_x @ plan @ cost_y) * plan))


def residual(plan, a, b):
    """The larger one of the l1 errors of both marginals, relative to the mass: relaxed updates leave some in both."""
    import numpy as np
    return float(max(np.abs(plan.sum(1) - a).sum(), np.abs(plan.sum(0) - b).sum())) / float(a.sum())
