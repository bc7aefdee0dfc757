"""What stands between Snakemake and the mathematics: imports, tables, claims, display."""

import ast
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import PROJECT
from pipeline import claims, display, files, grid, tables
from pipeline.sources import fingerprint, sources

FILES = {
    "scripts/job.py": "import numpy\nfrom pack import tool\nimport pack.sub.deep\n",
    "scripts/pack/__init__.py": '"""Docs."""\n',
    "scripts/pack/tool.py": "from . import other\n\n\ndef f():\n    from .sub import late\n",
    "scripts/pack/other.py": "A = 1\n",
    "scripts/pack/unused.py": "B = 2\n",
    "scripts/pack/sub/__init__.py": "",
    "scripts/pack/sub/deep.py": "from ..other import A\n",
    "scripts/pack/sub/late.py": "C = 3\n",
}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_sources_are_the_transitive_imports_with_their_packages(tree):
    assert sources("scripts/job.py") == sorted(set(FILES) - {"scripts/pack/unused.py"})


@pytest.mark.parametrize("file", sorted(set(FILES) - {"scripts/pack/unused.py"}))
def test_the_fingerprint_sees_every_code_edit_and_no_comment(tree, file):
    before = fingerprint("scripts/job.py")
    text = (tree / file).read_text()
    (tree / file).write_text("# a comment\n" + text + "\n\n# another\n")
    assert fingerprint("scripts/job.py") == before
    (tree / file).write_text(text + "\nD = 4\n")
    assert fingerprint("scripts/job.py") != before


def test_the_fingerprint_has_the_versions_of_the_packages_that_are_imported_or_named(tree):
    assert fingerprint("scripts/job.py").keys() - set(FILES) == {"numpy", "Python"}
    (tree / "scripts/pack/sub/late.py").write_text("import yaml.nodes\nFONT = 'ziamath'\nWORD = 'ziamath fonts'\n")
    assert fingerprint("scripts/job.py").keys() - set(FILES) == {"numpy", "yaml", "ziamath", "Python"}


def test_a_docstring_does_not_count_but_a_string_does(tree):
    before = fingerprint("scripts/job.py")
    (tree / "scripts/pack/__init__.py").write_text('"""Other docs."""\n')
    assert fingerprint("scripts/job.py") == before
    (tree / "scripts/pack/other.py").write_text("A = 'x'\n")
    assert fingerprint("scripts/job.py") != before


def test_torch_is_imported_only_where_torch_is_the_subject():
    script_folder = PROJECT / "scripts"
    importing = {
        path.relative_to(script_folder).as_posix() for path in script_folder.rglob("*.py") if _imports_torch(path)
    }
    assert importing <= {
        *(f"hw6/{name}.py" for name in ("dropout", "initialization", "residual", "split_transform_merge")),
        *(
            f"p{name}.py"
            for name in ("1_dropout", "2_initialization", "3_residual_gradients", "4_split_transform_merge")
        ),
    }


def _imports_torch(path):
    modules = []
    for node in ast.walk(ast.parse(path.read_text())):
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return any(module.split(".")[0] == "torch" for module in modules)


def test_the_mathematics_knows_no_files_no_snakemake_and_no_figures():
    for path in (PROJECT / "scripts/hw6").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not {name.split(".")[0] for name in names} & {
                    "matplotlib",
                    "snakemake",
                    "pathlib",
                    "pipeline",
                }, path


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=20))
def test_a_table_keeps_six_digits_and_a_second_writing_changes_nothing(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    tables.write_table(pd.DataFrame({"x": values, "n": range(len(values))}), path)
    once = path.read_bytes()
    read = tables.read_table(path)
    assert np.allclose(read["x"], values, rtol=5.1e-6, atol=0)
    tables.write_table(read, path)
    assert path.read_bytes() == once
    assert b"-0\n" not in once
    assert b"-0," not in once


def test_a_failed_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "t.csv"
    tables.write_table(pd.DataFrame({"x": [1]}), path)

    def fail():
        with files.written_whole(path) as draft:
            draft.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "x\n1\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("measured", "relation", "bound", "holds"),
    [
        (1.0, "<=", 1.0, "yes"),
        (1.1, "<=", 1.0, "no"),
        (math.nan, "<=", 1.0, "no"),
        (math.nan, ">=", 1.0, "no"),
        (None, "<=", 1.0, "undecided"),
        ("a", "=", "a", "yes"),
        (2, "in", (1, 2), "yes"),
        (3, "in", (1, 2), "no"),
        (1, "<", 1, "no"),
        (1, ">", 0, "yes"),
    ],
)
def test_a_claim_is_decided_by_its_bound(measured, relation, bound, holds):
    row = claims.theorem("p3-x", "s", measured, relation, bound, method="m", source="t")
    assert (row["holds"], row["problem"], row["kind"]) == (holds, 3, "theorem")


@given(st.floats(1e-300, 1e300))
def test_stays_under_is_a_power_of_ten_above_the_error_or_the_limit(error):
    shown = claims.stays_under(error, 1e-9)
    assert shown >= error * (1 - 1e-9) or math.isclose(shown, error)
    assert (shown == 1e-9) == (shown <= 1e-9 * 1.000001)


def test_a_claim_stated_twice_is_refused():
    row = claims.theorem("p1-x", "s", 1, "=", 1, method="m", source="t")
    with pytest.raises(ValueError, match="p1-x is stated twice"):
        claims.claims_table([row, row])


@pytest.mark.parametrize(
    ("value", "spec", "shown"),
    [
        (213504, ",d", "213,504"),
        (-0.5, ".2f", "−0.50"),
        (0.8219, "percent1", "82.2\u202f%"),
        (0.00123, "sci2", "1.2\u202f×\u202f10^−3^"),
        (1e-12, "power", "10^−12^"),
        (1e-15, ".2g", "10^−15^"),
        (2.5e-7, ".2g", "2.5\u202f×\u202f10^−7^"),
        (0, "power", "0"),
        ("", ".2f", "–"),
        ("relu", "text", "relu"),
    ],
)
def test_numbers_are_shown_in_the_fields_form(value, spec, shown):
    assert display.formatted(value, spec) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<= 1e-12", "≤ 10^−12^"),
        ("= 213504", "213,504"),
        (">= 0", "≥ 0"),
        ("in [-0.4, 2.5]", "in [−0.4, 2.5]"),
        ("1.5e+07", "1.5\u202f×\u202f10^7^"),
        ("a-c", "a-c"),
    ],
)
def test_bounds_of_claims_are_readable(text, shown):
    assert display.readable(text) == shown


def test_a_number_that_is_not_one_cell_is_refused_by_name():
    table = pd.DataFrame({"k": ["a", "a"], "v": [1, 2]})
    with pytest.raises(ValueError, match=r"p9\.x: 2 rows"):
        display.cell(table, {"table": "t", "where": {"k": "a"}, "column": "v"}, {}, "p9.x")
    with pytest.raises(ValueError, match=r"p9\.x: t has no column w"):
        display.cell(table, {"table": "t", "column": "w"}, {}, "p9.x")
    assert display.cell(table, {"table": "t", "column": "v", "reduce": "sum", "format": "d"}, {}, "p9.x") == "3"
    assert (
        display.cell(table, {"table": "t", "where": {"v": {"config": "a.b"}}, "column": "v"}, {"a": {"b": 2}}, "x")
        == "2"
    )


def test_a_listing_is_the_source_that_runs(tree):
    (tree / "scripts/pack/code.py").write_text(
        "import os\n\n\n@os.x\ndef g(a):\n    return a\n\n\ndef h():\n    pass\n"
    )
    shown = display.listing("scripts/pack/code.py", "g, h", "lst-p1-g", 'A "caption".')
    assert "@os.x\ndef g(a):\n    return a\n\n\ndef h():\n    pass\n```" in shown
    with pytest.raises(ValueError, match="no function or class named k"):
        display.listing("scripts/pack/code.py", "k", "lst-p1-k", "")


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 20))
def test_the_widths_are_counted_as_range_counts_them(start, extra, step):
    widths = {"start": start, "stop": start + extra, "step": step}
    listed = list(range(start, start + extra + 1, step))
    assert grid.number_of_widths(widths) == len(listed)
    assert grid.largest_width(widths) == listed[-1]
