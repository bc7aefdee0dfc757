"""Problem 5, what a few replicates show more closely: the parts of the risk, ways to tune, sample size, one matrix W.

The project's solution is compared with other ways to the same numbers, too (``checks``).
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from hw6 import double_descent as dd
from hw6 import random_features_theory as rft
from p5_closer import TABLES, optimal_penalties, without_test
from p5_sweep import FIXED, draw, penalties, validated, widths
from pipeline.claims import stays_under
from pipeline.grid import nearest, sample_sizes
from pipeline.jobs import job_log
from pipeline.tables import read_numbers, write_table

METHODS = ("validation", "validation_noisy", "leave_one_out", "gcv", "oracle_draw", "oracle_mean")
TUNINGS = ("fixed", "tuned")
BOUNDED = ("noise_cap_used", "risk")  # the checks whose values are no rounding errors
ROUNDING = 1e-9  # below this a discrepancy is the processor's
CHECK_ROWS = 300  # what the independent solutions are asked to solve at most
CHECK_FEATURES = 700
CHECK_REFITS = 40  # samples that are left out one by one, and features of these fits, at most
HARD = 1e6  # condition number beyond which an error may grow in proportion


def study(**config):
    """The tables of this script for the block ``double_descent``, by name, made in this process."""
    block = without_test(config)
    replicates = range(block["auxiliary_replicates"])
    return tables_of(block, {name: pd.concat(table(block, k) for k in replicates) for name, table in TABLES.items()})


def tables_of(config, found):
    """The tables ``decomposition``, ``selection``, ``samples``, ``nested`` and ``checks``.

    found: what all shares of the replicates found, a table for each name of ``p5_closer.TABLES``.
    """
    fits, optimal = fits_of(found["closer"]), optimal_penalties(config)
    return {
        "decomposition": decomposition_table(config, fits, optimal),
        "selection": selection_table(config, fits, optimal),
        "samples": samples_table(config, found["samples"]),
        "nested": nested_table(found["nested"]),
        "checks": checks_table(config, fits),
    }


def fits_of(closer):
    """{(replicate, width): ``Fit``} of the rows that stand for their penalties; the scalars stand in each row."""
    return {
        place: dd.Fit(**{name: rows[name].to_numpy() for name in dd.Fit._fields})._replace(
            **{name: float(rows[name].iloc[0]) for name in ("weights", "smallest")}
        )
        for place, rows in closer.groupby(["replicate", "n_features"])
    }


def decomposition_table(config, fits, optimal):
    """A row: width x tuning. ``noise`` is the label noise's part of the mean risk, ``bias`` the rest.

    Means over the replicates, the penalty's median. The theory of the row ``validated`` is at its own best penalty.
    """
    lambdas, noise_std = penalties(config), config["noise_std"]
    chosen = {"fixed": lambda fit: FIXED, "validated": lambda fit: validated(fit.validation_mse[:-1])}
    rows = [
        {
            "n_features": p,
            "tuning": tuning,
            "lambda": lambdas[k],
            "noise": noise_std**2 * fit.noise[k],
            "bias": fit.bias[k],
            "smallest_eigenvalue": fit.smallest,
        }
        for (_, p), fit in fits.items()
        for tuning, position in chosen.items()
        for k in [position(fit)]
    ]
    groups = pd.DataFrame(rows).groupby(["n_features", "tuning"])
    table = groups[["noise", "bias", "smallest_eigenvalue"]].mean().join(groups["lambda"].median()).reset_index()
    p, fixed = table["n_features"].to_numpy(), table["tuning"].to_numpy() == "fixed"
    lam = np.where(fixed, config["fixed_lambda"], np.repeat(optimal, 2))
    theory = rft.risk_parts(p, lam, config["input_dim"], config["n_train"], noise_std)
    table = table.assign(noise_theory=theory.noise, bias_theory=theory.bias)
    return table[
        ["n_features", "tuning", "lambda", "noise", "bias", "noise_theory", "bias_theory", "smallest_eigenvalue"]
    ]


def selection_table(config, fits, optimal):
    """A row: a way to choose the penalty. The risk at its choice; by how much it exceeds the draw's least, relatively.

    Means over replicates and widths. The interval of the excess, and that of its difference from the validation set's,
    is Student's over the replicates.
    """
    replicates, grid = config["auxiliary_replicates"], penalties(config)[1:]
    rows = {method: [] for method in METHODS}
    for (replicate, p), fit in fits.items():
        risk = fit.risk[1:]  # of the grid and the theory's penalty
        picks = {
            "validation": validated(fit.validation_mse[:-1]) - 1,
            "validation_noisy": validated(fit.test_mse[:-1]) - 1,
            "leave_one_out": validated(fit.left_out_mse[:-1]) - 1,
            "gcv": validated(fit.gcv[:-1]) - 1,
            "oracle_draw": int(np.argmin(risk[:-1])),
            "oracle_mean": len(grid),
        }
        for method, k in picks.items():
            least = risk[:-1].min()
            excess = risk[k] / least - 1.0 if least > 0 else np.nan
            rows[method].append((replicate, p, risk[k], excess, optimal_or(grid, k, optimal, p, config)))
    tables = {name: pd.DataFrame(r, columns=["replicate", "p", "risk", "excess", "lambda"]) for name, r in rows.items()}
    excess = {name: table.groupby("replicate")["excess"].mean().to_numpy() for name, table in tables.items()}
    summary = []
    for name, table in tables.items():
        low, high = student_interval(excess[name])
        below, above = student_interval(excess[name] - excess["validation"])
        summary.append(
            {
                "method": name,
                "replicates": replicates,
                "risk_mean": table["risk"].mean(),
                "excess_mean": excess[name].mean(),
                "excess_low": low,
                "excess_high": high,
                "difference_low": below,
                "difference_high": above,
                "median_lambda": table["lambda"].median(),
            }
        )
    return pd.DataFrame(summary)


def optimal_or(grid, k, optimal, p, config):
    """The penalty at position k of the grid, or the theory's for width p behind it."""
    return grid[k] if k < len(grid) else optimal[widths(config).index(p)]


def student_interval(values):
    """The 95 % interval of the mean of independent values; (nan, nan) for fewer than two."""
    if len(values) < 2:
        return np.nan, np.nan
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def samples_table(config, found):
    """A row: sample size x tuning, at one width; means over the replicates.

    ``tuned``: the penalty of the grid by validation; in theory the best one of the grid.
    """
    sizes, p = sample_sizes(config)
    sizes, lambdas, d = np.array(sizes), penalties(config), config["input_dim"]
    table = found.groupby(["n_train", "tuning"], as_index=False)["risk"].mean().rename(columns={"risk": "risk_mean"})
    table.insert(1, "n_features", p)
    fixed = rft.risk(p, lambdas[FIXED], d, sizes, config["noise_std"])
    best = rft.risk(p, lambdas[1:], d, sizes[:, None], config["noise_std"]).min(axis=1)
    return table.assign(risk_theory=np.column_stack([fixed, best]).ravel())


def nested_table(found):
    """A row: width. Means of the risk; ``step_*`` the mean and standard error of the step from the width before."""
    fixed, tuned = (found.pivot(index="replicate", columns="n_features", values=f"risk_{name}") for name in TUNINGS)
    steps = tuned.diff(axis=1)
    return pd.DataFrame(
        {
            "n_features": tuned.columns,
            "risk_fixed": fixed.mean().to_numpy(),
            "risk_tuned": tuned.mean().to_numpy(),
            "step_mean": steps.mean().to_numpy(),
            "step_se": steps.std().to_numpy() / np.sqrt(len(steps)),
        }
    )


def checks_table(config, fits):
    """A row: a quantity that a theorem bounds, as found in the fits or by other ways to the same numbers."""
    every = list(fits.values())
    values = {
        "slope": max(float(np.max(fit.slope / np.maximum(1.0, fit.condition / HARD))) for fit in every),
        "noise_cap_used": max(float(np.max(fit.noise / fit.noise_cap)) for fit in every),
        "backward_step": max(backward_step(fit) for fit in every),
    } | independent_checks(config, fits)
    values |= {name: stays_under(value, ROUNDING) for name, value in values.items() if name not in BOUNDED}
    return pd.DataFrame({"quantity": list(values), "value": list(values.values())})


def backward_step(fit):
    """Largest relative step of the training error downwards, or of |theta| upwards, along the ascending grid."""
    errors, sizes = fit.train_mse[1:-1], fit.size[1:-1]
    falls, grows = -np.diff(errors) / errors[-1], np.diff(sizes) / max(sizes.max(), 1e-300)
    largest = np.max(np.concatenate([falls, grows]), initial=0.0)
    return float(largest / max(1.0, fit.condition[1] / HARD))


def independent_checks(config, fits):
    """Largest discrepancies between the project's solution and other ways to the same numbers, at a few widths."""
    data, streams = draw(config, 0)
    all_widths, lambdas, n = widths(config), penalties(config), config["n_train"]
    worst = dict.fromkeys(("solver", "scaling", "noise", "risk", "choice", "left_out"), 0.0)
    tried = {all_widths[0], *(nearest(all_widths, share * n) for share in (0.9, 1.0, 2.0)), all_widths[-1]}
    for p in sorted(tried):
        weights, fit = dd.draw_weights(streams, p, config["input_dim"]), fits[0, p]
        positions = [FIXED, validated(fit.validation_mse[:-1])]
        both = lambdas[positions]
        theta = dd.ridge(dd.factorise(dd.features(data.train_x, weights)), data.train_y, both)
        fresh = streams(dd.Stream.RISK_INPUTS, p)
        mean, error = dd.sampled_risk(fresh, theta, weights, data.beta, config["n_risk"])
        gaps = {
            "risk": float(np.max(np.abs(fit.risk[positions] - mean) / (error + 1e-12))),
            "choice": choice_gap(data, weights, lambdas[1:], both[1]),
            "left_out": left_out_gap(data, weights[:CHECK_REFITS], both),
        }
        x, y = data.train_x[:CHECK_ROWS], data.train_y[:CHECK_ROWS]
        for found in (gaps, *(solution_gaps(x, y, weights[:CHECK_FEATURES], lam) for lam in both)):
            worst |= {name: max(worst[name], gap) for name, gap in found.items()}
    print(f"checked against other solutions at p = {', '.join(map(str, sorted(tried)))}", flush=True)
    return worst


def choice_gap(data, weights, grid, tuned):
    """What the tuned penalty's validation error exceeds the grid's best by, in units of the labels' mean square."""
    f = dd.features(data.train_x, weights)
    solve = dd.ridge_primal if len(weights) <= len(f) else dd.ridge_dual
    theta = np.stack([solve(f, data.train_y, lam) for lam in [tuned, *grid]], axis=1)
    errors = dd.mean_squared_error(theta, weights, data.validation_x, data.validation_y)
    hard = max(1.0, np.sum(f**2) / grid[0] / HARD)  # the sum of squares bounds the largest eigenvalue
    return float((errors[0] - errors.min()) / np.mean(data.validation_y**2) / hard)


def left_out_gap(data, weights, lambdas):
    """Difference of the leave-one-out residuals from those of refits, in units of these or of the labels."""
    f, y = dd.features(data.train_x[:CHECK_REFITS], weights), data.train_y[:CHECK_REFITS]
    factors = dd.factorise(f)
    residual = dd.residuals(factors, dd.coefficients(factors, y[:, None], lambdas)[:, 0], y, lambdas)
    alone = dd.leave_one_out(factors, dd.spectrum(factors), residual, lambdas)
    kept = ~np.eye(len(y), dtype=bool)
    gaps = []
    for k, lam in enumerate(lambdas):
        refits = [y[i] - f[i] @ dd.ridge_least_squares(f[kept[i]], y[kept[i]], lam) for i in range(len(y))]
        hard = max(1.0, np.sum(f**2) / lam / HARD)
        gaps.append(np.linalg.norm(alone[:, k] - refits) / max(np.linalg.norm(y), np.linalg.norm(refits)) / hard)
    return float(max(gaps))


def solution_gaps(x, y, weights, lam):
    """Differences from independent computations: of the training predictions in units of the labels, of the noise part
    in units of its cap. Both grow with the condition number at most, and beyond ``HARD`` that growth is allowed.
    """
    f = dd.features(x, weights)
    factors = dd.factorise(f)
    theta = dd.ridge(factors, y, np.array([lam]))[:, 0]
    eigenpairs = dd.spectrum(factors)
    hard = max(1.0, (eigenpairs[0][-1] + lam) / lam / HARD)
    others = [solve(f, y, lam) for solve in (dd.ridge_least_squares, dd.ridge_primal, dd.ridge_dual)]
    p = len(weights)
    unscaled = dd.features(x, np.sqrt(p) * weights)  # standard normal weights, penalty p lam
    scaled = np.sqrt(p) * dd.ridge(dd.factorise(unscaled), y, np.array([p * lam]))[:, 0]
    forms = dd.covariance_forms(weights, dd.noise_basis(factors, eigenpairs))
    noise = dd.noise_part(eigenpairs, forms, np.array([lam]))[0]
    response = dd.ridge_primal(f, np.eye(len(x)), lam)  # theta for every unit label vector
    trace = float(np.sum(response * (dd.feature_covariance(weights, weights) @ response)))
    return {
        "solver": max(float(np.linalg.norm(f @ (theta - other))) for other in others) / np.linalg.norm(y) / hard,
        "scaling": float(np.linalg.norm(f @ (theta - scaled))) / np.linalg.norm(y) / hard,
        "noise": float(abs(noise - trace) / (np.sum(weights**2) / (8.0 * lam)) / hard),
    }


if __name__ == "__main__":
    with job_log(snakemake):
        parts = {name: map(read_numbers, snakemake.input[name]) for name in TABLES}
        found = {name: pd.concat(filter(len, tables), ignore_index=True) for name, tables in parts.items()}
        for name, table in tables_of(without_test(snakemake.params.study), found).items():
            write_table(table, snakemake.output[name])
