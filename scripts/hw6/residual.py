"""Problem 3: derivatives of a multi-layer perceptron with residual connections, and what they are without them.

Layers are numbered as on the sheet: in every list the entry 0 belongs to the input (y[0] = x) or is None (A[0], b[0]).
A derivative of a vector by a vector has a row for each component of the first (numerator layout), so the derivative of
the scalar y_L by a vector is a row; the derivative of y_L by a matrix has the shape of that matrix.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Activation(NamedTuple):
    """sigma and its derivative, elementwise; ``value`` also takes complex arrays, for complex-step differentiation."""

    value: callable
    slope: callable


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


ACTIVATIONS = {
    "tanh": Activation(np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "softplus": Activation(lambda z: np.log1p(np.exp(z)), _sigmoid),
    "sigmoid": Activation(_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z)),
    "sine": Activation(np.sin, np.cos),
    "relu": Activation(lambda z: np.where(z.real > 0, z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "squared_relu": Activation(lambda z: np.where(z.real > 0, z, 0) ** 2, lambda z: 2 * np.maximum(z, 0)),
}


class Network(NamedTuple):
    """The sheet's network, or the plain one of the same shape without skips.

    A: [None, A_1, ..., A_L], shapes (m, n), (m, m), ..., (m, m), (1, m).
    b: [None, b_1, ..., b_L], shapes (m,), ..., (m,), (1,).
    activation: a key of ``ACTIVATIONS``.  residual: whether layers 2 to L-1 add their input.
    """

    A: list
    b: list
    activation: str
    residual: bool = True

    @property
    def depth(self):
        return len(self.A) - 1

    def skips(self, ell):
        """Whether layer ell adds its input: the first and the last never do."""
        return self.residual and 2 <= ell < self.depth


def layer(net, ell, y):
    """z_l = A_l y + b_l and y_l = sigma(z_l) + y (no sigma in layer L, no + y without a skip); returns (z_l, y_l).

    y: (..., n_{l-1}); leading axes of y, A_l or b_l are broadcast.
    """
    z = (net.A[ell] @ y[..., None])[..., 0] + net.b[ell]
    if ell == net.depth:
        return z, z
    value = ACTIVATIONS[net.activation].value(z)
    return z, value + y if net.skips(ell) else value


def forward(net, x):
    """y = [x, y_1, ..., y_L] and z = [None, z_1, ..., z_L]."""
    y, z = [x], [None]
    for ell in range(1, net.depth + 1):
        pre_activation, output = layer(net, ell, y[-1])
        z.append(pre_activation)
        y.append(output)
    return y, z


def slopes(net, z):
    """s = [None, s_1, ..., s_L] with s_l = sigma'(z_l), and s_L = 1 since the last layer has no activation."""
    return [None, *(ACTIVATIONS[net.activation].slope(v) for v in z[1:-1]), np.ones_like(z[-1])]


def layer_jacobian(net, ell, z):
    """dy_l/dy_{l-1} = I + diag(sigma'(z_l)) A_l for 2 <= l < L, and A_L for l = L.  z: as ``forward`` returns it."""
    jacobian = slopes(net, z)[ell][:, None] * net.A[ell]
    return np.eye(len(jacobian)) + jacobian if net.skips(ell) else jacobian


def pull_back(row, slope, weight, skip):
    """dy_L/dy_{l-1} = row (I + diag(slope) weight), row = dy_L/dy_l.

    row, slope: (..., m); weight: (..., m, n), n = m if skip, else without I.
    Returns (..., n).
    """
    through = ((row * slope)[..., None, :] @ weight)[..., 0, :]
    return row + through if skip else through


def gradients(net, x):
    """The derivatives of y_L with respect to every b_l and A_l: (db, dA), in their shapes.

    dy_L/db_l = g_l diag(s_l) and dy_L/dA_l = (dy_L/db_l)^T y_{l-1}^T,
    where g_L = 1 and g_{l-1} = g_l dy_l/dy_{l-1}.
    """
    y, z = forward(net, x)
    s = slopes(net, z)
    db, dA = [None] * (net.depth + 1), [None] * (net.depth + 1)
    g = np.ones(1)
    for ell in range(net.depth, 0, -1):
        db[ell] = g * s[ell]
        dA[ell] = np.outer(db[ell], y[ell - 1])
        g = pull_back(g, s[ell], net.A[ell], net.skips(ell))
    return db, dA


def path_terms(net, z, i):
    """The 2^(L-1-i) terms whose sum is dy_L/dy_i, one for each path from layer i to the output.

    A path takes at each layer l = i+1, ..., L-1 either the skip (factor I) or the weights (factor diag(s_l) A_l).
    Returns shape (2,) * (L-1-i) + (m,): the axis l-i-1 says which of the two (0 or 1) the path takes at layer l.
    Raises ValueError without skips, where only one path exists.
    """
    if not net.residual:
        raise ValueError("a network without skips has one path only")
    s = slopes(net, z)
    terms = net.A[net.depth][0]
    for ell in range(net.depth - 1, i, -1):
        terms = np.stack([terms, (terms * s[ell]) @ net.A[ell]])
    return terms


def complex_step(net, x, step=1e-30):
    """All derivatives by f'(t) = Im f(t + ih) / h, exact to rounding for analytic f: nothing is subtracted.

    Returns (dy, db, dA): dy[l] = dy_l/dy_{l-1} for l >= 2, db and dA as ``gradients``.
    Source: Squire and Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40 (1998).
    """
    y, _ = forward(net, x)
    dy, db, dA = [None, None], [None], [None]
    for ell in range(1, net.depth + 1):
        if ell > 1:
            dy.append(layer(net, ell, y[ell - 1] + 1j * step * np.eye(y[ell - 1].size))[1].imag.T / step)
        rows, columns = net.A[ell].shape
        b = net.b[ell] + 1j * step * np.eye(rows)
        db.append(_last_imaginary(net._replace(b=replaced(net.b, ell, b)), x) / step)
        A = net.A[ell] + 1j * step * np.eye(rows * columns).reshape(-1, rows, columns)
        dA.append(_last_imaginary(net._replace(A=replaced(net.A, ell, A)), x).reshape(rows, columns) / step)
    return dy, db, dA


def random_network(rng, n, m, depth, activation, margin=1e-6):
    """A residual network and its input x, with A_l of variance 1/fan-in and b_l, x standard normal; returns (net, x).

    Drawn again until every pre-activation below layer L is further than ``margin`` from 0, the kink of ReLU.
    """
    sizes = [n] + [m] * (depth - 1) + [1]
    while True:
        A = [None, *(rng.standard_normal((q, p)) / np.sqrt(p) for p, q in pairwise(sizes))]
        net = Network(A, [None, *(rng.standard_normal(q) for q in sizes[1:])], activation)
        x = rng.standard_normal(n)
        if min(np.abs(z).min() for z in forward(net, x)[1][1:-1]) > margin:
            return net, x


def pinned_network(x, A, targets, activation="squared_relu", residual=True):
    """The network with weights A whose biases make the pre-activations equal to ``targets`` at the input x.

    A, targets: lists with None as entry 0.  So one factor of a derivative can be changed and all others kept.
    """
    b, y = [None], x
    for ell in range(1, len(A)):
        b.append(targets[ell] - A[ell] @ y)
        _, y = layer(Network(A, b, activation, residual), ell, y)
    return Network(A, b, activation, residual)


def break_layer(A, targets, j, cause):
    """Break layer j: A_j = 0 (``zero_weight``), or its pre-activation made negative (``zero_slope``).

    With sigma(z) = max(z, 0)^2 and positive targets the latter makes sigma'(z_j) exactly 0.
    Returns new (A, targets).  Raises ValueError for another cause.
    """
    if cause == "zero_weight":
        return replaced(A, j, np.zeros_like(A[j])), targets
    if cause == "zero_slope":
        return A, replaced(targets, j, -targets[j])
    raise ValueError(f"unknown cause {cause!r}")


def remove_layer(A, targets, j):
    """Take layer j out: the lists of the network with one layer less."""
    return A[:j] + A[j + 1 :], targets[:j] + targets[j + 1 :]


def replaced(items, index, value):
    """A copy of the list with one entry replaced."""
    return [*items[:index], value, *items[index + 1 :]]


def mean_square_gradient(k, residual):
    """E ||dy_L/dy_i||^2 = (1/3) (4/3)^k with skips, (1/3)^(k+1) without, k = L-1-i, at the default initialisation.

    For sigma' = 1 and independent entries of all A_l uniform on (-1/sqrt(m), 1/sqrt(m)), hence of variance 1/(3m).
    """
    return (1 / 3) * ((4 / 3) if residual else (1 / 3)) ** k


def factor_standard_error(width, replicates, residual):
    """Bound on the standard error of the mean, over replicates, of the factor ||u J||^2 / ||u||^2 of one layer.

    J = I + A (or A) with entries of A uniform on (-1/sqrt(m), 1/sqrt(m)) and u independent of A: the variance of the
    factor is at most 4/(3m) + 2/(9m) (or 2/(9m)), since the kurtosis of a uniform variable is below the normal one.
    residual: bool or array of them.
    """
    variance = np.where(residual, 4 / 3, 0) + 2 / 9
    return np.sqrt(variance / (width * replicates))


def simulate_growth(rng, width, layers, replicates, residual):
    """||dy_L/dy_i||^2 for k = L-1-i = 0, ..., layers in networks drawn at the default initialisation, sigma' = 1.

    Returns shape (layers + 1, replicates).
    """
    bound = 1 / np.sqrt(width)
    row = rng.uniform(-bound, bound, (replicates, width))
    squares = [np.square(row).sum(axis=-1)]
    for _ in range(layers):
        row = pull_back(row, 1.0, rng.uniform(-bound, bound, (replicates, width, width)), residual)
        squares.append(np.square(row).sum(axis=-1))
    return np.array(squares)


def _last_imaginary(net, x):
    return forward(net, x)[0][-1][..., 0].imag
