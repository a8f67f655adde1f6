"""What cells have in common: what their parameters look like, and the sum that their gates are of."""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cell import Params
from minigrad.nn.checks import check_flags
from minigrad.ops.linalg import linear
from minigrad.tensor import Tensor

Starts = dict[str, tuple[int, ...] | Tensor]


def input_parameters(
    of: str, rows: int, input_size: int, bias: bool, **recurrent: tuple[int, ...] | Tensor
) -> Starts:
    """Return the parameters of a cell that multiplies its input by a matrix, and its state by none.

    Raises
    ------
    ArgumentError
        If ``bias`` is no bool.
    """
    check_flags(of, bias=bias)
    weights: Starts = {"weight_ih": (rows, input_size), **recurrent}
    return {**weights, "bias_ih": (rows,)} if bias else weights


def affine_parameters(of: str, rows: int, input_size: int, state_size: int, bias: bool) -> Starts:
    """Return the parameters of a cell that multiplies input and state by a matrix each.

    Raises
    ------
    ArgumentError
        If ``bias`` is no bool.
    """
    starts = input_parameters(of, rows, input_size, bias, weight_hh=(rows, state_size))
    return {**starts, "bias_hh": (rows,)} if bias else starts


def gates(of: str, count: int) -> Params:
    """Return the ``params`` of a cell with this number of gates and of candidates for its state."""

    def params(input_size: int, hidden_size: int, *, bias: bool = True) -> Starts:
        return affine_parameters(of, count * hidden_size, input_size, hidden_size, bias)

    return params


def affine(
    x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
    """Return ``W x + U h``, each with its bias."""
    return linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)
