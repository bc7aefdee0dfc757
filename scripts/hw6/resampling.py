"""What a mean over independent replicates of a curve can decide: the bootstrap, whole replicates drawn together."""

import numpy as np

LEVEL = 0.95
RESAMPLES = 4000


def resampled_means(rng, curves, resamples=RESAMPLES):
    """Means of the curves (R, m) of R replicates, each drawn anew with replacement: shape (resamples, m).

    The points of a curve stay together, since they share their data.
    """
    replicates = len(curves)
    counts = rng.multinomial(replicates, np.full(replicates, 1.0 / replicates), size=resamples)
    return counts @ curves / replicates


def interval(values):
    """The central 95 % of resampled values."""
    low, high = np.quantile(values, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return float(low), float(high)


def rises(curves):
    """max over i <= j of value_j - value_i, and value_j over value_i there, for each curve (k, m): two arrays (k,)."""
    lowest = np.minimum.accumulate(curves, axis=1)
    last = np.argmax(curves - lowest, axis=1)[:, None]
    high, low = np.take_along_axis(curves, last, axis=1)[:, 0], np.take_along_axis(lowest, last, axis=1)[:, 0]
    return high - low, high / np.maximum(low, 1e-300)


def simultaneous_bounds(rng, values):
    """Half-widths of intervals around the means of the columns of values (R, m) that hold together: 95 % of all draws.

    Returns (two-sided, one-sided, upwards), each (m,): standard errors times the 95 % point of the largest deviation,
    in standard errors, of a resampled mean from the mean.
    """
    error = np.maximum(values.std(axis=0, ddof=1) / np.sqrt(len(values)), 1e-300)
    deviation = (resampled_means(rng, values) - values.mean(axis=0)) / error
    two_sided, one_sided = np.max(np.abs(deviation), axis=1), np.max(deviation, axis=1)
    return np.quantile(two_sided, LEVEL) * error, np.quantile(one_sided, LEVEL) * error
