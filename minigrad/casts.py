"""Type promotion as public functions: in which dtype arguments meet. ADR 4 has the rule."""

from __future__ import annotations

from typing import Any

import numpy

from minigrad import promotion
from minigrad.dtypes import as_dtype
from minigrad.errors import ArgumentError


def result_type(*arrays_and_dtypes: Any) -> numpy.dtype[Any]:
    """Return the dtype in which arguments meet, as those of ``mg.add`` do.

    The highest kind of them (bool, integer, float), and in it the widest dtype of a tensor: numbers of
    Python have a kind and no width.

    Parameters
    ----------
    *arrays_and_dtypes : Tensor, array, dtype, str, bool, int or float
        Tensors of any shapes, dtypes, and numbers.

    Returns
    -------
    numpy.dtype
        The dtype.

    Raises
    ------
    DtypeError
        If there is no such dtype.
    ArgumentError
        If nothing is given.

    Examples
    --------
    >>> mg.result_type(mg.int64, "float32"), mg.result_type(mg.ones(3), 1.5)
    (dtype('float32'), dtype('float32'))
    """
    if not arrays_and_dtypes:
        raise ArgumentError("result_type: give at least one tensor, dtype or number")
    return promotion.result_type(*map(_kind, arrays_and_dtypes))


def can_cast(from_: Any, to: Any) -> bool:
    """Say whether a dtype goes into another one by meeting it: `result_type` is the other one.

    Parameters
    ----------
    from_ : Tensor, dtype or str
        A dtype, or a tensor of any shape.
    to : dtype or str
        The dtype that is wanted.

    Returns
    -------
    bool
        Whether it does.

    Raises
    ------
    DtypeError
        If there is no such dtype.

    Examples
    --------
    >>> mg.can_cast("int8", "int64"), mg.can_cast("float64", "float32")
    (True, False)
    """
    wanted = as_dtype(to)
    return result_type(from_, wanted) == wanted


def _kind(value: Any) -> Any:
    if not isinstance(value, numpy.generic) and hasattr(value, "shape") and hasattr(value, "dtype"):
        return as_dtype(value.dtype)  # a dtype of NumPy has a shape, too, and no dtype
    number = promotion.weak_number(value)
    return as_dtype(value) if number is None else type(number)
