"""Copies of the project, and whole runs of it, for the tests."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".snakemake", "__pycache__", ".*_cache", ".hypothesis", "node_modules"),  # not the project's
    *("results", "rebuild", "wheels", "pipeline-report*"),
)
SMALL = ["--configfile", "tests/config.yaml"]
EMBEDDED = ["--config", "report={engine: pandoc}"]  # what an archive is made with
ENGINES = ["pandoc", "quarto"]

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded; as in the workflow, whole tests share the cores
settings.register_profile("no time limit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no time limit")


class Copy:
    """A copy of the project in a folder of its own, and Snakemake in it."""

    def __init__(self, folder, source=PROJECT, ignore=LEFT_OUT):
        self.path = Path(folder)
        shutil.copytree(source, self.path, ignore=ignore, symlinks=True)

    def snakemake(self, *arguments, cores=2):
        """Run Snakemake; returns (exit code, everything it printed)."""
        command = self.command(*arguments, cores=cores)
        done = subprocess.run(
            command, cwd=self.path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return done.returncode, done.stdout

    @staticmethod
    def command(*arguments, cores=2, python=sys.executable):
        """The command line of Snakemake."""
        return [str(python), "-m", "snakemake", "--cores", str(cores), *arguments]

    def planned(self, *arguments):
        """The names of the rules that a run would execute, without ``all``."""
        code, printed = self.snakemake("--dry-run", *SMALL, *arguments)
        assert code == 0, printed
        counts = re.findall(r"^(\w+) +\d+$", printed, flags=re.MULTILINE)  # the table "Job stats"
        return set(counts) - {"all", "total"}

    def edit(self, file, old, new):
        """Replace the one place in a file where ``old`` stands."""
        path = self.path / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def results(self, records=True):
        """The bytes of every file below results/ but the logs and perhaps the records, by relative path."""
        root, left_out = self.path / "results", {"logs"} if records else {"logs", "records"}
        files = [path for path in sorted(root.rglob("*")) if path.is_file() and left_out.isdisjoint(path.parts)]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}

    def clone(self, folder):
        """A copy of this copy with its results and Snakemake's records."""
        return Copy(folder, source=self.path, ignore=None)


def environment_with(module, folder):
    """The interpreter of an environment like this one, made in a new folder, which loads a module at each start.

    module: path of a Python file. The jobs of a run see no PYTHONPATH: what tests put into them belongs to such an
    environment.
    """
    folder, module = Path(folder), Path(module)
    packages = folder / f"lib/python{sysconfig.get_python_version()}/site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(Path(sys.executable).resolve())
    (folder / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")
    lines = [sysconfig.get_path("purelib"), str(module.parent), f"import {module.stem}"]
    (packages / "tests.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin/python"


def need(engine):
    """Skip the test unless the engine is there."""
    from pipeline.engine import chosen_engine  # here, for the programs of this folder import this file without pytest

    if engine == "quarto" and not chosen_engine("auto").startswith("quarto"):
        pytest.skip("Quarto 1.10 or newer is not on PATH")


def rendered(run, engine, folder, *arguments):
    """A clone of a run, made with these arguments, whose report is rendered by the engine: nothing else is computed."""
    need(engine)
    copy = run.clone(folder / "project")
    code, printed = copy.snakemake(*arguments, "--config", f"report={{engine: {engine}}}")
    assert code == 0, printed
    return copy


def track(folder):
    """Have git track every file of a folder that it does not ignore: what is archived is what git tracks."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.fixture
def project(tmp_path):
    """A fresh copy of the project, nothing computed."""
    return Copy(tmp_path / "project")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The project after one run of the small configuration: do not change it, clone it."""
    copy = Copy(tmp_path_factory.mktemp("small") / "a folder für alles")
    code, printed = copy.snakemake(*SMALL)
    assert code == 0, printed
    copy.printed = printed
    return copy


@pytest.fixture(scope="session")
def archived(small_run, tmp_path_factory):
    """A clone of the small run with its archive, whose path is ``zip``: do not change it."""
    copy = small_run.clone(tmp_path_factory.mktemp("archived") / "project")
    track(copy.path)
    code, copy.printed = copy.snakemake("archive", *SMALL, *EMBEDDED)
    assert code == 0, copy.printed
    [copy.zip] = (copy.path / "results/archive").glob("*.zip")
    return copy


@pytest.fixture(scope="session")
def default_run(tmp_path_factory):
    """The project after one run of the default configuration: do not change it, clone it."""
    copy = Copy(tmp_path_factory.mktemp("default") / "project")
    code, printed = copy.snakemake()
    assert code == 0, printed
    copy.printed = printed
    return copy


@pytest.fixture(scope="session", params=ENGINES)
def small_report(request, small_run, tmp_path_factory):
    """The small run with its report from each engine that is there: do not change it."""
    return rendered(small_run, request.param, tmp_path_factory.mktemp(request.param), *SMALL)


@pytest.fixture(scope="session", params=ENGINES)
def default_report(request, default_run, tmp_path_factory):
    """The default run with its report from each engine that is there: do not change it."""
    return rendered(default_run, request.param, tmp_path_factory.mktemp(request.param))
