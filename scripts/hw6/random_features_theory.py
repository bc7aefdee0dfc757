"""The risk of random-feature ridge regression by its deterministic equivalent at finite d, n and p ("elliptic form").

Setting: x ~ N(0, I_d), labels x'beta + sigma eps with |beta| = 1, features ReLU(W x) with W_ij ~ N(0, 1/p), p rows,
theta = argmin |F theta - y|^2 + lam |theta|^2; the risk E (theta'ReLU(W x) - x'beta)^2 counts no label noise.

Write x = r u and w_j = r_j v_j / sqrt(p): u, v_j are uniform on the sphere, r^2 and r_j^2 chi-squared with d degrees of
freedom. With orthonormal harmonics Y_ki, i = 1..B(d, k), ReLU(u'v) = sum_k xi_k sum_i Y_ki(u) Y_ki(v). The equivalent
replaces the harmonics of u and of v_j by independent isotropic vectors and keeps the radii. With expectations over
q ~ chi^2_d and D(rho) = sum_k B(d, k) rho xi_k^2 / (1 + rho xi_k^2), the degrees of freedom, its unknown rho > 0 solves

    p E[q y / (1 + q y)] = D(rho) = n E[q e / (1 + q e)],      lam = E[q / (1 + q y)] n E[q / (1 + q e)] / rho,

where lam falls as rho grows. In other words: the covariance S of the features is equivalent to diag(t xi_k^2) with
t = E[q / (1 + q y)], regularised by l = t / rho; derivatives in l are explicit. With s = d log D / d log rho,
c(z) = z E[q^2 / (1 + q z)^2] / E[q / (1 + q z)^2], a = s c(y) and b = rho xi_1^2 (the target is wholly of degree 1),

    delta = (1 - s + a) / (1 + a),   the ratio of tr S^2 (S + l)^-2 to tr S (S + l)^-1,
    risk  = [(1 + b a / (1 + a)) / (1 + b)^2 + sigma^2 d e delta / (1 + c(e))] / [1 - delta + delta / (1 + c(e))].

It is an approximation, mostly from below and worst for weak penalties: in simulations from d = 1 to 60 the relative
error stayed under 1/d, the standard errors apart (``RELATIVE_ERROR`` / d), and was mostly several times smaller.

Sources: Defilippis, Loureiro and Misiakiewicz (2024), "Dimension-free deterministic equivalents and scaling laws for
random feature regression", for the two-stage structure; Mei and Montanari (2022) for the proportional limit; Cho and
Saul (2009) for the kernel, which is the limit p -> infinity: y = a = 0, t = d.
"""

from functools import lru_cache
from math import comb, exp, lgamma, pi, sqrt
from typing import NamedTuple

import numpy as np

NULL_RISK = 1.0  # of the predictor 0: E (x'beta)^2
RELATIVE_ERROR = 1.0  # of the equivalent, times d, as found by simulation
BLOCK = 1024  # problems that are solved at a time: bounds the memory
MAX_DEGREES = 2000  # harmonics that are kept one by one
INFINITE = 1e100  # a width that stands for infinity, with finite arithmetic
GOLDEN = (sqrt(5.0) - 1.0) / 2.0


class Model(NamedTuple):
    """ReLU and chi^2_d in numbers: E f(q) = sum_i weights_i f(q_i)."""

    squares: np.ndarray  # (K,), xi_k^2 of the degrees 0, 1, 2, 4, 6, ...
    shares: np.ndarray  # (K,), B(d, k) xi_k^2
    tail: float  # the trace 1/(2d) less these shares
    q: np.ndarray  # (m,)
    weights: np.ndarray  # (m,)


class Parts(NamedTuple):
    """The risk as the sum of two parts."""

    noise: np.ndarray  # from the label noise given X and W, proportional to sigma^2
    bias: np.ndarray  # the rest, the randomness of X and W included


def multiplicity(input_dim, degree):
    """B(d, k), the dimension of the harmonics of degree k on the unit sphere of R^d; for d = 1 zero from k = 2 on."""
    if degree < 2:
        return input_dim**degree
    return comb(input_dim + degree - 1, degree) - comb(input_dim + degree - 3, degree - 2)


def coefficients(input_dim, count):
    """|xi_k| = |E ReLU(t) P_k(t)| for the first ``count`` of the degrees 0, 1, 2, 4, 6, ...: shape (count,).

    t is one coordinate of a uniform unit vector of R^d, P_k the Gegenbauer polynomial with P_k(1) = 1. xi_1 = 1/(2d),
    other odd ones vanish, xi_0 = Gamma(d/2) / (2 sqrt(pi) Gamma((d+1)/2)), and for even k, from Rodrigues' formula,
    |xi_{k+2} / xi_k| = |k - 1| / (k + d + 1).
    """
    first = exp(lgamma(input_dim / 2.0) - lgamma((input_dim + 1) / 2.0)) / (2.0 * sqrt(pi))
    k = 2.0 * np.arange(count)
    even = first * np.cumprod(np.concatenate([[1.0], abs(k - 1.0) / (k + input_dim + 1.0)]))
    return np.insert(even, 1, 0.5 / input_dim)[:count]


def spectrum(input_dim, rank):
    """xi_k^2, B(d, k) xi_k^2 and the tail, with the degrees that matter while D(rho) <= ``rank`` = min(n, p).

    The trace is E ReLU(t)^2 = 1/(2d) exactly. What the degrees left out hold of it enters D(rho) as rho tail: exact to
    first order in their rho xi_k^2, and the sum stops where the second order is below 10^-12 of the rank (or, in two or
    three dimensions and for thousands of directions, at 2000 terms).
    """
    squares = coefficients(input_dim, MAX_DEGREES) ** 2
    shares, counted, largest = [], 0, None
    for degree, square in zip([0, 1, *range(2, 2 * MAX_DEGREES, 2)], squares, strict=False):
        size = multiplicity(input_dim, degree)
        shares.append(size * square)
        counted += size
        tail = max(0.5 / input_dim - sum(shares), 0.0)
        if counted >= 2 * rank:
            largest = largest or 1.0 / square  # at this rho, D is at least counted / 2 >= rank
        if size == 0 or (largest and largest**2 * square * tail < 1e-12 * rank):
            break
    return squares[: len(shares)], np.array(shares), tail


def chi_squared_nodes(input_dim):
    """Nodes and weights for q ~ chi^2_d: the trapezoidal rule in log q, with errors near those of rounding.

    The density q^(d/2) exp(-q/2) of log q is nearly Gaussian with variance 2/d, and q/(1 + q z) has its poles at
    distance pi from the real axis for every z > 0 (in Gauss-Laguerre quadrature they approach it as z grows). The range
    leaves out 10^-17 of E[1/q] or, for d < 3, where that is infinite, q < exp(-90) d.
    """
    step = min(0.2, 0.5 * sqrt(2.0 / input_dim))
    offset = step * np.arange(-np.ceil(90.0 / step), np.ceil(6.0 / step))  # log(q / d)
    log_density = 0.5 * input_dim * (offset - np.exp(offset) + 1.0)
    kept = log_density - offset > -40.0
    weights = np.exp(log_density[kept])
    return input_dim * np.exp(offset[kept]), weights / weights.sum()


@lru_cache
def model(input_dim, rank):
    """The ``Model`` in dimension d for at most ``rank`` = min(n, p) degrees of freedom."""
    return Model(*spectrum(input_dim, rank), *chi_squared_nodes(input_dim))


def moments(z, q, weights):
    """E[1/(1+qz)], E[q/(1+qz)], E[q/(1+qz)^2], E[q^2/(1+qz)^2], each of the shape of z (m,)."""
    g = 1.0 / (1.0 + z[:, None] * q)
    return g @ weights, g @ (weights * q), (g * g) @ (weights * q), (g * g) @ (weights * q * q)


def saturation(fraction, q, weights):
    """The z > 0 with E[q z / (1 + q z)] = fraction, for fractions (m,) in (0, 1): (z, t, c), t = E[q / (1 + q z)].

    Newton's method for log odds = log E[qz/(1+qz)] - log E[1/(1+qz)] as a function of log z, from z = odds / E q. The
    slope is 1 - Var h / (E h (1 - E h)) with h = qz/(1+qz): at most 1 and, computed, above 1/2 at d = 1 and nearer to 1
    the larger d is, so that the method converges from anywhere.
    """
    fraction = np.minimum(fraction, 1.0 - 2.0**-52)
    odds = fraction / (1.0 - fraction)
    z = odds / (weights @ q)
    for _ in range(50):
        rest, t, slope, square = moments(z, q, weights)
        change = np.log(odds * rest / (z * t)) * t * rest / slope
        z = z * np.exp(change)
        if np.all(abs(change) <= 1e-12):
            break
    return z, t, z * square / slope


def state(log_rho, p, n, at):
    """log lam, d log lam / d log rho, and (rho, s, c(y), e, c(e)) at log rho; arrays of one shape (m,)."""
    rho = np.exp(log_rho)
    scaled = at.squares / (1.0 / rho[:, None] + at.squares)  # rho xi^2 / (1 + rho xi^2)
    ratio = rho[:, None] * at.shares / (1.0 + rho[:, None] * at.squares)
    freedom = ratio.sum(axis=1) + rho * at.tail
    s = 1.0 - (ratio * scaled).sum(axis=1) / freedom
    _, t_y, c_y = saturation(freedom / p, at.q, at.weights)
    e, t_e, c_e = saturation(freedom / n, at.q, at.weights)
    log_lam = np.where(freedom < np.minimum(n, p), np.log(t_y * n * t_e) - log_rho, -np.inf)
    return log_lam, -1.0 - s * (c_y + c_e), (rho, s, c_y, e, c_e)


def solve(p, lam, n, input_dim, at):
    """(rho, s, c(y), e, c(e)) at penalties lam by Newton's method in log rho, with bisection where it leaves a bracket.

    lam <= n d^2 / rho bounds rho above. At D <= min(n, p) / 2, true for rho <= d min(n, p), both t are at least half of
    1 / z for the z where E[qz/(1+qz)] = 1/2: this bounds rho below.
    """
    half, _, _ = saturation(np.array([0.5]), at.q, at.weights)
    low = np.log(np.minimum(input_dim * np.minimum(n, p), n / (4.0 * half**2 * lam)))
    high = np.maximum(np.log(n * float(input_dim) ** 2 / lam), low)
    log_rho = 0.5 * (low + high)
    for _ in range(200):
        log_lam, slope, found = state(log_rho, p, n, at)
        gap = np.log(lam) - log_lam
        low, high = np.where(gap < 0, log_rho, low), np.where(gap < 0, high, log_rho)
        newton = log_rho + gap / slope
        following = np.where((newton > low) & (newton < high), newton, 0.5 * (low + high))
        settled = (abs(following - log_rho) <= 1e-13) & (abs(gap) < 0.01)
        if np.all(settled | (high - low <= 1e-13)):
            break
        log_rho = following
    return found


def risk_parts(n_features, lam, input_dim, n_train, noise_std):
    """The ``Parts`` of the risk; widths p >= 1 (np.inf is the kernel limit), penalties > 0 and n_train >= 1 broadcast.

    Raises ValueError outside of these ranges, and for an input_dim that is not a positive whole number.
    """
    arrays = np.broadcast_arrays(n_features, lam, n_train)
    p, lam, n = (np.ravel(v).astype(float) for v in arrays)
    if input_dim != int(input_dim) or input_dim < 1 or not noise_std >= 0:
        raise ValueError("input_dim must be a positive whole number and noise_std at least 0")
    if not (np.all(p >= 1) and np.all((n >= 1) & np.isfinite(n)) and np.all((lam > 0) & np.isfinite(lam))):
        raise ValueError("n_features and n_train must be at least 1, penalties positive")
    at = model(int(input_dim), int(np.ceil(np.max(np.minimum(n, p)))))
    blocks = [slice(i, i + BLOCK) for i in range(0, len(p), BLOCK)]
    solved = [solve(np.minimum(p[i], INFINITE), lam[i], n[i], input_dim, at) for i in blocks]
    rho, s, c_y, e, c_e = np.concatenate(solved, axis=1)
    a, b = s * c_y, rho * (0.5 / input_dim) ** 2
    delta = (1.0 - s + a) / (1.0 + a)
    rest = s / (1.0 + a) + delta / (1.0 + c_e)
    noise = noise_std**2 * input_dim * e * delta / (1.0 + c_e) / rest
    bias = (1.0 + b * a / (1.0 + a)) / (1.0 + b) ** 2 / rest
    return Parts(noise.reshape(arrays[0].shape), bias.reshape(arrays[0].shape))


def risk(n_features, lam, input_dim, n_train, noise_std):
    """The risk of ``risk_parts``: an array of the broadcast shape of n_features, lam and n_train."""
    return sum(risk_parts(n_features, lam, input_dim, n_train, noise_std))


def optimal_lambda(n_features, input_dim, n_train, noise_std, low=1e-6, high=1e6):
    """The penalty in [low, high] of least risk for each width, and that risk: two arrays of the shape of n_features.

    The best of 73 penalties brackets it; golden sections in log lam follow, then one Newton step from central
    differences, which lifts the accuracy of lam from the square root of the rounding error to about nine digits.
    """
    widths = np.ravel(n_features).astype(float)

    def value(log_lam):
        return risk(widths, np.exp(log_lam), input_dim, n_train, noise_std)

    grid = np.linspace(np.log(low), np.log(high), 73)
    best = np.argmin(risk(widths[:, None], np.exp(grid), input_dim, n_train, noise_std), axis=1)
    left, right = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    for _ in range(25):
        inner, outer = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
        rises = value(inner) < value(outer)
        left, right = np.where(rises, left, inner), np.where(rises, outer, right)
    middle, h = 0.5 * (left + right), 0.03
    far_below, below, here, above, far_above = (value(middle + step * h) for step in (-2, -1, 0, 1, 2))
    slope = (8.0 * (above - below) - (far_above - far_below)) / 12.0
    bend = (16.0 * (above + below) - (far_above + far_below) - 30.0 * here) / 12.0
    newton = np.clip(-slope / np.where(bend > 0, bend, np.inf), -0.1, 0.1) * h
    log_lam = np.clip(middle + newton, np.log(low), np.log(high))
    shape = np.shape(n_features)
    return np.exp(log_lam).reshape(shape), value(log_lam).reshape(shape)


def linear_risk(input_dim, n_train, noise_std):
    """The expected risk of least squares on x itself: sigma^2 d / (n - d - 1) for n > d + 1.

    For n < d - 1 that of the shortest solution, 1 - n/d + sigma^2 n / (d - n - 1) (Hastie et al. 2022); infinite in
    between.
    """
    if n_train > input_dim + 1:
        return noise_std**2 * input_dim / (n_train - input_dim - 1)
    if n_train < input_dim - 1:
        return 1.0 - n_train / input_dim + noise_std**2 * n_train / (input_dim - n_train - 1)
    return np.inf
