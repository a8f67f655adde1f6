"""Serialise trees of plain data and tensors: a record that JSON can hold, and named arrays.

In a record, None, bools, strings, lists, finite floats and integers of 64 bits stand for themselves.
The rest is an object with one key that says what it is: ``{"dict": [[key, value], ...]}``,
``{"tuple": [...]}``, ``{"tensor": name}``, ``{"int": "0x1..."}`` and ``{"float": "7ff0..."}`` (its bits).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy

from minigrad import dtypes
from minigrad.backends import backend_of
from minigrad.errors import ArgumentError, DtypeError
from minigrad.tensor import Tensor

MAX_DEPTH = 64
_RESERVED_NAMES = {"__metadata__"}  # has another meaning in a safetensors file


def flatten(state: Any) -> tuple[Any, dict[str, Any]]:
    """Return the record of ``state``, and its tensors as contiguous NumPy arrays by name.

    The name of a tensor is its path joined with dots: ``"model.lstm.weight_ih_l0"``. If two paths give
    one name, the later tensor's gets a ``'`` at its end.

    Raises
    ------
    ArgumentError
        If the tree holds something that cannot be saved, is too deep, or contains itself.
    DtypeError
        If an array has a dtype that minigrad does not store.
    """
    arrays: dict[str, Any] = {}
    return _record(state, (), arrays), arrays


def _record(value: Any, path: tuple[Any, ...], arrays: dict[str, Any]) -> Any:
    if len(path) > MAX_DEPTH:
        raise ArgumentError(
            f"save(): {_place(path[:3])}... is more than {MAX_DEPTH} levels deep, or contains itself; "
            "save a flatter tree"
        )
    if isinstance(value, numpy.generic) and (
        value.dtype.kind in "biufU" or value.dtype.name == "bfloat16"
    ):
        value = value.item()
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return value if value.bit_length() <= 64 else {"int": hex(value)}
    if type(value) is float:
        return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
    if type(value) is list:
        return [_record(item, (*path, i), arrays) for i, item in enumerate(value)]
    if type(value) is tuple:
        return {"tuple": [_record(item, (*path, i), arrays) for i, item in enumerate(value)]}
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise ArgumentError(
                    f"save(): {_place(path)} has the key {key!r}, a {type(key).__name__}; "
                    "use str or int"
                )
        return {
            "dict": [
                [_record(key, (), arrays), _record(item, (*path, key), arrays)]
                for key, item in value.items()
            ]
        }
    name = _free_name(path, arrays)
    arrays[name] = _array(value, path)
    return {"tensor": name}


def _array(value: Any, path: tuple[Any, ...]) -> Any:
    """Return the content of a tensor or array as a contiguous NumPy array of one of our dtypes."""
    array = value._array if isinstance(value, Tensor) else value
    if type(array) is not numpy.ndarray:
        backend = backend_of(array)
        if (
            backend is None or type(array) is not backend.array_type
        ):  # a masked array has more to it
            raise ArgumentError(
                f"save(): {_place(path)}: cannot save a {type(value).__name__}; use tensors, NumPy "
                "arrays, numbers, strings, None, lists, tuples and dicts, for a module its state_dict()"
            )
        array = backend.to_numpy(array)
    try:
        dtype = dtypes.as_dtype(array.dtype)
    except DtypeError as error:
        raise DtypeError(f"save(): {_place(path)}: {error}") from None
    return numpy.asarray(array, dtype=dtype, order="C")


def _free_name(path: tuple[Any, ...], arrays: dict[str, Any]) -> str:
    """Return the name of the tensor at ``path``: one that UTF-8 can hold and no other tensor has."""
    name = ".".join(map(str, path)).encode(errors="backslashreplace").decode() or "tensor"
    while name in arrays or name in _RESERVED_NAMES:
        name += "'"
    return name


def _place(path: tuple[Any, ...]) -> str:
    return "state" + "".join(f"[{key!r}]" for key in path)


def unflatten(record: Any, tensors: Mapping[str, Any]) -> Any:
    """Return the tree that ``record`` describes, with each of ``tensors`` in its place.

    Raises
    ------
    ValueError
        If `flatten` does not write such a record, or it does not name each tensor once.
    """
    left = dict(tensors)
    tree = _tree(record, left, 0)
    if left:
        raise ValueError(f"no place for the tensor {next(iter(left))!r}")
    return tree


def _tree(record: Any, tensors: dict[str, Any], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"a tree of more than {MAX_DEPTH} levels")
    if isinstance(record, list):
        return [_tree(item, tensors, depth + 1) for item in record]
    if not isinstance(record, dict):
        return record
    if len(record) == 1:
        match record:
            case {"dict": list(items)}:
                return _dict(items, tensors, depth)
            case {"tuple": list(items)}:
                return tuple([_tree(item, tensors, depth + 1) for item in items])
            case {"tensor": str(name)}:
                if name not in tensors:
                    raise ValueError(f"the tensor {name!r} is missing, or named twice")
                return tensors.pop(name)
            case {"int": str(digits)}:
                return int(digits, 16)
            case {"float": str(digits)}:
                return struct.unpack(">d", int(digits, 16).to_bytes(8, "big"))[0]
    raise ValueError(f"an object with the keys {list(record)[:3]!r:.80}")


def _dict(items: list[Any], tensors: dict[str, Any], depth: int) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for item in items:
        if not isinstance(item, list) or len(item) != 2:
            raise ValueError("an item of a dict that is not a key and a value")
        key = _tree(item[0], {}, depth + 1)
        if type(key) not in (str, int) or key in made:
            raise ValueError(
                f"the key {key!r:.80} of a dict, which is twice there or no str or int"
            )
        made[key] = _tree(item[1], tensors, depth + 1)
    return made
