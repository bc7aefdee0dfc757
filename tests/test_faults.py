"""Faults lose nothing: runs that are killed, that have no room, no rights or no memory, and tables that were cut."""

import contextlib
import errno
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from conftest import PROJECT, SMALL
from pipeline import jobs
from pipeline.files import DRAFT
from pipeline.records import RecordError

pytestmark = pytest.mark.xdist_group("faults")  # all on the worker that has not the other whole runs

SEED = 6
ENDS = [
    (number, whole_group) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL) for whole_group in (True, False)
]
CHAINS = {  # folders that are missing at first -> inside which script each run is killed (None: at any moment)
    "": [""] * 8,
    "p1 p3 report": [None, None, "report_render", "report_render"],
}
LOCKS = Path("/proc/locks")
AS_ROOT = os.geteuid() == 0


class Run:
    """Snakemake at work in a process group of its own."""

    def __init__(self, copy, *targets):
        if not LOCKS.exists():
            pytest.skip(f"{LOCKS} is not there to see which jobs are at work")
        self.lock = copy.path / ".snakemake/jobs.lock"
        self.process = subprocess.Popen(
            copy.command(*targets, *SMALL),
            cwd=copy.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored if the tests were started with &
        )

    def at_work(self):
        """The scripts that hold the lock of jobs at this moment."""
        if not self.lock.exists():
            return []
        held = re.findall(rf"FLOCK +ADVISORY +READ +(\d+) \w+:\w+:{self.lock.stat().st_ino} ", LOCKS.read_text())
        commands = [Path(f"/proc/{process}/cmdline") for process in held]
        return sorted(path.read_text().split(".")[-2] for path in commands if path.exists() and path.read_text())

    def wait_for(self, script):
        """Until a script whose name holds the word is at work."""
        while not any(script in name for name in self.at_work()):
            assert self.process.poll() is None, "the run ended too early"
            time.sleep(0.02)

    def kill(self, number, whole_group):
        (os.killpg if whole_group else os.kill)(self.process.pid, number)

    def wait_for_all(self):
        """Until the process and every job that outlived it are gone."""
        self.process.wait()
        while self.at_work():
            time.sleep(0.05)


@pytest.mark.parametrize("folders", CHAINS)
def test_killed_runs_are_finished_by_a_plain_second_run(small_run, tmp_path, capsys, folders):
    places = CHAINS[folders]
    chance = random.Random(f"{SEED} {folders}")
    copy = small_run.clone(tmp_path / "copy")
    for folder in folders.split(" "):
        shutil.rmtree(copy.path / "results" / folder)
    for place, (number, whole_group) in zip(places, chance.sample(ENDS + ENDS[:2], len(places)), strict=True):
        run = Run(copy)
        if place is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(chance.uniform(0, 3))
        else:
            run.wait_for(place)
            time.sleep(chance.uniform(0, 0.4))
            run.wait_for(place)
        hit = run.at_work()
        run.kill(number, whole_group)
        run.wait_for_all()
        with capsys.disabled():
            whom = "its process group" if whole_group else "the main process"
            print(f"\n{number.name} to {whom} inside {', '.join(hit) or 'no job'}", end="")
        assert run.process.returncode != 0
    code, printed = copy.snakemake(*SMALL)
    assert code == 0, printed
    assert copy.results() == small_run.results()  # to the byte, and no file more
    assert copy.planned() == set()


def test_an_orphan_is_waited_for_and_never_overwrites_newer_results(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    target = "results/p1/rescaled.svg"
    (copy.path / target).unlink()
    script = copy.path / "scripts/p1_figures.py"
    text = script.read_text()
    waits = "while not Path('let-go').exists():\n            pass"
    script.write_text(
        "from pathlib import Path\n" + text.replace("job_log(snakemake):", f"job_log(snakemake):\n        {waits}")
    )
    run = Run(copy, target)
    run.wait_for("p1_figures")
    run.kill(signal.SIGKILL, whole_group=False)
    run.process.wait()
    script.write_text(text)
    code, printed = copy.snakemake(target, *SMALL)
    assert code != 0
    assert jobs.BUSY in printed
    assert copy.snakemake("--dry-run", target, *SMALL)[0] == 0
    (copy.path / "let-go").touch()
    run.wait_for_all()
    assert copy.snakemake(target, *SMALL)[0] == 0
    assert copy.results() == small_run.results()


def test_a_job_that_was_killed_from_outside_is_said_to_lack_memory(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    (copy.path / "results/p1/rescaled.svg").unlink()
    script = copy.path / "scripts/p1_figures.py"
    text = script.read_text().replace("job_log(snakemake):", "job_log(snakemake):\n        os.kill(os.getpid(), 9)")
    script.write_text(f"import os\n{text}")
    code, printed = copy.snakemake("results/p1/rescaled.svg", *SMALL)
    assert code != 0
    assert "A job was killed from outside, most likely since memory ran out: close other programs, or run" in printed


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_whose_streams_are_closed(small_run, tmp_path, closed):
    copy = small_run.clone(tmp_path / "copy")
    (copy.path / "results/p1/rescaled.svg").unlink()
    command = shlex.join(copy.command("results/p1/rescaled.svg", *SMALL))
    assert subprocess.run(f"{command} {closed}", cwd=copy.path, shell=True, check=False).returncode == 0
    assert copy.results() == small_run.results()


def test_a_job_that_begins_after_its_run_was_replaced_ends_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "RUN", "HW6_TEST_RUN")  # the process that runs the tests may itself be a job
    monkeypatch.setenv("HW6_TEST_RUN", "")
    os.close(jobs.claim_folder({}, {}))
    first = os.environ["HW6_TEST_RUN"]
    os.close(jobs.claim_folder({}, {}))
    monkeypatch.setenv("HW6_TEST_RUN", first)
    with pytest.raises(SystemExit, match="p9 belongs to a run that is over"), jobs.job_log(SimpleNamespace(rule="p9")):
        pytest.fail("the job's body ran")


def test_snakemakes_lock_is_forgotten_unless_jobs_may_wait_in_a_queue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(jobs.RUN, "")
    for cluster in (False, True):
        os.close(jobs.claim_folder({}, {}, cluster))
        jobs.SNAKEMAKES_LOCK.mkdir()
        jobs.forget_lock()
        assert jobs.SNAKEMAKES_LOCK.exists() == cluster


def test_a_file_system_without_locks_has_snakemakes_own(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(jobs.RUN, "")
    monkeypatch.setattr(jobs.fcntl, "flock", refuse)
    os.close(jobs.claim_folder({}, {}))
    jobs.join_run("This test")
    jobs.SNAKEMAKES_LOCK.mkdir()
    jobs.forget_lock()
    assert jobs.SNAKEMAKES_LOCK.exists()


def test_what_killed_jobs_left_is_cleared_and_dates_of_the_future_are_mended(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(jobs.RUN, "")
    report = tmp_path / "results/report"
    (report / f"{DRAFT}x").mkdir(parents=True)
    (report / f"{DRAFT}x/page.html").write_text("half")
    (report / f"{DRAFT}y.csv").write_text("half")
    (report / "kept.csv").write_text("x\n1\n")
    os.utime(report / "kept.csv", (time.time() + 9e4,) * 2)
    os.close(jobs.claim_folder({}, {}))
    assert [path.name for path in report.iterdir()] == ["kept.csv"]
    assert (report / "kept.csv").stat().st_mtime <= time.time()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (OSError(28, "No space left on device", "results/a.csv"), "results/a.csv: No space left on device; make room"),
        (OSError(30, "Read-only file system"), "Read-only file system; make that place writable"),
        (
            MemoryError("Unable to allocate 9 TiB"),
            "the memory does not suffice (Unable to allocate 9 TiB); free memory",
        ),
        (RecordError("results/a.csv is not what the rule p1 wrote."), "results/a.csv is not what the rule p1 wrote."),
    ],
)
def test_a_fault_is_told_in_one_sentence(fault, sentence):
    told = jobs.in_words(fault)
    assert told.startswith(sentence)
    assert "\n" not in told


def mounted(folder):
    """A file system of 16 MB in memory as the folder, with what the folder holds; skips where that is not allowed."""
    if not (AS_ROOT and shutil.which("mount")):
        pytest.skip("mounting a file system needs root")
    saved = folder.rename(folder.with_name("saved"))
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("mounting a file system is not allowed here")
    subprocess.run(["cp", "-a", f"{saved}/.", folder], check=True)


@pytest.fixture
def results_on_a_small_disk(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    mounted(copy.path / "results")
    yield copy
    subprocess.run(["umount", copy.path / "results"], check=True)


def figures_of_problem_3(copy):
    """Delete them, and return the arguments of a run that makes them anew."""
    for path in (copy.path / "results/p3").glob("*.svg"):
        path.unlink()
    return "results/p3/growth.svg", *SMALL


def test_a_full_disk(results_on_a_small_disk, small_run):
    copy = results_on_a_small_disk
    arguments = figures_of_problem_3(copy)
    filler = copy.path / "results/filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    code, printed = copy.snakemake(*arguments)
    assert code != 0
    assert re.search("The rule p3_figures failed: .*No space left on device; make room on that disk", printed)
    assert "Traceback" not in printed
    filler.unlink()
    assert copy.snakemake(*arguments)[0] == 0
    assert copy.results() == small_run.results()


def test_a_read_only_results_folder(results_on_a_small_disk, small_run):
    copy = results_on_a_small_disk
    arguments = figures_of_problem_3(copy)
    subprocess.run(["mount", "-o", "remount,ro", copy.path / "results"], check=True)
    code, printed = copy.snakemake(*arguments)
    subprocess.run(["mount", "-o", "remount,rw", copy.path / "results"], check=True)
    assert code != 0
    assert "The run cannot begin: results: Permission denied; make that place writable" in printed
    assert "Traceback" not in printed
    assert copy.snakemake(*arguments)[0] == 0
    assert copy.results() == small_run.results()


def test_a_results_folder_of_another_user(small_run, tmp_path):
    if AS_ROOT:
        pytest.skip("root may write everywhere")
    copy = small_run.clone(tmp_path / "copy")
    arguments = figures_of_problem_3(copy)
    (copy.path / "results/p3").chmod(0o500)
    code, printed = copy.snakemake(*arguments)
    (copy.path / "results/p3").chmod(0o700)
    assert code != 0
    assert "The run cannot begin: results/p3: Permission denied; make that place writable" in printed
    assert copy.snakemake(*arguments)[0] == 0
    assert copy.results() == small_run.results()


def test_too_little_memory_is_said_before_anything_runs(project):
    limit = 2**30
    done = subprocess.run(
        project.command(*SMALL),
        cwd=project.path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "allowed are 0.0 GiB under the limit on addresses (ulimit -v)." in done.stdout + done.stderr
    assert not (project.path / "results").exists()


def test_memory_is_that_of_the_machine_on_which_the_jobs_run(project):
    large = ["--dry-run", "--config", "double_descent={n_train: 5000, n_features: {stop: 20000, step: 20}}"]
    limit = 3 * 2**30
    for arguments, code in ((["--cores", "1"], 1), (["--profile", "profiles/slurm"], 0)):
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments, *large],
            cwd=project.path,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert ("GiB of memory; allowed are" in done.stdout + done.stderr) == bool(code)


def test_a_job_that_raises_leaves_nothing_of_its_own(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    arguments = figures_of_problem_3(copy)
    copy.edit("scripts/p3_figures.py", "        draw_growth(axes,", "        1 / 0\n        draw_growth(axes,")
    code, printed = copy.snakemake(*arguments)
    assert code != 0
    assert re.search(
        r"The rule p3_figures failed: ZeroDivisionError in line \d+ of \S+p3_figures.py \(division by", printed
    )
    assert "are of an earlier run" in printed
    assert "The report is in" not in printed
    assert not list((copy.path / "results/p3").glob("*.svg"))
    shutil.copy(PROJECT / "scripts/p3_figures.py", copy.path / "scripts/p3_figures.py")
    code, printed = copy.snakemake(*arguments)
    assert code == 0
    assert "The report is in" not in printed  # this run was not about it
    assert copy.results() == small_run.results()


def test_a_report_whose_claims_fail_does_not_stay(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    fault = yaml.safe_load((PROJECT / "tests/mutations/p4.yaml").read_text())[0]
    copy.edit(fault["file"], fault["old"], fault["new"])
    code, printed = copy.snakemake(*SMALL)
    assert code != 0
    assert "the earlier report is deleted, because its claims have not passed the gate again" in printed
    assert not list((copy.path / "results/report").glob("solutions.*"))
    copy.edit(fault["file"], fault["new"], fault["old"])
    assert {"claims_gate", "report_html", "report_pdf"} <= copy.planned()


def test_no_quarto_though_the_configuration_asks_for_it(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    command = copy.command(*SMALL, "--config", "report={engine: quarto}")
    nowhere = os.environ | {"PATH": os.defpath}
    if shutil.which("quarto", path=os.defpath):
        pytest.skip("quarto is in the system's own folder")
    done = subprocess.run(command, cwd=copy.path, env=nowhere, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "config: report.engine is quarto, but no quarto is on PATH; install Quarto" in done.stdout + done.stderr
    assert copy.results() == small_run.results()


def test_a_clock_that_was_set_back(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    tomorrow = time.time() + 86400
    for folder in ("results", "scripts", "workflow", "report"):
        for path in (copy.path / folder).rglob("*"):
            os.utime(path, (tomorrow, tomorrow))
    targets = ["results/p4/savings.svg", "results/claims.csv"]
    for target in targets:
        (copy.path / target).unlink()
    code, printed = copy.snakemake(*targets, *SMALL)
    assert code == 0, printed
    assert copy.results() == small_run.results()
    assert copy.planned() == set()
