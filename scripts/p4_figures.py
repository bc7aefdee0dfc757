"""Figures of problem 4: the block itself, and its parameters against the number of branches."""

import itertools

from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pipeline.jobs import job_log
from pipeline.style import FIXED, FIXED_LINE, INK, THEORY_LINE, TUNED, TUNED_LINE, WIDTH_MM, new_figure, save_figure
from pipeline.tables import read_table

BLOCK_HEIGHT_MM = 86
LAYER_CENTRES = (39, 66, 93)  # mm from the left edge of the drawing
BOX = (21, 9)  # mm
FIRST, LAST = LAYER_CENTRES[0] - BOX[0] / 2, LAYER_CENTRES[-1] + BOX[0] / 2
INPUT, MERGE, OUTPUT = 10, 113, 128  # centres, mm
SMALL = 7.5  # pt
ARROW = {"arrowstyle": "-|>,head_width=0.13,head_length=0.28", "color": INK, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
TINT = "#EEF3F8"


def draw_block(axes, layers):
    """Draw both constructions from the table of layers, one data unit a millimetre."""
    axes.set_axis_off()
    axes.set_position([0, 0, 1, 1])
    axes.set(xlim=(0, WIDTH_MM), ylim=(0, BLOCK_HEIGHT_MM))
    chains = {name: rows.set_index("layer") for name, rows in layers.groupby("construction")}
    _plain(axes, 74, chains["plain"])
    _split(axes, 29, chains["split_transform_merge"])


def _plain(axes, y, chain):
    axes.text(0.5, y + 9, "Plain", weight="semibold", va="center")
    _ends(axes, y, chain)
    _chain(axes, y, chain, FIXED)
    _arrow(axes, (19, y), (FIRST, y))
    _arrow(axes, (LAST, y), (119, y))


def _split(axes, y, chain):
    """Branches 1 and 2 and the last one with dots between; all of them if there are at most three."""
    copies = int(chain.loc["total", "copies"])
    places = {1: {1: 0}, 2: {1: 11, 2: -11}, 3: {1: 21, 2: 0, 3: -21}}.get(copies, {1: 21, 2: 6, copies: -22})
    axes.text(0.5, y + 32.5, "Split, transform, merge", weight="semibold", va="center")
    _ends(axes, y, chain)
    for number, rise in places.items():
        _chain(axes, y + rise, chain, TUNED)
        axes.text(FIRST + 0.5, y + rise + BOX[1] / 2 + 1, f"branch {number}", color=TUNED, fontsize=SMALL)
        _arrow(axes, (19, y), (FIRST, y + rise))
        _arrow(axes, (LAST, y + rise), (MERGE, y), shrinkB=3 / 25.4 * 72)
    if copies > 3:
        axes.scatter([LAYER_CENTRES[1]] * 3, [y - 4.5, y - 7.25, y - 10], s=5, color=INK)
    axes.add_patch(Circle((MERGE, y), 3, facecolor="white", edgecolor=INK, linewidth=0.8))
    axes.plot([MERGE - 1.4, MERGE + 1.4], [y, y], [MERGE, MERGE], [y - 1.4, y + 1.4], color=INK, linewidth=0.9)
    _arrow(axes, (MERGE + 3, y), (119, y))


def _chain(axes, y, chain, colour):
    """Three boxes joined by arrows; every convolution is followed by ReLU."""
    for x, layer in zip(LAYER_CENTRES, ("conv1", "conv2", "conv3"), strict=True):
        side, inputs, outputs = (chain.loc[layer, column] for column in ("kernel", "in_channels", "out_channels"))
        corner = (x - BOX[0] / 2, y - BOX[1] / 2)
        shape = "round,pad=0,rounding_size=1"
        axes.add_patch(FancyBboxPatch(corner, *BOX, boxstyle=shape, facecolor=TINT, edgecolor=colour, linewidth=0.9))
        axes.text(x, y + 0.9, f"{side}×{side} conv, ReLU", ha="center", fontsize=SMALL)
        axes.text(x, y - 3, f"{inputs:,} → {outputs:,}", ha="center")
    for left, right in itertools.pairwise(LAYER_CENTRES):
        _arrow(axes, (left + BOX[0] / 2, y), (right - BOX[0] / 2, y))


def _ends(axes, y, chain):
    """What enters on the left and what leaves on the right."""
    for x, name, column in ((INPUT, "input", "in_channels"), (OUTPUT, "output", "out_channels")):
        axes.text(x, y + 0.9, name, ha="center")
        axes.text(x, y - 3, f"{chain.loc['total', column]:,} channels", ha="center", fontsize=SMALL)


def _arrow(axes, start, end, **changes):
    axes.annotate("", xy=end, xytext=start, arrowprops=ARROW | changes)


def draw_savings(axes, savings, optimum, curve):
    """Parameters against B: the formula for real B, live modules at the divisors of m, the plain level."""
    row = optimum.iloc[0]
    plain = curve["plain_parameters"].iloc[0]
    axes.set_xscale("log", base=2)
    axes.plot(curve["branches"], curve["parameters"], **TUNED_LINE)
    axes.plot(curve["branches"], curve["plain_parameters"], **FIXED_LINE)
    axes.plot(savings["branches"], savings["parameters"], "o", color=TUNED, markersize=4.5, zorder=3)
    best = savings.loc[savings["saving"].idxmax()]
    lowest = plain - row["largest_saving"]
    _label(axes, f"plain: {plain:,.0f}", (1, plain), (0, 5), FIXED, ha="left")
    if best["branches"] > 1:
        _label(
            axes,
            f"$B$ = {best['branches']}: {best['parameters']:,}",
            (best["branches"], best["parameters"]),
            (0, -13),
            TUNED,
        )
    if row["best_branches"] > 1:
        axes.plot([row["best_branches"]] * 2, [lowest, plain], **THEORY_LINE)
        text = rf"$km/\sqrt{{C}}$ = {row['best_branches']:.4g}"
        _label(axes, text, (row["best_branches"], (lowest + plain) / 2), (5, 0), INK, ha="left")
    if row["break_even_branches"] > 1:
        axes.plot(row["break_even_branches"], plain, "s", color=INK, markersize=4.5, zorder=3)
        text = f"break-even: {row['break_even_branches']:,.4g}"
        _label(axes, text, (row["break_even_branches"], plain), (-3, 6), INK, ha="right")
    axes.set(xlabel=r"branches $B$ (logarithmic), each of width $m/B$", ylabel="trainable parameters", ylim=(0, None))
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _label(axes, text, point, offset, colour, ha="center"):
    axes.annotate(text, point, offset, textcoords="offset points", color=colour, ha=ha, va="baseline")


if __name__ == "__main__":
    with job_log(snakemake):
        figure, axes = new_figure(height_mm=BLOCK_HEIGHT_MM)
        figure.set_layout_engine("none")
        draw_block(axes, read_table(snakemake.input.parameters))
        save_figure(figure, snakemake.output.block)

        figure, axes = new_figure()
        draw_savings(
            axes,
            read_table(snakemake.input.savings),
            read_table(snakemake.input.optimum),
            read_table(snakemake.input.curve),
        )
        save_figure(figure, snakemake.output.savings)
