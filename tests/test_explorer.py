"""The figure that moves: its numbers are the table's, its Markdown is one raw block, and it does what it says."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pypandoc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import p5_explorer as explorer
from hw6.double_descent import largest_rise

ROOT = Path(__file__).parents[1]
SCRIPT = (ROOT / "report/explorer.js").read_text(encoding="utf-8")
STYLE = (ROOT / "report/style.css").read_text(encoding="utf-8")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--window-size=800,600")
STUDY = {"n_train": 30, "fixed_lambda": 0.1}
RISKS = st.one_of(st.just(0.0), st.floats(1e-20, 1e4))


def tables(risk, widths, penalties):
    """The three tables that the explorer reads; risk[row][column] belongs to penalties[row] and widths[column].

    The tuned curve is the lowest risk of each width.
    """
    risk, best = np.array(risk), np.argmin(risk, axis=0)
    grid = [(p, lam, risk[j, k]) for k, p in enumerate(widths) for j, lam in enumerate(penalties)]
    means = [
        (p, tuning, r) for k, p in enumerate(widths) for tuning, r in (("fixed", 1.0), ("validated", risk[best[k], k]))
    ]
    chosen = [(p, penalties[best[k]]) for k, p in enumerate(widths)]
    return {
        "risk_grid": pd.DataFrame(grid, columns=["n_features", "lambda", "risk_mean"]),
        "summary": pd.DataFrame(means, columns=["n_features", "tuning", "risk_mean"]),
        "tuned_lambda": pd.DataFrame(chosen, columns=["n_features", "lambda"]),
    }


def page(widths, penalties, risk, study=STUDY):
    """The fragment for these numbers, and the data in it as the page's script reads them."""
    text = explorer.fragment(*explorer.page_data(**tables(risk, widths, penalties), study=study), SCRIPT)
    return text, json.loads(re.search(r'id="explorer-data">(.*)</script>', text)[1])


def ordinary():
    """Widths, penalties and risks with a peak that sinks as the penalty grows."""
    widths, penalties = list(range(5, 65, 5)), [float(lam) for lam in np.geomspace(0.01, 100, 5)]
    risk = [[1 / p + math.exp(-abs(p - 30) / 5) / (1 + 5 * lam) + lam / 300 for p in widths] for lam in penalties]
    return widths, penalties, risk


@st.composite
def numbers(draw):
    widths = sorted(draw(st.sets(st.integers(1, 20000), min_size=1, max_size=8)))
    exponents = sorted(draw(st.sets(st.integers(-60, 60), min_size=1, max_size=6)))
    penalties = [10 ** (exponent / 10) for exponent in exponents]
    risk = draw(
        st.lists(
            st.lists(RISKS, min_size=len(widths), max_size=len(widths)),
            min_size=len(penalties),
            max_size=len(penalties),
        )
    )
    return widths, penalties, risk


@settings(max_examples=60)
@given(numbers())
def test_the_page_holds_the_tables_numbers(drawn):
    widths, penalties, risk = drawn
    _, data = page(*drawn)
    assert data["widths"] == widths
    np.testing.assert_allclose(data["penalties"], penalties, rtol=5e-4)
    np.testing.assert_allclose(data["risk"], risk, rtol=5e-4)
    np.testing.assert_allclose(data["tuned"], np.min(risk, axis=0), rtol=5e-4)
    np.testing.assert_allclose(data["chosen"], np.array(penalties)[np.argmin(risk, axis=0)], rtol=5e-4)


@settings(max_examples=60)
@given(numbers())
def test_everything_drawn_lies_within_the_axes(drawn):
    _, data = page(*drawn)
    shown = np.maximum(data["risk"], explorer.FLOOR)
    for name, values in {
        "widths": data["widths"],
        "penalties": data["penalties"],
        "risk": shown,
        "colours": shown,
    }.items():
        low, high = data["range"][name]
        assert low < high
        assert low <= np.min(values) * (1 + 5e-4)
        assert np.max(values) <= high * (1 + 5e-4)
        assert all(low <= mark <= high for mark in data["ticks"][name])
        assert 1 <= len(data["ticks"][name]) <= 9


@pytest.mark.parametrize(("widths", "penalties"), [(2000, 200), (500, 30), (200, 3), (1, 200), (2000, 1)])
def test_a_large_grid_is_thinned_evenly_from_end_to_end(widths, penalties):
    p, lam = list(range(1, widths + 1)), [float(value) for value in np.geomspace(1e-6, 1e6, penalties)]
    risk = np.random.default_rng(0).uniform(1e-5, 1e-4, (penalties, widths))
    text, data = page(p, lam, risk)
    rows, columns = len(data["penalties"]), len(data["widths"])
    assert rows == min(penalties, explorer.PENALTIES)
    assert columns <= min(widths, explorer.WIDTHS)
    assert len(text.encode()) < 60_000
    assert [data["widths"][0], data["widths"][-1]] == [p[0], p[-1]]
    np.testing.assert_allclose([data["penalties"][0], data["penalties"][-1]], [lam[0], lam[-1]], rtol=5e-4)
    kept = [int(np.argmin(np.abs(np.log(np.array(lam) / value)))) for value in data["penalties"]]
    np.testing.assert_allclose(data["risk"], risk[np.ix_(kept, [width - 1 for width in data["widths"]])], rtol=5e-4)
    steps = np.diff(data["widths"])
    assert steps.size == 0 or np.ptp(steps) <= 1


@pytest.mark.parametrize(("fixed", "start"), [(1e-6, 0), (0.01, 0), (0.09, 1), (1.0, 2), (1e6, 4)])
def test_the_reader_starts_at_the_penalty_nearest_to_the_fixed_one(fixed, start):
    text, _ = page(*ordinary(), study=STUDY | {"fixed_lambda": fixed})
    assert f'min="0" max="4" step="1" value="{start}"' in text


@settings(max_examples=100)
@given(st.floats(-12, 6), st.floats(0.004, 12))
def test_logarithmic_ticks_are_few_and_inside(start, decades):
    low, high = 10**start, 10 ** (start + decades)
    marks = explorer.log_ticks(low, high)
    assert all(low <= mark <= high for mark in marks)
    assert marks == sorted(set(marks))
    assert 1 <= len(marks) <= 9


def test_the_markdown_is_one_raw_block_that_typst_leaves_out():
    text, _ = page(*ordinary())
    blocks = json.loads(pypandoc.convert_text(f"Before.\n\n{text}\nAfter.", "json", format="markdown"))["blocks"]
    assert [block["t"] for block in blocks] == ["Para", "RawBlock", "Para"]
    assert blocks[1]["c"][0] == "html"
    assert pypandoc.convert_text(text, "typst", format="markdown").strip() == ""


def test_data_cannot_end_the_script_early():
    data, start = explorer.page_data(**tables(ordinary()[2], *ordinary()[:2]), study=STUDY)
    text = explorer.fragment(data | {"sample": "</script><!--<script>"}, start, SCRIPT)
    assert text.lower().count("<script") == text.lower().count("</script") == 2
    assert "<!--" not in text
    with pytest.raises(ValueError, match="JSON"):
        explorer.fragment(data | {"sample": math.nan}, start, SCRIPT)


@pytest.mark.parametrize("mark", explorer.UNSAFE)
def test_a_script_that_would_break_the_page_is_refused(mark):
    data, start = explorer.page_data(**tables(ordinary()[2], *ordinary()[:2]), study=STUDY)
    with pytest.raises(ValueError, match="must not hold"):
        explorer.fragment(data, start, f"const text = '{mark.upper()}';")


def test_the_script_needs_nothing_from_elsewhere():
    for word in (
        "://",
        "import",
        "require",
        "fetch",
        "XMLHttp",
        "WebSocket",
        "innerHTML",
        "insertAdjacent",
        "eval",
        "write(",
    ):
        assert word not in SCRIPT


def test_identifiers_have_the_prefix_and_no_handler_is_inline():
    text, _ = page(*ordinary())
    names = re.findall(r'\bid="([^"]+)"', text)
    assert len(names) == len(set(names))
    assert all(name.startswith("explorer-") for name in names)
    assert not re.search(r'\son\w+="', text)


# In the browser.

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")
SNIFF = """
const slider = document.getElementById("explorer-lambda");
const found = [];
const path = (style) => (document.querySelector(style) || document.body).getAttribute("d");
for (let row = 0; row <= slider.max; row++) {
  slider.value = row;
  slider.dispatchEvent(new Event("input"));
  found.push({
    fixed: path("#explorer-curves path.fixed"), tuned: path("#explorer-curves path.tuned"),
    cut: path("#explorer-map path.dashed"), spoken: slider.getAttribute("aria-valuetext"),
    shown: document.getElementById("explorer-found").textContent,
    label: document.getElementById("explorer-curves").getAttribute("aria-label"),
  });
}
const panel = document.getElementById("explorer-panel"), note = document.createElement("pre");
note.id = "sniffed";
note.textContent = JSON.stringify({
  found, visible: panel.getClientRects().length > 0, height: slider.getBoundingClientRect().height,
  lines: document.querySelectorAll("path.sample").length,
});
document.body.append(note);
"""


def chromium(*arguments):
    """What Chromium prints."""
    command = [CHROMIUM, *FLAGS, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def write_page(folder, fragment, scripts=True):
    """A page of the fragment, the report's style and the script that tries the panel; returns its address.

    scripts: whether the panel's own script may run.
    """
    html = fragment.removeprefix("```{=html}\n").removesuffix("```\n")
    policy = "" if scripts else "<meta http-equiv='Content-Security-Policy' content=\"script-src 'nonce-test'\">"
    path = folder / "page.html"
    path.write_text(
        f"<!DOCTYPE html><html lang='en'><meta charset='utf-8'>{policy}<title>Page</title><style>{STYLE}</style>"
        f"<p>Before</p>{html}<p>After</p><script nonce='test'>{SNIFF}</script>",
        encoding="utf-8",
    )
    return path.as_uri()


def tried(folder, fragment, scripts=True):
    """What the trying script found on the page of the fragment."""
    return sniffed(write_page(folder, fragment, scripts))


def sniffed(address):
    """The same on the page at an address."""
    dump = chromium("--dump-dom", address)
    found = re.search(r'<pre id="sniffed">(.*)</pre>', dump, re.DOTALL)[1]
    return json.loads(found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def points(path):
    """The points of a drawn line."""
    return np.array([[float(place) for place in point.split()] for point in path.removeprefix("M").split("L")])


@needs_chromium
def test_the_drawn_curve_is_that_of_the_chosen_penalty(tmp_path):
    fragment, data = page(*ordinary())
    sniffed = tried(tmp_path, fragment)
    assert sniffed["visible"]
    assert sniffed["height"] >= 44
    assert sniffed["lines"] == 2  # p = N, in both views
    widths, tuned = np.array(data["widths"]), np.log(data["tuned"])
    stays = points(sniffed["found"][0]["tuned"])
    across, up = np.polyfit(widths, stays[:, 0], 1), np.polyfit(tuned, stays[:, 1], 1)
    assert across[0] > 0 > up[0]
    for curve, seen in zip(data["risk"], sniffed["found"], strict=True):
        moves = points(seen["fixed"])
        np.testing.assert_allclose(moves[:, 0], np.polyval(across, widths), atol=0.05)
        np.testing.assert_allclose(moves[:, 1], np.polyval(up, np.log(curve)), atol=0.05)
        assert seen["tuned"] == sniffed["found"][0]["tuned"]


@needs_chromium
def test_each_position_says_its_penalty_and_the_largest_rise(tmp_path):
    fragment, data = page(*ordinary())
    for lam, curve, seen in zip(data["penalties"], data["risk"], tried(tmp_path, fragment)["found"], strict=True):
        assert seen["spoken"].startswith(f"λ = {lam:.3g}: ")
        assert seen["shown"] == seen["spoken"]
        assert f"λ = {lam:.3g}" in seen["label"]
        rise, _, end = largest_rise(np.array(curve))
        said = re.search(
            r"rises by ([\d.e-]+), to ([\d.e-]+) at p = (\d+); the tuned one is at ([\d.e-]+) there", seen["spoken"]
        )
        if rise == 0:
            assert "never rises" in seen["spoken"]
        else:
            assert [float(number) for number in said.groups()] == pytest.approx(
                [rise, curve[end], data["widths"][end], data["tuned"][end]], rel=6e-3
            )


@needs_chromium
def test_the_cuts_share_out_the_map(tmp_path):
    fragment, _ = page(*ordinary())
    boxes = [re.fullmatch(r"M(\S+) (\S+)H(\S+)V(\S+)H\S+Z", seen["cut"]) for seen in tried(tmp_path, fragment)["found"]]
    lower, upper = ([float(box[side]) for box in boxes] for side in (2, 4))
    assert lower[1:] == upper[:-1]
    assert lower == sorted(lower, reverse=True)
    assert len({(box[1], box[3]) for box in boxes}) == 1


@needs_chromium
@pytest.mark.parametrize(
    ("widths", "penalties", "risk"),
    [
        ([7], [0.5], [[0.25]]),
        ([7], [0.5, 5.0], [[0.25], [0.5]]),
        ([7, 9, 11], [0.5], [[0.0, 0.0, 0.0]]),
        ([7, 9], [0.5, 5.0], [[1e-20, 3e-15], [2e-9, 0.0]]),
    ],
)
def test_odd_grids_are_drawn(tmp_path, widths, penalties, risk):
    fragment, _ = page(widths, penalties, risk)
    sniffed = tried(tmp_path, fragment)
    assert sniffed["visible"]
    assert sniffed["lines"] == 0  # N is not among the widths
    assert not re.search("NaN|undefined|Infinity", json.dumps(sniffed["found"]))


@needs_chromium
def test_without_its_script_nothing_is_shown(tmp_path):
    sniffed = tried(tmp_path, page(*ordinary())[0], scripts=False)
    assert not sniffed["visible"]
    assert sniffed["lines"] == 0


@needs_chromium
@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext")
def test_on_paper_nothing_is_shown(tmp_path):
    address, pdf = write_page(tmp_path, page(*ordinary())[0]), tmp_path / "page.pdf"
    chromium(f"--print-to-pdf={pdf}", address)
    words = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    assert "Before" in words
    assert re.sub(r"\s", "", words).partition("After")[0].endswith("Before")
    assert "number of features" not in words


@needs_chromium
@pytest.mark.xdist_group("runs")  # it shares a whole run of the workflow
def test_in_the_page_of_each_engine_it_does_the_same(small_report, tmp_path):
    text = (small_report.path / "results/report/solutions.html").read_text(encoding="utf-8")
    whole = tmp_path / "whole.html"
    whole.write_text(text.replace("</body>", f"<script>{SNIFF}</script></body>"), encoding="utf-8")
    alone = tried(tmp_path, (small_report.path / "results/p5/explorer.md").read_text(encoding="utf-8"))
    assert sniffed(whole.as_uri()) == alone
    assert alone["visible"]
