"""Cells without gates."""

from __future__ import annotations

from typing import Any

from minigrad.creation import ones
from minigrad.kernels import cell
from minigrad.nn.cells.shared import Starts, affine, gates, input_parameters
from minigrad.ops.elementwise import relu, tanh
from minigrad.ops.linalg import linear


@cell(state="h", params=gates("rnn", 1))
def rnn_tanh(
    x: Any, h: Any, *, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
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
    return tanh(affine(x, h, weight_ih, weight_hh, bias_ih, bias_hh))


@cell(state="h", params=gates("rnn", 1))
def rnn_relu(
    x: Any, h: Any, *, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
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
    return relu(affine(x, h, weight_ih, weight_hh, bias_ih, bias_hh))


def _indrnn_params(input_size: int, hidden_size: int, *, bias: bool = True) -> Starts:
    return input_parameters("indrnn", hidden_size, input_size, bias, weight_hh=ones(hidden_size))


@cell(state="h", params=_indrnn_params)
def indrnn(x: Any, h: Any, *, weight_ih: Any, weight_hh: Any, bias_ih: Any = None) -> Any:
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
    return relu(linear(x, weight_ih, bias_ih) + weight_hh * h)
