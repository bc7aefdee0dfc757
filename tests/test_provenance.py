"""Each quoted number is followed from the page to the cell of its table, and back; the sums are those of the files."""

import hashlib
import html
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline import provenance
from pipeline.display import cell

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow


@pytest.fixture(scope="module")
def page(small_run):
    return (small_run.path / "results/report/solutions.html").read_text()


@pytest.fixture(scope="module")
def rows(page):
    """{anchor: the row of the appendix as text}."""
    found = {}
    for row in re.findall(r"<tr\b.*?</tr>", page.split('id="sec-provenance"', 1)[1], flags=re.DOTALL):
        for anchor in re.findall(r'id="((?:num|src)-[^"]+)"', row):
            found[anchor] = row
    return found


def words(markup):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def shown(markdown):
    """Markdown of a number as it reads on the page."""
    return words(markdown.replace("^", " "))


def specs(run):
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((run.path / "report").glob("p?.yml"))}


def test_every_link_from_a_number_leads_to_a_row_and_the_row_leads_back(page, rows):
    places = re.findall(r'<a\b[^>]*href="#((?:num|src)-[^"]+)"[^>]*?id="(use-[^"]+)"', page)
    places += [(target, place) for place, target in re.findall(r'<a\b[^>]*id="(use-[^"]+)"[^>]*?href="#([^"]+)"', page)]
    assert len(places) > 100
    for target, place in places:
        assert f'href="#{place}"' in rows[target], target
    back = re.findall(r'href="#(use-[^"]+)"', page)
    assert sorted(back) == sorted(place for _, place in places)
    assert len(back) == len(set(back))


def test_every_number_of_a_table_is_a_link(page, small_run):
    """The text quotes by variables; each variable's value is a link, so no number comes out bare."""
    variables = json.loads((small_run.path / "results/report/_variables.yml").read_text())

    def values(tree):
        for value in tree.values():
            yield from values(value) if isinstance(value, dict) else [value]

    for name in ("p1", "p2", "p3", "p4", "p5", "config", "claims"):
        for value in values(variables[name]):
            assert re.fullmatch(r"\[[^\]]+\]\(#num-[\w-]+\)\{\.quoted\}", value), value
    for name, sentence in variables["claim"].items():
        bare = re.sub(r"\$[^$]*\$|\[[^\]]+\]\(#num-[^)]+\)\{[^}]*\}", " ", sentence)
        assert not re.search(r"(?<!\w)\d", bare), (name, bare)


def test_each_row_shows_the_cell_that_it_names(rows, small_run):
    config = yaml.safe_load((small_run.path / "results/report/config.yaml").read_text())
    followed = 0
    for problem, spec in specs(small_run).items():
        for name, number in (spec.get("numbers") or {}).items():
            table = pd.read_csv(small_run.path / "results" / number["table"], keep_default_na=False)
            row = words(rows[provenance.label("num", f"{problem}.{name}")])
            assert row.startswith(shown(cell(table, number, config, name))), (name, row)
            assert f"{number['table']} :" in row
            assert number["column"] in row or number.get("reduce") == "count"
            followed += 1
    assert followed > 30


def test_the_sums_are_those_of_the_files(rows, small_run):
    results = small_run.path / "results"
    tables = {anchor: row for anchor, row in rows.items() if anchor.startswith("src-")}
    assert len(tables) > 30
    for row in tables.values():
        name, digest = re.match(r"(\S+) ([0-9a-f]{64})", words(row)).groups()
        path = results / "report/config.yaml" if name == "config.yaml" else results / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, name


def test_the_list_of_sources_is_complete_and_true(page, small_run):
    listed = (small_run.path / "results/report/sources.sha256").read_text()
    for line in listed.splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((small_run.path / name).read_bytes()).hexdigest() == digest, name
    names = {line.split("  ")[1] for line in listed.splitlines()}
    for name in ("Snakefile", "scripts/hw6/residual.py", "report/hw6.lua", "workflow/rules/p5_double_descent.smk"):
        assert name in names
    for path in (small_run.path / "report").rglob("*"):
        assert path.is_dir() or path.relative_to(small_run.path).as_posix() in names
    total = hashlib.sha256(listed.encode()).hexdigest()
    assert page.count(total) >= 2  # in the metadata and on the last page


def test_the_pages_in_the_pdf_are_those_where_the_number_stands(small_run):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    command = ["pdftotext", "-layout", small_run.path / "results/report/solutions.pdf", "-"]
    pages = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\f")
    line = next(line for page in pages for line in page.splitlines() if "p4/parameters.csv: parameters" in line)
    number, numbered = line.split()[0], [int(page) for page in re.search(r"p\.\s*([\d, ]+)$", line).group(1).split(",")]
    standing = [k for k, page in enumerate(pages, start=1) if re.search(rf"(?<![\d,]){number}(?![\d,])", page)]
    assert numbered
    assert set(numbered) <= set(standing)


def test_keys_are_those_of_the_rule_and_of_all_that_it_reads():
    def rule(name, reads, makes, **study):
        params = SimpleNamespace(study=study)
        return SimpleNamespace(name=name, input=reads, params=params, is_producer=lambda path: path in makes)

    first = rule("p1_a", ["given.txt"], ["a"], seed=1, nested={"low": 0, "high": 1})
    second = rule("p2_b", ["a"], ["b"], seed=2)
    third = rule("p3_c", ["given.txt"], ["c"], seed=3)
    found = provenance.origins([first, second, third], ["a", "b"])
    own = ["dropout.nested.high", "dropout.nested.low", "dropout.seed"]
    assert found["a"] == {"rule": "p1_a", "keys": own}
    assert found["b"] == {"rule": "p2_b", "keys": [*own, "initialization.seed"]}
    assert provenance.unmade_inputs([first, second, third]) == ["given.txt"]


TEXT = st.text(alphabet="abc ,.;:()%$=", max_size=12)
NUMBERS = st.sampled_from(["3", "0.011", "1,024", "−5", "10^−7^", "9.19\u202f×\u202f10^−11^", "35–64–1", "64 (×10)–1"])


@given(st.lists(st.tuples(TEXT, NUMBERS), min_size=1, max_size=5))
def test_each_number_of_a_sentence_becomes_one_link_and_the_words_stay(pieces):
    sentence = " ".join(f"{text.replace('$', '')} {number} " for text, number in pieces)
    linked = provenance.with_links(sentence, "claim.x")
    assert provenance.numbers_in(sentence) == [number for _, number in pieces]
    assert re.sub(r"\[([^\]]+)\]\(#num-claim-x\)\{\.quoted(?: \.again)?\}", r"\1", linked) == sentence
    assert linked.count("{.quoted}") == 1  # the row leads back to the first one


def test_a_number_in_a_formula_becomes_a_link_behind_it_and_other_formulas_stay():
    linked = provenance.with_links("At $p = 301$ it is $x^2$.", "claim.x")
    assert linked == "At $p$\u00a0=\u00a0[301](#num-claim-x){.quoted} it is $x^2$."
