"""Problem 4: the split-transform-merge convolution against its definition, and its counts against loops."""

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hw6 import split_transform_merge as stm
from p4_figures import draw_block, draw_savings
from p4_split_transform_merge import study
from pipeline.style import new_figure

channel_counts = st.integers(1, 5)
kernels = st.sampled_from([1, 3, 5])
blocks = st.tuples(channel_counts, st.integers(1, 4), st.integers(1, 3), kernels)
seeds = st.integers(0, 2**32 - 1)
quickly = settings(max_examples=25)


def filled(block, rng, module=stm.SplitTransformMerge):
    return stm.fill(module(*block), rng.standard_normal)


def output(module, image):
    with torch.no_grad():
        return module(torch.from_numpy(image)[None])[0].numpy()


def random_image(rng, channels, height=4, width=5):
    return rng.standard_normal((channels, height, width))


def pixel_by_pixel(split, image):
    """The sheet's words with Python's own arithmetic: every branch, layer, pixel, channel and kernel position."""
    channels, height, width = image.shape
    total = [[[0.0] * width for _ in range(height)] for _ in range(channels)]
    for branch in split.branches:
        signal = image.tolist()
        for conv in (branch[0], branch[2], branch[4]):
            weight, bias, reach = conv.weight.tolist(), conv.bias.tolist(), conv.kernel_size[0] // 2
            result = []
            for out_channel in range(conv.out_channels):
                plane = [[bias[out_channel]] * width for _ in range(height)]
                for row in range(height):
                    for column in range(width):
                        for in_channel, di, dj in np.ndindex(len(signal), 2 * reach + 1, 2 * reach + 1):
                            i, j = row + di - reach, column + dj - reach
                            if 0 <= i < height and 0 <= j < width:
                                product = weight[out_channel][in_channel][di][dj] * signal[in_channel][i][j]
                                plane[row][column] += product
                        plane[row][column] = max(plane[row][column], 0.0)
                result.append(plane)
            signal = result
        for channel, row, column in np.ndindex(channels, height, width):
            total[channel][row][column] += signal[channel][row][column]
    return np.array(total)


@settings(max_examples=10)
@given(block=blocks, seed=seeds)
def test_module_and_reference_compute_the_definition(block, seed):
    rng = np.random.default_rng(seed)
    split, image = filled(block, rng), random_image(rng, block[0], 3, 4)
    defined = pixel_by_pixel(split, image)
    np.testing.assert_allclose(stm.naive_output(split, image), defined, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(output(split, image), defined, rtol=1e-12, atol=1e-12)


@quickly
@given(block=blocks, seed=seeds)
def test_grouped_form_is_the_same_function(block, seed):
    rng = np.random.default_rng(seed)
    split, image = filled(block, rng), random_image(rng, block[0])
    grouped = stm.grouped_from(split)
    assert stm.trainable(grouped) == stm.trainable(split)
    np.testing.assert_allclose(output(grouped, image), output(split, image), rtol=1e-12, atol=1e-12)


@quickly
@given(channels=channel_counts, width=st.integers(1, 4), kernel=kernels, seed=seeds)
def test_one_branch_is_the_plain_construction(channels, width, kernel, seed):
    rng = np.random.default_rng(seed)
    plain = filled((channels, width, kernel), rng, stm.PlainConvolution)
    split = stm.SplitTransformMerge(channels, 1, width, kernel).double()
    names = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "conv3.weight", "conv3.bias")
    split.load_state_dict(dict(zip(split.state_dict(), (plain.state_dict()[name] for name in names), strict=True)))
    image = random_image(rng, channels)
    np.testing.assert_array_equal(output(split, image), output(plain, image))


@quickly
@given(block=blocks, seed=seeds)
def test_the_order_of_branches_does_not_matter(block, seed):
    rng = np.random.default_rng(seed)
    split, image = filled(block, rng), random_image(rng, block[0])
    before = output(split, image)
    split.branches = torch.nn.ModuleList(reversed(split.branches))
    np.testing.assert_allclose(output(split, image), before, rtol=1e-12, atol=1e-12)


@quickly
@given(block=blocks, seed=seeds)
def test_outputs_are_at_least_those_of_a_late_relu_and_relu_keeps_them(block, seed):
    rng = np.random.default_rng(seed)
    split, image = filled(block, rng), random_image(rng, block[0])
    early = output(split, image)
    with torch.no_grad():
        late = stm.sum_before_relu(split, torch.from_numpy(image)[None])[0].numpy()
    assert np.all(early >= late - 1e-12)
    assert np.all(early >= 0)
    if block[1] == 1:
        np.testing.assert_array_equal(early, late)


def test_what_the_two_mistakes_lead_to():
    rng = np.random.default_rng(6)
    image = torch.from_numpy(random_image(rng, 3))[None]
    with pytest.raises(ValueError, match="empty parameter list"):
        torch.optim.SGD(stm.BranchesInList(3, 4, 2, 3).parameters(), lr=0.1)
    repeated = filled((3, 4, 2, 3), rng, stm.BranchRepeated)
    torch.testing.assert_close(repeated(image), 4 * repeated.branches[0](image))


def test_the_default_module_is_the_sheets():
    split = stm.SplitTransformMerge()
    assert stm.trainable(split) == 78_592
    assert stm.trainable(stm.PlainConvolution()) == 213_504
    assert len(split.branches) == 32
    for branch in split.branches:
        convolutions = [part for part in branch if isinstance(part, torch.nn.Conv2d)]
        assert [(c.in_channels, c.out_channels) for c in convolutions] == [(256, 4), (4, 4), (4, 256)]
        assert [c.kernel_size for c in convolutions] == [(1, 1), (3, 3), (1, 1)]
        assert all(c.stride == (1, 1) and c.bias is not None for c in convolutions)
        assert [type(part) for part in branch[1::2]] == [torch.nn.ReLU] * 3
    assert split(torch.zeros(2, 256, 5, 7)).shape == (2, 256, 5, 7)


@quickly
@given(block=blocks)
def test_counts_are_those_of_live_modules(block):
    channels, branches, width, kernel = block
    split = stm.unbuilt(stm.SplitTransformMerge, *block)
    built = stm.SplitTransformMerge(*block)
    assert stm.trainable(split) == stm.trainable(built) == stm.parameters(*block) == stm.stored(built)
    assert sum(map(sum, stm.counted_layers(split))) == stm.parameters(*block)
    shared = stm.unbuilt(stm.BranchRepeated, *block)
    assert stm.trainable(shared) * branches == stm.stored(shared) == stm.trainable(split)
    assert stm.trainable(stm.unbuilt(stm.BranchesInList, *block)) == 0
    plain = stm.unbuilt(stm.PlainConvolution, channels, width, kernel)
    assert stm.trainable(plain) == stm.parameters(channels, 1, width, kernel)


@quickly
@given(block=blocks, side=st.integers(1, 6))
def test_multiply_adds_and_activations_are_those_of_a_hand_count(block, side):
    channels, branches, width, _ = block
    split = stm.unbuilt(stm.SplitTransformMerge, *block)
    weights = sum(p.numel() for p in split.parameters() if p.dim() > 1)
    assert stm.multiply_adds_per_pixel(split, channels, side) == weights
    assert stm.activations_per_pixel(split, channels, side) == branches * (2 * width + channels)


@settings(max_examples=200)
@given(channels=st.integers(1, 2000), width=st.integers(1, 40), branches=st.integers(1, 40), kernel=st.integers(1, 9))
def test_saving_is_a_difference_of_counts(channels, width, branches, kernel):
    bottleneck = branches * width
    difference = stm.parameters(channels, 1, bottleneck, kernel) - stm.parameters(channels, branches, width, kernel)
    assert stm.saving(channels, bottleneck, branches, kernel) == difference
    assert (difference > 0) == (1 < branches < Fraction(kernel**2 * bottleneck**2, channels))


@settings(max_examples=200)
@given(
    channels=st.integers(1, 2000),
    bottleneck=st.integers(1, 500),
    kernel=st.integers(1, 9),
    branches=st.floats(1e-2, 1e4),
)
def test_largest_saving_and_its_place(channels, bottleneck, kernel, branches):
    place = stm.best_branches(channels, bottleneck, kernel)
    largest = stm.largest_saving(channels, bottleneck, kernel)
    size = kernel**2 * bottleneck**2 * (1 + 1 / branches) + channels * (1 + branches)
    assert stm.saving(channels, bottleneck, branches, kernel) <= largest + 1e-12 * size
    assert math.isclose(stm.saving(channels, bottleneck, place, kernel), largest, rel_tol=1e-9, abs_tol=1e-12 * size)
    edge = stm.break_even(channels, bottleneck, kernel)
    assert math.isclose(math.sqrt(edge), place)
    assert abs(stm.saving(channels, bottleneck, edge, kernel)) <= 1e-12 * (kernel**2 * bottleneck**2 + channels) * (
        1 + edge
    )


@given(number=st.integers(1, 300))
def test_divisors(number):
    assert set(stm.divisors(number)) == {
        a for a in range(1, number + 1) for b in range(1, number + 1) if a * b == number
    }


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(5)
    split = filled((2, 3, 2, 3), rng)
    image = torch.from_numpy(random_image(rng, 2))[None].requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: split(x), (image, *split.parameters()))


@pytest.mark.parametrize(
    ("channels", "bottleneck", "branches", "branch_width", "kernel", "image_size"),
    [
        (1, 1, 1, 1, 1, 1),  # the smallest
        (3, 4, 1, 4, 3, 2),  # one branch: nothing is split
        (300, 2, 2, 1, 1, 1),  # splitting costs more than it saves
        (6, 12, 5, 3, 5, 1),  # B g is not m; the kernel is larger than the image
        (10, 7, 3, 2, 7, 3),
    ],
)
def test_theorems_hold_in_every_configuration(channels, bottleneck, branches, branch_width, kernel, image_size):
    tables = study(channels, bottleneck, branches, branch_width, kernel, image_size, seed=0)
    claims = tables["claims"]
    assert set(claims.loc[claims["kind"] == "theorem", "holds"]) == {"yes"}
    layers = tables["parameters"]
    for _, rows in layers.groupby("construction"):
        sums = rows[rows["layer"] != "total"][["weights", "biases", "parameters"]].sum()
        pd.testing.assert_series_equal(
            sums, rows[rows["layer"] == "total"].iloc[0][sums.index], check_names=False, check_dtype=False
        )
    figure, axes = new_figure()
    draw_savings(axes, tables["savings"], tables["optimum"], tables["curve"])
    figure.draw_without_rendering()


@pytest.mark.parametrize("branches", [1, 2, 3, 4, 32])
def test_the_drawing_shows_the_tables_channels_and_the_last_branch(branches):
    layers = study(5, 6, branches, 2, 3, 1, seed=0)["parameters"]
    _, axes = new_figure()
    draw_block(axes, layers)
    words = [text.get_text() for text in axes.texts]
    drawn = min(branches, 3)
    assert words.count("5 → 2") == words.count("2 → 2") == words.count("2 → 5") == drawn
    assert words.count("5 → 6") == words.count("6 → 6") == words.count("6 → 5") == 1
    labels = [word for word in words if word.startswith("branch")]
    assert len(labels) == drawn
    assert labels[-1] == f"branch {branches}"
