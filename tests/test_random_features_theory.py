"""The deterministic equivalent of the risk: its ingredients, the equations it came from, its limits, and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw6 import random_features_theory as rf

SHEET = {"input_dim": 35, "n_train": 300, "noise_std": 0.5}
WIDTHS = np.arange(1, 1500, 10)

problems = st.fixed_dictionaries(
    {
        "n_features": st.integers(1, 2000),
        "lam": st.floats(-4, 4).map(lambda exponent: 10**exponent),
        "input_dim": st.integers(1, 60),
        "n_train": st.integers(1, 1000),
        "noise_std": st.floats(0, 2),
    }
)


def gegenbauer(d, degree, t):
    """P_k(t) with P_k(1) = 1, by its recurrence."""
    before, now = np.ones_like(t), t
    if degree == 0:
        return before
    for k in range(1, degree):
        before, now = now, ((2 * k + d - 2) * t * now - k * before) / (k + d - 2)
    return now


def bisect(f, low, high):
    """The root of a rising function of log x."""
    low, high = np.log(low), np.log(high)
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if f(np.exp(middle)) > 0 else (middle, high)
    return np.exp(0.5 * (low + high))


def equations_in_l(n_features, lam, input_dim, n_train, noise_std):
    """The risk by the equations in the regularisation l of the feature covariance S, nested and with differences in l:

    t = E[q / (1 + q e2 / p)], e2 = tr L (t L + l)^-1, df1 = t e2, n E[q e / (1 + q e)] = df1, lam = l df1 / e.
    """
    p, d, n = n_features, input_dim, n_train
    log_q = np.linspace(-90, np.log(d) + 6, 2001)
    w = np.exp(0.5 * d * (log_q - np.log(d)) - 0.5 * (np.exp(log_q) - d))
    q, w = np.exp(log_q), w / w.sum()
    squares, shares, tail = rf.spectrum(d, min(n, p))

    def features(reg):
        def trace(t):
            return np.sum(shares / (t * squares + reg)) + tail / reg

        t = bisect(lambda t: t - w @ (q / (1 + q * trace(t) / p)), 1e-30, 2.0 * d)
        return t, t * trace(t)

    def samples(df1):
        return bisect(lambda e: n * (w @ (q * e / (1 + q * e))) - df1, 1e-30, 1e30)

    def penalty(reg):
        df1 = features(reg)[1]
        return reg * df1 / samples(df1) if df1 < n * (1 - 1e-9) else 0.0

    reg, h = bisect(lambda reg: penalty(reg) - lam, lam / (2.0 * n * d), 1e8), 1e-4
    (_, df1), (above, df1_above), (below, df1_below) = (features(reg * np.exp(step)) for step in (0, h, -h))
    first = 1 / (2 * d) ** 2
    inverse_above, inverse_below = 1 / (above * first + reg * np.exp(h)), 1 / (below * first + reg * np.exp(-h))
    df2 = df1 + (df1_above - df1_below) / (2 * h)
    squared = -reg * (inverse_above - inverse_below) / (2 * h)  # l^2 b'(S + l)^-2 b of the unit target
    e = samples(df1)
    g2 = df2 * (e / df1) ** 2
    kappa_1, kappa = n * (w @ (q / (1 + q * e) ** 2)), n * (w @ (q**2 / (1 + q * e) ** 2))
    return (squared + d * noise_std**2 * kappa_1 * g2) / (1 - kappa * g2)


def simulated(draws, p, lam, d, n, noise_std):
    """Mean risk over draws and its standard error; each risk in closed form from the kernel of Cho and Saul."""
    risks = []
    for k in range(draws):
        rng = np.random.default_rng([k, p])
        beta = rng.standard_normal(d)
        beta /= np.linalg.norm(beta)
        x, w = rng.standard_normal((n, d)), rng.standard_normal((p, d)) / np.sqrt(p)
        f = np.maximum(x @ w.T, 0)
        theta = np.linalg.solve(f.T @ f + lam * np.eye(p), f.T @ (x @ beta + noise_std * rng.standard_normal(n)))
        lengths = np.linalg.norm(w, axis=1)
        angle = np.arccos(np.clip((w @ w.T) / np.outer(lengths, lengths), -1, 1))
        covariance = np.outer(lengths, lengths) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        risks.append(theta @ covariance @ theta - theta @ w @ beta + 1)
    return np.mean(risks), np.std(risks, ddof=1) / np.sqrt(draws)


@pytest.mark.parametrize("d", [2, 3, 4, 9, 35, 120])
def test_coefficients_are_projections_on_gegenbauer_polynomials(d):
    nodes, weights = np.polynomial.legendre.leggauss(400)
    theta = np.pi / 4 * (nodes + 1)  # [0, pi/2], where ReLU(cos theta) does not vanish
    density = weights * np.sin(theta) ** (d - 2) * math.gamma(d / 2) / math.gamma((d - 1) / 2) * math.sqrt(np.pi) / 4
    by_degree = dict(zip([0, 1, *range(2, 12, 2)], rf.coefficients(d, 7), strict=True))
    for degree in range(12):
        projected = density @ (np.cos(theta) * gegenbauer(d, degree, np.cos(theta)))
        assert abs(projected) == pytest.approx(by_degree.get(degree, 0.0), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("d", [2, 3, 5, 35])
def test_spectrum_expands_the_arc_cosine_kernel(d):
    t = np.linspace(-1, 1, 41)
    terms = enumerate(rf.coefficients(d, 300))
    series = sum(
        rf.multiplicity(d, k) * xi**2 * gegenbauer(d, k, t)
        for k, xi in ((2 * i - 2 if i > 1 else i, xi) for i, xi in terms)
    )
    kernel = (np.sqrt(1 - t**2) + (np.pi - np.arccos(t)) * t) / (2 * np.pi * d)
    np.testing.assert_allclose(series, kernel, atol=1e-7)


@given(st.integers(1, 50), st.integers(1, 12))
def test_harmonics_up_to_a_degree_span_the_polynomials_on_the_sphere(d, degree):
    polynomials = math.comb(d + degree - 1, degree) + math.comb(d + degree - 2, degree - 1)
    assert sum(rf.multiplicity(d, k) for k in range(degree + 1)) == polynomials


@given(st.integers(1, 300), st.integers(1, 20000))
def test_trace_is_whole_for_any_truncation(d, rank):
    _, shares, tail = rf.spectrum(d, rank)
    assert tail >= 0
    assert sum(shares) + tail == pytest.approx(1 / (2 * d), rel=1e-12)


@given(st.integers(1, 2000), st.floats(-9, 9).map(lambda exponent: 10**exponent))
def test_quadrature_satisfies_the_identities_of_chi_squared(d, z):
    q, w = rf.chi_squared_nodes(d)
    assert w @ q == pytest.approx(d, rel=1e-12)
    assert w @ q**2 == pytest.approx(d * (d + 2), rel=1e-12)
    if d > 2:
        assert w @ (1 / q) == pytest.approx(1 / (d - 2), rel=1e-12)
    q_next, w_next = rf.chi_squared_nodes(d + 2)  # E_d[q f(q)] = d E_{d+2}[f(q)]
    assert w @ (q / (1 + q * z)) == pytest.approx(d * (w_next @ (1 / (1 + q_next * z))), rel=1e-11)


@pytest.mark.parametrize("z", [1e-2, 1.0, 1e3, 1e9])
def test_quadrature_in_one_dimension_is_the_error_function(z):
    q, w = rf.chi_squared_nodes(1)
    exact = math.sqrt(math.pi / (2 * z)) * math.exp(1 / (2 * z)) * math.erfc(1 / math.sqrt(2 * z))
    assert w @ (1 / (1 + q * z)) == pytest.approx(exact, rel=1e-12)


@given(st.integers(1, 500), st.floats(-12, 9).map(lambda exponent: 10**exponent))
def test_saturation_inverts_the_expectation(d, z):
    q, w = rf.chi_squared_nodes(d)
    found, t, _ = rf.saturation(np.array([w @ (q * z / (1 + q * z))]), q, w)
    assert found[0] == pytest.approx(z, rel=1e-4)  # the fraction next to 1 has lost digits
    assert t[0] == pytest.approx(w @ (q / (1 + q * z)), rel=1e-4)


@settings(max_examples=15)
@given(problems)
def test_agrees_with_the_equations_in_the_regularisation(problem):
    assert rf.risk(**problem) == pytest.approx(equations_in_l(**problem), rel=1e-5)


@settings(max_examples=60)
@given(problems)
def test_penalty_of_the_root_is_the_one_asked_for(problem):
    d, n, p = problem["input_dim"], problem["n_train"], problem["n_features"]
    at = rf.model(d, min(n, p))
    arrays = [np.array([float(v)]) for v in (p, problem["lam"], n)]
    rho = rf.solve(*arrays, d, at)[0]
    log_lam, _, _ = rf.state(np.log(rho), arrays[0], arrays[2], at)
    assert log_lam[0] == pytest.approx(np.log(problem["lam"]), abs=1e-6)


@settings(max_examples=60)
@given(problems)
def test_parts_are_positive_and_the_noise_is_bounded_for_every_width(problem):
    parts = rf.risk_parts(**problem)
    sigma = problem["noise_std"]
    assert parts.bias >= 0
    assert 0 <= parts.noise <= sigma**2 * problem["input_dim"] / (8 * problem["lam"]) * (1 + 1e-9)
    doubled = rf.risk_parts(**problem | {"noise_std": 2 * sigma})
    assert doubled.noise == pytest.approx(4 * parts.noise, rel=1e-12)
    assert doubled.bias == parts.bias


@settings(max_examples=30)
@given(problems)
def test_infinite_penalty_gives_the_null_risk(problem):
    assert rf.risk(**problem | {"lam": 1e15}) == pytest.approx(rf.NULL_RISK, abs=1e-6)


@pytest.mark.parametrize("d", [1, 2, 3, 35, 400])
def test_whole_range_is_finite(d):
    p = np.array([1, 2, 30, 300, 5000, 20000, np.inf])
    for n in (1, 30, 5000):
        values = rf.risk(p[:, None], np.geomspace(1e-6, 1e6, 13), d, n, 0.0)
        assert np.all((values > 0) & np.isfinite(values))


def test_width_to_infinity_is_the_kernel_limit():
    lam = np.array([0.01, 1.0, 100.0])
    limit = rf.risk(np.inf, lam, **SHEET)
    gaps = np.array([rf.risk(p, lam, **SHEET) - limit for p in (1e5, 1e6, 1e7)])
    np.testing.assert_allclose(gaps[:-1] / gaps[1:], 10.0, rtol=0.01)  # of order 1/p


def test_many_samples_leave_the_approximation_error_of_the_features():
    """The least risk of p features over all theta, 1 - E (W b)'M^-1 (W b) / 4, against 40 draws of M."""
    d, p, rests = 12, 40, []
    for k in range(40):
        w = np.random.default_rng(k).standard_normal((p, d))
        lengths = np.linalg.norm(w, axis=1)
        angle = np.arccos(np.clip((w @ w.T) / np.outer(lengths, lengths), -1, 1))
        covariance = np.outer(lengths, lengths) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        rests.append(1 - np.trace(w.T @ np.linalg.solve(covariance, w)) / (4 * d))
    se = np.std(rests, ddof=1) / np.sqrt(len(rests))
    theory = rf.risk(p, 1e-3, d, 10**9, 0.5)
    assert abs(theory - np.mean(rests)) < 4 * se + rf.RELATIVE_ERROR / d * np.mean(rests)


@pytest.mark.parametrize(
    ("p", "lam", "d", "n", "noise_std"),
    [(30, 1.0, 30, 90, 0.5), (90, 1.0, 30, 90, 0.5), (160, 0.1, 30, 90, 1.0), (90, 5.0, 12, 60, 0.0)],
)
def test_simulation_agrees_within_four_standard_errors_and_the_stated_error(p, lam, d, n, noise_std):
    mean, se = simulated(150, p, lam, d, n, noise_std)
    assert abs(rf.risk(p, lam, d, n, noise_std) - mean) < 4 * se + rf.RELATIVE_ERROR / d * mean


def test_arrays_broadcast_and_equal_single_calls():
    p, lam, n = np.array([[5], [50]]), np.array([0.1, 1.0, 10.0]), np.array([[[20]], [[40]]])
    table = rf.risk(p, lam, 10, n, 0.3)
    assert table.shape == (2, 2, 3)
    for i, j, k in np.ndindex(table.shape):
        assert table[i, j, k] == pytest.approx(float(rf.risk(p[j, 0], lam[k], 10, n[i, 0, 0], 0.3)), rel=1e-9)


@settings(max_examples=10)
@given(problems)
def test_no_penalty_beats_the_optimal_one(problem):
    del problem["lam"]
    lam, least = rf.optimal_lambda(**problem)
    assert least == pytest.approx(float(rf.risk(lam=lam, **problem)), rel=1e-9)
    assert np.all(rf.risk(lam=np.geomspace(1e-6, 1e6, 200), **problem) >= least * (1 - 1e-9))


def test_optimal_penalty_stays_in_its_interval():
    lam, _ = rf.optimal_lambda(np.array([1, 50, 1000]), **SHEET, low=20, high=30)
    np.testing.assert_allclose(lam, [30, 20, 20], rtol=1e-6)


def test_risk_falls_at_every_step_for_the_optimal_penalty():
    _, least = rf.optimal_lambda(WIDTHS, **SHEET)
    assert np.all(np.diff(least) < 0)
    kernel_lam, kernel = rf.optimal_lambda(np.inf, **SHEET)
    assert rf.linear_risk(**SHEET) < kernel < least[-1]
    assert 5 < kernel_lam < 6


@pytest.mark.parametrize(("lam", "falls"), [(0.01, False), (0.58, False), (0.6, True), (1.0, True), (100.0, True)])
def test_fixed_penalty_gives_a_falling_curve_from_a_threshold_on(lam, falls):
    assert np.all(np.diff(rf.risk(WIDTHS, lam, **SHEET)) < 0) == falls


@pytest.mark.parametrize(("d", "n"), [(4, 20), (20, 10)])
def test_linear_baseline_is_the_mean_over_draws(d, n):
    rng = np.random.default_rng(1)
    beta = np.eye(d)[0]
    errors = []
    for _ in range(2000):
        x = rng.standard_normal((n, d))
        errors.append(np.sum((np.linalg.pinv(x) @ (x @ beta + 0.5 * rng.standard_normal(n)) - beta) ** 2))
    se = np.std(errors, ddof=1) / np.sqrt(len(errors))
    assert abs(rf.linear_risk(d, n, 0.5) - np.mean(errors)) < 4 * se


def test_linear_baseline_is_infinite_at_the_threshold():
    assert [rf.linear_risk(10, n, 0.5) for n in (9, 10, 11)] == [np.inf] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_features": 0},
        {"lam": 0.0},
        {"lam": np.nan},
        {"lam": np.inf},
        {"n_train": 0},
        {"n_train": np.inf},
        {"input_dim": 0},
        {"input_dim": 2.5},
        {"noise_std": -1.0},
        {"noise_std": np.nan},
    ],
)
def test_impossible_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        rf.risk(**{"n_features": 10, "lam": 1.0} | SHEET | wrong)
