"""A loop in segments: the same results and gradients, and less memory."""

import tracemalloc

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.kernels import scan

pytestmark = pytest.mark.usefixtures("both_loops")

T, N, D, H = 7, 3, 4, 5


def run(options, every, dtype="float64"):
    """Return outputs, final states and all gradients of an LSTM."""
    cell = nn.cells.lstm
    rng = np.random.default_rng(0)

    def draw(*shape):
        return mg.tensor(rng.normal(size=shape), dtype=dtype, requires_grad=True)

    x, state = draw(T, N, D), (draw(N, H), draw(N, H))
    params = {name: draw(*shape) for name, shape in cell.initial_parameters(D, H).items()}
    outputs, finals = scan(cell, x, state, params, checkpoint_every=every, **options)
    loss = mg.sum(mg.sin(outputs)) + sum(mg.sum(mg.cos(f)) for f in finals)
    found = mg.grad(loss, [x, *state, *params.values()])
    return [r.detach().numpy() for r in (outputs, *finals, *found)]


OPTIONS = {
    "whole": {},
    "reverse": {"reverse": True},
    "lengths": {"lengths": [7, 0, 4]},
    "lengths as a tensor, reverse": {"lengths": mg.tensor([2, 7, 5]), "reverse": True},
    "mask": {"mask": np.random.default_rng(1).random((T, N)) < 0.6},
    "interpreted": {"compile": "never"},
}


@pytest.mark.parametrize("every", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("name", OPTIONS)
def test_segments_are_the_whole(name, every):
    expected = run(OPTIONS[name], None)
    for a, b in zip(run(OPTIONS[name], every), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_a_layer_hands_it_on():
    layer = nn.GRU(D, H, num_layers=2, bidirectional=True, dtype="float64")
    x = mg.randn(T, N, D, dtype="float64")
    found = []
    for every in (None, 3):
        outputs, final = layer(x, lengths=[7, 2, 5], checkpoint_every=every)
        gradients = mg.grad(mg.sum(outputs**2) + mg.sum(final), list(layer.parameters()))
        found.append([outputs.detach().numpy(), *(g.numpy() for g in gradients)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("every", [None, 3])
@pytest.mark.parametrize(
    "options", [{"lengths": [7, 2, 5]}, {"mask": np.random.default_rng(1).random((T, N)) < 0.6}]
)
def test_flags_may_be_written_to_before_the_backward_pass(options, every):
    layer = nn.GRU(D, H, dtype="float64")
    x, found = mg.randn(T, N, D, dtype="float64"), []
    for written in (False, True):
        flags = {name: mg.tensor(given) for name, given in options.items()}
        outputs, _ = layer(x, **flags, checkpoint_every=every)
        if written:
            for flag in flags.values():
                flag.copy_(mg.zeros_like(flag))
        found.append(mg.grad(mg.sum(outputs**2), list(layer.parameters())))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_less_is_kept(interpreted):
    layer, x = nn.LSTM(8, 64), mg.randn(64, 16, 8)
    kept = []
    for every in (None, 8):
        tracemalloc.start()
        outputs, _ = layer(x, checkpoint_every=every)
        kept.append(tracemalloc.get_traced_memory()[0])
        mg.sum(outputs).backward()
        tracemalloc.stop()
    assert kept[1] < kept[0] / 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"checkpoint_every": 0}, "checkpoint_every must be a positive integer, not 0"),
        ({"checkpoint_every": True}, "checkpoint_every must be a positive integer, not True"),
        (
            {"checkpoint_every": 2, "reset": np.zeros((T, N), bool)},
            "checkpoint_every and reset cannot be used together",
        ),
    ],
)
def test_mistakes(options, text):
    with pytest.raises(ArgumentError, match=text):
        scan(lambda x, h: h + x, mg.ones((T, N, D)), mg.ones((N, D)), **options)
