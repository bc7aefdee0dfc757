"""Figures of problem 5: the sheet's curve, the penalties chosen, what happens at p = N, and what lies beyond."""

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from pipeline.jobs import job_log
from pipeline.style import (
    BAND,
    FIXED_LINE,
    GREY,
    HEAT_MAP_HEIGHT_MM,
    INK,
    THEORY_LINE,
    TUNED_LINE,
    new_figure,
    save_figure,
)
from pipeline.tables import read_table, repeated

LINES = {"fixed": FIXED_LINE, "validated": TUNED_LINE, "tuned": TUNED_LINE}
NAMES = {"fixed": r"$\lambda$ fixed", "validated": r"$\lambda$ tuned", "tuned": r"$\lambda$ tuned"}
INK_LINE = {"color": INK, "linewidth": 1.2}
REST_LINE = {"color": INK, "linewidth": 0.7}
THIN_LINE = {"color": GREY, "linewidth": 0.6, "zorder": 0}
BASELINES = {
    "null_risk": ("answer 0", 3),
    "kernel_risk": (r"$p \to \infty$, best $\lambda$", -10),
    "linear_risk": ("least squares on $x$", -10),
}
TAIL = 0.45  # share of the widths over which a label keeps clear of its curve
COLUMNS = 200  # widths that the heat map shows at most
OUTLINE = [withStroke(linewidth=1.4, foreground=INK)]


def draw_curve(axes, summary, quantity, study):
    """Draw one quantity of the summary against p for both tunings, with 95 % bands where there are replicates."""
    means = summary[f"{quantity}_mean"]
    for tuning in ("fixed", "validated"):
        rows, line = summary[summary["tuning"] == tuning], LINES[tuning]
        low, high = (pd.to_numeric(rows[f"{quantity}_{end}"], errors="coerce") for end in ("low", "high"))
        axes.fill_between(rows["n_features"], low, high, color=line["color"], alpha=BAND, linewidth=0)
        _curve(axes, rows["n_features"], rows[f"{quantity}_mean"], line, NAMES[tuning])
    _finish(axes, study)
    if (means > 0).all():
        axes.set_ylim(means.min() / 3.5, means.max() * 2)


def draw_theory(axes, summary):
    """Add the theory's risk for both tunings, dotted."""
    for _, rows in summary.groupby("tuning"):
        axes.plot(rows["n_features"], rows["risk_theory"], **THEORY_LINE, zorder=3)


def draw_baselines(axes, baselines):
    """Thin lines with names: the risks that need no features, and the one of infinitely many."""
    for name, (text, gap) in BASELINES.items():
        height = float(baselines[name])
        if 1.45 * axes.get_ylim()[0] < height < axes.get_ylim()[1]:
            axes.axhline(height, **THIN_LINE)
            _label(axes, 0.97, height, text, INK, "right", gap)


def draw_lambda(axes, tuned, theory, study):
    """Draw median and quartiles of the penalty that the validation set chose, beside the theory's best."""
    low, high, fixed = study["lambda_grid"]["low"], study["lambda_grid"]["high"], study["fixed_lambda"]
    quartiles = tuned.groupby("n_features")["lambda"].quantile([0.25, 0.5, 0.75]).unstack()
    axes.fill_between(quartiles.index, quartiles[0.25], quartiles[0.75], color=TUNED_LINE["color"], alpha=BAND, lw=0)
    free = 4 * _end(quartiles[0.5]).max() < high  # else there is no room between the curve and the grid's end
    text = "chosen by validation: median and quartiles"
    _curve(axes, quartiles.index, quartiles[0.5], TUNED_LINE, text, above=free, gap=14)
    best = theory["lambda_optimal"].clip(min(low, fixed) / 2, max(high, fixed) * 3)
    _curve(axes, theory["n_features"], best, THEORY_LINE, "best in theory", above=False, gap=14 if free else 28)
    axes.axhline(fixed, **FIXED_LINE)
    ends = {high: "upper end of the grid", low: "lower end of the grid"}
    if fixed in ends:
        _label(axes, 0.97, fixed, f"fixed, and {ends.pop(fixed)}", FIXED_LINE["color"], "right", 3)
    else:
        _label(axes, 0.03, fixed, "fixed", FIXED_LINE["color"], "left", 3)
    for height, text in ends.items():
        axes.axhline(height, **THIN_LINE)
        _label(axes, 0.97, height, text, INK, "right", 3)
    _finish(axes, study)
    axes.set(ylabel=r"penalty $\lambda$", ylim=(min(low, fixed) / 2, max(high, fixed) * 3))


def draw_eigenvalue(axes, parts, study):
    """Draw the smallest eigenvalue of the smaller Gram matrix beside the two penalties."""
    rows = parts[parts["tuning"] == "validated"]
    _curve(axes, rows["n_features"], rows["smallest_eigenvalue"], INK_LINE, "eigenvalue", above=False)
    _curve(axes, rows["n_features"], rows["lambda"], TUNED_LINE, NAMES["validated"])
    axes.axhline(study["fixed_lambda"], **FIXED_LINE)
    _label(axes, 0.97, study["fixed_lambda"], NAMES["fixed"], FIXED_LINE["color"], "right", -11)
    axes.set(title="Smallest eigenvalue")
    _finish(axes, study)


def draw_parts(axes, parts, tuning, study):
    """Draw the label noise's part of the risk, and the rest, for one tuning; dotted, the theory."""
    rows = parts[parts["tuning"] == tuning]
    noise_above = _end(rows["noise"]).max() >= _end(rows["bias"]).max()
    for name in ("noise_theory", "bias_theory"):
        axes.plot(rows["n_features"], rows[name], **THEORY_LINE, zorder=3)
    _curve(axes, rows["n_features"], rows["bias"], REST_LINE, "the rest", above=not noise_above)
    _curve(axes, rows["n_features"], rows["noise"], LINES[tuning], "label noise", above=noise_above)
    axes.set(title=f"Parts of the risk, {NAMES[tuning]}")
    _finish(axes, study)


def draw_heat_map(figure, axes, grid, tuned, theory, study):
    """Draw the risk over width and penalty, with the chosen penalties and the theory's best ones on it."""
    table = grid.pivot(index="lambda", columns="n_features", values="risk_mean").clip(lower=1e-12)
    table = table.iloc[:, :: -(-table.shape[1] // COLUMNS)]
    norm = LogNorm(table.min().min(), max(table.max().max(), 1.01 * table.min().min()))
    edges = _edges(table.columns.to_numpy(float)), np.exp(_edges(np.log(table.index.to_numpy(float))))
    tiles = axes.pcolormesh(*edges, table, norm=norm, edgecolors="face", linewidth=0.5)
    bar = figure.colorbar(tiles, ax=axes, label="risk", fraction=0.05, pad=0.02)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.outline.set_visible(False)
    path = tuned.groupby("n_features")["lambda"].median()
    white = {"color": "white", "path_effects": OUTLINE}
    axes.plot(path.index, path, linewidth=1.8, **white)
    axes.plot(theory["n_features"], theory["lambda_optimal"], linewidth=1.4, linestyle=":", **white)
    text = "chosen by validation: median; dotted: best in theory"
    _label(axes, 0.97, _end(path).max(), text, "white", "right", 14, OUTLINE)
    axes.axvline(study["n_train"], color="white", linewidth=0.6)
    _name_line(axes, study["n_train"], "$p = N$", inside=False)
    axes.set(xlabel="number of features $p$", ylabel=r"penalty $\lambda$", yscale="log")
    axes.set(xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    _plain_ticks(axes)


def draw_samples(axes, samples):
    """Draw the risk at one width against the number of training points, for both tunings; dotted, the theory."""
    for tuning, rows in samples.groupby("tuning"):
        axes.plot(rows["n_train"], rows["risk_theory"], **THEORY_LINE)
        axes.plot(rows["n_train"], rows["risk_mean"], **LINES[tuning], marker="o", markersize=3)
        _label(axes, 0.97, rows["risk_mean"].iloc[-3:].max(), NAMES[tuning], LINES[tuning]["color"], "right", 6)
    width = int(samples["n_features"].iloc[0])
    axes.set(xlabel="number of training points $N$", ylabel="risk", yscale="log")
    axes.margins(y=0.12)
    _plain_ticks(axes)
    axes.axvline(width, **THIN_LINE)
    _name_line(axes, width, f"$N = p = {width}$")


def draw_course(axes, course):
    """Draw the 2-norm of the test residuals against p for the fixed and the tuned penalty, on a linear axis."""
    p = course["n_features"]
    for tuning in ("fixed", "tuned"):
        errors = course[f"test_error_{tuning}"]
        axes.plot(p, errors, **LINES[tuning])
        _label(axes, 0.97, _end(errors).max(), NAMES[tuning], LINES[tuning]["color"], "right", 6)
    peak = course.loc[course["test_error_fixed"].idxmax()]
    place = peak["n_features"], peak["test_error_fixed"]
    axes.annotate(f"$p = {place[0]:.0f}$", place, (6, -4), textcoords="offset points")
    axes.set(xlabel="number of features $p$", ylabel="test error: 2-norm of the residuals", ylim=(0, None))


def _curve(axes, x, y, line, text, above=True, gap=4):
    """A line with its name above or below its right end, clear of it; a single width is a dot."""
    axes.plot(x, y, **line, marker="o" if len(x) == 1 else None, markersize=3)
    height, gap = (_end(y).max(), gap) if above else (_end(y).min(), -gap - 7)
    _label(axes, 0.97, height, text, line["color"], "right", gap)


def _end(y):
    """The last values of a curve, which the label at its end keeps clear of."""
    return y.iloc[-max(int(TAIL * len(y)), 1) :]


def _label(axes, place, height, text, colour, align, gap, path_effects=None):
    """Text at a share of the axes' width, ``gap`` points above a height in data units; none where that is outside."""
    axes.annotate(
        text,
        (place, height),
        (0, gap),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        color=colour,
        ha=align,
        annotation_clip=True,
        path_effects=path_effects,
    )


def _name_line(axes, x, text, inside=True):
    """Text beside the upper end of a vertical line, or above it; none where the line is outside."""
    axes.annotate(
        text,
        (x, 0.99),
        (3, 0) if inside else (0, 4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top" if inside else "bottom",
        ha="left" if inside else "center",
        annotation_clip=True,
    )


def _edges(centres):
    """Edges of the tiles with these ascending centres, one more than these."""
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5])
    middles = (centres[:-1] + centres[1:]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def _plain_ticks(axes):
    """Powers of ten on a logarithmic vertical axis, written out where they are short."""

    def written(value, _):
        return f"{value:g}" if 1e-3 <= value < 1e5 else f"$10^{{{round(np.log10(value))}}}$"

    axes.yaxis.set_major_locator(LogLocator(numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(written))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(axes, study):
    """Axes that all panels against p share, and a thin line at p = N."""
    axes.set(xlabel="number of features $p$", yscale="log")
    axes.margins(y=0.12)
    _plain_ticks(axes)
    axes.axvline(study["n_train"], **THIN_LINE)
    _name_line(axes, study["n_train"], "$p = N$")


if __name__ == "__main__":
    with job_log(snakemake):
        study = snakemake.params.study
        tables = {name: read_table(path) for name, path in snakemake.input.items() if name != "code"}
        summary, parts = tables["summary"], tables["decomposition"]
        tuned = repeated(tables["choices"], "replicates")

        figure, (left, right) = new_figure(columns=2, sharey=True)
        draw_curve(left, summary, "test_mse", study)
        draw_curve(right, summary, "risk", study)
        draw_theory(right, summary)
        draw_baselines(right, tables["baselines"].set_index("quantity")["value"])
        left.set(title=f"Test error, {study['n_test']:,} points", ylabel="mean squared error")
        right.set(title="Risk: the mean over all inputs; dotted: theory")
        save_figure(figure, snakemake.output.test_error)

        figure, axes = new_figure()
        draw_lambda(axes, tuned, tables["theory"], study)
        save_figure(figure, snakemake.output.tuned_lambda)

        figure, (left, middle, right) = new_figure(columns=3)
        middle.sharey(right)
        draw_eigenvalue(left, parts, study)
        draw_parts(middle, parts, "fixed", study)
        draw_parts(right, parts, "validated", study)
        for axes in (left, middle, right):
            axes.xaxis.set_major_locator(MaxNLocator(3))
        save_figure(figure, snakemake.output.parts)

        figure, axes = new_figure(height_mm=HEAT_MAP_HEIGHT_MM)
        draw_heat_map(figure, axes, tables["risk_grid"], tuned, tables["theory"], study)
        save_figure(figure, snakemake.output.heat_map)

        figure, axes = new_figure()
        draw_samples(axes, tables["samples"])
        save_figure(figure, snakemake.output.samples)

        figure, axes = new_figure()
        draw_course(axes, tables["course"])
        save_figure(figure, snakemake.output.course)
