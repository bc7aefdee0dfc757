"""One look for every figure: fonts, sizes and colours, the same as the report's."""

import functools

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure

from pipeline.files import written_whole
from pipeline.font_files import packaged

INK = "#1B1B1B"
TUNED = "#0B5FA5"
FIXED = "#B5432A"
GREY = "#8A8A8A"
BAND = 0.18  # opacity of an interval's band
TUNED_LINE = {"color": TUNED, "linestyle": "-", "linewidth": 1.8}
FIXED_LINE = {"color": FIXED, "linestyle": "--", "linewidth": 1.4}
THEORY_LINE = {"color": INK, "linestyle": ":", "linewidth": 1.2}

WIDTH_MM = 138
HEIGHT_MM = 74
HEAT_MAP_HEIGHT_MM = 92

SETTINGS = {
    "font.family": "Source Sans Pro",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "mathtext.fontset": "custom",
    "mathtext.rm": "Source Sans Pro",
    "mathtext.it": "Source Sans Pro:italic",
    "mathtext.bf": "Source Sans Pro:bold",
    "mathtext.cal": "Source Sans Pro:italic",
    "mathtext.fallback": "stixsans",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "text.color": INK,
    "text.language": "en",  # else that of the locale: fonts have another i for Turkish
    "lines.linewidth": 1.4,
    "image.cmap": "cividis",
    "figure.facecolor": "white",
    "axes.facecolor": "none",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "hw6",
    "path.simplify": False,
}


def new_figure(columns=1, height_mm=HEIGHT_MM, **subplots):
    """A figure of the text's width with ``columns`` panels side by side; returns (figure, axes).

    One column gives one Axes, more give an array of them; ``subplots`` goes to ``Figure.subplots``.
    """
    _use_style()
    figure = Figure(figsize=(WIDTH_MM / 25.4, height_mm / 25.4), layout="constrained")
    return figure, figure.subplots(1, columns, **subplots)


def save_figure(figure, path):
    """Write the figure as SVG with glyphs as paths and no date, so that equal data give equal bytes."""
    with written_whole(path) as draft:
        figure.savefig(draft, format="svg", metadata={"Date": None, "Creator": None})


@functools.cache
def _use_style():
    """Register the report's fonts beside Matplotlib's own; forget the machine's, and the settings of a matplotlibrc."""
    manager, own = font_manager.fontManager, matplotlib.get_data_path()
    manager.ttflist = [font for font in manager.ttflist if font.fname.startswith(own)]
    for face in ("Regular", "It", "Semibold", "Bold"):
        manager.addfont(packaged("font_source_sans_pro", "files", f"SourceSansPro-{face}"))
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(SETTINGS)
