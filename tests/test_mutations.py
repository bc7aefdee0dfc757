"""A wrong formula makes its claim fail: each claim is turned false by at least one fault put into the code.

``mutations/p<k>.yaml`` lists the faults; each is tried in a copy of scripts/, in a process of its own that has loaded
the libraries but nothing of the project, without bytecode.
"""

import importlib
import multiprocessing
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest
import yaml

from conftest import PROJECT

SCRIPTS = {
    1: ("p1_dropout", "dropout"),
    2: ("p2_initialization", "initialization"),
    3: ("p3_residual_gradients", "residual"),
    4: ("p4_split_transform_merge", "split_transform_merge"),
    5: ("p5_double_descent", "double_descent"),
}
MUTATIONS = [
    (k, number, mutation)
    for k in SCRIPTS
    for number, mutation in enumerate(yaml.safe_load((PROJECT / f"tests/mutations/p{k}.yaml").read_text()))
]
SMALL = yaml.safe_load((PROJECT / "tests/config.yaml").read_text())
NURSERY = multiprocessing.get_context("forkserver")
NURSERY.set_forkserver_preload(["numpy", "pandas", "scipy.linalg", "scipy.optimize", "torch"])


def outcomes(scripts, problem):
    """What each claim of a problem comes to on the small configuration, with the code in ``scripts``."""
    with ProcessPoolExecutor(1, mp_context=NURSERY) as process:
        return process.submit(_outcomes, str(scripts), *SCRIPTS[problem]).result()


def _outcomes(scripts, module, block):
    sys.path.insert(0, scripts)
    claims = importlib.import_module(module).study(**SMALL[block])["claims"]
    return dict(zip(claims["claim"], claims["holds"], strict=True))


@pytest.fixture(scope="module")
def sound():
    return {k: outcomes(PROJECT / "scripts", k) for k in SCRIPTS}


@pytest.mark.parametrize(("problem", "number", "mutation"), MUTATIONS, ids=[f"p{k}-{n}" for k, n, _ in MUTATIONS])
def test_a_fault_turns_its_claims_false(tmp_path, sound, problem, number, mutation):
    scripts = shutil.copytree(PROJECT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / mutation["file"]
    text = file.read_text()
    assert text.count(mutation["old"]) == 1, (
        f"{mutation['old']!r} stands {text.count(mutation['old'])} times in {file.name}"
    )
    file.write_text(text.replace(mutation["old"], mutation["new"]))
    faulty = outcomes(scripts, problem)
    for claim in mutation["breaks"]:
        assert sound[problem][claim] == "yes"
        assert faulty[claim] == "no", claim


def test_every_claim_is_turned_false_by_some_fault(sound):
    broken = {claim for _, _, mutation in MUTATIONS for claim in mutation["breaks"]}
    assert {claim for claims in sound.values() for claim in claims} == broken
