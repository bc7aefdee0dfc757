"""Problem 5, what the replicates decide: each quantity with its 95 % interval, by resampling whole replicates."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hw6 import resampling
from p5_sweep import widths
from pipeline.grid import nearest

BOOTSTRAP = 1000  # where the streams have the replicate's number: no replicate has this one
BLOCK = 15  # neighbouring widths whose mean is compared with the next mean
NESTED_BLOCK = 5  # the same where one matrix serves all widths
ERRORS = 4  # standard errors that a mean may be away from the theory, the theory's own error apart


class Measured(NamedTuple):
    """A quantity, what it is in words, and its 95 % interval; nan where there is none."""

    statement: str
    measured: float
    low: float = np.nan
    high: float = np.nan


def decisions_table(measured):
    """A row: a quantity."""
    return pd.DataFrame(measured.values())


def measure(config, risks, tables):
    """The ``Measured`` quantities by name. risks: arrays (replicates, widths) for the tunings fixed and validated."""
    rng = np.random.default_rng([config["seed"], BOOTSTRAP])
    tunings = ("fixed", "validated")
    curves = np.concatenate([risks[name] for name in tunings], axis=1)
    enough = len(curves) > 1  # one replicate has no interval
    means = resampling.resampled_means(rng, curves) if enough else np.full((1, curves.shape[1]), np.nan)
    mean, resampled = (dict(zip(tunings, np.split(m, 2, axis=-1), strict=True)) for m in (curves.mean(axis=0), means))
    p = np.array(widths(config))
    return (
        peak_quantities(config, p, mean, resampled)
        | rise_quantities(mean, resampled)
        | block_quantities(rng, risks["validated"], tables["nested"])
        | step_quantities(rng, risks["validated"])
        | theory_quantities(risks["fixed"], tables)
    )


def bracketed(statement, value, resampled):
    """A ``Measured`` with the interval of its resampled values."""
    return Measured(statement, float(value), *resampling.interval(resampled))


def peak_quantities(config, p, mean, resampled):
    """Where the fixed curve is largest, and how large that is beside other places and beside the tuned curve."""
    fixed, again = mean["fixed"], resampled["fixed"]
    k, centre = int(np.argmax(fixed)), list(p).index(nearest(p, config["n_train"]))
    place = np.where(np.isnan(again[:, 0]), np.nan, p[np.argmax(again, axis=1)])
    last = np.maximum(again[:, -1], 1e-300)
    tuned, tuned_again = mean["validated"][centre], resampled["validated"][:, centre]
    return {
        "peak_place": bracketed("width at which the fixed curve is largest", p[k], place),
        "peak_height": bracketed(
            "fixed curve at the end of its largest rise over its start",
            resampling.rises(fixed[None])[1][0],
            resampling.rises(again)[1],
        ),
        "peak_over_last": bracketed(
            "largest value of the fixed curve over its last one",
            fixed[k] / max(fixed[-1], 1e-300),
            np.max(again, axis=1) / last,
        ),
        "fixed_over_tuned": bracketed(
            f"fixed over tuned at p = {p[centre]}",
            fixed[centre] / max(tuned, 1e-300),
            again[:, centre] / np.maximum(tuned_again, 1e-300),
        ),
        "last_tuned": bracketed(f"tuned at p = {p[-1]}", mean["validated"][-1], resampled["validated"][:, -1]),
    }


def rise_quantities(mean, resampled):
    """The largest rise from any width to any larger one; of the tuned curve only the upper end of the interval.

    A resampled curve is rougher than the mean curve, so that its largest rise is too large on average.
    """
    found = {name: resampling.rises(mean[name][None])[0][0] for name in mean}
    upper = resampling.interval(resampling.rises(resampled["validated"])[0])[1]
    return {
        "rise_fixed": bracketed(
            "largest rise of the fixed curve", found["fixed"], resampling.rises(resampled["fixed"])[0]
        ),
        "rise_validated": Measured("largest rise of the tuned curve", float(found["validated"]), high=upper),
    }


def blocks(curves, size):
    """Means of curves (..., m) over blocks of ``size`` or a few more neighbours: shape (..., number of blocks)."""
    parts = np.array_split(curves, max(curves.shape[-1] // size, 1), axis=-1)
    return np.stack([part.mean(axis=-1) for part in parts], axis=-1)


def block_quantities(rng, tuned, nested):
    """The largest step between means over blocks of neighbours; its high end bounds all steps together."""
    steps = np.diff(blocks(tuned, BLOCK), axis=1)
    apart = np.diff(blocks(nested["risk_tuned"].to_numpy(), NESTED_BLOCK))
    largest, high = np.nan, np.nan
    if steps.shape[1]:
        largest = float(steps.mean(axis=0).max())
        if len(steps) > 1:
            high = float(np.max(steps.mean(axis=0) + resampling.simultaneous_bounds(rng, steps)[1]))
    return {
        "block_steps": Measured(f"steps between blocks of {BLOCK} widths", steps.shape[1]),
        "largest_block_step": Measured(f"largest step between blocks of {BLOCK} widths, tuned", largest, high=high),
        "nested_block_steps": Measured(
            f"one matrix for all widths: steps between blocks of {NESTED_BLOCK}", len(apart)
        ),
        "nested_block_falls": Measured(
            f"one matrix for all widths: falling steps between blocks of {NESTED_BLOCK}", int(np.sum(apart < 0))
        ),
    }


def step_quantities(rng, tuned):
    """How many steps from a width to the next the replicates decide, by intervals that hold for all steps together."""
    steps = np.diff(tuned, axis=1)
    counts = {"down": np.nan, "up": np.nan, "undecided": np.nan}
    if len(steps) > 1 and steps.shape[1]:
        mean, half = steps.mean(axis=0), resampling.simultaneous_bounds(rng, steps)[0]
        down, up = int(np.sum(mean + half < 0)), int(np.sum(mean - half > 0))
        counts = {"down": down, "up": up, "undecided": len(mean) - down - up}
    return {
        f"steps_{name}": Measured(f"steps from a width to the next, tuned: {name}", count)
        for name, count in counts.items()
    }


def theory_quantities(fixed, tables):
    """How far the means are from the theory, as a share of what is allowed, and relative to the theory.

    fixed: the risks (replicates, widths) at the fixed penalty.
    """
    error = tables["baselines"].set_index("quantity").loc["relative_error", "value"]
    grid, theory = tables["risk_grid"], tables["theory"]["risk_fixed"].to_numpy()
    spread = fixed.std(axis=0, ddof=1) / np.sqrt(len(fixed)) if len(fixed) > 1 else np.full(len(theory), np.nan)
    compared = {
        "fixed": ("fixed penalty", fixed.mean(axis=0), spread, theory),
        "grid": ("penalties of the grid", *grid[["risk_mean", "risk_se", "risk_theory"]].to_numpy().T),
    }
    quantities = {}
    for name, (words, mean, se, expected) in compared.items():
        gap, allowed = np.abs(mean - expected), ERRORS * se + error * expected
        quantities[f"theory_{name}"] = Measured(
            f"{words}: largest distance from the theory, over {ERRORS} standard errors and the theory's error",
            float(np.max(gap / allowed)),
        )
        quantities[f"theory_{name}_relative"] = Measured(
            f"{words}: largest relative distance from the theory", float(np.max(gap / expected))
        )
    return quantities
