"""The same bytes in other surroundings and under other kernels; that these were really others."""

import json
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import kernels
from conftest import SMALL, environment_with
from variations import LISTINGS, PLAIN, differing, kept, made, together, variations

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow

VARIATIONS = variations()
ORDERS = """
import glob, json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
print(json.dumps([[entry.name for entry in os.scandir(folder)], os.listdir(folder), glob.glob("*", root_dir=folder),
    [path.name for path in folder.iterdir()], [path.name for path in folder.glob("*")], next(os.walk(folder))[2]]))
"""


def test_all_variations_at_once_change_no_byte(archived, capsys):
    obstacles = {one.name: one.obstacle() for one in VARIATIONS if one.joins}
    joined = [one for one in VARIATIONS if one.joins and not obstacles[one.name]]
    with capsys.disabled():
        left_out = [f"{name} ({obstacle})" for name, obstacle in obstacles.items() if obstacle]
        print(f"\nat once: {together(joined).setting}; left out: {', '.join(left_out) or 'nothing'}", end="")
    plain = kept(archived)
    changed = differing(plain, made(together(joined)))
    if changed:
        alone = {f"{one.name}, {one.setting}": differing(plain, made(one)) for one in joined}
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
            shown.append(start("sh", "-c", one.probe, sys.executable))
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
    listed = tmp_path / "listed"
    listed.mkdir()
    for name in names:
        (listed / name).touch()
    pythons = sys.executable, environment_with(LISTINGS, tmp_path / "environment")
    plain, shuffled = (json.loads(subprocess.check_output([python, "-c", ORDERS, listed])) for python in pythons)
    assert all(set(listing) == names for listing in plain + shuffled)
    assert all(one != other for one, other in zip(plain, shuffled, strict=True))


def test_the_tables_are_the_same_under_the_oldest_kernels(small_run, project):
    plain = kernels.Kernel("plain").probe()
    oldest = kernels.oldest()
    probe = oldest.probe()
    if not probe:
        pytest.skip(f"{oldest.environment} do not run here")
    switched = [name for name in plain if plain[name] != probe[name]]
    assert switched
    made = oldest.compute(project, *kernels.ALL, *SMALL)
    found = kernels.differing(small_run.results(), made)
    assert not found, f"with other code in {', '.join(switched)}: {kernels.in_words(found)}"


def test_what_a_kernel_moves_is_measured_against_the_margin():
    place = pd.DataFrame({"position": [0, 1, 2, 3] * 2})
    plain = place.assign(validation_mse=[9.0, 3.0, 1.0, 2.0, 9.0, 5.0, 7.0, 6.0])
    other = place.assign(validation_mse=[0.0, 3.0, 1.1, 1.8, 0.0, 5.0, 7.7, 6.0])
    assert kernels.moved(plain, plain) == 0
    assert kernels.moved(plain, other) == pytest.approx(0.3)


def test_differences_are_relative_and_name_the_column():
    one = pd.DataFrame({"name": ["a", "b"], "x": [0.0, 2.0], "y": [1.0, np.nan]})
    other = one.assign(x=[0.0, 2.5])
    assert kernels.column_differences(one, one.copy()) == {}
    assert kernels.column_differences(one, other) == {"x": 0.25}
    assert kernels.column_differences(one, one.assign(name=["a", "c"])) == {"name": np.inf}
    assert kernels.column_differences(one, one.iloc[:1])["x"] == np.inf
