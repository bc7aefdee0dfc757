"""What problem 5 costs, measured in fresh processes; fits the rates of scripts/pipeline/cost.py, writes docs/cost.md.

Use: python benchmarks/cost.py            measures (about six minutes) into benchmarks/cost.csv, then writes the page
     python benchmarks/cost.py --page     writes the page from what was measured
"""
# ruff: noqa: E402

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))
import p5_closer
import p5_sweep
from hw6.random_features_theory import optimal_lambda
from pipeline import cost, grid, memory
from pipeline.tables import write_blocks

TABLE, PAGE = PROJECT / "benchmarks/cost.csv", PROJECT / "docs/cost.md"
SIZES = [(300, 1500), (600, 3000), (1200, 6000), (3000, 15000)]  # n and the largest width of the measured replicates
SHARES = (0.02, 0.1, 0.3, 0.5, 0.8)  # widths at which rates are fitted, over the largest; the replicates have others
REPEATS, ENOUGH = 9, 2.0  # the least of so many seconds, or fewer once so many CPU seconds are spent
NOTHING = {"n_features": {"start": 1, "stop": 1, "step": 1}, "lambda_grid": {"low": 0.01, "high": 100, "count": 13}}
BLOCK = NOTHING | {"input_dim": 35, "noise_std": 0.5, "fixed_lambda": 0.01, "n_risk": 2000, "seed": 5}
GIB, MIB = 2**30, 2**20


def study(n, start, stop, step=1, d=35, count=13, replicates=1, auxiliary=1):
    """A block ``double_descent``; validation and test points are in the default's proportion to n."""
    return BLOCK | {
        "n_train": n,
        "n_validation": n // 5,
        "n_test": n // 10,
        "input_dim": d,
        "n_features": {"start": start, "stop": stop, "step": step},
        "lambda_grid": {"low": 0.01, "high": 100, "count": count},
        "replicates": replicates,
        "auxiliary_replicates": auxiliary,
    }


# What is measured: each does the work of a job for one replicate, and writes its tables.


def sweep(block, folder):
    """One replicate of the sweep."""
    write_blocks([p5_sweep.fits_table(block, 0)], folder / "fits.csv")


def closer(block, folder):
    """One auxiliary replicate."""
    for name, table in p5_closer.TABLES.items():
        write_blocks([table(p5_closer.without_test(block), 0)], folder / f"{name}.csv", p5_closer.ALL_DIGITS)


def closer_fits(block, folder):
    """The closer fits alone, without the theory's penalty: 1 stands for it."""
    p5_closer.optimal_penalties = lambda block: np.ones(len(p5_sweep.widths(block)))
    table = p5_closer.closer_table(p5_closer.without_test(block), 0)
    write_blocks([table], folder / "closer.csv", p5_closer.ALL_DIGITS)


def theory(block, _):
    """The theory's best penalty of each width."""
    optimal_lambda(np.array(p5_sweep.widths(block)), block["input_dim"], block["n_train"], block["noise_std"])


KINDS = {"sweep": sweep, "closer": closer, "closer_fits": closer_fits, "theory": theory}


def plan():
    """(purpose, kind, arguments of ``study``) of all that is measured."""
    replicates = [(n, largest // 5, largest, 2 * largest // 5) for n, largest in SIZES]
    single = [(n, int(share * largest)) for n, largest in [(100, 500), *SIZES] for share in SHARES]
    more = [(n, p) for n, p in single if n < 3000 and p in (n // 2, 5 * n // 2)]
    for size in replicates:
        for kind in ("sweep", "closer"):
            yield "check", kind, dict(zip(("n", "start", "stop", "step"), size, strict=True))
    for n, p in single:
        for kind in ("sweep", "closer_fits"):
            yield "rates", kind, {"n": n, "start": p, "stop": p}
    for n, p in more:
        yield "rates", "sweep", {"n": n, "start": p, "stop": p, "d": 150}
        for kind in ("sweep", "closer_fits"):
            yield "rates", kind, {"n": n, "start": p, "stop": p, "count": 60}
    for n, p in [(300, 3), (300, 6000), (50, 15000)]:
        yield "rates", "sweep", {"n": n, "start": p, "stop": p}
    yield "theory", "theory", {"n": 300, "start": 1, "stop": 1491, "step": 10}


def in_this_process(kind, arguments, repeats):
    """CPU seconds, the least of a few, and peak bytes of this process, as JSON on standard output."""
    block, times = study(**arguments), []
    with tempfile.TemporaryDirectory() as folder:
        while len(times) < repeats and sum(times) < ENOUGH:
            start = time.process_time()
            KINDS[kind](block, Path(folder))
            times.append(time.process_time() - start)
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]  # of this program alone
    return {"seconds": min(times), "bytes": 1024 * int(peak)}


def measure():
    """A row: one measurement, each in a process of its own."""
    rows = []
    for purpose, kind, arguments in plan():
        task = json.dumps([kind, arguments, 1 if purpose == "check" else REPEATS])
        command = [sys.executable, __file__, "--one", task]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(shown.splitlines()[-1])
        rows.append({"purpose": purpose, "kind": kind, "arguments": json.dumps(arguments)} | found)
        print(*rows[-1].values(), file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def amounts(kind, arguments):
    """The ``Work`` of what was measured."""
    block = study(**arguments)
    if kind == "sweep":
        return cost.sweep_work(block)
    if kind == "closer":
        return cost.closer_work(block)
    p, m = block["n_features"]["start"], grid.number_of_penalties(block) + 1
    fit = cost.fit_work(block["n_train"], p, block["input_dim"], 2 * block["n_validation"], m)
    return cost.total([fit, cost.extra_work(block["n_train"], p, m)])._replace(theory=0.0)


def fitted_rates(rows):
    """The non-negative rates of least relative squared error, and the ratios predicted over measured."""
    work = np.array([amounts(row.kind, json.loads(row.arguments)) for row in rows.itertuples()])
    relative = work / rows["seconds"].to_numpy()[:, None]
    scale = np.maximum(np.linalg.norm(relative, axis=0), 1e-300)
    rates = nnls(relative / scale, np.ones(len(rows)))[0] / scale
    return cost.Work(*map(float, rates)), relative @ cost.RATES


def table_of_replicates(rows):
    """Measured against predicted: a replicate of the sweep and one of the auxiliary studies, at each size."""
    seconds = {"sweep": cost.sweep_seconds, "closer": cost.closer_seconds}
    bounds = {"sweep": memory.sweep_bytes, "closer": memory.closer_bytes}
    lines = [
        "| Job | $n$ | widths | seconds | predicted | ratio | peak MiB | bound | ratio |",
        "|:--|--:|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows.sort_values("kind", ascending=False, kind="stable").itertuples():
        block = study(**json.loads(row.arguments))
        predicted, bound = seconds[row.kind](block), bounds[row.kind](block)
        every = ", ".join(f"{p:,}" for p in grid.width_range(block["n_features"]))
        lines.append(
            f"| `p5_{row.kind}` | {block['n_train']:,} | {every} | {row.seconds:.3g} | {predicted:.3g} "
            f"| {predicted / row.seconds:.2f} | {row.bytes / MIB:.0f} | {bound / MIB:.0f} | {bound / row.bytes:.2f} |"
        )
    return lines


def table_of_rates(again, theory_rate):
    """The rates of scripts/pipeline/cost.py beside those fitted to what was measured."""
    lines = ["| Work | unit | seconds for a unit | fitted to this run |", "|:--|:--|--:|--:|"]
    units = {
        "product": "flop of a product of two large matrices",
        "thin": "flop of a product with a column for each penalty",
        "reduction": "flop of the reduction to tridiagonal form",
        "beyond_cache": f"the same for what a cache does not hold, above $r$ = {cost.CACHED:,}",
        "vector": "$r^2$, the reduction's own steps",
        "secular": "$r^2$, the steps of the eigenproblem",
        "kernel": "entry of the feature covariance",
        "entry": "entry of a large matrix, apart from products",
        "draw": "random number",
        "width": "fit",
        "penalty": "fit and penalty: a row",
        "theory": "width: the theory's best penalty",
    }
    again = again._replace(theory=theory_rate)
    for name, unit in units.items():
        lines.append(f"| `{name}` | {unit} | {getattr(cost.RATES, name):.3g} | {getattr(again, name):.3g} |")
    return lines


def ladder():
    """Studies by name, from the default to the large ones."""
    n, wide = 3000, (100, 15000, 100)
    return {
        "the default": study(300, 1, 1491, 10, replicates=30, auxiliary=6),
        "1,000 replicates": study(300, 1, 1491, 10, replicates=1000, auxiliary=6),
        "$n$ = 1,000, $p$ to 5,000": study(1000, 100, 5000, 100, replicates=100, auxiliary=6),
        "the large study": study(n, *wide, replicates=1000, auxiliary=6),
        "the same, 4 times the penalties": study(n, *wide, count=52, replicates=1000, auxiliary=6),
        "the same, 10 times the widths": study(n, 10, 15000, 10, replicates=1000, auxiliary=6),
    }


def table_of_studies():
    """The predicted cost of each study of the ladder."""
    lines = [
        "| Study | $n$ | widths | penalties | replicates | sweep, core-h | auxiliary, core-h | tables, core-h "
        "| longest job of one replicate, min | largest job, GiB | results whole, GB | `summaries`, MB |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, block in ladder().items():
        hours, sizes = cost.core_hours(block), cost.result_bytes(block)
        largest, job = memory.largest_bytes(block)
        jobs = {"p5_sweep": cost.sweep_seconds(block), "p5_closer": cost.closer_seconds(block)}
        longest = max(jobs, key=jobs.get)
        cells = [
            name,
            f"{block['n_train']:,}",
            f"{grid.number_of_widths(block['n_features']):,}",
            f"{grid.number_of_penalties(block)}",
            f"{block['replicates']:,}",
            *(f"{hours[part]:,.3g}" for part in ("sweep", "auxiliary", "tables")),
            f"{jobs[longest] / 60:,.2g} (`{longest}`)",
            f"{largest / GIB:.2f} (`{job}`)",
            f"{sum(sizes.values()) / 1e9:,.2g}",
            f"{sizes['summaries'] / 1e6:,.2g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(rows):
    """docs/cost.md."""
    checks, fits = rows[rows["purpose"] == "check"], rows[rows["purpose"] == "rates"]
    again, ratios = fitted_rates(fits)
    timed = rows[rows["purpose"] == "theory"].iloc[0]
    widths = cost.THEORY_CALL + grid.number_of_widths(study(**json.loads(timed["arguments"]))["n_features"])
    low, high = np.quantile(ratios, [0.05, 0.95])
    return TEXT.format(
        replicates="\n".join(table_of_replicates(checks)),
        rates="\n".join(table_of_rates(again, timed["seconds"] / widths)),
        studies="\n".join(table_of_studies()),
        **{"fits": len(fits), "decades": np.log10(fits["seconds"].max() / fits["seconds"].min())},
        **{"low": low, "high": high, "least": ratios.min(), "most": ratios.max()},
    )


TEXT = """# What a study of problem 5 costs

Seconds are those of one core, on one thread. Measured on two cores, x86-64, AVX-512, OpenBLAS, one thread;
`scripts/pipeline/cost.py` predicts seconds and bytes of results from the configuration,
`scripts/pipeline/memory.py` the memory of every job. Written by `python benchmarks/cost.py`, which measures anew.

## Studies, predicted

Six auxiliary replicates each; a tenth as many test points and a fifth as many validation points as training points. The
longest job is that of a single replicate, if each share has one. `keep: summaries` keeps the last column alone.

{studies}

A job takes a few seconds more to start. What does not grow with the study, such as the report, is not counted: minutes.

## Measured against predicted

One replicate in a fresh process: CPU seconds and peak memory. None of these was used to fit the rates. That the first
call of the theory takes long was seen here, at $n = 300$, and then measured by itself (`THEORY_CALL`).

{replicates}

## Rates

Fitted, by non-negative least squares of relative errors, to {fits} single fits over {decades:.1f} decades of seconds
($n$ from 50 to 3,000, $p$ from 3 to 15,000, $d$ 35 and 150, 14 and 61 penalties). The rates in use predict nine in ten
of these fits between {low:.2f} and {high:.2f} times what was measured, and all between {least:.2f} and {most:.2f}.
Rates that stand for similar work can take each other's place; their sum is what counts. Those in use were fitted to two
earlier runs on a busy machine, hence they are rather too large; this run was not used.

{rates}

## How cost grows

With $r = \\min(n, p)$, $R$ replicates and $m$ penalties, each width of the sweep takes

$$R\\,\\bigl[n p r + \\tfrac43 r^3 + 2 N p d + p^2 d + \\tfrac12 p^2 \\kappa + m\\,(4 r^2 + 2 N p + p^2)\\bigr]$$

flops, $N$ all points (training, validation and test) and $\\kappa$ the price of an entry of the feature covariance, as
much as about 300 flops of a product.

- **Replicates**: exponent 1, in seconds and in bytes; no job but `p5_double_descent` takes more memory.
- **Widths**: exponent 1 in their number, at the same range.
- **Penalties**: nearly free in seconds, since one reduction serves all; exponent 1 in bytes of `fits.csv`.
- **n**: below $p$ between 2 ($n p r$) and 3 ($\\frac43 r^3$), and less where the feature covariance is most;
  above $p$ 1.
- **p**: below $n$ between 2 and 3; above it 1, then 2, where the feature covariance is more than the Gram matrix: from
  about $p = n^2 / 180$.
- **Auxiliary replicates**: each width takes $p^2 r + 2 n p r + 2 r^3$ flops more, and $r^2$ steps of the eigenproblem:
  exponents 2 in $p$ and 1 in $n$ above $n$, up to 3 below. The term $p^2 r$, what label noise adds to the risk,
  is the largest in the large study.
- **Memory**: $8\\,(N p + 2 r^2)$ bytes for the sweep, $8\\,(N p + 2 r^2 + \\max(2 r^2, p r))$ for the auxiliary
  replicates, and $8\\,(80\\,R + 24{{,}}000)$ a width for `p5_double_descent`, which has the choices of all replicates
  and 4,000 resampled curves at once; each of them and 160 MiB for the interpreter and its libraries.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(in_this_process(*json.loads(options.one))))
    else:
        if not options.page:
            measure().to_csv(TABLE, index=False, float_format="%.4g", lineterminator="\n")
        PAGE.write_text(page(pd.read_csv(TABLE)), encoding="utf-8")
