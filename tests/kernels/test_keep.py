"""What a loop keeps for its backward pass: minimum cuts that can be found by hand."""

import pytest

from minigrad.dispatch import interpreting
from minigrad.graph import Recorder, Var, ops
from minigrad.kernels.passes.rematerialize import choose_kept

WIDE = (7, 6)


def kept_of(step, at_hand=(), cost=lambda var: var.shape[1]):
    """Return the names of what is kept, and the ops that compute the rest again.

    ``step`` returns the values that are needed; those before the last are named a, b, ...
    """
    x = Var(WIDE, "float64", "x")
    w = Var((6, 2), "float64", "w")
    with interpreting(Recorder()) as recorder:
        named, needed = step(x, w)
    names = {var: name for name, var in named.items()}
    hand = {w, *(x if name == "x" else named[name] for name in at_hand)}
    kept, again = choose_kept(recorder.nodes, needed, hand, cost)
    return {names.get(var, var.name) for var in kept}, [node.op.name for node in again]


def test_what_is_at_hand_is_not_kept():
    def step(x, w):
        a = ops.tanh(x)
        return {"a": a}, [a]

    assert kept_of(step, at_hand="x") == (set(), ["tanh"])


def test_of_a_chain_the_end_is_kept():
    """All cost the same; behind the last one nothing has to be computed again."""

    def step(x, w):
        a = ops.tanh(x)
        b = ops.exp(a)
        return {"a": a, "b": b}, [b]

    assert kept_of(step) == ({"b"}, [])


def test_one_source_of_many_is_kept():
    def step(x, w):
        a, b = ops.tanh(x), ops.exp(x)
        return {"a": a, "b": b}, [a, b]

    assert kept_of(step) == ({"x"}, ["tanh", "exp"])


def test_the_result_of_many_sources_is_kept():
    def step(x, w):
        a = ops.matmul(x, w)
        b = ops.exp(ops.matmul(ops.sin(x), w))
        c = ops.add(a, b)
        return {"a": a, "b": b, "c": c}, [c]

    assert kept_of(step) == ({"c"}, [])


@pytest.mark.parametrize("at_hand", ["", "x"])
def test_products_and_sums_are_never_computed_again(at_hand):
    def step(x, w):
        a = ops.matmul(x, w)
        b = ops.sum(x, axis=-1, keepdims=True)
        return {"a": a, "b": b}, [ops.tanh(a), ops.tanh(b), a, b]

    assert kept_of(step, at_hand) == ({"a", "b"}, ["tanh", "tanh"])


def test_a_narrow_part_is_kept_in_place_of_the_whole():
    def step(x, w):
        a = ops.sum(x, axis=-1, keepdims=True)
        b = ops.multiply(x, ops.exp(a))
        return {"a": a, "b": b}, [ops.tanh(b)]

    kept, again = kept_of(step, at_hand="x")
    assert len(kept) == 1
    assert again == ["multiply", "tanh"]


def test_what_costs_nothing_is_kept_first():
    def step(x, w):
        a = ops.tanh(x)
        b = ops.exp(a)
        return {"a": a, "b": b}, [b, ops.sin(b)]

    found = kept_of(step, cost=lambda var: 0 if var.name == "x" else var.shape[1])
    assert found == ({"x"}, ["tanh", "exp", "sin"])
