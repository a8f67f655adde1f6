"""What the dialects share: a sweep as names, loads and calls, signs between values, numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from minigrad.graph import Var
from minigrad.kernels.plan.ir import Place, Sweep
from minigrad.kernels.plan.scalar import Call, Tracer

INFIX: Mapping[str, str] = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
    "equal": "==", "not_equal": "!=",
}  # fmt: skip
"""Functions of two values that are written between them, in any language."""


@dataclass(frozen=True)
class LoweredSweep:
    """A sweep as straight-line code.

    Attributes
    ----------
    names : dict
        Of all its variables.
    for_rows, for_columns : dict
        What is loaded: once for a row, because it stretches, and for each column.
    calls : list of Call
        In order.
    """

    names: Mapping[Var, str]
    for_rows: Mapping[Var, Place]
    for_columns: Mapping[Var, Place]
    calls: list[Call]


def lowered(sweep: Sweep) -> LoweredSweep:
    """Return what a sweep loads and calls.

    Raises
    ------
    minigrad.kernels.passes.legalize.Refusal
        If an op of it cannot be written in `minigrad.kernels.plan.scalar.FUNCTIONS`.
    """
    tracer = Tracer()
    names = {var: f"x{i}" for i, var in enumerate(sweep.loads)}
    stretches = {var: (var.shape or (1,))[-1] < sweep.width for var in sweep.loads}
    for node in sweep.nodes:
        tracer.lower(node, names)
    return LoweredSweep(
        names,
        {var: place for var, place in sweep.loads.items() if stretches[var]},
        {var: place for var, place in sweep.loads.items() if not stretches[var]},
        tracer.calls,
    )


def number(value: float, *, infinity: str, nan: str, suffix: str = "") -> str:
    """Return the text of a number, in brackets if it begins with a sign.

    Parameters
    ----------
    value : float
    infinity, nan : str
        How the dialect writes them.
    suffix : str
        What stands behind the digits.
    """
    if math.isnan(value):
        return nan
    size = infinity if math.isinf(value) else f"{abs(value)!r}{suffix}"
    return f"(-{size})" if math.copysign(1.0, value) < 0 else size
