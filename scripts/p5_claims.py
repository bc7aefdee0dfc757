"""Problem 5, what the report asserts: theorems about every configuration, and findings about this one."""

import math

import numpy as np

from p5_decisions import BLOCK, ERRORS, NESTED_BLOCK
from p5_sweep import widths
from pipeline.claims import finding, theorem
from pipeline.display import formatted
from pipeline.grid import nearest

PEAK = (0.9, 1.1)  # of N: where the fixed curve is to be largest
MARGIN = 0.02  # largest rise of the tuned curve that counts as none
SAMPLES_PEAK = (0.8, 1.25)  # of p: where the risk over the sample size is to be largest
COURSE_PEAK = 341  # the width at which the course's draw has its largest test error
SAFE = 1e-7  # relative margin that rounding cannot overcome


def theorems(config, weights, tables):
    """What holds in every configuration. weights: |W|^2, shape (replicates, widths)."""
    checks = values(tables["checks"])
    used = round(checks["noise_cap_used"], 9)  # the bound can be reached
    source, closer = each_fit(config), "p5/decomposition.csv"
    return [
        theorem(
            "p5-exact",
            "At every width and penalty of the first draws, the gradient of the objective vanishes up to rounding.",
            checks["slope"],
            "<=",
            1e-9,
            method="largest norm of the gradient, relative to the largest singular value times the norm of the labels",
            source=source,
        ),
        theorem(
            "p5-solver",
            "Both sides of the push-through identity and the augmented least-squares problem have the same solution.",
            checks["solver"],
            "<=",
            1e-9,
            method="least squares by SVD, and linear solves with $p$ and with $N$ unknowns, at widths around $N$",
            source=source,
        ),
        theorem(
            "p5-tuned",
            "No penalty of the grid has a smaller validation error than the tuned one.",
            checks["choice"],
            "<=",
            1e-9,
            method="every penalty of the grid solved afresh at widths around $N$",
            source=each_choice(config),
        ),
        theorem(
            "p5-scaling",
            "Weights of variance $1/p$ with penalty $\\lambda$ predict as weights of variance 1 with $p\\lambda$ do.",
            checks["scaling"],
            "<=",
            1e-9,
            method="both problems solved; predictions compared",
            source=source,
        ),
        theorem(
            "p5-weight-scale",
            "At every width, $\\mathbb{E}\\lVert W\\rVert_F^2 = d$.",
            weight_excess(config, weights),
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
            method=f"{config['n_risk']:,} fresh inputs at widths around $N$; largest difference in standard errors",
            source=source,
        ),
        theorem(
            "p5-left-out",
            "The residual divided by $1 - h_{ii}$ is the error at sample $i$ of the fit without it.",
            checks["left_out"],
            "<=",
            1e-9,
            method="a fit afresh, by least squares, without each of the samples of small problems",
            source="p5/selection.csv",
        ),
        theorem(
            "p5-noise-part",
            "The label noise's part of the risk is the stated sum over the eigenvalues $s_k$.",
            checks["noise"],
            "<=",
            1e-9,
            method="trace over the responses to all unit label vectors, by linear solves; difference over the cap",
            source=closer,
        ),
        theorem(
            "p5-noise-cap",
            "The label noise's part of the risk is at most $\\sigma^2 \\lVert W\\rVert_F^2 / (8\\lambda)$.",
            used,
            "<=",
            1.0,
            method="largest share of the bound that is used, over all widths and penalties",
            source=closer,
        ),
        finding(
            "p5-theory-noise-cap",
            "The theory introduced below keeps to the second bound at every width and penalty, too.",
            round(values(tables["baselines"])["noise_cap_used"], 9),
            "<=",
            1.0,
            method="largest share of the bound that the deterministic equivalent uses, over all widths and penalties",
            source="p5/theory.csv",
        ),
        theorem(
            "p5-shrinkage",
            "As the penalty grows, the training error never falls and the coefficients never grow.",
            checks["backward_step"],
            "<=",
            1e-9,
            method="largest step in the wrong direction along the grid, relative",
            source="p5/risk_grid.csv",
        ),
    ]


def each_fit(config):
    """The table of the fits, or of their means if these are all that is kept."""
    return "p5/test_error.csv" if config["keep"] == "whole" else "p5/summary.csv"


def each_choice(config):
    """The table of the tuned penalties, or of how often each was chosen."""
    return "p5/tuned_lambda.csv" if config["keep"] == "whole" else "p5/choices.csv"


def values(table):
    """The column ``value`` of a table of quantities, by quantity."""
    return dict(zip(table["quantity"], table["value"], strict=True))


def weight_excess(config, squares):
    """|sum of p |W|^2 - its mean| over 2 sqrt(k t) + 2 t, t = 14: more than 1 with probability under 2 exp(-t).

    The sum is chi-squared with k degrees of freedom (bound: Laurent and Massart 2000, lemma 1). squares: |W|^2,
    shape (replicates, widths).
    """
    p = np.array(widths(config))
    degrees = float(len(squares) * config["input_dim"] * p.sum())
    return abs(float(np.sum(squares * p)) - degrees) / (2 * np.sqrt(14 * degrees) + 28)


def findings(config, measured, tables):
    """What the data of this configuration say; each statement is a sentence of the report."""
    return [
        *peak_findings(config, measured),
        *falling_findings(config, measured),
        *theory_findings(config, measured, values(tables["baselines"])),
        *tuning_findings(config, tables),
        noise_finding(config, tables["decomposition"]),
        spread_finding(config, tables["test_error"]),
        course_finding(tables["course"]),
        samples_finding(config, tables["samples"]),
    ]


def decided(value):
    """A number, or None where the data cannot decide."""
    return None if value is None or math.isnan(value) else float(value)


def between(quantity, digits):
    """The interval in words; a single draw has none."""
    if math.isnan(quantity.low):
        return "one draw has no interval"
    return f"95\u202f% interval {quantity.low:.{digits}f} to {quantity.high:.{digits}f}"


def percent(value, digits=1):
    """A share in words."""
    return f"{100 * value:.{digits}f}\u202f%"


def power(value):
    """A small positive number with one digit, as Markdown."""
    return formatted(value, ".0e") if 0 < value < np.inf else f"{value:g}".replace("inf", "∞")


def draws(config):
    """Over what the curves are means."""
    return "In this draw" if config["replicates"] == 1 else f"On average over {config['replicates']} draws"


def penalty(config):
    """The fixed penalty as TeX."""
    return f"$\\lambda = {config['fixed_lambda']:g}$"


def peak_findings(config, measured):
    """The peak of the fixed curve: place, height, and distance from the tuned curve."""
    n, p = config["n_train"], nearest(widths(config), config["n_train"])
    place, height, last = measured["peak_place"], measured["peak_height"], measured["peak_over_last"]
    ratio = measured["fixed_over_tuned"]
    return [
        finding(
            "p5-peak",
            f"{draws(config)}, with {penalty(config)} the risk is largest at $p = {place.measured:.0f}$, within a "
            f"tenth of $N = {n}$.",
            place.measured / n,
            "in",
            PEAK,
            method="width of the largest mean, over $N$",
            source="p5/decisions.csv",
        ),
        finding(
            "p5-peak-height",
            f"This peak is {height.measured:.1f} times as high as the least risk before it ({between(height, 1)}) and "
            f"{last.measured:.1f} times as high as the risk at the last width ({between(last, 1)}).",
            decided(height.low),
            ">",
            4.0,
            method="end of the fixed curve's largest rise over its start; low end of the interval",
            source="p5/decisions.csv",
        ),
        finding(
            "p5-ratio-tuned",
            f"At $p = {p}$ the fixed penalty has {ratio.measured:.1f} times the risk of the tuned one "
            f"({between(ratio, 1)}).",
            decided(ratio.low),
            ">",
            10.0,
            method="ratio of the means at the width nearest $N$; low end of the interval",
            source="p5/decisions.csv",
        ),
    ]


def falling_findings(config, measured):
    """What the replicates decide about the tuned curve."""
    rise, fixed = measured["rise_validated"], measured["rise_fixed"]
    highest = MARGIN if math.isnan(rise.high) else rise.high
    step, count = measured["largest_block_step"], measured["block_steps"].measured
    nested, nested_falls = measured["nested_block_steps"].measured, measured["nested_block_falls"].measured
    steps = {name: measured[f"steps_{name}"].measured for name in ("down", "up", "undecided")}
    total = sum(steps.values())
    counts = (
        ""
        if math.isnan(total)
        else (
            f": of {total:.0f} steps of the tuned curve, {steps['down']:.0f} go down, {steps['up']:.0f} go up, and "
            f"{steps['undecided']:.0f} are undecided"
        )
    )
    return [
        finding(
            "p5-vanishes",
            f"{draws(config)}, the tuned curve of the risk nowhere rises by more than {highest:.3f} from any width "
            f"to any larger one (upper end of the 95\u202f% interval), while the fixed curve rises by "
            f"{fixed.measured:.2f}.",
            decided(rise.high),
            "<",
            MARGIN,
            method="largest rise over the running minimum; upper end of the interval",
            source="p5/decisions.csv",
        ),
        finding(
            "p5-blocks",
            f"Averaged over blocks of {BLOCK} or a few more neighbouring widths, the tuned risk falls from every block "
            f"to the next, all {count} steps taken together with 95\u202f% confidence.",
            decided(step.high),
            "<",
            0.0,
            method="largest upper end of the steps' simultaneous intervals",
            source="p5/decisions.csv",
        ),
        finding(
            "p5-adjacent-undecided",
            f"From one width to the next the draws decide little{counts}. With one weight matrix for all widths of a "
            f"draw, the means over blocks of {NESTED_BLOCK} widths fall at {nested_falls} of {nested} steps.",
            decided(steps["undecided"] / total if total else np.nan),
            ">=",
            0.5,
            method="share of the steps whose simultaneous 95\u202f% intervals hold zero",
            source="p5/decisions.csv",
        ),
    ]


def theory_findings(config, measured, baselines):
    """The deterministic equivalent beside the replicates, and what it says where these cannot decide."""
    allowed = f"{ERRORS} standard errors and {percent(baselines['relative_error'])}"
    place = {"fixed": f"for {penalty(config)} at every width", "grid": "at every width and every penalty of the grid"}
    below, above = baselines["rises_at"], baselines["falls_from"]
    last, kernel, linear = measured["last_tuned"].measured, baselines["kernel_risk"], baselines["linear_risk"]
    claims = [
        finding(
            f"p5-theory-{name}",
            f"The mean risk lies within {allowed} of the theory {place[name]}; the largest difference is "
            f"{percent(measured[f'theory_{name}_relative'].measured)} of the theory.",
            decided(measured[f"theory_{name}"].measured),
            "<=",
            1.0,
            method="largest distance over what is allowed",
            source={"fixed": "p5/summary.csv", "grid": "p5/risk_grid.csv"}[name],
        )
        for name in ("fixed", "grid")
    ]
    return [
        *claims,
        finding(
            "p5-theory-falls",
            f"In theory, at the best penalty of each width, the risk falls at every one of the "
            f"{baselines['steps']:.0f} steps.",
            decided(baselines["largest_step"]),
            "<",
            0.0,
            method="largest step of the theory's least risk",
            source="p5/theory.csv",
        ),
        finding(
            "p5-threshold",
            f"In theory a fixed $\\lambda = {above:g}$ is enough for a curve that falls at every step, and "
            f"$\\lambda = {below:g}$ is not."
            if not math.isnan(above)
            else "In theory some fixed $\\lambda$ is enough for a curve that falls at every step, a smaller is not.",
            decided(above),
            "in",
            (float(config["fixed_lambda"]), 1.0),
            method="bisection for the least such penalty, two digits",
            source="p5/baselines.csv",
        ),
        finding(
            "p5-baselines",
            f"At the last width the tuned risk is {last:.3f}; in theory it tends to {kernel:.3f} as $p$ grows (the "
            f"kernel limit), and least squares on $x$ itself reaches {formatted(linear, '.3f')}.",
            float(min(last / kernel, kernel / linear)) if kernel > 0 and linear > 0 else None,
            ">",
            1.0,
            method="the smaller one of the two ratios of neighbours in this order",
            source="p5/baselines.csv",
        ),
    ]


def tuning_findings(config, tables):
    """How the penalty is chosen, what that costs, and how safe the choice is."""
    tuned, ways = tables["tuned_lambda"], tables["selection"].set_index("method")["excess_mean"]
    edges, margins = int(tuned["at_grid_edge"].sum()), tuned["margin"] / np.maximum(tuned["validation_mse"], 1e-300)
    others = float(ways[["leave_one_out", "gcv", "validation_noisy"]].min())
    return [
        finding(
            "p5-selection",
            f"The {config['n_validation']} validation points, whose labels have no noise, cost "
            f"{percent(ways['validation'])} more risk on average than each draw's best penalty; leave-one-out costs "
            f"{percent(ways['leave_one_out'])}, generalised cross-validation {percent(ways['gcv'])}, and the same "
            f"points with noise in their labels {percent(ways['validation_noisy'])}."
            if not math.isnan(ways["validation"])
            else f"The {config['n_validation']} validation points, whose labels have no noise, choose better penalties "
            "than leave-one-out, generalised cross-validation and the same points with noise in their labels.",
            decided(ways["validation"] / others if others > 0 else np.nan),
            "<",
            1.0,
            method="mean excess of the validation set over the least of the other three",
            source="p5/selection.csv",
        ),
        finding(
            "p5-grid-edge",
            f"The chosen penalty lies at an edge of the grid in {edges:,} of {len(tuned):,} fits, "
            "at most one in twenty.",
            edges / len(tuned),
            "<=",
            0.05,
            method="share of the fits whose chosen penalty is the first or last of the grid",
            source=each_choice(config),
        ),
        finding(
            "p5-margin",
            f"In at least 99\u202f% of the choices the runner-up's validation error is larger by more than "
            f"{power(SAFE)} of it, which rounding cannot change; the smallest margin is {power(float(margins.min()))}.",
            float(np.mean(margins > SAFE)),
            ">=",
            0.99,
            method="share of the choices with such a margin",
            source=each_choice(config),
        ),
    ]


def noise_finding(config, decomposition):
    """At p = N most of the risk is label noise."""
    p = nearest(widths(config), config["n_train"])
    row = decomposition[(decomposition["tuning"] == "fixed") & (decomposition["n_features"] == p)].iloc[0]
    total = row["noise"] + row["bias"]
    return finding(
        "p5-noise-dominates",
        f"At $p = {p}$ with {penalty(config)} the label noise contributes {row['noise']:.2f} and the rest "
        f"{row['bias']:.2f}.",
        float(row["noise"] / total) if total > 0 else None,
        ">=",
        0.5,
        method="share of the label noise in the risk averaged over label noise, at the width nearest $N$",
        source="p5/decomposition.csv",
    )


def spread_finding(config, errors):
    """The test error scatters around the risk as a mean over n_test squares does."""
    positive = errors[errors["risk"] > 0]
    spread = float(np.sqrt(np.mean((positive["test_mse"] / positive["risk"] - 1) ** 2))) if len(positive) else np.nan
    return finding(
        "p5-test-spread",
        f"Over all draws and widths the error on {config['n_test']} test points "
        + (
            f"differs from the risk by {percent(spread, 0)} (root mean square)."
            if len(positive)
            else "scatters around the risk as the mean of so many squares does."
        ),
        decided(spread / np.sqrt(2 / config["n_test"])),
        "in",
        (0.4, 2.5),
        method="root mean square of the relative difference, in units of $\\sqrt{2/N_{\\text{test}}}$",
        source=each_fit(config),
    )


def course_finding(course):
    """The peak of one draw need not be at N."""
    peak = course.loc[course["test_error_fixed"].idxmax()]
    return finding(
        "p5-course-peak",
        f"On the course's own random numbers the test error with the penalty fixed is largest at "
        f"$p = {peak['n_features']:.0f}$.",
        int(peak["n_features"]),
        "=",
        COURSE_PEAK,
        method="largest 2-norm of the test residuals",
        source="p5/course.csv",
    )


def samples_finding(config, samples):
    """The same peak is met from the other side, with more data."""
    fixed = samples[samples["tuning"] == "fixed"]
    peak = fixed.loc[fixed["risk_mean"].idxmax()]
    p, n = int(peak["n_features"]), int(peak["n_train"])
    return finding(
        "p5-samples",
        f"With $p = {p}$ features and {penalty(config)} the risk is largest at {n} training points: "
        "more data can harm.",
        n / p,
        "in",
        SAMPLES_PEAK,
        method="sample size of the largest mean risk, over $p$",
        source="p5/samples.csv",
    )
