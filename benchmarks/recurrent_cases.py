"""What the benchmark of the recurrent layers computes: cells, sizes, inputs, numbers of operations."""

import dataclasses

import numpy

# name: (T, N, D, H): steps, sequences side by side, width of the input, width of the state
SIZES = {
    "A": (128, 1, 64, 128),
    "B": (128, 32, 128, 128),
    "C": (128, 64, 256, 256),
    "D": (256, 64, 512, 512),
    "E": (35, 20, 650, 650),
    "F": (784, 64, 1, 128),
    "G": (1000, 16, 64, 256),
    "H": (28, 128, 28, 64),
    "tiny": (5, 3, 4, 6),  # for the tests of the benchmark
}
STREAM = (1, 1, 64, 128)

STEP = "streaming step"  # a mode, beside inference and training


# One formula for all libraries: from the products of the input and of the state, and from the states,
# the new states. `m` is a library's namespace; m.gates cuts the last axis into equal parts.


def lstm(m, from_x, from_h, h, c):
    i, f, g, o = m.gates(from_x + from_h, 4)
    c = m.sigmoid(f) * c + m.sigmoid(i) * m.tanh(g)
    return m.sigmoid(o) * m.tanh(c), c


def gru(m, from_x, from_h, h):
    x_r, x_z, x_n = m.gates(from_x, 3)
    h_r, h_z, h_n = m.gates(from_h, 3)
    r, z = m.sigmoid(x_r + h_r), m.sigmoid(x_z + h_z)
    n = m.tanh(x_n + r * h_n)
    return ((1 - z) * n + z * h,)


def rnn(m, from_x, from_h, h):
    return (m.tanh(from_x + from_h),)


def bump(m, from_x, from_h, h, c):
    """A cell of our own, with the products, gates and states of the LSTM and other functions."""
    i, f, g, o = m.gates(from_x + from_h, 4)
    keep = m.sigmoid(f)
    c = keep * c + (1 - keep) * m.sigmoid(i) * (g * m.exp(-(g * g)))
    return m.sigmoid(o) * (c / (1 + m.abs(c))), c


@dataclasses.dataclass(frozen=True)
class Kind:
    """A cell: its formula, and how many gates and states it has."""

    gates: int
    states: int
    formula: object = None


CELLS = {
    "LSTM": Kind(4, 2, lstm),
    "GRU": Kind(3, 1, gru),
    "RNN": Kind(1, 1, rnn),
    "custom": Kind(4, 2, bump),
    # It resets before the product, which no formula of the two products can say. MyGrad has this one.
    "GRU reset before": Kind(3, 1),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """What is timed: a cell, a mode, (T, N, D, H), and what is special about it."""

    cell: str
    mode: str
    size: tuple
    special: str = ""

    def inputs(self):
        """Return x, the parameters, and the gradient of the outputs, the same in each process."""
        (T, N, D, H), kind = self.size, CELLS[self.cell]
        rng = numpy.random.default_rng(0)
        rows, bound = kind.gates * H, H**-0.5
        shapes = {"weight_ih": (rows, D), "weight_hh": (rows, H), "bias_ih": rows, "bias_hh": rows}
        drawn = {
            name: rng.uniform(-bound, bound, shape).astype(numpy.float32)
            for name, shape in shapes.items()
        }
        x = rng.standard_normal((T, N, D), dtype=numpy.float32)
        gradient = rng.standard_normal((T, N, H), dtype=numpy.float32)
        return x, drawn, gradient

    def operations(self):
        """Return how many multiplications and additions the products take."""
        T, N, D, H = self.size
        forward = 2 * T * N * CELLS[self.cell].gates * H * (D + H)
        return 3 * forward if self.mode == "training" else forward


def ragged(T, N):
    """Return lengths of sequences, evenly spread from 1 to T, in no order."""
    lengths = numpy.linspace(1, T, N).astype(int)
    return numpy.random.default_rng(0).permutation(lengths).tolist()
