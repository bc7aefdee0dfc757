"""Whole runs of the workflow in a copy of the project."""

import fcntl
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from conftest import PROJECT, SMALL

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow


def test_a_group_of_tests_stays_on_one_worker(request):
    if not hasattr(request.config, "workerinput"):
        pytest.skip("pytest-xdist does not run the tests")
    assert request.node.nodeid.endswith("@runs")  # else each worker would make the shared runs anew


def test_a_run_makes_everything_and_says_where_the_report_is(small_run):
    results = small_run.results()
    for name in (
        "claims.csv",
        "report/solutions.html",
        "report/solutions.pdf",
        "p1/equivalence.csv",
        "p2/variance.csv",
    ):
        assert results[name]
    assert re.search(
        r"The report is in results/report/solutions.html and results/report/solutions.pdf. \d+ of \d+ claims hold.",
        small_run.printed,
    )
    assert not list(small_run.path.rglob("*.pyc"))


def test_the_tables_have_the_promised_columns(small_run):
    promised = {
        "p1/equivalence": "activation,mode,dropout_p,zero_at_zero,homogeneous,equivalent,max_abs_difference",
        "p2/variance": "network,layer,fan_in,fan_out,mean_theory,mean_simulated,mean_se,"
        "variance_theory,variance_simulated,variance_se",
        "p3/gradient_check": "activation,depth,derivative,layer,relative_error_below",
        "p3/vanishing": "network,cause,broken_layer,layer,norm_dA,norm_db",
        "p4/parameters": "construction,layer,in_channels,out_channels,kernel,copies,weights,biases,parameters",
        "p5/test_error": "replicate,n_features,tuning,lambda,train_mse,validation_mse,test_mse,risk",
        "p5/tuned_lambda": "replicate,n_features,lambda,validation_mse,runner_up_lambda,margin,at_grid_edge",
        "p5/summary": "n_features,tuning,risk_mean,risk_low,risk_high,risk_theory,"
        "test_mse_mean,test_mse_low,test_mse_high",
        "p5/risk_grid": "n_features,lambda,risk_mean",
        "p5/course": "n_features,lambda,test_error_fixed,test_error_tuned",
        "claims": "claim,problem,kind,statement,measured,bound,holds,method,source",
    }
    results = small_run.results()
    for table, columns in promised.items():
        header = results[f"{table}.csv"].decode().splitlines()[0].split(",")
        assert [name for name in header if name in columns.split(",")] == columns.split(","), table


def test_a_second_run_has_nothing_to_do(small_run, tmp_path):
    code, printed = small_run.clone(tmp_path / "again").snakemake(*SMALL)
    assert code == 0
    assert "Nothing to be done" in printed


def test_results_do_not_depend_on_how_the_replicates_are_scattered(small_run, project):
    code, printed = project.snakemake("results/p5/claims.csv", *SMALL, "--set-scatter", "replicates=3", "closer=9")
    assert code == 0, printed
    assert re.search(r"^p5_sweep +3$", printed, re.MULTILINE)
    assert re.search(r"^p5_closer +9$", printed, re.MULTILINE)  # more shares than replicates
    made, expected = (copy.results(records=False) for copy in (project, small_run))
    assert {"p5/fits.csv", "p5/test_error.csv", "p5/summary.csv", "p5/decisions.csv"} <= set(made)
    assert made == {name: expected[name] for name in made}


def test_only_summaries_are_kept_if_that_is_asked_for_and_staleness_is_seen_all_the_same(small_run, tmp_path):
    copy, summaries = small_run.clone(tmp_path / "copy"), ["--config", "double_descent={keep: summaries}"]
    code, printed = copy.snakemake(*SMALL, *summaries)
    assert code == 0, printed
    assert not re.search(r"^p5_sweep ", printed, re.MULTILINE)  # the fits were there
    gone = {f"p5/{name}.csv" for name in ("fits", "test_error", "tuned_lambda")}
    made, whole = copy.results(), small_run.results()
    assert set(made) == set(whole) - gone
    tables = {name for name in made if name.startswith("p5/") and not name.endswith(("claims.csv", "explorer.md"))}
    assert {name: made[name] for name in tables} == {name: whole[name] for name in tables}
    assert b"test_error.csv" not in made["p5/claims.csv"] + made["report/solutions.html"]
    assert copy.planned(*summaries) == set()
    code, printed = copy.snakemake(*SMALL, *summaries, "--report", "report.zip")
    assert code == 0, printed
    other = ["--config", "double_descent={keep: summaries, noise_std: 0.6}"]
    assert {"p5_sweep", "p5_merge", "p5_double_descent"} <= copy.planned(*other)
    (copy.path / "results/p5/heat_map.svg").unlink()
    assert copy.planned(*summaries) == {"p5_figures", "report_html", "report_pdf"}


def test_a_python_whose_path_has_spaces_runs_the_scripts(project, tmp_path):
    environment = tmp_path / "my python"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").symlink_to(Path(sys.executable).resolve())
    (environment / "lib").symlink_to(Path(sys.prefix) / "lib")
    (environment / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")
    command = [str(environment / "bin/python"), *project.command("results/p5/claims.csv", *SMALL)[1:]]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.path / "results/p5/claims.csv").exists()


def test_a_deleted_output_is_made_again(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    (copy.path / "results/p5/test_error.csv").unlink()
    code, printed = copy.snakemake(*SMALL)
    assert code == 0, printed
    assert copy.results() == small_run.results()


def test_a_false_claim_stops_the_report_and_leaves_the_table(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    fault = yaml.safe_load((PROJECT / "tests/mutations/p4.yaml").read_text())[0]
    copy.edit(fault["file"], fault["old"], fault["new"])
    (copy.path / "results/report/solutions.html").unlink()
    code, printed = copy.snakemake(*SMALL)
    assert code != 0
    for claim in fault["breaks"]:
        assert f"Claim {claim} does not hold (no)" in printed
    assert "The report is not made" in printed
    assert (copy.path / "results/claims.csv").exists()
    assert not (copy.path / "results/report/solutions.html").exists()


def test_a_bad_configuration_is_refused_in_one_sentence_and_costs_nothing(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    before = copy.results()
    (copy.path / "mine.yaml").write_text("double_descent:\n  noise_std: -1\n")
    code, printed = copy.snakemake("--configfile", "mine.yaml")
    assert code != 0
    assert "config: double_descent.noise_std is -1; allowed is a finite number from 0 to 100 (sigma" in printed
    assert "Traceback" not in printed
    assert copy.results() == before


def test_a_key_on_the_command_line_is_checked_too(project):
    code, printed = project.snakemake("--dry-run", "--config", "dropout={p: 2}")
    assert code != 0
    assert "config: dropout.p is 2; allowed is" in printed
    code, printed = project.snakemake("--dry-run", "--config", "dropout={p: 0.5}")
    assert code == 0, printed


def test_a_second_run_at_once_is_refused(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    (copy.path / "results/claims.csv").unlink()
    log = copy.path / "results/logs/claims_gather.log"
    log.unlink()
    command = copy.command("results/claims.csv", *SMALL)
    first = subprocess.Popen(command, cwd=copy.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not log.exists():
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)  # so that it cannot end before the second has looked
    code, printed = copy.snakemake(*SMALL)
    first.send_signal(signal.SIGCONT)
    assert code != 0
    assert "Another run is at work in this folder" in printed
    assert first.wait() == 0
    assert copy.results() == small_run.results()


def test_a_run_beside_an_orphaned_job_is_refused(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    (copy.path / "results/claims.csv").unlink()
    with open(copy.path / ".snakemake/jobs.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        code, printed = copy.snakemake(*SMALL)
        assert code != 0
        assert "a job outlived its own run" in printed
        assert copy.snakemake("--dry-run", *SMALL)[0] == 0
    assert copy.snakemake("results/claims.csv", *SMALL)[0] == 0


def test_the_default_run_holds_every_claim(default_run):
    count, total = re.search(r"(\d+) of (\d+) claims hold", default_run.printed).groups()
    assert count == total
