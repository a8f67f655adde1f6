"""Drawing classes, by the inverse of their distribution function, and how likely they are."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from minigrad.testing import gradcheck

NEVER = -math.inf
LOGITS = np.array(
    [[0.3, NEVER, -2.0, 1.0], [NEVER, NEVER, 700.0, NEVER], [-800.0, -801.0, -799.0, -800.5]]
)


def probabilities(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("shape", [(), 5, (200, 2)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_draws_are_the_inverse_of_the_distribution_function(shape, dtype):
    logits = mg.tensor(LOGITS).astype(dtype)
    found = mg.categorical(logits, shape, generator=mg.Generator(7))
    sizes = (shape,) if isinstance(shape, int) else shape
    u = mg.Generator(7).uniform((*sizes, 3), dtype="float64").numpy()
    edges = np.cumsum(probabilities(logits.astype("float64").numpy()), -1)
    expected = np.stack([np.searchsorted(edges[n], u[..., n], "right") for n in range(3)], -1)
    assert found.dtype == mg.int64
    np.testing.assert_array_equal(found.numpy(), expected)


@given(
    st.lists(st.floats(-1e308, 1e308) | st.just(NEVER), min_size=1, max_size=5), st.integers(0, 9)
)
def test_what_is_forbidden_is_never_drawn(row, seed):
    if max(row) == NEVER:
        return
    found = mg.categorical(mg.tensor(row, dtype="float64"), 50, generator=mg.Generator(seed))
    assert all(row[i] > NEVER for i in found.tolist())


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1.0, 1e308])
def test_probabilities_of_any_size_draw_the_same(size):
    generator = mg.Generator(0)
    found = generator.categorical(mg.tensor([0.0, size, size, 0.0], dtype="float64"), (300,))
    expected = mg.Generator(0).categorical(mg.tensor([0.0, 1.0, 1.0, 0.0]), 300)
    assert found.tolist() == expected.tolist()
    assert set(found.tolist()) == {1, 2}


def test_nothing_is_drawn_of_nothing():
    assert mg.categorical(mg.zeros((0, 3)), 2).shape == (2, 0)
    assert mg.categorical(mg.zeros((2, 3)), 0).shape == (0, 2)


def test_the_global_generator_draws_by_default():
    mg.manual_seed(3)
    first = mg.categorical(mg.zeros(9), 20).tolist()
    mg.manual_seed(3)
    assert mg.Categorical(logits=mg.zeros(9)).sample(20).tolist() == first


def test_log_probabilities_and_entropy():
    p = probabilities(LOGITS)
    value = np.array([[[0], [2], [3]], [[2], [2], [1]]])  # broadcasts with the batch, (3,)
    with np.errstate(divide="ignore"):
        logs = np.log(
            np.array([[p[n, value[..., 0].ravel()[k]] for n in range(3)] for k in range(6)])
        )
    entropy = [-sum(x * math.log(x) for x in row if x > 0) for row in p]
    for choice in (mg.Categorical(logits=mg.tensor(LOGITS)), mg.Categorical(2 * mg.tensor(p))):
        np.testing.assert_allclose(
            choice.log_prob(mg.tensor(value)).numpy(), logs.reshape(2, 3, 3), rtol=1e-9
        )
        np.testing.assert_allclose(choice.entropy().numpy(), entropy, atol=1e-12)
        np.testing.assert_allclose(choice.probs.numpy(), p, atol=1e-12)


def test_gradients_equal_differences_and_are_finite():
    rng = np.random.default_rng(0)
    value = mg.tensor([[0, 1, 2], [2, 2, 0]])

    def results(name):
        def of(x):
            choice = mg.Categorical(**{name: x})
            return choice.log_prob(value), choice.entropy()

        return of

    gradcheck(results("logits"), mg.tensor(rng.normal(size=(3, 4))))
    gradcheck(results("probs"), mg.tensor(rng.uniform(0.1, 1.0, (3, 4))))
    for name, values in (("logits", LOGITS), ("probs", probabilities(LOGITS))):
        x = mg.tensor(values, requires_grad=True)
        choice = mg.Categorical(**{name: x})
        (choice.entropy().sum() + choice.log_prob(mg.tensor([0, 2, 1])).sum()).backward()
        assert mg.isfinite(x.grad).all()


X = mg.zeros((2, 3))


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ArgumentError, "minus infinity", lambda: mg.categorical(X * math.nan)),
        (ArgumentError, "minus infinity", lambda: mg.categorical(X + math.inf)),
        (ArgumentError, "minus infinity", lambda: mg.categorical(X - math.inf)),
        (ArgumentError, "minus infinity", lambda: mg.categorical(mg.zeros((2, 0)))),
        (ShapeError, "an axis", lambda: mg.categorical(X[0, 0])),
        (ShapeError, "non-negative integers", lambda: mg.categorical(X, -1)),
        (TypeError, "must be a tensor", lambda: mg.categorical([0.0, 1.0])),
        (ShapeError, "an axis", lambda: mg.Generator(0).categorical(X[0, 0])),
        (ArgumentError, "either probs or logits", mg.Categorical),
        (ArgumentError, "either probs or logits", lambda: mg.Categorical(X, X)),
        (ArgumentError, "non-negative", lambda: mg.Categorical(X - 1)),
        (ArgumentError, "not all zero", lambda: mg.Categorical(X)),
        (ArgumentError, "finite", lambda: mg.Categorical(X + math.inf)),
        (ArgumentError, "minus infinity", lambda: mg.Categorical(logits=X - math.inf)),
        (ShapeError, "axis of classes", lambda: mg.Categorical(logits=X[:, :0])),
        (DtypeError, "integers", lambda: mg.Categorical(logits=X).log_prob(X)),
        (IndexingError, "between 0 and 2", lambda: mg.Categorical(logits=X).log_prob(mg.tensor([3, -1]))),
        (ShapeError, "", lambda: mg.Categorical(logits=X).log_prob(mg.tensor([0, 1, 2]))),
    ],
)  # fmt: skip
def test_mistakes_are_told(error, text, call):
    with pytest.raises(error, match=text or None):
        call()
