"""The choice of the engine: which Quarto is taken, what is said of one that cannot be, and what needs none."""

import os
import subprocess
import sys

import pytest

from conftest import SMALL
from pipeline import engine

ASKED = ["--config", "report={engine: quarto}"]
MISSING = "no quarto is on PATH"
UNFIT = {  # a program, and what is said of it
    "old": ("#!/bin/sh\necho 1.9.38\n", "the quarto on PATH is 1.9.38"),
    "older": ("#!/bin/sh\necho 1.2\n", "the quarto on PATH is 1.2"),
    "failing": ("#!/bin/sh\necho 1.10.0\nexit 1\n", "quarto --version gives no version"),
    "killed": ("#!/bin/sh\nkill -9 $$\n", "quarto --version gives no version"),
    "talking": ("#!/bin/sh\necho Hello\n", "quarto --version gives no version"),
    "binary": ("#!/bin/sh\nprintf '\\377\\376'\n", "quarto --version gives no version"),
    "silent": ("#!/bin/sh\n", "quarto --version gives no version"),
    "no program": ("junk", "the quarto on PATH cannot be started (Exec format error)"),
    "without its interpreter": (
        "#!/no/such/shell\n",
        "the quarto on PATH cannot be started (No such file or directory)",
    ),
    "hanging": ("#!/bin/sh\nsleep 1000 &\nsleep 1000\n", "quarto --version does not answer within 1 seconds"),
}


@pytest.fixture
def choose(tmp_path, monkeypatch):
    """The engine chosen where this program, or none, is the only quarto on PATH."""

    def chosen(wish, program=None):
        if program is not None:
            (tmp_path / "quarto").write_text(program)
            (tmp_path / "quarto").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
        monkeypatch.setattr(engine, "PATIENCE", 1)
        return engine.chosen_engine.__wrapped__(wish)

    return chosen


@pytest.mark.parametrize("version", ["1.10.0", "1.10.18", "1.11.2", "2.0.0", "99.9.9"])
def test_a_quarto_that_is_new_enough_is_taken(choose, version):
    program = f"#!/bin/sh\necho {version}\n"
    assert choose("auto", program) == choose("quarto", program) == f"quarto {version}"
    assert choose("pandoc", program) == "pandoc"
    assert engine.refusal(f"quarto {version}") is None
    assert engine.in_words(f"quarto {version}") == f"Quarto {version}"


@pytest.mark.parametrize(("program", "reason"), [(None, MISSING), *UNFIT.values()], ids=["absent", *UNFIT])
def test_an_unfit_quarto_is_refused_in_one_sentence_or_done_without(choose, program, reason):
    assert choose("auto", program) == "pandoc"
    sentence = engine.refusal(choose("quarto", program))
    assert sentence == (
        f"config: report.engine is quarto, but {reason}; install Quarto 1.10 or newer (environment.yml has it), "
        "or set report.engine to auto or pandoc."
    )
    assert choose("quarto", program).split()[0] == "quarto"  # as the configuration is recorded


def test_the_embedded_pandoc_is_the_package_s_own_and_the_one_that_is_named():
    told = subprocess.run([engine.embedded_pandoc(), "--version"], capture_output=True, text=True, check=True).stdout
    assert "pypandoc" in engine.embedded_pandoc()
    assert engine.in_words("pandoc").startswith(f"Pandoc {told.splitlines()[0].split()[1]} and Typst (")


@pytest.fixture
def without_quarto(project, monkeypatch):
    """A fresh copy of the project where no quarto can be had, though it is asked for."""
    monkeypatch.setenv("PATH", os.defpath)
    if engine._quarto()[0]:
        pytest.skip("quarto is in the system's own folder")
    return project


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dry-run", "results/p1/equivalence.csv"],
        ["--dry-run"],
        ["--unlock"],
        ["--lint"],
        ["results/p4/parameters.csv"],
    ],
)
def test_what_renders_nothing_needs_no_quarto(without_quarto, arguments):
    code, printed = without_quarto.snakemake(*arguments, *SMALL, *ASKED)
    assert code == 0, printed
    assert MISSING not in printed


def test_why_needs_no_quarto(without_quarto):
    command = [sys.executable, "scripts/why.py", "results/p1/equivalence.csv", *SMALL, *ASKED]
    done = subprocess.run(command, cwd=without_quarto.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "p1_dropout" in done.stdout


@pytest.mark.parametrize("target", [[], ["results/report/solutions.pdf"], ["results/report/_variables.yml"]])
def test_what_renders_is_refused_before_anything_is_computed(without_quarto, target):
    code, printed = without_quarto.snakemake(*target, *SMALL, *ASKED)
    assert code != 0
    assert f"config: report.engine is quarto, but {MISSING}; install Quarto" in printed
    assert "Traceback" not in printed
    assert not list((without_quarto.path / "results").rglob("*.csv"))
