"""Problem 3: the derivatives against three independent methods; broken layers, paths and depth against enumeration."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw6 import residual
from p3_figures import draw_growth, draw_vanishing
from p3_residual_gradients import SIGMA, autograd, drawn_experiment, study
from pipeline.style import new_figure

LEAST = {
    "input_dim": 1,
    "width": 1,
    "depth": 3,
    "samples": 1,
    "growth_width": 1,
    "growth_layers": 1,
    "replicates": 100,
    "seed": 0,
}
SMOOTH = sorted(set(residual.ACTIVATIONS) - {"relu", "squared_relu"})
shapes = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(2, 7))  # n, m, L
deep_shapes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(3, 7))
seeds = st.integers(0, 2**32 - 1)
quickly = settings(max_examples=50)


def drawn(seed, shape, activation, skips=True):
    net, x = residual.random_network(np.random.default_rng(seed), *shape, activation)
    return net._replace(residual=skips), x


def close(value, reference, tolerance=1e-11):
    np.testing.assert_allclose(value, reference, rtol=tolerance, atol=tolerance)


def output_by_loops(A, b, x, sigma, skips):
    """The sheet's equations with Python's own arithmetic."""
    y, last = list(x), len(A) - 1
    for ell in range(1, last + 1):
        z = [
            sum(w * v for w, v in zip(row, y, strict=True)) + c for row, c in zip(A[ell].tolist(), b[ell], strict=True)
        ]
        if ell == last:
            return z[0]
        added = y if skips and ell > 1 else [0] * len(z)
        y = [sigma(p) + v for p, v in zip(z, added, strict=True)]


@quickly
@given(seeds, shapes, st.sampled_from(sorted(SIGMA)), st.booleans())
def test_formulas_equal_reverse_mode(seed, shape, activation, skips):
    net, x = drawn(seed, shape, activation, skips)
    dy, db, dA, dL = autograd(net, x)
    z = residual.forward(net, x)[1]
    formula_b, formula_A = residual.gradients(net, x)
    for ell in range(1, net.depth + 1):
        assert formula_b[ell].shape == net.b[ell].shape
        assert formula_A[ell].shape == net.A[ell].shape
        close(formula_b[ell], db[ell])
        close(formula_A[ell], dA[ell])
        if ell > 1:
            close(residual.layer_jacobian(net, ell, z), dy[ell])
    close(dL[net.depth], 1)


@quickly
@given(seeds, shapes, st.sampled_from(sorted(SIGMA)), st.booleans())
def test_formulas_equal_complex_steps(seed, shape, activation, skips):
    net, x = drawn(seed, shape, activation, skips)
    dy, db, dA = residual.complex_step(net, x)
    z = residual.forward(net, x)[1]
    formula_b, formula_A = residual.gradients(net, x)
    for ell in range(1, net.depth + 1):
        close(formula_b[ell], db[ell])
        close(formula_A[ell], dA[ell])
        if ell > 1:
            close(residual.layer_jacobian(net, ell, z), dy[ell])


@quickly
@given(seeds, shapes, st.sampled_from(SMOOTH), st.booleans())
def test_formulas_equal_central_differences_of_loops(seed, shape, activation, skips):
    net, x = drawn(seed, shape, activation, skips)
    sigma = residual.ACTIVATIONS[activation].value

    def output(A, b):
        return output_by_loops(A, b, x, lambda z: sigma(np.float64(z)), skips)

    close(residual.forward(net, x)[0][-1], output(net.A, net.b))
    db, dA = residual.gradients(net, x)
    h = 1e-5
    for ell in range(1, net.depth + 1):
        for entry in np.ndindex(net.A[ell].shape):
            bumped = [
                residual.replaced(net.A, ell, net.A[ell] + sign * h * _unit(net.A[ell], entry)) for sign in (1, -1)
            ]
            difference = (output(bumped[0], net.b) - output(bumped[1], net.b)) / (2 * h)
            close(dA[ell][entry], difference, 1e-5)
        for entry in np.ndindex(net.b[ell].shape):
            bumped = [
                residual.replaced(net.b, ell, net.b[ell] + sign * h * _unit(net.b[ell], entry)) for sign in (1, -1)
            ]
            difference = (output(net.A, bumped[0]) - output(net.A, bumped[1])) / (2 * h)
            close(db[ell][entry], difference, 1e-5)


def _unit(like, entry):
    unit = np.zeros_like(like)
    unit[entry] = 1
    return unit


@quickly
@given(seeds, st.sampled_from(sorted(residual.ACTIVATIONS)))
def test_slopes_are_the_derivatives_of_the_activations(seed, activation):
    z = np.random.default_rng(seed).uniform(-6, 6, 20)
    value, slope = residual.ACTIVATIONS[activation]
    close(slope(z), value(z + 1e-30j).imag / 1e-30)
    away = z[np.abs(z) > 1e-3]
    close(slope(away), (value(away + 1e-6) - value(away - 1e-6)) / 2e-6, 1e-6)
    assert np.isrealobj(value(z))


@quickly
@given(seeds, shapes)
def test_the_last_and_the_first_layer(seed, shape):
    net, x = drawn(seed, shape, "tanh")
    y, z = residual.forward(net, x)
    db, dA = residual.gradients(net, x)
    close(db[net.depth], [1])
    close(dA[net.depth], y[net.depth - 1][None, :])
    close(y[1], np.tanh(net.A[1] @ x + net.b[1]))  # no skip, whatever n and m are
    close(residual.layer_jacobian(net, net.depth, z), net.A[net.depth])
    close(dA[1], np.outer(db[1], x))


@quickly
@given(seeds, shapes, st.booleans())
def test_pulling_back_is_the_product_with_the_layers_derivative(seed, shape, skips):
    net, x = drawn(seed, shape, "sine", skips)
    z = residual.forward(net, x)[1]
    s = residual.slopes(net, z)
    for ell in range(2, net.depth + 1):
        row = np.random.default_rng(seed).standard_normal(len(s[ell]))
        result = residual.pull_back(row, s[ell], net.A[ell], net.skips(ell))
        close(result, row @ residual.layer_jacobian(net, ell, z))


@quickly
@given(seeds, shapes, st.booleans())
def test_norms_of_weight_gradients_are_products(seed, shape, skips):
    net, x = drawn(seed, shape, "softplus", skips)
    y, _ = residual.forward(net, x)
    for db, dA, below in zip(*(part[1:] for part in residual.gradients(net, x)), y[:-1], strict=True):
        close(np.linalg.norm(dA), np.linalg.norm(db) * np.linalg.norm(below))


@quickly
@given(seeds, shapes)
def test_random_networks_stay_away_from_the_kink(seed, shape):
    net, x = residual.random_network(np.random.default_rng(seed), *shape, "relu", margin=0.01)
    z = residual.forward(net, x)[1]
    assert all(np.abs(v).min() > 0.01 for v in z[1:-1])


def test_at_the_kink_both_take_slope_zero():
    net = residual.Network([None, np.zeros((2, 1)), np.ones((1, 2))], [None, np.zeros(2), np.ones(1)], "relu")
    x = np.ones(1)
    close(residual.gradients(net, x)[0][1], [0, 0])
    close(autograd(net, x)[1][1], [0, 0])


@quickly
@given(seeds, deep_shapes, st.booleans())
def test_pinned_networks_have_the_given_pre_activations(seed, shape, skips):
    x, A, targets = drawn_experiment(np.random.default_rng(seed), *shape)
    net = residual.pinned_network(x, A, targets, residual=skips)
    for z, target in zip(residual.forward(net, x)[1][1:], targets[1:], strict=True):
        close(z, target)


@quickly
@given(seeds, deep_shapes, st.data())
def test_broken_layers_drop_out(seed, shape, data):
    x, A, targets = drawn_experiment(np.random.default_rng(seed), *shape)
    depth = shape[2]
    broken = data.draw(st.dictionaries(st.integers(2, depth - 1), st.sampled_from(["zero_weight", "zero_slope"])))
    weights, aims = A, targets
    for j, cause in broken.items():
        weights, aims = residual.break_layer(weights, aims, j, cause)
    plain = autograd(residual.pinned_network(x, weights, aims, residual=False), x)
    kept = autograd(residual.pinned_network(x, weights, aims), x)
    expected = A[depth]
    for i in range(depth - 1, 0, -1):
        close(kept[3][i], expected[0])
        if any(j > i for j in broken):
            assert not plain[1][i].any()
            assert not plain[2][i].any()
        if i not in broken and i > 1:
            expected = expected + expected * (2 * targets[i]) @ A[i]


def test_breaking_leaves_its_arguments_alone():
    _, A, targets = drawn_experiment(np.random.default_rng(0), 2, 3, 5)
    before = [value.copy() for value in A[1:] + targets[1:]]
    residual.break_layer(A, targets, 3, "zero_weight")
    residual.break_layer(A, targets, 3, "zero_slope")
    assert all(np.array_equal(old, new) for old, new in zip(before, A[1:] + targets[1:], strict=True))
    with pytest.raises(ValueError, match="unknown cause"):
        residual.break_layer(A, targets, 3, "no_weight")


@quickly
@given(seeds, deep_shapes)
def test_each_path_is_the_product_along_it(seed, shape):
    net, x = drawn(seed, shape, "tanh")
    z = residual.forward(net, x)[1]
    for i in range(1, net.depth):
        terms = residual.path_terms(net, z, i)
        layers = range(i + 1, net.depth)
        assert terms.shape == (2,) * len(layers) + (shape[1],)
        for path in itertools.product([0, 1], repeat=len(layers)):
            product = np.eye(shape[1])
            for ell, through in zip(layers, path, strict=True):
                product = np.diag(1 - np.tanh(z[ell]) ** 2) @ net.A[ell] @ product if through else product
            close(terms[path], (net.A[net.depth] @ product)[0])


def test_a_plain_network_has_no_paths_to_add():
    net, x = drawn(0, (2, 2, 4), "tanh", skips=False)
    with pytest.raises(ValueError, match="one path only"):
        residual.path_terms(net, residual.forward(net, x)[1], 1)


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(("m", "k"), [(1, 0), (1, 5), (2, 0), (2, 1), (2, 2), (3, 1)])
def test_mean_square_by_enumeration(skips, m, k):
    """Entries of plus or minus sqrt(1/(3m)) have the mean and variance of the uniform ones: all sign patterns."""
    signs = np.array(list(itertools.product([-1, 1], repeat=m + k * m * m))) / np.sqrt(3 * m)
    row = signs[:, :m]
    for step in range(k):
        A = signs[:, m + step * m * m : m + (step + 1) * m * m].reshape(-1, m, m)
        row = residual.pull_back(row, 1.0, A, skips)
    close(np.square(row).sum(axis=1).mean(), residual.mean_square_gradient(k, skips))


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("angle", [0, 0.3, np.pi / 4])
def test_standard_error_bounds_the_exact_one(skips, angle):
    """Gauss's rule with three nodes is exact for the fourth moments of the four entries of a 2 × 2 matrix."""
    nodes, weights = np.polynomial.legendre.leggauss(3)
    points = np.array(list(itertools.product(nodes, repeat=4))).reshape(-1, 2, 2) / np.sqrt(2)
    mass = np.prod(list(itertools.product(weights / 2, repeat=4)), axis=1)
    row = np.array([np.cos(angle), np.sin(angle)])
    factor = np.square(residual.pull_back(row, 1.0, points, skips)).sum(axis=1)
    close(mass @ factor, residual.mean_square_gradient(1, skips) * 3)
    exact = np.sqrt(mass @ factor**2 - (mass @ factor) ** 2)
    bound = residual.factor_standard_error(2, 1, skips)
    assert exact <= bound <= 1.6 * exact
    close(residual.factor_standard_error(2, 25, skips), bound / 5)


@pytest.mark.parametrize("skips", [True, False])
def test_simulated_growth_is_that_of_drawn_networks(skips):
    m, layers, replicates = 4, 3, 5
    squares = residual.simulate_growth(np.random.default_rng(8), m, layers, replicates, skips)
    rng, bound = np.random.default_rng(8), 1 / np.sqrt(m)
    rows = rng.uniform(-bound, bound, (replicates, m))
    matrices = [rng.uniform(-bound, bound, (replicates, m, m)) for _ in range(layers)]
    for r in range(replicates):
        factors = [np.eye(m) * skips + A[r] for A in matrices]
        for k in range(layers + 1):
            product = np.linalg.multi_dot([rows[r], np.eye(m), *factors[:k]])
            close(squares[k, r], product @ product)


@pytest.mark.parametrize(
    "change",
    [{}, {"seed": 7, "growth_layers": 60}, {"input_dim": 6, "samples": 3, "depth": 6}, {"width": 4, "growth_width": 3}],
)
def test_theorems_hold_at_the_edges(change):
    claims = study(**LEAST | change)["claims"]
    assert set(claims.loc[claims["kind"] == "theorem", "holds"]) == {"yes"}


def test_the_tables_are_complete_and_repeatable():
    block = LEAST | {"depth": 5, "width": 3, "samples": 2}
    first, second = study(**block), study(**block)
    assert all(pd.testing.assert_frame_equal(first[name], second[name]) is None for name in first)
    assert list(first["gradient_check"]) == ["activation", "depth", "derivative", "layer", "relative_error_below"]
    assert list(first["vanishing"]) == ["network", "cause", "broken_layer", "layer", "norm_dA", "norm_db"]
    for depth, rows in first["gradient_check"].groupby("depth"):
        present = set(rows[["derivative", "layer"]].itertuples(index=False, name=None))
        assert present == {
            *(("dy_dy", ell) for ell in range(2, depth + 1)),
            *((name, ell) for name in ("dy_db", "dy_dA") for ell in range(1, depth + 1)),
        }
    assert len(first["vanishing"]) == 2 * (1 + 2 * 3) * 5
    assert not first["growth"].isna().any(axis=None)


def test_the_figures_show_the_tables():
    tables = study(**LEAST | {"depth": 6, "width": 3})
    figure, panels = new_figure(2, sharey=True)
    draw_vanishing(panels, tables["vanishing"])
    broken = tables["vanishing"][tables["vanishing"]["broken_layer"] == 4].groupby(["cause", "network"])
    for axes, cause in zip(panels, ["zero_weight", "zero_slope"], strict=True):
        curves = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 6]
        for curve, network in zip(curves, ["residual", "plain"], strict=True):
            np.testing.assert_array_equal(curve, broken.get_group((cause, network))["norm_db"])
    figure, axes = new_figure()
    draw_growth(axes, tables["growth"])
    heights = np.concatenate([bars.lines[0].get_ydata() for bars in axes.containers])
    assert set(heights) == set(tables["growth"]["square_simulated"])
    figure.canvas.draw()
