"""Problem 2: what torch.nn.Linear's default initialisation does to the output of a multi-layer perceptron.

Throughout ``widths`` is (n_0, ..., n_L): y_0 = x and y_l = A_l y_{l-1} + b_l, where A_l is n_l x n_{l-1} and every
entry of A_l and b_l is drawn independently from U(-1/sqrt(n), 1/sqrt(n)) with n = n_{l-1}, the layer's fan-in.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

# Gauss rules with three points, exact for polynomials up to degree 5: U(-1, 1) and N(0, 1).
UNIFORM_POINTS = np.sqrt(3 / 5) * np.array([-1.0, 0.0, 1.0]), np.array([5, 8, 5]) / 18
NORMAL_POINTS = np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0]), np.array([1, 4, 1]) / 6


def kaiming_bound(fan_in, slope):
    """Bound of torch's ``kaiming_uniform_`` with its default mode and nonlinearity.

    sqrt(3) gain / sqrt(fan_in) with gain = sqrt(2 / (1 + slope^2)); slope = sqrt(5) gives 1/sqrt(fan_in).
    Source: torch.nn.init; He et al., ICCV 2015.
    """
    gain = math.sqrt(2 / (1 + slope**2))
    return math.sqrt(3) * gain / math.sqrt(fan_in)


def variances(widths):
    """Variance of one coordinate of y_0, ..., y_L for the identity activation.

    V_0 = 1 and V_l = V_{l-1}/3 + 1/(3 n_{l-1}). Returns an array (L + 1,).
    Raises ValueError on impossible widths.
    """
    check_widths(widths)
    v = [1.0]
    for n in widths[:-1]:
        v.append(v[-1] / 3 + 1 / (3 * n))
    return np.array(v)


def variance_parts(widths):
    """What the input and what the biases contribute to Var y_L.

    theta: all weights and biases. E Var(y_L | theta) = 3^-L, and
    Var E(y_L | theta) is the sum over l of 3^(l-L-1)/n_{l-1}.
    Returns (input part, bias part).
    """
    check_widths(widths)
    depth = len(widths) - 1
    biases = 0.0
    for layer in range(1, depth + 1):
        biases += 3.0 ** (layer - depth - 1) / widths[layer - 1]
    return 3.0**-depth, biases


def relu_variances(widths):
    """Variance of one coordinate of z_1, ..., z_L if ReLU acts between the layers: z_l = A_l ReLU(z_{l-1}) + b_l.

    V_1 = 1/3 + 1/(3 n_0) and V_l = V_{l-1}/6 + 1/(3 n_{l-1}) for l >= 2. Returns an array (L,).
    """
    check_widths(widths)
    v = [1 / 3 + 1 / (3 * widths[0])]
    for n in widths[1:-1]:
        v.append(v[-1] / 6 + 1 / (3 * n))
    return np.array(v)


def kurtosis(widths, input_kurtosis=3.0):
    """E y_L^4 / (E y_L^2)^2 for the identity activation and x with independent standardised entries.

    Carries v = E y_i^2, m4 = E y_i^4 and m22 = E y_i^2 y_j^2 (i != j) through the layers: with n the fan-in,
    G = E (|y|^2 + 1)^2 and P = E sum y_i^4, they become m22 = G/(9 n^2) and m4 = 3 m22 - 2 (P + 1)/(15 n^2).
    input_kurtosis: of the entries of x, 3 for a normal law.
    """
    check_widths(widths)
    v, m4, m22 = 1.0, input_kurtosis, 1.0
    for n in widths[:-1]:
        fourth_powers = n * m4
        shifted_norm = n * m4 + n * (n - 1) * m22 + 2 * n * v + 1
        v, m22 = v / 3 + 1 / (3 * n), shifted_norm / (9 * n**2)
        m4 = 3 * m22 - 2 * (fourth_powers + 1) / (15 * n**2)
    return m4 / v**2


def normal_inputs(dimension):
    """A rule that is exact for polynomials of degree 5 in each entry of x ~ N(0, I).

    Returns points (dimension, 3^dimension) and their probabilities (3^dimension,).
    """
    choice = np.indices((3,) * dimension).reshape(dimension, -1)
    return NORMAL_POINTS[0][choice], NORMAL_POINTS[1][choice].prod(axis=0)


def enumerated_moments(widths, inputs, chances):
    """Moments of y_L by running every network of a three-point rule on every input; an oracle for tiny widths.

    y_L has degree one in each parameter, so its moments up to the fourth are exact. Behind a ReLU the rule is not
    exact for the uniform law, but it is a law with the same symmetry and variance, all that ``relu_variances`` uses.
    inputs, chances: (n_0, M) and (M,), the law of x; n_L must be 1.
    Returns a dict: mean, variance, fourth, input_part, bias_part, relu_variance.
    """
    check_widths(widths)
    weights, biases, probability = _all_networks(widths)
    y, z = inputs[:, None, :], inputs[:, None, :]
    for layer, (a, b) in enumerate(zip(weights, biases, strict=True)):
        y = np.einsum("ijk,jkm->ikm", a, y) + b[:, :, None]
        z = np.einsum("ijk,jkm->ikm", a, np.maximum(z, 0) if layer else z) + b[:, :, None]
    y, z = y[0], z[0]
    given_network = y @ chances
    mean = probability @ given_network
    return {
        "mean": mean,
        "variance": probability @ (y**2 @ chances) - mean**2,
        "fourth": probability @ (y**4 @ chances),
        "input_part": probability @ ((y - given_network[:, None]) ** 2 @ chances),
        "bias_part": probability @ (given_network - mean) ** 2,
        "relu_variance": probability @ (z**2 @ chances) - (probability @ (z @ chances)) ** 2,
    }


def draw_layer(fan_in, fan_out, seed):
    """The parameters that the installed torch gives a new nn.Linear: flat float64 arrays (weights, biases).

    In float32 the last bit of what it draws depends on whether the machine multiplies and adds in one step.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = torch.nn.Linear(fan_in, fan_out, dtype=torch.float64)
    return tuple(p.detach().numpy().ravel() for p in (layer.weight, layer.bias))


def distance_from_uniform(sample, bound):
    """Kolmogorov's distance sup |F_N(t) - F(t)| between a sample (N,) and the law U(-bound, bound)."""
    law = np.clip((np.sort(sample) / bound + 1) / 2, 0, 1)
    rank = np.arange(len(sample))
    return max(np.max((rank + 1) / len(sample) - law), np.max(law - rank / len(sample)))


@dataclass(frozen=True)
class Simulation:
    """What ``simulate`` measures, one row a network (R of them), so that errors can be clustered by network.

    mean, square: (R, L), averages of y_l and y_l^2 over the inputs and coordinates of layer l, identity activation.
    relu_square: (R, L), average of z_l^2 with ReLU between the layers.
    centre, spread: (R, n_L), the law of y_L given the network, N(centre, spread) for x ~ N(0, I).
    last_bias: (R, n_L), the last layer's biases.
    """

    mean: np.ndarray
    square: np.ndarray
    relu_square: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    last_bias: np.ndarray


def simulate(widths, seeds, inputs, rng):
    """Run freshly initialised stacks of nn.Linear, one a seed, on ``inputs`` draws of x ~ N(0, I) each.

    The layers draw their own parameters (``reset_parameters``) after ``torch.manual_seed(seed)``; torch's global
    generator is left as it was. seeds: (R,) ints; rng: draws the inputs. Returns a Simulation, all of it in float64.
    """
    check_widths(widths)
    rows = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        layers = [torch.nn.Linear(n, m, dtype=torch.float64) for n, m in itertools.pairwise(widths)]
        for seed in seeds:
            torch.manual_seed(int(seed))
            for layer in layers:
                layer.reset_parameters()
            rows.append(_run_network(layers, torch.from_numpy(rng.standard_normal((inputs, widths[0])))))
    return Simulation(*(np.stack(column) for column in zip(*rows, strict=True)))


def mean_and_error(values):
    """Mean of independent values (R,) and its standard error: sample standard deviation over sqrt(R)."""
    return values.mean(), values.std(ddof=1) / math.sqrt(len(values))


def fourth_moments(simulation):
    """E(y_L^4 | network) for x ~ N(0, I): 3 s^2 + 6 s c^2 + c^4 with c = centre, s = spread. Returns (R,)."""
    c2, s = simulation.centre**2, simulation.spread
    return (3 * s**2 + 6 * s * c2 + c2**2).mean(axis=1)


def output_density(simulation, bound, points):
    """Density of y_L for x ~ N(0, I), averaged over the simulated networks, with its standard error.

    Given all parameters but the last bias, y_L is a normal variable plus an independent U(-bound, bound), whose density
    is a difference of two normal distribution functions. Both signs are averaged, since y_L and -y_L have one law.
    bound: of the last bias; points: (T,). Returns (density, standard error), each (T,).
    """
    centre = torch.from_numpy(simulation.centre - simulation.last_bias)
    root = torch.from_numpy(np.sqrt(simulation.spread))
    estimates = []
    for t in points:  # one point at a time keeps the memory small
        mass = sum(
            torch.special.ndtr((sign * t - centre + bound) / root)
            - torch.special.ndtr((sign * t - centre - bound) / root)
            for sign in (-1, 1)
        )
        estimates.append(mean_and_error((mass / (4 * bound)).mean(dim=1).numpy()))
    return tuple(np.array(estimates).T)


def check_widths(widths):
    """Raise ValueError unless ``widths`` has an input and an output and all its entries are positive integers."""
    if len(widths) < 2 or any(int(n) != n or n < 1 for n in widths):
        raise ValueError(f"widths must be two or more positive integers, not {list(widths)}")


def _run_network(layers, x):
    """The six fields of a Simulation for one network; x: (inputs, n_0)."""
    y, z = torch.cat([torch.zeros_like(x[:1]), x]), x  # the first row of y is the network's answer to x = 0
    mean, square, relu_square = [], [], []
    for depth, layer in enumerate(layers):
        y, z = layer(y), layer(torch.relu(z) if depth else z)
        mean.append(y[1:].mean().item())
        square.append(y[1:].square().mean().item())
        relu_square.append(z.square().mean().item())
    slope = layers[-1].weight
    for layer in reversed(layers[:-1]):
        slope = slope @ layer.weight
    spread = slope.square().sum(dim=1).numpy()
    return mean, square, relu_square, y[0].numpy(), spread, layers[-1].bias.numpy().copy()


def _all_networks(widths):
    """Every choice of parameters on the three points: weights [(n_l, n_{l-1}, K)], biases [(n_l, K)], chances (K,)."""
    count = sum(m * (n + 1) for n, m in itertools.pairwise(widths))
    choice = np.indices((3,) * count).reshape(count, -1)
    points, probability = UNIFORM_POINTS[0][choice], UNIFORM_POINTS[1][choice].prod(axis=0)
    weights, biases = [], []
    for n, m in itertools.pairwise(widths):
        here, points = points[: m * (n + 1)] / math.sqrt(n), points[m * (n + 1) :]
        weights.append(here[: m * n].reshape(m, n, -1))
        biases.append(here[m * n :])
    return weights, biases, probability
