"""Dropout and an element-wise activation: when may their order be exchanged?

In training mode, inverted dropout multiplies each entry by r c, where r is 0 with probability p and else 1, and
c = 1/(1 - p). A layer computes z = A x + b and then either r c s(z), the activation first, or s(r c z), dropout first.
The two agree for every z and r if and only if s(c z) = c s(z) for all z; z = 0 then gives s(0) = 0.

Source of the operation: torch.nn.Dropout, whose documentation states the factor 1/(1 - p).
"""

import itertools
import math

import numpy as np
import torch
from torch import nn

ACTIVATIONS = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "identity": nn.Identity,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
}
SHEET_CASES = {"a": "relu", "b": "sigmoid", "c": "leaky_relu"}
SLOPES = {"relu": 0.0, "leaky_relu": 0.01, "prelu": 0.25}  # torch's defaults for negative inputs


class LinearDropoutActivation(nn.Module):
    """A linear map, then activation and dropout in either order."""

    def __init__(self, inputs, outputs, sigma, p, dropout_first=False):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.sigma = sigma
        self.dropout = nn.Dropout(p)
        self.dropout_first = dropout_first

    def forward(self, x):
        z = self.linear(x)
        if self.dropout_first:
            return self.sigma(self.dropout(z))
        return self.dropout(self.sigma(z))


class AsPrinted(nn.Module):
    """The layer with the sheet's ``forward``, which cannot run: its names are those of no variable."""

    def __init__(self, input_size, output_size):
        super().__init__()
        self.linear = nn.Linear(input_size, output_size)
        self.sigma = nn.ReLU()
        self.dropout = nn.Dropout(p=0.4)

    def forward(self, x):
        return dropout(sigma(linear))  # noqa: F821 (that is the point)


def scale(p):
    """c = 1/(1 - p), by which inverted dropout multiplies what it keeps; ValueError unless 0 < p < 1."""
    if not 0 < p < 1:
        raise ValueError(f"dropout needs 0 < p < 1 here, not {p}")
    return 1 / (1 - p)


def activation_first(sigma, z, factor):
    """r c s(z): the activation, then dropout; ``factor`` = r c broadcasts against z."""
    return factor * sigma(z)


def dropout_first(sigma, z, factor):
    """s(r c z): dropout, then the activation; ``factor`` = r c broadcasts against z."""
    return sigma(factor * z)


def all_masks(units):
    """Every mask r of a layer: (2^units, units) array of 0 and 1."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=units)))


def mask_probabilities(masks, p):
    """Probability of each row of ``masks`` if each unit is dropped with probability p, independently."""
    kept = masks.sum(axis=1)
    return (1 - p) ** kept * p ** (masks.shape[1] - kept)


def homogeneity_defect(sigma, z, c):
    """max |s(c z) - c s(z)| over the tensor z: zero if and only if the two orders agree there on kept entries."""
    return float((sigma(c * z) - c * sigma(z)).abs().max())


def relu_family_defect(sigma, z):
    """max over z of the distance between s(z) and a z (z >= 0), b z (z < 0); a, b are s's one-sided slopes at 0.

    The slopes are one-sided difference quotients with a step that is a power of two, hence exact for the ReLU family.
    """
    step = torch.tensor(2.0**-20, dtype=z.dtype)
    centre = sigma(torch.zeros_like(step))
    right, left = (sigma(step) - centre) / step, (centre - sigma(-step)) / step
    return float((sigma(z) - torch.where(z < 0, left, right) * z).abs().max())


def law_distance(sigma, z, p):
    """Wasserstein distance, for each entry of z, between the laws of r c s(z) and s(r c z).

    Each law has two atoms: the dropped value (0 or s(0)) with probability p and the kept one (c s(z) or s(c z)) with
    1 - p. On the line the distance is the integral of the difference of the quantile functions, which are constant
    between 0, p, 1 - p and 1.
    """
    c = scale(p)
    zero = torch.zeros_like(z)
    first, second = (zero, c * sigma(z)), (sigma(zero), sigma(c * z))
    distance = zero
    for low, high in itertools.pairwise(sorted((0, p, 1 - p, 1))):
        level = (low + high) / 2
        distance = distance + (high - low) * (_quantile(*first, p, level) - _quantile(*second, p, level)).abs()
    return distance


def _quantile(dropped, kept, p, level):
    """Quantile of the law with atom ``dropped`` of weight p and atom ``kept`` of weight 1 - p."""
    weight_below = torch.where(dropped <= kept, p, 1 - p)
    return torch.where(level < weight_below, torch.minimum(dropped, kept), torch.maximum(dropped, kept))


def leaky(z, slope):
    """z for z > 0 and slope z otherwise, every product rounded to the dtype of the array z."""
    return np.where(z > 0, z, z.dtype.type(slope) * z)


def rounded_orders(z, slope, p):
    """A kept entry in both orders, (c s(z), s(c z)), with each operation rounded to the dtype of z."""
    c = z.dtype.type(scale(p))
    return c * leaky(z, slope), leaky(c * z, slope)


def rounding_bound(z, slope, p):
    """4 u |c s z|, u = 2^-24: what the two results of ``rounded_orders`` differ by at most for a float32 array z.

    c, s (the slope at z) and z are machine numbers, and each order rounds their product twice:
    (1 + u)^2 - (1 - u)^2 = 4 u. The bound is in float64; underflow and overflow are excluded.
    """
    roundoff = np.finfo(z.dtype).eps / 2
    c = float(z.dtype.type(scale(p)))
    slopes = np.where(z > 0, 1.0, float(z.dtype.type(slope)))
    return 4 * roundoff * np.abs(c * slopes * z.astype(np.float64))


def log_periodic(z, p, amplitude):
    """s(z) = z (1 + a sin(2 pi log|z| / log c)), s(0) = 0: s(c z) = c s(z) for c = 1/(1 - p), without a slope at 0."""
    size = np.where(z == 0, 1.0, np.abs(z))
    return z * (1 + amplitude * np.sin(2 * math.pi * np.log(size) / np.log(scale(p))))


def log_periodic_gap(p, other_p, amplitude):
    """sup over z of |s(c' z) - c' s(z)| / |c' z| = 2 a |sin(pi log c' / log c)|; c' belongs to other_p.

    s is ``log_periodic`` for c = 1/(1 - p).
    Source: sin(t + h) - sin(t) = 2 sin(h/2) cos(t + h/2) with t = 2 pi log|z| / log c and h = 2 pi log c' / log c.
    """
    turns = math.log(scale(other_p)) / math.log(scale(p))
    return 2 * abs(amplitude * math.sin(math.pi * turns))
