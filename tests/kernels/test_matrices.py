"""Packed copies of weights: kept while nobody writes to them, and never those of other weights."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import scan
from minigrad.kernels.targets import matrices

SIZE = 128


def step(x, h, *, w):
    return mg.tanh(x + h @ w)


def product_with(w):
    """Return what a loop without a backward pass makes of a weight, and what it should make of it."""
    x = mg.tensor(np.random.default_rng(0).normal(size=(3, 2, SIZE)))
    h = mg.full((2, SIZE), 0.1, dtype="float64")
    with mg.no_grad():
        return [scan(step, x, h, {"w": w}, compile=way)[0].numpy() for way in ("require", "never")]


def states_of_a_loop(rng):
    x = mg.tensor(rng.normal(size=(SIZE, 1, SIZE)) * 0.1)
    outputs, _ = scan(lambda x, h: x + 0 * h, x, mg.zeros((1, SIZE), dtype="float64"))
    return mg.reshape(outputs, (SIZE, SIZE))


def product_of_two(rng):
    a, b = (mg.tensor(rng.normal(size=(SIZE, SIZE)) * 0.03) for _ in range(2))
    return a @ b


@pytest.mark.parametrize("make", [states_of_a_loop, product_of_two])
def test_weights_in_memory_that_is_used_again_are_packed_anew(make):
    rng = np.random.default_rng(0)
    for _ in range(4):
        with mg.no_grad():
            w = make(rng)
        np.testing.assert_allclose(*product_with(w), rtol=1e-9)
        del w


def test_weights_that_stay_are_packed_once(monkeypatch):
    packed, pack = [], matrices.pack_matrix
    monkeypatch.setattr(matrices, "pack_matrix", lambda *given: packed.append(pack(*given)))
    w = mg.rand(SIZE, SIZE, dtype="float64")
    for _ in range(3):
        np.testing.assert_allclose(*product_with(w), rtol=1e-9)
    assert len(packed) == 1


def test_weights_are_packed_anew_when_they_were_written_to():
    w = mg.zeros((SIZE, SIZE), dtype="float64")
    for number in range(3):
        np.testing.assert_allclose(*product_with(w), rtol=1e-9)
        w.copy_(number * 0.01)
    view = mg.reshape(w.detach(), (-1,))
    for number in range(3):
        view[number] = 0.3
        np.testing.assert_allclose(*product_with(w), rtol=1e-9)
