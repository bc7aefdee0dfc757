"""Problem 1: the exchange of dropout and activation against naive oracles, exact arithmetic and torch itself."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import p1_dropout as room
from hw6 import dropout as hw
from p1_figures import PANELS, draw_rescaled
from pipeline.style import new_figure
from pipeline.tables import read_table, write_table

SMALL = {"p": 0.4, "other_p": 0.5, "in_features": 2, "out_features": 3, "samples": 32, "seed": 1}
COMMUTING = {"relu", "leaky_relu", "prelu", "identity"}
rates = st.floats(0.05, 0.95)
slopes = st.floats(-3, 3)
moderate = st.floats(-1e3, 1e3).filter(lambda z: abs(z) > 1e-3)
examples = settings(max_examples=50)


def piecewise_linear(right, left):
    return lambda z: torch.where(z < 0, left, right) * z


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.5, math.nan])
def test_scale_refuses_rates_outside_the_open_interval(p):
    with pytest.raises(ValueError, match="0 < p < 1"):
        hw.scale(p)


@given(p=rates, z=moderate)
@examples
def test_nn_dropout_is_the_model(p, z):
    """A unit gives 0 or c z in training, and z in evaluation."""
    dropout = torch.nn.Dropout(p)
    outputs = set(dropout(torch.full((2000,), z, dtype=torch.float64)).tolist())
    assert len(outputs) == 2
    assert sorted(outputs, key=abs) == pytest.approx([0, hw.scale(p) * z])
    assert dropout.eval()(torch.tensor(z)) == torch.tensor(z)


@pytest.mark.parametrize("dropout_first", [False, True])
@pytest.mark.parametrize("name", hw.ACTIVATIONS)
def test_module_is_the_formula_with_torch_s_own_mask(name, dropout_first):
    sigma = hw.ACTIVATIONS[name]().double()
    module = hw.LinearDropoutActivation(4, 6, sigma, 0.3, dropout_first).double()
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((50, 4)))
    factors = room.with_seed(module.dropout, torch.ones(50, 6, dtype=torch.float64), 7)
    assert set(factors.unique().tolist()) == {0, 1 / 0.7}
    z = x @ module.linear.weight.T + module.linear.bias
    expected = sigma(factors * z) if dropout_first else factors * sigma(z)
    torch.testing.assert_close(room.with_seed(module, x, 7), expected)
    torch.testing.assert_close(module.eval()(x), sigma(z))


def test_printed_class_raises_and_the_working_one_does_not():
    x = torch.ones(2, 3)
    assert room.error_of(hw.AsPrinted(3, 5), x) == "NameError"
    assert room.error_of(hw.LinearDropoutActivation(3, 5, torch.nn.ReLU(), 0.4), x) == "none"


@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize("p", [0.05, 0.4, 0.9])
def test_masks_and_their_probabilities(units, p):
    masks = hw.all_masks(units)
    assert len({tuple(mask) for mask in masks}) == 2**units
    naive = [math.prod(1 - p if kept else p for kept in mask) for mask in masks]
    assert hw.mask_probabilities(masks, p) == pytest.approx(naive)
    assert sum(naive) == pytest.approx(1)


@given(p=rates, right=slopes, left=slopes, z=moderate)
@examples
def test_every_member_of_the_relu_family_commutes_at_every_rate(p, right, left, z):
    sigma, value = piecewise_linear(right, left), torch.tensor([z, -z, 0.0], dtype=torch.float64)
    for kept in (0.0, 1.0):
        factor = kept * hw.scale(p)
        torch.testing.assert_close(hw.activation_first(sigma, value, factor), hw.dropout_first(sigma, value, factor))
    assert hw.relu_family_defect(sigma, value) <= 1e-11 * abs(z)
    assert hw.homogeneity_defect(sigma, value, hw.scale(p)) <= 1e-11 * abs(z)
    assert float(hw.law_distance(sigma, value, p).max()) <= 1e-11 * abs(z)


@pytest.mark.parametrize("name", sorted(set(hw.ACTIVATIONS) - COMMUTING))
@pytest.mark.parametrize("p", [0.05, 0.4, 0.95])
def test_the_others_commute_at_no_rate(name, p):
    found = room.on_a_grid(hw.ACTIVATIONS[name]().double(), p)
    assert found.pop("zero_at_zero") == (name not in {"sigmoid", "softplus"})
    assert min(found.values()) > 1e-4


@given(p=rates, z=st.floats(-5, 5), name=st.sampled_from(sorted(hw.ACTIVATIONS)))
@examples
def test_law_distance_is_the_integral_between_the_distribution_functions(p, z, name):
    sigma = hw.ACTIVATIONS[name]().double()
    c = 1 / (1 - p)

    def at(value):
        return float(sigma(torch.tensor([value], dtype=torch.float64)).detach())

    laws = [[(0.0, p), (c * at(z), 1 - p)], [(at(0.0), p), (at(c * z), 1 - p)]]
    points = sorted(value for law in laws for value, _ in law)
    naive = sum(
        (high - low) * abs(sum(weight if law is laws[0] else -weight for law in laws for v, weight in law if v <= low))
        for low, high in itertools.pairwise(points)
    )
    measured = float(hw.law_distance(sigma, torch.tensor([z], dtype=torch.float64), p).detach())
    assert measured == pytest.approx(naive, abs=1e-12)


@pytest.mark.parametrize("name", ["sigmoid", "leaky_relu", "gelu"])
def test_over_masks_is_a_loop_over_masks_inputs_and_units(name):
    p, sigma = 0.3, hw.ACTIVATIONS[name]().double()
    (weight, bias), inputs = room.layer_and_inputs(2, 3, 4, np.random.default_rng(5))
    measured = room.over_masks(sigma, (weight, bias), inputs, p)
    output, slope, shift = 0.0, 0.0, {}
    for x, unit, kept in itertools.product(inputs, range(3), (0, 1)):
        z = torch.tensor(float(weight[unit] @ x + bias[unit]), dtype=torch.float64, requires_grad=True)
        first, second = kept / (1 - p) * sigma(z), sigma(kept / (1 - p) * z)
        output = max(output, abs(float((first - second).detach())))
        slopes = [float(torch.autograd.grad(order, z)[0]) for order in (first, second)]
        slope = max(slope, abs(slopes[0] - slopes[1]))
        key = (tuple(x.tolist()), unit)
        shift[key] = shift.get(key, -float(sigma(z).detach())) + float(second.detach()) * (1 - p if kept else p)
    assert measured["output_difference"] == pytest.approx(output, abs=1e-12)
    assert measured["slope_difference"] == pytest.approx(slope, abs=1e-12)
    assert measured["mean_shift_dropout_first"] == pytest.approx(max(map(abs, shift.values())), abs=1e-12)
    assert measured["mean_shift_activation_first"] == pytest.approx(0, abs=1e-12)


@given(p=rates, slope=slopes, z=moderate, dtype=st.sampled_from([np.float32, np.float64]))
@settings(max_examples=200)
def test_two_orders_differ_by_at_most_four_roundoffs_in_exact_arithmetic(p, slope, z, dtype):
    slope = slope if abs(slope) > 1e-3 else 0.0
    z = np.array([z], dtype=dtype)
    first, second = (Fraction(float(order[0])) for order in hw.rounded_orders(z, slope, p))
    exact = Fraction(float(dtype(hw.scale(p)))) * Fraction(float(z[0]))
    if z[0] < 0:
        exact *= Fraction(float(dtype(slope)))
    u = Fraction(float(np.finfo(dtype).eps)) / 2
    assert abs(first - second) <= 4 * u * abs(exact)
    if dtype is np.float32:
        assert hw.rounding_bound(z, slope, p)[0] == pytest.approx(float(4 * u * abs(exact)))


@given(p=rates, z=moderate, exponent=st.integers(-6, 6))
@examples
def test_power_of_two_slopes_and_scales_are_exact(p, z, exponent):
    value = np.array([z], dtype=np.float32)
    for slope, rate in ((0.0, p), (2.0**exponent, p), (0.01, 0.5), (0.3, 0.75)):
        first, second = hw.rounded_orders(value, slope, rate)
        assert first[0] == second[0]


def test_leaky_is_torch_s_to_the_bit():
    z = np.random.default_rng(2).standard_normal(10_000).astype(np.float32)
    for name, slope in hw.SLOPES.items():
        with torch.no_grad():
            expected = hw.ACTIVATIONS[name]()(torch.from_numpy(z)).numpy()
        assert np.array_equal(hw.leaky(z, slope), expected)


@given(p=rates, amplitude=st.floats(0, 0.9), z=moderate)
@examples
def test_log_periodic_commutes_at_its_own_rate_and_its_powers(p, amplitude, z):
    c = hw.scale(p)
    for power in (1, 2, -1):
        value = hw.log_periodic(np.array([z, 0.0]), p, amplitude)
        scaled = hw.log_periodic(c**power * np.array([z, 0.0]), p, amplitude)
        assert scaled == pytest.approx(c**power * value, rel=1e-9)
    assert hw.log_periodic_gap(p, 1 - (1 - p) ** 2, amplitude) == pytest.approx(0, abs=1e-9)


@given(p=rates, other=rates, amplitude=st.floats(0, 0.9))
@examples
def test_log_periodic_gap_is_the_supremum(p, other, amplitude):
    c, other_c = hw.scale(p), hw.scale(other)
    z = c ** np.linspace(-1, 1, 4001)
    gap = hw.log_periodic(other_c * z, p, amplitude) - other_c * hw.log_periodic(z, p, amplitude)
    assert np.max(np.abs(gap / (other_c * z))) == pytest.approx(hw.log_periodic_gap(p, other, amplitude), abs=1e-5)


def test_log_periodic_has_no_slope_at_zero():
    """Quotients sigma(z)/z on a null sequence that stay apart by twice the amplitude."""
    p, amplitude = 0.4, 0.25
    c = hw.scale(p)
    z = c ** (-np.arange(0, 40) / 2 + 0.25)
    quotient = hw.log_periodic(z, p, amplitude) / z
    assert quotient[::2] == pytest.approx(1 + amplitude)
    assert quotient[1::2] == pytest.approx(1 - amplitude)


EDGES = [
    {},
    {"p": 0.05},
    {"p": 0.95, "other_p": 0.05},
    {"p": 0.5, "other_p": 0.75},
    {"other_p": 0.4},
    {"in_features": 1, "out_features": 1},
    {"in_features": 64, "out_features": 8, "seed": 4294967295},
]


@pytest.mark.parametrize("change", EDGES, ids=str)
def test_theorems_hold_at_the_edges_of_the_configuration(change):
    claims = room.study(**SMALL | change)["claims"]
    theorems = claims[claims["kind"] == "theorem"]
    assert theorems["claim"][theorems["holds"] != "yes"].tolist() == []


def test_findings_fail_where_they_are_not_true():
    """At p = 1/2 multiplying by c is exact; at p = 3/4 the scale is a power of the one at 1/2."""
    claims = room.study(**SMALL | {"p": 0.5, "other_p": 0.75})["claims"].set_index("claim")
    assert claims.loc[["p1-leaky-not-exact", "p1-log-periodic-fails"], "holds"].tolist() == ["no", "no"]


def test_the_table_gives_the_answer_and_everything_agrees_in_evaluation():
    table = room.study(**SMALL)["equivalence"].set_index(["mode", "activation"])
    assert set(table.loc["train"].query("equivalent").index) == COMMUTING
    assert table.loc["eval", "equivalent"].all()
    assert (table.loc["eval", "max_abs_difference"] == 0).all()


def test_results_do_not_depend_on_the_number_of_threads(tmp_path):
    before, written = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            layer, inputs = room.layer_and_inputs(3, 8, 200, np.random.default_rng(3))
            results = room.compared(layer, inputs, 0.4, 3)
            for name, table in {"a": room.equivalence_table(results, 0.4), "b": room.training_table(results)}.items():
                write_table(table, tmp_path / f"{threads}{name}.csv")
            written.append([(tmp_path / f"{threads}{name}.csv").read_bytes() for name in "ab"])
    finally:
        torch.set_num_threads(before)
    assert written[0] == written[1] == written[2]


def test_figure_shows_the_table(tmp_path):
    write_table(room.study(**SMALL)["curves"], tmp_path / "curves.csv")
    curves = read_table(tmp_path / "curves.csv")
    _, axes = new_figure(PANELS)
    draw_rescaled(axes, curves)
    for panel, (_, rows) in zip(axes, curves.groupby("panel"), strict=True):
        for line, column in zip(panel.get_lines(), ("value", "rescaled"), strict=True):
            assert np.array_equal(line.get_xydata(), rows[["z", column]].to_numpy())
    apart = (curves["value"] - curves["rescaled"]).abs().groupby(curves["panel"]).max()
    assert (apart > 1e-3).tolist() == [False, True, False, True]
