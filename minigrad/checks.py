"""What counts as an integer, a number or a flag, wherever one is an argument: NumPy's scalars do."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import Any

import numpy

from minigrad.errors import ArgumentError, TraceError


def as_integer(value: Any) -> int | None:
    """Return an integer (Python's, NumPy's, or what has ``__index__``) as Python's; None for the rest.

    A bool is no integer: it often stands at the wrong place.
    """
    if type(value) is int:
        return value
    if isinstance(value, (bool, numpy.bool)):
        return None
    try:
        return operator.index(value)
    except TraceError:  # of a traced step, and not known
        raise
    except (TypeError, ValueError):
        return None


def as_number(value: Any) -> float | None:
    """Return a real number as Python's int or float; None for the rest, and for a bool."""
    if type(value) is float:
        return value
    whole = as_integer(value)
    if whole is not None:
        return whole
    real = isinstance(value, (Real, numpy.floating)) and not isinstance(value, (bool, numpy.bool))
    scalar = getattr(value, "shape", None) == () and (
        value.dtype.kind == "f" or value.dtype.name == "bfloat16"
    )
    return float(value) if real or scalar else None


def check_integer(of: str, name: str, value: Any, low: int | None = None) -> int:
    """Return ``value`` as Python's int.

    Parameters
    ----------
    of, name : str
        What the message calls the function and its argument.
    value : Any
        See `as_integer`.
    low : int, optional
        The smallest one allowed.

    Raises
    ------
    ArgumentError
        If it is no integer, or below ``low``.
    """
    found = as_integer(value)
    if found is None or (low is not None and found < low):
        known = {None: "an integer", 0: "a non-negative integer", 1: "a positive integer"}
        wanted = known.get(low, f"an integer of at least {low}")
        raise ArgumentError(f"{of}: {name} must be {wanted}, not {value!r}")
    return found


def check_number(
    of: str, name: str, value: Any, low: float = -math.inf, high: float = math.inf
) -> float:
    """Return ``value`` as Python's int or float.

    Parameters
    ----------
    of, name : str
        What the message calls the function and its argument.
    value : Any
        See `as_number`.
    low, high : float
        The smallest and the largest one allowed.

    Raises
    ------
    ArgumentError
        If it is no number, or out of these bounds; NaN always is.
    """
    found = as_number(value)
    if found is None or not low <= found <= high:
        wanted = "a number"
        if (low, high) != (-math.inf, math.inf):
            wanted += f" of at least {low}" if high == math.inf else f" from {low} to {high}"
        raise ArgumentError(f"{of}: {name} must be {wanted}, not {value!r}")
    return found


def check_flag(of: str, name: str, value: Any, advice: str = "") -> bool:
    """Return True or False; ``advice`` ends the message.

    Raises
    ------
    ArgumentError
        If ``value`` is neither, nor NumPy's: often an argument that stands at the wrong place.
    """
    if not isinstance(value, (bool, numpy.bool)):
        raise ArgumentError(f"{of}: {name} must be True or False, not {value!r}{advice}")
    return bool(value)
