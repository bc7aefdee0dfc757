"""The rendered page in a browser: accessible, within its width, without requests, usable by keyboard, valid HTML."""

import json
import re
import shutil
import subprocess
from collections import Counter

import pytest

from conftest import PROJECT

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow

CHECKS = PROJECT / "tests/page"
NU = CHECKS / "node_modules/vnu-jar/build/dist/vnu.jar"
SETTINGS = ["360-light", "360-dark", "1280-light", "1280-dark", "print-light", "print-dark"]
FAULTY = """<!DOCTYPE html>
<html>
<head><meta charset="utf-8"><title>Faults</title>
<style>
  body { margin: 0 }
  .wide { width: 2000px }
  .box { overflow-x: auto; width: 300px }
  .shut { overflow: hidden; width: 300px }
  .pale { color: #bbbbbb }
  :focus { outline: none }
</style>
</head>
<body>
<main>
<h1>Faults</h1>
<img src="https://example.org/picture.png">
<p class="pale">Pale words on white.</p>
<div class="wide">This sticks out.</div>
<div class="box"><div class="wide">This is cut off on paper.</div></div>
<div class="shut"><div class="wide">This is lost everywhere.</div></div>
<div tabindex="0">A region without a name.</div>
<a href="#lost" tabindex="-1">A link that Tab passes by.</a>
<button style="height: 20px">Small</button>
<script>throw new Error("planted")</script>
</main>
</body>
</html>
"""


def needs(*programs):
    """Skip the test unless these programs, and what package.json names, are installed."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if not NU.is_file():
        pytest.skip("tests/page/node_modules is not installed (npm ci --prefix tests/page)")


def browsed(page, settings):
    """What check.mjs finds on a page, by setting."""
    needs("chromium", "node")
    command = ["node", CHECKS / "check.mjs", page, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def html_errors(page):
    """What the Nu HTML checker calls an error on a page."""
    needs("java")
    command = ["java", "-jar", NU, "--errors-only", "--format", "json", page]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stderr)["messages"]


def broken_links(text):
    """(labels that stand more than once, links within the page that lead nowhere) of a page."""
    labels = Counter(re.findall(r'<[^>]*\sid="([^"]+)"', text))
    linked = set(re.findall(r'<[^>]*\shref="#([^"]+)"', text))
    return [label for label, count in labels.items() if count > 1], sorted(linked - set(labels))


@pytest.fixture(scope="session")
def page(default_report):
    return default_report.path / "results/report/solutions.html"


@pytest.fixture(scope="session")
def found(page):
    return browsed(page, SETTINGS)


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """What is found on a page with planted faults."""
    page = tmp_path_factory.mktemp("faulty") / "page.html"
    page.write_text(FAULTY)
    return browsed(page, ["360-light", "print-light"])


@pytest.mark.parametrize("setting", SETTINGS)
def test_axe_finds_no_violation(found, setting):
    assert found[setting]["violations"] == []


@pytest.mark.parametrize("setting", SETTINGS)
def test_nothing_sticks_out_of_the_page_or_is_cut_off(found, setting):
    assert found[setting]["overflow"] <= 0
    assert found[setting]["outside"] == []
    assert found[setting]["cut"] == []


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_request_leaves_the_page_and_no_script_fails(found, setting):
    assert found[setting]["requests"] == []
    assert found[setting]["errors"] == []


@pytest.mark.parametrize("setting", ["360-light", "1280-light"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(found, setting):
    for fault in ("unreached", "unmarked", "nameless", "small"):
        assert found[setting][fault] == [], fault


def test_the_html_is_valid(page):
    assert html_errors(page) == []


def test_every_label_stands_once_and_every_link_within_the_page_finds_its_place(page):
    repeated, dead = broken_links(page.read_text(encoding="utf-8"))
    assert repeated == []
    assert dead == []


def test_a_repeated_label_and_a_dead_link_are_found():
    text = (
        '<p id="a">x</p><p id="a">y</p><a href="#a">to</a> <a href="#lost">fro</a> <a href="https://e.org/#b">out</a>'
    )
    assert broken_links(text) == (["a"], ["lost"])


def test_planted_faults_are_found(faults):
    screen, paper = faults["360-light"], faults["print-light"]
    assert {"image-alt", "html-has-lang", "color-contrast"} <= {fault["id"] for fault in screen["violations"]}
    assert screen["requests"] == ["https://example.org/picture.png"]
    assert any("planted" in error for error in screen["errors"])
    assert screen["overflow"] > 0
    assert any("This sticks out." in element for element in screen["outside"])
    assert not any("cut off" in element for element in screen["outside"])  # it scrolls in its box
    assert any("cut off" in element for element in paper["cut"])
    assert not any("cut off" in element for element in screen["cut"])
    assert any("lost everywhere" in element for element in screen["cut"])
    assert any("passes by" in element for element in screen["unreached"])
    assert any("Small" in element for element in screen["unmarked"])
    assert any("Small" in element for element in screen["small"])
    assert any("without a name" in element for element in screen["nameless"])


def test_planted_errors_of_html_are_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(FAULTY)
    assert any("alt" in error["message"] for error in html_errors(page))
