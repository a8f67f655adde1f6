"""Weights and other state on disk, in the safetensors format, with a checksum of the whole file.

The format: https://huggingface.co/docs/safetensors. What is ours is one entry of the ``__metadata__``, a
JSON text that holds the checksum and the tree of which the tensors were a part.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import numpy

from minigrad import dtypes
from minigrad.backends import parse_device
from minigrad.errors import ArgumentError, FileFormatError
from minigrad.files import file_name, read_file, replace_file
from minigrad.tensor import Tensor, tensor
from minigrad.tree import flatten, unflatten

# What comes after the eight bytes of the header's length, up to the digits of the checksum.
_HEAD = rb'{"__metadata__":{"minigrad":"{\"minigrad\":1,\"sha256\":\"'
_DIGITS = slice(8 + len(_HEAD), 8 + len(_HEAD) + 64)
_NO_DIGITS = b"0" * 64

_DTYPES = {
    "BOOL": "bool", "BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
}  # fmt: skip

_OTHER_FORMATS = {
    b"PK": "a zip archive, as torch.save and numpy.savez write",
    b"\x80": "a pickle",
    b"\x93NUMPY": "an array of NumPy",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
}


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Write a tree of tensors and plain data to a safetensors file.

    The file is written beside its place, flushed to the disk and renamed, so that there is always a
    whole one: the one before, or this one. A flat dict of tensors, as ``state_dict()`` gives, is a
    plain safetensors file with the same names, which other libraries can read.

    Parameters
    ----------
    path : str or path-like
        Usually ends in ``.safetensors``. The folder has to exist.
    state : tree
        Dicts (with str or int keys), lists and tuples, of tensors, NumPy arrays, None, bools,
        numbers and strings.

    Raises
    ------
    ArgumentError
        If ``state`` holds something else; the message says where. There may be at most 64 levels.
    DtypeError
        If an array is complex, or of a dtype that minigrad does not store.
    OSError
        If the file cannot be written. The one that was there is as it was.
    FileFormatError
        If there is a device or a pipe of that name, or the package safetensors is too new.

    Notes
    -----
    A tensor that stands in several places is written once for each. `load` gives tensors for arrays,
    Python numbers for NumPy's numbers, and dicts for dicts of other classes.

    Examples
    --------
    >>> mg.save("numbers.safetensors", {"x": mg.tensor([1.0, 2.0]), "steps": 7})
    >>> mg.load("numbers.safetensors")
    {'x': tensor([1., 2.]), 'steps': 7}
    """
    import safetensors.numpy

    name = file_name(path, "save()")
    tree, arrays = flatten(state)
    ours = {"minigrad": 1, "sha256": _NO_DIGITS.decode(), "tree": tree}
    text = json.dumps(ours, separators=(",", ":"))
    try:
        content = safetensors.numpy.save(arrays, {"minigrad": text})
    except safetensors.SafetensorError as error:
        raise ArgumentError(
            f"save(): the safetensors format cannot hold this state ({error}); it holds names and "
            "plain data of up to 100 MB: put long lists of numbers in tensors"
        ) from None
    if not content.startswith(_HEAD, 8):
        raise FileFormatError(
            f"save(): safetensors {safetensors.__version__} writes files that load() would not know as "
            "ours; install the version that minigrad asks for"
        )
    view = memoryview(content)
    digits = _checksum(view).encode()
    replace_file(name, (view[: _DIGITS.start], digits, view[_DIGITS.stop :]), "save()")


def load(path: str | os.PathLike[str], device: str | None = None) -> Any:
    """Return what `save` wrote to a file, or the tensors of any safetensors file by name.

    Nothing in a file is ever run. A file that `save` wrote is refused if any bit of it has changed. A
    safetensors file of another program has no checksum, so that only its form can be checked.

    Parameters
    ----------
    path : str or path-like
        The file.
    device : str, optional
        Where the tensors go: "cpu", "cuda" or "cuda:N"; by default the default backend's device.

    Returns
    -------
    tree
        With tensors that require no gradient. For a file of another program a dict of tensors.

    Raises
    ------
    FileFormatError
        If the file is damaged, or none that can be read.
    DtypeError
        If a tensor is bfloat16 and ml_dtypes is not installed.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> mg.save("pair.safetensors", [mg.tensor([1.0]), mg.tensor([2.0])])
    >>> mg.load("pair.safetensors")
    [tensor([1.]), tensor([2.])]
    """
    parse_device(device)
    name = file_name(path, "load()")
    content = read_file(name, "load()")
    ours = _is_ours(content)
    if ours and content[_DIGITS] != _checksum(content).encode():
        raise FileFormatError(
            f"load(): {name!r} is damaged: its checksum does not match, so it was cut off or changed "
            "after it was written; load an earlier copy"
        )
    try:
        header = _header(content)
        tensors = _tensors(content, header, device)
        return _state(header, tensors) if ours else tensors
    except (ValueError, OverflowError) as error:
        raise FileFormatError(
            f"load(): {name!r} cannot be read as a safetensors file: {error!s:.300}; "
            "give a file that minigrad.save() or safetensors wrote"
        ) from error


def _is_ours(content: bytes) -> bool:
    """Say whether `save` wrote this, by its head, of which a few bytes may have changed since."""
    head = content[8 : _DIGITS.start]
    return len(head) == len(_HEAD) and sum(map(int.__eq__, head, _HEAD)) > 0.75 * len(_HEAD)


def _checksum(content: bytes | memoryview) -> str:
    """Return the SHA-256 of a file in which the digits of the checksum are zeros."""
    view = memoryview(content)
    digest = hashlib.sha256(view[: _DIGITS.start])
    digest.update(_NO_DIGITS)
    digest.update(view[_DIGITS.stop :])
    return digest.hexdigest()


def _header(content: bytes) -> Any:
    """Return what the JSON text at the start of a file says."""
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        for start, kind in _OTHER_FORMATS.items():
            if content.startswith(start):
                raise ValueError(f"it looks like {kind}")
        raise ValueError(f"it has {len(content)} bytes, which is too short")
    return _parsed(content[8 : 8 + length].decode())


def _parsed(text: str) -> Any:
    def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) < len(items):
            raise ValueError("its header has the same key twice")
        return made

    try:
        return json.loads(text, object_pairs_hook=unique)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"its header is not JSON: {error}") from None


def _tensors(content: bytes, header: dict[str, Any], device: str | None) -> dict[str, Tensor]:
    """Return the tensors by name, in the order of the header."""
    import safetensors

    try:
        found = dict(safetensors.deserialize(content))  # type: ignore[no-untyped-call, unused-ignore]
    except safetensors.SafetensorError as error:
        raise ValueError(error) from None
    return {
        name: _tensor(name, found.pop(name), device) for name in header if name != "__metadata__"
    }


def _tensor(name: str, entry: dict[str, Any], device: str | None) -> Tensor:
    if entry["dtype"] not in _DTYPES:
        raise ValueError(
            f"the tensor {name!r} has the element type {entry['dtype']}, which minigrad does not store"
        )
    dtype = dtypes.as_dtype(_DTYPES[entry["dtype"]])
    if dtype == dtypes.bool_:  # any byte but 0 is true, and only 1 is what NumPy computes with
        array = numpy.frombuffer(entry["data"], numpy.uint8) != 0
    else:
        array = numpy.frombuffer(entry["data"], dtype.newbyteorder("<"))
    return tensor(array.reshape(entry["shape"]), dtype, device)


def _state(header: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    match header:
        case {"__metadata__": {"minigrad": str(text)}}:
            match _parsed(text):
                case {"minigrad": 1, "tree": record}:
                    return unflatten(record, tensors)
    raise ValueError("its metadata are of another version of minigrad")
