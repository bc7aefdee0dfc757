"""Random-feature ridge regression: the exact solution for every penalty, its risk in closed form, and its two parts.

Setting: x ~ N(0, I_d), labels y = x'beta + sigma eps with |beta| = 1, features F = ReLU(X W') with frozen weights
W_ij ~ N(0, 1/p), and theta = argmin |F theta - y|^2 / 2 + lam |theta|^2 / 2.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

BLOCK = 256  # rows of the feature covariance that are formed at a time
BATCH = 1000  # fresh inputs that are evaluated at a time


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
    """One reduction of F (n x p), r = min(n, p): theta = basis (left y / (eigenvalues + lam)) for every y and lam."""

    eigenvalues: np.ndarray  # (r,), of the smaller of F'F and FF', ascending
    basis: np.ndarray  # (p, r)
    left: np.ndarray  # (r, n), with orthogonal rows
    gains: np.ndarray  # (r,), the squared lengths of the rows of left


class Fit(NamedTuple):
    """What is kept of one width; arrays have one entry for each penalty."""

    train_mse: np.ndarray
    validation_mse: np.ndarray
    test_mse: np.ndarray
    risk: np.ndarray  # E (f(x) - x'beta)^2 over a fresh x
    bias: np.ndarray  # the risk of the same fit to labels without noise
    noise: np.ndarray  # what label noise of unit variance adds to the risk on average
    noise_cap: np.ndarray  # |W|^2 / (8 lam)
    size: np.ndarray  # |theta|
    slope: np.ndarray  # |gradient of the objective at theta| / (|F| |y|), with |F| the largest singular value
    condition: np.ndarray  # (largest eigenvalue + lam) / lam
    smallest: float  # smallest of the r eigenvalues, 0 if it drowns in rounding
    weights: float  # |W|^2


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


def features(x, weights):
    """F = ReLU(X W'), shape (n, p)."""
    return np.maximum(x @ weights.T, 0.0)


def factorise(f):
    """Reduce F once, for every label vector and every penalty.

    p <= n: F'F = V S V' and theta = V (S + lam)^-1 (V'F'y).
    p > n:  FF' = U S U' and theta = F'U (S + lam)^-1 (U'y).
    """
    n, p = f.shape
    if p <= n:
        eigenvalues, basis = np.linalg.eigh(f.T @ f)
        left = (f @ basis).T
        gains = np.maximum(eigenvalues, 0.0)
    else:
        eigenvalues, u = np.linalg.eigh(f @ f.T)
        basis, left = f.T @ u, u.T
        gains = np.ones(n)
    return Factors(np.maximum(eigenvalues, 0.0), basis, left, gains)


def ridge(factors, labels, lambdas):
    """The exact minimiser theta, one column for each penalty."""
    projected = factors.left @ labels
    shrunk = projected[:, None] / (factors.eigenvalues[:, None] + lambdas)
    return factors.basis @ shrunk


def feature_covariance(w, v):
    """E ReLU(w_i.x) ReLU(v_j.x) over x ~ N(0, I): |w||v| (sin a + (pi - a) cos a) / (2 pi), a the angle between them.

    The arc-cosine kernel of order one (Cho and Saul 2009). Shapes (p, d), (q, d) -> (p, q).
    """
    lengths = np.outer(np.linalg.norm(w, axis=1), np.linalg.norm(v, axis=1))
    cosine = np.clip((w @ v.T) / lengths, -1.0, 1.0)
    sine = np.sqrt((1.0 - cosine) * (1.0 + cosine))
    return lengths * (sine + (np.pi - np.arccos(cosine)) * cosine) / (2.0 * np.pi)


def covariance_times(weights, b):
    """M b for the feature covariance M of W, block by block of its upper half: M (p x p) is never stored."""
    result = np.zeros_like(b)
    starts = range(0, len(weights), BLOCK)
    for i in starts:
        rows = slice(i, i + BLOCK)
        for j in starts[i // BLOCK :]:
            columns = slice(j, j + BLOCK)
            block = feature_covariance(weights[rows], weights[columns])
            result[rows] += block @ b[columns]
            if j > i:
                result[columns] += block.T @ b[rows]
    return result


def risk(theta, covariance_theta, weights, beta):
    """E (theta'ReLU(Wx) - x'beta)^2 = theta'M theta - theta'W beta + |beta|^2, since E ReLU(w.x) x = w/2; by column.

    What is left below 10^-12 is rounding and becomes 0.
    """
    quadratic = np.einsum("pk,pk->k", theta, covariance_theta)
    value = quadratic - (weights @ beta) @ theta + beta @ beta
    return np.where(value > 1e-12, value, 0.0)


def noise_part(factors, covariance_basis, lambdas):
    """E |theta(eps)|_M^2 for labels eps of unit variance: sum_k s_k (s_k + lam)^-2 v_k'M v_k, for each penalty."""
    weights = factors.gains * np.einsum("pk,pk->k", factors.basis, covariance_basis)
    return weights @ (factors.eigenvalues[:, None] + lambdas) ** -2.0


def fit_width(data, weights, lambdas):
    """Fit one width for all penalties (an array) from one reduction; returns a ``Fit``. Memory O(np)."""
    f = features(data.train_x, weights)
    factors = factorise(f)
    s = factors.eigenvalues
    theta = ridge(factors, data.train_y, lambdas)
    clean = ridge(factors, data.train_x @ data.beta, lambdas)
    covariance_basis = covariance_times(weights, factors.basis)

    def covariance_of(labels):
        return ridge(factors._replace(basis=covariance_basis), labels, lambdas)

    residual = f @ theta - data.train_y[:, None]
    gradient = f.T @ residual + lambdas * theta
    return Fit(
        train_mse=np.mean(residual**2, axis=0),
        validation_mse=mean_squared_error(theta, weights, data.validation_x, data.validation_y),
        test_mse=mean_squared_error(theta, weights, data.test_x, data.test_y),
        risk=risk(theta, covariance_of(data.train_y), weights, data.beta),
        bias=risk(clean, covariance_of(data.train_x @ data.beta), weights, data.beta),
        noise=noise_part(factors, covariance_basis, lambdas),
        noise_cap=np.sum(weights**2) / (8.0 * lambdas),
        size=np.linalg.norm(theta, axis=0),
        slope=np.linalg.norm(gradient, axis=0) / max(np.sqrt(s[-1]) * np.linalg.norm(data.train_y), 1e-300),
        condition=(s[-1] + lambdas) / lambdas,
        smallest=float(s[0]) if s[0] > 1e-9 * s[-1] else 0.0,
        weights=float(np.sum(weights**2)),
    )


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
