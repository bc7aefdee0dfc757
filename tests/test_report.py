"""The report's sources and documents: every claim is carried, no result is typed, every reference can be found."""

import re
import shutil
import subprocess

import pandas as pd
import pytest
import torch
import yaml

import p2_initialization
from conftest import PROJECT
from hw6 import course, resampling
from hw6.initialization import kurtosis
from pipeline.display import looked_up

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow

REPORT = PROJECT / "report"
SECTIONS = sorted(REPORT.glob("_p?_*.qmd"))


def claim_ids(text):
    return re.findall(r'\{\.claim claim="([^"]+)"\}', text)


def test_each_claim_is_carried_by_one_sentence_and_each_sentence_has_its_row(small_run):
    carried = [name for section in SECTIONS for name in claim_ids(section.read_text())]
    rows = (small_run.path / "results/claims.csv").read_text().splitlines()[1:]
    stated = {re.match(r"p\d-[a-z0-9-]+", row).group() for row in rows if re.match(r"p\d-", row)}
    assert set(carried) == stated


def test_a_finding_takes_its_sentence_from_the_data(small_run):
    claims = pd.read_csv(small_run.path / "results/claims.csv")
    text = "".join(section.read_text() for section in SECTIONS)
    for name in claims.loc[claims["kind"] == "finding", "claim"]:
        assert f'[{{{{< var claim.{name} >}}}}]{{.claim claim="{name}"}}' in text, name


NUMBER = re.compile(r"(?<![\w.{@#$\\^_-])\d[\d,.]*\d|(?<![\w.{@#$\\^_-])\d{2,}")
SOURCES = sorted(REPORT.glob("*.qmd"))
# Numbers of two figures or more that formulas may hold: none is a result, and each is what the code says it is.
CONSTANTS = {
    "24": lambda: torch.finfo(torch.float32).eps / 2 == 2.0**-24,  # the unit roundoff
    "100": lambda: torch.nn.LeakyReLU().negative_slope == 1 / 100,
    "37": lambda: abs(kurtosis([10**6] * 60 + [1]) - 37 / 15) < 1e-5,  # a limit, with the next three
    "15": lambda: abs(kurtosis([10**6] * 60 + [1]) - 37 / 15) < 1e-5,
    "60": lambda: abs(kurtosis([10**6] * 60 + [1]) - 37 / 15) < 1e-5,
    "10": lambda: p2_initialization.CHANCE == 10**-9,
    "0.95": lambda: resampling.LEVEL == 0.95,
    "0.01": lambda: course.FIXED_LAMBDA == 0.01,  # the starter code's, whatever the configuration says
}


def prose(text):
    """The text of a section without formulas, shortcodes, code, attributes, links and comments."""
    for pattern in (
        r"^---\n.*?\n---\n",
        r"```.*?```",
        r"<!--.*?-->",
        r"\$\$.*?\$\$",
        r"\$[^$]*\$",
        r"\{\{<.*?>\}\}",
        r"`[^`]*`",
        r"\{[#.][^}]*\}",
        r"\]\([^)]*\)",
        r"\[@[^\]]*\]",
        r"@[\w-]+",
    ):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    return text


def formula_numbers(text):
    """Numbers of two figures or more in the formulas of a section; of ``\\tfrac12`` none."""
    text = re.sub(r"```.*?```|\{\{<.*?>\}\}|\{[#.][^}]*\}", " ", text, flags=re.DOTALL)
    formulas = " ".join(re.findall(r"\$\$.*?\$\$|\$[^$]*\$", text, flags=re.DOTALL))
    formulas = re.sub(r"\\t?frac\d\d|\\[A-Za-z]+", " ", formulas)
    return set(re.findall(r"\d[\d,.]*\d|\d{2,}", formulas))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_prose_types_no_result(source):
    typed = NUMBER.findall(prose(source.read_text()))
    assert not typed, typed


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_formulas_hold_no_result(source):
    for number in formula_numbers(source.read_text()):
        assert number in CONSTANTS, number
        assert CONSTANTS[number](), number


def test_each_exception_is_needed():
    assert set(CONSTANTS) == set().union(*(formula_numbers(source.read_text()) for source in SOURCES))


@pytest.mark.parametrize("spec", sorted(REPORT.glob("p*.yml")), ids=lambda path: path.stem)
def test_titles_captions_and_alternatives_type_no_result(spec):
    shown = yaml.safe_load(spec.read_text())
    texts = [figure["alternative"] for figure in shown["figures"].values()]
    texts += [listing["caption"] for listing in (shown.get("listings") or {}).values()]
    texts += [look.get("title", "") for table in shown["tables"].values() for look in table["columns"].values()]
    for text in texts:
        typed = NUMBER.findall(prose(re.sub(r"\{[\w.-]+\}", " ", text)))
        assert not typed, (text, typed)


def test_a_typed_result_is_found():
    assert NUMBER.findall(prose("It has 78,592 parameters and 0.0450 of $x = 3$.")) == ["78,592", "0.0450"]
    assert formula_numbers("It is $V = 0.0450$ or $$N = 78592,$$ {#eq-x} not $\\tfrac12$.") == {"0.0450", "78592"}


@pytest.mark.parametrize("spec", sorted(REPORT.glob("p*.yml")), ids=lambda path: path.stem)
def test_every_described_number_table_and_listing_is_used(spec):
    shown = yaml.safe_load(spec.read_text())
    text = "".join(path.read_text() for path in REPORT.glob("*.qmd"))
    for name in shown.get("numbers") or {}:
        assert re.search(rf"var {spec.stem}\.{re.escape(name)}\s", text), name
    for name in shown.get("tables") or {}:
        assert f"tables/{spec.stem}_{name}.md" in text, name
    for name in shown.get("listings") or {}:
        assert f"code/{spec.stem}_{name}.md" in text, name
    for name, figure in shown["figures"].items():
        assert f"]({spec.stem}/{name}.svg)" in text, name
        assert f"var data.{spec.stem}.figures.{name} " in text, name
        for number in figure.get("numbers") or {}:
            assert f"{{{number}}}" in figure["alternative"], number


def test_every_figure_and_table_names_its_data():
    for source in SOURCES:
        text = source.read_text()
        for picture in re.findall(r"\((p\d/\w+)\.svg\)\{#fig-", text):
            assert f"{{{{< var data.{picture.replace('/', '.figures.')} >}}}}](" in text, picture
        for problem, name in re.findall(r"include tables/(p\d)_(\w+)\.md", text):
            assert f"{{{{< var data.{problem}.tables.{name} >}}}} {{#tbl-" in text, name


def test_the_data_behind_a_figure_are_what_its_rule_reads():
    for spec in sorted(REPORT.glob("p*.yml")):
        rules = next((PROJECT / "workflow/rules").glob(f"{spec.stem}_*.smk")).read_text()
        read = rules[rules.index(f"rule {spec.stem}_figures:") :]
        for name, figure in yaml.safe_load(spec.read_text())["figures"].items():
            for table in figure["data"]:
                assert f'="results/{table}"' in read, (name, table)


def test_every_section_has_its_answer_box_of_at_most_sixty_words():
    assert len(SECTIONS) == 5
    for section in SECTIONS:
        boxes = re.findall(r"::: \{\.answer\}\n(.*?)\n:::", section.read_text(), flags=re.DOTALL)
        assert len(boxes) == 1, section
        words = re.sub(
            r"\$[^$]*\$", "x", re.sub(r"\{\{<.*?>\}\}", "x", re.sub(r"\{\.claim[^}]*\}", "", boxes[0]))
        ).split()
        assert len(words) <= 60, (section.name, len(words))


def test_every_reference_is_cited_and_has_a_doi_or_an_address():
    bibliography = (REPORT / "references.bib").read_text()
    text = "".join(path.read_text() for path in REPORT.glob("*.qmd"))
    for entry in re.split(r"\n(?=@)", bibliography.strip()):
        key = re.match(r"@\w+\{([^,]+),", entry).group(1)
        assert f"@{key}" in text, key
        assert re.search(r"\b(doi|url)\s*=", entry), key


def test_the_pdf_is_what_a_reader_expects(small_report):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    document = small_report.path / "results/report/solutions.pdf"
    text = subprocess.run(["pdftotext", "-layout", document, "-"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"\?@|\?var|\{\{<", text)
    for kind in ("Figure 1:", "Table 1:", "Theorem 1", "Listing 1:"):
        assert kind in text.replace("\u00a0", " "), kind


def test_the_page_asks_no_host_for_anything(small_report):
    page = (small_report.path / "results/report/solutions.html").read_text()
    assert not re.search(r'<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)="https?://', page)
    assert not re.search(r"url\(['\"]?https?://", page)


def test_variables_of_the_configuration_are_known(small_run):
    config = yaml.safe_load((PROJECT / "workflow/config.yaml").read_text())
    for section in SECTIONS:
        for path in re.findall(r"var config\.([\w.]+)", section.read_text()):
            looked_up(config, path)
