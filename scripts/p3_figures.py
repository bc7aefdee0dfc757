"""Figures of problem 3: the gradients of every layer when one is broken, and their growth with depth."""

from matplotlib.ticker import MaxNLocator

from pipeline.jobs import job_log
from pipeline.style import FIXED, FIXED_LINE, GREY, INK, THEORY_LINE, TUNED, TUNED_LINE, new_figure, save_figure
from pipeline.tables import read_table

TITLES = {"zero_weight": "$A_j = 0$", "zero_slope": "$\\sigma\\prime(A_jy_{j-1} + b_j) = 0$"}
LINES = {"residual": TUNED_LINE | {"marker": "o"}, "plain": FIXED_LINE | {"marker": "s"}}
COLOURS = {"residual": TUNED, "plain": FIXED}


def draw_vanishing(panels, vanishing):
    """A panel for each way to break the middle one of the layers: the norm of dy_L/db_i against the layer i.

    With L = 2 no layer has a skip and can break: the panels show the network as it is, the same with skips and without.
    """
    layers = sorted(set(vanishing["broken_layer"]) - {0})
    broken = layers[len(layers) // 2] if layers else 0
    for axes, (cause, title) in zip(panels, TITLES.items(), strict=True):
        rows = vanishing[(vanishing["cause"] == (cause if broken else "none")) & (vanishing["broken_layer"] == broken)]
        if broken:
            axes.axvline(broken, color=GREY, linewidth=0.8)
        for network, line in LINES.items():
            part = rows[rows["network"] == network]
            axes.plot(part["layer"], part["norm_db"], markersize=4, clip_on=False, **line)
        axes.set(title=title if broken else "nothing to break", xlabel="layer $i$")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    top = 1.15 * vanishing.loc[vanishing["broken_layer"] == broken, "norm_db"].max()
    panels[0].set(ylabel=r"norm of $\partial y_L/\partial b_i$", ylim=(0, top))
    if not broken:
        _label(panels[0], "residual and plain", (1, 0), (0, 6), INK)
        return
    for axes in panels:
        _label(axes, "broken layer $j$", (broken, top), (4, -2), INK, va="top")
    below = vanishing[(vanishing["broken_layer"] == broken) & (vanishing["layer"] < broken)]
    highest = below.loc[below["norm_db"].idxmax()]
    _label(panels[0], "residual", (highest["layer"], highest["norm_db"]), (0, 6), TUNED)
    _label(panels[0], "plain: 0", (1, 0), (0, 6), FIXED)


def draw_growth(axes, growth):
    """Simulated mean squares with bars of two standard errors, and the theory, against the distance k."""
    for network, rows in growth.groupby("network"):
        axes.plot(rows["distance"], rows["square_theory"], **THEORY_LINE)
        axes.errorbar(
            rows["distance"],
            rows["square_simulated"],
            yerr=2 * rows["square_se"],
            color=COLOURS[network],
            linestyle="none",
            marker=LINES[network]["marker"],
            markersize=3.5,
            elinewidth=1,
        )
    axes.set_yscale("log")
    axes.set(xlabel="layers $k$ between $y_i$ and $y_{L-1}$", ylabel=r"mean of $\|\partial y_L/\partial y_i\|^2$")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    places = {
        "residual": (r"residual: $\frac{1}{3}(\frac{4}{3})^k$", 13),
        "plain": (r"plain: $(\frac{1}{3})^{k+1}$", 14),
    }
    for network, (text, rise) in places.items():
        rows = growth[growth["network"] == network]
        middle = rows.iloc[len(rows) // 2]
        _label(axes, text, (middle["distance"], middle["square_theory"]), (4, rise), COLOURS[network])


def _label(axes, text, point, offset, colour, va="baseline"):
    axes.annotate(text, point, offset, textcoords="offset points", color=colour, va=va)


if __name__ == "__main__":
    with job_log(snakemake):
        figure, panels = new_figure(2, sharey=True)
        draw_vanishing(panels, read_table(snakemake.input.vanishing))
        save_figure(figure, snakemake.output.vanishing)

        figure, axes = new_figure()
        draw_growth(axes, read_table(snakemake.input.growth))
        save_figure(figure, snakemake.output.growth)
