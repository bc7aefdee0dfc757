"""Problem 5, the study: its replicates, what is resampled, the theory's tables, and theorems in every configuration."""

import copy
import itertools
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import p5_auxiliary
import p5_closer
import p5_decisions
import p5_double_descent as p5
import p5_sweep
import p5_theory
from hw6 import double_descent as dd
from hw6 import random_features_theory as rft
from hw6 import resampling
from pipeline import grid
from pipeline.tables import read_blocks, read_numbers, repeated, write_blocks, write_table

ROOT = Path(__file__).parents[1]
BLOCK = yaml.safe_load((ROOT / "tests/config.yaml").read_text())["double_descent"]
SMALL = BLOCK | {
    "input_dim": 3,
    "n_train": 8,
    "n_validation": 5,
    "n_test": 4,
    "n_features": {"start": 2, "stop": 14, "step": 4},
    "fixed_lambda": 0.01,
    "lambda_grid": {"low": 0.01, "high": 10, "count": 4},
    "replicates": 2,
    "auxiliary_replicates": 1,
    "n_risk": 1000,
}


def config(**changes):
    return copy.deepcopy(SMALL) | changes


@pytest.fixture(scope="module")
def tables():
    return p5.study(**BLOCK)


@pytest.fixture(scope="module")
def small():
    return p5.study(**config(replicates=5, auxiliary_replicates=2))


def test_every_draw_has_a_stream_of_its_own():
    data, streams = p5_sweep.draw(config(), 0)
    other, _ = p5_sweep.draw(config(), 1)
    assert np.linalg.norm(data.beta) == pytest.approx(1)
    assert not np.allclose(data.train_x[:4], data.test_x[:4])
    assert not np.allclose(data.train_x, other.train_x)
    five, six = (dd.draw_weights(streams, p, 3) for p in (5, 6))
    assert not np.allclose(np.sqrt(5) * five, np.sqrt(6) * six[:5])


def test_only_training_labels_are_noisy():
    data, _ = p5_sweep.draw(config(noise_std=2.0, n_train=500), 0)
    np.testing.assert_allclose(data.validation_y, data.validation_x @ data.beta)
    np.testing.assert_allclose(data.test_y, data.test_x @ data.beta)
    noise = data.train_y - data.train_x @ data.beta
    assert abs(noise.std() - 2) < 6 * 2 / np.sqrt(2 * 500)


def test_a_larger_sample_begins_with_the_smaller_one():
    whole, part = (p5_sweep.draw(config(), 3, n)[0] for n in (20, 6))
    np.testing.assert_array_equal(whole.train_x[:6], part.train_x)
    np.testing.assert_array_equal(whole.train_y[:6], part.train_y)
    np.testing.assert_array_equal(whole.validation_x, part.validation_x)


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 12))
def test_shares_are_the_replicates_in_their_order_and_nearly_equal(replicates, shares):
    parts = [list(p5_sweep.share_of(f"{k}-of-{shares}", replicates)) for k in range(1, shares + 1)]
    assert [replicate for part in parts for replicate in part] == list(range(replicates))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def fits(block):
    """The fits of all replicates in one table."""
    return pd.concat([p5_sweep.fits_table(block, k) for k in range(block["replicates"])], ignore_index=True)


@pytest.mark.parametrize("shares", [1, 2, 7])
def test_files_of_shares_give_back_the_fits_and_their_choices(tmp_path, shares):
    block = config(replicates=5)
    whole, paths = fits(block), [tmp_path / f"{k}.csv" for k in range(1, shares + 1)]
    for k, path in enumerate(paths, start=1):
        share = p5_sweep.share_of(f"{k}-of-{shares}", 5)
        write_blocks([whole[whole["replicate"] == k] for k in share] or [whole[:0]], path)
    parts = (read_blocks(path, grid.rows_of_a_replicate(block)) for path in paths)
    write_blocks(p5_sweep.one_by_one(block, itertools.chain.from_iterable(parts)), tmp_path / "merged.csv")
    write_table(whole, tmp_path / "at-once.csv")
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "at-once.csv").read_bytes()
    for table in read_blocks(tmp_path / "merged.csv", grid.rows_of_a_replicate(block)):
        expected = p5.fit_arrays(block, whole[whole["replicate"] == table["replicate"][0]])
        found = p5.chosen_positions(p5.fit_arrays(block, table)["excess"])["validated"]
        np.testing.assert_array_equal(found, p5.chosen_positions(expected["validation_mse"])["validated"])


@pytest.mark.parametrize(
    "fault",
    [
        lambda first, second: [first],
        lambda first, second: [second, first],
        lambda first, second: [first, second, second],
        lambda first, second: [first[1:], second],
        lambda first, second: [first, pd.concat([second[1:], second[1:2]])],
        lambda first, second: [first, pd.concat([second[1:], second[:1]])],
    ],
)
def test_a_missing_or_repeated_fit_is_refused(fault):
    first, second = (p5_sweep.fits_table(config(), k) for k in range(2))
    assert len(list(p5_sweep.one_by_one(config(), [first, second]))) == 2
    with pytest.raises(ValueError, match=r"the .*fits are not those of|the fits are of"):
        list(p5_sweep.one_by_one(config(), fault(first, second)))


def test_a_width_does_not_depend_on_the_other_widths():
    whole = p5_sweep.fits_table(config(), 0)
    part = p5_sweep.fits_table(config(n_features={"start": 6, "stop": 6, "step": 1}), 0)
    pd.testing.assert_frame_equal(whole[whole["n_features"] == 6].reset_index(drop=True), part, rtol=1e-10)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_moments_of_arrays_that_come_one_by_one(count, seed):
    values = np.random.default_rng(seed).standard_normal((count, 3)) + 10.0
    moments = p5.Moments()
    for array in values:
        moments.add(array)
    np.testing.assert_array_equal(moments.mean(), values.mean(axis=0))
    if count == 1:
        assert np.isnan(moments.standard_error()).all()
    else:
        np.testing.assert_allclose(moments.standard_error(), values.std(axis=0, ddof=1) / count**0.5)


def test_what_the_fits_need_of_memory_does_not_grow_with_the_replicates(tmp_path):
    """Merged and read again, one replicate at a time is in memory."""
    block = config(n_features={"start": 1, "stop": 200, "step": 1})
    one = p5_sweep.fits_table(config(n_features={"start": 1, "stop": 1, "step": 1}), 0)
    rows = pd.MultiIndex.from_product([range(1, 201), one["position"]], names=["n_features", "position"])
    table = rows.to_frame(index=False).merge(one.drop(columns="n_features"), on="position")[list(one)]

    def peak(replicates):
        path = tmp_path / f"{replicates}.csv"
        tracemalloc.start()
        write_blocks((table.assign(replicate=k) for k in range(replicates)), path)
        study = block | {"replicates": replicates}
        write_blocks(
            p5_sweep.one_by_one(study, read_blocks(path, grid.rows_of_a_replicate(study))), tmp_path / "merged.csv"
        )
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (tmp_path / "merged.csv").read_bytes() == path.read_bytes()
        return found

    assert peak(120) < 120 * table.memory_usage().sum() / 3


def test_tables_belong_together(tables):
    p = len(p5_sweep.widths(BLOCK))
    replicates, grid = BLOCK["replicates"], BLOCK["lambda_grid"]["count"]
    sizes = {"test_error": 2 * replicates * p, "tuned_lambda": replicates * p, "summary": 2 * p, "risk_grid": grid * p}
    sizes |= {"decomposition": 2 * p, "theory": p, "theory_grid": grid * p, "nested": p, "course": 150}
    assert {name: len(tables[name]) for name in sizes} == sizes
    errors = tables["test_error"]
    tuned = errors[errors["tuning"] == "validated"].reset_index(drop=True)
    assert tuned["lambda"].equals(tables["tuned_lambda"]["lambda"])
    assert tuned["validation_mse"].equals(tables["tuned_lambda"]["validation_mse"])
    assert (tables["tuned_lambda"]["margin"] >= 0).all()


def test_summary_by_loops(small):
    for row in small["summary"].itertuples():
        errors = small["test_error"]
        chosen = errors[(errors["n_features"] == row.n_features) & (errors["tuning"] == row.tuning)]
        for name in ("risk", "test_mse"):
            values = chosen[name].tolist()
            mean = sum(values) / 5
            spread = (sum((value - mean) ** 2 for value in values) / 4) ** 0.5
            assert getattr(row, f"{name}_mean") == pytest.approx(mean)
            half = 2.7764451 * spread / 5**0.5  # Student's t with four degrees of freedom
            assert getattr(row, f"{name}_low") == pytest.approx(mean - half)
            assert getattr(row, f"{name}_high") == pytest.approx(mean + half)


def test_risk_grid_by_loops(small):
    block = config(replicates=5)
    every = fits(block)
    for row in small["risk_grid"].to_dict("records"):
        same = (every["n_features"] == row["n_features"]) & (every["lambda"] == row["lambda"]) & (every["position"] > 0)
        risks = every.loc[same, "risk"]
        assert row["risk_mean"] == pytest.approx(risks.mean())
        assert row["risk_se"] == pytest.approx(risks.std() / 5**0.5)
        assert row["risk_theory"] == pytest.approx(float(rft.risk(row["n_features"], row["lambda"], 3, 8, 0.5)))


def test_one_replicate_has_no_interval_and_leaves_its_findings_undecided():
    tables = p5.study(**config(replicates=1))
    assert tables["summary"][["risk_low", "risk_high", "test_mse_low", "test_mse_high"]].isna().all(axis=None)
    assert tables["risk_grid"]["risk_se"].isna().all()
    assert tables["decisions"][["low", "high"]].isna().all(axis=None)
    outcome = dict(zip(tables["claims"]["claim"], tables["claims"]["holds"], strict=True))
    assert {outcome[f"p5-{name}"] for name in ("vanishes", "peak-height", "theory-grid", "adjacent-undecided")} == {
        "undecided"
    }


def test_no_draw_is_below_its_own_best_penalty(tables):
    selection = tables["selection"].set_index("method")
    for method in ("validation", "validation_noisy", "leave_one_out", "gcv"):
        assert selection.loc[method, "excess_mean"] >= 0
        assert selection.loc[method, "risk_mean"] >= selection.loc["oracle_draw", "risk_mean"]
    assert selection.loc["oracle_draw", "excess_mean"] == 0


def test_parts_of_the_theory_sum_to_its_risk_and_nothing_on_the_grid_is_below_the_optimum():
    tables = p5_theory.study(**BLOCK)
    theory = tables["theory"]
    np.testing.assert_allclose(theory["noise_fixed"] + theory["bias_fixed"], theory["risk_fixed"])
    np.testing.assert_allclose(theory["noise_optimal"] + theory["bias_optimal"], theory["risk_optimal"], rtol=1e-9)
    grid = tables["theory_grid"].groupby("n_features")["risk_theory"].min().to_numpy()
    assert (theory["risk_optimal"] <= grid * (1 + 1e-9)).all()


def test_the_threshold_separates_falling_curves_from_others():
    p, given_ = np.array(p5_sweep.widths(BLOCK)), (BLOCK["input_dim"], BLOCK["n_train"], BLOCK["noise_std"])
    below, above = p5_theory.falling_threshold(p, given_)
    assert 0 < above - below < 0.11 * above
    assert np.max(np.diff(rft.risk(p, above, *given_))) < 0 <= np.max(np.diff(rft.risk(p, below, *given_)))


def test_samples_at_the_sample_size_of_the_study_are_its_fits():
    block = config(n_features={"start": 8, "stop": 8, "step": 1}, auxiliary_replicates=2)
    samples = p5_auxiliary.study(**block)["samples"]
    every = fits(block)
    row = samples[(samples["n_train"] == 8) & (samples["tuning"] == "fixed")].iloc[0]
    assert row["risk_mean"] == pytest.approx(every.loc[every["position"] == 0, "risk"].mean())
    assert set(samples["n_features"]) == {8}


def test_nested_features_are_the_first_columns_of_one_matrix():
    block = config()
    data, streams = p5_sweep.draw(block, 0)
    phi = dd.features(data.train_x, streams(p5_closer.SHARED_WEIGHTS).standard_normal((14, 3)))
    for p, risk in p5_closer.nested_table(block, 0)[["n_features", "risk_fixed"]].to_numpy():
        shared = streams(p5_closer.SHARED_WEIGHTS).standard_normal((14, 3))[: int(p)] / np.sqrt(p)
        theta = dd.ridge_least_squares(phi[:, : int(p)] / np.sqrt(p), data.train_y, block["fixed_lambda"])
        assert risk == pytest.approx(
            theta @ dd.feature_covariance(shared, shared) @ theta - theta @ shared @ data.beta + 1, rel=1e-6
        )


def test_nested_means_and_steps_by_loops():
    block = config(auxiliary_replicates=3)
    found = pd.concat([p5_closer.nested_table(block, k) for k in range(3)])
    table = p5_auxiliary.nested_table(found)
    by_width = [found[found["n_features"] == p]["risk_tuned"].to_numpy() for p in p5_sweep.widths(block)]
    for k, row in enumerate(table.itertuples()):
        assert row.risk_tuned == pytest.approx(sum(by_width[k]) / 3)
        if k:
            steps = by_width[k] - by_width[k - 1]
            assert row.step_mean == pytest.approx(steps.mean())
            assert row.step_se == pytest.approx(steps.std(ddof=1) / 3**0.5)
    assert np.isnan(table["step_mean"][0])


def test_parts_of_the_closer_fits_lose_no_digit(tmp_path):
    closer = p5_closer.closer_table(p5_closer.without_test(config()), 0)
    write_table(closer, tmp_path / "t.csv", p5_closer.ALL_DIGITS)
    kept = read_numbers(tmp_path / "t.csv")
    np.testing.assert_array_equal(kept.to_numpy(float), closer.to_numpy(float))
    fits = p5_auxiliary.fits_of(kept)
    assert list(fits) == [(0, p) for p in p5_sweep.widths(config())]
    data, streams = p5_sweep.draw(config(), 0)
    again = dd.fit_width(data, dd.draw_weights(streams, 6, 3), p5_sweep.penalties(config()))
    np.testing.assert_allclose(fits[0, 6].gcv[:-1], again.gcv)
    assert fits[0, 6].smallest == pytest.approx(again.smallest)


def test_choices_are_the_tuned_penalties_counted(tables):
    tuned = repeated(tables["choices"], "replicates")
    expected = tables["tuned_lambda"][["n_features", "lambda"]].sort_values(["n_features", "lambda"])
    assert tuned.equals(expected.reset_index(drop=True))
    assert len(tables["choices"]) == BLOCK["lambda_grid"]["count"] * len(p5_sweep.widths(BLOCK))


def test_what_is_kept_changes_no_number(tables):
    other = p5.study(**BLOCK | {"keep": "summaries"})
    for name, table in tables.items():
        assert table.drop(columns="source", errors="ignore").equals(other[name].drop(columns="source", errors="ignore"))
    gone = {"p5/test_error.csv", "p5/tuned_lambda.csv"}
    assert gone <= set(tables["claims"]["source"])
    assert not gone & set(other["claims"]["source"])


@settings(max_examples=100)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=15))
def test_rises_are_the_largest_over_all_pairs(values):
    rise, ratio = resampling.rises(np.array([values, values], dtype=float))
    pairs = [(values[j] - values[i], values[j] / values[i]) for j in range(len(values)) for i in range(j + 1)]
    assert rise[0] == rise[1] == max(pair[0] for pair in pairs)
    assert ratio[0] in {pair[1] for pair in pairs if pair[0] == rise[0]}


def test_resampled_means_keep_a_replicates_points_together():
    curves = np.arange(6.0)[:, None] * [1.0, 10.0]
    means = resampling.resampled_means(np.random.default_rng(0), curves)
    np.testing.assert_allclose(means[:, 1], 10 * means[:, 0])
    assert abs(means[:, 0].mean() - 2.5) < 0.1
    assert abs(means[:, 0].std() - curves[:, 0].std() / 6**0.5) < 0.03


def test_simultaneous_intervals_hold_together_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    missed = np.zeros(2)
    for _ in range(200):
        values = rng.standard_normal((40, 12))
        two_sided, one_sided = resampling.simultaneous_bounds(rng, values)
        mean = values.mean(axis=0)
        missed += np.any(np.abs(mean) > two_sided), np.any(mean + one_sided < 0)
    assert (missed < 40).all()  # 10 expected of 200, more where replicates are few
    assert missed.sum() > 2


@pytest.mark.parametrize(("count", "size"), [(1, 15), (14, 15), (30, 15), (46, 15), (150, 5)])
def test_blocks_have_the_size_or_a_few_more_and_keep_the_mean(count, size):
    values = np.random.default_rng(count).standard_normal(count)
    means = p5_decisions.blocks(values, size)
    assert len(means) == max(count // size, 1)
    if count % size == 0:
        np.testing.assert_allclose(means, values.reshape(-1, size).mean(axis=1))
        assert means.mean() == pytest.approx(values.mean())


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_std": 0},
        {"n_train": 1},
        {"input_dim": 1},
        {"n_validation": 1, "n_test": 1, "replicates": 1},
        {"n_features": {"start": 5, "stop": 5, "step": 1}},
        {"n_features": {"start": 1, "stop": 3, "step": 10}, "input_dim": 20, "noise_std": 0, "replicates": 1},
        {"lambda_grid": {"low": 0.01, "high": 1, "count": 1}, "replicates": 1},
        {"fixed_lambda": 1e-6, "lambda_grid": {"low": 1e-6, "high": 1e-5, "count": 3}},
        {"fixed_lambda": 1e6, "noise_std": 100, "auxiliary_replicates": 3},
        {
            "input_dim": 1,
            "n_train": 1,
            "n_validation": 1,
            "n_test": 1,
            "n_features": {"start": 1, "stop": 3, "step": 1},
        },
    ],
)
@pytest.mark.filterwarnings("error")
def test_theorems_hold_in_every_configuration(changes):
    claims = p5.study(**config(**changes))["claims"]
    theorems = claims[claims["kind"] == "theorem"]
    assert theorems.loc[theorems["holds"] != "yes", ["claim", "measured"]].to_numpy().tolist() == []


@settings(max_examples=40)
@given(st.integers(1, 80), st.integers(1, 400), st.integers(1, 1000), st.floats(-6, 6))
def test_noise_cap_holds_in_theory(d, n, p, exponent):
    lam = 10.0**exponent
    assert rft.risk_parts(p, lam, d, n, 1.0).noise <= d / (8 * lam) * (1 + 1e-9)


def test_numbers_are_read_as_they_were_written(tmp_path):
    table = pd.DataFrame({"name": ["a", "b"], "value": [1.23456e-7, np.nan], "count": [1, 2]})
    write_table(table, tmp_path / "t.csv")
    assert read_numbers(tmp_path / "t.csv").equals(table)


def test_torch_is_not_imported():
    code = "import sys, p5_double_descent, p5_figures; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", check=True)
