"""Problem 5: random-feature ridge regression over all widths, with the penalty fixed and tuned; tables and claims."""

import numpy as np
import pandas as pd

from hw6 import double_descent as dd
from pipeline.claims import claims_table, finding, stays_under, theorem
from pipeline.jobs import job_log
from pipeline.tables import write_table

FIXED = 0  # position of the fixed penalty; the grid follows
NORMAL_95 = 1.959964
BLOCK = 15  # neighbouring widths whose mean is compared with the next mean
CHECK_ROWS = 300  # what the independent solutions are asked to solve at most
CHECK_FEATURES = 700
HARD = 1e6  # condition number beyond which an error may grow in proportion


def study(**config):
    """All tables of problem 5 for one block ``double_descent`` of the configuration, by name."""
    widths = range(config["n_features"]["start"], config["n_features"]["stop"] + 1, config["n_features"]["step"])
    grid = config["lambda_grid"]
    lambdas = np.concatenate([[config["fixed_lambda"]], np.geomspace(grid["low"], grid["high"], grid["count"])])
    fits = {}
    for replicate in range(config["replicates"]):
        data, streams = draw(config, replicate)
        for p in widths:
            weights = dd.draw_weights(streams, p, config["input_dim"])
            fits[replicate, p] = dd.fit_width(data, weights, lambdas)
        print(f"replicate {replicate + 1} of {config['replicates']}: {len(widths)} widths fitted", flush=True)
    tables = {
        "test_error": test_error_table(fits, lambdas),
        "tuned_lambda": tuned_lambda_table(fits, lambdas),
        "decomposition": decomposition_table(fits, lambdas, config["noise_std"]),
        "risk_grid": risk_grid_table(fits, lambdas),
    }
    tables["summary"] = summary_table(tables["test_error"])
    tables["curves"] = curves_table(tables["summary"])
    tables["parts"] = parts_table(tables["decomposition"], config["n_train"])
    tables["constants"] = constants_table(tables["tuned_lambda"], config)
    checks = independent_checks(config, widths, lambdas, fits)
    claims = theorems(config, widths, fits, checks) + findings(config, tables)
    return tables | {"claims": claims_table(claims)}


def draw(config, replicate):
    """The data of a replicate, and its streams: the generator depends on seed, replicate, stream and width alone."""

    def streams(stream, *index):
        return np.random.default_rng([config["seed"], replicate, stream, *index])

    sizes = [config[name] for name in ("input_dim", "noise_std", "n_train", "n_validation", "n_test")]
    return dd.draw_data(streams, *sizes), streams


def chosen(fit):
    """Positions of the fixed and of the validated penalty, by name."""
    return {"fixed": FIXED, "validated": 1 + dd.choose(fit.validation_mse[1:])[0]}


def test_error_table(fits, lambdas):
    """A row: replicate x width x tuning."""
    errors = ("train_mse", "validation_mse", "test_mse", "risk")
    return pd.DataFrame(
        {"replicate": replicate, "n_features": p, "tuning": tuning, "lambda": lambdas[k]}
        | {name: getattr(fit, name)[k] for name in errors}
        for (replicate, p), fit in fits.items()
        for tuning, k in chosen(fit).items()
    )


def tuned_lambda_table(fits, lambdas):
    """A row: replicate x width. ``margin`` is the runner-up's validation error less the chosen one's."""
    rows = []
    for (replicate, p), fit in fits.items():
        grid, errors = lambdas[1:], fit.validation_mse[1:]
        best, second = dd.choose(errors)
        rows.append(
            {
                "replicate": replicate,
                "n_features": p,
                "lambda": grid[best],
                "validation_mse": errors[best],
                "runner_up_lambda": np.nan if second is None else grid[second],
                "margin": np.inf if second is None else errors[second] - errors[best],
                "at_grid_edge": best in (0, len(grid) - 1),
            }
        )
    return pd.DataFrame(rows)


def decomposition_table(fits, lambdas, noise_std):
    """A row: replicate x width x tuning. ``noise`` is the label noise's part of the mean risk, ``bias`` the rest."""
    return pd.DataFrame(
        {
            "replicate": replicate,
            "n_features": p,
            "tuning": tuning,
            "lambda": lambdas[k],
            "bias": fit.bias[k],
            "noise": noise_std**2 * fit.noise[k],
            "noise_cap": noise_std**2 * fit.noise_cap[k],
            "smallest_eigenvalue": fit.smallest,
        }
        for (replicate, p), fit in fits.items()
        for tuning, k in chosen(fit).items()
    )


def risk_grid_table(fits, lambdas):
    """A row: width x lambda of the grid; the risk's mean over the replicates."""
    rows = pd.DataFrame(
        {"n_features": p, "lambda": lam, "risk_mean": value}
        for (_, p), fit in fits.items()
        for lam, value in zip(lambdas[1:], fit.risk[1:], strict=True)
    )
    return rows.groupby(["n_features", "lambda"], as_index=False).mean()


def summary_table(errors):
    """A row: width x tuning. Means over replicates; 95 % intervals (normal) are empty for a single replicate."""
    groups = errors.groupby(["n_features", "tuning"])
    table = groups.size().rename("replicates").reset_index()
    for name in ("risk", "test_mse"):
        mean = groups[name].mean().to_numpy()
        half = NORMAL_95 * groups[name].std().to_numpy() / np.sqrt(table["replicates"])
        table[f"{name}_mean"], table[f"{name}_low"], table[f"{name}_high"] = mean, mean - half, mean + half
    return table.drop(columns="replicates")


def curves_table(summary):
    """A row: quantity x tuning. The largest rise of the curve over the widths, and where it starts and ends."""
    rows = []
    for quantity in ("risk", "test_mse"):
        for tuning, curve in summary.groupby("tuning"):
            values, widths = curve[f"{quantity}_mean"].to_numpy(), curve["n_features"].to_numpy()
            rise, start, end = dd.largest_rise(values)
            ends = {"from_n_features": widths[start], "from_value": values[start]}
            ends |= {"to_n_features": widths[end], "to_value": values[end], "last_value": values[-1]}
            rows.append({"quantity": quantity, "tuning": tuning, "rise": rise} | ends)
    return pd.DataFrame(rows)


def parts_table(decomposition, n_train):
    """A row: one of a few widths around n_train; the parts of the risk for both tunings (medians over replicates)."""
    widths = decomposition["n_features"].unique()
    wanted = [n_train / 6, n_train / 2, 0.9 * n_train, n_train, 1.1 * n_train, 2 * n_train, widths[-1]]
    rows = decomposition[decomposition["n_features"].isin({nearest(widths, goal) for goal in wanted})]
    rows = rows.drop(columns=["replicate", "noise_cap"]).groupby(["n_features", "tuning"]).median()
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
        "common_lambda": common,
        "common_lambda_fits": int((tuned["lambda"] == common).sum()),
        "at_grid_edge": int(tuned["at_grid_edge"].sum()),
        "noise_cap_fixed": cap / config["fixed_lambda"],
        "noise_cap_common": cap / common,
        "eigenvalue_sum": config["n_train"] * config["input_dim"] / 2,
        "test_error_spread": np.sqrt(2 / config["n_test"]),
    }
    return pd.DataFrame({"quantity": list(values), "value": [float(value) for value in values.values()]})


def nearest(widths, goal):
    """The width closest to the goal, the smaller of two."""
    return min(widths, key=lambda p: (abs(p - goal), p))


def independent_checks(config, widths, lambdas, fits):
    """Largest discrepancies between the project's solution and other ways to the same numbers, at a few widths."""
    data, streams = draw(config, 0)
    beta, n = data.beta, config["n_train"]
    worst = dict.fromkeys(("solver", "scaling", "noise", "risk", "choice"), 0.0)
    for p in sorted({widths[0], nearest(widths, 0.9 * n), nearest(widths, n), nearest(widths, 2 * n), widths[-1]}):
        weights = dd.draw_weights(streams, p, config["input_dim"])
        fit = fits[0, p]
        both = lambdas[list(chosen(fit).values())]
        theta = dd.ridge(dd.factorise(dd.features(data.train_x, weights)), data.train_y, both)
        mean, error = dd.sampled_risk(streams(dd.Stream.RISK_INPUTS, p), theta, weights, beta, config["n_risk"])
        gaps = np.abs(fit.risk[list(chosen(fit).values())] - mean) / (error + 1e-12)
        worst["risk"] = max(worst["risk"], float(gaps.max()))
        worst["choice"] = max(worst["choice"], choice_gap(data, weights, lambdas[1:], both[1]))
        x, y = data.train_x[:CHECK_ROWS], data.train_y[:CHECK_ROWS]
        for lam in both:
            for name, gap in solution_gaps(x, y, weights[:CHECK_FEATURES], lam).items():
                worst[name] = max(worst[name], gap)
    return worst


def choice_gap(data, weights, grid, tuned):
    """What the tuned penalty's validation error exceeds the grid's best by, in units of the labels' mean square."""
    f = dd.features(data.train_x, weights)
    solve = dd.ridge_primal if len(weights) <= len(f) else dd.ridge_dual
    theta = np.stack([solve(f, data.train_y, lam) for lam in [tuned, *grid]], axis=1)
    errors = dd.mean_squared_error(theta, weights, data.validation_x, data.validation_y)
    hard = max(1.0, np.sum(f**2) / grid[0] / HARD)  # the sum of squares bounds the largest eigenvalue
    return float((errors[0] - errors.min()) / np.mean(data.validation_y**2) / hard)


def solution_gaps(x, y, weights, lam):
    """Differences from independent computations: of the training predictions in units of the labels, of the noise part
    in units of its cap. Both grow with the condition number at most, and beyond ``HARD`` that growth is allowed.
    """
    f = dd.features(x, weights)
    factors = dd.factorise(f)
    theta = dd.ridge(factors, y, np.array([lam]))[:, 0]
    hard = max(1.0, (factors.eigenvalues[-1] + lam) / lam / HARD)
    others = [solve(f, y, lam) for solve in (dd.ridge_least_squares, dd.ridge_primal, dd.ridge_dual)]
    p = len(weights)
    unscaled = dd.features(x, np.sqrt(p) * weights)  # standard normal weights, penalty p lam
    scaled = np.sqrt(p) * dd.ridge(dd.factorise(unscaled), y, np.array([p * lam]))[:, 0]
    noise = dd.noise_part(factors, dd.covariance_times(weights, factors.basis), np.array([lam]))[0]
    response = dd.ridge_primal(f, np.eye(len(x)), lam)  # theta for every unit label vector
    trace = float(np.sum(response * (dd.feature_covariance(weights, weights) @ response)))
    return {
        "solver": max(float(np.linalg.norm(f @ (theta - other))) for other in others) / np.linalg.norm(y) / hard,
        "scaling": float(np.linalg.norm(f @ (theta - scaled))) / np.linalg.norm(y) / hard,
        "noise": float(abs(noise - trace) / (np.sum(weights**2) / (8.0 * lam)) / hard),
    }


def theorems(config, widths, fits, checks):
    """What holds in every configuration."""
    every = list(fits.values())
    slope = max(float(np.max(fit.slope / np.maximum(1.0, fit.condition / HARD))) for fit in every)
    used = round(max(float(np.max(fit.noise / fit.noise_cap)) for fit in every), 9)  # the bound can be reached
    back = max(backward_step(fit) for fit in every)
    source = "p5/test_error.csv"
    return [
        theorem(
            "p5-exact",
            "At every fitted width and penalty the gradient of the objective vanishes up to rounding.",
            stays_under(slope, 1e-9),
            "<=",
            1e-9,
            method="largest norm of the gradient, relative to the largest singular value times the norm of the labels",
            source=source,
        ),
        theorem(
            "p5-solver",
            "Both sides of the push-through identity and the augmented least-squares problem have the same solution.",
            stays_under(checks["solver"], 1e-9),
            "<=",
            1e-9,
            method="least squares by SVD, and linear solves with $p$ and with $N$ unknowns, at widths around $N$",
            source=source,
        ),
        theorem(
            "p5-tuned",
            "No penalty of the grid has a smaller validation error than the tuned one.",
            stays_under(checks["choice"], 1e-9),
            "<=",
            1e-9,
            method="every penalty of the grid solved afresh at widths around $N$",
            source="p5/tuned_lambda.csv",
        ),
        theorem(
            "p5-scaling",
            "Weights of variance $1/p$ with penalty $\\lambda$ predict as weights of variance 1 with $p\\lambda$ do.",
            stays_under(checks["scaling"], 1e-9),
            "<=",
            1e-9,
            method="both problems solved; predictions compared",
            source=source,
        ),
        theorem(
            "p5-weight-scale",
            "At every width, $\\mathbb{E}\\lVert W\\rVert_F^2 = d$.",
            weight_excess(config["input_dim"], fits),
            "<=",
            1.0,
            method="the sum of all $p W_{ij}^2$ is chi-squared; share used of a bound that fails once in a million",
            source=source,
        ),
        theorem(
            "p5-risk-closed-form",
            "The closed form of the noiseless risk is the mean squared error on fresh inputs.",
            checks["risk"],
            "<=",
            7.0,
            method=f"{config['n_risk']} fresh inputs at widths around $N$; largest difference in standard errors",
            source=source,
        ),
        theorem(
            "p5-noise-part",
            "The label noise's part of the risk is the stated sum over singular values.",
            stays_under(checks["noise"], 1e-9),
            "<=",
            1e-9,
            method="trace over the responses to all unit label vectors, by linear solves; difference over the cap",
            source="p5/decomposition.csv",
        ),
        theorem(
            "p5-noise-cap",
            "The label noise's part of the risk is at most $\\sigma^2 \\lVert W\\rVert_F^2 / (8\\lambda)$.",
            used,
            "<=",
            1.0,
            method="largest share of the bound that is used, over all widths and penalties",
            source="p5/decomposition.csv",
        ),
        theorem(
            "p5-shrinkage",
            "As the penalty grows, the training error never falls and the coefficients never grow.",
            stays_under(back, 1e-9),
            "<=",
            1e-9,
            method="largest step in the wrong direction along the grid, relative",
            source="p5/risk_grid.csv",
        ),
    ]


def backward_step(fit):
    """Largest relative step of the training error downwards, or of |theta| upwards, along the ascending grid."""
    falls = -np.diff(fit.train_mse[1:]) / fit.train_mse[-1]
    grows = np.diff(fit.size[1:]) / max(fit.size[1:].max(), 1e-300)
    largest = np.max(np.concatenate([falls, grows]), initial=0.0)
    return float(largest / max(1.0, fit.condition[1] / HARD))


def weight_excess(input_dim, fits):
    """|sum of p |W|^2 - its mean| over 2 sqrt(k t) + 2 t, t = 14: more than 1 with probability under 2 exp(-t).

    The sum is chi-squared with k degrees of freedom (bound: Laurent and Massart 2000, lemma 1).
    """
    degrees = sum(p * input_dim for _, p in fits)
    total = sum(p * fit.weights for (_, p), fit in fits.items())
    return abs(total - degrees) / (2 * np.sqrt(14 * degrees) + 28)


def findings(config, tables):
    """What the data of this configuration say; each statement is a sentence of the report."""
    curves = tables["curves"].set_index(["quantity", "tuning"])
    risk, test = curves.loc["risk"], curves.loc["test_mse"]
    n, fixed, tuned = config["n_train"], risk.loc["fixed"], risk.loc["validated"]
    start, peak = int(fixed["from_n_features"]), int(fixed["to_n_features"])
    height = share(fixed["to_value"], fixed["from_value"])
    draws = "In this draw" if config["replicates"] == 1 else f"On average over {config['replicates']} draws"
    penalty = f"$\\lambda = {config['fixed_lambda']:g}$"
    return [
        finding(
            "p5-peak",
            f"{draws}, with {penalty} the risk climbs from {fixed['from_value']:.2f} at $p = {start}$ to "
            f"{fixed['to_value']:.2f} at $p = {peak}$, {height or 0:.1f} times as much, and has fallen to "
            f"{fixed['last_value']:.2f} at the last width.",
            height,
            ">=",
            3.0,
            method="risk at the end of the curve's largest rise over the risk at its start",
            source="p5/curves.csv",
        ),
        finding(
            "p5-peak-place",
            f"The peak lies at $p = {peak}$, within a fifth of $N = {n}$.",
            abs(peak - n) / n,
            "<=",
            0.2,
            method="distance of the peak from $N$, over $N$",
            source="p5/curves.csv",
        ),
        finding(
            "p5-vanishes",
            f"{draws}, the largest rise of the tuned curve of the risk, from any width to any larger one, is "
            f"{tuned['rise']:.3f}, less than a tenth of the fixed curve's {fixed['rise']:.2f}.",
            share(tuned["rise"], fixed["rise"]),
            "<=",
            0.1,
            method="largest rise over the running minimum, tuned over fixed",
            source="p5/curves.csv",
        ),
        finding(
            "p5-vanishes-test",
            f"On the {config['n_test']} test points the two rises are {test.loc['validated', 'rise']:.2f} and "
            f"{test.loc['fixed', 'rise']:.2f}: again less than a tenth.",
            share(test.loc["validated", "rise"], test.loc["fixed", "rise"]),
            "<=",
            0.1,
            method="the same for the test error",
            source="p5/curves.csv",
        ),
        block_finding(tables["summary"]),
        spread_finding(config, tables["test_error"]),
        edge_finding(tables["tuned_lambda"]),
        margin_finding(tables["tuned_lambda"]),
        noise_finding(tables["decomposition"], n, penalty),
    ]


def share(part, whole):
    """part / whole; undecided (None) if the whole is zero."""
    return float(part / whole) if whole > 0 else None


def block_finding(summary):
    """Means over blocks of neighbouring widths fall from each block to the next."""
    risk = summary.loc[summary["tuning"] == "validated", "risk_mean"].to_numpy()
    blocks = [block.mean() for block in np.array_split(risk, max(len(risk) // BLOCK, 1))]
    steps = np.diff(blocks)
    return finding(
        "p5-blocks",
        f"Averaged over blocks of {BLOCK} or a few more neighbouring widths, the tuned risk falls from every block to "
        f"the next: {len(steps)} steps down, from {blocks[0]:.3f} to {blocks[-1]:.3f}.",
        float(steps.max()) if len(steps) else None,
        "<",
        0.0,
        method="largest step between the means of consecutive blocks",
        source="p5/summary.csv",
    )


def spread_finding(config, errors):
    """The test error scatters around the risk as a mean over n_test squares does."""
    positive = errors[errors["risk"] > 0]
    spread = float(np.sqrt(np.mean((positive["test_mse"] / positive["risk"] - 1) ** 2)))
    expected = np.sqrt(2 / config["n_test"])
    return finding(
        "p5-test-spread",
        f"Over all widths the test error differs from the risk by {100 * spread:.0f}\u202f% (root mean square).",
        spread / expected,
        "in",
        (0.4, 2.5),
        method="root mean square of the relative difference, in units of $\\sqrt{2/N_{\\text{test}}}$",
        source="p5/test_error.csv",
    )


def edge_finding(tuned):
    """The grid is wide enough."""
    edges, all_choices = int(tuned["at_grid_edge"].sum()), len(tuned)
    return finding(
        "p5-grid-edge",
        f"The chosen penalty lies at an edge of the grid in {edges} of {all_choices} fits, at most one in twenty.",
        edges / all_choices,
        "<=",
        0.05,
        method="share of the fits whose chosen penalty is the first or last of the grid",
        source="p5/tuned_lambda.csv",
    )


def margin_finding(tuned):
    """Rounding cannot flip a choice."""
    return finding(
        "p5-margin",
        "At every width the runner-up's validation error is larger by more than one part in ten million, far more "
        "than rounding can change.",
        float(np.min(tuned["margin"] / np.maximum(tuned["validation_mse"], 1e-300))),
        ">=",
        1e-7,
        method="smallest margin relative to the validation error",
        source="p5/tuned_lambda.csv",
    )


def noise_finding(decomposition, n_train, penalty):
    """At p = N most of the risk is label noise."""
    rows = decomposition[decomposition["tuning"] == "fixed"].groupby("n_features")[["noise", "bias"]].mean()
    p = nearest(rows.index, n_train)
    noise, bias = rows.loc[p, "noise"], rows.loc[p, "bias"]
    return finding(
        "p5-noise-dominates",
        f"At $p = {p}$ with {penalty} the label noise contributes {noise:.2f} and everything else {bias:.2f}.",
        share(noise, noise + bias),
        ">=",
        0.5,
        method="share of the label noise in the risk averaged over label noise, at the width nearest $N$",
        source="p5/decomposition.csv",
    )


if __name__ == "__main__":
    with job_log(snakemake):
        for name, table in study(**snakemake.params.study).items():
            write_table(table, snakemake.output[name])
