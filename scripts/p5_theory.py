"""Problem 5, the theory: the deterministic equivalent of the risk at every width and penalty, and its limits."""

import numpy as np
import pandas as pd

from hw6 import random_features_theory as rft
from p5_sweep import FIXED, penalties, widths
from pipeline.jobs import job_log
from pipeline.tables import write_table

LOWEST, HIGHEST = 1e-6, 1e6  # penalties between which the one is sought from which on the curve falls
STEPS = 20  # halvings of that range in the logarithm


def study(**config):
    """The tables ``theory``, ``theory_grid`` and ``baselines`` for the block ``double_descent``."""
    p, lambdas = np.array(widths(config)), penalties(config)
    given = config["input_dim"], config["n_train"], config["noise_std"]
    optimal, lowest = rft.optimal_lambda(p, *given)
    fixed = rft.risk_parts(p, lambdas[FIXED], *given)
    best = rft.risk_parts(p, optimal, *given)
    return {
        "theory": pd.DataFrame(
            {
                "n_features": p,
                "risk_fixed": fixed.noise + fixed.bias,
                "noise_fixed": fixed.noise,
                "bias_fixed": fixed.bias,
                "lambda_optimal": optimal,
                "risk_optimal": lowest,
                "noise_optimal": best.noise,
                "bias_optimal": best.bias,
            }
        ),
        "theory_grid": grid_table(p, lambdas[1:], given),
        "baselines": baselines_table(p, lambdas, optimal, lowest, given),
    }


def grid_table(p, grid, given):
    """A row: width x lambda of the grid."""
    pairs = pd.MultiIndex.from_product([p, grid], names=["n_features", "lambda"]).to_frame(index=False)
    return pairs.assign(risk_theory=rft.risk(pairs["n_features"].to_numpy(), pairs["lambda"].to_numpy(), *given))


def baselines_table(p, lambdas, optimal, lowest, given):
    """A row: one number of the theory. A fixed penalty of ``falls_from`` has a falling curve, ``rises_at`` has not."""
    input_dim, n_train, _ = given
    below, above = falling_threshold(p, given)
    kernel_lambda, kernel_risk = rft.optimal_lambda(np.inf, *given)
    tried = np.column_stack([np.tile(lambdas, (len(p), 1)), optimal])
    noise = rft.risk_parts(p[:, None], tried, input_dim, n_train, 1.0).noise  # of label noise of unit variance
    values = {
        "null_risk": rft.NULL_RISK,
        "linear_risk": rft.linear_risk(*given),
        "kernel_risk": kernel_risk,
        "kernel_lambda": kernel_lambda,
        "rises_at": below,
        "falls_from": above,
        "steps": len(p) - 1,
        "largest_step": np.max(np.diff(lowest)) if len(p) > 1 else np.nan,
        "noise_cap_used": np.max(noise * 8.0 * tried / input_dim),
        "relative_error": rft.RELATIVE_ERROR / input_dim,
    }
    return pd.DataFrame({"quantity": list(values), "value": [float(value) for value in values.values()]})


def falls(p, lam, given):
    """Whether the risk at a fixed penalty falls at every step from width to width."""
    return bool(np.all(np.diff(rft.risk(p, lam, *given)) < 0))


def falling_threshold(p, given):
    """Penalties (below, above) of two digits, next to each other: the curve falls at every step at the second only.

    Bisection; (nan, nan) for a single width, or where no such pair is found.
    """
    below, above = LOWEST, HIGHEST
    if len(p) == 1 or falls(p, below, given) or not falls(p, above, given):
        return np.nan, np.nan
    for _ in range(STEPS):
        middle = np.sqrt(below * above)
        below, above = (below, middle) if falls(p, middle, given) else (middle, above)
    unit = 10.0 ** (np.floor(np.log10(above)) - 1.0)
    below, above = unit * np.floor(above / unit), unit * np.ceil(above / unit)
    return (below, above) if falls(p, above, given) and not falls(p, below, given) else (np.nan, np.nan)


if __name__ == "__main__":
    with job_log(snakemake):
        for name, table in study(**snakemake.params.study).items():
            write_table(table, snakemake.output[name])
