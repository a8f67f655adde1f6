"""Turn what an array library says when a formula fails into an error a user can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    IndexingError,
    MinigradError,
    ShapeError,
)
from minigrad.op import Op

_ADVICE: tuple[tuple[tuple[str, ...], type[MinigradError], str], ...] = (
    (("out of memory", "OutOfMemory", "Unable to allocate"), BackendError,
     "use smaller batches, or free what is no longer needed"),
    (("OverflowError",), DtypeError,
     "the number does not fit the dtype; convert the tensor to a wider one first"),
    (("NoneType",), ArgumentError, "an argument is None; give a tensor or a number"),
    (("numpy boolean",), DtypeError, 'convert with .astype("int64")'),
    (("indexing arrays",), IndexingError,
     "index tensors must have shapes that broadcast; use x[i][:, j] for all pairs"),
    (("with size", "an index can only", "too many indices"), IndexingError,
     "indices run from -size to size - 1"),
    (("zero-size array", "empty sequence"), ShapeError,
     "an empty tensor has no largest or smallest element; check its size first"),
    (("must match exactly", "same shape"), ShapeError, "bring the other axes to one size"),
    (("Size of label",), ShapeError, "a letter stands for one size"),
    (("broadcast",), ShapeError,
     "sizes must be equal or 1, counted from the last axis; use reshape or expand_dims"),
    (("axis", "axes"), ShapeError, "axes count from 0, or from -1 backwards"),
    (("core dimension", "shape", "size", "dimension", "squeeze"), ShapeError,
     "compare the shapes above"),
    (("index", "indices"), IndexingError, "indices run from -size to size - 1"),
    (("ufunc", "dtype", "data type", "cast", "type"), DtypeError,
     'convert with .astype("float32") or another dtype'),
)  # fmt: skip


def describe(value: Any) -> str:
    """Return a short text for an argument: dtype and shape of a tensor, else its repr."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)


def explain(
    op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any], error: Exception
) -> MinigradError:
    """Return the error to raise when the formula of ``op`` failed with ``error``."""
    given = [describe(a) for a in args]
    given += [f"{k}={describe(v)}" for k, v in attrs.items() if v != op.defaults.get(k, ...)]
    call = f"{op.name}({', '.join(given)})"
    reason = " ".join(str(error).split()).removeprefix(f"{op.name}: ").removesuffix(".")
    if isinstance(error, MinigradError):
        return type(error)(f"{call}: {reason}")
    text = f"{type(error).__name__} {reason}"
    for words, kind, advice in _ADVICE:
        if any(word in text for word in words):
            return kind(f"{call}: {reason}; {advice}")
    return ArgumentError(f"{call}: {reason}; see help(minigrad.{op.name})")
