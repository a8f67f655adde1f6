"""The recurrent layers equal PyTorch's: outputs, final states, every gradient, weights, signatures.

The configurations are drawn over all options; the weights come from PyTorch's own initialisation. With
lengths the peer runs over a packed sequence.
"""

import inspect
import random
import typing
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import minigrad as mg
from minigrad import nn

pytestmark = pytest.mark.usefixtures("both_loops")

pytestmark = pytest.mark.filterwarnings(  # about PyTorch's own speed
    "ignore:LSTM with projections is not supported with oneDNN"
)

KINDS = ("RNN-tanh", "RNN-relu", "LSTM", "GRU")
TOLERANCE = {"float64": {"rtol": 1e-10, "atol": 1e-12}, "float32": {"rtol": 1e-5, "atol": 2e-6}}
COUNT = {"float64": 640, "float32": 64}


@dataclass(frozen=True)
class Configuration:
    """One layer, and what it is called with."""

    kind: str
    options: dict
    sizes: tuple  # T, N, D, H
    lengths: tuple | None
    batched: bool
    given: bool  # whether there is an initial state
    dtype: str
    seed: int

    def __str__(self):
        options = [f"{name}={value}" for name, value in self.options.items()]
        lengths = [f"lengths={self.lengths}"] if self.lengths else []
        flags = [name for name in ("given",) if getattr(self, name)]
        flags += [] if self.batched else ["unbatched"]
        return " ".join([self.kind, f"TNDH={self.sizes}", *options, *lengths, *flags, self.dtype])


def configuration(dtype, seed):
    draw = random.Random(f"{dtype} {seed}")
    kind = KINDS[seed % len(KINDS)]
    sizes = steps, rows, _, hidden = tuple(draw.choice([1, 1, 2, 3, 4, 5, 6]) for _ in range(4))
    options = {
        "num_layers": draw.choice([1, 1, 2, 3]),
        "bias": draw.choice([True, True, False]),
        "batch_first": draw.choice([True, False]),
        "bidirectional": draw.choice([True, False]),
    }
    if kind == "LSTM" and hidden > 1 and draw.random() < 0.5:
        options["proj_size"] = draw.randint(1, hidden - 1)
    batched = draw.random() < 0.8
    lengths = None
    if batched and draw.random() < 0.5:
        lengths = tuple(draw.randint(1, steps) for _ in range(rows))
    return Configuration(kind, options, sizes, lengths, batched, draw.random() < 0.6, dtype, seed)


CONFIGURATIONS = [configuration(dtype, i) for dtype, count in COUNT.items() for i in range(count)]


def layers(kind, *sizes, dtype, cells=False, **options):
    """Return a layer of ours and PyTorch's, both with the weights of PyTorch's."""
    name, _, nonlinearity = kind.partition("-")
    if nonlinearity:
        options["nonlinearity"] = nonlinearity
    name += "Cell" * cells
    peer = getattr(torch.nn, name)(*sizes, dtype=getattr(torch, dtype), **options)
    layer = getattr(nn, name)(*sizes, dtype=dtype, **options)
    layer.load_state_dict({key: value.numpy() for key, value in peer.state_dict().items()})
    return layer, peer


def pair(*shape, dtype):
    """Return a tensor of ours and PyTorch's, with the same random numbers."""
    theirs = torch.randn(shape, dtype=getattr(torch, dtype), requires_grad=True)
    return mg.tensor(theirs.detach().numpy(), requires_grad=True), theirs


def run_peer(peer, x, state, lengths):
    if lengths is None:
        return peer(x, state)
    packed = pack_padded_sequence(
        x, torch.tensor(lengths), batch_first=peer.batch_first, enforce_sorted=False
    )
    output, state = peer(packed, state)
    steps = x.shape[1 if peer.batch_first else 0]
    output, _ = pad_packed_sequence(output, peer.batch_first, total_length=steps)
    return output, state


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def assert_same(results, expected, inputs, layer, peer, dtype):
    """Compare results, then the gradients of a random combination of them by everything."""
    close = TOLERANCE[dtype]
    for found, wanted in zip(results, expected, strict=True):
        assert str(found.dtype) == dtype
        np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), **close)
    weights = [torch.randn_like(wanted) for wanted in expected]
    torch.autograd.backward(expected, weights)
    mg.backward(results, [mg.tensor(w.numpy()) for w in weights])
    theirs = dict(peer.named_parameters())
    ours = dict(layer.named_parameters())
    assert [*ours] == [*theirs]
    pairs = {name: (ours[name], theirs[name]) for name in theirs}
    pairs.update({f"input {i}": each for i, each in enumerate(inputs)})
    for name, (found, wanted) in pairs.items():
        np.testing.assert_allclose(
            found.grad.numpy(), wanted.grad.numpy(), err_msg=f"gradient of {name}", **close
        )


@pytest.mark.parametrize("c", CONFIGURATIONS, ids=str)
def test_layer(c):
    torch.manual_seed(c.seed)
    steps, rows, width, hidden = c.sizes
    layer, peer = layers(c.kind, width, hidden, dtype=c.dtype, **c.options)
    shape = (steps, rows)[:: -1 if c.options["batch_first"] else 1] if c.batched else (steps,)
    inputs = [pair(*shape, width, dtype=c.dtype)]
    states = (None, None)
    if c.given:
        count = c.options["num_layers"] * (1 + c.options["bidirectional"])
        widths = [c.options.get("proj_size", hidden)] + [hidden] * (c.kind == "LSTM")
        batch = (rows,) if c.batched else ()
        inputs += [pair(count, *batch, w, dtype=c.dtype) for w in widths]
        states = tuple(zip(*inputs[1:], strict=True))
        if c.kind != "LSTM":
            states = tuple(state for (state,) in states)
    ours, theirs = inputs[0]
    output, state = layer(ours, states[0], lengths=c.lengths)
    expected, peer_state = run_peer(peer, theirs, states[1], c.lengths)
    results, wanted = (output, *as_tuple(state)), (expected, *as_tuple(peer_state))
    assert_same(results, wanted, inputs, layer, peer, c.dtype)


def test_the_configurations_reach_every_option_of_every_kind():
    double = [c for c in CONFIGURATIONS if c.dtype == "float64"]
    assert len(double) >= 500
    assert len({str(c) for c in CONFIGURATIONS}) > 0.95 * len(CONFIGURATIONS)
    traits = {
        "lengths": lambda c: c.lengths is not None,
        "unsorted": lambda c: c.lengths is not None and list(c.lengths) != sorted(c.lengths)[::-1],
        "given": lambda c: c.given,
        "batched": lambda c: c.batched,
        "one step": lambda c: c.sizes[0] == 1,
        "one row": lambda c: c.sizes[1] == 1,
        "two layers": lambda c: c.options["num_layers"] == 2,
        "three layers": lambda c: c.options["num_layers"] == 3,
        **{
            name: lambda c, n=name: c.options[n]
            for name in ("bias", "batch_first", "bidirectional")
        },
    }
    for kind, (trait, holds) in product(KINDS, traits.items()):
        answers = [bool(holds(c)) for c in double if c.kind == kind]
        assert min(answers.count(True), answers.count(False)) >= 20, (kind, trait)
    projected = [c for c in double if "proj_size" in c.options]
    assert len(projected) >= 40
    assert {c.options["bidirectional"] for c in projected} == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_rows(kind):
    layer, peer = layers(kind, 3, 4, 2, dtype="float64", bidirectional=True)
    inputs = [pair(5, 0, 3, dtype="float64")]
    (output, state), (expected, peer_state) = layer(inputs[0][0]), peer(inputs[0][1])
    results, wanted = (output, *as_tuple(state)), (expected, *as_tuple(peer_state))
    assert_same(results, wanted, inputs, layer, peer, "float64")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("batch", [(), (1,), (3,)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_cell(kind, bias, batch, given, dtype):
    torch.manual_seed(0)
    layer, peer = layers(kind, 3, 4, dtype=dtype, cells=True, bias=bias)
    inputs = [pair(*batch, 3, dtype=dtype)]
    states = (None, None)
    if given:
        inputs += [pair(*batch, 4, dtype=dtype) for _ in range(1 + (kind == "LSTM"))]
        states = tuple(zip(*inputs[1:], strict=True))
        if kind != "LSTM":
            states = tuple(state for (state,) in states)
    results, expected = layer(inputs[0][0], states[0]), peer(inputs[0][1], states[1])
    assert type(results) is (tuple if kind == "LSTM" else mg.Tensor)
    assert_same(as_tuple(results), as_tuple(expected), inputs, layer, peer, dtype)


MODULES = [
    ("RNN", (3, 4, 2), {}),
    ("RNN", (3, 4), {"nonlinearity": "relu"}),
    ("GRU", (3, 4, 2), {"bidirectional": True, "bias": False}),
    ("LSTM", (3, 4), {}),
    (
        "LSTM",
        (3, 5, 2),
        {"proj_size": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5},
    ),
    ("RNNCell", (3, 4), {"nonlinearity": "relu", "bias": False}),
    ("LSTMCell", (3, 4), {}),
    ("GRUCell", (3, 4), {"bias": False}),
]


@pytest.mark.parametrize(("name", "sizes", "options"), MODULES)
def test_weights_go_both_ways_and_the_repr_is_the_same(name, sizes, options):
    layer, peer = getattr(nn, name)(*sizes, **options), getattr(torch.nn, name)(*sizes, **options)
    assert repr(layer) == repr(peer)
    ours = {key: torch.from_numpy(value.numpy()) for key, value in layer.state_dict().items()}
    assert [(key, value.shape) for key, value in ours.items()] == [
        (key, value.shape) for key, value in peer.state_dict().items()
    ]
    peer.load_state_dict(ours)
    again = getattr(nn, name)(*sizes, **options)
    again.load_state_dict({key: value.numpy() for key, value in peer.state_dict().items()})
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[key].numpy(), value.numpy())


@pytest.mark.parametrize(("name", "sizes", "options"), MODULES)
def test_attributes_are_the_same(name, sizes, options):
    layer, peer = getattr(nn, name)(*sizes, **options), getattr(torch.nn, name)(*sizes, **options)
    names = ["input_size", "hidden_size", "bias", "nonlinearity", "num_layers", "batch_first",
             "dropout", "bidirectional", "proj_size"]  # fmt: skip
    for attribute in names:
        if hasattr(layer, attribute):
            assert getattr(layer, attribute) == getattr(peer, attribute)
    assert hasattr(layer, "nonlinearity") == hasattr(peer, "nonlinearity")


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_signatures_are_the_same(name):
    def parameters(function):
        found = list(inspect.signature(function).parameters.values())[1:]
        return [(p.name, p.kind, p.default) for p in found]

    peer = getattr(torch.nn, name).__init__
    documented = (typing.get_overloads(peer) or [peer])[0]
    assert parameters(getattr(nn, name).__init__) == parameters(documented)
    called = parameters(getattr(nn, name).forward)
    expected = parameters(getattr(torch.nn, name).forward)
    assert called[: len(expected)] == expected
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in called[len(expected) :])


@pytest.mark.parametrize("hidden", [1, 16, 100])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_initial_values_have_the_bounds_and_the_spread_of_pytorchs(name, hidden):
    torch.manual_seed(0)
    layer, peer = getattr(nn, name)(30, hidden), getattr(torch.nn, name)(30, hidden)
    for (key, found), (_, wanted) in zip(
        layer.named_parameters(), peer.named_parameters(), strict=True
    ):
        values, expected = found.detach().numpy(), wanted.detach().numpy()
        assert values.dtype == expected.dtype
        assert np.abs(values).max() <= hidden**-0.5, key
        assert np.abs(expected).max() <= hidden**-0.5, key
        if values.size > 1000:
            assert np.abs(values).max() > 0.99 * hidden**-0.5, key
            np.testing.assert_allclose(values.std(), expected.std(), rtol=0.05, err_msg=key)
            np.testing.assert_allclose(values.mean(), 0, atol=0.05 * hidden**-0.5, err_msg=key)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_dropout_acts_between_layers_in_training_only(name):
    torch.manual_seed(0)
    for dropout in (0.0, 1.0):  # where nothing is left to chance
        layer, peer = layers(name, 3, 4, 3, dtype="float64", dropout=dropout)
        x, theirs = pair(5, 2, 3, dtype="float64")
        for training in (True, False):
            output, state = layer.train(training)(x)
            expected, peer_state = peer.train(training)(theirs)
            results, wanted = (output, *as_tuple(state)), (expected, *as_tuple(peer_state))
            for found, value in zip(results, wanted, strict=True):
                np.testing.assert_allclose(
                    found.detach().numpy(), value.detach().numpy(), **TOLERANCE["float64"]
                )
