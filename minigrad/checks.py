"""What counts as an integer, a number or a flag, wherever one is an argument: NumPy's scalars do."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy

from minigrad.errors import ArgumentError, ShapeError, TraceError

Shape = int | Sequence[int]


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
    """Return a real number as Python's int or float; None for the rest, and for a bool.

    A tensor of floating-point numbers is none: its gradient would be lost.
    """
    if type(value) is float:
        return value
    whole = as_integer(value)
    if whole is not None:
        return whole
    if isinstance(value, bool):
        return None
    if isinstance(value, (numpy.generic, numpy.ndarray)):
        floating = value.dtype.kind == "f" or value.dtype.name == "bfloat16"
        return float(value) if floating and value.shape == () else None
    return float(value) if isinstance(value, Real) else None


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


def check_integers(of: str, name: str, value: Any, low: int | None = None) -> tuple[int, ...]:
    """Return one integer or several as a tuple; see `check_integer`."""
    return tuple([check_integer(of, name, n, low) for n in listed(value)])


def check_number(
    of: str,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    finite: bool = False,
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
    finite : bool
        Whether infinity is refused.

    Raises
    ------
    ArgumentError
        If it is no number, or out of these bounds; NaN always is.
    """
    found = as_number(value)
    if found is None or not low <= found <= high or (finite and not math.isfinite(found)):
        wanted = "a finite number" if finite else "a number"
        if (low, high) != (-math.inf, math.inf):
            wanted += f", {low} or more" if high == math.inf else f" from {low} to {high}"
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


def sizes_of(shape: Any, low: int = 0) -> tuple[int, ...]:
    """Return a shape, or one size, as a tuple of Python's integers.

    Parameters
    ----------
    shape : int or iterable of int
    low : int
        The smallest size allowed; -1 where a size may be worked out.

    Raises
    ------
    ShapeError
        If it holds something other than integers, or one below ``low``.
    """
    if type(shape) is tuple and all(type(n) is int and n >= low for n in shape):
        return shape  # as nearly always, and soon found
    sizes = [as_integer(n) for n in listed(shape)]
    found = tuple([n for n in sizes if n is not None and n >= low])
    if len(found) != len(sizes):
        or_else = "" if low == 0 else ", or -1 for the size to be worked out"
        raise ShapeError(f"a shape holds non-negative integers{or_else}, not {shape!r}")
    return found


def listed(value: Any) -> tuple[Any, ...]:
    """Return several values as a tuple, and one as a tuple of one; text and 0-d arrays are one."""
    several = isinstance(value, Iterable) and getattr(value, "shape", None) != ()
    return tuple(value) if several and not isinstance(value, (str, bytes)) else (value,)
