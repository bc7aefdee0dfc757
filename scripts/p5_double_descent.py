"""Problem 5: random-feature ridge regression over all widths, with the penalty fixed and tuned; tables and claims."""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

import p5_auxiliary
import p5_course
import p5_theory
from hw6 import double_descent as dd
from p5_auxiliary import nearest
from p5_claims import findings, theorems
from p5_decisions import decisions_table, measure
from p5_sweep import COLUMNS, FIXED, fits_table, penalties, validated, widths
from pipeline.claims import claims_table
from pipeline.jobs import job_log
from pipeline.tables import read_numbers, write_table

AUXILIARY = ("decomposition", "selection", "samples", "nested", "checks")
THEORY = ("theory", "theory_grid", "baselines")


def study(**config):
    """All tables of problem 5 for one block ``double_descent`` of the configuration, by name, made in this process."""
    others = p5_theory.study(**config) | p5_auxiliary.study(**config) | p5_course.study()
    return others | tables_of(config, fits_table(config, range(config["replicates"])), others)


def tables_of(config, fits, others):
    """The tables that ``fits`` and the tables of the other scripts give.

    Between these every fit is an entry of arrays of shape (replicates, widths, penalties).
    """
    arrays = fit_arrays(config, fits)
    chosen = chosen_positions(arrays["excess"])
    tables = {
        "test_error": test_error_table(config, arrays, chosen),
        "tuned_lambda": tuned_lambda_table(config, arrays),
        "risk_grid": risk_grid_table(config, arrays, others["theory_grid"]),
        "parts": parts_table(others["decomposition"], config["n_train"]),
    }
    tables["summary"] = summary_table(tables["test_error"], others["theory"])
    tables["curves"] = curves_table(tables["summary"])
    tables["constants"] = constants_table(tables["tuned_lambda"], config)
    risks = {tuning: at(arrays["risk"], k) for tuning, k in chosen.items()}
    measured = measure(config, risks, tables | others)
    outcomes = claims_table(theorems(config, arrays, others) + findings(config, measured, tables | others))
    return tables | {"decisions": decisions_table(measured), "claims": outcomes}


def fit_arrays(config, fits):
    """The long table's columns as arrays (replicates, widths, penalties); ValueError if a fit is missing."""
    shape = config["replicates"], len(widths(config)), 1 + config["lambda_grid"]["count"]
    fits = fits.sort_values(["replicate", "n_features", "position"])
    keys = pd.MultiIndex.from_product([range(shape[0]), widths(config), range(shape[2])])
    if len(fits) != len(keys) or (fits[["replicate", "n_features", "position"]].to_numpy() != list(keys)).any():
        raise ValueError(f"the {len(fits)} fits are not those of all {shape} replicates, widths and penalties")
    return {name: fits[name].to_numpy(dtype=float).reshape(shape) for name in COLUMNS[3:]}


def chosen_positions(excess):
    """Positions (replicates, widths) of the fixed and of the validated penalty, by name."""
    best = np.apply_along_axis(validated, -1, excess)
    return {"fixed": np.full_like(best, FIXED), "validated": best}


def at(values, positions):
    """The entries of values (replicates, widths, penalties) at positions (replicates, widths)."""
    return np.take_along_axis(values, positions[..., None], axis=-1)[..., 0]


def test_error_table(config, arrays, chosen):
    """A row: replicate x width x tuning."""
    errors = ("lambda", "train_mse", "validation_mse", "test_mse", "risk")
    rows = pd.MultiIndex.from_product(
        [range(config["replicates"]), widths(config), list(chosen)], names=["replicate", "n_features", "tuning"]
    ).to_frame(index=False)
    found = {
        name: np.stack([at(arrays[name], positions) for positions in chosen.values()], axis=-1).ravel()
        for name in errors
    }
    return rows.assign(**found)


def tuned_lambda_table(config, arrays):
    """A row: replicate x width. ``margin`` is the runner-up's validation error less the chosen one's."""
    grid, rows = penalties(config)[1:], []
    for replicate, of_widths in enumerate(arrays["validation_mse"][:, :, 1:]):
        for p, errors, excess in zip(widths(config), of_widths, arrays["excess"][replicate, :, 1:], strict=True):
            best, second = dd.choose(excess)
            rows.append(
                {
                    "replicate": replicate,
                    "n_features": p,
                    "lambda": grid[best],
                    "validation_mse": errors[best],
                    "runner_up_lambda": np.nan if second is None else grid[second],
                    "margin": np.inf if second is None else excess[second] - excess[best],
                    "at_grid_edge": best in (0, len(grid) - 1),
                }
            )
    return pd.DataFrame(rows)


def risk_grid_table(config, arrays, theory_grid):
    """A row: width x lambda of the grid. The risk's mean over the replicates and its standard error, and the theory."""
    risk = arrays["risk"][:, :, 1:]
    table = theory_grid.assign(risk_mean=risk.mean(axis=0).ravel(), risk_se=standard_error(risk).ravel())
    return table[["n_features", "lambda", "risk_mean", "risk_se", "risk_theory"]]


def standard_error(values):
    """Of the mean over the first axis; nan for a single value."""
    if len(values) == 1:
        return np.full(values.shape[1:], np.nan)
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


def summary_table(errors, theory):
    """A row: width x tuning. Means over replicates and Student's 95 % intervals, empty for a single replicate.

    The theory of the row ``validated`` is the risk at the theory's own best penalty.
    """
    groups = errors.groupby(["n_features", "tuning"])
    table = groups.size().rename("replicates").reset_index()
    replicates = int(table["replicates"].iloc[0])
    quantile = stdtrit(replicates - 1, 0.975) if replicates > 1 else np.nan
    for name in ("risk", "test_mse"):
        mean = groups[name].mean().to_numpy()
        half = quantile * groups[name].std().to_numpy() / np.sqrt(replicates)
        table[f"{name}_mean"], table[f"{name}_low"], table[f"{name}_high"] = mean, mean - half, mean + half
        if name == "risk":
            table["risk_theory"] = theory[["risk_fixed", "risk_optimal"]].to_numpy().ravel()
    return table


def curves_table(summary):
    """A row: quantity x tuning. The largest rise of the curve over the widths, and where it starts and ends."""
    rows = []
    for quantity in ("risk", "test_mse"):
        for tuning, curve in summary.groupby("tuning"):
            values, p = curve[f"{quantity}_mean"].to_numpy(), curve["n_features"].to_numpy()
            rise, start, end = dd.largest_rise(values)
            ends = {"from_n_features": p[start], "from_value": values[start]}
            ends |= {"to_n_features": p[end], "to_value": values[end], "last_value": values[-1]}
            rows.append({"quantity": quantity, "tuning": tuning, "rise": rise} | ends)
    return pd.DataFrame(rows)


def parts_table(decomposition, n_train):
    """A row: one of a few widths around n_train; the parts of the risk for both tunings (means over replicates)."""
    p = decomposition["n_features"].unique()
    wanted = [n_train / 6, n_train / 2, 0.9 * n_train, n_train, 1.1 * n_train, 2 * n_train, p[-1]]
    rows = decomposition[decomposition["n_features"].isin({nearest(p, goal) for goal in wanted})]
    rows = rows.set_index(["n_features", "tuning"])
    fixed, tuned = rows.xs("fixed", level="tuning"), rows.xs("validated", level="tuning")
    return pd.DataFrame(
        {
            "n_features": fixed.index,
            "smallest_eigenvalue": fixed["smallest_eigenvalue"].to_numpy(),
            "fixed_bias": fixed["bias"].to_numpy(),
            "fixed_noise": fixed["noise"].to_numpy(),
            "tuned_lambda": tuned["lambda"].to_numpy(),
            "tuned_bias": tuned["bias"].to_numpy(),
            "tuned_noise": tuned["noise"].to_numpy(),
        }
    )


def constants_table(tuned, config):
    """A row: one number that the report quotes."""
    common = tuned["lambda"].mode().iloc[0]
    cap = config["noise_std"] ** 2 * config["input_dim"] / 8
    values = {
        "widths": tuned["n_features"].nunique(),
        "fits": len(tuned),
        "common_lambda": common,
        "common_lambda_fits": int((tuned["lambda"] == common).sum()),
        "at_grid_edge": int(tuned["at_grid_edge"].sum()),
        "noise_cap_fixed": cap / config["fixed_lambda"],
        "noise_cap_common": cap / common,
        "eigenvalue_sum": config["n_train"] * config["input_dim"] / 2,
        "test_error_spread": np.sqrt(2 / config["n_test"]),
    }
    return pd.DataFrame({"quantity": list(values), "value": [float(value) for value in values.values()]})


def read_parts(paths):
    """The tables of all shares, one below the other; a share without replicates has only a header."""
    parts = [read_numbers(path) for path in paths]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


if __name__ == "__main__":
    with job_log(snakemake):
        others = {name: read_numbers(snakemake.input[name]) for name in (*THEORY, *AUXILIARY, "course")}
        for name, table in tables_of(snakemake.params.study, read_parts(snakemake.input.fits), others).items():
            write_table(table, snakemake.output[name])
