"""The course's figure: its stream of random numbers, and its errors by the plainest solver."""

import numpy as np
import pytest

from hw6 import course


def starter_stream(seed, d, noise_std, sizes):
    """What the starter code draws before its weights, one sample at a time, and the generator as it leaves it."""
    rng = np.random.RandomState(seed)
    beta = rng.normal(size=d)
    beta = beta / np.linalg.norm(beta)
    inputs, labels = [], []
    for i, n in enumerate(sizes):
        x = np.array([rng.multivariate_normal(np.zeros(d), np.eye(d)) for _ in range(n)])
        inputs.append(x)
        labels.append(x @ beta + (rng.normal(0, noise_std, n) if i == 0 else 0.0))
    return rng, beta, inputs, labels


@pytest.fixture(scope="module")
def curve():
    return course.course_curve()


@pytest.mark.parametrize(("seed", "d", "sizes"), [(0, 35, (300, 60, 30)), (3, 4, (7, 5, 2)), (5, 1, (1, 1, 1))])
def test_data_are_those_of_the_starter_code(seed, d, sizes):
    legacy, beta, inputs, labels = starter_stream(seed, d, 0.5, sizes)
    rng = np.random.RandomState(seed)
    data = course.course_data(rng, d, 0.5, *sizes)
    np.testing.assert_allclose(data.beta, beta, rtol=1e-15)
    for drawn, expected in zip((data.train_x, data.validation_x, data.test_x), inputs, strict=True):
        np.testing.assert_allclose(drawn, expected, rtol=1e-12)
    for drawn, expected in zip((data.train_y, data.validation_y, data.test_y), labels, strict=True):
        np.testing.assert_allclose(drawn, expected, rtol=1e-12, atol=1e-12)
    assert rng.normal() == legacy.normal()


def test_errors_are_those_of_the_textbook_solve():
    widths, lambdas, d, sizes = [1, 4, 12, 20], np.array([0.1, 1.0, 10.0]), 3, (12, 6, 5)
    rng, _, (x, x_validation, x_test), (y, y_validation, y_test) = starter_stream(2, d, 0.5, sizes)
    table = course.course_curve(
        widths, 0.01, lambdas, seed=2, input_dim=d, n_train=sizes[0], n_validation=sizes[1], n_test=sizes[2]
    )
    for i, p in enumerate(widths):
        w = rng.normal(0, 1 / np.sqrt(p), (p, d))

        def error(lam, inputs, labels, w=w, p=p):
            f = np.maximum(x @ w.T, 0)
            theta = np.linalg.solve(f.T @ f + lam * np.eye(p), f.T @ y)
            return np.linalg.norm(np.maximum(inputs @ w.T, 0) @ theta - labels)

        tuned = min(lambdas, key=lambda lam: error(lam, x_validation, y_validation))
        assert table["n_features"][i] == p
        assert table["lambda"][i] == tuned
        assert table["test_error_fixed"][i] == pytest.approx(error(0.01, x_test, y_test), rel=1e-8)
        assert table["test_error_tuned"][i] == pytest.approx(error(tuned, x_test, y_test), rel=1e-8)


def test_columns_have_an_entry_for_each_width(curve):
    assert list(curve) == ["n_features", "lambda", "test_error_fixed", "test_error_tuned"]
    np.testing.assert_array_equal(curve["n_features"], np.arange(1, 1501, 10))
    assert {len(column) for column in curve.values()} == {150}


def test_a_width_depends_on_those_before_it_only(curve):
    first = course.course_curve(widths=[1, 11, 21])
    for name, column in first.items():
        np.testing.assert_array_equal(column, curve[name][:3])


def test_peak_of_this_draw_and_the_penalty_that_wins(curve):
    assert curve["n_features"][np.argmax(curve["test_error_fixed"])] == 341
    assert np.mean(curve["lambda"] == 8.0) > 0.5
    assert np.max(curve["test_error_fixed"]) > 5 * curve["test_error_tuned"][34]
