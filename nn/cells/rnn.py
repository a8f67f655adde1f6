"""Simple recurrent networks: no gates, only a candidate that is the new state."""

from __future__ import annotations

from typing import Any

from minigrad.creation import ones
from minigrad.kernels import Affine, cell
from minigrad.ops.elementwise import relu, tanh
from minigrad.tensor import Tensor


@cell(state="h", gates=1)
def rnn_tanh(x: Any, h: Any, *, W: Affine, U: Affine) -> Any:
    """The simple recurrent network.

        h' = tanh(W x + U h)

    Source: Elman, "Finding structure in time", Cognitive Science 14, 1990.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.rnn_tanh, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    return tanh(W(x) + U(h))


@cell(state="h", gates=1)
def rnn_relu(x: Any, h: Any, *, W: Affine, U: Affine) -> Any:
    """The simple recurrent network with rectified linear units.

        h' = relu(W x + U h)

    Source: Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified linear
    units", arXiv:1504.00941, 2015. They start `weight_hh` as the identity matrix.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.rnn_relu, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    return relu(W(x) + U(h))


def _own_past(input_size: int, hidden_size: int) -> dict[str, Tensor]:
    return {"weight_hh": ones(hidden_size)}


@cell(state="h", gates=1, params=_own_past)
def indrnn(x: Any, h: Any, *, W: Affine, weight_hh: Any) -> Any:
    """The independently recurrent network: each unit sees only its own past.

        h' = relu(W x + u ⊙ h)

    `weight_hh` is the vector u. It starts at 1, so that a unit keeps what it has.

    Source: Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a
    longer and deeper RNN", CVPR 2018, arXiv:1803.04831.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.indrnn, 3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """
    return relu(W(x) + weight_hh * h)
