"""Problem 5: random-feature ridge regression over all widths, with the penalty fixed and tuned; tables and claims."""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

import p5_auxiliary
import p5_course
import p5_theory
from hw6 import double_descent as dd
from p5_claims import findings, theorems
from p5_decisions import decisions_table, measure
from p5_sweep import FIXED, fits_table, one_by_one, penalties, validated, widths
from pipeline.claims import claims_table
from pipeline.grid import nearest, number_of_penalties, rows_of_a_replicate
from pipeline.jobs import job_log
from pipeline.tables import read_blocks, read_numbers, write_table

AUXILIARY = ("decomposition", "selection", "samples", "nested", "checks")
THEORY = ("theory", "theory_grid", "baselines")
RISK_GRID = ["n_features", "lambda", "risk_mean", "risk_se", "risk_theory"]  # columns


def study(**config):
    """All tables of problem 5 for one block ``double_descent`` of the configuration, by name, made in this process."""
    others = p5_theory.study(**config) | p5_auxiliary.study(**config) | p5_course.study()
    fits = (fits_table(config, replicate) for replicate in range(config["replicates"]))
    return others | tables_of(config, fits, others)


def tables_of(config, fits, others):
    """The tables that the fits, one table a replicate, and the tables of the other scripts give."""
    tables, risks, weights = digest(config, one_by_one(config, fits))
    tables["risk_grid"] = others["theory_grid"].assign(**tables["risk_grid"])[RISK_GRID]
    tables["parts"] = parts_table(others["decomposition"], config["n_train"])
    tables["choices"] = choices_table(config, tables["tuned_lambda"])
    tables["summary"] = summary_table(tables["test_error"], others["theory"])
    tables["curves"] = curves_table(tables["summary"])
    tables["constants"] = constants_table(tables["tuned_lambda"], config)
    measured = measure(config, risks, tables | others)
    outcomes = claims_table(theorems(config, weights, others) + findings(config, measured, tables | others))
    return tables | {"decisions": decisions_table(measured), "claims": outcomes}


def digest(config, fits):
    """What is kept of the fits, of which one replicate at a time is in memory.

    Returns the tables ``test_error`` and ``tuned_lambda``, and for ``risk_grid`` two columns, the mean of the risk over
    the replicates and its standard error; the risks {tuning: (replicates, widths)}; |W|^2 (replicates, widths).
    """
    errors, tuned, weights, risk = [], [], [], Moments()
    for replicate, table in enumerate(fits):
        arrays = fit_arrays(config, table)
        chosen = chosen_positions(arrays["excess"])
        errors.append(test_error_table(config, replicate, arrays, chosen))
        tuned.append(tuned_lambda_table(config, replicate, arrays))
        weights.append(arrays["weights"][:, FIXED])
        risk.add(arrays["risk"][:, 1:].ravel())
    errors = pd.concat(errors, ignore_index=True)
    risks = {
        tuning: errors.loc[errors["tuning"] == tuning, "risk"].to_numpy().reshape(len(tuned), -1)
        for tuning in ("fixed", "validated")
    }
    grid = {"risk_mean": risk.mean(), "risk_se": risk.standard_error()}
    tables = {"test_error": errors, "tuned_lambda": pd.concat(tuned, ignore_index=True), "risk_grid": grid}
    return tables, risks, np.stack(weights)


class Moments:
    """Mean and standard error of arrays that come one by one (Youngs and Cramer 1971)."""

    def __init__(self):
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values):
        """Take one more array into account."""
        if self.count:
            self.squares = self.squares + (values - self.mean()) ** 2 * self.count / (self.count + 1)
        self.total = self.total + values
        self.count += 1

    def mean(self):
        """Of the arrays until now."""
        return self.total / self.count

    def standard_error(self):
        """Of the mean; nan for a single array."""
        if self.count == 1:
            return np.full(np.shape(self.total), np.nan)
        return np.sqrt(self.squares / (self.count - 1) / self.count)


def fit_arrays(config, fits):
    """The columns of one replicate's fits as arrays (widths, penalties)."""
    shape = len(widths(config)), number_of_penalties(config)
    return {name: fits[name].to_numpy(dtype=float).reshape(shape) for name in fits.columns[3:]}


def chosen_positions(excess):
    """Position of the fixed and of the validated penalty at each width, by name."""
    best = np.apply_along_axis(validated, -1, excess)
    return {"fixed": np.full_like(best, FIXED), "validated": best}


def test_error_table(config, replicate, arrays, chosen):
    """A row: width x tuning, in one replicate."""
    rows = pd.MultiIndex.from_product(
        [[replicate], widths(config), list(chosen)], names=["replicate", "n_features", "tuning"]
    ).to_frame(index=False)
    positions = np.stack(list(chosen.values()), axis=1)
    errors = ("lambda", "train_mse", "validation_mse", "test_mse", "risk")
    return rows.assign(**{name: np.take_along_axis(arrays[name], positions, axis=1).ravel() for name in errors})


def tuned_lambda_table(config, replicate, arrays):
    """A row: width, in one replicate. ``margin`` is the runner-up's validation error less the chosen one's."""
    grid, rows = penalties(config)[1:], []
    for p, errors, excess in zip(widths(config), arrays["validation_mse"], arrays["excess"], strict=True):
        best, second = dd.choose(excess[1:])
        rows.append(
            {
                "replicate": replicate,
                "n_features": p,
                "lambda": grid[best],
                "validation_mse": errors[1 + best],
                "runner_up_lambda": np.nan if second is None else grid[second],
                "margin": np.inf if second is None else excess[1 + second] - excess[1 + best],
                "at_grid_edge": best in (0, len(grid) - 1),
            }
        )
    return pd.DataFrame(rows)


def choices_table(config, tuned):
    """A row: width x lambda of the grid: how many replicates chose it."""
    cells = pd.MultiIndex.from_product([widths(config), penalties(config)[1:]], names=["n_features", "lambda"])
    counts = tuned.groupby(["n_features", "lambda"]).size().reindex(cells, fill_value=0)
    return counts.rename("replicates").reset_index()


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


if __name__ == "__main__":
    with job_log(snakemake):
        block = snakemake.params.study
        others = {name: read_numbers(snakemake.input[name]) for name in (*THEORY, *AUXILIARY, "course")}
        fits = read_blocks(snakemake.input.fits, rows_of_a_replicate(block))
        for name, table in tables_of(block, fits, others).items():
            write_table(table, snakemake.output[name])
