"""What may be stored under another dtype: an integer dtype takes what it can hold, and nothing wraps.

`astype` converts as C does, because whoever calls it asks for that. Everything else that stores given
values, a constructor or a write, asks here first. A floating-point dtype takes every number: one that is
too large becomes infinity, as in PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigrad.backends.base import by_type
from minigrad.dtypes import as_dtype
from minigrad.errors import DtypeError


def check_fits(of: str, values: Any, dtype: Any, *, writing: bool = False) -> None:
    """Refuse values that an integer (or bool) dtype cannot hold.

    Parameters
    ----------
    of : str
        What the message begins with: who stores them. Empty in a formula, whose errors tell the call.
    values : bool, int, float or array
    dtype : numpy.dtype
        What they are stored under.
    writing : bool
        Whether they go into a tensor that is there. Then floating-point arrays are refused, since
        fractions and gradients would be lost, and so is a number with a fraction; and a bool tensor
        takes 0 and 1 alone. Where a dtype was asked for, fractions are cut off, and to bool all but 0
        is True.

    Raises
    ------
    DtypeError
        Names the first value that does not fit, and its position.
    """
    dtype = as_dtype(dtype)
    if dtype.kind not in "iub":
        return
    if type(values) is int:  # of any size
        low, high = _range_of(dtype)
        if not low <= values <= high and (writing or dtype.kind != "b"):
            raise _misfit(of, values, "", dtype)
        return
    backend = by_type.get(type(values))
    array = numpy.asarray(values) if backend is None else values
    if array.dtype == dtype or array.dtype.kind == "b":
        return
    if writing and backend is not None and array.dtype.kind not in "iu":
        raise DtypeError(
            f"{of and f'{of}: '}values of {array.dtype} do not fit into a tensor of {dtype}, which would "
            "lose their fractions and gradients; convert the tensor with "
            f'.astype("{array.dtype}"), or the values with .astype("{dtype}")'
        )
    m: Any = numpy if backend is None else backend.namespace
    wrong = _wrong(m, array, dtype, writing)
    if wrong is not None and bool(m.any(wrong)):
        first = int(m.argmax(wrong.reshape(-1)))
        place = tuple(map(int, numpy.unravel_index(first, array.shape)))
        at = f" at position {', '.join(map(str, place))}" if place else ""
        raise _misfit(of, array[place].item(), at, dtype)


def _range_of(dtype: Any) -> tuple[int, int]:
    if dtype.kind == "b":
        return 0, 1
    limits = numpy.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _wrong(m: Any, array: Any, dtype: Any, writing: bool) -> Any:
    """Return which elements do not fit; None if none can."""
    low, high = _range_of(dtype)
    if dtype.kind == "b" and not writing:
        return None
    if array.dtype.kind in "iu":
        if not array.size or (low <= int(m.min(array)) and int(m.max(array)) <= high):
            return None
        return (array < low) | (array > high)
    wide = array.astype(numpy.float64)
    whole = m.trunc(wide)
    # not so for NaN; the bounds are powers of two, and exact
    fits = (whole >= low) & (whole < high + 1)
    return ~(fits & (whole == wide)) if writing else ~fits


def _misfit(of: str, value: Any, at: str, dtype: Any) -> DtypeError:
    low, high = _range_of(dtype)
    advice = f'use another dtype, or convert with .astype("{dtype}"), as C does'
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        advice = 'use dtype="float64", which rounds it'
    return DtypeError(
        f"{of and f'{of}: '}{value}{at} does not fit {dtype}, which holds integers from {low} to {high}; "
        f"{advice}"
    )
