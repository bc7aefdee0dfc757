"""The same bytes in other surroundings and under other kernels; that these were really others."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kernels
from conftest import PROJECT, SMALL
from pipeline.sources import fingerprint
from pipeline.tables import read_numbers
from variations import LISTINGS, PLAIN, TARGET, differing, kept, made, together, tracked, variations

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow

VARIATIONS = variations()
ORDERS = """
import glob, json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
print(json.dumps([[entry.name for entry in os.scandir(folder)], os.listdir(folder), glob.glob("*", root_dir=folder),
    [path.name for path in folder.iterdir()], [path.name for path in folder.glob("*")], next(os.walk(folder))[2]]))
"""


@pytest.fixture(scope="module")
def archived(small_run, tmp_path_factory):
    """The files of the small run with its archive."""
    copy = small_run.clone(tmp_path_factory.mktemp("archived") / "copy")
    tracked(copy)
    code, printed = copy.snakemake(*TARGET, *SMALL)
    assert code == 0, printed
    return kept(copy)


def test_all_variations_at_once_change_no_byte(archived, capsys):
    obstacles = {one.name: one.obstacle() for one in VARIATIONS if one.joins}
    joined = [one for one in VARIATIONS if one.joins and not obstacles[one.name]]
    with capsys.disabled():
        left_out = [f"{name} ({obstacle})" for name, obstacle in obstacles.items() if obstacle]
        print(f"\nat once: {together(joined).setting}; left out: {', '.join(left_out) or 'nothing'}", end="")
    changed = differing(archived, made(together(joined)))
    if changed:
        alone = {f"{one.name}, {one.setting}": differing(archived, made(one)) for one in joined}
        culprits = {name: paths for name, paths in alone.items() if paths} or "no variation alone"
        pytest.fail(f"{', '.join(changed)} differ; of the variations alone: {culprits}")


@pytest.mark.parametrize("one", [one for one in VARIATIONS if one.probe], ids=lambda one: one.name)
def test_a_variation_varies_something(one, tmp_path):
    if obstacle := one.obstacle():
        pytest.skip(f"{one.name}: {obstacle}")
    shown = []
    for variation in (one, PLAIN):
        folder = tmp_path / variation.name
        folder.mkdir()
        with variation.surroundings(folder) as start:
            shown.append(start("sh", "-c", one.probe))
    assert [done.returncode for done in shown] == [0, 0], shown
    assert shown[0].stdout != shown[1].stdout


def in_surroundings(name, folder, *command):
    """What the command prints under the first variation of a name, or the test is skipped."""
    one = next(one for one in VARIATIONS if one.name == name)
    if obstacle := one.obstacle():
        pytest.skip(f"{name}: {obstacle}")
    folder.mkdir()
    with one.surroundings(folder) as start:
        return start(*command).stdout


def test_without_a_network_nothing_can_be_reached(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        attempt = f"import socket; socket.create_connection({server.getsockname()!r}, 5); print('reached')"
        with PLAIN.surroundings(tmp_path) as start:
            assert start(sys.executable, "-c", attempt).stdout == "reached\n"
        assert "reached\n" not in in_surroundings("no network", tmp_path / "away", sys.executable, "-c", attempt)


def test_the_other_date_is_seen_by_python(tmp_path):
    days = float(in_surroundings("date", tmp_path / "later", sys.executable, "-c", "import time; print(time.time())"))
    assert 399 < (days - time.time()) / 86400 < 401


def test_listings_are_shuffled_and_complete(tmp_path):
    names = {f"{k:02}" for k in range(30)}
    for name in names:
        (tmp_path / name).touch()
    plain, shuffled = (
        json.loads(subprocess.check_output([sys.executable, "-c", ORDERS, tmp_path], env=os.environ | changed))
        for changed in ({}, {"PYTHONPATH": str(LISTINGS)})
    )
    assert all(set(listing) == names for listing in plain + shuffled)
    assert all(one != other for one, other in zip(plain, shuffled, strict=True))


def test_the_tables_are_the_same_under_the_oldest_kernels(small_run, project):
    plain = kernels.Kernel("plain").probe()
    oldest = kernels.oldest()
    probe = oldest.probe()
    if not probe:
        pytest.skip(f"{oldest.environment} do not run here")
    with_all_digits = {name for name in plain if plain[name] != probe[name]}
    assert with_all_digits, "nothing was switched"
    made = oldest.compute(project, *kernels.ALL, *SMALL)
    found = kernels.differing({path: small_run.results()[path] for path in made}, made)
    rounded = {path: gaps for path, gaps in found.items() if not path.startswith(kernels.PARTS)}
    assert not rounded, f"with other code in {', '.join(sorted(with_all_digits))}: {kernels.in_words(rounded)}"


def test_problem_5_does_without_torch(monkeypatch):
    monkeypatch.chdir(PROJECT)
    assert not any("torch" in fingerprint(str(path)) for path in Path("scripts").glob("p5_*.py"))
    assert "torch" in fingerprint("scripts/p1_dropout.py")


def test_the_margins_are_those_of_the_table(small_run, monkeypatch):
    monkeypatch.chdir(small_run.path)
    choices = kernels.Choices(small_run.results())
    table = read_numbers("results/p5/tuned_lambda.csv")
    np.testing.assert_allclose(choices.errors[:, 1] - choices.errors[:, 0], table["margin"], rtol=1e-5)
    assert choices.noise(choices) == choices.moved(choices) == 0.0
    assert choices.closest(1) == [table["n_features"][(table["margin"] / table["validation_mse"]).idxmin()]]


def test_differences_are_relative_and_name_the_column():
    one = pd.DataFrame({"name": ["a", "b"], "x": [0.0, 2.0], "y": [1.0, np.nan]})
    other = one.assign(x=[0.0, 2.5])
    assert kernels.column_differences(one, one.copy()) == {}
    assert kernels.column_differences(one, other) == {"x": 0.25}
    assert kernels.column_differences(one, one.assign(name=["a", "c"])) == {"name": np.inf}
    assert kernels.column_differences(one, one.iloc[:1])["x"] == np.inf
