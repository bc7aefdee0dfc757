"""Draw the table of scaling.py: seconds of a replicate against the number of samples and against the largest width.

Use: python benchmarks/scaling_figure.py scaling.csv scaling.svg
"""

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from pipeline.style import FIXED_LINE, THEORY_LINE, TUNED_LINE, new_figure, save_figure

LINES = {1: FIXED_LINE | {"marker": "s"}, 2: TUNED_LINE | {"marker": "o"}}
TITLES = {"n_train": "training points $N$ (widths up to 1500)", "largest_p": "largest width $p$ ($N = 300$)"}


def draw(axes, table, varied):
    """Draw one panel: the measured curves, and the slope of the flops through the first point."""
    for processes, line in LINES.items():
        rows = table[(table["varied"] == varied) & (table["processes"] == processes)]
        axes.plot(rows[varied], rows["seconds"], **line, markersize=3.5)
        name = f"{processes} process{'es' if processes > 1 else ''}, slope {rows['slope'].iloc[0]:.2f}"
        row, offset, side = (rows.iloc[2], (-6, 7), "right") if processes == 1 else (rows.iloc[1], (6, -13), "left")
        place = {"textcoords": "offset points", "ha": side, "color": line["color"]}
        axes.annotate(name, (row[varied], row["seconds"]), offset, **place)
    first, slope = rows.iloc[0], rows["slope_theory"].iloc[0]
    axes.plot(rows[varied], first["seconds"] * (rows[varied] / first[varied]) ** slope, **THEORY_LINE)
    axes.set(xscale="log", yscale="log", xlabel=TITLES[varied], title=f"dotted: slope of the flops, {slope:.2f}")
    axes.set_xticks(rows[varied], [f"{size:,}" for size in rows[varied]], minor=False)
    axes.minorticks_off()
    axes.margins(y=0.2)


if __name__ == "__main__":
    table = pd.read_csv(sys.argv[1])
    figure, (left, right) = new_figure(columns=2, sharey=True)
    draw(left, table, "n_train")
    draw(right, table, "largest_p")
    left.set(ylabel="seconds for a replicate")
    save_figure(figure, sys.argv[2])
