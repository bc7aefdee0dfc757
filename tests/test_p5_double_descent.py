"""Problem 5: the ridge solver, the closed form of the risk, and its two parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw6 import double_descent as dd

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


def noise_of(factors, weights, lambdas):
    """The label noise's part of the risk, from the factors of the features."""
    eigenpairs = dd.spectrum(factors)
    return dd.noise_part(eigenpairs, dd.covariance_forms(weights, dd.noise_basis(factors, eigenpairs)), lambdas)


def drawn_data(d, n, p, seed, **_):
    """Random data with a few validation and test inputs, and the weights of one width."""
    x, noise, w = drawn(d, n, p, seed)
    rng = np.random.default_rng(seed + 1)
    beta, others = np.eye(d)[0], rng.standard_normal((2, 7, d))
    return dd.Data(beta, x, x @ beta + noise, others[0], others[0] @ beta, others[1], others[1] @ beta), w


@settings(max_examples=60)
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


@settings(max_examples=60)
@given(problems)
def test_solution_equals_three_other_ways(problem):
    x, y, w = drawn(**problem)
    f = dd.features(x, w)
    theta = dd.ridge(dd.factorise(f), y, np.array([problem["lam"], 7.0]))
    for k, lam in enumerate((problem["lam"], 7.0)):
        for solve in (dd.ridge_least_squares, dd.ridge_primal, dd.ridge_dual):
            np.testing.assert_allclose(f @ theta[:, k], f @ solve(f, y, lam), atol=1e-8 * np.linalg.norm(y))


@settings(max_examples=40)
@given(problems)
def test_unscaled_weights_with_scaled_penalty(problem):
    x, y, w = drawn(**problem)
    p, lam = problem["p"], problem["lam"]
    scaled, plain = dd.features(x, w), dd.features(x, np.sqrt(p) * w)
    expected = scaled @ dd.ridge_least_squares(scaled, y, lam)
    actual = plain @ dd.ridge(dd.factorise(plain), y, np.array([p * lam]))[:, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-8 * np.linalg.norm(y))


@settings(max_examples=40)
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
    assert dd.risk(theta, dd.covariance_forms(w, theta), w, beta) == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=40)
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


@pytest.mark.parametrize("p", [1, 127, 128, 129, 300])
def test_blocks_multiply_like_the_whole_matrix(p):
    rng = np.random.default_rng(p)
    w, b = rng.standard_normal((p, 4)), rng.standard_normal((p, 3))
    expected = np.sum(b * (dd.feature_covariance(w, w) @ b), axis=0)
    np.testing.assert_allclose(dd.covariance_forms(w, b), expected, rtol=1e-10)


def test_risk_in_one_dimension_by_hand():
    """d = 1, w = (1, -1), theta = (a, b): f(x) = a x for x > 0, -b x for x < 0; risk ((a - 1)^2 + (b + 1)^2) / 2."""
    w, theta = np.array([[1.0], [-1.0]]), np.array([[0.3], [0.7]])
    risk = dd.risk(theta, dd.covariance_forms(w, theta), w, np.array([1.0]))
    assert risk == pytest.approx([((0.3 - 1) ** 2 + (0.7 + 1) ** 2) / 2])


def test_risk_against_fresh_inputs():
    rng = np.random.default_rng(3)
    w, theta = rng.standard_normal((30, 6)) / np.sqrt(30), rng.standard_normal((30, 2))
    beta = np.ones(6) / np.sqrt(6)
    mean, error = dd.sampled_risk(rng, theta, w, beta, 40_500)
    np.testing.assert_array_less(np.abs(dd.risk(theta, dd.covariance_forms(w, theta), w, beta) - mean), 5 * error)


@settings(max_examples=60)
@given(problems)
def test_reduction_is_orthogonal_and_has_the_gram_matrix(problem):
    x, _, w = drawn(**problem)
    f = dd.features(x, w)
    factors, small = dd.factorise(f), f @ f.T if problem["p"] >= problem["n"] else f.T @ f
    r = len(small)
    q = dd.rotate(factors, np.eye(r))
    t = np.diag(factors.diagonal) + np.diag(factors.off_diagonal, 1) + np.diag(factors.off_diagonal, -1)
    scale = np.trace(small)
    np.testing.assert_allclose(q.T @ q, np.eye(r), atol=1e-12)
    np.testing.assert_allclose(q @ t @ q.T, small, atol=1e-12 * scale)
    np.testing.assert_allclose(dd.rotate(factors, q, transposed=True), np.eye(r), atol=1e-12)
    s, v = dd.spectrum(factors)
    np.testing.assert_allclose((v * s) @ v.T, small, atol=1e-12 * scale)
    np.testing.assert_allclose(dd.extreme_eigenvalues(factors), [s[0], s[-1]], atol=1e-12 * scale)


@settings(max_examples=60)
@given(problems)
def test_sweep_equals_a_solve_for_each_width_and_penalty(problem):
    data, _ = drawn_data(**problem)
    lambdas, d = np.array([1e-4, problem["lam"], 1e6]), problem["d"]

    def draw(p):
        return np.random.default_rng([p, problem["seed"]]).standard_normal((p, d)) / np.sqrt(p)

    widths = sorted({1, problem["n"], problem["p"]})
    for p, fit in dd.sweep(data, draw, widths, lambdas):
        f = dd.features(data.train_x, draw(p))
        for k, lam in enumerate(lambdas):
            theta = dd.ridge_least_squares(f, data.train_y, lam)
            for name in ("train", "validation", "test"):
                x, y = getattr(data, f"{name}_x"), getattr(data, f"{name}_y")
                error = np.mean((dd.features(x, draw(p)) @ theta - y) ** 2)
                assert getattr(fit, f"{name}_mse")[k] == pytest.approx(error, rel=1e-6, abs=1e-12), name
            assert fit.size[k] == pytest.approx(np.linalg.norm(theta), rel=1e-6, abs=1e-12)
            form = theta @ dd.feature_covariance(draw(p), draw(p)) @ theta
            expected = form - theta @ draw(p) @ data.beta + 1
            assert fit.risk[k] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("p", [50, 299, 300, 301, 900])
def test_predictions_agree_with_the_textbook_solve_to_nine_digits(p):
    x, y, w = drawn(d=35, n=300, p=p, seed=6)
    f, lambdas = dd.features(x, w), np.geomspace(0.01, 100, 13)
    theta = dd.ridge(dd.factorise(f), y, lambdas)
    for k, lam in enumerate(lambdas):
        expected = f @ dd.ridge_primal(f, y, lam)
        assert np.linalg.norm(f @ theta[:, k] - expected) <= 1e-9 * np.linalg.norm(expected)


@settings(max_examples=40)
@given(problems.filter(lambda problem: problem["n"] > 1))
def test_leave_one_out_equals_refitting(problem):
    x, y, w = drawn(**problem)
    f, lambdas = dd.features(x, w), np.array([1e-3, problem["lam"], 1e3])
    factors = dd.factorise(f)
    residual = dd.residuals(factors, dd.coefficients(factors, y[:, None], lambdas)[:, 0], y, lambdas)
    alone = dd.leave_one_out(factors, dd.spectrum(factors), residual, lambdas)
    for i in range(len(y)):
        kept = np.arange(len(y)) != i
        for k, lam in enumerate(lambdas):
            expected = y[i] - f[i] @ dd.ridge_least_squares(f[kept], y[kept], lam)
            assert alone[i, k] == pytest.approx(expected, rel=1e-5, abs=1e-7 * np.linalg.norm(y))


@settings(max_examples=40)
@given(problems)
def test_generalised_cross_validation_by_its_definition(problem):
    data, w = drawn_data(**problem)
    f, y, lam = dd.features(data.train_x, w), data.train_y, problem["lam"]
    n, p = f.shape
    stacked = np.vstack([f, np.sqrt(lam) * np.eye(p)])
    hat = f @ np.linalg.lstsq(stacked, np.vstack([np.eye(n), np.zeros((p, n))]), rcond=None)[0]
    expected = np.mean((y - hat @ y) ** 2) / (1 - np.trace(hat) / n) ** 2
    fit = dd.fit_width(data, w, np.array([lam]))
    assert fit.gcv[0] == pytest.approx(expected, rel=1e-5)
    leave_one_out = np.mean(((y - hat @ y) / (1 - np.diag(hat))) ** 2)
    assert fit.left_out_mse[0] == pytest.approx(leave_one_out, rel=1e-5)


@settings(max_examples=30)
@given(problems)
def test_what_is_not_asked_for_changes_nothing(problem):
    data, w = drawn_data(**problem)
    lambdas = np.array([0.1, problem["lam"]])
    whole = dd.fit_width(data, w, lambdas)
    bare = dd.fit_width(data, w, lambdas, risks=False, parts=False, left_out=False, checks=False)
    risks = dd.fit_width(data, w, lambdas, risks=True, parts=False, left_out=False, checks=False)
    absent = {"risk", "bias", "noise", "left_out_mse", "gcv", "slope", "condition", "smallest"}
    assert {name for name, value in bare._asdict().items() if value is None} == absent
    for name in set(dd.Fit._fields) - absent:
        np.testing.assert_allclose(getattr(bare, name), getattr(whole, name), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(risks.risk, whole.risk, rtol=1e-7, atol=1e-10)


def test_a_penalty_below_rounding_is_refused():
    x, y, w = drawn(d=3, n=8, p=12, seed=2)
    factors = dd.factorise(dd.features(x, w))
    indefinite = factors._replace(diagonal=np.minimum(factors.diagonal, -1e-12))  # what rounding may do
    with pytest.raises(ValueError, match="rounding"):
        dd.ridge(indefinite, y, np.array([1e-13]))


@settings(max_examples=40)
@given(problems)
def test_noise_part_is_a_trace_and_is_capped(problem):
    x, y, w = drawn(**problem)
    lam, f = problem["lam"], dd.features(x, w)
    factors = dd.factorise(f)
    noise = noise_of(factors, w, np.array([lam]))[0]
    response = np.stack([dd.ridge_least_squares(f, unit, lam) for unit in np.eye(len(y))], axis=1)
    trace = sum(column @ dd.feature_covariance(w, w) @ column for column in response.T)
    cap = np.sum(w**2) / (8 * lam)
    assert noise == pytest.approx(trace, rel=1e-6, abs=1e-12)
    assert noise <= cap * (1 + 1e-9)


def test_cap_is_reached_by_one_feature_whose_eigenvalue_is_the_penalty():
    x, _, w = drawn(d=3, n=20, p=1, seed=4)
    factors = dd.factorise(dd.features(x, w))
    lam = dd.spectrum(factors)[0]
    noise = noise_of(factors, w, lam)
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


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(0, 10**6))
def test_smallest_eigenvalue_falls_to_the_square_and_rises_after(n, seed):
    phi = np.random.default_rng(seed).standard_normal((n, 2 * n))
    gram = [phi[:, :p].T @ phi[:, :p] if p <= n else phi[:, :p] @ phi[:, :p].T for p in range(1, 2 * n + 1)]
    smallest = np.array([np.linalg.eigvalsh(matrix)[0] for matrix in gram])
    assert np.all(np.diff(smallest[:n]) <= 1e-9)
    assert np.all(np.diff(smallest[n - 1 :]) >= -1e-9)


@settings(max_examples=100)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20))
def test_largest_rise_over_all_pairs(values):
    rise, start, end = dd.largest_rise(np.array(values, dtype=float))
    pairs = [(values[j] - values[i], i, j) for j in range(len(values)) for i in range(j + 1)]
    assert rise == max(pair[0] for pair in pairs)
    assert values[end] - values[start] == rise
    assert start <= end


@settings(max_examples=50)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=10))
def test_choose_takes_the_smallest_and_the_next(errors):
    best, second = dd.choose(np.array(errors, dtype=float))
    assert errors[best] == min(errors)
    if len(errors) == 1:
        assert second is None
    else:
        assert second != best
        assert errors[second] == min(errors[:best] + errors[best + 1 :])
