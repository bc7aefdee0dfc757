"""Figures of problem 5: the sheet's curve, the penalties that were chosen, and what happens at p = N."""

import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pipeline.jobs import job_log
from pipeline.style import BAND, FIXED_LINE, GREY, INK, THEORY_LINE, TUNED, TUNED_LINE, new_figure, save_figure
from pipeline.tables import read_table

LINES = {"fixed": FIXED_LINE, "validated": TUNED_LINE}
NAMES = {"fixed": r"$\lambda$ fixed", "validated": r"$\lambda$ tuned"}
INK_LINE = {"color": INK, "linewidth": 1.2}
REST_LINE = {"color": INK, "linewidth": 0.7}
TAIL = 0.45  # share of the widths over which a label keeps clear of its curve


def draw_curve(axes, summary, quantity, study):
    """Draw one quantity of the summary against p for both tunings, with 95 % bands where there are replicates."""
    means = summary[f"{quantity}_mean"]
    for tuning, line in LINES.items():
        rows = summary[summary["tuning"] == tuning]
        low, high = (pd.to_numeric(rows[f"{quantity}_{end}"], errors="coerce") for end in ("low", "high"))
        axes.fill_between(rows["n_features"], low, high, color=line["color"], alpha=BAND, linewidth=0)
        _curve(axes, rows["n_features"], rows[f"{quantity}_mean"], line, NAMES[tuning], above=tuning == "fixed")
    _finish(axes, study)
    if (means > 0).all():
        axes.set_ylim(means.min() / 2, means.max() * 2)


def draw_lambda(axes, tuned, study):
    """Draw the penalty that the validation set chose at each width, with the grid's ends and the fixed penalty."""
    low, high, fixed = study["lambda_grid"]["low"], study["lambda_grid"]["high"], study["fixed_lambda"]
    axes.plot(tuned["n_features"], tuned["lambda"], "o", color=TUNED, markersize=2.6, clip_on=False, zorder=3)
    axes.axhline(fixed, **FIXED_LINE)
    axes.axhline(high, **THEORY_LINE)
    _label(axes, 0.97, high, "upper end of the grid", INK, "right", 3)
    if low == fixed:
        _label(axes, 0.97, fixed, "fixed, and lower end of the grid", FIXED_LINE["color"], "right", 3)
    else:
        axes.axhline(low, **THEORY_LINE)
        _label(axes, 0.97, low, "lower end of the grid", INK, "right", 3)
        _label(axes, 0.03, fixed, "fixed", FIXED_LINE["color"], "left", 3)
    _finish(axes, study)
    axes.set(ylabel=r"penalty $\lambda$", ylim=(min(low, fixed) / 2, max(high, fixed) * 3))


def draw_eigenvalue(axes, parts, study):
    """Draw the smallest eigenvalue of the smaller Gram matrix beside the two penalties."""
    rows = parts[parts["tuning"] == "validated"].groupby("n_features", as_index=False).median(numeric_only=True)
    _curve(axes, rows["n_features"], rows["smallest_eigenvalue"], INK_LINE, "eigenvalue", above=False)
    _curve(axes, rows["n_features"], rows["lambda"], TUNED_LINE, NAMES["validated"])
    axes.axhline(study["fixed_lambda"], **FIXED_LINE)
    _label(axes, 0.97, study["fixed_lambda"], NAMES["fixed"], FIXED_LINE["color"], "right", -11)
    axes.set(title="Smallest eigenvalue")
    _finish(axes, study)


def draw_parts(axes, parts, tuning, study):
    """Draw the label noise's part of the risk, and the rest, for one tuning."""
    rows = parts[parts["tuning"] == tuning].groupby("n_features", as_index=False).mean(numeric_only=True)
    tail = rows.iloc[-max(int(TAIL * len(rows)), 1) :]
    noise_above = tail["noise"].max() >= tail["bias"].max()
    _curve(axes, rows["n_features"], rows["bias"], REST_LINE, "the rest", above=not noise_above)
    _curve(axes, rows["n_features"], rows["noise"], LINES[tuning], "label noise", above=noise_above)
    axes.set(title=f"Parts of the risk, {NAMES[tuning]}")
    _finish(axes, study)


def _curve(axes, x, y, line, text, above=True):
    """A line with its name above or below its right end, clear of it; a single width is a dot."""
    axes.plot(x, y, **line, marker="o" if len(x) == 1 else None, markersize=3)
    tail = y.iloc[-max(int(TAIL * len(y)), 1) :]
    height, gap = (tail.max(), 4) if above else (tail.min(), -11)
    _label(axes, 0.97, height, text, line["color"], "right", gap)


def _label(axes, place, height, text, colour, align, gap):
    """Text at a share of the axes' width, ``gap`` points above a height in data units."""
    axes.annotate(
        text,
        (place, height),
        (0, gap),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        color=colour,
        ha=align,
    )


def _finish(axes, study):
    """Axes that all panels share, and a thin line at p = N."""
    axes.set(xlabel="number of features $p$", yscale="log")
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(LogLocator(numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.axvline(study["n_train"], color=GREY, linewidth=0.6, zorder=0)
    axes.annotate(
        "$p = N$",
        (study["n_train"], 1),
        (3, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
    )


if __name__ == "__main__":
    with job_log(snakemake):
        study = snakemake.params.study
        summary, parts = read_table(snakemake.input.summary), read_table(snakemake.input.decomposition)

        figure, (left, right) = new_figure(columns=2, sharey=True)
        draw_curve(left, summary, "test_mse", study)
        draw_curve(right, summary, "risk", study)
        left.set(title=f"Test error, {study['n_test']:,} points", ylabel="mean squared error")
        right.set(title="Risk: the mean over all inputs")
        save_figure(figure, snakemake.output.test_error)

        figure, axes = new_figure()
        draw_lambda(axes, read_table(snakemake.input.tuned_lambda), study)
        save_figure(figure, snakemake.output.tuned_lambda)

        figure, (left, middle, right) = new_figure(columns=3)
        middle.sharey(right)
        draw_eigenvalue(left, parts, study)
        draw_parts(middle, parts, "fixed", study)
        draw_parts(right, parts, "validated", study)
        for axes in (left, middle, right):
            axes.xaxis.set_major_locator(MaxNLocator(3))
        save_figure(figure, snakemake.output.parts)
