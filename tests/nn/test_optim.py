"""Optimisers against their formulas; that updates are in place, and noticed."""

import tracemalloc

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, GradientError, ShapeError


def naive_adam(p, gradients, lr, betas, eps):
    mean = square = np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g**2
        corrected = mean / (1 - betas[0] ** t), square / (1 - betas[1] ** t)
        p = p - lr * corrected[0] / (np.sqrt(corrected[1]) + eps)
    return p


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.0)])
def test_adam_equals_its_formula(betas):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)), rng.normal(size=(100, 3, 4))
    p = nn.Parameter(start)
    optimizer = nn.optim.Adam([p], lr=0.01, betas=betas, eps=1e-3)
    for g in gradients:
        optimizer.zero_grad()
        (p * mg.tensor(g)).sum().backward()
        optimizer.step()
    expected = naive_adam(start, gradients, 0.01, betas, 1e-3)
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-12)


def test_adam_finds_a_minimum_and_leaves_the_rest_alone():
    p, unused = nn.Parameter([5.0, -3.0]), nn.Parameter([1.0])
    optimizer = nn.optim.Adam([p, unused], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        ((p - 2) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), [2.0, 2.0], atol=1e-3)
    assert unused.tolist() == [1.0]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: nn.optim.Adam([p], lr=0.1),
        lambda p: nn.optim.SGD([p], lr=0.1),
        lambda p: nn.optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    ],
)
def test_a_step_is_in_place_and_makes_no_arrays(make):
    p = nn.Parameter(np.ones((500, 500), dtype="float32"))
    optimizer = make(p)
    p.grad = mg.ones((500, 500))
    array = p._array
    optimizer.step()  # makes its running means
    tracemalloc.start()
    try:
        optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert p._array is array
    assert peak < 20_000  # the array has a million bytes


def test_a_pending_backward_pass_notices_a_step():
    p = nn.Parameter([1.0, 2.0])
    optimizer = nn.optim.Adam([p])
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(GradientError, match="written in place after the forward pass"):
        loss.backward()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: nn.optim.Adam(nn.Linear(2, 2)),
            "Adam: parameters must be tensors, in a list for instance, not a Linear",
        ),
        (lambda: nn.optim.Adam([]), "Adam: there are no parameters to train"),
        (
            lambda: nn.optim.SGD([nn.Parameter([1.0])], momentum=-1),
            "SGD: momentum must be a finite number, 0 or more, not -1",
        ),
        (
            lambda: nn.optim.SGD([nn.Parameter([1.0])], nesterov=True),
            "SGD: nesterov looks ahead by the momentum",
        ),
        (
            lambda: nn.optim.Adam([mg.ones(2)]),
            "Adam: parameter 0 must be a leaf tensor that requires",
        ),
        (lambda: nn.optim.Adam([nn.Parameter([1.0]) * 2]), "parameter 0 must be a leaf tensor"),
        (lambda: nn.optim.SGD([nn.Parameter([1.0])] * 2), "SGD: a parameter is there twice"),
        (
            lambda: nn.optim.Adam([nn.Parameter([1.0])], lr=-1),
            "Adam: lr must be a finite number, 0 or more, not -1",
        ),
        (
            lambda: nn.optim.Adam([nn.Parameter([1.0])], betas=(0.9, 1.0)),
            r"Adam: betas must be two numbers from 0 to below 1, not \(0\.9, 1\.0\)",
        ),
    ],
)
def test_wrong_arguments(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


@pytest.mark.parametrize("wrong", [mg.tensor(3.0), mg.ones((3, 2)), np.ones(3)])
def test_a_gradient_of_another_shape_or_kind_is_refused(wrong):
    p, q = nn.Parameter([1.0, 2.0]), nn.Parameter([3.0])
    p.grad = wrong
    with pytest.raises(ShapeError, match=r"parameter 1 is a .* a tensor of shape \(2,\)"):
        nn.optim.SGD([q, p], lr=1.0).step()
    assert p.tolist() == [1.0, 2.0]


def test_an_optimizer_must_define_update():
    p = nn.Parameter([1.0])
    p.grad = mg.ones(1)
    with pytest.raises(NotImplementedError, match="Optimizer has no method update; define it"):
        nn.optim.Optimizer([p], {"lr": 0.1}).step()


def test_an_optimiser_shows_what_it_trains():
    optimizer = nn.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)
    assert repr(optimizer) == "SGD(8 numbers in 2 tensors, lr=0.1)"
