"""Recurrent cells: one plain function of a time step each. `minigrad.kernels.scan` makes the loop.

Beside each cell stands what its parameters look like. Names, shapes and the order of the gates are
PyTorch's.
"""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.kernels import cell
from minigrad.nn.checks import check_flags
from minigrad.ops.elementwise import relu, sigmoid, tanh
from minigrad.ops.linalg import linear
from minigrad.ops.shape import split

Shapes = dict[str, tuple[int, ...]]


def _shapes(of: str, rows: int, input_size: int, state_size: int, bias: bool) -> Shapes:
    check_flags(of, bias=bias)
    weights: Shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, state_size)}
    return {**weights, "bias_ih": (rows,), "bias_hh": (rows,)} if bias else weights


def _sum(
    x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
    return linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)


def _rnn_params(input_size: int, hidden_size: int, *, bias: bool = True) -> Shapes:
    return _shapes("rnn", hidden_size, input_size, hidden_size, bias)


@cell(state="h", params=_rnn_params)
def rnn_tanh(
    x: Any, h: Any, *, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
    """The simple recurrent network [Elman 1990]."""
    return tanh(_sum(x, h, weight_ih, weight_hh, bias_ih, bias_hh))


@cell(state="h", params=_rnn_params)
def rnn_relu(
    x: Any, h: Any, *, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
    """The simple recurrent network with rectified linear units [Le 2015]."""
    return relu(_sum(x, h, weight_ih, weight_hh, bias_ih, bias_hh))


def _lstm_params(
    input_size: int, hidden_size: int, *, bias: bool = True, proj_size: int = 0
) -> Shapes:
    if not isinstance(proj_size, int) or not 0 <= proj_size < hidden_size:
        raise ArgumentError(
            f"lstm: proj_size is {proj_size!r} with a hidden_size of {hidden_size}; it must be a "
            "smaller positive integer, or 0 for no projection"
        )
    shapes = _shapes("lstm", 4 * hidden_size, input_size, proj_size or hidden_size, bias)
    return {**shapes, "weight_hr": (proj_size, hidden_size)} if proj_size else shapes


@cell(
    state=("h", "c"),
    params=_lstm_params,
    widths=lambda hidden_size, proj_size=0: {"h": proj_size or hidden_size},
)
def lstm(
    x: Any,
    h: Any,
    c: Any,
    *,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    weight_hr: Any = None,
) -> tuple[Any, Any]:
    """Long short-term memory with a forget gate [Gers 2000]; gates in the order i, f, g, o.

    With ``weight_hr`` the output is projected to fewer units [Sak 2014].
    """
    i, f, g, o = split(_sum(x, h, weight_ih, weight_hh, bias_ih, bias_hh), 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h if weight_hr is None else linear(h, weight_hr), c


def _gru_params(input_size: int, hidden_size: int, *, bias: bool = True) -> Shapes:
    return _shapes("gru", 3 * hidden_size, input_size, hidden_size, bias)


@cell(state="h", params=_gru_params)
def gru(
    x: Any, h: Any, *, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
    """The gated recurrent unit [Cho 2014]; gates in the order r, z, n.

    The reset gate acts after the product with ``weight_hh``, as in PyTorch.
    """
    x_r, x_z, x_n = split(linear(x, weight_ih, bias_ih), 3)
    h_r, h_z, h_n = split(linear(h, weight_hh, bias_hh), 3)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = tanh(x_n + r * h_n)
    return (1 - z) * n + z * h
