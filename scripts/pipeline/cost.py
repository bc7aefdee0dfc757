"""What problem 5 costs: seconds of one core and bytes of results, from the configuration before anything runs.

A fit is work of a few kinds, counted for each width, and each kind has a rate; docs/cost.md compares with
what was measured. ``study`` is the block ``double_descent``.
Every process of a run imports this: the standard library alone.
"""

import math
from typing import NamedTuple

from pipeline.grid import number_of_penalties, number_of_widths, rows_of_a_replicate, sample_sizes, width_range

HOUR = 3600.0  # seconds
SHORTEST, LONGEST = 10.0, 600.0  # seconds that a share of the replicates should take: twice its start, ten minutes
FEW = 10  # shares, if these take less than the longest


class Work(NamedTuple):
    """Amounts of each kind of work, or the seconds that a unit of each takes."""

    product: float  # flops of products of two large matrices
    thin: float  # flops of products with one column for each penalty
    reduction: float  # flops of the reduction to tridiagonal form
    beyond_cache: float  # the share of these flops whose matrix comes from memory
    vector: float  # r^2: what the reduction does once for each entry
    secular: float  # r^2: what the eigenproblem does once for each pair of eigenvalues
    kernel: float  # entries of the feature covariance
    entry: float  # entries of large matrices that are gone through apart from products
    draw: float  # random numbers
    width: float  # fits: Python, and the calls of the libraries
    penalty: float  # rows: a fit and a penalty
    theory: float  # widths whose best penalty the theory gives


THEORY_CALL = 40  # widths that take as long as the first call of the theory
CACHED = 1500  # unknowns whose half Gram matrix the processor's cache holds
# From two runs on two cores of x86-64 with AVX-512, OpenBLAS on one thread; benchmarks/cost.py fits them anew.
RATES = Work(
    product=2.08e-11,
    thin=1.4e-11,
    reduction=8.5e-12,
    beyond_cache=6.5e-11,
    vector=3.6e-8,
    secular=9e-8,
    kernel=5.9e-9,
    entry=2.9e-9,
    draw=2.2e-8,
    width=2.27e-3,
    penalty=1.5e-5,
    theory=6e-3,
)
ROW_SECONDS = 1.4e-5  # that a row of fits takes after the sweep: merged, read again, summed up
FITS, TEST_ERROR, TUNED = 77, 57, 41  # bytes of a row of the tables fits, test_error and tuned_lambda
WIDTH = 400  # bytes of a width in the tables theory, decomposition, nested and summary
CELL = 72  # bytes of a width and a penalty of the grid in the tables theory_grid, risk_grid and choices
SMALL = 14_500  # bytes of the tables that no key lengthens


def sweep_seconds(study):
    """Core-seconds of one replicate of the sweep."""
    return seconds(sweep_work(study))


def closer_seconds(study):
    """Core-seconds of one auxiliary replicate: the closer fits, sample sizes, one matrix for all."""
    return seconds(closer_work(study))


def core_hours(study):
    """Core-hours of the sweep and of the auxiliary studies over all replicates, of the rest, and of all: by name."""
    hours = {
        "sweep": study["replicates"] * sweep_seconds(study) / HOUR,
        "auxiliary": study["auxiliary_replicates"] * closer_seconds(study) / HOUR,
        "tables": study["replicates"] * rows_of_a_replicate(study) * ROW_SECONDS / HOUR,
    }
    return hours | {"all": sum(hours.values())}


def sweep_work(study):
    """The ``Work`` of one replicate of the sweep."""
    n, fresh, m = study["n_train"], study["n_validation"] + study["n_test"], number_of_penalties(study)
    fits = (fit_work(n, p, study["input_dim"], fresh, m) for p in width_range(study["n_features"]))
    return total(fits)


def closer_work(study):
    """The ``Work`` of one auxiliary replicate."""
    n, d, fresh, m = study["n_train"], study["input_dim"], study["n_validation"], number_of_penalties(study)
    every, (sizes, middle) = width_range(study["n_features"]), sample_sizes(study)
    closer = (total([fit_work(n, p, d, 2 * fresh, m + 1), extra_work(n, p, m + 1)]) for p in every)
    nested = (fit_work(n, p, d, fresh + 1, m) for p in every)
    samples = (fit_work(size, middle, d, fresh + 1, m) for size in sizes)
    found = total([*closer, *nested, *samples])
    return found._replace(theory=found.theory + THEORY_CALL)


def fit_work(n, p, d, fresh, m):
    """The ``Work`` of one fit of the sweep: n training and ``fresh`` other points, p features of d inputs, m penalties.

    With r = min(n, p): the features 2 (n + fresh) p d flops, their Gram matrix n p r, its reduction 4/3 r^3; for each
    penalty a rotation there and back, 4 r^2, predictions, 2 (n + fresh) p, and the form theta'M theta, p^2; half of M's
    p^2 entries, each an inner product of d and a kernel.
    """
    r, rows = float(min(n, p)), float(n + fresh)
    return Work(
        product=2 * rows * p * d + r * n * p + float(p) * p * d,
        thin=m * (4 * r * r + 2 * rows * p + float(p) * p),
        reduction=4 / 3 * r**3,
        beyond_cache=4 / 3 * r * max(0.0, r * r - CACHED**2),
        vector=r * r,
        secular=0.0,
        kernel=0.5 * p * p,
        entry=rows * p,
        draw=d * (p + rows),
        width=1.0,
        penalty=float(m),
        theory=0.0,
    )


def extra_work(n, p, m):
    """The ``Work`` of the extras of one fit: parts of the risk, leave-one-out, and how nearly theta is the minimiser.

    The eigenvectors take about r^3 flops and 2 r^3 to turn them; they meet F once, 2 n p r, and the feature covariance,
    p^2 r. Labels without noise, leave-one-out residuals and the gradient take thin products.
    """
    r = float(min(n, p))
    return Work(
        product=2 * r**3 + 2 * r * n * p + r * p * p,
        thin=m * (4 * r * r + 6.0 * n * p + float(p) * p),
        reduction=0.0,
        beyond_cache=0.0,
        vector=0.0,
        secular=r * r,
        kernel=0.0,
        entry=r * p,
        draw=0.0,
        width=1.0,
        penalty=float(m),
        theory=1.0,
    )


def total(works):
    """The sum of many ``Work``, kind by kind."""
    return Work(*map(sum, zip(*works, strict=True)))


def seconds(work):
    """Core-seconds that a ``Work`` takes."""
    return sum(amount * rate for amount, rate in zip(work, RATES, strict=True))


def result_bytes(study):
    """Bytes of the tables of problem 5, by group; figures are no part of it.

    ``fits``: every fit; ``replicates``: the two other tables with rows for each replicate; ``summaries``: all
    else, which is all that stays if ``keep`` says so.
    """
    widths, grid = number_of_widths(study["n_features"]), study["lambda_grid"]["count"]
    choices = study["replicates"] * widths
    return {
        "fits": FITS * study["replicates"] * rows_of_a_replicate(study),
        "replicates": choices * (2 * TEST_ERROR + TUNED),
        "summaries": SMALL + widths * (WIDTH + CELL * grid),
    }


def shares(replicates, seconds):
    """Among how many jobs the replicates, each of so many seconds, are shared out.

    Among ten, or fewer if the jobs were as short as their start, or more if they were long; none has half a replicate.
    """
    few = min(FEW, int(replicates * seconds / SHORTEST))
    many = math.ceil(replicates / max(1, int(LONGEST / seconds)))
    return max(1, min(replicates, max(few, many)))


def minutes(seconds):
    """What a scheduler is asked for: the start, and the time on a machine that is a third as fast."""
    return 10 + 3 * seconds / 60
