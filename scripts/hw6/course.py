"""The course's own figure of double descent, from the random numbers of its starter code in their order."""

import numpy as np

from hw6.double_descent import Data, factorise, features, ridge

SEED = 0
WIDTHS = range(1, 1501, 10)
FIXED_LAMBDA = 0.01
LAMBDAS = 2.0 ** np.arange(-6, 6)


def course_data(rng, input_dim=35, noise_std=0.5, n_train=300, n_validation=60, n_test=30):
    """The starter code's ``Data`` from a ``numpy.random.RandomState``; only the training labels carry noise.

    It draws each input by ``multivariate_normal(0, I)``, which is a vector of standard normal numbers times a factor of
    the identity, itself the identity: drawn as such here, with no linear algebra library in between.
    """
    beta = rng.standard_normal(input_dim)
    beta = beta / np.linalg.norm(beta)
    train_x = rng.standard_normal((n_train, input_dim))
    train_y = train_x @ beta + rng.normal(0.0, noise_std, n_train)
    validation_x = rng.standard_normal((n_validation, input_dim))
    test_x = rng.standard_normal((n_test, input_dim))
    return Data(beta, train_x, train_y, validation_x, validation_x @ beta, test_x, test_x @ beta)


def residual_norms(theta, weights, x, y):
    """|f(x) - y|, the 2-norm over the rows of x, for each column of theta."""
    return np.linalg.norm(features(x, weights) @ theta - y[:, None], axis=0)


def course_width(data, weights, fixed_lambda, lambdas):
    """(tuned lambda, test error at the fixed lambda, test error at the tuned lambda) of one width.

    The tuned lambda has the smallest norm of validation residuals; of equals the first.
    """
    theta = ridge(factorise(features(data.train_x, weights)), data.train_y, np.append(lambdas, fixed_lambda))
    best = int(np.argmin(residual_norms(theta[:, :-1], weights, data.validation_x, data.validation_y)))
    test = residual_norms(theta, weights, data.test_x, data.test_y)
    return lambdas[best], test[-1], test[best]


def course_curve(widths=WIDTHS, fixed_lambda=FIXED_LAMBDA, lambdas=LAMBDAS, seed=SEED, **sizes):
    """Columns n_features, lambda, test_error_fixed, test_error_tuned: a dict of arrays with an entry for each width.

    Errors are 2-norms of the residuals at the test inputs, not their means. The weights of all widths are drawn in turn
    from the one stream, so that a width's result depends on the widths before it. ``sizes``: as for ``course_data``.
    """
    rng = np.random.RandomState(seed)  # the legacy stream is the point
    data = course_data(rng, **sizes)
    rows = []
    for p in widths:
        weights = rng.normal(0.0, 1.0 / np.sqrt(p), (p, len(data.beta)))
        rows.append((p, *course_width(data, weights, fixed_lambda, lambdas)))
    names = ("n_features", "lambda", "test_error_fixed", "test_error_tuned")
    return dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))
