"""Long short-term memory and its variants: an output h, and a memory c that the gates protect."""

from __future__ import annotations

from typing import Any

from minigrad.checks import check_integer
from minigrad.creation import ones, zeros
from minigrad.errors import ArgumentError
from minigrad.kernels import Affine, cell
from minigrad.ops.elementwise import sigmoid, tanh
from minigrad.ops.linalg import linear
from minigrad.ops.normalization import layer_norm
from minigrad.ops.shape import split
from minigrad.tensor import Tensor


def _projection(
    input_size: int, hidden_size: int, *, proj_size: int = 0
) -> dict[str, tuple[int, int]]:
    proj_size = check_integer("lstm", "proj_size", proj_size, low=0)
    if proj_size >= hidden_size:
        raise ArgumentError(
            f"lstm: proj_size is {proj_size!r} with a hidden_size of {hidden_size}; it must be a "
            "smaller positive integer, or 0 for no projection"
        )
    return {"weight_hr": (proj_size, hidden_size)} if proj_size else {}


@cell(
    state=("h", "c"),
    gates=4,
    params=_projection,
    widths=lambda hidden_size, proj_size=0: {"h": proj_size or hidden_size},
)
def lstm(x: Any, h: Any, c: Any, *, W: Affine, U: Affine, weight_hr: Any = None) -> tuple[Any, Any]:
    """Long short-term memory with a forget gate; gates in the order i, f, g, o.

        i = σ(W_i x + U_i h)
        f = σ(W_f x + U_f h)
        g = tanh(W_g x + U_g h)
        o = σ(W_o x + U_o h)
        c' = f ⊙ c + i ⊙ g
        h' = o ⊙ tanh(c')

    With the option `proj_size` the output has that many units: `weight_hr`, of shape (proj_size, H),
    multiplies it.

    Source: Gers, Schmidhuber and Cummins, "Learning to forget: continual prediction with LSTM", Neural
    Computation 12(10), 2000; the projection: Sak, Senior and Beaufays, arXiv:1402.1128, 2014.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.lstm, 3, 4)
    >>> output, (h, c) = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    i, f, g, o = split(W(x) + U(h), 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h if weight_hr is None else linear(h, weight_hr), c


@cell(state=("h", "c"), gates=3)
def original_lstm(x: Any, h: Any, c: Any, *, W: Affine, U: Affine) -> tuple[Any, Any]:
    """The first long short-term memory, which never forgets; gates in the order i, g, o.

        i = σ(W_i x + U_i h)
        g = tanh(W_g x + U_g h)
        o = σ(W_o x + U_o h)
        c' = c + i ⊙ g
        h' = o ⊙ tanh(c')

    The paper has sigmoids from -2 to 2 and from -1 to 1 where today's cells, and this one, have tanh.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.original_lstm, 3, 4)
    >>> output, (h, c) = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    i, g, o = split(W(x) + U(h), 3)
    c = c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _peepholes(input_size: int, hidden_size: int) -> dict[str, tuple[int]]:
    return dict.fromkeys(("peephole_i", "peephole_f", "peephole_o"), (hidden_size,))


@cell(state=("h", "c"), gates=4, params=_peepholes)
def peephole_lstm(
    x: Any,
    h: Any,
    c: Any,
    *,
    W: Affine,
    U: Affine,
    peephole_i: Any,
    peephole_f: Any,
    peephole_o: Any,
) -> tuple[Any, Any]:
    """Long short-term memory whose gates see the memory; gates in the order i, f, g, o.

        i = σ(W_i x + U_i h + p_i ⊙ c)
        f = σ(W_f x + U_f h + p_f ⊙ c)
        g = tanh(W_g x + U_g h)
        c' = f ⊙ c + i ⊙ g
        o = σ(W_o x + U_o h + p_o ⊙ c')
        h' = o ⊙ tanh(c')

    The vectors p are `peephole_i`, `peephole_f` and `peephole_o`, ONNX's `P` in the order i, o, f.

    Source: Gers and Schmidhuber, "Recurrent nets that time and count", IJCNN 2000.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.peephole_lstm, 3, 4)
    >>> output, (h, c) = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    i, f, g, o = split(W(x) + U(h), 4)
    c = sigmoid(f + peephole_f * c) * c + sigmoid(i + peephole_i * c) * tanh(g)
    return sigmoid(o + peephole_o * c) * tanh(c), c


@cell(state=("h", "c"), gates=3)
def coupled_lstm(x: Any, h: Any, c: Any, *, W: Affine, U: Affine) -> tuple[Any, Any]:
    """Long short-term memory that forgets as much as it takes in; gates in the order i, g, o.

        i = σ(W_i x + U_i h)
        g = tanh(W_g x + U_g h)
        o = σ(W_o x + U_o h)
        c' = (1 - i) ⊙ c + i ⊙ g
        h' = o ⊙ tanh(c')

    ONNX calls it `input_forget`.

    Source: Greff, Srivastava, Koutník, Steunebrink and Schmidhuber, "LSTM: a search space odyssey" (there
    CIFG), IEEE Transactions on Neural Networks and Learning Systems 28(10), 2017, arXiv:1503.04069.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.coupled_lstm, 3, 4)
    >>> output, (h, c) = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    i, g, o = split(W(x) + U(h), 3)
    i = sigmoid(i)
    c = (1 - i) * c + i * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gains_and_biases(input_size: int, hidden_size: int, *, bias: bool = True) -> dict[str, Tensor]:
    widths = {"ih": 4 * hidden_size, "hh": 4 * hidden_size, "c": hidden_size}
    gains = {f"gain_{part}": ones(width) for part, width in widths.items()}
    biases = {f"bias_{part}": zeros(width) for part, width in widths.items()}
    return gains | (biases if bias else {})


@cell(state=("h", "c"), gates=4, params=_gains_and_biases)
def layer_norm_lstm(
    x: Any,
    h: Any,
    c: Any,
    *,
    W: Affine,
    U: Affine,
    gain_ih: Any,
    gain_hh: Any,
    gain_c: Any,
    bias_c: Any = None,
) -> tuple[Any, Any]:
    """Long short-term memory with layer normalisation; gates in the order i, f, g, o.

        i, f, g, o = LN(W x) + LN(U h)
        c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)
        h' = σ(o) ⊙ tanh(LN(c'))

    LN brings a row, the four gates together, to mean 0 and variance 1, and applies a gain of its own,
    which starts at 1, and a bias, which starts at 0. There is no other bias. (The paper has a third one
    beside `bias_ih` and `bias_hh`; only their sum counts.)

    Source: Ba, Kiros and Hinton, "Layer normalization", arXiv:1607.06450, 2016, supplementary material.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.layer_norm_lstm, 3, 4)
    >>> output, (h, c) = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    from_input = layer_norm(linear(x, W.weight), gain_ih.shape, gain_ih, W.bias)
    from_state = layer_norm(linear(h, U.weight), gain_hh.shape, gain_hh, U.bias)
    i, f, g, o = split(from_input + from_state, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(layer_norm(c, gain_c.shape, gain_c, bias_c)), c
