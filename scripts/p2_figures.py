"""Figures of problem 2: the variance from layer to layer, and the output's law beside a Gaussian."""

import math

import numpy as np

from pipeline.jobs import job_log
from pipeline.style import BAND, FIXED, INK, THEORY_LINE, TUNED, new_figure, save_figure
from pipeline.tables import read_table

QUOTED = {"base": TUNED, "deep": FIXED}  # the networks that the text names; the others are drawn in ink
MARKERS = "osD^vP*X<>"
STANDARD_ERRORS = 4
DENSITY_RANGE = 1e-4, 1
PANEL = np.array([170, 160])  # points: about the size of one of two panels
LETTER = np.array([4.4, 8])  # points: about the size of one letter
PLACES = {  # where a name may stand beside its point: offset in points, alignment as a share of the text's size
    "right": ((6, 0), (0, 0.5)),
    "above": ((0, 7), (0.5, 0)),
    "below": ((0, -7), (0.5, 1)),
    "below left": ((-6, -4), (1, 1)),
    "above right": ((5, 5), (0, 0)),
    "below right": ((5, -5), (0, 1)),
    "left": ((-6, 0), (1, 0.5)),
}


def draw_variance(axes, table):
    """Variance of a coordinate against the layer: dotted the theory, markers the simulation with its errors."""
    axes.set_yscale("log")
    for number, (name, rows) in enumerate(table.groupby("network", sort=False)):
        colour = QUOTED.get(name, INK)
        axes.plot(rows["layer"], rows["variance_theory"], **{**THEORY_LINE, "color": colour})
        axes.errorbar(
            rows["layer"],
            rows["variance_simulated"],
            yerr=STANDARD_ERRORS * rows["variance_se"],
            fmt=MARKERS[number % len(MARKERS)],
            color=colour,
            markersize=3.5,
            markerfacecolor=colour if name in QUOTED else "white",
            elinewidth=0.9,
            zorder=3 if name == "base" else 2.5,
        )
    deepest = table["layer"].max()
    axes.set(xlabel="layer $\\ell$", xlim=(1 - 0.1 * deepest, 1.25 * deepest))
    axes.set_xticks(range(1, deepest + 1, math.ceil(deepest / 10)))


def label_curves(axes, table):
    """Write each network's name beside its last point, where it covers as little of the curves as possible."""
    curves = {name: _in_points(axes, rows) for name, rows in table.groupby("network", sort=False)}
    covered = np.concatenate([_between(points) for points in curves.values()])
    for name, points in curves.items():
        size = LETTER * (len(name), 1)
        corners = {place: points[-1] + shift - size * share for place, (shift, share) in PLACES.items()}
        place = min(corners, key=lambda place: _hits(covered, corners[place], size))
        covered = np.concatenate([covered, _between(np.array([corners[place], corners[place] + size]))])
        shift, (horizontal, vertical) = PLACES[place]
        axes.annotate(
            name,
            (table.loc[table["network"] == name, "layer"].iloc[-1], _last_variance(table, name)),
            shift,
            textcoords="offset points",
            color=QUOTED.get(name, INK),
            ha={0: "left", 0.5: "center", 1: "right"}[horizontal],
            va={0: "bottom", 0.5: "center", 1: "top"}[vertical],
        )


def draw_law(axes, density, law):
    """The output's density in units of its standard deviation, beside the standard normal's, on a logarithmic axis."""
    name, x = law["network"], density["standard_deviations"]
    colour = QUOTED.get(name, INK)
    low, high = DENSITY_RANGE
    axes.set_yscale("log")
    axes.plot(x, density["gaussian"], **THEORY_LINE)
    shown = density["density"].where(density["density"] > low / 100)
    spread = 2 * density["density_se"]
    lower, upper = (np.clip(density["density"] + sign * spread, low / 100, None) for sign in (-1, 1))
    axes.fill_between(x, lower, upper, color=colour, alpha=BAND, linewidth=0)
    axes.plot(x, shown, color=colour, linestyle="-" if name == "base" else "--", linewidth=1.4)
    axes.set(
        xlabel="output, in standard deviations",
        xlim=(-4, 4),
        xticks=range(-3, 4),
        ylim=(low, high),
        title=f"{name}, kurtosis {law['kurtosis']:.3f}",
    )
    peak = density.loc[x.abs().idxmin(), ["density", "gaussian"]].max()
    above = {"textcoords": "offset points", "ha": "center"}
    axes.annotate("network", (0, peak), (0, 5), color=colour, **above)
    axes.annotate("Gaussian (dotted)", (0, low), (0, 22), color=INK, **above)


def _in_points(axes, rows):
    """The theory's curve of one network, in points from the panel's lower left corner; (layers, 2)."""
    data = axes.transData.transform(np.column_stack([rows["layer"], rows["variance_theory"]]))
    return axes.transAxes.inverted().transform(data) * PANEL


def _between(points):
    """Points (., 2) along the broken line through ``points``, dense enough to find what crosses a word."""
    steps = np.linspace(0, len(points) - 1, 40 * len(points))
    return np.column_stack([np.interp(steps, np.arange(len(points)), column) for column in points.T])


def _hits(covered, corner, size):
    """How many of the covered points lie in the box, plus a large number if it leaves the panel."""
    inside = ((covered > corner - 2) & (covered < corner + size + 2)).all(axis=1).sum()
    return inside + 1000 * bool((corner < 0).any() or (corner + size > PANEL).any())


def _last_variance(table, name):
    return table.loc[table["network"] == name, "variance_theory"].iloc[-1]


if __name__ == "__main__":
    with job_log(snakemake):
        figure, axes = new_figure(columns=2, sharey=True)
        tables = read_table(snakemake.input.variance), read_table(snakemake.input.relu)
        for panel, table in zip(axes, tables, strict=True):
            draw_variance(panel, table)
        for panel, table in zip(axes, tables, strict=True):  # both, once the shared axis has its limits
            label_curves(panel, table)
        axes[0].set(title="identity", ylabel="variance of a coordinate")
        axes[1].set(title="ReLU")
        save_figure(figure, snakemake.output.variance)

        law, density = read_table(snakemake.input.law), read_table(snakemake.input.density)
        figure, axes = new_figure(columns=2, sharey=True)
        for panel, name in zip(axes, QUOTED, strict=True):
            draw_law(panel, density[density["network"] == name], law[law["network"] == name].iloc[0])
        axes[0].set_ylabel("density")
        save_figure(figure, snakemake.output.law)
