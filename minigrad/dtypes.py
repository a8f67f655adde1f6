"""Element types: NumPy's dtype objects under the array API's names, and the default for floats."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from minigrad.errors import DtypeError, suggestion

float16 = numpy.dtype("float16")
float32 = numpy.dtype("float32")
float64 = numpy.dtype("float64")
int8, int16, int32, int64 = (numpy.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (numpy.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
bool_ = numpy.dtype("bool")

_KNOWN = {
    dtype.name: dtype
    for dtype in (
        float16,
        float32,
        float64,
        int8,
        int16,
        int32,
        int64,
        uint8,
        uint16,
        uint32,
        uint64,
        bool_,
    )
}
_OURS = frozenset(_KNOWN.values())
_default = float32


def as_dtype(dtype: Any) -> numpy.dtype[Any]:
    """Return ``dtype`` (a dtype, its name, or ``float``, ``int``, ``bool``) as one of ours.

    Python's ``float`` means the default dtype.

    Parameters
    ----------
    dtype : dtype, str or type
        A dtype of NumPy or of another library, its name, or a type of Python.

    Returns
    -------
    numpy.dtype
        One of minigrad's.

    Raises
    ------
    DtypeError
        For complex, string and other types that minigrad does not store.

    Examples
    --------
    >>> mg.dtypes.as_dtype(float)
    dtype('float32')
    """
    if isinstance(dtype, numpy.dtype) and dtype in _OURS:  # the names of dtypes are slow
        return dtype
    if dtype is float:
        return _default
    if dtype == "bfloat16" or getattr(dtype, "name", None) == "bfloat16":
        return bfloat16()
    try:
        found = _KNOWN.get(numpy.dtype(dtype).newbyteorder("=").name)
    except TypeError:
        found = _KNOWN.get(str(dtype).rpartition(".")[2])
    if found is None:
        known = (*_KNOWN, "bfloat16")
        raise DtypeError(
            f"dtype {dtype!r} is not supported{suggestion(str(dtype), known)}; "
            f"use one of {', '.join(known)}"
        )
    return found


def bfloat16() -> numpy.dtype[Any]:
    """Return bfloat16, which NumPy and CuPy take from the package ``ml_dtypes``.

    Returns
    -------
    numpy.dtype
        The dtype.

    Raises
    ------
    DtypeError
        If the package is not installed.

    Examples
    --------
    >>> mg.dtypes.bfloat16().name
    'bfloat16'
    """
    try:
        import ml_dtypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise DtypeError(
            "bfloat16 needs the package ml_dtypes; run 'pip install ml_dtypes'"
        ) from None
    found: numpy.dtype[Any] = numpy.dtype(ml_dtypes.bfloat16)
    return found


def is_floating(dtype: Any) -> bool:
    """Say whether tensors of ``dtype`` can carry gradients.

    Parameters
    ----------
    dtype : dtype or str
        Any dtype of minigrad.

    Returns
    -------
    bool
        Whether it holds floating-point numbers.

    Raises
    ------
    DtypeError
        If there is no such dtype.

    Examples
    --------
    >>> mg.is_floating("float16"), mg.is_floating(mg.int64)
    (True, False)
    """
    dtype = as_dtype(dtype)
    return bool(dtype.kind == "f" or dtype.name == "bfloat16")


def is_half(dtype: Any) -> bool:
    """Say whether ``dtype`` is float16 or bfloat16, which are for storage: ops compute in float32.

    Parameters
    ----------
    dtype : numpy.dtype
        Any dtype of minigrad.

    Returns
    -------
    bool
        Whether it is float16 or bfloat16.

    Examples
    --------
    >>> mg.dtypes.is_half(mg.float16), mg.dtypes.is_half(mg.float32)
    (True, False)
    """
    return getattr(dtype, "itemsize", 0) == 2 and dtype.kind in "fV"


class FloatLimits(NamedTuple):
    """What `finfo` returns.

    Attributes
    ----------
    bits : int
        The size of a number.
    eps : float
        The distance from 1 to the next number.
    max, min : float
        The largest and the smallest finite number.
    smallest_normal : float
        The smallest positive number with all its digits.
    dtype : numpy.dtype
        The dtype.

    Examples
    --------
    >>> mg.finfo("float16").max
    65504.0
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: numpy.dtype[Any]


class IntegerLimits(NamedTuple):
    """What `iinfo` returns.

    Attributes
    ----------
    bits : int
        The size of a number.
    max, min : int
        The largest and the smallest number.
    dtype : numpy.dtype
        The dtype.

    Examples
    --------
    >>> mg.iinfo("int8").min
    -128
    """

    bits: int
    max: int
    min: int
    dtype: numpy.dtype[Any]


def finfo(dtype: Any) -> FloatLimits:
    """Return the limits of a floating-point dtype.

    Parameters
    ----------
    dtype : dtype, str or Tensor
        A dtype, or a tensor of any shape that has it.

    Returns
    -------
    FloatLimits
        As numbers of Python.

    Raises
    ------
    DtypeError
        If it is no floating-point dtype.

    Examples
    --------
    >>> mg.finfo(mg.float32).bits, mg.finfo("float64").eps
    (32, 2.220446049250313e-16)
    """
    found = _dtype_of(dtype)
    if not is_floating(found):
        raise DtypeError(f"finfo: {found} holds no floating-point numbers; use iinfo")
    if found.kind == "f":
        limits: Any = numpy.finfo(found)
    else:  # of NumPy's own dtypes alone NumPy knows the limits
        from ml_dtypes import finfo as of_bfloat16

        limits = of_bfloat16(found)  # type: ignore[no-untyped-call, unused-ignore]
    names = ("eps", "max", "min", "smallest_normal")
    eps, largest, smallest, normal = [float(getattr(limits, name)) for name in names]
    return FloatLimits(8 * found.itemsize, eps, largest, smallest, normal, found)


def iinfo(dtype: Any) -> IntegerLimits:
    """Return the limits of an integer dtype.

    Parameters
    ----------
    dtype : dtype, str or Tensor
        A dtype, or a tensor of any shape that has it.

    Returns
    -------
    IntegerLimits
        As numbers of Python.

    Raises
    ------
    DtypeError
        If it is no integer dtype.

    Examples
    --------
    >>> mg.iinfo(mg.uint8).max
    255
    """
    found = _dtype_of(dtype)
    if found.kind not in "iu":
        raise DtypeError(f"iinfo: {found} holds no integers; use finfo for floating-point numbers")
    limits = numpy.iinfo(found)
    return IntegerLimits(limits.bits, int(limits.max), int(limits.min), found)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Say whether a dtype is of a kind.

    Parameters
    ----------
    dtype : dtype or str
        Any dtype of minigrad.
    kind : str, dtype, or tuple of them
        "bool", "signed integer", "unsigned integer", "integral", "real floating", "numeric",
        "complex floating" (there is none), or a dtype; of several, any.

    Returns
    -------
    bool
        Whether it is.

    Raises
    ------
    DtypeError
        If there is no such dtype or kind.

    Examples
    --------
    >>> mg.isdtype(mg.float16, "real floating"), mg.isdtype("int8", ("bool", mg.int64))
    (True, False)
    """
    found = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(found, one) for one in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return ("f" if is_floating(found) else found.kind) in _KINDS[kind]
    if isinstance(kind, str) and kind not in {*_KNOWN, "bfloat16"}:
        raise DtypeError(
            f"isdtype: there is no kind {kind!r}{suggestion(kind, _KINDS)}; use a dtype, or one of "
            f"{', '.join(map(repr, _KINDS))}"
        )
    return found == as_dtype(kind)


_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "",
    "numeric": "iuf",
}


def _dtype_of(value: Any) -> numpy.dtype[Any]:
    return as_dtype(value.dtype if hasattr(value, "shape") and hasattr(value, "dtype") else value)


def get_default_dtype() -> numpy.dtype[Any]:
    """Return the dtype that Python floats become.

    Returns
    -------
    dtype
        float32, unless `set_default_dtype` chose another one.

    Examples
    --------
    >>> mg.get_default_dtype()
    dtype('float32')
    """
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype that Python floats become: float32 (the default) or float64.

    Parameters
    ----------
    dtype : dtype or str
        "float32" or "float64".

    Raises
    ------
    DtypeError
        If it is another one.

    Examples
    --------
    >>> mg.set_default_dtype("float64")
    >>> mg.tensor([1.0]).dtype
    dtype('float64')
    >>> mg.set_default_dtype("float32")
    """
    global _default
    chosen = as_dtype(dtype)
    if chosen not in (float32, float64):
        raise DtypeError(f"the default dtype must be float32 or float64, not {chosen.name}")
    _default = chosen
