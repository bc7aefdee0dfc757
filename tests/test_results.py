"""The dictionary of results says what is there; Snakemake's own report shows it."""

import csv
import json
import os
import re
import subprocess
import sys
import zipfile
from fnmatch import fnmatchcase
from html import unescape

import pytest
import yaml

import p5_closer
import p5_sweep
from conftest import PROJECT, SMALL
from pipeline.claims import COLUMNS
from pipeline.results import CATEGORIES, CLAIMS, DICTIONARY, TYPES, category, described, results_dictionary

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow

ENTRIES = results_dictionary(PROJECT / DICTIONARY)
IS_OF_TYPE = {
    "text": re.compile(r".+", re.DOTALL).fullmatch,
    "integer": re.compile(r"-?\d+").fullmatch,
    "number": re.compile(r"-?(\d+(\.\d+)?(e[-+]\d+)?|inf)").fullmatch,
    "yes_no": re.compile(r"yes|no").fullmatch,
}


@pytest.fixture(params=["small_run", "default_run"])
def files(request):
    """The bytes of every file below results/ of a run, by path."""
    return request.getfixturevalue(request.param).results()


def test_every_result_is_described_once_and_nothing_else_is(files):
    for name in files:
        assert len([pattern for pattern in ENTRIES if fnmatchcase(name, pattern)]) == 1, name
    unused = [pattern for pattern in ENTRIES if not any(fnmatchcase(name, pattern) for name in files)]
    assert unused == [f"p5/parts/{name}-*.csv" for name in ("closer", "samples", "nested")]  # temporary


def test_the_columns_are_those_of_the_tables_and_every_cell_has_its_type(files):
    tables = [name for name in files if name.endswith(".csv")]
    assert len(tables) > 40
    for name in tables:
        columns = described(name)["columns"]
        header, *rows = csv.reader(files[name].decode().splitlines())
        assert header == list(columns), name
        for key, cells in zip(header, zip(*rows, strict=True), strict=True):
            column = columns[key]
            for cell in cells:
                if cell == "":
                    assert column.get("missing"), f"{name}: {key} has an empty cell"
                else:
                    assert IS_OF_TYPE[column["type"]](cell), f"{name}: {key} holds {cell}"


def test_the_columns_of_shared_and_scattered_tables_are_those_that_the_scripts_write():
    assert list(described("claims.csv")["columns"]) == COLUMNS
    block = yaml.safe_load((PROJECT / "tests/config.yaml").read_text(encoding="utf-8"))["double_descent"]
    block |= {"n_features": {"start": 5, "stop": 5, "step": 1}, "auxiliary_replicates": 1}
    written = {"fits": p5_sweep.fits_table} | p5_closer.TABLES
    for name, table in written.items():
        assert list(described(f"p5/parts/{name}-1-of-2.csv")["columns"]) == list(table(block, 0)), name
    assert described("p5/fits.csv") == described("p5/parts/fits-1-of-2.csv")


def test_the_dictionary_is_complete_and_plain():
    for name, entry in ENTRIES.items():
        assert {"title", "about"} <= set(entry) <= {"title", "about", "row", "columns"}, name
        assert ("columns" in entry) == ("row" in entry) == name.endswith(".csv"), name
        for key, column in entry.get("columns", {}).items():
            assert {"type", "about"} <= set(column) <= {"type", "about", "missing"}, f"{name}: {key}"
            assert column["type"] in TYPES, f"{name}: {key}"
        assert re.fullmatch(r"[^.].*[^.]", entry["title"]), name
        assert re.fullmatch(r"[A-Z].*\.", entry["about"]), name
        texts = [entry["about"], entry.get("row", ""), *(c["about"] for c in entry.get("columns", {}).values())]
        for text in texts:  # shown as they are by Markdown, by reStructuredText and beside the PDF's attachments
            assert not re.search(r"[*`|\\$]|[<>](?! )|\{\{|\{%|__|_(?![\w{])", text), f"{name}: {text}"


def test_the_page_of_results_is_that_of_the_dictionary(monkeypatch):
    monkeypatch.chdir(PROJECT)
    monkeypatch.syspath_prepend(PROJECT / "docs")
    import results_page

    assert (PROJECT / "docs/results.md").read_text(encoding="utf-8") == results_page.results_page()


@pytest.fixture(scope="module")
def reported(small_run, tmp_path_factory):
    """A finished run with Snakemake's own report of it, made without a network."""
    copy = small_run.clone(tmp_path_factory.mktemp("reported") / "project")
    proxies = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy")
    nowhere = dict.fromkeys(proxies, "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *SMALL, "--report", "pipeline-report.zip"],
        cwd=copy.path,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    with zipfile.ZipFile(copy.path / "pipeline-report.zip") as archive:
        archive.extractall(copy.path)
    return copy


def shown(copy):
    """The text of the report's page."""
    return (copy.path / "pipeline-report/report.html").read_text(encoding="utf-8")


def embedded(page, name):
    """The data that a page of Snakemake's holds under a name."""
    start = re.search(rf'<script id="{name}">\s*var \w+ = ', page).end()
    return json.JSONDecoder().raw_decode(page[start:])[0]


def test_snakemakes_report_shows_every_result_with_its_chapter_and_caption(reported):
    page = shown(reported)
    results, chapters = embedded(page, "results"), embedded(page, "categories")
    for_the_workflow_alone = {"p5/fits.csv", "p5/parts/checks.csv"}
    shown_to_readers = set(reported.results(records=False)) - for_the_workflow_alone
    assert set(results) == {f"results/{name}" for name in shown_to_readers}
    assert set(chapters) == {*CATEGORIES.values(), CLAIMS}
    for path, result in results.items():
        name = path.removeprefix("results/")
        caption = unescape(re.sub(r"<[^>]+>", "", result["caption"]))
        for text in (name, described(name)["about"], *described(name).get("columns", {})):
            assert text in " ".join(caption.split()), name
        assert "system-message" not in result["caption"], name
        assert result["job_properties"]["rule"] != "all", name
        assert any(path in listed for listed in chapters[category(name)].values()), name
        inside = reported.path / "pipeline-report" / result["data_uri"]
        assert inside.read_bytes() == (reported.path / path).read_bytes(), name
    assert "Every file that the pipeline keeps" in embedded(page, "workflow-desc")
    labels = [tuple(result["labels"].items()) for result in results.values()]
    assert len(set(labels)) == len(labels)  # results with equal labels would hide each other


def test_snakemakes_report_changes_no_result_and_leaves_nothing_to_do(reported, small_run):
    assert reported.results() == small_run.results()
    assert reported.planned() == set()


def test_snakemakes_report_asks_no_host(reported):
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', shown(reported))
