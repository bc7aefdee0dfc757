"""The comparison of two renderings: equal for the same words, whatever the format; a changed number is found."""

import re
import shutil
import subprocess
import sys

import pytest

import compare_renderings
from conftest import ENGINES, PROJECT, SMALL, rendered

pytestmark = pytest.mark.xdist_group("runs")  # they share a whole run of the workflow

PAGE = """<!DOCTYPE html><html lang="en"><head><title>T</title></head><body><nav>Contents</nav><main>
<h1>1 A section</h1><p>The risk is <a href="#x">0.042</a>, see Figure 3. It holds.<sup>1</sup>
<span class="engine">Rendered by A.</span></p><p>Let <math><mi>x</mi><mo>=</mo><mn>2</mn></math>. <br>The end.</p>
<ol type="i"><li>One.</li></ol><ol start="2"><li>Two.</li></ol><script>let y = 1;</script>
<div class="explorer" hidden><p>Move <em>it</em>.</p></div></main></body></html>
"""


@pytest.fixture
def pages(tmp_path):
    """Write two pages and compare them."""

    def compare(first, second):
        for name, text in (("first.html", first), ("second.html", second)):
            (tmp_path / name).write_text(text, encoding="utf-8")
        return compare_renderings.differences(tmp_path / "first.html", tmp_path / "second.html")

    return compare


def test_a_page_says_the_same_as_itself(pages):
    assert pages(PAGE, PAGE) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Rendered by A.", "Rendered by another program, version 2."),
        ("<nav>Contents</nav>", ""),
        ("let y = 1;", "let y = 2;"),
        ("0.042", "<b>0.042</b>"),
        ("<p>The", '<p class="x">\n  The'),
        ("<title>T</title>", "<title>U</title>"),
        ("<br>The", "The"),
    ],
)
def test_what_differs_by_design_is_left_out(pages, old, new):
    assert old in PAGE
    assert pages(PAGE, PAGE.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.042", "0.043"),
        ("Figure 3", "Figure 4"),
        ("It holds.", ""),
        ("<mn>2</mn>", "<mn>3</mn>"),
        ("<sup>1</sup>", "<sup>2</sup>"),
        ('start="2"', 'start="3"'),
        ('type="i"', 'type="a"'),
    ],
)
def test_a_change_is_found_and_shown_as_a_diff(pages, old, new):
    assert old in PAGE
    found = pages(PAGE, PAGE.replace(old, new))
    assert found[0].startswith("--- ")
    assert found[1].startswith("+++ ")
    assert any(line.startswith("-") and not line.startswith("---") for line in found)


def run(*arguments):
    command = [sys.executable, PROJECT / "scripts/compare_renderings.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_exit_code_says_equal_different_or_bad_input(tmp_path):
    first, second, other = (tmp_path / name for name in ("first.html", "second.html", "other.txt"))
    first.write_text(PAGE)
    second.write_text(PAGE.replace("0.042", "0.043"))
    other.write_text(PAGE)
    assert run(first, first)[0] == 0
    code, printed, _ = run(first, second)
    assert code == 1
    assert "0.043" in printed
    for arguments in ((first,), (first, tmp_path / "none.html"), (first, other), (first, first, first)):
        code, printed, fault = run(*arguments)
        assert (code, printed) == (2, "")
        assert len(fault.splitlines()) == 1
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"no PDF")
    assert run(first, broken)[0] == 2


def changed_somewhere(text):
    """A page with one thing changed: a reference, a number, a word of an answer, a sum."""
    for pattern in (
        r"(?<=Figure\u00a0)1(?=</a>)",
        r"(?<=>)0\.\d+(?=</a>)",
        r"(?<=answer-label\">)Answer",
        r"(?<=class=\"digest\">)[0-9a-f]{64}",
    ):
        changed = re.sub(pattern, "987", text, count=1)
        assert changed != text, pattern
        yield changed


def test_the_page_and_the_pdf_of_a_run_say_the_same(small_report, tmp_path):
    if not shutil.which("pdftohtml"):
        pytest.skip("pdftohtml is not installed")
    page, paper = (small_report.path / f"results/report/solutions.{kind}" for kind in ("html", "pdf"))
    assert compare_renderings.differences(page, paper) == []
    for changed in changed_somewhere(page.read_text(encoding="utf-8")):
        (tmp_path / "changed.html").write_text(changed, encoding="utf-8")
        found = compare_renderings.differences(tmp_path / "changed.html", paper)
        assert any(line.startswith("-987:") for line in found)
        assert any(line.startswith("+") and not line.startswith("+++") for line in found)


@pytest.fixture(scope="module")
def reports(small_run, tmp_path_factory):
    """The folders of the report of one run from both engines."""
    folders = [
        rendered(small_run, engine, tmp_path_factory.mktemp("both"), *SMALL).path for engine in reversed(ENGINES)
    ]
    return [folder / "results/report" for folder in folders]


@pytest.mark.parametrize("kind", ["html", "pdf"])
def test_both_engines_say_the_same(reports, kind):
    if kind == "pdf" and not shutil.which("pdftohtml"):
        pytest.skip("pdftohtml is not installed")
    first, second = (folder / f"solutions.{kind}" for folder in reports)
    assert first.read_bytes() != second.read_bytes()
    assert run(first, second) == (0, "Both renderings say the same.\n", "")


def test_a_change_is_found_between_both_engines(reports, tmp_path):
    first, second = (folder / "solutions.html" for folder in reports)
    for changed in changed_somewhere(first.read_text(encoding="utf-8")):
        (tmp_path / "changed.html").write_text(changed, encoding="utf-8")
        code, printed, _ = run(tmp_path / "changed.html", second)
        assert code == 1
        assert "987" in printed


def test_both_engines_print_the_same_pages_but_for_what_names_the_engine(reports, tmp_path):
    if not (shutil.which("pdftoppm") and shutil.which("pdftotext")):
        pytest.skip("pdftoppm and pdftotext are not installed")
    pages = []
    for place, folder in enumerate(reports):
        subprocess.run(["pdftoppm", "-r", "50", folder / "solutions.pdf", tmp_path / f"{place}"], check=True)
        pages.append([path.read_bytes() for path in sorted(tmp_path.glob(f"{place}-*.ppm"))])
    assert len(pages[0]) == len(pages[1])
    for number, (first, second) in enumerate(zip(*pages, strict=True), start=1):
        if first != second:
            command = ["pdftotext", "-f", str(number), "-l", str(number), reports[0] / "solutions.pdf", "-"]
            words = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert "config.yaml" in words, number  # beside its sum
