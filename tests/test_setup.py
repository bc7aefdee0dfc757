"""The set-up: pins, ranges, the commands of the README, and what may not be in the repository."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from conftest import PROJECT

PIP_NAMES = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "brotli-python": "brotli",
    "snakemake-minimal": "snakemake",
}
ONLY_CONDA = {"python", "quarto", "pip"}


def pins():
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): Version(str(r.specifier).removeprefix("==")) for r in requirements}


def conda_ranges():
    for entry in yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]:
        for text in entry["pip"] if isinstance(entry, dict) else [entry]:
            name, _, bounds = text.partition(" ")
            yield PIP_NAMES.get(name, name), SpecifierSet(bounds)


def test_every_pin_is_exact_and_torch_is_the_plain_release():
    assert pins()["torch"] == Version("2.13.0")
    for line in (PROJECT / "requirements.lock").read_text().splitlines():
        assert line.startswith("#") or not line or re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line), line


def test_the_conda_ranges_contain_the_pins():
    ranges = dict(conda_ranges())
    assert ranges.pop("quarto") == SpecifierSet(">=1.9")
    for name, bounds in ranges.items():
        if name not in ONLY_CONDA:
            assert pins()[canonicalize_name(name)] in bounds, name


def test_the_lock_holds_all_that_its_packages_ask_for():
    locked = pins()
    for name in locked:
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if wanted and not re.match("nvidia|cuda|triton", needed.name):
                assert canonicalize_name(needed.name) in locked, f"{name} needs {needed.name}"


def test_what_is_installed_is_what_is_locked():
    for name, version in pins().items():
        assert Version(Version(importlib.metadata.version(name)).public) == version, name


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("#!/bin/sh\ncase $1 in -c) exit 1;; --version) echo Python 3.8.1;; esac\n", "Python 3.8.1 is too old"),
        ("#!/bin/sh\ncase $1 in -m) exit 1;; esac\n", "cannot make a virtual environment"),
    ],
)
def test_setup_refuses_an_unfit_python_in_one_sentence(project, script, sentence):
    python = project.path / "fake-python"
    python.write_text(script)
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "report", f"PYTHON={python}"], cwd=project.path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert sentence in done.stderr
    assert not (project.path / ".venv/complete").exists()


def test_setup_without_a_network_says_so(project):
    closed_port = "http://127.0.0.1:9/simple"
    offline = {
        "PATH": "/usr/bin:/bin",
        "PIP_INDEX_URL": closed_port,
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": "/dev/null",
    }
    command = ["make", "report", f"PYTHON={sys.base_prefix}/bin/python3"]
    done = subprocess.run(command, cwd=project.path, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pip cannot reach its package index" in done.stderr
    assert not (project.path / ".venv/complete").exists()


def test_the_repository_names_no_place_on_a_machine(project):
    pattern = re.compile(r"(?<![\w.])/(?:home|root|Users|work|tmp|opt)/\w")
    for path in project.path.rglob("*"):
        if path.is_file() and path.name != "test_setup.py":
            assert not pattern.search(path.read_text(encoding="utf-8", errors="ignore")), path


def test_the_sources_are_clean():
    for command in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow"],
    ):
        done = subprocess.run(_tool(command), cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_snakemake_lint_is_clean(project):
    code, printed = project.snakemake("--lint")
    assert code == 0, printed
    assert "Congratulations" in printed


def _tool(command):
    return [str(Path(sys.executable).parent / command[0]), *command[1:]]
