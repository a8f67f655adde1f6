"""What the tests of the layers share: the equations of every cell, written out in NumPy."""

import numpy as np
import pytest


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def affine(x, weight, bias):
    """One row at a time, one unit at a time: the sums written out."""
    rows = [[sum(w * v for w, v in zip(unit, row, strict=True)) for unit in weight] for row in x]
    return np.array(rows) + bias


def part(p, kind, name, gate, count):
    """Return the rows of one of ``count`` gates of a parameter; 0 of a bias that is not there."""
    value = p.get(f"{kind}_{name}")
    if value is None:
        return 0
    size = len(value) // count
    return value[gate * size : (gate + 1) * size]


def product(value, p, name, gate, count):
    """Return the contribution of the input ("ih") or of the state ("hh") to one of the gates."""
    weight, bias = (part(p, kind, name, gate, count) for kind in ("weight", "bias"))
    return affine(value, weight, bias)


def both(x, h, p, gate, count):
    """Return the contributions of the input and of the state to one of ``count`` gates."""
    return [product(x, p, "ih", gate, count), product(h, p, "hh", gate, count)]


def rnn_tanh(p, x, h):
    return (np.tanh(sum(both(x, h, p, 0, 1))),)


def rnn_relu(p, x, h):
    return (np.maximum(sum(both(x, h, p, 0, 1)), 0),)


def indrnn(p, x, h):
    return (np.maximum(product(x, p, "ih", 0, 1) + p["weight_hh"] * h, 0),)


def gru(p, x, h):
    r, z = (sigmoid(sum(both(x, h, p, gate, 3))) for gate in (0, 1))
    from_input, from_state = both(x, h, p, 2, 3)
    return (z * h + (1 - z) * np.tanh(from_input + r * from_state),)


def gru_reset_before(p, x, h):
    r, z = (sigmoid(sum(both(x, h, p, gate, 3))) for gate in (0, 1))
    return (z * h + (1 - z) * np.tanh(sum(both(x, r * h, p, 2, 3))),)


def simplified_gru(p, x, h):
    z = sigmoid(sum(both(x, h, p, 0, 2)))
    return (h + z * (np.tanh(sum(both(x, h, p, 1, 2))) - h),)


def mgu(p, x, h):
    f = sigmoid(sum(both(x, h, p, 0, 2)))
    return (h + f * (np.tanh(sum(both(x, f * h, p, 1, 2))) - h),)


def mingru(p, x, h):
    z = sigmoid(product(x, p, "ih", 0, 2))
    return (h + z * (product(x, p, "ih", 1, 2) - h),)


def minlstm(p, x, h):
    f, i = (sigmoid(product(x, p, "ih", gate, 3)) for gate in (0, 1))
    return (f / (f + i) * h + i / (f + i) * product(x, p, "ih", 2, 3),)


def lstm(p, x, h, c):
    i, f, o = (sigmoid(sum(both(x, h, p, gate, 4))) for gate in (0, 1, 3))
    c = f * c + i * np.tanh(sum(both(x, h, p, 2, 4)))
    h = o * np.tanh(c)
    return (affine(h, p["weight_hr"], 0) if "weight_hr" in p else h), c


def original_lstm(p, x, h, c):
    i, o = (sigmoid(sum(both(x, h, p, gate, 3))) for gate in (0, 2))
    c = c + i * np.tanh(sum(both(x, h, p, 1, 3)))
    return o * np.tanh(c), c


def peephole_lstm(p, x, h, c):
    i, f = (
        sigmoid(sum(both(x, h, p, gate, 4)) + p[f"peephole_{name}"] * c)
        for gate, name in ((0, "i"), (1, "f"))
    )
    c = f * c + i * np.tanh(sum(both(x, h, p, 2, 4)))
    o = sigmoid(sum(both(x, h, p, 3, 4)) + p["peephole_o"] * c)
    return o * np.tanh(c), c


def coupled_lstm(p, x, h, c):
    i, o = (sigmoid(sum(both(x, h, p, gate, 3))) for gate in (0, 2))
    c = c + i * (np.tanh(sum(both(x, h, p, 1, 3))) - c)
    return o * np.tanh(c), c


def normalised(rows, p, name):
    """Return rows of mean 0 and variance 1, with the gain and the bias of this name."""
    centred = [row - row.mean() for row in rows]
    scaled = [row / np.sqrt((row @ row) / len(row) + 1e-5) for row in centred]
    return np.array(scaled) * p[f"gain_{name}"] + p.get(f"bias_{name}", 0)


def layer_norm_lstm(p, x, h, c):
    gates = normalised(affine(x, p["weight_ih"], 0), p, "ih")
    gates = gates + normalised(affine(h, p["weight_hh"], 0), p, "hh")
    i, f, g, o = np.split(gates, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(normalised(c, p, "c")), c


EQUATIONS = {
    step.__name__: step
    for step in (
        rnn_tanh, rnn_relu, indrnn,
        lstm, original_lstm, peephole_lstm, coupled_lstm, layer_norm_lstm,
        gru, gru_reset_before, simplified_gru, mgu,
        mingru, minlstm,
    )
}  # fmt: skip


@pytest.fixture(scope="session")
def equations():
    """Return, by the name of the cell, a function of parameters, input and states in float64."""
    return EQUATIONS
