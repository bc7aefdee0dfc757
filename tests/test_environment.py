"""Whose code runs, and which files are the project's: hostile variables, modules, places and leftovers."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PROJECT, SMALL, Copy, track
from pipeline import project
from pipeline.project import is_source_name, project_files, untracked

pytestmark = pytest.mark.xdist_group("faults")  # they share a whole run with those of test_faults.py

RAISES = 'raise SystemExit("a module of the user\'s own was loaded")\n'
HOSTILE = {  # variable -> value; {own} is a folder with modules that raise, {off} one with settings that spoil figures
    **dict.fromkeys(("PYTHONPATH", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX"), "{own}"),
    **dict.fromkeys(("PYTHONSAFEPATH", "PYTHONINSPECT", "PYTHONDEVMODE", "PYTHONCASEOK", "PYTHONVERBOSE"), "1"),
    **{"PYTHONOPTIMIZE": "2", "PYTHONSTARTUP": "{own}/hw6.py", "PYTHONWARNINGS": "always", "PYTHONUTF8": "0"},
    **{"PYTHONIOENCODING": "latin-1", "PYTHONHASHSEED": "7", "PYTHONBREAKPOINT": "nowhere.nothing"},
    **{"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": "{off}", "MPLCONFIGDIR": "{off}"},
    **dict.fromkeys(("XDG_CONFIG_HOME", "XDG_CACHE_HOME"), "{off}/home"),
    **{"GIT_DIR": "{off}", "GIT_WORK_TREE": "{off}", "GIT_INDEX_FILE": "{off}/index", "GIT_CEILING_DIRECTORIES": "/"},
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "7"),
}
MODULES = ("matplotlib", "pipeline", "hw6", "p1_figures", "fontTools")  # Snakemake itself loads none of them
FIGURE = "results/p1/rescaled.svg"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders with modules that raise, and with Matplotlib settings of the user's own."""
    own, off = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("off")
    for name in MODULES:
        (own / f"{name}.py").write_text(RAISES)
    (off / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: red\n")
    return {"own": own, "off": off}


@pytest.mark.parametrize("variable", HOSTILE)
def test_a_hostile_variable_changes_no_byte(small_run, tmp_path, folders, variable):
    copy = small_run.clone(tmp_path / "copy")
    for path in (FIGURE, "results/p1/curves.csv"):
        (copy.path / path).unlink()
    done = subprocess.run(
        copy.command(FIGURE, *SMALL),
        cwd=copy.path,
        env=os.environ | {variable: HOSTILE[variable].format(**folders)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if variable != "PYTHONINSPECT":  # with which Python itself stays behind its end
        assert done.returncode == 0, done.stdout + done.stderr
    assert copy.results() == small_run.results()


@pytest.mark.parametrize(
    ("variable", "told"),
    [("PYTHONPATH", "PYTHONPATH"), ("PYTHONUSERBASE", "The user's own folder of packages")],
)
def test_a_module_that_was_loaded_from_elsewhere_is_named_and_refused(tmp_path, variable, told):
    python = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    foreign = tmp_path / (python if variable == "PYTHONUSERBASE" else "own")
    foreign.mkdir(parents=True)
    (foreign / "requests.py").write_text("")
    early = (
        "import requests, sys; sys.path.insert(0, sys.argv[1]); from pipeline import environment; environment.settle()"
    )
    value = tmp_path if variable == "PYTHONUSERBASE" else foreign
    done = subprocess.run(
        [f"{sys.base_prefix}/bin/python3", "-c", early, PROJECT / "scripts"],
        cwd=tmp_path,
        env={"PATH": os.defpath, variable: str(value)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    brought = f"{told} brings a module requests from {foreign}, where the environment's own is needed"
    assert re.fullmatch(rf"{brought}; .*, then start again\.\n", done.stderr)


def test_snakemake_with_such_a_module_is_refused_before_anything_runs(project, tmp_path):
    (tmp_path / "requests.py").write_text("")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = project.command(*SMALL)
    done = subprocess.run(command, cwd=project.path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PYTHONPATH brings a module requests from" in done.stderr
    assert not (project.path / "results").exists()


def test_a_module_in_the_project_s_own_folder_reaches_no_job(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    (copy.path / FIGURE).unlink()
    (copy.path / "matplotlib.py").write_text(RAISES)
    assert copy.snakemake(FIGURE, *SMALL)[0] == 0
    assert copy.results() == small_run.results()


# Where it runs.


def refused(folder, *arguments, code=1):
    """The one line that a run ends with."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_elsewhere_it_says_where_it_runs(project, tmp_path):
    elsewhere, snakefile = tmp_path / "elsewhere", project.path / "Snakefile"
    elsewhere.mkdir()
    told = f"This workflow runs in its own folder, and not as a module of another: cd {project.path}, then start again."
    assert refused(elsewhere, "--snakefile", snakefile) == told
    assert refused(project.path, "--directory", elsewhere) == told
    (elsewhere / "Snakefile").write_text(
        f'module hw6:\n    snakefile: "{snakefile}"\n\nuse rule * from hw6\n', encoding="utf-8"
    )
    assert told in refused(elsewhere)
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "-s", snakefile, "-d", project.path]
    assert subprocess.run(command, cwd=elsewhere, capture_output=True, check=False).returncode == 0


def test_a_folder_with_braces_is_refused(tmp_path):
    copy = Copy(tmp_path / "a {folder}")
    assert "Snakemake takes braces in the name of a folder for wildcards; rename it." in refused(copy.path)


@pytest.mark.parametrize("name", ["results", ".snakemake"])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_should_be_a_folder_and_is_none_is_named(project, name, kind):
    path = project.path / name
    path.symlink_to("nowhere") if kind == "dangling link" else path.touch()
    assert f"{name} has to be a folder, or a link to one that is there; delete it" in refused(project.path)


# Which files are the project's.


LEFTOVERS = [
    *(".DS_Store", "solutions.qmd~", ".solutions.qmd.swp", ".#solutions.qmd", "#solutions.qmd#", "solutions.qmd.orig"),
    *(".quarto/idx.json", "solutions.qmd.swp", "Thumbs.db", "x.qmd:Zone.Identifier", "a.bak", "___jb_tmp___"),
]


@pytest.mark.parametrize("with_git", [True, False])
def test_leftovers_and_hidden_files_are_no_sources(small_run, tmp_path, with_git):
    copy = small_run.clone(tmp_path / "copy")
    if with_git:
        track(copy.path)
    for name in LEFTOVERS:
        path = copy.path / "report" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("left")
    assert copy.planned() == set()


def test_git_and_names_find_the_same_files_of_the_project(project, monkeypatch):
    monkeypatch.chdir(project.path)
    named = project_files()
    track(project.path)
    hidden = [name for name in project_files() if any(part.startswith(".") for part in Path(name).parts)]
    assert set(project_files()) - set(hidden) == set(named)
    assert "report/solutions.qmd" in named
    assert not any(name.startswith("results/") for name in named)


def test_a_folder_in_another_repository_is_known_by_git_only_if_that_tracks_it(project, monkeypatch, tmp_path):
    around = project.path.parent
    (around / "README").write_text("another project")
    subprocess.run(["git", "init", "--quiet"], cwd=around, check=True)
    subprocess.run(["git", "add", "README"], cwd=around, check=True)
    monkeypatch.chdir(project.path)
    (project.path / "mine.txt").touch()
    assert "mine.txt" in project_files()
    subprocess.run(["git", "add", "--all", "."], cwd=project.path, check=True)
    (project.path / "other.txt").touch()
    assert "mine.txt" in project_files()
    assert "other.txt" not in project_files()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert "mine.txt" in project_files()


def test_names_that_are_meant_to_be_kept():
    assert all(map(is_source_name, ["a.qmd", "p1.yml", "Makefile", "a b.svg", "é.csv"]))
    assert not any(is_source_name(Path(name).name) for name in LEFTOVERS if "/" not in name)


def test_files_that_nobody_told_git_about_are_named(project, monkeypatch):
    monkeypatch.chdir(project.path)
    track(project.path)
    for name in ("report/_new.qmd", "report/_new.qmd~", "report/.hidden"):
        (project.path / name).touch()
    assert untracked("report") == ["report/_new.qmd"]


def test_a_text_that_nobody_told_git_about_is_named_where_it_is_missed(small_run, tmp_path):
    copy = small_run.clone(tmp_path / "copy")
    track(copy.path)
    copy.edit("report/solutions.qmd", "{{< include _opening.qmd >}}", "{{< include _new.qmd >}}")
    (copy.path / "report/_new.qmd").write_text("New.\n")
    code, printed = copy.snakemake("results/report/solutions.html", *SMALL)
    assert code != 0
    assert 'solutions.qmd: the include "_new.qmd" is missing' in printed
    assert "Git does not track report/_new.qmd: git add what belongs to the report." in printed


def test_what_is_generated_is_ignored_by_git():
    ignored = (PROJECT / ".gitignore").read_text().split()
    assert {name.strip("/") for name in ignored} >= project.GENERATED - {"pipeline-report"}
    assert shutil.which("git")
