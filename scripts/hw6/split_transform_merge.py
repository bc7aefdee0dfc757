"""Problem 4: split-transform-merge convolutions; what they compute and what they cost.

Letters: C channels in and out, m inner channels of the plain construction, B branches, g inner channels of a branch,
k side of the middle kernel (odd). Every convolution has a bias and stride 1, and ReLU follows each of them.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu
from torch.utils.flop_counter import FlopCounterMode


class SplitTransformMerge(nn.Module):
    """Sum of branches, each three conv-ReLU operations: 1×1, k×k, 1×1.

    x: (batch, channels, height, width).  Returns the same shape.
    """

    def __init__(self, channels=256, branches=32, width=4, kernel=3):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, width, 1),
                nn.ReLU(),
                nn.Conv2d(width, width, kernel, padding=kernel // 2),
                nn.ReLU(),
                nn.Conv2d(width, channels, 1),
                nn.ReLU(),
            )
            for _ in range(branches)
        )

    def forward(self, x):
        return sum(branch(x) for branch in self.branches)


class PlainConvolution(nn.Module):
    """The construction to be replaced: one chain of 1×1, k×k, 1×1 conv-ReLU operations, C–m–m–C channels."""

    def __init__(self, channels=256, width=128, kernel=3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1)
        self.conv2 = nn.Conv2d(width, width, kernel, padding=kernel // 2)
        self.conv3 = nn.Conv2d(width, channels, 1)

    def forward(self, x):
        return relu(self.conv3(relu(self.conv2(relu(self.conv1(x))))))


class GroupedConvolution(nn.Module):
    """The same function as ``SplitTransformMerge`` with three convolutions, two of them in ``branches`` groups."""

    def __init__(self, channels=256, branches=32, width=4, kernel=3):
        super().__init__()
        inner = branches * width
        self.unmerged = (branches, channels)
        self.conv1 = nn.Conv2d(channels, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, kernel, padding=kernel // 2, groups=branches)
        self.conv3 = nn.Conv2d(inner, branches * channels, 1, groups=branches)

    def forward(self, x):
        out = relu(self.conv1(x))
        out = relu(self.conv2(out))
        out = relu(self.conv3(out))
        return out.unflatten(1, self.unmerged).sum(1)


class BranchesInList(SplitTransformMerge):
    """First mistake: the branches are kept in a plain Python list, so PyTorch registers none of them."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        hidden = list(self.branches)
        del self.branches
        self.branches = hidden


class BranchRepeated(SplitTransformMerge):
    """Second mistake: ``[branch] * branches`` is one branch, named that many times."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.branches = nn.ModuleList([self.branches[0]] * len(self.branches))


def layer_shapes(channels, width, kernel):
    """(name, in-channels, out-channels, kernel) of the three convolutions of one chain."""
    return [("conv1", channels, width, 1), ("conv2", width, width, kernel), ("conv3", width, channels, 1)]


def parameters(channels, branches, width, kernel):
    """Trainable parameters of B branches: B (2 C g + k^2 g^2 + 2 g + C).  The plain construction is B = 1, g = m."""
    return branches * (2 * channels * width + kernel**2 * width**2 + 2 * width + channels)


def saving(channels, bottleneck, branches, kernel):
    """Plain parameters less split ones when B g = m: S(B) = (B - 1)(k^2 m^2 / B - C), for real B > 0."""
    return (branches - 1) * (kernel**2 * bottleneck**2 / branches - channels)


def best_branches(channels, bottleneck, kernel):
    """The real B at which S(B) is largest: k m / sqrt(C)."""
    return kernel * bottleneck / math.sqrt(channels)


def largest_saving(channels, bottleneck, kernel):
    """The largest value of S over real B > 0: (k m - sqrt(C))^2."""
    return (kernel * bottleneck - math.sqrt(channels)) ** 2


def break_even(channels, bottleneck, kernel):
    """The root of S(B) = 0 beside B = 1: k^2 m^2 / C.  S is positive strictly between the two roots."""
    return kernel**2 * bottleneck**2 / channels


def divisors(number):
    """The positive divisors of a positive integer, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def unbuilt(module, *sizes):
    """A live module whose parameters have shapes but no storage: enough to count them at any size."""
    with torch.device("meta"):
        return module(*sizes)


def trainable(module):
    """Number of trainable scalars that the module registers, each counted once."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def stored(module):
    """Number of scalars in the module's ``state_dict``, where a shared parameter appears under every name."""
    return sum(tensor.numel() for tensor in module.state_dict().values())


def counted_layers(module):
    """[(weights, biases)] of the three layers, counted over every Conv2d of a live module, in the order of use."""
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    return [
        (sum(c.weight.numel() for c in convolutions[i::3]), sum(c.bias.numel() for c in convolutions[i::3]))
        for i in range(3)
    ]


def multiply_adds_per_pixel(module, channels, side):
    """Multiplications of a forward pass per output pixel, by PyTorch's own counter (the padding is multiplied too).

    The counter reports a multiply-add as two operations.
    """
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, channels, side, side, device="meta"))
    return counter.get_total_flops() / (2 * side**2)


def activations_per_pixel(module, channels, side):
    """Numbers that the convolutions put out per pixel, added up by a hook on each during a forward pass."""
    sizes = []
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    hooks = [c.register_forward_hook(lambda _module, _inputs, out: sizes.append(out.numel())) for c in convolutions]
    module(torch.empty(1, channels, side, side, device="meta"))
    for hook in hooks:
        hook.remove()
    return sum(sizes) / side**2


def fill(module, draw):
    """Set every parameter, in float64, to ``draw(shape) / sqrt(fan_in)``; a bias has the fan-in of its weight."""
    module.double()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                scale = math.sqrt(part.weight[0].numel())
                for parameter in (part.weight, part.bias):
                    parameter.copy_(torch.from_numpy(draw(tuple(parameter.shape)) / scale))
    return module


def grouped_from(split):
    """The ``GroupedConvolution`` with the parameters of a ``SplitTransformMerge``, stacked branch after branch."""
    chain = split.branches[0]
    grouped = GroupedConvolution(
        chain[0].in_channels, len(split.branches), chain[0].out_channels, chain[2].kernel_size[0]
    ).to(chain[0].weight.dtype)
    with torch.no_grad():
        for conv, position in ((grouped.conv1, 0), (grouped.conv2, 2), (grouped.conv3, 4)):
            conv.weight.copy_(torch.cat([branch[position].weight for branch in split.branches]))
            conv.bias.copy_(torch.cat([branch[position].bias for branch in split.branches]))
    return grouped


def sum_before_relu(split, x):
    """The ResNeXt order: the branches' last convolutions are added up first, and one ReLU follows the sum."""
    return relu(sum(branch[:-1](x) for branch in split.branches))


def naive_output(split, image):
    """The definition, branch by branch and pixel by pixel, in NumPy.  image: (C, H, W).  Returns (C, H, W)."""
    total = np.zeros_like(image)
    for branch in split.branches:
        out = image
        for conv in (branch[0], branch[2], branch[4]):
            out = _naive_conv_relu(out, conv.weight.detach().numpy(), conv.bias.detach().numpy())
        total += out
    return total


def _naive_conv_relu(image, weight, bias):
    """ReLU of a "same" cross-correlation, pixel by pixel: only the window's pixels inside the image contribute."""
    _, height, width = image.shape
    reach = weight.shape[-1] // 2
    out = np.empty((len(bias), height, width))
    for row in range(height):
        for column in range(width):
            value = bias.copy()
            for i in range(max(0, row - reach), min(height, row + reach + 1)):
                for j in range(max(0, column - reach), min(width, column + reach + 1)):
                    value += weight[:, :, i - row + reach, j - column + reach] @ image[:, i, j]
            out[:, row, column] = np.maximum(value, 0)
    return out
