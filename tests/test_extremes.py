"""What the schema allows runs to the end, at its edges too, and nothing of it reaches a shell or is executed."""

import html
import math
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from pypdf import PdfReader

from conftest import PROJECT, Copy
from p3_residual_gradients import study
from p5_decisions import theory_quantities
from p5_double_descent import study as p5_study
from pipeline.claims import read_claims
from pipeline.display import formatted, readable
from test_p3_residual_gradients import LEAST

pytestmark = pytest.mark.xdist_group("faults")  # on the worker that has not the other whole runs

FOLDER = "a; touch b $(touch c) 'd\" & e"
TITLE = (
    "A \"b\" 'c' $x_1$ #h $(touch t) `c` <script>alert(1)</script> *em* _u_ ~s~ ^p^ \\textbf{x} @cite [l](u) "
    "{{< var p3.smallest >}} {a} 1--2 ... & 50 % é → ∞ \\"
)
AUTHOR = 'O\'Neil & "Söns" <b>x</b> *y* #set page(width: 1pt) $z$ `v` \\'

LEAST_OF_ALL = {
    "dropout": {"p": 0.05, "other_p": 0.05, "in_features": 1, "out_features": 1, "samples": 32, "seed": 0},
    "initialization": {
        "networks": {"base": [1, 1], "deep": [1, 1], "null": [1, 1, 1]},
        "replicates": 100,
        "inputs": 1,
        "seed": 0,
    },
    "residual": LEAST | {"depth": 2},
    "split_transform_merge": {
        "channels": 1,
        "bottleneck": 1,
        "branches": 1,
        "branch_width": 1,
        "kernel": 1,
        "image_size": 1,
        "seed": 0,
    },
    "double_descent": {
        "input_dim": 1,
        "noise_std": 0,
        "n_train": 1,
        "n_validation": 1,
        "n_test": 1,
        "n_features": {"start": 1, "stop": 1, "step": 1},
        "fixed_lambda": 0.000001,
        "lambda_grid": {"low": 0.000001, "high": 1000000, "count": 1},
        "replicates": 1,
        "auxiliary_replicates": 1,
        "n_risk": 1000,
        "seed": 0,
    },
    "report": {"title": TITLE, "author": AUTHOR, "date": "1980-01-01"},
}
FAR_APART = {  # few points in many dimensions, loud noise, strong penalties, splits that cost instead of saving
    "dropout": {"p": 0.95, "other_p": 0.95, "in_features": 64, "out_features": 2, "samples": 32, "seed": 4294967295},
    "initialization": {
        "networks": {"base": [1024, 1], "deep": [1, 1024], "nan": [1, 1, 1], "true": [2, 1], "inf": [2, 1]},
        "replicates": 100,
        "inputs": 1000,
        "seed": 4294967295,
    },
    "residual": LEAST | {"input_dim": 64, "growth_layers": 60, "seed": 4294967295},
    "split_transform_merge": {
        "channels": 2,
        "bottleneck": 512,
        "branches": 128,
        "branch_width": 16,
        "kernel": 7,
        "image_size": 8,
        "seed": 4294967295,
    },
    "double_descent": {
        "input_dim": 40,
        "noise_std": 100,
        "n_train": 2,
        "n_validation": 1,
        "n_test": 2,
        "n_features": {"start": 3, "stop": 4, "step": 5},
        "fixed_lambda": 1000000,
        "lambda_grid": {"low": 0.01, "high": 0.02, "count": 2},
        "replicates": 2,
        "auxiliary_replicates": 3,
        "n_risk": 1000,
        "seed": 4294967295,
    },
}


def ran(folder, config):
    """A whole run of a configuration in a folder of that name."""
    copy = Copy(folder)
    (copy.path / "mine.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    copy.code, copy.printed = copy.snakemake("--configfile", "mine.yaml")
    return copy


def text_of(page):
    """The text of an HTML page or element, its tags left out."""
    return html.unescape(re.sub(r"<[^>]+>", "", page))


@pytest.fixture(scope="module")
def least(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("least") / FOLDER, LEAST_OF_ALL)


def test_the_least_of_everything_gets_a_true_report(least, monkeypatch):
    assert least.code == 0, least.printed
    monkeypatch.chdir(least.path)
    claims = read_claims("results/claims.csv")
    assert set(claims.loc[claims["kind"] == "theorem", "holds"]) == {"yes"}
    assert not claims["statement"].str.contains("nan").any()


def test_values_far_apart_get_a_true_report(tmp_path, monkeypatch):
    copy = ran(tmp_path / "far", FAR_APART)
    assert copy.code == 0, copy.printed
    monkeypatch.chdir(copy.path)
    claims = read_claims("results/claims.csv")
    assert set(claims.loc[claims["kind"] == "theorem", "holds"]) == {"yes"}


def test_a_title_is_shown_as_it_is_and_executed_nowhere(least):
    page = (least.path / "results/report/solutions.html").read_text(encoding="utf-8")
    heading = re.search(r'<h1 class="title">(.*?)</h1>', page, re.DOTALL).group(1)
    assert text_of(heading) == TITLE
    assert "<" not in heading
    assert html.unescape(re.search(r"<title>(.*?)</title>", page, re.DOTALL).group(1)) == TITLE
    assert AUTHOR in html.unescape(re.search(r'<p class="byline">(.*?)</p>', page, re.DOTALL).group(1))
    assert html.unescape(re.search(r'<meta name="author" content="(.*?)">', page).group(1)) == AUTHOR
    document = PdfReader(least.path / "results/report/solutions.pdf")
    assert document.metadata.title == TITLE
    assert document.metadata.author == AUTHOR
    shown = "".join(document.pages[0].extract_text().split())
    assert "".join(TITLE.split()) in shown
    assert "".join(AUTHOR.split()) in shown


def test_a_folder_name_reaches_no_shell(least):
    assert [path.name for path in least.path.parent.iterdir()] == [FOLDER]
    assert not {"b", "c", "t"} & {path.name for path in least.path.iterdir()}


def test_a_network_of_two_layers_has_no_layer_to_break():
    tables = study(**LEAST | {"depth": 2})
    assert tables["vanishing_summary"].empty
    assert set(tables["vanishing"]["broken_layer"]) == {0}
    assert set(tables["claims"]["holds"]) == {"yes"}


@pytest.mark.parametrize("spec", ["text", ".3f", ",d", "g", "percent1", "sci2", "power"])
def test_what_is_infinite_is_shown_by_its_sign(spec):
    assert formatted(math.inf, spec) == "∞"
    assert formatted(-math.inf, spec) == "−∞"
    assert spec == "text" or formatted("inf", spec) == "∞"  # a column with empty cells is one of text
    assert readable("inf") == "∞"
    assert readable(">= -inf") == "≥ −∞"


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_std": 1e-9, "n_train": 10, "n_validation": 60, "n_features": {"start": 355, "stop": 355, "step": 1}},
        {"n_train": 300, "n_features": {"start": 2000, "stop": 2000, "step": 1}, "fixed_lambda": 1e-6},
        {"noise_std": 5e-324, "n_features": {"start": 1, "stop": 3, "step": 1}},
        {"input_dim": 40, "n_train": 2, "fixed_lambda": 1000000},
        {"fixed_lambda": 1000000, "lambda_grid": {"low": 76345.0, "high": 645502.0, "count": 1}},
        {"lambda_grid": {"low": 1, "high": 1.00002, "count": 3}, "fixed_lambda": 1.000001, "replicates": 3},
    ],
    ids=str,
)
def test_no_sentence_of_problem_5_quotes_what_is_no_number(changes):
    block = (
        LEAST_OF_ALL["double_descent"]
        | {"keep": "whole", "lambda_grid": {"low": 0.000001, "high": 1000000, "count": 2}}
        | changes
    )
    claims = p5_study(**block)["claims"]
    assert not claims["statement"].str.contains(r"\b(?:nan|inf|None)\b").any()
    assert set(claims.loc[claims["kind"] == "theorem", "holds"]) == {"yes"}


def test_a_single_replicate_has_no_spread_even_if_the_theory_is_whole():
    tables = {
        "baselines": pd.DataFrame({"quantity": ["relative_error"], "value": [0.1]}),
        "theory": pd.DataFrame({"risk_fixed": [1, 1]}),  # as a table of 1 and 1 is read
        "risk_grid": pd.DataFrame({"risk_mean": [1.0], "risk_se": [np.nan], "risk_theory": [1.0]}),
    }
    found = theory_quantities(np.array([[1.5, 1.0]]), tables)
    assert math.isnan(found["theory_fixed"].measured)
    assert found["theory_fixed_relative"].measured == 0.5


def test_nothing_in_the_sources_hands_text_to_a_shell_or_loads_more_than_plain_data():
    dangerous = re.compile(
        r"\byaml\.(unsafe_|full_)?load\((?!.*(StrictLoader|SafeLoader|FAST_LOADER))|shell=True|os\.(system|popen)\(|\bpickle\b|^\s+(shell|run):"
    )
    sources = [PROJECT / "Snakefile", *(PROJECT / "workflow").rglob("*.smk"), *(PROJECT / "scripts").rglob("*.py")]
    for path in sources:
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not dangerous.search(line), f"{path.name}: {line}"
