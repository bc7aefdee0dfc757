"""Problem 5: the ridge solver, the closed form of the risk, its two parts, and the tables of the study."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import p5_double_descent as p5
from hw6 import double_descent as dd

ROOT = Path(__file__).parents[1]
BLOCK = yaml.safe_load((ROOT / "tests/config.yaml").read_text())["double_descent"]
SMALL = BLOCK | {
    "input_dim": 3,
    "n_train": 8,
    "n_validation": 5,
    "n_test": 4,
    "n_features": {"start": 2, "stop": 14, "step": 4},
    "lambda_grid": {"low": 0.01, "high": 10, "count": 4},
    "replicates": 1,
    "n_risk": 1000,
}

problems = st.fixed_dictionaries(
    {
        "d": st.integers(1, 6),
        "n": st.integers(1, 25),
        "p": st.integers(1, 50),
        "lam": st.floats(-4, 4).map(lambda exponent: 10**exponent),
        "seed": st.integers(0, 10**6),
    }
)


def drawn(d, n, p, seed, **_):
    """Inputs, labels and weights of a random problem."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n), rng.standard_normal((p, d)) / np.sqrt(p)


def config(**changes):
    return copy.deepcopy(SMALL) | changes


@pytest.fixture(scope="module")
def tables():
    return p5.study(**BLOCK)


@settings(deadline=None, max_examples=60)
@given(problems)
def test_solution_minimises_the_objective(problem):
    x, y, w = drawn(**problem)
    lam, f = problem["lam"], dd.features(x, w)
    theta = dd.ridge(dd.factorise(f), y, np.array([lam]))[:, 0]

    def objective(value):
        return np.sum((f @ value - y) ** 2) / 2 + lam * np.sum(value**2) / 2

    rng = np.random.default_rng(0)
    for size in (1e-3, 1.0):  # J(theta + v) - J(theta) = |F v|^2 / 2 + lam |v|^2 / 2 exactly at the minimum
        v = size * rng.standard_normal(len(theta))
        rise = (np.sum((f @ v) ** 2) + lam * np.sum(v**2)) / 2
        assert objective(theta + v) - objective(theta) == pytest.approx(rise, rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(problems)
def test_solution_equals_three_other_ways(problem):
    x, y, w = drawn(**problem)
    f = dd.features(x, w)
    theta = dd.ridge(dd.factorise(f), y, np.array([problem["lam"], 7.0]))
    for k, lam in enumerate((problem["lam"], 7.0)):
        for solve in (dd.ridge_least_squares, dd.ridge_primal, dd.ridge_dual):
            np.testing.assert_allclose(f @ theta[:, k], f @ solve(f, y, lam), atol=1e-8 * np.linalg.norm(y))


@settings(deadline=None, max_examples=40)
@given(problems)
def test_unscaled_weights_with_scaled_penalty(problem):
    x, y, w = drawn(**problem)
    p, lam = problem["p"], problem["lam"]
    scaled, plain = dd.features(x, w), dd.features(x, np.sqrt(p) * w)
    expected = scaled @ dd.ridge_least_squares(scaled, y, lam)
    actual = plain @ dd.ridge(dd.factorise(plain), y, np.array([p * lam]))[:, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-8 * np.linalg.norm(y))


@settings(deadline=None, max_examples=40)
@given(problems)
def test_training_error_rises_and_coefficients_shrink(problem):
    x, y, w = drawn(**problem)
    f = dd.features(x, w)
    theta = dd.ridge(dd.factorise(f), y, np.geomspace(1e-3, 1e3, 20))
    errors = np.sum((f @ theta - y[:, None]) ** 2, axis=0)
    sizes = np.linalg.norm(theta, axis=0)
    assert np.all(np.diff(errors) >= -1e-9 * (y @ y))
    assert np.all(np.diff(sizes) <= 1e-9 * max(sizes))


def test_huge_penalty_gives_the_null_model_and_a_tiny_one_interpolates():
    x, y, w = drawn(d=5, n=10, p=40, seed=1)
    f = dd.features(x, w)
    tiny, huge = dd.ridge(dd.factorise(f), y, np.array([1e-9, 1e12])).T
    np.testing.assert_allclose(f @ tiny, y, atol=1e-6)
    np.testing.assert_allclose(huge * 1e12, f.T @ y, rtol=1e-6)
    beta = np.eye(5)[0]
    theta = huge[:, None]
    assert dd.risk(theta, dd.covariance_times(w, theta), w, beta) == pytest.approx(1.0, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(0, 10**6))
def test_feature_covariance_equals_the_integral_over_the_angle(d, seed):
    w, v = np.random.default_rng(seed).standard_normal((2, d))
    lengths = np.linalg.norm(w), np.linalg.norm(v)
    angle = np.arccos(np.clip(w @ v / np.prod(lengths), -1, 1))
    psi = (np.arange(200_000) + 0.5) * 2 * np.pi / 200_000
    product = np.maximum(np.cos(psi), 0) * np.maximum(np.cos(psi - angle), 0)  # E radius^2 = 2
    expected = np.prod(lengths) * 2 * product.mean()
    actual = dd.feature_covariance(w[None], v[None])[0, 0]
    assert actual == pytest.approx(expected, rel=1e-7, abs=1e-8 * np.prod(lengths))


def test_feature_covariance_of_equal_and_opposite_directions():
    w = np.array([[3.0, 4.0]])
    assert dd.feature_covariance(w, w)[0, 0] == pytest.approx(25 / 2)
    assert dd.feature_covariance(w, -2 * w)[0, 0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p", [1, 255, 256, 257, 600])
def test_blocks_multiply_like_the_whole_matrix(p):
    rng = np.random.default_rng(p)
    w, b = rng.standard_normal((p, 4)), rng.standard_normal((p, 3))
    np.testing.assert_allclose(dd.covariance_times(w, b), dd.feature_covariance(w, w) @ b, rtol=1e-10, atol=1e-10)


def test_risk_in_one_dimension_by_hand():
    """d = 1, w = (1, -1), theta = (a, b): f(x) = a x for x > 0, -b x for x < 0; risk ((a - 1)^2 + (b + 1)^2) / 2."""
    w, theta = np.array([[1.0], [-1.0]]), np.array([[0.3], [0.7]])
    risk = dd.risk(theta, dd.covariance_times(w, theta), w, np.array([1.0]))
    assert risk == pytest.approx([((0.3 - 1) ** 2 + (0.7 + 1) ** 2) / 2])


def test_risk_against_fresh_inputs():
    rng = np.random.default_rng(3)
    w, theta = rng.standard_normal((30, 6)) / np.sqrt(30), rng.standard_normal((30, 2))
    beta = np.ones(6) / np.sqrt(6)
    mean, error = dd.sampled_risk(rng, theta, w, beta, 40_500)
    np.testing.assert_array_less(np.abs(dd.risk(theta, dd.covariance_times(w, theta), w, beta) - mean), 5 * error)


@settings(deadline=None, max_examples=40)
@given(problems)
def test_noise_part_is_a_trace_and_is_capped(problem):
    x, y, w = drawn(**problem)
    lam, f = problem["lam"], dd.features(x, w)
    factors = dd.factorise(f)
    noise = dd.noise_part(factors, dd.covariance_times(w, factors.basis), np.array([lam]))[0]
    response = np.stack([dd.ridge_least_squares(f, unit, lam) for unit in np.eye(len(y))], axis=1)
    trace = sum(column @ dd.feature_covariance(w, w) @ column for column in response.T)
    cap = np.sum(w**2) / (8 * lam)
    assert noise == pytest.approx(trace, rel=1e-6, abs=1e-12)
    assert noise <= cap * (1 + 1e-9)


def test_cap_is_reached_by_one_feature_whose_eigenvalue_is_the_penalty():
    x, _, w = drawn(d=3, n=20, p=1, seed=4)
    factors = dd.factorise(dd.features(x, w))
    lam = factors.eigenvalues
    noise = dd.noise_part(factors, dd.covariance_times(w, factors.basis), lam)
    assert noise == pytest.approx(np.sum(w**2) / (8 * lam))


def test_risk_averages_to_its_two_parts():
    """Over eps and -eps together the linear term cancels: the mean risk is bias + sigma^2 |A eps|_M^2, exactly."""
    d, p, lam = 4, 12, np.array([0.1, 3.0])
    x, eps, w = drawn(d=d, n=9, p=p, seed=5)
    beta, sigma = np.eye(d)[0], 0.7
    fits = []
    for sign in (1, -1, 0):
        noisy = x @ beta + sign * sigma * eps
        fits.append(dd.fit_width(dd.Data(beta, x, noisy, x, x @ beta, x, x @ beta), w, lam))
    f = dd.features(x, w)
    for k in range(2):
        response = dd.ridge_dual(f, eps, lam[k])
        extra = sigma**2 * response @ dd.feature_covariance(w, w) @ response
        assert (fits[0].risk[k] + fits[1].risk[k]) / 2 == pytest.approx(fits[0].bias[k] + extra, rel=1e-9)
        assert fits[2].risk[k] == pytest.approx(fits[0].bias[k], rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(0, 10**6))
def test_smallest_eigenvalue_falls_to_the_square_and_rises_after(n, seed):
    phi = np.random.default_rng(seed).standard_normal((n, 2 * n))
    gram = [phi[:, :p].T @ phi[:, :p] if p <= n else phi[:, :p] @ phi[:, :p].T for p in range(1, 2 * n + 1)]
    smallest = np.array([np.linalg.eigvalsh(matrix)[0] for matrix in gram])
    assert np.all(np.diff(smallest[:n]) <= 1e-9)
    assert np.all(np.diff(smallest[n - 1 :]) >= -1e-9)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20))
def test_largest_rise_over_all_pairs(values):
    rise, start, end = dd.largest_rise(np.array(values, dtype=float))
    pairs = [(values[j] - values[i], i, j) for j in range(len(values)) for i in range(j + 1)]
    assert rise == max(pair[0] for pair in pairs)
    assert values[end] - values[start] == rise
    assert start <= end


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=10))
def test_choose_takes_the_smallest_and_the_next(errors):
    best, second = dd.choose(np.array(errors, dtype=float))
    assert errors[best] == min(errors)
    if len(errors) == 1:
        assert second is None
    else:
        assert second != best
        assert errors[second] == min(errors[:best] + errors[best + 1 :])


def test_every_draw_has_a_stream_of_its_own():
    data, streams = p5.draw(config(), 0)
    other, _ = p5.draw(config(), 1)
    assert np.linalg.norm(data.beta) == pytest.approx(1)
    assert not np.allclose(data.train_x[:4], data.test_x[:4])
    assert not np.allclose(data.train_x, other.train_x)
    five, six = (dd.draw_weights(streams, p, 3) for p in (5, 6))
    assert not np.allclose(np.sqrt(5) * five, np.sqrt(6) * six[:5])


def test_only_training_labels_are_noisy():
    data, _ = p5.draw(config(noise_std=2.0, n_train=500), 0)
    np.testing.assert_allclose(data.validation_y, data.validation_x @ data.beta)
    np.testing.assert_allclose(data.test_y, data.test_x @ data.beta)
    noise = data.train_y - data.train_x @ data.beta
    assert abs(noise.std() - 2) < 6 * 2 / np.sqrt(2 * 500)


def test_a_width_does_not_depend_on_the_other_widths():
    whole = p5.study(**config())["test_error"]
    part = p5.study(**config(n_features={"start": 6, "stop": 6, "step": 1}))["test_error"]
    assert whole[whole["n_features"] == 6].reset_index(drop=True).equals(part)


def test_a_replicate_does_not_depend_on_the_other_replicates():
    one, two = (p5.study(**config(replicates=count))["test_error"] for count in (1, 2))
    assert two[two["replicate"] == 0].reset_index(drop=True).equals(one)


def test_tables_belong_together(tables):
    widths = len(range(1, BLOCK["n_features"]["stop"] + 1, BLOCK["n_features"]["step"]))
    replicates, grid = BLOCK["replicates"], BLOCK["lambda_grid"]["count"]
    sizes = {"test_error": 2 * replicates * widths, "tuned_lambda": replicates * widths}
    sizes |= {"summary": 2 * widths, "risk_grid": grid * widths, "decomposition": 2 * replicates * widths}
    assert {name: len(tables[name]) for name in sizes} == sizes
    errors = tables["test_error"]
    tuned = errors[errors["tuning"] == "validated"].reset_index(drop=True)
    assert tuned["lambda"].equals(tables["tuned_lambda"]["lambda"])
    assert tuned["validation_mse"].equals(tables["tuned_lambda"]["validation_mse"])
    assert (tables["tuned_lambda"]["margin"] >= 0).all()
    means = errors.groupby(["n_features", "tuning"])["risk"].mean().to_numpy()
    np.testing.assert_allclose(tables["summary"]["risk_mean"], means)
    assert (tables["summary"]["risk_low"] <= tables["summary"]["risk_high"]).all()


def test_one_replicate_has_no_interval():
    summary = p5.study(**config())["summary"]
    assert summary[["risk_low", "risk_high", "test_mse_low", "test_mse_high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_std": 0},
        {"n_train": 1},
        {"input_dim": 1},
        {"n_validation": 1, "n_test": 1},
        {"n_features": {"start": 5, "stop": 5, "step": 1}},
        {"n_features": {"start": 1, "stop": 3, "step": 10}, "input_dim": 20},
        {"lambda_grid": {"low": 0.01, "high": 1, "count": 1}},
        {"fixed_lambda": 1e-6, "lambda_grid": {"low": 1e-6, "high": 1e-5, "count": 3}},
        {"fixed_lambda": 1e6, "noise_std": 100, "replicates": 2},
    ],
)
@pytest.mark.filterwarnings("error")
def test_theorems_hold_in_every_configuration(changes):
    claims = p5.study(**config(**changes))["claims"]
    theorems = claims[claims["kind"] == "theorem"]
    assert theorems.loc[theorems["holds"] != "yes", ["claim", "measured"]].to_numpy().tolist() == []


def test_torch_is_not_imported():
    code = "import sys, p5_double_descent, p5_figures; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", check=True)
