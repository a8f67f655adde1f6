"""DLPack in and out of NumPy, bfloat16 included.

DLPack describes an array by a struct in a capsule. NumPy refuses one whose type code says bfloat16,
and makes none. The bits are those of a 16-bit integer, so the code is changed, and nothing is copied.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy

from minigrad.dtypes import bfloat16

_INTEGER, _BFLOAT = 1, 4  # type codes of DLPack
_DTYPE = 20  # where in a DLTensor the code is: after the address, the device and the number of axes
_TENSOR = {
    b"dltensor": 0,
    b"dltensor_versioned": 32,
}  # where in what the capsule holds the DLTensor is

_name_of = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype, _name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
_address_of = ctypes.pythonapi.PyCapsule_GetPointer
_address_of.restype, _address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def _coded(capsule: Any, code: int) -> Any:
    """Return a capsule of DLPack whose array has another type code from now on."""
    name = _name_of(capsule)
    ctypes.c_uint8.from_address(_address_of(capsule, name) + _TENSOR[name] + _DTYPE).value = code
    return capsule


class _Bits:
    """An array of bfloat16 that says that it holds integers."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.__dlpack_device__ = source.__dlpack_device__

    def __dlpack__(self, **options: Any) -> Any:
        return _coded(self._source.__dlpack__(**options), _INTEGER)


def from_dlpack(source: Any) -> numpy.ndarray[Any, Any]:
    """Return an array that speaks DLPack as NumPy's; it looks at the same memory."""
    if str(getattr(source, "dtype", "")).rpartition(".")[2] != "bfloat16":
        return numpy.from_dlpack(source)
    return numpy.from_dlpack(_Bits(source)).view(bfloat16())


def to_dlpack(array: Any, options: dict[str, Any]) -> Any:
    """Return the capsule of an array of NumPy or CuPy."""
    if array.dtype.name != "bfloat16":
        return array.__dlpack__(**options)
    return _coded(array.view(numpy.int16).__dlpack__(**options), _BFLOAT)


def as_numpy(data: Any) -> numpy.ndarray[Any, Any]:
    """Return anything that NumPy makes an array of, or that speaks DLPack, as an array."""
    speaks = hasattr(data, "__dlpack__") and not isinstance(data, numpy.ndarray | numpy.generic)
    if speaks and (not hasattr(data, "__array__") or _is_torchs_bfloat16(data)):
        return from_dlpack(data)
    return numpy.asarray(data)


def _is_torchs_bfloat16(data: Any) -> bool:
    return str(getattr(data, "dtype", "")) == "torch.bfloat16"  # JAX gives NumPy its own
