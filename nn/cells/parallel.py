"""Cells whose gates do not see the state: all products leave the loop."""

from __future__ import annotations

from typing import Any

from minigrad.kernels import Affine, cell
from minigrad.ops.elementwise import sigmoid, softplus
from minigrad.ops.shape import split


@cell(state="h", gates=2)
def mingru(x: Any, h: Any, *, W: Affine) -> Any:
    """The minimal gated recurrent unit that can be trained in parallel; gates in the order z, n.

        z = σ(W_z x)
        n = W_n x
        h' = (1 - z) ⊙ h + z ⊙ n

    Here z says how much is new; in `gru` it says how much is kept.

    Source: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, "Were RNNs all we needed?",
    arXiv:2410.01201, 2024.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.mingru, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    z, n = split(W(x), 2)
    z = sigmoid(z)
    return (1 - z) * h + z * n


@cell(state="h", gates=3)
def minlstm(x: Any, h: Any, *, W: Affine) -> Any:
    """The minimal long short-term memory that can be trained in parallel; gates in the order f, i, n.

        f = σ(W_f x)
        i = σ(W_i x)
        n = W_n x
        h' = f / (f + i) ⊙ h + i / (f + i) ⊙ n

    Source: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, "Were RNNs all we needed?",
    arXiv:2410.01201, 2024.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.minlstm, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    f, i, n = split(W(x), 3)
    keep = sigmoid(softplus(-i) - softplus(-f))  # σ(f) / (σ(f) + σ(i)), also where both are 0
    return keep * h + (1 - keep) * n
