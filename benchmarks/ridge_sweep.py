"""The sweep of problem 5 (every width and penalty, validation and test inputs) by its peers, in one run, one thread."""
# ruff: noqa: E402

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from scipy.linalg import blas, lapack

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from hw6 import double_descent as dd

D, N, SIGMA, VALIDATION, TEST = 35, 300, 0.5, 60, 30
WIDTHS = range(1, 1492, 10)
LAMBDAS = np.geomspace(0.01, 100, 13)
BARE = {"risks": False, "parts": False, "left_out": False, "checks": False}
EXTRAS = {
    "risk": {"risks": True},
    "risk and parts": {"risks": True, "parts": True},
    "leave-one-out": {"left_out": True},
}


def streams(stream, *index):
    """A generator for each stream, as the study has them."""
    return np.random.default_rng([0, int(stream), *index])


# Each method: (f, y, fresh, lambdas) -> predictions at the fresh inputs (rows), a column for each penalty.


def explicit_inverse(f, y, fresh, lambdas):
    gram = f.T @ f
    columns = [fresh @ (np.linalg.inv(gram + lam * np.eye(len(gram))) @ (f.T @ y)) for lam in lambdas]
    return np.stack(columns, axis=1)


def textbook_solve(f, y, fresh, lambdas):
    columns = [fresh @ np.linalg.solve(f.T @ f + lam * np.eye(f.shape[1]), f.T @ y) for lam in lambdas]
    return np.stack(columns, axis=1)


def sklearn_ridge(solver, f, y, fresh, lambdas):
    from sklearn.linear_model import Ridge

    models = (Ridge(alpha=lam, fit_intercept=False, solver=solver).fit(f, y) for lam in lambdas)
    return np.stack([model.predict(fresh) for model in models], axis=1)


def sklearn_ridge_at_once(solver, f, y, fresh, lambdas):
    """One fit a width: the penalties as those of 13 equal targets."""
    from sklearn.linear_model import Ridge

    targets = np.repeat(y[:, None], len(lambdas), axis=1)
    return Ridge(alpha=lambdas, fit_intercept=False, solver=solver).fit(f, targets).predict(fresh)


def sklearn_ridge_cv(f, y, fresh, lambdas):
    """Another task: RidgeCV tunes by leave-one-out and keeps one penalty, so one column."""
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=lambdas, fit_intercept=False).fit(f, y).predict(fresh)[:, None]


def himalaya_ridge(f, y, fresh, lambdas):
    """One fit a width: the penalties as those of 13 equal targets."""
    from himalaya.ridge import Ridge

    targets = np.repeat(y[:, None], len(lambdas), axis=1)
    model = Ridge(alpha=lambdas, fit_intercept=False, solver_params={"warn": False})
    return model.fit(f, targets).predict(fresh)


def himalaya_kernel_ridge(f, y, fresh, lambdas):
    """The same on the Gram matrix of the samples, by its eigenvalue solver."""
    from himalaya.kernel_ridge import KernelRidge

    targets = np.repeat(y[:, None], len(lambdas), axis=1)
    model = KernelRidge(alpha=lambdas, kernel="precomputed", solver="eigenvalues").fit(f @ f.T, targets)
    return model.predict(fresh @ f.T)


def thin_svd(f, y, fresh, lambdas):
    u, s, vt = np.linalg.svd(f, full_matrices=False)
    return fresh @ (vt.T @ ((s * (u.T @ y))[:, None] / (s[:, None] ** 2 + lambdas)))


def eigendecomposition(f, y, fresh, lambdas):
    n, p = f.shape
    s, q = np.linalg.eigh(f.T @ f if p <= n else f @ f.T)
    shrunk = q @ ((q.T @ (f.T @ y if p <= n else y))[:, None] / (s[:, None] + lambdas))
    return fresh @ (shrunk if p <= n else f.T @ shrunk)


def this_project(f, y, fresh, lambdas):
    return fresh @ dd.ridge(dd.factorise(np.ascontiguousarray(f)), y, lambdas)


# Name, method, every how many widths it is measured at, whether a peer library.
METHODS = [
    ("explicit inverse, each p and lambda", explicit_inverse, 10, False),
    ("textbook solve, each p and lambda", textbook_solve, 5, False),
    ("sklearn Ridge(svd)", partial(sklearn_ridge, "svd"), 10, True),
    ("sklearn Ridge(cholesky)", partial(sklearn_ridge, "cholesky"), 3, True),
    ("sklearn Ridge(svd), 13 targets", partial(sklearn_ridge_at_once, "svd"), 1, True),
    ("sklearn Ridge(cholesky), 13 targets", partial(sklearn_ridge_at_once, "cholesky"), 1, True),
    ("sklearn RidgeCV (leave-one-out, one lambda)", sklearn_ridge_cv, 1, True),
    ("himalaya Ridge, 13 targets", himalaya_ridge, 1, True),
    ("himalaya KernelRidge, 13 targets", himalaya_kernel_ridge, 1, True),
    ("one thin SVD a width", thin_svd, 1, False),
    ("one eigendecomposition a width", eigendecomposition, 1, False),
]


def problem():
    """Data, the fresh inputs (validation, then test) and a function that draws the weights of a width."""
    data = dd.draw_data(streams, D, SIGMA, N, VALIDATION, TEST)
    return data, np.concatenate([data.validation_x, data.test_x]), partial(dd.draw_weights, streams, input_dim=D)


def seconds_of(call):
    """CPU seconds of this process: equal to wall time on one idle core, and steadier on a shared machine."""
    start = time.process_time()
    call()
    return time.process_time() - start


def peer_seconds(method, stride):
    """Seconds for all widths, drawing W included; measured at the middle of every block of ``stride`` and scaled."""
    data, fresh, draw = problem()
    widths = WIDTHS[stride // 2 :: stride]

    def run():
        for p in widths:
            w = draw(p)
            method(dd.features(data.train_x, w), data.train_y, dd.features(fresh, w), LAMBDAS)

    method(dd.features(data.train_x, draw(20)), data.train_y, dd.features(fresh, draw(20)), LAMBDAS)  # imports
    return seconds_of(run) * len(WIDTHS) / len(widths)


def sweep_seconds(lambdas=LAMBDAS, **extras):
    data, _, draw = problem()
    return seconds_of(lambda: [fit for _, fit in dd.sweep(data, draw, WIDTHS, lambdas, **(BARE | extras))])


def largest_difference(method):
    """Largest relative difference (norms of prediction vectors) from the textbook solve over a few widths."""
    data, fresh, draw = problem()
    worst = 0.0
    for p in (1, 51, 151, 281, 301, 321, 601, 1491):
        f, g = dd.features(data.train_x, draw(p)), dd.features(fresh, draw(p))
        expected = textbook_solve(f, data.train_y, g, LAMBDAS)
        got = method(f, data.train_y, g, LAMBDAS)
        if got.shape != expected.shape:  # one penalty was kept: compare with the nearest column
            expected = expected[:, [np.argmin(np.linalg.norm(expected - got, axis=0))]]
        gaps = np.linalg.norm(got - expected, axis=0) / np.linalg.norm(expected, axis=0)
        worst = max(worst, float(gaps.max()))
    return worst


def rate(flops, call):
    """Flops a second: the best of seven."""
    return flops / min(seconds_of(call) for _ in range(7))


def floor_seconds():
    """By kernel: seconds for the flops of a sweep at the rate that this machine reaches, that rate, and the flops."""
    rng = np.random.default_rng(0)
    f = rng.standard_normal((N, 1000))
    gram = np.asfortranarray(f @ f.T)
    x, w = rng.standard_normal((N + VALIDATION + TEST, 1000)), rng.standard_normal((1000, 1000))
    rates = {
        "Gram matrices (dsyrk)": rate(N * N * 1000, lambda: blas.dsyrk(1.0, f.T, trans=1, lower=1)),
        "reductions (dsytrd)": rate(4 / 3 * N**3, lambda: lapack.dsytrd(gram, lower=1, lwork=8 * N)),
        "features and predictions (dgemm)": rate(2 * len(x) * 1000**2, lambda: x @ w),
    }
    flops = dict.fromkeys(rates, 0.0)
    for p in WIDTHS:
        r = min(N, p)
        flops["Gram matrices (dsyrk)"] += N * p * r
        flops["reductions (dsytrd)"] += 4 / 3 * r**3
        expansion = N * p if p >= N else 0
        flops["features and predictions (dgemm)"] += 2 * (
            len(x) * p * D + len(LAMBDAS) * (r * r + expansion + (VALIDATION + TEST) * p)
        )
    return {name: (flops[name] / rates[name], rates[name] / 1e9, flops[name] / 1e9) for name in rates}


def where_time_goes():
    """Seconds of a sweep by step."""
    data, fresh, draw = problem()
    x = np.concatenate([data.train_x, fresh])
    workspace = np.empty(len(x) * WIDTHS[-1])
    spent = {}

    def timed(step, call):
        start = time.process_time()
        value = call()
        spent[step] = spent.get(step, 0.0) + time.process_time() - start
        return value

    for p in WIDTHS:
        w = timed("draw W", lambda p=p: draw(p))
        out = workspace[: len(x) * p].reshape(len(x), p)
        f = timed("features", lambda w=w, out=out: dd.features(x, w, out))
        factors = timed("Gram matrix and reduction", lambda f=f: dd.factorise(f[:N]))
        dual = timed("solutions", lambda k=factors: dd.coefficients(k, data.train_y[:, None], LAMBDAS))
        theta = timed("expansion to theta", lambda k=factors, dual=dual: dd.expand(k, dual)[:, 0])
        timed("predictions", lambda f=f, theta=theta: f[N:] @ theta)
    return spent


def compare(rounds):
    """Print the table; the project is measured before and after each peer, and its median counts."""
    sweep_seconds()
    own, seconds = [], {}
    for _ in range(rounds):
        for name, method, stride, _ in METHODS:
            own.append(sweep_seconds())
            seconds.setdefault(name, []).append(peer_seconds(method, stride))
        own.append(sweep_seconds())
    ours = statistics.median(own)
    print(f"{len(WIDTHS)} widths x {len(LAMBDAS)} penalties, n = {N}, d = {D}, W drawn anew for each width, one thread")
    print(f"{'method':46}{'seconds':>9}{'ratio':>8}{'difference':>12}")
    for name, method, stride, _ in METHODS:
        value = statistics.median(seconds[name])
        scaled = f"  (1 width in {stride}, scaled)" if stride > 1 else ""
        print(f"{name:46}{value:9.2f}{value / ours:8.1f}{largest_difference(method):12.0e}{scaled}")
    print(f"{'this project':46}{ours:9.2f}{1:8.1f}{largest_difference(this_project):12.0e}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    library = min((medians[name], name) for name, _, _, peer in METHODS if peer)
    print(f"fastest library: {library[1]}: {library[0] / ours:.1f} times this project's seconds")
    return ours


def explain(ours):
    """Print the floor, where the time goes and what more penalties and the extras cost."""
    floor = floor_seconds()
    total = sum(seconds for seconds, _, _ in floor.values())
    print(f"\nfloor {total:.2f} s; this project takes {ours / total:.1f} times that")
    for name, (seconds, gigaflops, flops) in floor.items():
        print(f"  {name:44}{seconds:9.3f} s = {flops:5.1f} Gflop at {gigaflops:5.1f} Gflop/s")
    print("where the time goes")
    for step, seconds in where_time_goes().items():
        print(f"  {step:44}{seconds:9.3f} s")
    many = np.geomspace(0.01, 100, 113)
    extra = min(sweep_seconds(many) for _ in range(3)) - min(sweep_seconds() for _ in range(3))
    print(f"one more penalty: {extra / 100 / ours:.2%} of the sweep")
    for name, extras in (EXTRAS | {"everything": dict.fromkeys(BARE, True)}).items():
        print(f"with {name:41}{min(sweep_seconds(**extras) for _ in range(3)):9.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often every method is measured")
    explain(compare(parser.parse_args().rounds))
