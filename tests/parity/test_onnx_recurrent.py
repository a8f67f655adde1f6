"""The cells beside the recurrent nodes of onnxruntime: directions, lengths, and what PyTorch lacks.

ONNX has three nodes. With weights put in the right places they also compute most of the other cells.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.kernels import cell

# Both sides call tanh and the logistic function, which are right to about 1 unit in the last place of
# 1, and add in their own order. Products and gates make such differences smaller (weights and gates are
# below 1), and the steps add them up. Largest seen: 2.
ULPS = 4


class Gate(NamedTuple):
    """The rows of the parameters that make one gate, or the candidate for the state."""

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray


def gates_of(parameters, hidden):
    """Return the gates of a cell in its own order. What the cell does not have is zero."""
    rows = len(parameters["weight_ih"])
    weight_hh = parameters.get("weight_hh", np.zeros((rows, hidden), "float32"))
    if weight_hh.ndim == 1:
        weight_hh = np.diag(weight_hh)
    biases = (parameters.get(n, np.zeros(rows, "float32")) for n in ("bias_ih", "bias_hh"))
    parts = (parameters["weight_ih"], weight_hh, *biases)
    return [Gate(*each) for each in zip(*(np.split(p, rows // hidden) for p in parts), strict=True)]


def opposite(gate):
    """Return the gate whose value is one minus the value of this one."""
    return Gate(*(-part for part in gate))


def opened(gate):
    """Return a gate like this one whose value is one: in float32 the logistic function of 100."""
    zeros = Gate(*map(np.zeros_like, gate))
    return zeros._replace(bias_ih=zeros.bias_ih + 100)


def unread(gate):
    """Return a gate like this one that would spoil everything if it was read."""
    return Gate(*(np.full_like(part, 1e6) for part in gate))


# by cell: the node, its gates in ONNX's order (iofc, zrh) made of those of the cell, its attributes
NODES = {
    "rnn_tanh": ("RNN", lambda n: [n], {}),
    "rnn_relu": ("RNN", lambda n: [n], {"activations": ["Relu"]}),
    "indrnn": ("RNN", lambda n: [n], {"activations": ["Relu"]}),
    "lstm": ("LSTM", lambda i, f, g, o: [i, o, f, g], {}),
    "peephole_lstm": ("LSTM", lambda i, f, g, o: [i, o, f, g], {}),
    "coupled_lstm": ("LSTM", lambda i, g, o: [i, o, unread(i), g], {"input_forget": 1}),
    "original_lstm": ("LSTM", lambda i, g, o: [i, o, opened(i), g], {}),
    "gru": ("GRU", lambda r, z, n: [z, r, n], {"linear_before_reset": 1}),
    "gru_reset_before": ("GRU", lambda r, z, n: [z, r, n], {"linear_before_reset": 0}),
    "simplified_gru": ("GRU", lambda z, n: [opposite(z), opened(z), n], {}),
    "mgu": ("GRU", lambda f, n: [opposite(f), f, n], {"linear_before_reset": 0}),
    "mingru": (
        "GRU",
        lambda z, n: [opposite(z), opened(z), n],
        {"activations": ["Sigmoid", "Affine"], "activation_alpha": [1.0]},
    ),
}


@cell(state=("h", "c"), params=nn.cells.lstm.params)
def clipped_lstm(x, h, c, *, weight_ih, weight_hh, bias_ih, bias_hh):
    """A user's cell: what goes into the gates is kept between -0.5 and 0.5."""
    gates = mg.linear(x, weight_ih, bias_ih) + mg.linear(h, weight_hh, bias_hh)
    i, f, g, o = mg.split(mg.clip(gates, -0.5, 0.5), 4)
    c = mg.sigmoid(f) * c + mg.sigmoid(i) * mg.tanh(g)
    return mg.sigmoid(o) * mg.tanh(c), c


@cell(state="h", params=nn.cells.gru.params)
def clipped_gru(x, h, *, weight_ih, weight_hh, bias_ih, bias_hh):
    """A user's cell: the same for the other kind."""
    x_r, x_z, x_n = mg.split(mg.linear(x, weight_ih, bias_ih), 3)
    h_r, h_z, h_n = mg.split(mg.linear(h, weight_hh, bias_hh), 3)
    r, z = (mg.sigmoid(mg.clip(gate, -0.5, 0.5)) for gate in (x_r + h_r, x_z + h_z))
    n = mg.tanh(mg.clip(x_n + r * h_n, -0.5, 0.5))
    return (1 - z) * n + z * h


NODES["clipped_lstm"] = ("LSTM", NODES["lstm"][1], {"clip": 0.5})
NODES["clipped_gru"] = ("GRU", NODES["gru"][1], {"clip": 0.5, "linear_before_reset": 1})
CELLS = {**nn.cells.CELLS, "clipped_lstm": clipped_lstm, "clipped_gru": clipped_gru}
DIRECTIONS = {"forward": [0], "reverse": [1], "bidirectional": [0, 1]}


def parameters_of(layer, ending):
    """Return the parameters with this ending by the names that the cell uses, as arrays."""
    named = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    return {name.removesuffix(ending): v for name, v in named.items() if name.endswith(ending)}


def run_layer(run_node, layer, number, direction, x, states, lengths=None):
    """Run one layer as a node; return outputs (T, directions, N, H) and states (directions, N, H)."""
    node, order, attributes = NODES[layer.cell.__name__]
    endings = [f"_l{number}{('', '_reverse')[k]}" for k in DIRECTIONS[direction]]
    parameters = [parameters_of(layer, ending) for ending in endings]
    gates = [order(*gates_of(p, layer.hidden_size)) for p in parameters]
    w, r, b_w, b_r = (
        np.array([np.concatenate([gate[k] for gate in each]) for each in gates]) for k in range(4)
    )
    bias = np.concatenate([b_w, b_r], axis=1) if "bias_ih" in parameters[0] else None
    inputs = [x, w, r, bias, lengths, *states]
    if "peephole_i" in parameters[0]:
        inputs.append(
            np.array([np.concatenate([p[f"peephole_{n}"] for n in "iof"]) for p in parameters])
        )
    each = {k: v * len(gates) if isinstance(v, list) else v for k, v in attributes.items()}
    names = {"hidden_size": layer.hidden_size, "direction": direction}
    return run_node(node, inputs, 1 + len(states), **names, **each)


def assert_close(found, expected):
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    size = np.maximum(np.abs(expected), 1)
    worst = np.max(np.abs(found - expected) / size, initial=0) / np.finfo("float32").eps
    assert worst <= ULPS


def numbers(*shape):
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype("float32")


# No length is 0: the final state is then the initial one for us, and zero for onnxruntime.
@pytest.mark.parametrize("lengths", [None, (2, 6, 1, 5)], ids=["whole", "lengths"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", NODES)
def test_cell(run_node, name, direction, lengths):
    steps, rows, width, hidden = 6, 4, 3, 5
    layer = nn.Recurrent(CELLS[name], width, hidden, bidirectional=True, dtype="float32")
    for parameter in layer.parameters():
        parameter.copy_(mg.rand(*parameter.shape) * 1.4 - 0.7)
    x = numbers(steps, rows, width)
    states = [numbers(2, rows, hidden), numbers(2, rows, hidden)][: len(layer.cell.states)]
    given = tuple(map(mg.tensor, states))
    output, finals = layer(mg.tensor(x), given if len(given) > 1 else given[0], lengths=lengths)
    finals = finals if len(given) > 1 else (finals,)
    found = output.detach().numpy().reshape(steps, rows, 2, hidden).swapaxes(1, 2)

    chosen = DIRECTIONS[direction]
    lengths = None if lengths is None else np.asarray(lengths, "int32")
    starts = [state[chosen] for state in states]
    y, *expected = run_layer(run_node, layer, 0, direction, x, starts, lengths)
    assert_close(found[:, chosen], y)
    for final, state in zip(finals, expected, strict=True):
        assert_close(final.detach().numpy()[chosen], state)


def test_every_cell_that_onnx_has_is_compared():
    without = {"layer_norm_lstm", "minlstm"}
    assert set(NODES) == set(CELLS) - without


# layers, bias, initial states given, time steps, rows, input size, hidden size
STACKS = [
    *product((1, 2), (True, False), (True, False), (1, 7), (1, 3), (4,), (5,)),
    (1, True, True, 30, 2, 1, 1),
    (1, True, True, 30, 17, 33, 65),
    (3, True, True, 12, 4, 16, 32),
]


@pytest.mark.parametrize(("layers", "bias", "given", "steps", "rows", "width", "hidden"), STACKS)
def test_layers_of_lstm(run_node, layers, bias, given, steps, rows, width, hidden):
    layer = nn.LSTM(width, hidden, layers, bias=bias)
    x = numbers(steps, rows, width)
    states = [2 * numbers(layers, rows, hidden), 1 - numbers(layers, rows, hidden)]
    output, finals = layer(mg.tensor(x), tuple(map(mg.tensor, states)) if given else None)
    for k in range(layers):
        starts = [state[k : k + 1] if given else None for state in states]
        y, *expected = run_layer(run_node, layer, k, "forward", x, starts)
        x = y[:, 0]
        for final, state in zip(finals, expected, strict=True):
            assert_close(final.detach().numpy()[k : k + 1], state)
    assert_close(output.detach().numpy(), x)
