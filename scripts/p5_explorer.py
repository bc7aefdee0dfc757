"""The figure of problem 5 that moves, for the HTML page: the fixed penalty's curve and its cut through the map."""

import json
from pathlib import Path
from string import Template

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator

from hw6.double_descent import largest_rise
from pipeline.files import written_whole
from pipeline.jobs import job_log
from pipeline.tables import read_table, repeated

WIDTHS, PENALTIES, CELLS = 200, 60, 4500  # how many the page holds at most: it grows by less than 60 kB
DIGITS = 4
FLOOR = 1e-12  # smaller risks are drawn here
SHADES = 64
MOST_TICKS = 6
PANEL = Template("""\
<div class="explorer" id="explorer-panel" role="group" aria-labelledby="explorer-title" hidden>
<p class="explorer-title" id="explorer-title">Move λ through the map</p>
<div class="explorer-control">
<label for="explorer-lambda">Fixed penalty λ</label>
<span aria-hidden="true">$low</span>
<input type="range" id="explorer-lambda" min="0" max="$last" step="1" value="$start" autocomplete="off">
<span aria-hidden="true">$high</span>
</div>
<output class="explorer-found" id="explorer-found" for="explorer-lambda" aria-live="off"></output>
<div class="explorer-views">
<svg id="explorer-curves" viewBox="0 0 320 260" role="img" aria-label="Risk against p"></svg>
<svg id="explorer-map" viewBox="0 0 320 260" role="img" aria-label="Map of the risk over p and λ"></svg>
</div>
<p class="explorer-note">Dashed: λ fixed, a row of the map; the bar is the curve’s largest rise. Solid: λ tuned for each
<em>p</em>, on the map the median over the draws. Data: <a href="#src-p5-risk_grid"><code>p5/risk_grid.csv</code></a>,
<a href="#src-p5-summary"><code>p5/summary.csv</code></a>,
<a href="#src-p5-choices"><code>p5/choices.csv</code></a>.</p>
<script type="application/json" id="explorer-data">$data</script>
<script>
$script</script>
</div>
""")
UNSAFE = ("```", "{{<", "</script", "<!--")


def page_data(risk_grid, summary, tuned_lambda, study):
    """What the page draws, ready for JSON, and the row at which the reader starts: (data, start).

    The tables are those of the same names, tuned_lambda has the choices one by one; study has ``n_train`` and
    ``fixed_lambda``. Curves are lists over ``widths``, ``risk`` has one for each of ``penalties``; both ascend and are
    thinned evenly. ``rises`` tells where the largest rise of each begins and ends. Raises KeyError if the tuned curve
    lacks a width of the grid.
    """
    table = risk_grid.pivot(index="lambda", columns="n_features", values="risk_mean").sort_index().sort_index(axis=1)
    table = table.iloc[_thinned(len(table), PENALTIES)]
    table = table.iloc[:, _thinned(table.shape[1], min(WIDTHS, CELLS // len(table)))]
    widths, penalties = table.columns.to_numpy(), table.index.to_numpy(float)
    tuned = summary[summary["tuning"] == "validated"].set_index("n_features")["risk_mean"].loc[widths]
    chosen = tuned_lambda.groupby("n_features")["lambda"].median().loc[widths]
    shown, drawn = table.clip(lower=FLOOR).to_numpy(), tuned.clip(lower=FLOOR)
    low, high = min(shown.min(), drawn.min()), max(shown.max(), drawn.max())
    ranges = {
        "widths": _span(widths, 0.5),
        "penalties": np.exp(_span(np.log(penalties), 0.5)),
        "risk": [low / 1.6, high * 1.15],
        "colours": [shown.min(), max(shown.max(), 1.01 * shown.min())],
    }
    ticks = {name: log_ticks(*ranges[name]) for name in ("penalties", "risk", "colours")}
    ticks["widths"] = [mark for mark in even_ticks(*ranges["widths"]) if mark.is_integer()]
    scale = matplotlib.colormaps["cividis"](np.linspace(0, 1, SHADES))
    data = {
        "widths": widths.tolist(),
        "penalties": _rounded(penalties),
        "risk": [_rounded(row) for row in table.to_numpy()],
        "rises": [largest_rise(row)[1:] for row in table.to_numpy()],
        "tuned": _rounded(tuned),
        "chosen": _rounded(chosen),
        "sample": study["n_train"],
        "range": {name: [float(end) for end in ends] for name, ends in ranges.items()},
        "ticks": ticks,
        "colours": [to_hex(colour) for colour in scale],
    }
    return data, int(np.argmin(np.abs(np.log(penalties / study["fixed_lambda"]))))


def fragment(data, start, script):
    """Markdown with one raw block of HTML: the panel, its data and its script.

    Raises ValueError if the script holds what would end the block or the element early.
    """
    found = [mark for mark in UNSAFE if mark in script.lower()]
    if found:
        raise ValueError(f"the script must not hold {' or '.join(found)}")
    low, high = (f"{data['penalties'][end]:.3g}".replace("e-0", "e-").replace("e+0", "e+") for end in (0, -1))
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    last = len(data["penalties"]) - 1
    panel = PANEL.substitute(low=low, high=high, last=last, start=start, data=text, script=script)
    return f"```{{=html}}\n{panel}```\n"


def log_ticks(low, high):
    """A few round numbers in [low, high] for a logarithmic axis: 1, 2, 5 times powers of ten where there are two."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    fine, coarse = (
        [mark for mark in _rounded(np.outer(powers, digits).ravel()) if low <= mark <= high]
        for digits in ([1, 2, 5], [1])
    )
    if len(fine) < 2:
        return even_ticks(low, high)
    return fine if len(fine) <= MOST_TICKS else coarse[:: -(-len(coarse) // MOST_TICKS)]


def even_ticks(low, high):
    """A few evenly spaced round numbers in [low, high]."""
    marks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [mark for mark in _rounded(marks, 12) if low <= mark <= high]


def _thinned(count, most):
    """Indices of at most ``most`` of ``count`` things, evenly, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _span(centres, alone):
    """The outer edges of the tiles with these ascending centres; ``alone`` is half the width of a single one."""
    if len(centres) == 1:
        return centres[0] + np.array([-alone, alone])
    return centres[[0, -1]] + (centres[[1, -1]] - centres[[0, -2]]) / [-2, 2]


def _rounded(values, digits=DIGITS):
    """Floats with so many significant digits."""
    return [float(f"{value:.{digits}g}") for value in values]


if __name__ == "__main__":
    with job_log(snakemake):
        risk_grid, summary, choices = (
            read_table(snakemake.input[name]) for name in ("risk_grid", "summary", "choices")
        )
        data, start = page_data(risk_grid, summary, repeated(choices, "replicates"), snakemake.params.study)
        script = Path(snakemake.input.script).read_text(encoding="utf-8")
        with written_whole(snakemake.output.explorer) as draft:
            draft.write_text(fragment(data, start, script), encoding="utf-8")
