#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our transport solvers against POT, OTT, GeomLoss and scipy on random problems, in double, conventions converted as
docs/transport.md says. Convex problems: values and plans agree to 1e-6 relative with peers run to 1e-12 (GeomLoss,
which stops on a schedule: 1 %). Problems with local optima, costs scaled to mean 1: our objective is at most 1e-6
above the peer's, both plans first rounded to their marginals. Prints a table and exits with 1 where a limit is
missed. Needs setup.sh --transport."""

import argparse
import json
import math
import sys
import time

import transport_common as common

SHAPES = [(5, 7), (31, 24), (12, 12), (17, 30), (7, 5), (40, 55), (64, 64), (80, 61), (99, 120), (120, 113)]
TAUS = [0.3, 0.6, 0.8, 0.9, 0.95, 0.98]
CONVEX, SCHEDULE, DESCENT = 1e-6, 1e-2, 1e-6
INNER = 1e-12  # marginal error of the inner problems of both sides


class Row:
    """One line of the table: a solver of ours against one peer."""

    def __init__(self, solver, peer, limit=CONVEX, descent=False):
        self.solver, self.peer, self.limit, self.descent = solver, peer, limit, descent
        self.problems, self.value, self.plan, self.failures = 0, -math.inf, None, []
        self.limits_plan = not descent

    def _judge(self, k, what, difference, limit):
        if not difference <= limit:  # NaN fails
            self.failures.append(f"problem {k}: {what} differs by {difference:.2e}")

    def add(self, k, value, peer_value, plan=None, peer_plan=None, limit_plan=True):
        """Problem k of a solver whose minimum is unique."""
        import numpy as np
        difference = abs(value - peer_value) / max(abs(peer_value), 1e-300)
        self.problems, self.value = self.problems + 1, max(self.value, difference)
        self._judge(k, "value", difference, self.limit)
        if plan is not None:
            difference = float(np.abs(plan - peer_plan).sum() / np.abs(peer_plan).sum())
            self.plan = max(self.plan or 0, difference)
            self.limits_plan = limit_plan
            if limit_plan:
                self._judge(k, "plan", difference, self.limit)

    def add_descent(self, k, objective, peer_objective, plan, peer_plan):
        """Problem k of a solver that ends in a local minimum; how far the plans are apart is for information."""
        import numpy as np
        excess = objective - peer_objective
        self.problems, self.value = self.problems + 1, max(self.value, excess)
        self._judge(k, "objective", excess, self.limit)
        self.plan = max(self.plan or 0, float(np.abs(plan - peer_plan).sum()))

    def unconverged(self, k, who):
        self.failures.append(f"problem {k}: {who} did not converge")


class Session:
    def __init__(self, ours, count, shapes):
        import numpy as np
        self.np, self.ours, self.count, self.shapes, self.rows = np, ours, count, shapes, []

    def row(self, *args, **kwargs):
        self.rows.append(Row(*args, **kwargs))
        return self.rows[-1]

    def problems(self, seed, uniform=False, square=False, least=1 / 30):
        """Two clouds with random weights, their costs, and an epsilon from `least` to a half of the mean cost."""
        np = self.np
        for k in range(self.count):
            rng = np.random.default_rng([seed, k])
            n, m = self.shapes[k % len(self.shapes)]
            m = n if square else m
            d = int(rng.integers(1, 7))
            x, y = rng.normal(size=(n, d)), rng.normal(rng.normal(size=d) / 2, 1.3, size=(m, d))
            weights = [np.full(c, 1 / c) if uniform else (lambda w: w / w.sum())(rng.uniform(0.1, 1, c))
                       for c in (n, m)]
            cost = common.squared_distances(x, y)
            epsilon = float(cost.mean() * math.exp(rng.uniform(math.log(least), math.log(0.5))))
            yield argparse.Namespace(k=k, rng=rng, n=n, m=m, x=x, y=y, a=weights[0], b=weights[1], cost=cost,
                                     epsilon=epsilon)

    def solve(self, solver, problems, arrays, options):
        """Our solutions of the problems, in their order; arrays(p) and options(p) of one problem p."""
        jobs = []
        for p in problems:
            self.ours.save(f"p{p.k}", "double", **arrays(p))
            jobs.append({"name": f"p{p.k}", "solver": solver, "write": True, "options": options(p)})
        found = self.ours.solve("double", jobs)
        for file in self.ours.folder.glob("p*.start.npy"):  # of the arrays only this one may be missing next time
            file.unlink()
        return [found[f"p{p.k}"] for p in problems]


def weights_of(p):
    return {"a": p.a, "b": p.b}


TIGHT = {"tolerance": 1e-12, "max_iterations": 100_000}


class Ott:
    """OTT's solvers, compiled once a shape."""

    def __init__(self):
        import jax
        jax.config.update("jax_enable_x64", True)
        import jax.numpy as jnp
        from ott.geometry import geometry, pointcloud
        from ott.initializers.linear import initializers_lr
        from ott.problems.linear import linear_problem
        from ott.solvers import linear, quadratic
        from ott.solvers.linear import sinkhorn
        from ott.tools import sinkhorn_divergence

        tight = {"threshold": 1e-12, "max_iterations": 100_000}

        def entropic(cost, a, b, epsilon, tau_a, tau_b):
            out = linear.solve(geometry.Geometry(cost_matrix=cost, epsilon=epsilon), a=a, b=b, tau_a=tau_a,
                               tau_b=tau_b, **tight)
            return out.reg_ot_cost, out.matrix, out.converged

        def divergence(x, y, a, b, epsilon):
            def value(x, y):
                out, rest = sinkhorn_divergence.sinkhorn_divergence(pointcloud.PointCloud, x, y, a=a, b=b,
                                                                    epsilon=epsilon, solve_kwargs=tight)
                return out, jnp.all(jnp.stack(list(rest.converged)))
            (out, converged), gradients = jax.value_and_grad(value, (0, 1), has_aux=True)(x, y)
            return out, gradients, converged

        def gromov(cost_x, cost_y, cost, a, b, epsilon, penalty):
            out = quadratic.solve(
                geometry.Geometry(cost_matrix=cost_x), geometry.Geometry(cost_matrix=cost_y),
                None if cost is None else geometry.Geometry(cost_matrix=cost), fused_penalty=penalty, a=a, b=b,
                epsilon=epsilon, warm_start=True, threshold=1e-14, max_iterations=2000,
                linear_solver_kwargs={"threshold": INNER, "max_iterations": 20_000})
            return out.matrix

        def low_rank(x, y, a, b, rank):
            out = linear.solve(pointcloud.PointCloud(x, y), a=a, b=b, rank=rank, threshold=1e-6,
                               max_iterations=1000, initializer=initializers_lr.KMeansInitializer(rank))
            return out.matrix

        def low_rank_gromov(x, y, a, b, rank):
            out = quadratic.solve(pointcloud.PointCloud(x), pointcloud.PointCloud(y), a=a, b=b, rank=rank,
                                  threshold=1e-6, min_iterations=0, max_iterations=1000, inner_iterations=100)
            return out.matrix

        def batch(cost, a, b, epsilon):
            def one(cost, a, b):
                out = sinkhorn.Sinkhorn(**tight)(
                    linear_problem.LinearProblem(geometry.Geometry(cost_matrix=cost, epsilon=epsilon), a, b))
                return out.reg_ot_cost, out.matrix, out.converged
            return jax.vmap(one)(cost, a, b)

        self.entropic = jax.jit(entropic, static_argnames=("tau_a", "tau_b"))
        self.divergence, self.batch = jax.jit(divergence), jax.jit(batch)
        self.gromov = jax.jit(gromov)
        self.low_rank = jax.jit(low_rank, static_argnames="rank")
        self.low_rank_gromov = jax.jit(low_rank_gromov, static_argnames="rank")


def sinkhorn(s, peers, dense=True):
    problems = list(s.problems(1 if dense else 2))
    arrays = (lambda p: {"cost": p.cost, **weights_of(p)}) if dense else (
        lambda p: {"x": p.x, "y": p.y, **weights_of(p)})
    for file in s.ours.folder.glob("*.cost.npy"):
        file.unlink()  # the program takes the points where there is no matrix
    costs = {} if dense else {"costs": "recomputed"}
    found = s.solve("sinkhorn", problems, arrays, lambda p: {"epsilon": p.epsilon, **costs, **TIGHT})
    name = "sinkhorn, matrix" if dense else "sinkhorn, points"
    pot, ott = s.row(name, "POT"), s.row(name, "OTT")
    for p, ours in zip(problems, found):
        plan = ours.array("plan")
        if not ours.converged:
            pot.unconverged(p.k, "ours")
        other = peers.ot.bregman.sinkhorn_log(p.a, p.b, p.cost, p.epsilon, numItermax=100_000, stopThr=1e-13)
        pot.add(p.k, ours.value, common.entropic_value(other, p.cost, p.a, p.b, p.epsilon), plan, other)
        value, other, converged = peers.ott.entropic(p.cost, p.a, p.b, p.epsilon, 1.0, 1.0)
        if not converged:
            ott.unconverged(p.k, "OTT")
        ott.add(p.k, ours.value, float(value), plan, s.np.asarray(other))


def sinkhorn_points(s, peers):
    sinkhorn(s, peers, dense=False)


def unbalanced(s, peers, semi=False):
    problems = list(s.problems(4 if semi else 5))
    for p in problems:
        # OTT compiles anew for every tau = rho / (rho + epsilon): one a shape, and epsilon varies.
        shape = p.k % len(s.shapes)
        p.tau_a, p.tau_b = TAUS[shape % len(TAUS)], 1.0 if semi else TAUS[(2 * shape + 1) % len(TAUS)]
        p.rho_a, p.rho_b = (p.epsilon * tau / (1 - tau) if tau < 1 else math.inf for tau in (p.tau_a, p.tau_b))
        if not semi:
            p.b = p.b * p.rng.uniform(0.7, 1.4)  # the masses may differ

    def options(p):
        prices = {"rho_a": p.rho_a} if semi else {"rho_a": p.rho_a, "rho_b": p.rho_b}
        return {"epsilon": p.epsilon, **prices, **TIGHT}
    found = s.solve("sinkhorn", problems, lambda p: {"cost": p.cost, **weights_of(p)}, options)
    name = "semi-unbalanced" if semi else "unbalanced"
    pot, ott = s.row(name, "POT"), s.row(name, "OTT")
    for p, ours in zip(problems, found):
        plan = ours.array("plan")
        if not ours.converged:
            pot.unconverged(p.k, "ours")
        # Its "sinkhorn_stabilized" leaves the problem once it absorbs scalings, with objectives far above the minimum.
        other = peers.ot.unbalanced.sinkhorn_unbalanced(
            p.a, p.b, p.cost, p.epsilon, (p.rho_a, p.rho_b), method="sinkhorn", reg_type="kl", numItermax=50_000,
            stopThr=1e-13)
        pot.add(p.k, ours.value, common.entropic_value(other, p.cost, p.a, p.b, p.epsilon, p.rho_a, p.rho_b), plan,
                other)
        # Its updates damp f + epsilon log a: with a price its entropy is sum P log P, and the weights have to enter
        # through the cost. With exact marginals the two differ by constants.
        shifted = p.cost - p.epsilon * s.np.log(s.np.outer(p.a, p.b))
        _, other, converged = peers.ott.entropic(shifted, p.a, p.b, p.epsilon, p.tau_a, p.tau_b)
        if not converged:
            ott.unconverged(p.k, "OTT")
        other = s.np.asarray(other)
        ott.add(p.k, ours.value, common.entropic_value(other, p.cost, p.a, p.b, p.epsilon, p.rho_a, p.rho_b), plan,
                other)


def semi_unbalanced(s, peers):
    unbalanced(s, peers, semi=True)


def divergence(s, peers):
    """The plan's column holds the gradients in both clouds; GeomLoss's is the one of an unconverged problem."""
    np = s.np
    problems = list(s.problems(6, least=0.1))  # POT's plain iteration takes for ever within a cloud
    found = s.solve("sinkhorn_divergence", problems, lambda p: {"x": p.x, "y": p.y, **weights_of(p)},
                    lambda p: {"epsilon": p.epsilon, **TIGHT})
    pot, ott = s.row("sinkhorn_divergence", "POT"), s.row("sinkhorn_divergence", "OTT")
    geomloss = s.row("sinkhorn_divergence", "GeomLoss", limit=SCHEDULE)
    for p, ours in zip(problems, found):
        gradient = np.concatenate([ours.array("dx"), ours.array("dy")])
        if not ours.converged:
            pot.unconverged(p.k, "ours")

        def pot_value(x, y, a, b):
            cost = common.squared_distances(x, y)
            plan = peers.ot.bregman.sinkhorn_log(a, b, cost, p.epsilon, numItermax=20_000, stopThr=1e-12)
            return common.entropic_value(plan, cost, a, b, p.epsilon)
        pot.add(p.k, ours.value, pot_value(p.x, p.y, p.a, p.b) - pot_value(p.x, p.x, p.a, p.a) / 2
                - pot_value(p.y, p.y, p.b, p.b) / 2)
        value, (dx, dy), converged = peers.ott.divergence(p.x, p.y, p.a, p.b, p.epsilon)
        if not converged:
            ott.unconverged(p.k, "OTT")
        ott.add(p.k, ours.value, float(value), gradient, np.concatenate([dx, dy]))
        torch = peers.torch
        x, y = (torch.tensor(points, requires_grad=True) for points in (p.x, p.y))
        loss = peers.geomloss.SamplesLoss("sinkhorn", p=2, blur=math.sqrt(p.epsilon / 2), scaling=0.95,
                                          backend="tensorized")
        value = 2 * loss(torch.tensor(p.a), x, torch.tensor(p.b), y)
        value.backward()
        geomloss.add(p.k, ours.value, value.item(), gradient, np.concatenate([x.grad.numpy(), y.grad.numpy()]),
                     limit_plan=False)


def exact(s, peers):
    np = s.np
    problems = list(s.problems(7))
    found = s.solve("exact_transport", problems, lambda p: {"cost": p.cost, **weights_of(p)}, lambda p: {})
    pot, scipy_row = s.row("exact_transport", "POT"), s.row("exact_transport", "scipy linprog")
    for p, ours in zip(problems, found):
        plan = ours.array("plan")
        other = peers.ot.emd(p.a, p.b, p.cost, numItermax=10_000_000)
        pot.add(p.k, ours.value, float(np.sum(other * p.cost)), plan, other)
        sparse = peers.scipy.sparse
        rows = sparse.kron(sparse.eye(p.n), np.ones((1, p.m)), format="csr")
        columns = sparse.kron(np.ones((1, p.n)), sparse.eye(p.m), format="csr")
        solved = peers.scipy.optimize.linprog(
            p.cost.ravel(), A_eq=sparse.vstack([rows, columns[:-1]]), b_eq=np.concatenate([p.a, p.b[:-1]]),
            method="highs", options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10})
        scipy_row.add(p.k, ours.value, solved.fun, plan, solved.x.reshape(p.n, p.m))


def exact_uniform(s, peers):
    np = s.np
    problems = list(s.problems(8, uniform=True, square=True))
    found = s.solve("exact_transport", problems, lambda p: {"cost": p.cost, **weights_of(p)}, lambda p: {})
    row = s.row("exact_transport, uniform", "scipy assignment")
    for p, ours in zip(problems, found):
        rows, columns = peers.scipy.optimize.linear_sum_assignment(p.cost)
        other = np.zeros_like(p.cost)
        other[rows, columns] = 1 / p.n
        row.add(p.k, ours.value, float(np.sum(other * p.cost)), ours.array("plan"), other)


def partial_exact(s, peers):
    problems = list(s.problems(9))
    for p in problems:
        p.mass = float(p.rng.uniform(0.2, 0.95))
    found = s.solve("partial_transport", problems, lambda p: {"cost": p.cost, **weights_of(p)},
                    lambda p: {"mass": p.mass})
    row = s.row("partial_transport", "POT")
    for p, ours in zip(problems, found):
        other = peers.ot.partial.partial_wasserstein(p.a, p.b, p.cost, m=p.mass, numItermax=10_000_000)
        row.add(p.k, ours.value, float(s.np.sum(other * p.cost)), ours.array("plan"), other)


def partial_entropic(s, peers):
    np = s.np
    problems = list(s.problems(10))
    for p in problems:
        p.mass = float(p.rng.uniform(0.2, 0.95))
    found = s.solve("partial_sinkhorn", problems, lambda p: {"cost": p.cost, **weights_of(p)},
                    lambda p: {"epsilon": p.epsilon, "mass": p.mass, **TIGHT})
    row = s.row("partial_sinkhorn", "POT")
    for p, ours in zip(problems, found):
        if not ours.converged:
            row.unconverged(p.k, "ours")
        # Their entropy is sum P log P: with the marginals free the weights have to enter through the cost.
        shifted = p.cost - p.epsilon * np.log(np.outer(p.a, p.b))
        other = peers.ot.partial.entropic_partial_wasserstein(p.a, p.b, shifted, p.epsilon, m=p.mass,
                                                              method="sinkhorn_log", numItermax=20_000, stopThr=1e-14)
        row.add(p.k, ours.value, common.entropic_value(other, p.cost, p.a, p.b, p.epsilon), ours.array("plan"), other)


def line(s, peers):
    problems = list(s.problems(11))
    for p in problems:
        p.power = [1.0, 2.0, 1.5, 3.0][p.k % 4]
        p.x, p.y = p.x[:, :1], p.y[:, :1]
    found = s.solve("line_transport", problems, lambda p: {"x": p.x, "y": p.y, **weights_of(p)},
                    lambda p: {"power": p.power})
    pot, scipy_row = s.row("line_transport", "POT"), s.row("line_transport, p = 1", "scipy")
    for p, ours in zip(problems, found):
        # With |x - y| as cost the plan is not unique; its value is.
        plan = peers.ot.emd_1d(p.x, p.y, p.a, p.b, metric="minkowski", p=p.power)
        cost = s.np.abs(p.x - p.y.T) ** p.power
        plans = () if p.power == 1 else (ours.array("plan"), plan)
        pot.add(p.k, ours.value, float(s.np.sum(plan * cost)), *plans)
        if p.power == 1:
            scipy_row.add(p.k, ours.value, peers.scipy.stats.wasserstein_distance(p.x[:, 0], p.y[:, 0], p.a, p.b))


def sliced(s, peers):
    problems = list(s.problems(12))
    for p in problems:
        p.power = 1.0 + p.k % 2
        p.directions = p.rng.normal(size=(30, p.x.shape[1]))
        p.directions /= s.np.linalg.norm(p.directions, axis=1, keepdims=True)
    found = s.solve("sliced_wasserstein", problems,
                    lambda p: {"x": p.x, "y": p.y, "directions": p.directions, **weights_of(p)},
                    lambda p: {"power": p.power})
    row = s.row("sliced_wasserstein", "POT")
    for p, ours in zip(problems, found):
        other = peers.ot.sliced_wasserstein_distance(p.x, p.y, p.a, p.b, projections=p.directions.T, p=p.power)
        row.add(p.k, ours.value, float(other) ** p.power)


def batch(s, peers):
    np = s.np
    rng = np.random.default_rng(13)
    n, m, count = 32, 27, s.count
    x, y = rng.normal(size=(count, n, 3)), rng.normal(0.5, 1.2, size=(count, m, 3))
    cost = np.stack([common.squared_distances(x[k], y[k]) for k in range(count)])
    a, b = (w / w.sum(1, keepdims=True) for w in (rng.uniform(0.1, 1, (count, n)), rng.uniform(0.1, 1, (count, m))))
    epsilon = float(0.1 * cost.mean())
    ours = {}
    for domain in ("log", "automatic"):
        s.ours.save("batch", "double", cost=cost.reshape(count * n, m))
        np.save(s.ours.folder / "batch.a.npy", a), np.save(s.ours.folder / "batch.b.npy", b)
        ours[domain] = s.ours.solve("double", [{
            "name": "batch", "solver": "sinkhorn_batch", "write": True,
            "options": {"epsilon": epsilon, "count": count, "domain": domain, **TIGHT}}])["batch"]
        ours[domain].values, ours[domain].plans = (ours[domain].array("values"),
                                                   ours[domain].array("plan").reshape(count, n, m))
    pot_plans = peers.ot.batch.solve_batch(cost, epsilon, a, b, max_iter=100_000, tol=1e-13,
                                           method="log_sinkhorn").plan
    values, ott_plans, converged = peers.ott.batch(cost, a, b, epsilon)
    for domain, solution in ours.items():
        pot, ott = (s.row(f"sinkhorn_batch, {domain}", peer) for peer in ("POT", "OTT"))
        if not solution.converged:
            pot.unconverged("of the batch", "ours")
        for k in range(count):
            pot.add(k, solution.values[k], common.entropic_value(pot_plans[k], cost[k], a[k], b[k], epsilon),
                    solution.plans[k], pot_plans[k])
            if not converged[k]:
                ott.unconverged(k, "OTT")
            ott.add(k, solution.values[k], float(values[k]), solution.plans[k], np.asarray(ott_plans[k]))


def barycentre(s, peers):
    """The plan's column holds the weights of the barycentre."""
    np = s.np
    problems = list(s.problems(14))
    for p in problems:
        p.shares = (lambda w: w / w.sum())(p.rng.uniform(0.2, 1, 3))
        p.clouds = (lambda w: w / w.sum(1, keepdims=True))(p.rng.uniform(0.1, 1, (3, p.n)))
        p.cost = common.squared_distances(p.x, p.x)
        p.epsilon = float(0.1 * p.cost.mean())
    jobs = []
    for p in problems:
        s.ours.save(f"p{p.k}", "double", x=p.x)
        np.save(s.ours.folder / f"p{p.k}.b.npy", p.clouds)
        jobs.append({"name": f"p{p.k}", "solver": "barycentre", "write": True,
                     "options": {"epsilon": p.epsilon, "shares": list(p.shares), **TIGHT}})
    found = s.ours.solve("double", jobs)
    row = s.row("barycentre", "POT")
    for p in problems:
        ours = found[f"p{p.k}"]
        if not ours.converged:
            row.unconverged(p.k, "ours")
        other = peers.ot.bregman.barycenter(p.clouds.T.copy(), p.cost, p.epsilon, weights=p.shares,
                                            method="sinkhorn_log", numItermax=10_000, stopThr=1e-12)
        weights = ours.array("weights")
        # There is no value to compare: the moment of the weights stands for it.
        moment = np.square(p.x).sum(1)
        row.add(p.k, float(weights @ moment), float(other @ moment), weights, other)


def within(p):
    """Costs within both clouds and between them, each of mean 1."""
    cost_x, cost_y = common.squared_distances(p.x, p.x), common.squared_distances(p.y, p.y)
    scale = math.sqrt((p.a @ cost_x @ p.a) * (p.b @ cost_y @ p.b))
    return cost_x / scale, cost_y / scale, p.cost / (p.a @ p.cost @ p.b)


def fused(s, peers, solver, seed, with_cost):
    """From the product plan on both sides, and ours from its own starts, of which that plan is one."""
    np = s.np
    problems = list(s.problems(seed))
    for p in problems:
        p.cost_x, p.cost_y, p.cost = within(p)
        p.alpha = float(p.rng.uniform(0.2, 0.8)) if with_cost else 1.0
        p.epsilon = {"entropic_fused": float(p.rng.uniform(0.02, 0.2)), "proximal_fused": 0.1, "exact_fused": 0}[solver]
    for file in s.ours.folder.glob("*.cost.npy"):
        file.unlink()  # the program takes a cost between the spaces where there is one
    # Proximal steps end near a vertex, where Sinkhorn is slow: plans are rounded to their marginals anyway.
    proximal = solver == "proximal_fused"
    inner = {"tolerance": 1e-9 if proximal else INNER, "max_iterations": 2000 if proximal else 20_000}

    def options(p):
        options = {"alpha": p.alpha, "outer_tolerance": 1e-14,
                   "outer_iterations": 500 if proximal else 10_000}
        return options if solver == "exact_fused" else {**options, "epsilon": p.epsilon, **inner}

    def arrays(p):
        return {"cost_x": p.cost_x, "cost_y": p.cost_y, "cost": p.cost if with_cost else None, **weights_of(p)}
    # Small problems: all starts go far enough to tell them apart.
    found_from_own = s.solve(solver, problems, arrays, lambda p: {**options(p), "trial_iterations": 200})
    found = s.solve(solver, problems, lambda p: {**arrays(p), "start": np.outer(p.a, p.b)}, options)
    name = solver + (", with a cost between" if with_cost else "")

    def objective(p, plan):
        plan = common.round_to_marginals(plan, p.a, p.b)
        value = p.alpha * common.distortion(plan, p.cost_x, p.cost_y)
        value += (1 - p.alpha) * float(np.sum(p.cost * plan)) if with_cost else 0
        return value + (p.epsilon * common.kl(plan, np.outer(p.a, p.b)) if solver == "entropic_fused" else 0)
    pot = s.row(name, "POT", limit=DESCENT, descent=True)
    pot_own = s.row(name + ", own starts", "POT", limit=DESCENT, descent=True)
    ott = s.row(name, "OTT", limit=DESCENT, descent=True) if solver == "entropic_fused" else None
    for p, ours, own in zip(problems, found, found_from_own):
        plan, own_plan = ours.array("plan"), own.array("plan")
        value = objective(p, plan)
        gromov = peers.ot.gromov
        bregman = {"epsilon": p.epsilon, "max_iter": 100 if proximal else 3000, "tol": 1e-10,
                   "solver": "PPA" if proximal else "PGD", "warn": False,
                   "numItermax": 50 if proximal else inner["max_iterations"], "stopThr": inner["tolerance"]}
        frank_wolfe = {"max_iter": 10_000, "tol_rel": 1e-14, "tol_abs": 1e-14}
        if with_cost:
            run = (gromov.fused_gromov_wasserstein if solver == "exact_fused"
                   else gromov.entropic_fused_gromov_wasserstein)
            other = run(p.cost, p.cost_x, p.cost_y, p.a, p.b, "square_loss", alpha=p.alpha,
                        **(frank_wolfe if solver == "exact_fused" else bregman))
        else:
            run = gromov.gromov_wasserstein if solver == "exact_fused" else gromov.entropic_gromov_wasserstein
            other = run(p.cost_x, p.cost_y, p.a, p.b, "square_loss",
                        **(frank_wolfe if solver == "exact_fused" else bregman))
        pot.add_descent(p.k, value, objective(p, other), plan, other)
        pot_own.add_descent(p.k, objective(p, own_plan), objective(p, other), own_plan, other)
        if ott:
            other = np.asarray(peers.ott.gromov(
                p.cost_x, p.cost_y, p.cost if with_cost else None, p.a, p.b, p.epsilon / (2 * p.alpha),
                (1 - p.alpha) / (2 * p.alpha) if with_cost else 1.0))
            ott.add_descent(p.k, value, objective(p, other), plan, other)


def exact_gromov(s, peers):
    fused(s, peers, "exact_fused", 16, False)


def exact_fused(s, peers):
    fused(s, peers, "exact_fused", 17, True)


def entropic_fused_gromov(s, peers):
    fused(s, peers, "entropic_fused", 18, False)


def entropic_fused(s, peers):
    fused(s, peers, "entropic_fused", 19, True)


def proximal_gromov(s, peers):
    fused(s, peers, "proximal_fused", 20, False)


def proximal_fused(s, peers):
    fused(s, peers, "proximal_fused", 21, True)


def entropic_gromov(s, peers):
    """Ours from its own starts: it takes none."""
    np = s.np
    problems = list(s.problems(22))
    for p in problems:
        scale = ((p.a @ common.squared_distances(p.x, p.x) @ p.a)
                 * (p.b @ common.squared_distances(p.y, p.y) @ p.b)) ** 0.25
        p.x, p.y, p.epsilon = p.x / scale, p.y / scale, float(p.rng.uniform(0.02, 0.2))
    found = s.solve("entropic_gromov", problems, lambda p: {"x": p.x, "y": p.y, **weights_of(p)},
                    lambda p: {"epsilon": p.epsilon, "tolerance": INNER, "max_iterations": 20_000,
                               "outer_tolerance": 1e-14, "outer_iterations": 5000, "trial_iterations": 100})
    pot, ott = (s.row("entropic_gromov", peer, limit=DESCENT, descent=True) for peer in ("POT", "OTT"))
    for p, ours in zip(problems, found):
        cost_x, cost_y = common.squared_distances(p.x, p.x), common.squared_distances(p.y, p.y)

        def objective(plan):
            plan = common.round_to_marginals(plan, p.a, p.b)
            return common.distortion(plan, cost_x, cost_y) + p.epsilon * common.kl(plan, np.outer(p.a, p.b))
        plan = ours.array("plan")
        if abs(objective(plan) - ours.objective) > CONVEX * abs(ours.objective):
            pot.failures.append(f"problem {p.k}: objective {ours.objective}, of the plan {objective(plan)}")
        other = peers.ot.gromov.entropic_gromov_wasserstein(
            cost_x, cost_y, p.a, p.b, "square_loss", epsilon=p.epsilon, max_iter=3000, tol=1e-10,
            numItermax=20_000, stopThr=INNER, warn=False)
        pot.add_descent(p.k, objective(plan), objective(other), plan, other)
        other = np.asarray(peers.ott.gromov(cost_x, cost_y, None, p.a, p.b, p.epsilon / 2, 1.0))
        ott.add_descent(p.k, objective(plan), objective(other), plan, other)


def low_rank(s, peers, gromov=False):
    """Each side from its own starts: one of k-means for the peers that have it, several for ours."""
    np = s.np
    problems = list(s.problems(23 if gromov else 24))
    for p in problems:
        p.rank = min(5, p.n, p.m)
        if gromov:
            scale = ((p.a @ common.squared_distances(p.x, p.x) @ p.a)
                     * (p.b @ common.squared_distances(p.y, p.y) @ p.b)) ** 0.25
        else:
            scale = math.sqrt(p.a @ p.cost @ p.b)
        p.x, p.y = p.x / scale, p.y / scale
    found = s.solve("low_rank_gromov" if gromov else "low_rank_transport", problems,
                    lambda p: {"x": p.x, "y": p.y, **weights_of(p)},
                    lambda p: {"rank": p.rank, "tolerance": 1e-7, "max_iterations": 5000, "starts": 32,
                               "trial_iterations": 100})
    name = "low_rank_gromov" if gromov else "low_rank_transport"
    pot, ott = (s.row(name, peer, limit=DESCENT, descent=True) for peer in ("POT", "OTT"))
    for p, ours in zip(problems, found):
        plan = (ours.array("q") / ours.array("weights")) @ ours.array("r").T

        def objective(plan):
            plan = common.round_to_marginals(plan, p.a, p.b)
            if gromov:
                return common.distortion(plan, common.squared_distances(p.x, p.x), common.squared_distances(p.y, p.y))
            return float(np.sum(plan * common.squared_distances(p.x, p.y)))
        if gromov:
            q, r, g = peers.ot.gromov.lowrank_gromov_wasserstein_samples(
                p.x, p.y, p.a, p.b, rank=p.rank, stopThr=1e-6, numItermax=1000, numItermax_dykstra=1000, warn=False)
            other_ott = peers.ott.low_rank_gromov(p.x, p.y, p.a, p.b, p.rank)
        else:
            q, r, g = peers.ot.lowrank.lowrank_sinkhorn(p.x, p.y, p.a, p.b, rank=p.rank, init="kmeans",
                                                        stopThr=1e-6, numItermax=1000, warn=False)
            other_ott = peers.ott.low_rank(p.x, p.y, p.a, p.b, p.rank)
        other = (q / g) @ r.T
        pot.add_descent(p.k, objective(plan), objective(other), plan, other)
        other = np.asarray(other_ott)
        ott.add_descent(p.k, objective(plan), objective(other), plan, other)


def low_rank_gromov(s, peers):
    low_rank(s, peers, gromov=True)


SOLVERS = {f.__name__: f for f in (
    sinkhorn, sinkhorn_points, unbalanced, semi_unbalanced, divergence, exact, exact_uniform, partial_exact,
    partial_entropic, line, sliced, batch, barycentre, exact_gromov, exact_fused,
    entropic_fused_gromov, entropic_fused, proximal_gromov, proximal_fused, entropic_gromov, low_rank, low_rank_gromov)}


class Peers:
    def __init__(self):
        import geomloss
        import ot
        import ot.batch
        import ot.gromov
        import ot.lowrank
        import scipy.optimize
        import scipy.sparse
        import scipy.stats
        import torch
        self.ot, self.scipy, self.geomloss, self.torch, self.ott = ot, scipy, geomloss, torch, Ott()

        def shifted_sinkhorn(a, b, cost, epsilon, method, **options):
            """POT's Gromov solvers use its kernel-domain Sinkhorn, where exp(-cost / epsilon) underflows; terms of a
            row and of a column change no plan."""
            cost = cost - cost.min(1, keepdims=True)
            cost = cost - cost.min(0, keepdims=True)
            plan = ot.bregman.sinkhorn_knopp(a, b, cost, epsilon, **options)
            if not common.residual(plan, a, b) < 1e-10:  # NaN too
                plan = ot.bregman.sinkhorn_log(a, b, cost, epsilon, **options)
            return plan
        ot.gromov._bregman.sinkhorn = shifted_sinkhorn


def table(rows, markdown):
    head = ["solver", "peer", "problems", "value", "plan", "limit", ""]
    lines = [head]
    for r in rows:
        plan = "" if r.plan is None else f"({r.plan:.1e})" if not r.limits_plan else f"{r.plan:.1e}"
        lines.append([r.solver, r.peer, str(r.problems), f"{r.value:.1e}" + (" above" if r.descent else ""), plan,
                      f"{r.limit:.0e}", "FAIL" if r.failures else "pass"])
    if markdown:
        lines.insert(1, ["---"] * len(head))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(len(line[c]) for line in lines) for c in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.program_option(parser)
    parser.add_argument("--solvers", default=",".join(SOLVERS), help=f"of {','.join(SOLVERS)} (default all)")
    parser.add_argument("--problems", type=int, default=50, help="a solver (default 50)")
    parser.add_argument("--quick", action="store_true", help="four small problems a solver")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--json", help="also write the table there")
    args = parser.parse_args()
    names = args.solvers.split(",")
    if unknown := set(names) - set(SOLVERS):
        parser.error(f"unknown solvers {sorted(unknown)}; want some of {','.join(SOLVERS)}")

    common.pin(args.threads)
    import warnings
    warnings.simplefilter("ignore")  # peers warn of what the table shows
    peers = Peers()
    info = common.machine(args.threads)
    rows, ours = [], common.Ours(args.program, args.threads)
    for name in names:
        start = time.perf_counter()
        session = Session(ours, 4 if args.quick else args.problems, SHAPES[:2] if args.quick else SHAPES)
        SOLVERS[name](session, peers)
        rows += session.rows
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)

    common.print_machine(info, ours.machine)
    print("value: worst relative difference, or objective above the peer's; plan: worst relative l1 difference, in "
          "brackets where local\nminima may differ and there is no limit\n")
    print(table(rows, args.markdown))
    for r in rows:
        for failure in r.failures[:5]:
            print(f"{r.solver} against {r.peer}: {failure}")
        if len(r.failures) > 5:
            print(f"{r.solver} against {r.peer}: {len(r.failures) - 5} more")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"machine": info, "ours": ours.machine, "rows": [
                {"solver": r.solver, "peer": r.peer, "problems": r.problems, "value": r.value, "plan": r.plan,
                 "limit": r.limit, "descent": r.descent, "failures": r.failures} for r in rows]}, file, indent=1)
            file.write("\n")
    return 1 if any(r.failures for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
