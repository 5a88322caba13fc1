#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times of our transport solvers and of POT, OTT, GeomLoss and scipy, in turns on the same CPUs, and the memory that
ours need. Every mode is run once before it is timed (compilation, caches); a time is the median over rounds in which
all take turns. Of several modes of a side the fastest counts that fulfils the case's condition; --json has all of
them. Needs setup.sh --transport and a machine that does nothing else."""

import argparse
import json
import math
import statistics
import sys
import time

import transport_common as common

TOLERANCE = 1e-4  # l1 marginal error of cases that run to one


class Contest:
    """One case: modes of ours, which are problems for our program, and modes of peers, which are functions."""

    def __init__(self, session, name):
        self.session, self.name = session, name
        self.ours, self.peers, self.notes, self.times, self.first = {}, {}, {}, {}, {}
        self.precision, self.targets = "float", {}
        self.longest = session.longest  # seconds; a mode that takes longer is run once
        self.near = 3  # slower than this times the side's fastest a mode is run once: it cannot become that

    def add_ours(self, mode, solver, data, options):
        self.ours[mode] = {"name": "p", "solver": solver, "data": data, "options": options}

    def add_peer(self, peer, mode, run, check=None, target=None):
        """`run()` returns what `check(result)` turns into (whether the condition holds, what to note)."""
        self.peers[peer, mode] = (run, check)
        if target:
            self.targets[peer] = target

    def _time_ours(self, mode, repeats):
        figures = self.session.ours.solve(self.precision, [{**self.ours[mode], "repeats": repeats}])["p"].figures
        self.notes["ours", mode] = {key: value for key, value in figures.items() if key not in ("name", "solver")}
        return figures["seconds"]

    def _first(self):
        """One run of everything: which modes hold what they promise, and how often they can be run."""
        for mode in self.ours:
            self.first["ours", mode] = self._time_ours(mode, 1)
        for key, (run, check) in self.peers.items():
            for _ in range(2):  # the first may compile, which no run of this length is about
                start = time.perf_counter()
                result = run()
                self.first[key] = time.perf_counter() - start
                if self.first[key] > self.longest:
                    break
            holds, self.notes[key] = check(result) if check else (True, {})
            if not holds:
                print(f"  {self.name}: {' '.join(key)} is left out: {self.notes[key]}", file=sys.stderr, flush=True)
                del self.first[key]

    def run(self):
        print(self.name, file=sys.stderr, flush=True)
        self._first()
        best = {}
        for (side, _), seconds in self.first.items():
            best[side] = min(seconds, best.get(side, math.inf))
        for key, seconds in self.first.items():
            slow = seconds > self.near * best[key[0]]
            long = seconds > self.longest
            self.times[key] = [seconds] if slow or long else []
        for _ in range(self.session.rounds):
            for key, times in self.times.items():
                if times and times[0] == self.first[key]:
                    continue
                seconds = max(self.first[key], 1e-5)
                repeats = max(1, min(self.session.repeats, int(self.session.share / seconds)))
                if key[0] == "ours":
                    times.append(self._time_ours(key[1], repeats + 1 if repeats > 1 else 1))
                else:
                    run = self.peers[key][0]
                    for _ in range(repeats):
                        start = time.perf_counter()
                        run()
                        times.append(time.perf_counter() - start)
        self._report()
        self.session.save(self.session)

    def _report(self):
        medians = {key: statistics.median(times) for key, times in self.times.items()}

        def fastest(side):
            modes = [(seconds, key[1]) for key, seconds in medians.items() if key[0] == side]
            return min(modes) if modes else (None, "none fulfils the condition")
        ours_seconds, ours_mode = fastest("ours")
        note = self.notes["ours", ours_mode]
        if note.get("converged") is False and "fixed" not in ours_mode:
            print(f"  {self.name}: ours ({ours_mode}) did not converge: {note}", file=sys.stderr, flush=True)
        for peer in dict.fromkeys(peer for peer, _ in self.peers):
            seconds, mode = fastest(peer)
            self.session.rows.append({
                "case": self.name, "ours_mode": ours_mode, "ours_ms": ours_seconds * 1e3, "peer": peer,
                "peer_mode": mode, "peer_ms": seconds and seconds * 1e3,
                "ratio": seconds and seconds / ours_seconds, "target": self.targets.get(peer),
                "modes": {" ".join(key): {"ms": 1e3 * median, "runs": len(self.times[key]), **self.notes[key]}
                          for key, median in medians.items() if key[0] in ("ours", peer)}})


class Session:
    def __init__(self, ours, quick, save=lambda session: None):
        self.ours, self.quick, self.save, self.rows, self.memory = ours, quick, save, [], []
        self.rounds, self.repeats = (1, 1) if quick else (3, 5)
        self.share = 2.0  # seconds of a mode in a round
        self.longest = 15.0

    def clouds(self, n, d, seed=3):
        """Normal clouds, half a standard deviation apart in every coordinate."""
        import numpy as np
        rng = np.random.default_rng(seed)
        return rng.normal(size=(n, d)).astype(np.float32), rng.normal(0.5, 1, size=(n, d)).astype(np.float32)

    def sizes(self, full, quick):
        return quick if self.quick else full


def mean_cost(x, y):
    """Of squared distances, without their matrix."""
    import numpy as np
    x, y = x.astype(np.float64), y.astype(np.float64)
    return float(np.square(x).sum(1).mean() + np.square(y).sum(1).mean() - 2 * x.mean(0) @ y.mean(0))


def cost_matrix(x, y):
    import numpy as np
    x, y = x.astype(np.float64), y.astype(np.float64)
    return np.maximum(0, np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T)


def potentials_residual(cost, f, g, epsilon):
    """l1 error of the marginals for uniform weights, in double, of potentials that belong to the plain kernel."""
    import numpy as np
    n, m = cost.shape
    plan = np.exp((np.asarray(f, np.float64)[:, None] + np.asarray(g, np.float64) - cost) / epsilon)
    return common.residual(plan, np.full(n, 1 / n), np.full(m, 1 / m))


def within_tolerance(error):
    return error <= 1.1 * TOLERANCE, {"residual": error}  # the error is measured in double, theirs in float


def ott_sinkhorn(epsilon, points, x, y, cost, schedule=None, **options):
    """A compiled function without arguments that gives both potentials, for arrays that are on the device already."""
    import jax
    import jax.numpy as jnp
    from ott.geometry import epsilon_scheduler, geometry, pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn
    arrays = [jnp.asarray(v, jnp.float32) for v in ((x, y) if points else (cost,))]

    def solve(*arrays):
        eps = epsilon if schedule is None else epsilon_scheduler.Epsilon(epsilon, **schedule)
        geom = pointcloud.PointCloud(*arrays, epsilon=eps) if points else geometry.Geometry(*arrays, epsilon=eps)
        out = sinkhorn.Sinkhorn(**options)(linear_problem.LinearProblem(geom))
        return out.f, out.g
    compiled = jax.jit(solve)
    return lambda: jax.block_until_ready(compiled(*arrays))


def sinkhorn_fixed(s):
    """As many iterations on both sides, the peers' in the log domain; ours also in the domain that it chooses itself, which
    has the same potentials to rounding."""
    import numpy as np
    import ot
    for n, iterations, targets in s.sizes([(1024, 100, (2, 30)), (4096, 40, (4, 30))], [(128, 10, (2, 30))]):
        for d in (6, 64):
            x, y = s.clouds(n, d)
            cost, epsilon = cost_matrix(x, y), 0.01 * mean_cost(x, y)
            s.ours.save("clouds", "float", x=x, y=y)
            c = Contest(s, f"{iterations} iterations, n = {n}, d = {d}")
            for domain, costs in (("log", "automatic"), ("log", "stored"), ("log", "recomputed"),
                                  ("automatic", "automatic")):
                c.add_ours(f"fixed, domain {domain}, costs {costs}", "sinkhorn", "clouds", {
                    "epsilon": epsilon, "domain": domain, "costs": costs, "scaling": 1, "tolerance": 1e-300,
                    "max_iterations": iterations})
            fixed = {"min_iterations": iterations, "max_iterations": iterations, "inner_iterations": iterations}
            for mode in ("points", "matrix"):
                c.add_peer("OTT", mode, ott_sinkhorn(epsilon, mode == "points", x, y, cost, **fixed), target=targets[0])
            single, uniform = cost.astype(np.float32), np.full(n, 1 / n, np.float32)
            c.add_peer("POT", "sinkhorn_log", lambda: ot.bregman.sinkhorn_log(
                uniform, uniform, single, epsilon, numItermax=iterations, stopThr=0, warn=False), target=targets[1])
            c.run()
            assert all(note["iterations"] == iterations for (who, _), note in c.notes.items() if who == "ours")
            for row in s.rows:
                if row["case"] == c.name:
                    row["note"] = "ours: " + ", ".join(
                        f"{key.removeprefix('ours fixed, ')} {number(mode['ms'])}" for key, mode in row["modes"].items()
                        if key.startswith("ours"))


def sinkhorn_tolerance(s):
    """To the same marginal error, each side with its best options. Beyond 1024 points only with those of OTT's modes
    that came near its fastest there, and without POT, an iteration of which takes a quarter of a second."""
    import numpy as np
    import ot
    from ott.solvers.linear import acceleration
    worth = {}  # of a width: OTT's modes for larger clouds
    for n in s.sizes([1024, 4096], [128]):
        for d in (6, 64):
            x, y = s.clouds(n, d)
            cost, epsilon = cost_matrix(x, y), 0.01 * mean_cost(x, y)
            uniform = np.full(n, 1 / n)
            s.ours.save("clouds", "float", x=x, y=y)
            c = Contest(s, f"to residual {TOLERANCE:g}, n = {n}, d = {d}")
            c.longest, c.near = 4.0, 1.2
            common_options = {"epsilon": epsilon, "tolerance": TOLERANCE, "max_iterations": 20_000}
            c.add_ours("default", "sinkhorn", "clouds", common_options)
            c.add_ours("log", "sinkhorn", "clouds", {**common_options, "domain": "log"})

            def check(result):
                return within_tolerance(potentials_residual(cost, *result, epsilon))
            start = 20  # iterations before the adaptive momentum
            accelerations = {
                "plain": {}, "momentum 1.5": {"momentum": acceleration.Momentum(value=1.5)},
                "adaptive momentum": {"momentum": acceleration.Momentum(start=start)},
                "Anderson": {"anderson": acceleration.AndersonAcceleration(memory=5)}}
            schedules = {"": None, ", epsilon decay": {"init": 50.0, "decay": 0.8}}
            for acceleration_name, options in accelerations.items():
                for schedule_name, schedule in schedules.items():
                    if schedule and "momentum" in acceleration_name:
                        continue  # takes twice the time of either
                    for points in (True, False):
                        mode = f"{acceleration_name}{schedule_name}, {'points' if points else 'matrix'}"
                        if d in worth and mode not in worth[d]:
                            continue
                        c.add_peer("OTT", mode, ott_sinkhorn(
                            epsilon, points, x, y, cost, schedule, threshold=TOLERANCE, max_iterations=1000,
                            inner_iterations=10, **options), check, target=5)
            if d in worth:
                c.run()
                continue
            # POT stops on the Euclidean norm, which bounds l1 errors by its root of m.
            stop = {"stopThr": TOLERANCE / math.sqrt(n), "warn": False}

            def check_plan(plan):
                plan = np.asarray(plan, np.float64)
                error = common.residual(plan, uniform, uniform) if np.isfinite(plan).all() else math.inf
                return within_tolerance(error)
            single = cost.astype(np.float32), np.full(n, 1 / n, np.float32)
            c.add_peer("POT", "sinkhorn_log", lambda: ot.bregman.sinkhorn_log(
                single[1], single[1], single[0], epsilon, numItermax=1000, **stop), check_plan, target=50)
            c.run()
            theirs = {mode: statistics.median(times) for (peer, mode), times in c.times.items() if peer == "OTT"}
            worth[d] = [mode for mode, seconds in theirs.items() if seconds < 1.1 * min(theirs.values())]


def divergence(s):
    """With gradients in both clouds; errors against the value and the gradient that double converges to."""
    import geomloss
    import numpy as np
    import torch
    for n, target in s.sizes([(1024, 5), (4096, 30)], [(128, 5)]):
        for share in (0.05, 0.01):
            x, y = s.clouds(n, 64)
            epsilon = share * mean_cost(x, y)
            s.ours.save("clouds", "double", x=x, y=y)
            exact = s.ours.solve("double", [{
                "name": "exact", "solver": "sinkhorn_divergence", "data": "clouds", "write": True,
                "options": {"epsilon": epsilon, "tolerance": 1e-10, "max_iterations": 100_000}}])["exact"]
            gradient = np.concatenate([exact.array("dx"), exact.array("dy")])
            s.ours.save("clouds", "float", x=x, y=y)

            def errors(value, got):
                return {"value_error": abs(value / exact.value - 1),
                        "gradient_error": float(np.linalg.norm(got - gradient) / np.linalg.norm(gradient))}
            c = Contest(s, f"divergence with gradient, n = {n}, d = 64, eps = {share:g} mean cost")
            tx, ty = (torch.tensor(points, requires_grad=True) for points in (x, y))
            loss = geomloss.SamplesLoss("sinkhorn", p=2, blur=math.sqrt(epsilon / 2), scaling=0.5, backend="tensorized")

            def run():
                tx.grad = ty.grad = None
                value = loss(tx, ty)
                value.backward()
                return 2 * value.item()
            value = run()
            theirs = errors(value, 2 * np.concatenate([tx.grad.numpy(), ty.grad.numpy()]))
            c.add_peer("GeomLoss", "tensorized, scaling .5", run, target=target)
            ours = {}
            for tolerance in (0, 1e-3, 1e-2):  # 0: the default; all whose errors are no larger than theirs
                options = {"epsilon": epsilon, "max_iterations": 20_000, "tolerance": tolerance}
                found = s.ours.solve("float", [{"name": "p", "solver": "sinkhorn_divergence", "data": "clouds",
                                                "write": True, "options": options}])["p"]
                mode = f"tolerance {tolerance:g}" if tolerance else "default"
                ours[mode] = errors(found.value, np.concatenate([found.array("dx"), found.array("dy")]))
                if all(ours[mode][key] <= theirs[key] for key in theirs):
                    c.add_ours(mode, "sinkhorn_divergence", "clouds", options)
            c.run()
            row = s.rows[-1]
            row["note"] = "errors of value and gradient: " + "; ".join(
                f"{who} {e['value_error']:.1e}, {e['gradient_error']:.1e}" for who, e in (*ours.items(), ("theirs", theirs)))
            row["condition"] = exact.converged


def gromov_clouds(n, d=8):
    """Two samples of one mixture, the second one turned; coordinates of different spread."""
    import numpy as np
    rng = np.random.default_rng(5)
    centres, turn = rng.normal(size=(5, d)), np.linalg.qr(rng.normal(size=(d, d)))[0]
    spread = np.linspace(1, 0.3, d)
    x, y = (spread * (centres[rng.integers(5, size=n)] + 0.5 * rng.normal(size=(n, d))) for _ in range(2))
    return x.astype(np.float32), (y @ turn).astype(np.float32)


def gromov(s, converge=False):
    """Entropic Gromov-Wasserstein transport: 50 outer iterations, or until the objective settles."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import ot
    from ott.geometry import geometry, pointcloud
    from ott.solvers import quadratic
    outer, inner = (1000, 500) if converge else (50, 500)
    for n in s.sizes([500, 1000, 2000], [100]):
        x, y = gromov_clouds(n)
        cost_x, cost_y = cost_matrix(x, x), cost_matrix(y, y)
        uniform = np.full(n, 1 / n)
        product = np.outer(uniform, uniform)
        epsilon = 0.05 * common.distortion(product, cost_x, cost_y)
        s.ours.save("clouds", "float", x=x, y=y)
        name = "entropic GW, " + ("to convergence" if converge else f"{outer} outer iterations")
        c = Contest(s, f"{name}, n = {n}, d = 8")
        options = {"epsilon": epsilon, "tolerance": TOLERANCE, "max_iterations": inner, "gradients": False,
                   "outer_iterations": outer, "outer_tolerance": 1e-6 if converge else 0}
        c.add_ours("default" if converge else "fixed", "entropic_gromov", "clouds", options)
        c.add_ours("one trial" if converge else "fixed, one trial", "entropic_gromov", "clouds",
                   {**options, "trial_iterations": 1})

        def check(plan):
            plan = common.round_to_marginals(np.asarray(plan, np.float64), uniform, uniform)
            value = common.distortion(plan, cost_x, cost_y)
            objective = value + epsilon * common.kl(plan, product)
            return bool(np.isfinite(objective)), {"value": value, "objective": objective}

        def ott(points, warm):
            arrays = [jnp.asarray(v, jnp.float32) for v in ((x, y) if points else (cost_x, cost_y))]

            def solve(u, v):
                geoms = [pointcloud.PointCloud(w) if points else geometry.Geometry(cost_matrix=w) for w in (u, v)]
                limits = {"threshold": 1e-6} if converge else {"threshold": 0.0, "min_iterations": outer}
                return quadratic.solve(*geoms, epsilon=epsilon / 2, warm_start=warm, max_iterations=outer,
                                       linear_solver_kwargs={"threshold": TOLERANCE, "max_iterations": inner},
                                       **limits).matrix
            compiled = jax.jit(solve)
            return lambda: jax.block_until_ready(compiled(*arrays))
        for points in (True, False):
            for warm in (True, False):
                mode = f"{'points' if points else 'matrices'}{', warm' if warm else ''}"
                c.add_peer("OTT", mode, ott(points, warm), check, target=3)
        if not converge:
            limits = {"epsilon": epsilon, "max_iter": outer, "tol": 0, "numItermax": inner, "warn": False,
                      "stopThr": TOLERANCE / math.sqrt(n)}
            for solver, target in (("PGD", None), ("PPA", 20)):
                c.add_peer(f"POT {solver}", "entropic_gromov_wasserstein",
                           lambda solver=solver: ot.gromov.entropic_gromov_wasserstein(
                               cost_x, cost_y, uniform, uniform, "square_loss", solver=solver, **limits),
                           check, target=target)
        c.run()
        for row in s.rows:
            if row["case"] == c.name and row["peer_ms"]:
                mine = c.notes["ours", row["ours_mode"]]
                theirs = c.notes[row["peer"], row["peer_mode"]]
                key = "value" if row["peer"] == "POT PPA" else "objective"
                # Ours stops where the objective no longer falls, theirs in the fixed case does not.
                row["note"] = f"{key}: ours {mine[key]:.6g} after {mine['iterations']}, theirs {theirs[key]:.6g}"


def gromov_proximal(s):
    """Without entropy, by proximal points from the product plan, between matrices: at most 50 steps."""
    import numpy as np
    import ot
    outer, inner = 50, 500
    for n in s.sizes([500, 1000, 2000], [60]):
        x, y = gromov_clouds(n)
        cost_x, cost_y = cost_matrix(x, x), cost_matrix(y, y)
        uniform = np.full(n, 1 / n)
        product = np.outer(uniform, uniform)
        epsilon = 0.05 * common.distortion(product, cost_x, cost_y)
        s.ours.save("within", "double", cost_x=cost_x, cost_y=cost_y, start=product)
        c = Contest(s, f"proximal GW, {outer} outer iterations, n = {n}, d = 8")
        c.precision = "double"
        c.add_ours("fixed", "proximal_fused", "within", {
            "epsilon": epsilon, "tolerance": TOLERANCE, "max_iterations": inner, "gradients": False,
            "outer_iterations": outer, "outer_tolerance": 0})

        def check(plan):
            plan = common.round_to_marginals(plan, uniform, uniform)
            value = common.distortion(plan, cost_x, cost_y)
            return bool(np.isfinite(value)), {"value": value}
        c.add_peer("POT PPA", "entropic_gromov_wasserstein", lambda: ot.gromov.entropic_gromov_wasserstein(
            cost_x, cost_y, uniform, uniform, "square_loss", solver="PPA", epsilon=epsilon, max_iter=outer, tol=0,
            numItermax=inner, stopThr=TOLERANCE / math.sqrt(n), warn=False), check, target=20)
        c.run()
        mine = c.notes["ours", "fixed"]
        s.rows[-1]["note"] = (f"value: ours {mine['value']:.6g} after {mine['iterations']}, theirs "
                              f"{c.notes['POT PPA', 'entropic_gromov_wasserstein']['value']:.6g}")


def gromov_converged(s):
    gromov(s, converge=True)


def exact(s):
    """In double, from the cost matrix."""
    import numpy as np
    import ot
    from scipy.optimize import linear_sum_assignment
    for n in s.sizes([1000, 2000], [100]):
        for d in (2, 64):
            x, y = s.clouds(n, d)
            cost = cost_matrix(x, y)
            rng = np.random.default_rng(7)
            for kind in ("random", "uniform"):
                a, b = ((lambda w: w / w.sum())(rng.uniform(0.1, 1, n)) if kind == "random" else np.full(n, 1 / n)
                        for _ in range(2))
                s.ours.save("costs", "double", cost=cost, a=a, b=b)
                c = Contest(s, f"exact, n = {n}, d = {d}, {kind} weights")
                c.precision = "double"
                c.add_ours("default", "exact_transport", "costs", {})

                def check(plan):
                    value = float(np.sum(plan * cost))
                    return True, {"value": value}
                target = 1 if kind == "random" else 1.5
                c.add_peer("POT", "emd", lambda: ot.emd(a, b, cost, numItermax=100_000_000), check, target=target)
                if kind == "uniform":
                    c.add_peer("scipy", "linear_sum_assignment", lambda: linear_sum_assignment(cost),
                               lambda pairs: (True, {"value": float(cost[pairs].sum() / n)}), target=target)
                c.run()
                values = [note["value"] for note in c.notes.values()]
                assert max(values) - min(values) <= 1e-9 * abs(values[0]), values


def batch(s):
    """10 000 problems at once, 100 iterations each."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import ot.batch
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn
    count, n, iterations = s.sizes((10_000, 32, 100), (200, 32, 100))
    rng = np.random.default_rng(11)
    x, y = (rng.normal(size=(count, n, 3)).astype(np.float32) for _ in range(2))
    cost = np.square(x[:, :, None] - y[:, None]).sum(-1)
    epsilon = 0.05 * float(cost.mean())
    s.ours.save("batch", "float", cost=cost.reshape(count * n, n))
    c = Contest(s, f"{count} problems of {n} x {n}, {iterations} iterations")
    options = {"epsilon": epsilon, "count": count, "scaling": 1, "tolerance": 1e-300, "max_iterations": iterations}
    c.add_ours("fixed, automatic domain", "sinkhorn_batch", "batch", {**options, "domain": "automatic"})
    c.add_ours("fixed, log", "sinkhorn_batch", "batch", {**options, "domain": "log"})
    device = jnp.asarray(cost)

    def vmapped(lse_mode):
        def one(cost):
            out = sinkhorn.Sinkhorn(lse_mode=lse_mode, min_iterations=iterations, max_iterations=iterations,
                                    inner_iterations=iterations)(
                linear_problem.LinearProblem(geometry.Geometry(cost, epsilon=epsilon)))
            return out.f, out.g
        compiled = jax.jit(jax.vmap(one))
        return lambda: jax.block_until_ready(compiled(device))

    def finite(result):
        return bool(np.isfinite(np.asarray(result[0])).all() and np.isfinite(np.asarray(result[1])).all()), {}
    for lse_mode in (True, False):
        c.add_peer("OTT", f"vmap, {'log' if lse_mode else 'kernel'} domain", vmapped(lse_mode), finite, target=5)
    for method in ("log_sinkhorn", "sinkhorn"):
        c.add_peer("POT", f"solve_batch, {method}", lambda method=method: ot.batch.solve_batch(
            cost, epsilon, max_iter=iterations, tol=0, method=method), lambda r: (bool(np.isfinite(r.plan).all()), {}),
            target=15)
    c.run()
    for (who, _), note in c.notes.items():
        assert who != "ours" or note["iterations"] == count * iterations, note


def memory(s):
    """Peak of the resident memory of a process of ours, few iterations."""
    MiB = 1024 * 1024

    def child(name, data, solver, options, limit):
        found = s.ours.solve("float", [{"name": "p", "solver": solver, "data": data, "options": options}])["p"]
        figures = {key: value for key, value in found.figures.items() if key not in ("name", "solver")}
        s.memory.append({"case": name, "MiB": s.ours.machine["peak_bytes"] / MiB, "limit_MiB": limit, **figures})
        print(f"{name}: {s.memory[-1]['MiB']:.0f} MiB, {figures}", file=sys.stderr, flush=True)
    n = s.sizes(100_000, 5000)
    x, y = s.clouds(n, 8)
    s.ours.save("clouds", "float", x=x, y=y)
    child(f"sinkhorn, costs recomputed, n = {n}, d = 8", "clouds", "sinkhorn", {
        "epsilon": 0.05 * mean_cost(x, y), "costs": "recomputed", "scaling": 1, "max_iterations": 2}, 200)
    for n in s.sizes([4000, 20_000], [1000]):
        x, y = gromov_clouds(n)
        s.ours.save("clouds", "float", x=x, y=y)
        epsilon = 0.2 * mean_cost(x, x) * mean_cost(y, y)
        child(f"entropic GW, n = {n}, d = 8", "clouds", "entropic_gromov", {
            "epsilon": epsilon, "outer_iterations": 1, "trial_iterations": 1, "outer_tolerance": 0, "gradients": False,
            "scaling": 1, "max_iterations": 1 if n > 10_000 else 3}, 200)
    n = s.sizes(100_000, 2000)
    x, y = gromov_clouds(n)
    s.ours.save("clouds", "float", x=x, y=y)
    child(f"low-rank GW, n = {n}, d = 8, rank 20", "clouds", "low_rank_gromov", {"rank": 20}, 2048)


CASES = {f.__name__: f for f in (sinkhorn_fixed, sinkhorn_tolerance, divergence, gromov, gromov_converged,
                                 gromov_proximal, exact, batch, memory)}


def number(value):
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def layout(lines, markdown):
    if markdown:
        lines = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(len(line[c]) for line in lines) for c in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.program_option(parser)
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {','.join(CASES)} (default all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: whether everything runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    parser.add_argument("--json", help="also write all figures there, after every case")
    args = parser.parse_args()
    names = args.cases.split(",")
    if unknown := set(names) - set(CASES):
        parser.error(f"unknown cases {sorted(unknown)}; want some of {','.join(CASES)}")

    common.pin(args.threads)
    import warnings
    warnings.simplefilter("ignore")
    import torch
    torch.set_num_threads(args.threads)
    info, ours = common.machine(args.threads), common.Ours(args.program, args.threads)

    def save(session):
        if args.json:
            with open(args.json, "w") as file:
                json.dump({"machine": info, "ours": ours.machine, "quick": args.quick, "rows": session.rows,
                           "memory": session.memory}, file, indent=1)
                file.write("\n")
    s = Session(ours, args.quick, save)
    for name in names:
        CASES[name](s)
        save(s)

    common.print_machine(info, ours.machine)
    if args.quick:
        print("--quick: a smoke run, its times mean nothing")
    if s.rows:
        lines = [["case", "ours, ms", "peer", "its best mode", "ms", "ratio", "target", "note"]]
        for row in s.rows:
            target = row["target"] and f">= {row['target']:g}"
            lines.append([row["case"], number(row["ours_ms"]), row["peer"], row["peer_mode"], number(row["peer_ms"]),
                          number(row["ratio"]), target or "-", row.get("note", "")])
        print("\n" + layout(lines, args.markdown))
    if s.memory:
        lines = [["case", "peak, MiB", "limit"]]
        lines += [[row["case"], number(row["MiB"]), f"< {row['limit_MiB']}"] for row in s.memory]
        print("\n" + layout(lines, args.markdown))


if __name__ == "__main__":
    main()
