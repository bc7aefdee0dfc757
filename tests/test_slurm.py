"""On a real Slurm, its own, on this machine: the same bytes, a job that is cancelled, a submitter that is killed."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import PROJECT, SMALL
from pipeline import jobs

MISSING = [program for program in ("slurmctld", "slurmd", "munged", "sbatch", "setpriv") if not shutil.which(program)]
pytestmark = [
    pytest.mark.xdist_group("slurm"),  # one cluster, on one worker
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed; tests/system-packages.sh does it"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a Slurm of its own needs root"),
]
CLUSTER = PROJECT / "tests/private-slurm.sh"
ON_SLURM = [
    *("--profile", "profiles/slurm"),
    *("--slurm-status-command", "squeue", "--slurm-no-account"),  # there is no accounting
    *("--slurm-init-seconds-before-status-checks", "6"),  # about what a job takes: the next look is later
]
TWO_SHARES = ["results/p5/fits.csv", "--set-scatter", "replicates=2"]


@pytest.fixture(scope="module")
def slurm():
    """A running cluster: the environment that leads to it."""
    with tempfile.TemporaryDirectory(prefix="hw6-slurm-") as folder:  # pytest's folder is closed to the user munge
        Path(folder).chmod(0o755)
        started = subprocess.run(["sh", CLUSTER, "start", folder], capture_output=True, text=True, check=False)
        assert started.returncode == 0, started.stderr
        exported = re.fullmatch(r"export SLURM_CONF=(\S+) PATH=(\S+):\$PATH\n", started.stdout)
        yield os.environ | {"SLURM_CONF": exported[1], "PATH": f"{exported[2]}:{os.environ['PATH']}"}
        subprocess.run(["sh", CLUSTER, "stop", folder], check=True)


class Submitter:
    """Snakemake that sends the jobs of a copy to Slurm."""

    def __init__(self, slurm, copy, *targets):
        self.slurm, self.copy, self.output = slurm, copy, copy.path.with_name("submitter.txt")
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *ON_SLURM, *targets, *SMALL],
                cwd=copy.path,
                env=slurm,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def finish(self):
        """Wait for its end; returns (exit code, everything it printed)."""
        return self.process.wait(), self.output.read_text()

    def wait_for(self, condition):
        """Until the condition holds, while it submits and waits."""
        until(lambda: condition() or self.process.poll() is not None)
        assert self.process.poll() is None, self.output.read_text()

    def states(self, of=""):
        """The state of each Slurm job of the copy, by its number, of those with the word in the job's comment."""
        listed = command(self.slurm, "squeue", "--noheader", "--states=all", "--sort=i", "--format=%i|%T|%k|%Z")
        rows = [line.split("|") for line in listed.splitlines()]
        return {job: state for job, state, comment, folder in rows if folder == str(self.copy.path) and of in comment}


@contextmanager
def submitted(*arguments):
    """A submitter that does not outlive its test."""
    submitter = Submitter(*arguments)
    try:
        yield submitter
    finally:
        submitter.process.kill()
        submitter.process.wait()


def without_fits(small_run, folder):
    """A clone of the small run in which the sweep has to run again."""
    copy = small_run.clone(folder / "copy")
    (copy.path / TWO_SHARES[0]).unlink()
    return copy


def command(slurm, *words):
    """What a command of Slurm prints."""
    return subprocess.run(words, env=slurm, capture_output=True, text=True, check=True).stdout


def until(condition):
    """Poll until a condition holds."""
    while not condition():
        time.sleep(0.1)


def test_a_whole_run_on_slurm_gives_the_same_bytes(slurm, small_run, project, capsys):
    with submitted(slurm, project, "--set-scatter", "replicates=2") as submitter:
        code, printed = submitter.finish()
        assert code == 0, printed
        run = re.search(r"SLURM run ID: (\S+)", printed)[1]
        table = command(slurm, "squeue", "--states=all", "--name", run, "--sort=i", "--format=%i|%T|%V|%S|%e|%k")
        with capsys.disabled():
            print(f"\n{table}", end="")
        assert set(submitter.states().values()) == {"COMPLETED"}
        assert len(submitter.states(of="p5_sweep")) == 2
        assert len(submitter.states(of="p5_double_descent")) == 1  # the figures travel with it
    assert project.results(records=False) == small_run.results(records=False)


def test_a_cancelled_job_is_submitted_again(slurm, small_run, tmp_path):
    copy = without_fits(small_run, tmp_path)
    with submitted(slurm, copy, *TWO_SHARES) as submitter:
        submitter.wait_for(lambda: "RUNNING" in submitter.states(of="1-of-2").values())
        [job] = submitter.states(of="1-of-2")
        command(slurm, "scancel", job)
        code, printed = submitter.finish()
        assert code == 0, printed
        assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in printed
        assert "Trying to restart job" in printed
        assert list(submitter.states(of="1-of-2").values()) == ["CANCELLED", "COMPLETED"]
        assert list(submitter.states(of="2-of-2").values()) == ["COMPLETED"]
    assert copy.results(records=False) == small_run.results(records=False)


def test_a_killed_submitter_leaves_jobs_that_no_later_run_meets(slurm, small_run, tmp_path):
    copy = without_fits(small_run, tmp_path)
    begun = copy.path / "results/logs/p5_sweep-1-of-2.log"
    script = copy.path / "scripts/p5_sweep.py"
    text = script.read_text()
    waits = "while not Path('let-go').exists():\n            pass"
    script.write_text(
        "from pathlib import Path\n" + text.replace("job_log(snakemake):", f"job_log(snakemake):\n        {waits}")
    )
    command(slurm, "scontrol", "update", "NodeName=node", "State=DRAIN", "Reason=test")
    with submitted(slurm, copy, *TWO_SHARES) as submitter:
        submitter.wait_for(lambda: list(submitter.states().values()) == ["PENDING"] * 2)
        [running], [queued] = submitter.states(of="1-of-2"), submitter.states(of="2-of-2")
        command(slurm, "scontrol", "hold", queued)
        command(slurm, "scontrol", "update", "NodeName=node", "State=RESUME")
        submitter.wait_for(begun.exists)
    script.write_text(text)
    assert submitter.process.returncode < 0  # killed
    left = {running: "RUNNING", queued: "PENDING"}
    with submitted(slurm, copy, *TWO_SHARES) as second:
        code, printed = second.finish()
    assert code != 0
    assert "cannot be locked" in printed
    assert submitter.states() == left

    assert copy.snakemake("--unlock", *SMALL)[0] == 0  # too early
    code, printed = copy.snakemake(*TWO_SHARES, *SMALL)
    assert code != 0
    assert jobs.BUSY in printed
    assert submitter.states() == left

    (copy.path / "let-go").touch()
    until(lambda: submitter.states()[running] != "RUNNING")
    code, printed = copy.snakemake(*TWO_SHARES, *SMALL)
    assert code == 0, printed
    assert copy.results(records=False) == small_run.results(records=False)
    command(slurm, "scontrol", "release", queued)  # it was forgotten, and begins after all
    until(lambda: submitter.states()[queued] not in ("PENDING", "RUNNING", "COMPLETING"))
    assert submitter.states()[queued] == "FAILED"
    [log] = (copy.path / ".snakemake/slurm_logs").rglob(f"{queued}.log")
    assert "belongs to a run that is over" in log.read_text()
    assert copy.results(records=False) == small_run.results(records=False)
    assert copy.planned(*TWO_SHARES[1:]) == set()
