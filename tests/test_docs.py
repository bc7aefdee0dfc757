"""The README and its figures say what the default experiment gave; its commands exist."""

import re
import subprocess
import sys

import pytest
import yaml

from conftest import PROJECT

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow

README = (PROJECT / "README.md").read_text()
sys.path.insert(0, str(PROJECT / "docs"))


def test_the_readme_and_the_figures_are_those_of_the_default_run(default_run):
    import refresh

    assert refresh.refreshed(README, default_run.path / "results") == README
    for figure, name in refresh.FIGURES.items():
        assert (PROJECT / "docs" / name).read_bytes() == (default_run.path / "results" / figure).read_bytes(), name
        assert f"docs/{name}" in README


def test_the_tree_in_the_readme_exists():
    tree = re.search(r"```text\n(.*?)```", README, flags=re.DOTALL).group(1)
    names = [line.split()[0] for line in tree.splitlines() if line.strip() and not line.startswith(" ")]
    assert names
    for name in names:
        assert name.startswith(("results/", ".venv")) or list(PROJECT.glob(name)), name


def test_every_make_target_of_the_readme_exists():
    for target in set(re.findall(r"\bmake ([\w-]+)", README + (PROJECT / "CONTRIBUTING.md").read_text())):
        done = subprocess.run(["make", "--dry-run", target], cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, target


def test_the_citation_names_the_newest_release():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+) \((\S+)\)", (PROJECT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert (citation["version"], citation["date-released"]) == newest.groups()
    assert f'version = "{citation["version"]}"' in (PROJECT / "pyproject.toml").read_text()


def test_contributing_is_short():
    assert len((PROJECT / "CONTRIBUTING.md").read_text().splitlines()) <= 24
