"""Figure of problem 1: an activation commutes with dropout if and only if rescaling its graph leaves it unchanged."""

from pipeline.jobs import job_log
from pipeline.style import FIXED, FIXED_LINE, TUNED, TUNED_LINE, new_figure, save_figure
from pipeline.tables import read_table

NAMES = {"leaky_relu": "leaky ReLU", "sigmoid": "sigmoid", "log_periodic": "log-periodic"}
PANELS = 4
HEIGHT_MM = 52


def draw_rescaled(axes, curves):
    """One panel for each activation and dropout rate: s(z) solid, s(c z)/c dashed on top."""
    for panel, (_, curve) in zip(axes, curves.groupby("panel"), strict=True):
        panel.plot(curve["z"], curve["value"], **TUNED_LINE)
        panel.plot(curve["z"], curve["rescaled"], **FIXED_LINE)
        first = curve.iloc[0]
        panel.set_title(f"{NAMES[first['activation']]}, $p$ = {first['dropout_p']:g}")
        panel.set(xlabel="$z$", xticks=[-2, 0, 2])
    label(axes[1], r"$\sigma(z)$", 0.98, 0.73, TUNED)
    label(axes[1], r"$\sigma(cz)/c$", 0.98, 0.38, FIXED)


def label(axes, text, x, y, colour):
    """Name a curve beside it; x and y are fractions of the panel."""
    axes.text(x, y, text, color=colour, ha="right", transform=axes.transAxes)


if __name__ == "__main__":
    with job_log(snakemake):
        figure, axes = new_figure(PANELS, height_mm=HEIGHT_MM, sharey=True)
        draw_rescaled(axes, read_table(snakemake.input.curves))
        save_figure(figure, snakemake.output.rescaled)
