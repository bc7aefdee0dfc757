"""Seconds of one replicate against the number of samples and against the largest width, on one and two processes.

A row: size x processes. ``seconds`` is wall time per replicate, so two processes halve it at best. ``slope`` is fitted
to log seconds against log size; ``slope_theory`` in the same way to the number of flops.
"""
# ruff: noqa: E402

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded

import argparse
import csv
import multiprocessing
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from hw6 import double_descent as dd

D, SIGMA, FRESH = 35, 0.5, 90  # validation and test inputs together
LAMBDAS = np.geomspace(0.01, 100, 13)
COUNT = 15  # widths of a sweep, evenly spaced up to the largest
SIZES = [("n_train", n, 1500) for n in (150, 300, 600, 1200)] + [("largest_p", 300, p) for p in (750, 1500, 3000, 6000)]
COLUMNS = ["varied", "n_train", "largest_p", "processes", "seconds", "slope", "slope_theory"]


def widths(largest):
    return [largest * k // COUNT for k in range(1, COUNT + 1)]


def replicate(seed, n, largest):
    """One replicate: validation and test errors at all widths and penalties."""

    def streams(stream, *index):
        return np.random.default_rng([seed, int(stream), *index])

    data = dd.draw_data(streams, D, SIGMA, n, FRESH * 2 // 3, FRESH // 3)
    draw = partial(dd.draw_weights, streams, input_dim=D)
    for _ in dd.sweep(data, draw, widths(largest), LAMBDAS, risks=False, parts=False, left_out=False, checks=False):
        pass


def flops(n, largest):
    """n p r (Gram) + 4/3 r^3 (reduction) + features, solutions and predictions, over all widths; r = min(n, p)."""
    total = 0.0
    for p in widths(largest):
        r = min(n, p)
        total += n * p * r + 4 / 3 * r**3 + 2 * (n + FRESH) * p * D
        total += 2 * len(LAMBDAS) * (r * r + (n * p if p >= n else 0) + FRESH * p)
    return total


def slope(sizes, values):
    """Least-squares slope of log value against log size."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def seconds(pool, processes, n, largest, repeats):
    """Median wall seconds per replicate, with one replicate in each process at a time."""
    times = []
    for repeat in range(repeats):
        tasks = [(repeat * processes + k, n, largest) for k in range(processes)]
        start = time.perf_counter()
        pool.starmap(replicate, tasks, chunksize=1)
        times.append((time.perf_counter() - start) / processes)
    return statistics.median(times)


def measure(repeats):
    """All rows, without the slopes."""
    rows = []
    for processes in (1, 2):
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.starmap(replicate, [(0, 50, 100)] * (2 * processes), chunksize=1)  # imports
            for varied, n, largest in SIZES:
                value = seconds(pool, processes, n, largest, repeats)
                rows.append(dict(zip(COLUMNS, (varied, n, largest, processes, value), strict=False)))
                print(*rows[-1].values(), file=sys.stderr, flush=True)
    return rows


def with_slopes(rows):
    """The rows with both slopes, equal within each curve."""
    for row in rows:
        curve = [r for r in rows if (r["varied"], r["processes"]) == (row["varied"], row["processes"])]
        sizes = [r[row["varied"]] for r in curve]
        row["slope"] = f"{slope(sizes, [r['seconds'] for r in curve]):.2f}"
        row["slope_theory"] = f"{slope(sizes, [flops(r['n_train'], r['largest_p']) for r in curve]):.2f}"
    return [row | {"seconds": f"{row['seconds']:.4g}"} for row in rows]


def write(rows, file):
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", nargs="?", help="where to write; standard output if absent")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    table = with_slopes(measure(arguments.repeats))
    if arguments.csv:
        with open(arguments.csv, "w", encoding="utf-8", newline="") as target:
            write(table, target)
    else:
        write(table, sys.stdout)
