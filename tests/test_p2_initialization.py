"""Problem 2: the formulas against exact arithmetic, naive loops and the installed torch."""

import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import p2_figures
import p2_initialization as edge
from hw6 import initialization as hw6
from pipeline.style import new_figure

TINY = [(1, 1), (3, 1), (2, 2, 1), (1, 3, 1), (3, 2, 2, 1), (2, 2, 2, 1), (1, 2, 1, 2, 1)]
ARCHITECTURES = st.lists(st.integers(1, 300), min_size=2, max_size=8)
some = settings(max_examples=60)


# An oracle in rational arithmetic: the output as a polynomial in the inputs and in the parameters times sqrt(fan-in).


def moment(variable, power):
    """E of a power of one variable: N(0, 1) for inputs ("x", ...), U(-1, 1)/sqrt(n) for parameters ("u", n, ...)."""
    if power % 2:
        return Fraction(0)
    if variable[0] == "x":
        return Fraction(math.prod(range(1, power, 2)))
    return Fraction(1, (power + 1) * variable[1] ** (power // 2))


def times(first, second):
    product = {}
    for (a, p), (b, q) in itertools.product(first.items(), second.items()):
        product[tuple(sorted(a + b))] = product.get(tuple(sorted(a + b)), 0) + p * q
    return product


def expectation(polynomial):
    total = Fraction(0)
    for variables, coefficient in polynomial.items():
        counts = {v: variables.count(v) for v in variables}
        total += coefficient * math.prod((moment(v, k) for v, k in counts.items()), start=Fraction(1))
    return total


def output_polynomial(widths, with_input=True):
    y = [{(("x", 0, 0, 0, i),): 1} if with_input else {} for i in range(widths[0])]
    for layer, (n, m) in enumerate(itertools.pairwise(widths)):
        new = []
        for i in range(m):
            z = {(("u", n, layer, i, n),): 1}
            for j in range(n):
                z |= times({(("u", n, layer, i, j),): 1}, y[j])
            new.append(z)
        y = new
    return y[0]


@pytest.mark.parametrize("widths", TINY)
def test_formulas_are_exact_in_rational_arithmetic(widths):
    y = output_polynomial(widths)
    square = times(y, y)
    variance = expectation(square)
    assert expectation(y) == 0
    assert hw6.variances(widths)[-1] == pytest.approx(float(variance), rel=1e-13)
    assert hw6.kurtosis(widths) == pytest.approx(float(expectation(times(square, square)) / variance**2), rel=1e-13)
    constant = output_polynomial(widths, with_input=False)
    bias_part = expectation(times(constant, constant))
    assert hw6.variance_parts(widths) == pytest.approx((float(variance - bias_part), float(bias_part)), rel=1e-13)


@pytest.mark.parametrize("widths", [(1, 1), (2, 2, 1), (1, 2, 1, 1)])
def test_enumeration_agrees_with_rational_arithmetic(widths):
    y = output_polynomial(widths)
    square = times(y, y)
    found = hw6.enumerated_moments(widths, *hw6.normal_inputs(widths[0]))
    assert found["variance"] == pytest.approx(float(expectation(square)), rel=1e-12)
    assert found["fourth"] == pytest.approx(float(expectation(times(square, square))), rel=1e-12)
    assert found["input_part"] == pytest.approx(3.0 ** -(len(widths) - 1), rel=1e-12)
    assert found["input_part"] + found["bias_part"] == pytest.approx(found["variance"], rel=1e-12)


def test_sheet_sized_network_has_the_known_values():
    widths = (35, 64, 64, 1)
    variance = Fraction(1, 27) + Fraction(1, 27 * 35) + Fraction(1, 9 * 64) + Fraction(1, 3 * 64)
    assert hw6.variances(widths)[-1] == pytest.approx(float(variance))
    relu = (Fraction(1, 3) + Fraction(1, 105)) / 36 + Fraction(1, 6 * 192) + Fraction(1, 192)
    assert hw6.relu_variances(widths)[-1] == pytest.approx(float(relu))


@some
@given(ARCHITECTURES)
def test_closed_form_equals_recursion(widths):
    assert sum(hw6.variance_parts(widths)) == pytest.approx(hw6.variances(widths)[-1], rel=1e-12)


@some
@given(ARCHITECTURES)
def test_relu_recursion_unrolled(widths):
    depth = len(widths) - 1
    unrolled = 6.0 ** (1 - depth) / 3 + sum(6.0 ** (k - depth) / (3 * widths[k - 1]) for k in range(1, depth + 1))
    assert hw6.relu_variances(widths)[-1] == pytest.approx(unrolled, rel=1e-12)


@some
@given(st.integers(1, 10**6))
def test_kurtosis_of_one_layer(n):
    """For L = 1 the fourth moments give 3 + (12 n/5 - 6/5)/(n + 1)^2."""
    assert hw6.kurtosis([n, 1]) == pytest.approx(3 + (2.4 * n - 1.2) / (n + 1) ** 2, rel=1e-9)


def test_limits_of_the_kurtosis():
    assert hw6.kurtosis([10**7] * 4 + [1]) == pytest.approx(3, abs=1e-5)
    assert hw6.kurtosis([10**7] * 80 + [1]) == pytest.approx(37 / 15, abs=1e-5)


@pytest.mark.parametrize("widths", [(), (3,), (3, 0, 1), (3, -1, 1), (2.5, 1)])
@pytest.mark.parametrize("function", [hw6.variances, hw6.variance_parts, hw6.relu_variances, hw6.kurtosis])
def test_impossible_widths_are_refused(function, widths):
    with pytest.raises(ValueError, match="widths"):
        function(widths)


# The installed torch.


@pytest.mark.parametrize("slope", [0, 0.3, 1, math.sqrt(5)])
def test_bound_is_the_one_of_kaiming_uniform(slope):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weight = torch.nn.init.kaiming_uniform_(torch.empty(2000, 20, dtype=torch.float64), a=slope)
    bound = hw6.kaiming_bound(20, slope)
    assert 0.999 * bound < weight.abs().max() <= bound


def test_slope_of_linear_gives_one_over_the_root():
    assert hw6.kaiming_bound(35, math.sqrt(5)) == pytest.approx(1 / math.sqrt(35), rel=1e-14)


def test_drawn_layer_is_a_new_linear():
    weights, biases = hw6.draw_layer(5, 7, seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        layer = torch.nn.Linear(5, 7, dtype=torch.float64)
    np.testing.assert_array_equal(weights.reshape(7, 5), layer.weight.detach().numpy())
    np.testing.assert_array_equal(biases, layer.bias.detach().numpy())


@some
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=20), st.floats(0.5, 2))
def test_distance_from_uniform_against_its_definition(sample, bound):
    """The supremum is approached at the sample's points, from the left or from the right."""
    naive = 0
    for t in sample:
        law = min(max((t + bound) / (2 * bound), 0), 1)
        naive = max(naive, abs(sum(s <= t for s in sample) / len(sample) - law))
        naive = max(naive, abs(sum(s < t for s in sample) / len(sample) - law))
    assert hw6.distance_from_uniform(np.array(sample), bound) == pytest.approx(naive, abs=1e-12)


# The simulation.


def naive_networks(widths, seeds, inputs, rng):
    """The same networks as modules in a row, one input at a time."""
    for seed in seeds:
        layers = [torch.nn.Linear(n, m, dtype=torch.float64) for n, m in itertools.pairwise(widths)]
        torch.manual_seed(int(seed))
        for layer in layers:
            layer.reset_parameters()
        yield layers, [torch.from_numpy(x) for x in rng.standard_normal((inputs, widths[0]))]


@pytest.mark.parametrize("widths", [(4, 1), (3, 5, 2, 1), (2, 3, 2)])
def test_simulation_against_a_loop(widths):
    seeds = [5, 6, 7]
    found = hw6.simulate(widths, seeds, 4, np.random.default_rng(1))
    with torch.random.fork_rng(devices=[]):
        networks = list(naive_networks(widths, seeds, 4, np.random.default_rng(1)))
    for r, (layers, xs) in enumerate(networks):
        for depth in range(1, len(widths)):
            linear = torch.nn.Sequential(*layers[:depth])
            y = torch.cat([linear(x) for x in xs])
            assert found.mean[r, depth - 1] == pytest.approx(y.mean().item(), rel=1e-12)
            assert found.square[r, depth - 1] == pytest.approx((y**2).mean().item(), rel=1e-12)
            mixed = [m for layer in layers[:depth] for m in (layer, torch.nn.ReLU())][:-1]
            z = torch.cat([torch.nn.Sequential(*mixed)(x) for x in xs])
            assert found.relu_square[r, depth - 1] == pytest.approx((z**2).mean().item(), rel=1e-12)
        network = torch.nn.Sequential(*layers)
        slope = torch.autograd.functional.jacobian(network, xs[0])
        np.testing.assert_allclose(found.spread[r], (slope**2).sum(dim=1).numpy(), rtol=1e-12)
        np.testing.assert_allclose(found.centre[r], network(torch.zeros_like(xs[0])).detach().numpy(), rtol=1e-12)
        np.testing.assert_array_equal(found.last_bias[r], layers[-1].bias.detach().numpy())


def test_simulation_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    hw6.simulate((3, 2, 1), [1, 2], 2, np.random.default_rng(0))
    hw6.draw_layer(3, 2, 0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_network_does_not_depend_on_the_others():
    alone = edge.study({"base": [4, 3, 1], "deep": [2, 2, 1]}, 20, 3, 7)["variance"]
    crowd = edge.study({"wide": [9, 1], "deep": [2, 2, 1], "base": [4, 3, 1]}, 20, 3, 7)["variance"]
    for name in ("base", "deep"):
        first, second = (t[t["network"] == name].reset_index(drop=True) for t in (alone, crowd))
        assert first.equals(second)


def test_errors_are_clustered_by_network():
    """A thousand inputs to two networks are two observations of the biases, not two thousand."""
    simulation = hw6.simulate((50, 50, 50, 50, 50, 1), [1, 2], 1000, np.random.default_rng(0))
    mean, error = hw6.mean_and_error(simulation.mean[:, -1])
    assert mean == pytest.approx(simulation.mean[:, -1].sum() / 2)
    assert error == pytest.approx(abs(simulation.mean[0, -1] - simulation.mean[1, -1]) / 2)


def one_network(centre, spread, last_bias):
    two = [np.array([[value], [value]]) for value in (centre, spread, last_bias)]
    return hw6.Simulation(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)), *two)


def test_density_of_one_network_is_the_convolution():
    """Normal plus uniform, both signs averaged, integrated by hand."""
    simulation = one_network(centre=0.7, spread=0.04, last_bias=0.3)
    points, bound = np.linspace(-1.5, 1.5, 7), 0.5
    shifts = np.linspace(-bound, bound, 20001)
    expected = np.zeros(7)
    for sign in (-1, 1):
        normal = np.exp(-((sign * points[:, None] - 0.4 - shifts) ** 2) / 0.08) / math.sqrt(0.08 * math.pi)
        expected += np.trapezoid(normal, shifts, axis=1) / (2 * bound) / 2
    density, error = hw6.output_density(simulation, bound, points)
    np.testing.assert_allclose(density, expected, rtol=1e-6)
    np.testing.assert_allclose(error, 0, atol=1e-15)


def test_density_has_the_mass_and_the_variance_of_the_output():
    widths = (6, 5, 1)
    simulation = hw6.simulate(widths, range(3000), 1, np.random.default_rng(0))
    points = np.linspace(-8, 8, 1601)
    density, _ = hw6.output_density(simulation, 1 / math.sqrt(5), points)
    assert np.trapezoid(density, points) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(density * points**2, points) == pytest.approx(hw6.variances(widths)[-1], rel=0.06)


def test_fourth_moment_of_a_normal_output():
    """E(c + sqrt(s) g)^4 for g ~ N(0, 1), with a rule that is exact for it."""
    points, weights = np.polynomial.hermite_e.hermegauss(5)
    expected = weights @ (0.7 + 0.2 * points) ** 4 / weights.sum()
    np.testing.assert_allclose(hw6.fourth_moments(one_network(0.7, 0.04, 0)), expected)


# The edge.


def test_study_of_the_small_configuration():
    config = yaml.safe_load(Path(__file__).with_name("config.yaml").read_text(encoding="utf-8"))
    tables = edge.study(**config["initialization"])
    claims = tables["claims"]
    assert list(claims.loc[claims["holds"] != "yes", "claim"]) == []
    layers = sum(len(widths) - 1 for widths in config["initialization"]["networks"].values())
    assert len(tables["variance"]) == len(tables["relu"]) == layers


SMALLEST = {"base": [1, 1], "deep": [1] * 33, "x": [1, 1024, 1]}


@pytest.mark.parametrize("networks", [SMALLEST, {"base": [2, 3], "deep": [3, 2, 4]}])
def test_theorems_hold_at_the_edges_of_the_configuration(networks):
    claims = edge.study(networks, replicates=100, inputs=1, seed=0)["claims"]
    theorems = claims[claims["kind"] == "theorem"]
    assert (theorems["holds"] == "yes").all()
    assert (claims["holds"] != "undecided").all()


@pytest.mark.parametrize("networks", [SMALLEST, {f"n{k}": [3, k, 1] for k in range(1, 9)} | SMALLEST])
def test_figures_draw_what_the_tables_hold(networks):
    tables = edge.study(networks, replicates=100, inputs=1, seed=0)
    _, axes = new_figure(columns=2, sharey=True)
    p2_figures.draw_variance(axes[0], tables["variance"])
    p2_figures.label_curves(axes[0], tables["variance"])
    theory = tables["variance"].loc[tables["variance"]["network"] == "deep", "variance_theory"]
    assert any(np.array_equal(line.get_ydata(), theory) for line in axes[0].lines)
    assert {text.get_text() for text in axes[0].texts} == set(networks)
    density, law = tables["density"], tables["law"]
    p2_figures.draw_law(axes[1], density[density["network"] == "base"], law.iloc[0])
    assert any(np.array_equal(line.get_ydata(), density["gaussian"][: edge.DENSITY_POINTS]) for line in axes[1].lines)


def test_architecture_in_words():
    assert edge.architecture([35, 64, 64, 1]) == "35–64–64–1"
    assert edge.architecture([64] * 10 + [1]) == "64 (×10)–1"
    assert edge.architecture([2, 2, 2, 2, 1, 1]) == "2 (×4)–1–1"
