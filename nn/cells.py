"""Recurrent cells: one plain function of a time step each. `minigrad.kernels.scan` makes the loop."""

from __future__ import annotations

from typing import Any

from minigrad.kernels import cell
from minigrad.ops.elementwise import sigmoid, tanh
from minigrad.ops.linalg import linear
from minigrad.ops.shape import split


@cell(state=("h", "c"))
def lstm(
    x: Any,
    h: Any,
    c: Any,
    *,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
) -> tuple[Any, Any]:
    """Long short-term memory with a forget gate [Gers 2000]; gates in the order i, f, g, o."""
    gates = linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)
    i, f, g, o = split(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c
