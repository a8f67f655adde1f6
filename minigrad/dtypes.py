"""Element types: NumPy's dtype objects under the array API's names, and the default for floats."""

from __future__ import annotations

from typing import Any

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
