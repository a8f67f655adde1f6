"""Sums over any axis of arrays of any layout: as exact as those along the last, against float64."""

import numpy
import pytest

import minigrad as mg
from minigrad.backends import backend_named
from minigrad.tensor import make

backend_named("numpy")  # `make` takes it as loaded

BOUND = 2.8e-7  # the error of PyTorch's sum of 262 144 rows of 64: about two roundings

LAYOUTS = {
    "rows": lambda x: x,
    "columns": numpy.asfortranarray,
    "a slice": lambda x: numpy.concatenate([x, x], axis=-1)[..., : x.shape[-1]],
    "every second": lambda x: numpy.repeat(x, 2, axis=-1)[..., ::2],
    "backwards": lambda x: x[::-1, ..., ::-1].copy()[::-1, ..., ::-1],
    "permuted": lambda x: numpy.moveaxis(numpy.moveaxis(x, 0, -1).copy(), -1, 0),
    "one row": lambda x: numpy.broadcast_to(x[:1], x.shape),
    "one column": lambda x: numpy.broadcast_to(x[..., :1], x.shape),
    "one number": lambda x: numpy.broadcast_to(x.flat[0], x.shape),
}
SHAPES = [
    ((40000, 3), 0), ((40000, 3), 1), ((40000, 3), None), ((3000, 70), 0), ((100, 1500), 0),
    ((200, 30, 7), (0, 1)), ((200, 30, 7), (0, 2)), ((7, 500, 30), 1), ((7, 500, 30), (1, -1)),
    ((50, 4, 9, 40), (0, 2)), ((50, 4, 9, 40), (0, 2, 3)), ((129, 9), 0), ((33, 9), 0), ((5, 6), 0),
]  # fmt: skip


def arrays(shape):
    """Values near one, and one value everywhere: its roundings all go the same way."""
    yield numpy.random.default_rng(0).uniform(0.5, 1.5, shape), 1
    for value in (0.1, 7.7):
        yield numpy.full(shape, value), 3


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
def test_sums_over_any_axes_are_exact_to_some_roundings(shape, axis, layout):
    for dtype, bound in (("float32", BOUND), ("float64", 1e-15)):
        for values, times in arrays(shape):
            x = LAYOUTS[layout](values.astype(dtype))
            for keepdims in (False, True):
                expected = x.astype("longdouble").sum(axis=axis, keepdims=keepdims)
                found = mg.sum(make(x, None), axis=axis, keepdims=keepdims)
                assert found.shape == expected.shape
                assert str(found.dtype) == dtype
                numpy.testing.assert_allclose(
                    found.numpy(), expected.astype("f8"), rtol=times * bound
                )


MOMENTS = {
    "mean": (mg.mean, lambda x: x.mean(axis=0)),
    "var": (mg.var, lambda x: x.var(axis=0)),
    "std": (lambda x, axis: mg.std(x, axis=axis, correction=1), lambda x: x.std(axis=0, ddof=1)),
    "logsumexp": (mg.logsumexp, lambda x: numpy.log(numpy.exp(x).sum(axis=0))),
    "vector_norm": (mg.vector_norm, lambda x: numpy.sqrt((x * x).sum(axis=0))),
    "norm of order 3": (
        lambda x, axis: mg.vector_norm(x, axis=axis, ord=3),
        lambda x: (abs(x) ** 3).sum(axis=0) ** (1 / 3),
    ),
    "softmax": (
        lambda x, axis: mg.softmax(x, axis=axis)[0],
        lambda x: numpy.exp(x[0]) / numpy.exp(x).sum(axis=0),
    ),
    "cumulative sum": (
        lambda x, axis: mg.cumulative_sum(x, axis=axis)[-1],
        lambda x: x.sum(axis=0),
    ),
    "einsum": (lambda x, axis: mg.einsum("ij->j", x), lambda x: x.sum(axis=0)),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_what_is_made_of_sums_over_rows_is_as_exact(name):
    function, expected = MOMENTS[name]
    x = numpy.random.default_rng(0).uniform(0.5, 1.5, (50000, 4)).astype("float32")
    found = function(mg.tensor(x), axis=0).numpy()
    numpy.testing.assert_allclose(found, expected(x.astype("float64")), rtol=2 * BOUND)


def test_rows_that_are_all_the_same_have_no_deviation():
    for value in (0.1, 1 / 3, 7.7):
        found = mg.std(mg.full((200000, 2), value), axis=0).numpy()
        assert (found <= 3 * BOUND * value).all()


@pytest.mark.parametrize(
    "used",
    [
        lambda x, b: x + b,
        lambda x, b: x * b,
        lambda x, b: x - mg.broadcast_to(b, x.shape),
        lambda x, b: mg.linear(x, mg.eye(4, dtype=b.dtype), b),
        lambda x, b: mg.where(x > 0, b, x),
        lambda x, b: mg.layer_norm(x, 4, bias=b),
    ],
)
def test_gradients_of_broadcast_arguments_are_as_exact(used):
    x, factors = (
        numpy.random.default_rng(k).uniform(0.5, 1.5, (50000, 4)).astype("float32") for k in (0, 1)
    )
    found = []
    for dtype in ("float32", "float64"):
        b = mg.ones(4, dtype=dtype, requires_grad=True)
        y = used(mg.tensor(x.astype(dtype)), b)
        (y * mg.tensor(factors.astype(dtype))).sum().backward()
        found.append(b.grad.numpy())
    numpy.testing.assert_allclose(*found, rtol=BOUND)
