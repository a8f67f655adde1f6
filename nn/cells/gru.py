"""The gated recurrent unit and its simpler relatives: gates, and one state."""

from __future__ import annotations

from typing import Any

from minigrad.kernels import Affine, cell
from minigrad.ops.elementwise import sigmoid, tanh
from minigrad.ops.shape import split


@cell(state="h", gates=3)
def gru(x: Any, h: Any, *, W: Affine, U: Affine) -> Any:
    """The gated recurrent unit, resetting after the product, as in PyTorch; gates in the order r, z, n.

        r = σ(W_r x + U_r h)
        z = σ(W_z x + U_z h)
        n = tanh(W_n x + r ⊙ (U_n h))
        h' = (1 - z) ⊙ n + z ⊙ h

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation", EMNLP 2014, arXiv:1406.1078, in the form of cuDNN; ONNX's
    `linear_before_reset=1`.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.gru, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    x_r, x_z, x_n = split(W(x), 3)
    h_r, h_z, h_n = split(U(h), 3)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = tanh(x_n + r * h_n)
    return (1 - z) * n + z * h


@cell(state="h", gates=3)
def gru_reset_before(x: Any, h: Any, *, W: Affine, U: Affine) -> Any:
    """The gated recurrent unit as published, resetting before the product; gates in the order r, z, n.

        r = σ(W_r x + U_r h)
        z = σ(W_z x + U_z h)
        n = tanh(W_n x + U_n (r ⊙ h))
        h' = (1 - z) ⊙ n + z ⊙ h

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation", EMNLP 2014, arXiv:1406.1078; ONNX's `linear_before_reset=0`.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.gru_reset_before, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    x_r, x_z, x_n = split(W(x), 3)
    h_r, h_z = split(U[:2](h), 2)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = tanh(x_n + U[2](r * h))
    return (1 - z) * n + z * h


@cell(state="h", gates=2)
def simplified_gru(x: Any, h: Any, *, W: Affine, U: Affine) -> Any:
    """A gated recurrent unit with an update gate only; gates in the order z, n.

        z = σ(W_z x + U_z h)
        n = tanh(W_n x + U_n h)
        h' = z ⊙ n + (1 - z) ⊙ h

    Here z says how much is new; in `gru` it says how much is kept.

    Source: Ng, "Sequence models", lecture on gated recurrent units, deeplearning.ai, 2018.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.simplified_gru, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    z, n = split(W(x) + U(h), 2)
    z = sigmoid(z)
    return z * tanh(n) + (1 - z) * h


@cell(state="h", gates=2)
def mgu(x: Any, h: Any, *, W: Affine, U: Affine) -> Any:
    """The minimal gated unit, whose one gate resets and updates; gates in the order f, n.

        f = σ(W_f x + U_f h)
        n = tanh(W_n x + U_n (f ⊙ h))
        h' = f ⊙ n + (1 - f) ⊙ h

    Source: Zhou, Wu, Zhang and Zhou, "Minimal gated unit for recurrent neural networks", International
    Journal of Automation and Computing 13, 2016, arXiv:1603.09420.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.mgu, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    x_f, x_n = split(W(x), 2)
    f = sigmoid(x_f + U[0](h))
    n = tanh(x_n + U[1](f * h))
    return f * n + (1 - f) * h
