"""Cells whose gates do not see the state: all products leave the loop."""

from __future__ import annotations

from typing import Any

from minigrad.kernels import cell
from minigrad.kernels.cell import Params
from minigrad.nn.cells.shared import Starts, input_parameters
from minigrad.ops.elementwise import sigmoid, softplus
from minigrad.ops.linalg import linear
from minigrad.ops.shape import split


def _input_gates(of: str, count: int) -> Params:
    def params(input_size: int, hidden_size: int, *, bias: bool = True) -> Starts:
        return input_parameters(of, count * hidden_size, input_size, bias)

    return params


@cell(state="h", params=_input_gates("mingru", 2))
def mingru(x: Any, h: Any, *, weight_ih: Any, bias_ih: Any = None) -> Any:
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
    z, n = split(linear(x, weight_ih, bias_ih), 2)
    z = sigmoid(z)
    return (1 - z) * h + z * n


@cell(state="h", params=_input_gates("minlstm", 3))
def minlstm(x: Any, h: Any, *, weight_ih: Any, bias_ih: Any = None) -> Any:
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
    f, i, n = split(linear(x, weight_ih, bias_ih), 3)
    keep = sigmoid(softplus(-i) - softplus(-f))  # σ(f) / (σ(f) + σ(i)), also where both are 0
    return keep * h + (1 - keep) * n
