"""Threads that share the columns of a step wait where one reads what others write."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Var
from minigrad.kernels import scan
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.plan.program import make_program
from minigrad.kernels.targets import runs

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


# before the products of which phases threads wait, -1 for the beginning of a step; None: not shared
MEETINGS = {
    product_of_product_of_state: None,
    product_of_part_of_product: None,
    product_of_product_of_input: None,
    product_of_values_of_two_phases: {-1, 1, 2},
    product_in_the_middle: {0, 1},
}


@pytest.fixture
def team():
    """Let a test set the number of threads."""
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


@pytest.mark.parametrize(("step", "meetings"), MEETINGS.items())
def test_where_threads_wait(step, meetings):
    x, h = Var((7, WIDTH), "float64"), Var((7, WIDTH), "float64")
    graph = trace(step, [x], [h], {name: Var(SQUARE, "float64", name) for name in "ab"})
    columns = make_program(graph, 1, 1, None).loop.columns
    assert (None if columns is None else columns.meetings) == meetings


@pytest.mark.full(but=["product_in_the_middle", "product_of_values_of_two_phases"])
@pytest.mark.parametrize("step", MEETINGS)
def test_no_thread_reads_too_early_or_writes_too_soon(step, team, monkeypatch):
    monkeypatch.setattr(runs, "threads_for", lambda operations: mg.get_num_threads())
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
