"""Random-feature ridge regression: the exact solution for every penalty, its risk in closed form, and its two parts.

Setting: x ~ N(0, I_d), labels y = x'beta + sigma eps with |beta| = 1, features F = ReLU(X W') with frozen weights
W_ij ~ N(0, 1/p), and theta = argmin |F theta - y|^2 / 2 + lam |theta|^2 / 2.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas, eigh_tridiagonal, lapack

PANEL = 128  # rows of the feature covariance that are formed at a time
BATCH = 1000  # fresh inputs that are evaluated at a time
NARROW, WIDE = 8, 32  # columns that dsytrd reduces at a time, below 1000 unknowns and from there on
REFLECTORS = 64  # reflectors that dormqr gathers at most
FEW = 16  # columns to which dormqr applies its reflectors one by one


class Stream(IntEnum):
    """One stream of random numbers for each thing that is drawn; the order is part of every result."""

    TARGET = 0
    TRAIN_INPUTS = 1
    TRAIN_NOISE = 2
    VALIDATION_INPUTS = 3
    TEST_INPUTS = 4
    WEIGHTS = 5
    RISK_INPUTS = 6


class Data(NamedTuple):
    """One draw of the data; only the training labels carry noise."""

    beta: np.ndarray  # (d,), of length one
    train_x: np.ndarray  # (n_train, d)
    train_y: np.ndarray  # (n_train,)
    validation_x: np.ndarray
    validation_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


class Factors(NamedTuple):
    """F (n x p) and its smaller Gram matrix Q T Q': F'F if p < n, else FF' (wide); r = min(n, p).

    T is tridiagonal; Q is kept as r - 1 Householder reflectors, which leave the first coordinate alone.
    """

    f: np.ndarray  # (n, p)
    wide: bool
    diagonal: np.ndarray  # (r,), of T
    off_diagonal: np.ndarray  # (r - 1,), of T
    reflectors: np.ndarray  # (r - 1, r - 1), below the diagonal
    scales: np.ndarray  # (r - 1,), of the reflectors


class Fit(NamedTuple):
    """What is kept of one width; arrays have one entry for each penalty. None: not asked for."""

    weights: float  # |W|^2
    train_mse: np.ndarray
    validation_mse: np.ndarray
    test_mse: np.ndarray
    size: np.ndarray  # |theta|
    noise_cap: np.ndarray  # |W|^2 / (8 lam)
    risk: np.ndarray = None  # E (f(x) - x'beta)^2 over a fresh x
    bias: np.ndarray = None  # the risk of the same fit to labels without noise
    noise: np.ndarray = None  # what label noise of unit variance adds to the risk on average
    left_out_mse: np.ndarray = None  # mean square of the leave-one-out residuals
    gcv: np.ndarray = None  # generalised cross-validation
    slope: np.ndarray = None  # |gradient of the objective at theta| / (|F| |y|), with |F| the largest singular value
    condition: np.ndarray = None  # (largest eigenvalue + lam) / lam
    smallest: float = None  # smallest of the r eigenvalues, 0 if it drowns in rounding


def draw_data(streams, input_dim, noise_std, n_train, n_validation, n_test):
    """One draw of ``Data``; ``streams(stream)`` returns the generator of a ``Stream``."""
    beta = streams(Stream.TARGET).standard_normal(input_dim)
    beta /= np.linalg.norm(beta)
    train_x = streams(Stream.TRAIN_INPUTS).standard_normal((n_train, input_dim))
    noise = streams(Stream.TRAIN_NOISE).standard_normal(n_train)
    validation_x = streams(Stream.VALIDATION_INPUTS).standard_normal((n_validation, input_dim))
    test_x = streams(Stream.TEST_INPUTS).standard_normal((n_test, input_dim))
    train_y = train_x @ beta + noise_std * noise
    return Data(beta, train_x, train_y, validation_x, validation_x @ beta, test_x, test_x @ beta)


def draw_weights(streams, n_features, input_dim):
    """W (p x d) with entries N(0, 1/p), from a stream of its own for each width p."""
    rng = streams(Stream.WEIGHTS, n_features)
    return rng.standard_normal((n_features, input_dim)) / np.sqrt(n_features)


def features(x, weights, out=None):
    """F = ReLU(X W'), shape (n, p), in ``out`` if given."""
    f = np.matmul(x, weights.T, out=out)
    return np.maximum(f, 0.0, out=f)


def factorise(f):
    """Reduce F (C order) once, for every label vector and every penalty.

    Half the smaller Gram matrix (dsyrk) is made tridiagonal (dsytrd):
    n p r + 4/3 r^3 flops with r = min(n, p).
    """
    n, p = f.shape
    r, wide = min(n, p), p >= n
    gram = blas.dsyrk(1.0, f.T, trans=wide, lower=1)
    workspace = r * (NARROW if r < 1000 else WIDE)
    result = lapack.dsytrd(gram, lower=1, lwork=workspace, overwrite_a=1)
    reduced, diagonal, off_diagonal, scales, _ = result
    reflectors = np.asfortranarray(reduced[1:, :-1])
    return Factors(f, wide, diagonal, off_diagonal, reflectors, scales)


def rotate(factors, z, transposed=False):
    """Q z or Q'z, shape (r, k)."""
    z = np.array(z, order="F")
    if len(z) > 1:
        k = z.shape[1]
        lwork = k if k < FEW else REFLECTORS * (k + REFLECTORS + 1)
        z[1:] = lapack.dormqr("L", "T" if transposed else "N", factors.reflectors, factors.scales, z[1:], lwork)[0]
    return z


def solve_tridiagonal(factors, b, lam):
    """(T + lam)^-1 b by T + lam = L D L' in O(r) a column; ValueError if lam drowns in the rounding error of T."""
    if len(b) == 1:
        return b / (factors.diagonal + lam)
    pivots, multipliers, info = lapack.dpttrf(factors.diagonal + lam, factors.off_diagonal)
    if info:
        raise ValueError(f"penalty {lam:g} is below the rounding error of the features' Gram matrix")
    return lapack.dpttrs(pivots, multipliers, b)[0]


def coefficients(factors, labels, lambdas):
    """(smaller Gram matrix + lam)^-1 b, b = y if wide, else F'y.

    = Q (T + lam)^-1 Q'b: each penalty costs a tridiagonal solve and 2 r^2 flops.
    labels: (n, m).  Returns (r, m, number of penalties).
    """
    b = labels if factors.wide else factors.f.T @ labels
    b = rotate(factors, b, transposed=True)
    solutions = [solve_tridiagonal(factors, b, lam) for lam in lambdas]
    z = np.stack(solutions, axis=-1)
    return rotate(factors, z.reshape(len(b), -1)).reshape(z.shape)


def expand(factors, dual):
    """theta from the coefficients: F'(FF' + lam)^-1 y if wide, else (F'F + lam)^-1 F'y, which is theta already."""
    if not factors.wide:
        return dual
    rows = dual.reshape(len(dual), -1).T @ factors.f  # this order is the faster one
    return np.moveaxis(rows.reshape(*dual.shape[1:], -1), -1, 0)


def ridge(factors, labels, lambdas):
    """The exact minimiser theta for one label vector, one column for each penalty: shape (p, number of penalties)."""
    return expand(factors, coefficients(factors, labels[:, None], lambdas))[:, 0]


def spectrum(factors):
    """Eigenvalues (r,), ascending, not below 0, and eigenvectors (r, r) of the smaller Gram matrix, from T = V S V'."""
    eigenvalues, v = eigh_tridiagonal(factors.diagonal, factors.off_diagonal, lapack_driver="stevd")
    return np.maximum(eigenvalues, 0.0), rotate(factors, v)


def extreme_eigenvalues(factors):
    """Smallest and largest eigenvalue of the smaller Gram matrix, not below 0, by bisection on T."""
    last = len(factors.diagonal) - 1
    ends = (
        eigh_tridiagonal(factors.diagonal, factors.off_diagonal, True, "i", (k, k), lapack_driver="stebz")[0]
        for k in (0, last)
    )
    return tuple(max(float(value), 0.0) for value in ends)


def residuals(factors, dual, labels, lambdas):
    """y - F theta (n, number of penalties) from one label vector's coefficients: lam times these if wide."""
    return lambdas * dual if factors.wide else labels[:, None] - factors.f @ dual


def leave_one_out(factors, eigenpairs, residual, lambdas):
    """Residuals y_i - f_(-i)(x_i) of the n fits without sample i: residual_i / (1 - h_ii), exactly; shape of residual.

    H = F (F'F + lam)^-1 F' has the diagonal sum_k (FV)_ik^2 / (s_k + lam), and I - H = lam (FF' + lam)^-1 if wide.
    """
    s, vectors = eigenpairs
    inverse = 1.0 / (s[:, None] + lambdas)
    if factors.wide:
        return residual / (lambdas * (vectors**2 @ inverse))
    return residual / (1.0 - (factors.f @ vectors) ** 2 @ inverse)


def generalised_cross_validation(factors, eigenpairs, residual, lambdas):
    """n |y - F theta|^2 / (n - tr H)^2 for each penalty; n - tr H = n - r + sum_k lam / (s_k + lam)."""
    s, n = eigenpairs[0], len(factors.f)
    freedom = n - len(s) + np.sum(lambdas / (s[:, None] + lambdas), axis=0)
    return n * np.sum(residual**2, axis=0) / freedom**2


def angular_part(cosine, out=None):
    """sin a + (pi - a) cos a of the angles a with these cosines, in ``out`` if given; ``cosine`` ends as scratch."""
    np.clip(cosine, -1.0, 1.0, out=cosine)
    out = np.arcsin(cosine, out=out)  # pi - arccos = pi / 2 + arcsin
    out += np.pi / 2
    out *= cosine
    cosine *= cosine
    np.subtract(1.0, cosine, out=cosine)
    out += np.sqrt(cosine, out=cosine)
    return out


def directions(weights):
    """Rows of unit length, and the lengths over sqrt(2 pi); a zero row stays zero."""
    lengths = np.linalg.norm(weights, axis=1)
    return weights / np.where(lengths > 0, lengths, 1.0)[:, None], lengths / np.sqrt(2.0 * np.pi)


def feature_covariance(w, v):
    """E ReLU(w_i.x) ReLU(v_j.x) over x ~ N(0, I): |w||v| (sin a + (pi - a) cos a) / (2 pi), a the angle between them.

    The arc-cosine kernel of order one (Cho and Saul 2009). Shapes (p, d), (q, d) -> (p, q).
    """
    (w, w_scale), (v, v_scale) = directions(w), directions(v)
    return np.outer(w_scale, v_scale) * angular_part(w @ v.T)


def covariance_forms(weights, b):
    """b_k'M b_k for each column of b (p, m), M the feature covariance of W; M (p x p) is never stored.

    M = D J D with D the scaled lengths and J the angular part. Panels of rows of JD from the diagonal block on, that
    block halved, have the half b'DJDb: p^2 / 2 evaluations, p^2 m flops.
    """
    p = len(weights)
    unit, scale = directions(weights)
    half = np.zeros(b.shape[1])
    scratch = np.empty((2, PANEL * p))
    for i in range(0, p, PANEL):
        rows = slice(i, min(i + PANEL, p))
        shape = rows.stop - i, p - i
        cosine, panel = (flat[: shape[0] * shape[1]].reshape(shape) for flat in scratch)
        angular_part(np.matmul(unit[rows], unit[i:].T, out=cosine), out=panel)
        panel *= scale[i:]
        panel[:, : shape[0]] *= 0.5
        half += scale[rows] @ (b[rows] * (panel @ b[i:]))
    return 2.0 * half


def risk(theta, forms, weights, beta):
    """E (theta'ReLU(Wx) - x'beta)^2 = theta'M theta - theta'W beta + |beta|^2, since E ReLU(w.x) x = w/2; by column.

    forms: theta'M theta for each column. What is left below 10^-12 is rounding and becomes 0.
    """
    value = forms - (weights @ beta) @ theta + beta @ beta
    return np.where(value > 1e-12, value, 0.0)


def noise_basis(factors, eigenpairs, out=None):
    """sqrt(s_k) v_k, v_k the eigenvectors of F'F, as columns (p, r): F'u_k if wide; in ``out`` if given."""
    s, vectors = eigenpairs
    if factors.wide:
        return np.matmul(factors.f.T, vectors, out=out)
    return np.multiply(np.sqrt(s), vectors, out=out)


def noise_part(eigenpairs, forms, lambdas):
    """E |theta(eps)|_M^2 for labels eps of unit variance: sum_k s_k v_k'M v_k (s_k + lam)^-2, for each penalty.

    forms: s_k v_k'M v_k, from ``noise_basis``.
    """
    return forms @ (eigenpairs[0][:, None] + lambdas) ** -2.0


def sweep(data, draw, widths, lambdas, **extras):
    """Fit one width after the other: yields (p, ``Fit``) as soon as a width is done. Memory O(np) for the largest.

    draw(p) returns W (p x d); extras: what ``fit_width`` shall add.
    """
    rows = len(data.train_x) + len(data.validation_x) + len(data.test_x)
    workspace = np.empty(rows * max(widths))
    for p in widths:
        yield p, fit_width(data, draw(p), lambdas, workspace[: rows * p], **extras)


def fit_width(data, weights, lambdas, workspace=None, *, risks=True, parts=True, left_out=True, checks=True):
    """Fit one width for all penalties (an array) from one reduction; returns a ``Fit``.

    risks: risk in closed form; parts: bias and noise; left_out: leave-one-out and generalised cross-validation;
    checks: slope, condition, smallest. workspace: a vector that takes the features of all inputs.
    """
    n, p = len(data.train_y), len(weights)
    x = np.concatenate([data.train_x, data.validation_x, data.test_x])
    f = features(x, weights, None if workspace is None else workspace.reshape(len(x), p))
    factors = factorise(f[:n])
    labels = np.stack([data.train_y, data.train_x @ data.beta], axis=1)[:, : 1 + parts]
    dual = coefficients(factors, labels, lambdas)
    both = expand(factors, dual)
    theta = both[:, 0]
    fresh_y = np.concatenate([data.validation_y, data.test_y])
    squares = (f[n:] @ theta - fresh_y[:, None]) ** 2
    residual = residuals(factors, dual[:, 0], data.train_y, lambdas)
    size, total = np.linalg.norm(theta, axis=0), float(np.sum(weights**2))
    eigenpairs = spectrum(factors) if parts or left_out else None
    fit = Fit(
        weights=total,
        train_mse=np.mean(residual**2, axis=0),
        validation_mse=np.mean(squares[: len(data.validation_y)], axis=0),
        test_mse=np.mean(squares[len(data.validation_y) :], axis=0),
        size=size,
        noise_cap=total / (8.0 * lambdas),
    )
    if risks or parts:
        fit = fit._replace(**closed_form(factors, eigenpairs, both, weights, data.beta, lambdas, parts))
    if left_out:
        alone = leave_one_out(factors, eigenpairs, residual, lambdas)
        gcv = generalised_cross_validation(factors, eigenpairs, residual, lambdas)
        fit = fit._replace(left_out_mse=np.mean(alone**2, axis=0), gcv=gcv)
    return fit._replace(**optimality(factors, theta, data.train_y, lambdas)) if checks else fit


def closed_form(factors, eigenpairs, both, weights, beta, lambdas, parts):
    """Risk, and its two parts if asked, of theta for the noisy and the clean labels (p, 1 or 2, number of penalties).

    One pass over the feature covariance serves all columns.
    """
    columns = both.reshape(len(weights), -1)
    count = columns.shape[1]
    if parts:
        columns = np.empty((len(weights), count + len(eigenpairs[0])))
        columns[:, :count] = both.reshape(len(weights), -1)
        noise_basis(factors, eigenpairs, columns[:, count:])
    forms = covariance_forms(weights, columns)
    values = risk(columns[:, :count], forms[:count], weights, beta).reshape(-1, len(lambdas))
    if not parts:
        return {"risk": values[0]}
    return {"risk": values[0], "bias": values[1], "noise": noise_part(eigenpairs, forms[count:], lambdas)}


def optimality(factors, theta, labels, lambdas):
    """How nearly theta solves its problem, from the gradient F'(F theta - y) + lam theta, and how hard that was."""
    f = factors.f
    smallest, largest = extreme_eigenvalues(factors)
    gradient = f.T @ (f @ theta - labels[:, None]) + lambdas * theta
    return {
        "slope": np.linalg.norm(gradient, axis=0) / max(np.sqrt(largest) * np.linalg.norm(labels), 1e-300),
        "condition": (largest + lambdas) / lambdas,
        "smallest": smallest if smallest > 1e-9 * largest else 0.0,
    }


def mean_squared_error(theta, weights, x, y):
    """Mean over the rows of x of (f(x) - y)^2, for each column of theta."""
    return np.mean((features(x, weights) @ theta - y[:, None]) ** 2, axis=0)


def choose(errors):
    """Index of the smallest error and of the runner-up (None if there is no other); ties go to the smaller index."""
    order = np.argsort(errors, kind="stable")
    return int(order[0]), int(order[1]) if len(order) > 1 else None


def largest_rise(values):
    """max over i < j of values[j] - values[i], with (i, j); (0, 0, 0) for a curve that never rises."""
    lowest = np.minimum.accumulate(values)
    last = int(np.argmax(values - lowest))
    return float(values[last] - lowest[last]), int(np.argmin(values[: last + 1])), last


# The same things computed another way, for the claims and the tests.


def ridge_least_squares(f, labels, lam):
    """theta as the least-squares solution of [F; sqrt(lam) I] theta = [y; 0]; shape (p,)."""
    p = f.shape[1]
    stacked = np.vstack([f, np.sqrt(lam) * np.eye(p)])
    return np.linalg.lstsq(stacked, np.concatenate([labels, np.zeros(p)]), rcond=None)[0]


def ridge_primal(f, labels, lam):
    """theta = (F'F + lam I)^-1 F'y by a linear solve; labels (n,) or (n, k)."""
    return np.linalg.solve(f.T @ f + lam * np.eye(f.shape[1]), f.T @ labels)


def ridge_dual(f, labels, lam):
    """theta = F'(FF' + lam I)^-1 y by a linear solve; labels (n,) or (n, k)."""
    return f.T @ np.linalg.solve(f @ f.T + lam * np.eye(f.shape[0]), labels)


def sampled_risk(rng, theta, weights, beta, n_inputs):
    """Mean of (f(x) - x'beta)^2 over fresh inputs and its standard error, for each column of theta."""
    squares = []
    for start in range(0, n_inputs, BATCH):
        x = rng.standard_normal((min(BATCH, n_inputs - start), len(beta)))
        squares.append((features(x, weights) @ theta - (x @ beta)[:, None]) ** 2)
    squares = np.concatenate(squares)
    return squares.mean(axis=0), squares.std(axis=0, ddof=1) / np.sqrt(n_inputs)
