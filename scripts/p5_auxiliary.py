"""Problem 5, what a few replicates show more closely: the parts of the risk, ways to tune, sample size, one matrix W.

The first ``auxiliary_replicates`` replicates of the experiment are fitted once more with everything that costs too much
for all, and the project's solution is compared with other ways to the same numbers (``checks``).
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from hw6 import double_descent as dd
from hw6 import random_features_theory as rft
from p5_sweep import FIXED, draw, penalties, validated, widths
from pipeline.claims import stays_under
from pipeline.jobs import job_log
from pipeline.tables import write_table

VALIDATION_NOISE = max(dd.Stream) + 1  # a stream of its own
SHARED_WEIGHTS = max(dd.Stream) + 2
SAMPLE_SIZES = (0.25, 0.4, 0.55, 0.7, 0.85, 0.95, 1.0, 1.05, 1.2, 1.5, 2.0, 3.0)  # N over p
MOST_SAMPLES = 4  # times n_train: if all widths are far above it, the larger sizes are left out
METHODS = ("validation", "validation_noisy", "leave_one_out", "gcv", "oracle_draw", "oracle_mean")
BOUNDED = ("noise_cap_used", "risk")  # the checks whose values are no rounding errors
ROUNDING = 1e-9  # below this a discrepancy is the processor's
CHECK_ROWS = 300  # what the independent solutions are asked to solve at most
CHECK_FEATURES = 700
CHECK_REFITS = 40  # samples that are left out one by one, and features of these fits, at most
HARD = 1e6  # condition number beyond which an error may grow in proportion


def study(**config):
    """The tables ``decomposition``, ``selection``, ``samples``, ``nested`` and ``checks``."""
    config = config | {"n_test": 1}  # test points have streams of their own and are not looked at here
    p, given = np.array(widths(config)), (config["input_dim"], config["n_train"], config["noise_std"])
    optimal, _ = rft.optimal_lambda(p, *given)
    fits = {}
    for replicate in range(config["auxiliary_replicates"]):
        for width, fit in closer_fits(config, replicate, optimal):
            fits[replicate, width] = fit
        print(f"replicate {replicate + 1} of {config['auxiliary_replicates']}: parts and leave-one-out", flush=True)
    return {
        "decomposition": decomposition_table(config, fits, optimal),
        "selection": selection_table(config, fits, optimal),
        "samples": samples_table(config),
        "nested": nested_table(config),
        "checks": checks_table(config, fits),
    }


def closer_fits(config, replicate, optimal):
    """(p, ``Fit``) of every width with all extras; the theory's penalty stands behind the others.

    The test points are replaced by the validation points with noisy labels.
    """
    data, streams = draw(config, replicate)
    noise = config["noise_std"] * streams(VALIDATION_NOISE).standard_normal(config["n_validation"])
    data = data._replace(test_x=data.validation_x, test_y=data.validation_y + noise)
    for p, theory in zip(widths(config), optimal, strict=True):
        weights = dd.draw_weights(streams, p, config["input_dim"])
        yield p, dd.fit_width(data, weights, np.append(penalties(config), theory))


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


def samples_table(config):
    """A row: sample size x tuning, at the width nearest n_train. A larger sample of a replicate begins with a smaller.

    ``tuned``: the penalty of the grid by validation; in theory the best one of the grid.
    """
    p, lambdas, d = nearest(widths(config), config["n_train"]), penalties(config), config["input_dim"]
    sizes = np.rint(np.multiply(SAMPLE_SIZES, p)).astype(int)
    sizes = np.unique(np.clip(sizes, 1, MOST_SAMPLES * config["n_train"]))
    rows = []
    for replicate in range(config["auxiliary_replicates"]):
        whole, streams = draw(config, replicate, sizes[-1])
        weights = dd.draw_weights(streams, p, d)
        for n in map(int, sizes):
            data = whole._replace(train_x=whole.train_x[:n], train_y=whole.train_y[:n])
            fit = dd.fit_width(data, weights, lambdas, parts=False, left_out=False, checks=False)
            for tuning, k in {"fixed": FIXED, "tuned": validated(fit.validation_mse)}.items():
                rows.append({"n_train": n, "tuning": tuning, "risk_mean": fit.risk[k]})
    table = pd.DataFrame(rows).groupby(["n_train", "tuning"], as_index=False).mean()
    table.insert(1, "n_features", p)
    fixed = rft.risk(p, lambdas[FIXED], d, sizes, config["noise_std"])
    best = rft.risk(p, lambdas[1:], d, sizes[:, None], config["noise_std"]).min(axis=1)
    return table.assign(risk_theory=np.column_stack([fixed, best]).ravel())


def nested_table(config):
    """A row: width. One matrix G serves all widths of a replicate, W_p = G_p / sqrt(p): F_p is Phi_p / sqrt(p).

    Means of the risk over the replicates; ``step_*`` the mean and standard error of the step from the width before.
    """
    lambdas, p = penalties(config), np.array(widths(config))
    risks = []
    for replicate in range(config["auxiliary_replicates"]):
        data, streams = draw(config, replicate)
        shared = streams(SHARED_WEIGHTS).standard_normal((int(p[-1]), config["input_dim"]))
        fits = dd.sweep(
            data, lambda q, g=shared: g[:q] / np.sqrt(q), p.tolist(), lambdas, parts=False, left_out=False, checks=False
        )
        risks.append([(fit.risk[FIXED], fit.risk[validated(fit.validation_mse)]) for _, fit in fits])
        print(f"replicate {replicate + 1} of {config['auxiliary_replicates']}: one matrix for all widths", flush=True)
    risks = np.array(risks)
    steps = np.diff(risks[:, :, 1], axis=1, prepend=np.nan)
    error = steps.std(axis=0, ddof=1) / np.sqrt(len(steps)) if len(steps) > 1 else np.full(len(p), np.nan)
    return pd.DataFrame(
        {
            "n_features": p,
            "risk_fixed": risks[:, :, 0].mean(axis=0),
            "risk_tuned": risks[:, :, 1].mean(axis=0),
            "step_mean": steps.mean(axis=0),
            "step_se": error,
        }
    )


def nearest(candidates, goal):
    """The candidate closest to the goal, the smaller of two."""
    return min(candidates, key=lambda p: (abs(p - goal), p))


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
        for name, table in study(**snakemake.params.study).items():
            write_table(table, snakemake.output[name])
