"""A result is believed for what it is and for what made it: lost records, other hands, other code, other keys."""

import json
import os
import random
import re
import shutil
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import PROJECT, SMALL, Copy
from pipeline import jobs, staleness
from pipeline.records import RECORDS, TEMPORARY, read_records
from pipeline.staleness import Doubt, Plan, doubts

pytestmark = pytest.mark.xdist_group("faults")  # they share whole runs with those of test_faults.py

NOISE = ["--config", "double_descent={noise_std: 3.0}"]
OTHER_CODE = ("scripts/hw6/dropout.py", "return 4 * roundoff", "return 0 * roundoff")
ROUNDING = "results/p1/rounding.csv"
FITS = "results/p5/fits.csv"
NOTHING = "Nothing to be done"


def planned_by(records):
    """{rule: Plan} of a run that would do just what the records say."""
    return {
        record.rule: Plan(
            record.parameters,
            record.code,
            list(record.inputs),
            list(record.outputs),
            temporary=[path for path, written in record.outputs.items() if written == TEMPORARY],
        )
        for record in records
    }


@pytest.fixture(scope="module")
def finished(small_run, tmp_path_factory):
    """A copy of the small run to do damage in."""
    return small_run.clone(tmp_path_factory.mktemp("records") / "copy")


def keeping_its_time(path, content):
    """Write other bytes into a file as a careful forger would."""
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def one_byte(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def swapped(lines):
    return b"".join([lines[0], *reversed(lines[1:])]) if len(set(lines[1:])) > 1 else b"".join(lines) + lines[-1]


DAMAGES = {
    "one byte": lambda content: one_byte(content, random.Random(1).randrange(len(content))),
    "emptied": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "cut behind a line": lambda content: b"".join(content.splitlines(keepends=True)[:-1]),
    "last line twice": lambda content: content + content.splitlines(keepends=True)[-1],
    "lines in another order": lambda content: swapped(content.splitlines(keepends=True)),
    "a number is infinite": lambda content: content.replace(b"1", b"inf", 1) if b"1" in content else b"inf",
    "zeros": lambda content: bytes(len(content)),
    "other line ends": lambda content: content.replace(b"\n", b"\r\n") if b"\n" in content else b"\r\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_result_that_was_damaged_is_found_whatever_its_time(finished, monkeypatch, damage):
    monkeypatch.chdir(finished.path)
    planned = planned_by(read_records())
    assert doubts(planned) == {}
    results = [path for path in finished.results() if not path.startswith("records/")]
    assert len(results) > 90
    for name in results:
        path = finished.path / "results" / name
        whole = path.read_bytes()
        keeping_its_time(path, DAMAGES[damage](whole))
        found = doubts(planned)
        keeping_its_time(path, whole)
        assert found[f"results/{name}"].damaged == (f"results/{name}",), name


@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling link", "link to nothing that ends"])
def test_what_is_no_file_is_not_believed_and_never_waited_for(finished, monkeypatch, kind):
    monkeypatch.chdir(finished.path)
    planned, path = planned_by(read_records()), finished.path / ROUNDING
    saved = path.rename(path.with_suffix(".saved"))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere" if kind == "dangling link" else "/dev/zero")
    found = doubts(planned)
    path.rmdir() if kind == "folder" else path.unlink()
    saved.rename(path)
    assert found[ROUNDING].damaged == (ROUNDING,)


def test_damaged_results_are_named_and_made_anew_with_what_rests_on_them(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    for name, damage in {"p3/growth.csv": "cut behind a line", "p1/rescaled.svg": "emptied"}.items():
        path = copy.path / "results" / name
        keeping_its_time(path, DAMAGES[damage](path.read_bytes()))
    os.remove(copy.path / "results/p4/curve.csv")
    os.mkfifo(copy.path / "results/p4/curve.csv")
    makers = {"p3_residual_gradients", "p1_figures", "p4_split_transform_merge"}
    rest = {"p3_figures", "p4_figures", "claims_gather", "claims_gate", "report_numbers", "report_html", "report_pdf"}
    assert copy.planned() == makers | rest
    code, printed = copy.snakemake(*SMALL)
    assert code == 0, printed
    named = "results/p1/rescaled.svg, results/p3/growth.csv and results/p4/curve.csv"
    assert f"Made anew, since no record fits: {named}." in printed
    assert copy.results() == small_run.results()


def lose_hidden_folder(copy):
    shutil.rmtree(copy.path / ".snakemake")


def lose_half_of_snakemakes_records(copy):
    for number, path in enumerate(sorted((copy.path / ".snakemake/metadata").iterdir())):
        if number % 2:
            path.write_text("" if number % 4 == 1 else path.read_text()[:40])


def copy_results_alone(copy):
    """As a cache does: into a fresh clone, all with times of now, in some order."""
    results = copy.path / "results"
    kept = shutil.copytree(results, copy.path.with_name("cache"), copy_function=shutil.copyfile)
    shutil.rmtree(copy.path)
    Copy(copy.path)
    shutil.copytree(kept, results, copy_function=shutil.copyfile)


def take_times_from_a_hat(copy):
    chance = random.Random(3)
    for path in (copy.path / "results").rglob("*"):
        os.utime(path, (chance.randrange(10**9),) * 2)


LOSSES = [lose_hidden_folder, lose_half_of_snakemakes_records, copy_results_alone, take_times_from_a_hat]


@pytest.mark.parametrize("lose", LOSSES)
def test_without_snakemakes_records_the_same_is_kept_and_the_same_is_stale(small_run, tmp_path, lose):
    copy = small_run.clone(tmp_path / "copy")
    lose(copy)
    assert copy.planned(*NOISE) == small_run.planned(*NOISE)
    code, printed = copy.snakemake(*SMALL)
    assert code == 0
    assert NOTHING in printed
    copy.edit(*OTHER_CODE)
    assert copy.planned() == {
        *("p1_dropout", "p1_figures", "claims_gather", "claims_gate", "report_numbers", "report_html", "report_pdf")
    }
    code, printed = copy.snakemake("--dry-run")  # of the default configuration nothing is here
    assert re.search(r"^total +29$", printed, re.MULTILINE), printed


def test_what_has_no_record_is_made_again(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    records = copy.path / RECORDS
    for name, content in {"p2_figures": "", "p1_figures": '{"rule": "p1_figures"', "p4_figures": "[1]"}.items():
        (records / f"{name}.json").write_text(content)
    (records / "p3_figures.json").write_text((records / "p5_figures.json").read_text())
    figures = {f"p{k}_figures" for k in range(1, 5)}
    assert copy.planned() == {*figures, "report_html", "report_pdf"}
    shutil.rmtree(records)
    assert copy.planned() == small_run.planned("--forceall")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=6,
)


@given(
    job=st.sampled_from(["p1_figures", "p5_sweep-1-of-1", "report_numbers"]),
    field=st.sampled_from(["rule", "parameters", "code", "inputs", "outputs"]),
    value=json_values,
)
def test_a_record_with_another_field_is_not_believed(finished, job, field, value):
    path = finished.path / RECORDS / f"{job}.json"
    before, told = os.getcwd(), json.loads(path.read_text())
    if told[field] == value:
        return
    os.chdir(finished.path)
    planned, whole = planned_by(read_records()), path.read_text()
    try:
        path.write_text(json.dumps(told | {field: value}))
        found = doubts(planned)
        if field != "rule" or job != "p5_sweep-1-of-1":  # a part that is gone is known by who tells of it
            assert found.keys() & {FITS, *told["outputs"]}
    finally:
        path.write_text(whole)
        os.chdir(before)


def test_the_order_of_parameters_and_the_kind_of_numbers_count(finished, monkeypatch):
    monkeypatch.chdir(finished.path)
    planned = planned_by(read_records())
    plan = planned["p5_theory"]
    study = plan.parameters["study"]
    for other in (dict(reversed(study.items())), study | {"noise_std": 0.5 + 1e-12}, study | {"n_train": 80.0}):
        changed = planned | {"p5_theory": plan._replace(parameters={"study": other})}
        assert "results/p5/theory.csv" in doubts(changed)


def test_results_shared_by_a_link_are_never_believed_for_another_configuration(small_run, tmp_path):
    one, other = small_run.clone(tmp_path / "one"), small_run.clone(tmp_path / "other")
    shutil.rmtree(other.path / "results")
    (other.path / "results").symlink_to(one.path / "results")
    target = [ROUNDING]
    assert other.snakemake(*target, *SMALL, "--config", "dropout={p: 0.3}")[0] == 0
    assert "p1_dropout" in one.planned()
    assert NOTHING in other.snakemake(*target, "--configfile", "tests/config.yaml", "--config", "dropout={p: 0.3}")[1]
    assert one.snakemake(*target, *SMALL)[0] == 0
    assert (one.path / ROUNDING).read_bytes() == (small_run.path / ROUNDING).read_bytes()


class Watched:
    """A run whose output is followed, so that something can be done at a certain line."""

    def __init__(self, copy, *arguments, cores=1):
        self.process = subprocess.Popen(
            copy.command(*arguments, *SMALL, cores=cores),
            cwd=copy.path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.printed = ""

    def until(self, words):
        for line in self.process.stdout:
            self.printed += line
            if words in line:
                return
        pytest.fail(f"never said {words!r}:\n{self.printed}")

    def end(self):
        """(exit code, everything it printed)."""
        self.printed += self.process.stdout.read()
        return self.process.wait(), self.printed


def test_code_that_is_changed_when_all_is_planned_and_changed_back_is_refused_by_name(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    shutil.rmtree(copy.path / "results/p1")
    run = Watched(copy, ROUNDING)
    run.until("Job stats:")
    copy.edit(*OTHER_CODE)
    code, printed = run.end()
    copy.edit(OTHER_CODE[0], OTHER_CODE[2], OTHER_CODE[1])
    assert code != 0
    assert "The rule p1_dropout failed: scripts/hw6/dropout.py has changed since the run was planned; run" in printed
    assert not (copy.path / ROUNDING).exists()
    assert copy.snakemake(ROUNDING, *SMALL)[0] == 0
    assert (copy.path / ROUNDING).read_bytes() == (small_run.path / ROUNDING).read_bytes()


def test_shares_of_a_study_are_of_one_code(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    shutil.rmtree(copy.path / "results/p5")
    run = Watched(copy, FITS, "--set-scatter", "replicates=3")
    run.until("steps (25%) done")
    module = copy.path / "scripts/hw6/double_descent.py"
    text = module.read_text()
    module.write_text(text + "CHANGED = 1\n")  # as a checkout of another branch does
    code, printed = run.end()
    module.write_text(text)
    assert code != 0
    assert "scripts/hw6/double_descent.py has changed since the run was planned" in printed
    code, printed = copy.snakemake(FITS, *SMALL, "--set-scatter", "replicates=3")
    assert code == 0, printed
    assert re.search("^p5_sweep +2$", printed, re.MULTILINE)  # the first share stays
    assert (copy.path / FITS).read_bytes() == (small_run.path / FITS).read_bytes()


def test_a_text_that_is_changed_while_the_report_is_rendered_and_changed_back_is_refused(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    (copy.path / "results/report/solutions.html").unlink()
    script, text = copy.path / "scripts/report_render.py", copy.path / "report/_opening.qmd"
    script.write_text(script.read_text().replace("        render =", "        Path('now').touch()\n        render ="))
    run = Watched(copy, "results/report/solutions.html")
    while not (copy.path / "now").exists():
        assert run.process.poll() is None
        time.sleep(0.02)
    whole = text.read_text()
    text.write_text(whole.replace("a", "b"))
    text.write_text(whole)
    code, printed = run.end()
    assert code != 0
    assert "report/_opening.qmd was written while the job was at work; run snakemake again" in printed
    assert not (copy.path / "results/report/solutions.html").exists()


def test_a_text_or_a_table_that_is_changed_after_the_plan_is_refused(small_run, tmp_path):
    for name, told in (
        ("report/_opening.qmd", "report/_opening.qmd has changed since the run was planned"),
        ("results/p2/law.csv", "results/p2/law.csv is not what the rule p2_initialization wrote"),
    ):
        copy = small_run.clone(tmp_path / name.replace("/", "-"))
        (copy.path / "results/report/solutions.pdf").unlink()
        run = Watched(copy, "results/report/solutions.pdf")
        run.until("Job stats:")
        path = copy.path / name
        path.write_bytes(path.read_bytes() + b"\n")
        code, printed = run.end()
        assert code != 0
        assert f"The rule report_pdf failed: {told}; run snakemake again" in printed


def test_a_report_is_never_made_about_tables_of_another_configuration(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    (copy.path / "results/report/solutions.html").unlink()
    only = ["--allowed-rules", "report_numbers", "report_html", "--cores", "2"]  # what is stale is not made
    code, printed = copy.snakemake("results/report/solutions.html", *SMALL, *NOISE, *only)
    assert code != 0
    assert "was made by the rule" in printed
    assert "with other parameters or code; run snakemake again" in printed


def test_touching_says_nothing_about_claims_and_makes_nothing_believed(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    table = copy.path / "results/p2/law.csv"
    table.write_bytes(table.read_bytes() + b"1\n")
    (copy.path / ROUNDING).unlink()
    planned = copy.planned()
    _, printed = copy.snakemake(*SMALL, "--touch")
    assert "claims hold" not in printed
    assert "Only times were set: nothing was computed, and nothing was checked." in printed
    assert copy.planned() == planned >= {"p1_dropout", "p2_initialization"}


def test_touching_in_a_fresh_copy_ends_without_a_traceback(project):
    _, printed = project.snakemake(*SMALL, "--touch")
    assert "Traceback" not in printed
    assert "claims hold" not in printed


def test_temporary_parts_that_a_killed_run_left_are_cleared(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    part = "results/p5/parts/fits-1-of-1.csv"
    assert copy.snakemake(part, *SMALL, "--notemp")[0] == 0
    assert copy.planned() == set()
    assert (copy.path / part).exists()
    assert NOTHING in copy.snakemake(*SMALL)[1]
    assert not (copy.path / part).exists()
    assert copy.results() == small_run.results()


def test_a_doubt_is_one_if_anything_differs():
    assert not Doubt()
    assert Doubt(unnamed=True)
    assert Doubt(values={"torch": ("1", "2")})
    assert staleness.leaves({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}


# Snakemake's own report of a run.


def test_snakemakes_report_is_the_same_through_a_profile_and_the_command_line(small_run, tmp_path):
    copy, sizes = small_run.clone(tmp_path / "copy"), []
    (copy.path / "mine").mkdir()
    (copy.path / "mine/config.yaml").write_text("report: profile.zip\n")
    for arguments in (["--report", "line.zip"], ["--profile", "mine"]):
        code, printed = copy.snakemake(*SMALL, *arguments)
        assert code == 0, printed
    for name in ("line.zip", "profile.zip"):
        shutil.unpack_archive(copy.path / name, tmp_path / name)
        page = next((tmp_path / name).rglob("report.html")).read_text()
        sizes.append(page.count("results/p"))
    assert sizes[0] == sizes[1] > 50


def test_snakemakes_report_about_stale_results_is_refused(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    code, printed = copy.snakemake(*SMALL, *NOISE, "--report", "r.zip")
    assert code != 0
    assert "not up to date; run snakemake first, then ask for its report." in printed
    assert not (copy.path / "r.zip").exists()


def test_a_lock_that_is_held_keeps_others_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with jobs.claimed("x.lock"), pytest.raises(BlockingIOError), jobs.claimed("x.lock"):
        pytest.fail("held twice")
    leftover = tmp_path / "leftover"
    leftover.touch()
    with jobs.claimed("run.lock"):
        jobs.clear_leftovers([leftover])
    assert leftover.exists()
    jobs.clear_leftovers([leftover])
    assert not leftover.exists()


def test_the_page_about_records_names_what_a_record_holds():
    page = (PROJECT / "docs/records.md").read_text(encoding="utf-8")
    for word in ("rule", "parameters", "code", "inputs", "outputs", str(RECORDS)):
        assert f"`{word}" in page, word
