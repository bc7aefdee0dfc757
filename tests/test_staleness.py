"""Only what is stale is run again: each source, key, package and output changed, and what is planned compared.

What should be planned comes from an observed run (staleness.py), not from the project's own bookkeeping.
"""

import ast
import os
import re
import subprocess
import sys
import types
from importlib.metadata import version

import pytest
import yaml

import p5_auxiliary
import p5_theory
import staleness
import why
from conftest import PROJECT
from observe.observing import Watched
from pipeline.engine import chosen_engine
from pipeline.sources import DISTRIBUTIONS, sources
from pipeline.staleness import Doubt

pytestmark = pytest.mark.xdist_group("staleness")  # one observed run for all, beside those of the group "runs"

SCHEMA = yaml.safe_load((PROJECT / "workflow/config.schema.yaml").read_text(encoding="utf-8"))
RULES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT / "workflow/rules").glob("*.smk")))
PYTHON_FILES = sorted((PROJECT / "scripts").rglob("*.py"))


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    return staleness.Workflow(tmp_path_factory.mktemp("staleness"))


@pytest.fixture(scope="module")
def dry_runs(workflow):
    with staleness.DryRuns(workflow.path) as server:
        yield server


def changed(path, text):
    """The text of a source with a change in it that a careless reader could miss."""
    return text + ("CHANGED = 1\n" if path.endswith(".py") else "\n")


def commented(text):
    """The code of a Python file with other comments and another docstring."""
    text = re.sub('^"""', '"""Changed. ', text)
    return f"# changed\n{text}\n\n# changed\n"


def another(value, schema):
    """Another allowed value of a leaf of the configuration."""
    if "enum" in schema:
        return next(other for other in reversed(schema["enum"]) if other != value)
    if isinstance(value, dict):
        return value | {"base": [*value["base"][:-1], 2, 1]}
    if isinstance(value, str):
        return "2001-01-01" if schema.get("format") == "date" else f"{value} changed"
    return value * 1.1 if isinstance(value, float) else value + 1


def node(leaf):
    """The schema of a leaf by its dotted path."""
    schema = SCHEMA
    for key in leaf.split("."):
        schema = schema["properties"][key]
    return schema


def compared(cases):
    """Print the totals of {name: (expected, planned)}, jobs by rule; returns what is missing and what is too much."""
    counts = {"expected": 0, "planned": 0, "missing": 0, "extra": 0}
    faults = {}
    for name, (expected, planned) in cases.items():
        missing = {rule: count - planned.get(rule, 0) for rule, count in expected.items()}
        extra = {rule: count - expected.get(rule, 0) for rule, count in planned.items()}
        fault = [{rule: count for rule, count in found.items() if count > 0} for found in (missing, extra)]
        for key, found in zip(counts, (expected, planned, *fault), strict=True):
            counts[key] += sum(found.values())
        if any(fault):
            faults[name] = dict(zip(("missing", "extra"), fault, strict=True))
    print(len(cases), "changes; jobs", ", ".join(f"{key} {count}" for key, count in counts.items()))
    return faults


def test_each_changed_file_schedules_what_depends_on_it(workflow, dry_runs):
    cases, idle = {}, []
    for file in workflow.files:
        expected = workflow.jobs(workflow.readers(file))
        path = workflow.path / file
        text = path.read_bytes()
        path.write_text(changed(file, text.decode("utf-8")), encoding="utf-8", newline="")
        if expected:
            cases[file] = (expected, dry_runs.planned())
            path.write_bytes(text)
        else:
            idle.append((path, text))  # all of them stay changed: if nothing is planned then, each alone does nothing
    print(len(idle), "files on which no job depends")
    assert dry_runs.planned() == {}
    for path, text in idle:
        path.write_bytes(text)
    assert len(cases) > 60
    assert compared(cases) == {}
    assert dry_runs.planned() == {}  # every file was changed and changed back


def test_each_changed_key_schedules_what_depends_on_it(workflow, dry_runs):
    cases, layer = {}, workflow.path.parent / "changed.yaml"
    for leaf, value in staleness.leaves(workflow.config).items():
        other = content = another(value, node(leaf))
        for key in reversed(leaf.split(".")):
            content = {key: content}
        layer.write_text(yaml.safe_dump(content), encoding="utf-8")
        same = leaf == "report.engine" and chosen_engine(value) == chosen_engine(other)  # auto, where it comes to that
        expected = workflow.jobs(set() if same else workflow.readers_of_key(leaf))
        cases[leaf] = (expected, dry_runs.planned("--configfile", str(layer)))
    assert len(cases) > 40
    assert compared(cases) == {}
    assert dry_runs.planned() == {}


def test_each_package_of_another_version_schedules_what_uses_it(workflow, dry_runs, tmp_path):
    cases = {}
    for package in workflow.packages():
        name = DISTRIBUTIONS[package]
        folder = tmp_path / package / f"{name.replace('-', '_')}-0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n", encoding="utf-8")
        expected = workflow.jobs(workflow.readers_of_package(package))
        cases[package] = (expected, dry_runs.planned(path=[tmp_path / package]))
    assert compared(cases) == {}


def test_each_missing_output_schedules_its_rule_and_what_follows(workflow, dry_runs):
    planned = dry_runs.planned(without=workflow.outputs)
    cases = {
        output: (workflow.jobs_after(output), jobs) for output, jobs in zip(workflow.outputs, planned, strict=True)
    }
    assert {f"results/{name}" for name in workflow.copy.results()} == set(workflow.outputs)
    assert compared(cases) == {}


def test_touched_sources_schedule_nothing(workflow, dry_runs):
    for file in workflow.files:
        os.utime(workflow.path / file)
    assert dry_runs.planned() == {}


def test_comments_and_docstrings_schedule_the_report_that_sums_the_sources_and_nothing_else(workflow, dry_runs):
    texts = {path: path.read_text(encoding="utf-8") for path in (workflow.path / "scripts").rglob("*.py")}
    for path, text in texts.items():
        path.write_text(commented(text), encoding="utf-8")
    planned = dry_runs.planned()
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    assert set(planned) == set(staleness.REPORT)


def test_a_new_file_of_the_report_and_an_edited_rule_are_seen(workflow, dry_runs):
    new = workflow.path / "report/_new.qmd"
    new.write_text("New.\n", encoding="utf-8")
    planned = dry_runs.planned()
    new.unlink()
    assert set(planned) == set(staleness.REPORT)
    rules = workflow.path / "workflow/rules/p5_double_descent.smk"
    text = rules.read_text(encoding="utf-8")
    edited = text.replace('"n_train", "fixed_lambda"),', '"n_train", "fixed_lambda", "seed"),')
    assert edited != text
    rules.write_text(edited, encoding="utf-8")
    planned = dry_runs.planned()
    rules.write_text(text, encoding="utf-8")
    assert set(planned) == {"p5_explorer", *staleness.REPORT}


@pytest.mark.parametrize(
    "change",
    [{"scripts/hw6/residual.py": "\nCHANGED = 1\n"}, {"report/style.css": "\n"}, {"report/style.css": None}],
)
def test_the_command_line_plans_the_same(workflow, dry_runs, change):
    for file, addition in change.items():
        path = workflow.path / file
        text = path.read_text(encoding="utf-8")
        os.utime(path) if addition is None else path.write_text(text + addition, encoding="utf-8")
    code, printed = workflow.copy.snakemake("--dry-run")
    assert code == 0, printed
    counts = dict(re.findall(r"^(\w+) +(\d+)$", printed, flags=re.MULTILINE))
    planned = dry_runs.planned()
    for file in change:
        (workflow.path / file).write_text(text, encoding="utf-8")
    assert {rule: int(count) for rule, count in counts.items() if rule not in ("all", "total")} == planned


def test_another_engine_has_the_report_made_again_and_its_name_alone_nothing(workflow, tmp_path, monkeypatch):
    quarto = tmp_path / "quarto"
    quarto.write_text("#!/bin/sh\necho 99.9.9\n", encoding="utf-8")
    quarto.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    code, printed = workflow.copy.snakemake("--dry-run")
    assert code == 0, printed
    assert set(re.findall(r"^(\w+) +\d+$", printed, flags=re.MULTILINE)) == {"all", "total", *staleness.REPORT}
    code, printed = workflow.copy.snakemake("--dry-run", "--config", "report={engine: pandoc}")
    assert code == 0, printed
    assert "Nothing to be done" in printed


def test_the_explanation_names_what_changed_and_what_follows(workflow):
    module, output = workflow.path / "scripts/hw6/residual.py", workflow.path / "results/p2/law.svg"
    text, drawn = module.read_bytes(), output.read_bytes()

    def explained(*arguments):
        command = [sys.executable, "scripts/why.py", *arguments]
        done = subprocess.run(command, cwd=workflow.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert explained() == ["Nothing would run: all results are up to date."]
    module.write_bytes(text + b"CHANGED = 1\n")
    output.unlink()
    lines = explained("--config", "double_descent={noise_std: 0.6}", "--set-scatter", "replicates=10")
    module.write_bytes(text)
    output.write_bytes(drawn)
    assert lines[-1] == "In all 25 jobs."
    assert {
        "p5_sweep (10 jobs): what it writes is temporary.",  # the shares were others
        "p5_closer: double_descent.noise_std is 0.6, was 0.5.",
        "p3_residual_gradients: scripts/hw6/residual.py has changed.",
        "p2_figures: results/p2/law.svg is missing.",
        "p3_figures: after p3_residual_gradients.",
    } < set(lines)


def test_the_explanation_names_packages_and_files_that_are_no_longer_needed():
    values = {"torch": ("2.13.0", "2.14.0"), "engine": ("pandoc", "quarto 1.10.1"), "study.p": (None, 1)}
    doubt = Doubt(("a.csv", "b.csv"), ("scripts/b.py",), values, regrouped=True)
    assert list(why.doubts_in_words("p1_dropout", doubt)) == [
        "a.csv and b.csv are not what a rule is known to have written",
        "scripts/b.py has changed",
        "torch is 2.14.0, was 2.13.0",
        "engine is quarto 1.10.1, was pandoc",
        "dropout.p is 1, was not used",
        "it reads other files than before",
    ]
    many = {f"study.{key}": (0, 1) for key in range(20)}
    told = list(why.doubts_in_words("report_html", Doubt(values=many)))
    assert told[-1] == "12 other values have changed"
    assert len(told) == 9


def test_an_edit_within_the_same_second_and_of_equal_length_takes_effect(workflow):
    module, table = workflow.path / "scripts/hw6/split_transform_merge.py", workflow.path / "results/p4/curve.csv"
    text, times, before = module.read_text(encoding="utf-8"), module.stat(), table.read_bytes()
    edited = text.replace("2 * ", "3 * ")
    assert edited != text
    for content, differs in ((edited, True), (text, False)):
        module.write_text(content, encoding="utf-8")
        os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
        code, printed = workflow.copy.snakemake("results/p4/curve.csv")
        assert code == 0, printed
        assert (table.read_bytes() != before) == differs
    assert not list(workflow.path.rglob("*.pyc"))


def test_the_page_is_up_to_date(workflow):
    assert staleness.PAGE.read_text(encoding="utf-8") == staleness.page(workflow), "python tests/staleness.py writes it"


def test_the_sums_in_the_report_name_every_source_that_a_job_reads(workflow):
    summed = {line.split(maxsplit=1)[1] for line in (workflow.path / staleness.SUMS).read_text().splitlines()}
    read = set().union(*(job.reads for job in workflow.rules.values())) & set(workflow.files)
    assert read - summed == set()


# The keys that a rule gets, and nothing that the syntax tree would hide.


def given_keys():
    """{rule: the keys of double_descent that it is given} as the rule files say."""
    given, lists = {}, dict(re.findall(r"^(\w+_KEYS) = \[(.*?)\]", RULES, flags=re.DOTALL | re.MULTILINE))
    for rule in re.split(r"^rule ", RULES, flags=re.MULTILINE)[1:]:
        if keys := re.search(r'only\(\s*"double_descent",(.*?)\)', rule, flags=re.DOTALL):
            text = re.sub(r"\*(\w+_KEYS)", lambda name: lists[name[1]], keys[1])
            given[rule.split(":")[0]] = re.findall(r'"(\w+)"', text)
    return given


def test_each_key_that_a_rule_is_given_is_read(workflow):
    given = given_keys()
    assert len(given) == 8
    for rule, keys in given.items():
        behind = workflow.suppliers(rule)  # whose output is gone: their keys have to be given here, too
        read = set().union(*(workflow.rules[name].keys for name in {rule, *behind}))
        read = {key.removeprefix("double_descent.").split(".")[0] for key in read}
        assert read == set(keys), rule


@pytest.mark.parametrize("script", [p5_auxiliary, p5_theory])
def test_each_key_that_is_given_as_an_argument_is_read(script):
    """Keyword arguments are copied unseen: here the function gets the watched mapping itself."""
    code, read = script.study.__code__, set()
    open_code = code.replace(co_flags=code.co_flags & ~0x08, co_argcount=1)  # 0x08: takes **keywords
    given = given_keys()[script.__name__]
    block = yaml.safe_load((PROJECT / "tests/config.yaml").read_text(encoding="utf-8"))["double_descent"]
    block |= {"n_features": {"start": 8, "stop": 40, "step": 8}, "auxiliary_replicates": 1, "n_risk": 1000}
    watched = Watched({key: block[key] for key in given}, lambda _, key: read.add(key.split(".")[0]))
    types.FunctionType(open_code, script.study.__globals__)(watched)
    assert read == set(given)


@pytest.mark.parametrize("script", [path.name for path in PYTHON_FILES if re.match(r"p[1-4]_(?!figures)", path.name)])
def test_each_key_of_a_problem_is_an_argument_that_is_read(script):
    tree = ast.parse((PROJECT / "scripts" / script).read_text(encoding="utf-8"))
    (study,) = (part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == "study")
    block = list(SCHEMA["properties"])[int(script[1]) - 1]
    arguments = {argument.arg for argument in study.args.args}
    assert arguments == set(SCHEMA["properties"][block]["properties"])
    assert arguments <= {name.id for name in ast.walk(study) if isinstance(name, ast.Name)}


def test_each_rule_names_one_script_thrice_and_no_command():
    assert not re.search(r"^    (shell|run|notebook|wrapper):", RULES, flags=re.MULTILINE)
    for rule in re.split(r"^rule ", RULES, flags=re.MULTILINE)[1:]:
        named = re.findall(r'(?:ancient\(sources\(|fingerprint\(|\n        "\.\./\.\./)"?(scripts/\w+\.py)"', rule)
        assert len(named) == 3, rule
        assert len(set(named)) == 1, rule


def test_no_import_is_hidden_from_the_syntax_tree(workflow, monkeypatch):
    monkeypatch.chdir(PROJECT)
    hidden = {"__import__", "exec", "eval", "compile"}  # as functions; `model.eval()` is another thing
    attributes = {
        "import_module",
        "run_path",
        "run_module",
        "spec_from_file_location",
        "SourceFileLoader",
        "path_hooks",
    }
    for path in {PROJECT / name for script in workflow.scripts.values() for name in sources(script)}:
        for part in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path}:{getattr(part, 'lineno', 0)}"
            called = part.func if isinstance(part, ast.Call) else None
            assert getattr(called, "id", None) not in hidden, place
            assert getattr(part, "attr", None) not in attributes, place
            if isinstance(part, ast.Attribute) and getattr(part.value, "id", None) == "sys":
                assert part.attr not in ("path", "modules", "meta_path"), place
            if isinstance(part, ast.ImportFrom):
                assert [alias.name for alias in part.names] != ["*"], place
                assert part.module not in ("runpy", "importlib", "sys"), place
            if isinstance(part, ast.Import):
                assert not {alias.name for alias in part.names} & {"runpy", "importlib", "imp"}, place


def test_every_package_that_a_script_imports_counts_and_is_pinned(workflow):
    assert set(workflow.packages()) <= set(DISTRIBUTIONS)
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8").lower()
    for name in DISTRIBUTIONS.values():
        assert re.search(rf"^{name.lower()}==", lock, flags=re.MULTILINE), name
        assert version(name)
