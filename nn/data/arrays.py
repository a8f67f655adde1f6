"""What users give as data, as arrays of NumPy that are looked at row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from minigrad.dtypes import as_dtype
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.tensor import Tensor, new_tensor

Array = np.ndarray[Any, Any]


def array_of(of: str, data: Any) -> Array:
    """Return numbers as an array of NumPy: one of NumPy is looked at, all else is copied.

    Raises
    ------
    DtypeError
        If they are no numbers, or some are masked.
    """
    if isinstance(data, np.ma.MaskedArray):
        raise DtypeError(f"{of}: the mask of a masked array would be lost; give data.filled(value)")
    if isinstance(data, np.ndarray):
        if data.dtype.kind in "OSUV":
            raise DtypeError(
                f"{of}: an array of {data.dtype} holds no numbers; encode text with a "
                "nn.text.Vocabulary, and give sequences of unequal length in a list"
            )
        return np.asarray(data).astype(as_dtype(data.dtype), copy=False)
    return new_tensor(of, data, None, "cpu").numpy()


def rows_of(of: str, data: Any) -> Array:
    """Return an array with at least one axis, along which its rows lie; see `array_of`.

    Raises
    ------
    DtypeError
        If it holds no numbers.
    ShapeError
        If it is a single number.
    """
    array = array_of(of, data)
    if not array.ndim:
        raise ShapeError(f"{of}: {data!r} is a single number; give an array with an axis of rows")
    return array


def listed_items(of: str, data: Any, what: str) -> list[Any]:
    """Return the items of a list, a tuple, an array or an iterator, in their order.

    Raises
    ------
    ArgumentError
        If it is text, has no order, or is nothing to go through.
    """
    if isinstance(data, (str, bytes, bytearray)):
        raise ArgumentError(
            f"{of}: {what} must hold numbers, and {short(data)} is text; encode it with a "
            "nn.text.Vocabulary"
        )
    if isinstance(data, (Mapping, Set)) or not isinstance(data, Iterable):
        raise ArgumentError(
            f"{of}: {what} must be a list or an array, not {short(data)}; give its values in a list"
        )
    if isinstance(data, Tensor):
        return list(array_of(of, data))
    try:
        return list(data)
    except TypeError:  # a 0-d array
        raise ArgumentError(f"{of}: {what} is the single number {data!r}; give a list") from None


def digest_of(*arrays: Array) -> str:
    """Return what tells arrays from others: a hash of their dtypes, shapes and values."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.name}{array.shape}".encode())
        step = max(1, len(array) * (1 << 24) // max(1, array.nbytes))  # a view may be far larger
        for start in range(0, len(array), step):
            part = array[start : start + step]
            found.update(part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes())
    return found.hexdigest()


def short(value: Any) -> str:
    """Return how a value looks, in at most 40 characters."""
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
