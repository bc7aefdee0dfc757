"""What problem 5 costs: estimates that add up, grow as they should and bound what is measured; no clock."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import p5_double_descent
import p5_sweep
from conftest import PROJECT
from pipeline import cost, grid, memory
from pipeline.tables import write_table

BLOCK = yaml.safe_load((PROJECT / "workflow/config.yaml").read_text(encoding="utf-8"))["double_descent"]
TIMES = (cost.sweep_seconds, cost.closer_seconds)
JOBS = {
    "p5_sweep": memory.sweep_bytes,
    "p5_closer": memory.closer_bytes,
    "p5_auxiliary": memory.auxiliary_bytes,
    "p5_theory": memory.theory_bytes,
    "p5_double_descent": memory.double_descent_bytes,
}
CHILD = r"""
import json, re, sys
from pathlib import Path
import p5_closer, p5_sweep
from pipeline.tables import write_blocks

kind, study, folder = json.loads(sys.argv[1])
tables = {"fits": p5_sweep.fits_table} if kind == "p5_sweep" else p5_closer.TABLES
block = study if kind == "p5_sweep" else p5_closer.without_test(study)
for name, table in tables.items():
    write_blocks([table(block, 0)], Path(folder) / name)
print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024)  # of this program alone
"""


def study(**changes):
    return copy.deepcopy(BLOCK) | changes


def widths(start, stop, step):
    return {"start": start, "stop": stop, "step": step}


def penalties(count):
    return BLOCK["lambda_grid"] | {"count": count}


@given(st.integers(1, 400), st.integers(1, 40), st.integers(1, 8))
def test_a_sweep_is_the_sum_of_its_widths(start, step, number):
    every = range(start, start + number * step, step)
    alone = [cost.sweep_seconds(study(n_features=widths(p, p, 1))) for p in every]
    assert cost.sweep_seconds(study(n_features=widths(start, every[-1], step))) == pytest.approx(sum(alone))


@pytest.mark.parametrize("seconds", TIMES)
@given(n=st.integers(1, 4000), p=st.integers(1, 15000), more=st.integers(1, 2000), count=st.integers(1, 100))
def test_more_of_anything_takes_longer(seconds, n, p, more, count):
    sizes = {"n_train": n, "n_features": widths(p, p, 1), "lambda_grid": penalties(count)}
    base = seconds(study(**sizes))
    assert base > 0
    assert seconds(study(**sizes | {"lambda_grid": penalties(count + more)})) > base
    assert seconds(study(**sizes | {"n_validation": BLOCK["n_validation"] + more})) > base


@given(n=st.integers(1, 4000), p=st.integers(1, 15000), more=st.integers(1, 2000))
def test_a_larger_matrix_takes_longer(n, p, more):
    def seconds(n, p):
        return cost.sweep_seconds(study(n_train=n, n_features=widths(p, p, 1)))

    assert seconds(n + more, p) > seconds(n, p)
    assert seconds(n, p + more) > seconds(n, p)


@given(st.integers(1, 1000))
def test_core_hours_and_bytes_are_proportional_to_the_replicates(replicates):
    one, many = study(replicates=1, auxiliary_replicates=1), study(replicates=replicates, auxiliary_replicates=1)
    hours, of_one = cost.core_hours(many), cost.core_hours(one)
    for part in ("sweep", "tables"):
        assert hours[part] == pytest.approx(replicates * of_one[part], rel=1e-12)
    assert hours["auxiliary"] == of_one["auxiliary"]
    assert hours["all"] == pytest.approx(hours["sweep"] + hours["auxiliary"] + hours["tables"])
    for group in ("fits", "replicates"):
        assert cost.result_bytes(many)[group] == replicates * cost.result_bytes(one)[group]
    assert cost.result_bytes(many)["summaries"] == cost.result_bytes(one)["summaries"]


@given(st.integers(1, 1000), st.floats(0.001, 1e5))
def test_shares_are_neither_short_nor_long_where_there_is_a_choice(replicates, seconds):
    shares = cost.shares(replicates, seconds)
    assert 1 <= shares <= replicates
    longest = math.ceil(replicates / shares) * seconds
    assert shares == 1 or replicates * seconds / shares >= min(cost.SHORTEST, cost.LONGEST / 3)
    assert shares == replicates or longest <= cost.LONGEST
    assert cost.minutes(longest) * 60 >= 3 * longest


def test_every_kind_of_work_has_a_rate_and_is_counted():
    assert all(rate >= 0 for rate in cost.RATES)
    assert all(amount > 0 for amount in cost.closer_work(study(n_train=3000, n_features=widths(100, 4000, 100))))


@given(st.integers(1, 400), st.integers(0, 600), st.integers(1, 40), st.integers(1, 500))
def test_sample_sizes_ascend_from_one_to_four_times_the_studys(start, extra, step, n):
    block = study(n_features=widths(start, start + extra, step), n_train=n)
    sizes, p = grid.sample_sizes(block)
    assert p in p5_sweep.widths(block)
    assert all(abs(p - n) <= abs(other - n) for other in p5_sweep.widths(block))
    assert sizes == sorted(set(sizes))
    assert sizes[0] >= 1
    assert sizes[-1] <= 4 * n
    assert p in sizes or p > 4 * n


@pytest.mark.parametrize("job", JOBS)
def test_only_the_job_that_sums_up_takes_more_memory_for_more_replicates(job):
    few, many = study(replicates=10), study(replicates=1000)
    assert (JOBS[job](many) > JOBS[job](few)) == (job == "p5_double_descent")
    assert JOBS[job](study(n_features=widths(1, 20000, 10))) > JOBS[job](few)


@given(n=st.integers(1, 5000), stop=st.integers(1, 20000), replicates=st.integers(1, 1000))
def test_the_largest_job_is_the_largest(n, stop, replicates):
    block = study(n_train=n, n_features=widths(1, stop, 100), replicates=replicates)
    needed, job = memory.largest_bytes(block)
    assert needed == JOBS[job](block) == max(estimate(block) for estimate in JOBS.values())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc is not there to tell the peak of memory")
@pytest.mark.parametrize(
    ("job", "n", "p"), [("p5_sweep", 300, 6000), ("p5_closer", 300, 3000), ("p5_closer", 900, 600)]
)
def test_memory_is_bounded_and_not_by_far(job, n, p, tmp_path):
    block = study(n_train=n, n_features=widths(p, p, 1))
    command = [sys.executable, "-c", CHILD, json.dumps([job, block, str(tmp_path)])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    run = subprocess.run(
        command, env={"PYTHONPATH": "scripts"} | threads, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    measured = json.loads(run.stdout.splitlines()[-1])
    assert measured <= JOBS[job](block) <= 2 * measured


def test_the_bytes_of_results_are_those_that_are_written(tmp_path):
    block = study(
        n_train=40,
        n_features=widths(5, 200, 5),
        lambda_grid=penalties(6),
        replicates=5,
        auxiliary_replicates=2,
        n_risk=1000,
    )
    tables = p5_double_descent.study(**block)
    sizes = {}
    for name, table in tables.items():
        write_table(table, tmp_path / name)
        sizes[name] = (tmp_path / name).stat().st_size
    write_table(p5_sweep.fits_table(block, 0), tmp_path / "fits")
    predicted = cost.result_bytes(block)
    assert predicted["fits"] == pytest.approx(5 * (tmp_path / "fits").stat().st_size, rel=0.2)
    assert predicted["replicates"] == pytest.approx(sizes.pop("test_error") + sizes.pop("tuned_lambda"), rel=0.2)
    assert predicted["summaries"] == pytest.approx(sum(sizes.values()), rel=0.2)


def test_the_estimates_load_no_library():
    code = "import sys; sys.path.insert(0, 'scripts'); import pipeline.cost; print('numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
