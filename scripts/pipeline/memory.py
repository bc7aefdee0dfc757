"""What the largest job will need of memory, estimated from the configuration before anything runs."""

import os
import resource

BASE = 300 * 2**20  # bytes: the interpreter with its libraries
ADDRESSES = 5 * 2**29  # bytes of addresses that a process takes before it computes: libraries, stacks of threads
SHARE = 0.8  # of the machine's memory that one job may plan with
BYTES = 8  # of a float64
PANEL = 128  # rows of the feature covariance that are formed at a time
PER_PENALTY = 40  # numbers that are kept of one width and one penalty
PER_ROW = 60  # numbers' worth of bytes that one row takes while tables are made


def double_descent_bytes(study):
    """Peak bytes of problem 5: the matrices of the largest width, and what is kept of all fits.

    study: the block ``double_descent``. With r = min(n, p) the largest width holds the features of all inputs, the
    columns that meet the feature covariance (r, and two for each penalty) twice, two panels of that covariance, and
    four r x r matrices inside the eigendecomposition.
    """
    n, p, penalties = study["n_train"], largest_width(study["n_features"]), study["lambda_grid"]["count"] + 1
    r, inputs = min(n, p), n + study["n_validation"] + study["n_test"]
    matrices = inputs * p + 2 * p * (r + 2 * penalties) + 4 * r * r + 2 * PANEL * p
    matrices = max(matrices, sample_size_matrices(study, n, penalties))
    fits = number_of_widths(study["n_features"]) * study["replicates"]
    kept = fits * (PER_PENALTY * penalties + 2 * PER_ROW)
    return BASE + BYTES * (matrices + kept)


def sample_size_matrices(study, n, penalties):
    """Float64 numbers in the study of sample sizes: up to 3 p and 4 n samples at the width p nearest n."""
    smallest, step = study["n_features"]["start"], study["n_features"]["step"]
    p = min(largest_width(study["n_features"]), smallest + max(0, n - smallest + step // 2) // step * step)
    samples = min(3 * p, 4 * n)
    r = min(samples, p)
    return (samples + study["n_validation"] + study["n_test"]) * p + 2 * p * penalties + 4 * r * r + 2 * PANEL * p


def number_of_widths(widths):
    """How many widths start, start + step, ..., stop are."""
    return max(0, (widths["stop"] - widths["start"]) // widths["step"] + 1)


def largest_width(widths):
    """The last of start, start + step, ..., stop."""
    return widths["start"] + (number_of_widths(widths) - 1) * widths["step"]


def allowed_bytes():
    """Bytes that one job may plan with, and in words what limits them."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit + BASE - ADDRESSES < SHARE * physical_bytes():
        return max(0, limit + BASE - ADDRESSES), "under the limit on addresses (ulimit -v)"
    return SHARE * physical_bytes(), "on this machine"


def physical_bytes():
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
