"""What the jobs of problem 5 need of memory, estimated from the configuration before anything runs.

``study`` is the block ``double_descent``: n training points, widths p, r = min(n, p). Each estimate is an upper bound
and at most about twice what was measured (docs/cost.md). Every process of a run imports this: the standard
library alone.
"""

import os
import resource

from pipeline.grid import largest_width, number_of_penalties, number_of_widths, rows_of_a_replicate, sample_sizes

BASE = 160 * 2**20  # bytes: the interpreter with its libraries
ADDRESSES = 5 * 2**29  # bytes of addresses that a process takes before it computes: libraries, stacks of threads
SHARE = 0.8  # of the machine's memory that one job may plan with
BYTES = 8  # of a float64
PANEL = 128  # rows of the feature covariance that are formed at a time
BATCH = 1000  # fresh inputs that are evaluated at a time
RESAMPLES = 4000  # curves of resampled means
FIT_ROW = 40  # numbers' worth of bytes that a row of fits takes while its replicate's table is made, written or read
CLOSER_ROW = 80  # the same for a row of the closer fits
CHOICE_ROW = 80  # the same for a width of a replicate in the tables that are kept of all replicates
REPLICATE = 7000  # the same for a replicate, whose tables are objects of their own for a while
THEORY_ROW = 40  # the same for a width and a penalty of the theory


def largest_bytes(study):
    """Peak bytes of the job of problem 5 that needs most, and its name; the number of shares plays no part."""
    estimates = {
        "p5_sweep": sweep_bytes(study),
        "p5_closer": closer_bytes(study),
        "p5_auxiliary": auxiliary_bytes(study),
        "p5_theory": theory_bytes(study),
        "p5_double_descent": double_descent_bytes(study),
    }
    name = max(estimates, key=estimates.get)
    return estimates[name], name


def sweep_bytes(study):
    """Of a share of the sweep: one replicate at a time, its largest width, and its rows."""
    n, p = study["n_train"], largest_width(study["n_features"])
    numbers = fit_numbers(study, n, p, study["n_validation"] + study["n_test"])
    return BASE + BYTES * (numbers + FIT_ROW * rows_of_a_replicate(study))


def merge_bytes(study):
    """Of the job that puts the fits of all shares into one table: a replicate's rows at a time."""
    return BASE + BYTES * FIT_ROW * rows_of_a_replicate(study)


def closer_bytes(study):
    """Of a share of the auxiliary replicates: the largest width with all extras, or a sample larger than n.

    While eigenvectors are made, four r x r matrices are there; later two, and either the columns that meet the feature
    covariance (p x r and some for each penalty) or, if p < n, F times the eigenvectors and its square.
    """
    n, p, m = study["n_train"], largest_width(study["n_features"]), number_of_penalties(study)
    r, fresh = min(n, p), 2 * study["n_validation"]
    covariance = p * (r + 4 * m) + 2 * PANEL * (p + r + m)
    wide = fit_numbers(study, n, p, fresh) + max(2 * r * r, covariance, 2 * n * r if p < n else 0)
    sizes, middle = sample_sizes(study)
    samples = fit_numbers(study, sizes[-1], middle, fresh)
    rows = CLOSER_ROW * number_of_widths(study["n_features"]) * (m + 1)
    return BASE + BYTES * (max(wide, samples) + rows)


def auxiliary_bytes(study):
    """Of the job that gathers the auxiliary replicates, and solves a few widths in other ways.

    Beside the rows of all these replicates: the features of the training points and of a batch of fresh ones, and three
    matrices of the textbook solve.
    """
    n, p = study["n_train"], largest_width(study["n_features"])
    r, batch = min(n, p), min(BATCH, study["n_risk"])
    rows = study["auxiliary_replicates"] * number_of_widths(study["n_features"]) * (number_of_penalties(study) + 1)
    return BASE + BYTES * ((2 * n + batch) * p + 3 * r * r + CLOSER_ROW * rows)


def theory_bytes(study):
    """Of the theory: its tables."""
    return BASE + BYTES * THEORY_ROW * rows_of_a_replicate(study)


def double_descent_bytes(study):
    """Of the job that sums up: the only one that grows with the replicates.

    One replicate's fits at a time; of every width of every replicate the errors under both tunings and the tuned
    penalty; and the resampled curves of both tunings with four arrays of the size of one of them.
    """
    widths = number_of_widths(study["n_features"])
    kept = study["replicates"] * (CHOICE_ROW * widths + REPLICATE)
    return BASE + BYTES * (FIT_ROW * rows_of_a_replicate(study) + kept + 6 * RESAMPLES * widths)


def fit_numbers(study, n, p, fresh):
    """Float64 numbers in one fit: the features of all points, the Gram matrix twice, and what each feature takes."""
    r, d, m = min(n, p), study["input_dim"], number_of_penalties(study)
    return (n + fresh) * (p + 3 * d) + 2 * r * r + p * (3 * d + 4 * m + 2 * PANEL)


def allowed_bytes():
    """Bytes that one job may plan with, and in words what limits them."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit + BASE - ADDRESSES < SHARE * physical_bytes():
        return max(0, limit + BASE - ADDRESSES), "under the limit on addresses (ulimit -v)"
    return SHARE * physical_bytes(), "on this machine"


def physical_bytes():
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
