"""Clipping against its formula, at the ends of the range of numbers, and with odd arguments."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, GradientError


def with_gradient(gradient, dtype="float64"):
    array = np.asarray(gradient, dtype=dtype)
    p = nn.Parameter(np.zeros_like(array))
    p.grad = mg.tensor(array)
    return p


def test_clipping_scales_all_gradients_together():
    a, b, c = with_gradient([3.0, 0.0]), with_gradient([4.0]), nn.Parameter([1.0])
    norm = nn.clip_grad_norm_([a, b, c], 10.0)
    assert (norm.shape, norm.item()) == ((), 5.0)
    assert a.grad.tolist() == [3.0, 0.0]
    assert nn.clip_grad_norm_([a, b, c], 0.5).item() == 5.0
    np.testing.assert_allclose(a.grad.numpy(), [0.3, 0.0], rtol=1e-6)
    np.testing.assert_allclose(b.grad.numpy(), [0.4], rtol=1e-6)
    assert c.grad is None


@pytest.mark.parametrize("norm_type", [0.7, 1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("limit", [0.1, 2.0, 100.0])
def test_the_formula(norm_type, limit):
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=shape) for shape in [(3, 4), (), (5,), (0, 2)]]
    parameters = [with_gradient(g) for g in gradients]
    norm = nn.clip_grad_norm_((p for p in parameters), limit, norm_type)
    everything = np.concatenate([g.ravel() for g in gradients])
    expected = (
        np.abs(everything).max()
        if norm_type == math.inf
        else (np.abs(everything) ** norm_type).sum() ** (1 / norm_type)
    )
    np.testing.assert_allclose(norm.item(), expected, rtol=1e-14)
    factor = min(1.0, limit / (expected + 1e-6))
    for p, g in zip(parameters, gradients, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g * factor, rtol=1e-14)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("float16", 6e4),
        ("float16", 1e-7),
        ("bfloat16", 1e38),
        ("float32", 1e38),
        ("float32", 1e-42),
        ("float64", 1e300),
        ("float64", 1e-310),
    ],
)
def test_no_square_overflows_and_none_vanishes(dtype, size, norm_type):
    dtype = mg.dtypes.as_dtype(dtype)
    gradient = (np.array([3.0, -4.0, 0.0]) / 5 * size).astype(dtype)
    exact = gradient.astype(np.longdouble)
    p = with_gradient(gradient, dtype)
    norm = nn.clip_grad_norm_(p, 1e-3, norm_type)
    expected = (
        np.abs(exact).max()
        if norm_type == math.inf
        else (np.abs(exact) ** norm_type).sum() ** (1 / np.longdouble(norm_type))
    )
    close = {"rtol": 1e-6 if norm.dtype == "float32" else 1e-13}
    np.testing.assert_allclose(norm.item(), float(expected), **close, atol=1e-45)
    clipped = (exact * min(np.longdouble(1), 1e-3 / (expected + np.longdouble(1e-6)))).astype(dtype)
    assert p.grad.dtype == dtype
    eps = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-6, "float64": 1e-13}[dtype.name]
    found, clipped = (np.asarray(x, dtype="float64") for x in (p.grad.numpy(), clipped))
    np.testing.assert_allclose(found, clipped, rtol=eps)


def test_the_largest_number_there_is():
    p = with_gradient([3.4e38, 0.0], "float32")
    assert nn.clip_grad_norm_(p, 1e38).item() == np.float32(3.4e38)
    np.testing.assert_allclose(p.grad.numpy(), [1e38, 0.0], rtol=1e-6)


def test_many_halves_are_added_up_in_more_digits():
    p = with_gradient(np.ones(100_000), "float16")
    assert nn.clip_grad_norm_(p, math.inf).item() == pytest.approx(math.sqrt(100_000), rel=1e-6)


def test_a_shared_gradient_is_not_scaled_twice():
    a, b = nn.Parameter([1.0, 1.0]), nn.Parameter([1.0, 1.0])
    (a + b).sum().backward()
    assert nn.clip_grad_norm_([a, b], 1.0).item() == 2.0
    for p in (a, b):
        np.testing.assert_allclose(p.grad.numpy(), [0.5, 0.5], rtol=1e-5)


def test_a_parameter_that_is_there_twice_counts_once():
    p = with_gradient([3.0, 4.0])
    assert nn.clip_grad_norm_([p, p], 1.0).item() == 5.0
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-6)


def test_gradients_of_several_dtypes():
    a, b = with_gradient([3.0], "float32"), with_gradient([4.0], "float64")
    norm = nn.clip_grad_norm_([a, b], 1.0)
    assert (norm.dtype, norm.item()) == ("float64", 5.0)
    assert (a.grad.dtype, b.grad.dtype) == ("float32", "float64")


def test_nothing_to_clip():
    assert nn.clip_grad_norm_([nn.Parameter([1.0])], 1.0).item() == 0.0
    assert nn.clip_grad_norm_([], 1.0).item() == 0.0
    zero = with_gradient([0.0, 0.0])
    assert nn.clip_grad_norm_([zero], 0.0).item() == 0.0
    assert zero.grad.tolist() == [0.0, 0.0]


def test_a_gradient_with_a_history_is_clipped_without():
    p = nn.Parameter([3.0, 4.0])
    (p * p).sum().backward(create_graph=True)
    assert nn.clip_grad_norm_([p], 5.0).item() == 10.0
    assert not p.grad.requires_grad


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite(bad):
    p, q = with_gradient([1.0, bad]), with_gradient([2.0])
    for function in (
        lambda: nn.clip_grad_norm_([p, q], 1.0, error_if_nonfinite=True),
        lambda: nn.get_total_norm([p.grad, q.grad], error_if_nonfinite=True),
    ):
        with pytest.raises(
            GradientError, match=r"norm of the gradients is (inf|nan), so .*anomaly"
        ):
            function()
    assert q.grad.tolist() == [2.0]
    norm = nn.clip_grad_norm_([p, q], 1.0).item()
    assert math.isnan(norm) if math.isnan(bad) else norm == math.inf
    np.testing.assert_array_equal(q.grad.numpy(), [math.nan if math.isnan(bad) else 0.0])
    assert math.isnan(p.grad.tolist()[1])


def test_total_norm():
    tensors = [mg.tensor([3.0]), mg.tensor([[0.0, 4.0]])]
    assert nn.get_total_norm(tensors).item() == 5.0
    assert nn.get_total_norm(tensors, math.inf).item() == 4.0
    assert nn.get_total_norm(tensors[1], 1).item() == 4.0
    assert nn.get_total_norm([]).item() == 0.0


def test_clipping_by_value():
    p, unused = with_gradient([-3.0, 0.5, math.nan, math.inf]), nn.Parameter([1.0])
    assert nn.clip_grad_value_([p, unused], 2) is None
    np.testing.assert_array_equal(p.grad.numpy(), [-2.0, 0.5, math.nan, 2.0])
    assert unused.grad is None
    nn.clip_grad_value_(p, 1.0)
    assert p.grad.tolist()[0] == -1.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: nn.clip_grad_norm_([], -1.0),
            r"clip_grad_norm_: max_norm must be a number, 0 or more, not -1\.0",
        ),
        (lambda: nn.clip_grad_norm_([], math.nan), "max_norm must be a number, 0 or more, not nan"),
        (lambda: nn.clip_grad_norm_([], "one"), "max_norm must be a number, 0 or more, not 'one'"),
        (
            lambda: nn.clip_grad_norm_([], 1.0, 0),
            "clip_grad_norm_: norm_type must be above 0, not 0",
        ),
        (lambda: nn.clip_grad_norm_([], 1.0, -2), "norm_type must be a number, 0 or more, not -2"),
        (lambda: nn.get_total_norm([], 0), "get_total_norm: norm_type must be above 0, not 0"),
        (
            lambda: nn.clip_grad_value_([], -1),
            "clip_grad_value_: clip_value must be a number, 0 or more, not -1",
        ),
        (
            lambda: nn.clip_grad_norm_(nn.Linear(1, 1), 1.0),
            r"clip_grad_norm_: parameters must be tensors, .* not a Linear; pass module\.parameters",
        ),
        (
            lambda: nn.clip_grad_value_(nn.Linear(1, 1), 1.0),
            r"clip_grad_value_: parameters must be tensors, .* pass module\.parameters\(\)",
        ),
        (lambda: nn.clip_grad_norm_(7, 1.0), "in a list for instance, not a int"),
        (
            lambda: nn.clip_grad_norm_([nn.Parameter([1.0]), 3], 1.0),
            "clip_grad_norm_: parameter 1 must be a tensor, but is 3",
        ),
    ],
)
def test_wrong_arguments(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()


def test_a_generator_that_is_used_up():
    parameters = nn.Linear(2, 2).parameters()
    list(parameters)
    with pytest.warns(
        UserWarning, match="clip_grad_norm_: .* a generator that is used up, so that no"
    ):
        nn.clip_grad_norm_(parameters, 1.0)
