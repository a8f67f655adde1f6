"""Threads that share the columns of a step wait where one reads what others write."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import scan
from minigrad.kernels.targets import numba_cpu

WIDTH = 40
SQUARE = (WIDTH, WIDTH)


def product_of_product_of_state(x, h, *, a, b):
    return mg.tanh(h @ a @ b + x)


def product_of_part_of_product(x, h, *, a, b):
    return mg.tanh((h @ a)[:, :8] @ b[:8] + x)


def product_of_product_of_input(x, h, *, a, b):
    return mg.tanh(h + x @ a @ b)


def product_of_values_of_two_phases(x, h, *, a, b):
    early = mg.tanh(h + x)
    late = mg.tanh(early @ a)
    return mg.tanh(mg.concat([early, late], axis=-1) @ mg.concat([b, a], axis=0))


def product_in_the_middle(x, h, *, a, b):
    return mg.tanh(x + (mg.sigmoid(x + h @ a) * h) @ b)


STEPS = [
    product_of_product_of_state,
    product_of_part_of_product,
    product_of_product_of_input,
    product_of_values_of_two_phases,
    product_in_the_middle,
]


@pytest.fixture
def team():
    """Let a test set the number of threads."""
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


@pytest.mark.parametrize("step", STEPS)
def test_no_thread_reads_too_early_or_writes_too_soon(step, team, monkeypatch):
    monkeypatch.setattr(numba_cpu, "threads_for", lambda operations: mg.get_num_threads())
    rng = np.random.default_rng(0)

    def draw(*shape):
        return mg.tensor(rng.uniform(-0.15, 0.15, shape), dtype="float64", requires_grad=True)

    inputs = x, h, a, b = draw(300, 2, WIDTH), draw(2, WIDTH), draw(*SQUARE), draw(*SQUARE)
    found = []
    for threads in (1, 2, 3, 2, 3, 2):
        team(threads)
        outputs, _ = scan(step, x, h, {"a": a, "b": b}, compile="require")
        gradients = mg.grad(mg.sum(mg.sin(outputs)), inputs)
        found.append([outputs.detach().numpy(), *(g.numpy() for g in gradients)])
    reference, _ = scan(step, x, h, {"a": a, "b": b}, compile="never")
    np.testing.assert_allclose(found[0][0], reference.detach().numpy(), rtol=1e-9, atol=1e-12)
    for others in found[1:]:
        assert all(np.array_equal(*pair) for pair in zip(found[0], others, strict=True))
