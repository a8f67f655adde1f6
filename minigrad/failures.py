"""Turn what an array library says when a formula fails into an error a user can act on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from minigrad.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    IndexingError,
    MinigradError,
    ShapeError,
    conversion,
    source_line,
    type_name,
)
from minigrad.op import OPS, Op

_ADVICE: tuple[tuple[tuple[str, ...], type[MinigradError], str], ...] = (
    (("out of memory", "OutOfMemory", "Unable to allocate"), BackendError,
     "use smaller batches, or free what is no longer needed"),
    (("OverflowError",), DtypeError,
     "the number does not fit the dtype; convert the tensor to a wider one first"),
    (("NoneType",), ArgumentError, "an argument is None; give a tensor or a number"),
    (("numpy boolean",), DtypeError, 'convert with .astype("int64")'),
    (("'bitwise_", "'invert'"), DtypeError,
     'bits are those of integers and bool: convert with .astype("int64"), or compare'),
    (("must be of integer",), IndexingError, 'convert the indices with .astype("int64")'),
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
    call = f"{_WRITTEN.get(op.name, op.name)}({', '.join(given)})"
    found = _explained(op, args, call, error)
    found.call = call
    return found


def _explained(op: Op, args: tuple[Any, ...], call: str, error: Exception) -> MinigradError:
    reason = " ".join(str(error).split()).removeprefix(f"{op.name}: ").removesuffix(".")
    if isinstance(error, MinigradError):
        return type(error)(f"{call}: {reason}")
    text = f"{type(error).__name__} {reason}"
    for position, arg in enumerate(args):
        if arg is None and (op.variadic or "NoneType" in reason):
            name = f"tensor {position}" if op.variadic else op.arrays[position]
            return ArgumentError(f"{call}: {name} is None; give a tensor or a number")
    for words, kind, advice in _ADVICE:
        if any(word in text for word in words):
            return kind(f"{call}: {reason}; {advice}")
    return ArgumentError(f"{call}: {reason}; {_help(op)}")


_WRITTEN = {"getitem": "indexing", "index_set": "at.set", "index_add": "at.add"}


def _help(op: Op) -> str:
    """Say where to read about an op that failed for a reason that nothing else is known about."""
    op = OPS.get(op.name, op)  # it may have conversions around it
    if getattr(sys.modules["minigrad"], op.name, None) is op:
        return f"see help(minigrad.{op.name})"
    if op.is_built_in:
        return "look at the arguments above"
    code = getattr(op.fn, "__code__", None)
    place = f", at {source_line(code.co_filename, code.co_firstlineno)}" if code else ""
    return f"look at its formula{place}"


def retold(
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    error: Exception,
) -> Exception:
    """Return the error to raise when a function made of ops failed with ``error``: it names the function.

    Parameters
    ----------
    name, function : str, callable
        The function.
    args, kwargs : tuple, mapping
        What it was called with.
    error : MinigradError, AttributeError or TypeError
        Of an op inside, or of an argument that is no tensor.
    """
    of_an_argument = isinstance(error.__cause__ or error, AttributeError)
    if of_an_argument or "must be a tensor" in str(error):
        try:
            given = inspect.signature(function).bind(*args, **kwargs)
        except TypeError:
            return error
        for key, value in given.arguments.items():
            parameter = given.signature.parameters[key]
            several = parameter.kind is parameter.VAR_POSITIONAL
            for one in value if several else (value,):
                is_array = hasattr(getattr(one, "dtype", None), "kind")  # PyTorch's is none of ours
                left_out = one is None and parameter.default is None
                if parameter.annotation in ("Any", Any) and not is_array and not left_out:
                    return TypeError(
                        f"{name}(): {key} must be a tensor or an array, but is a {type_name(one)}"
                        f"{conversion(one)}"
                    )
    if not isinstance(error, MinigradError) or not error.call:
        return error
    shown = [describe(a) for a in args] + [f"{k}={describe(v)}" for k, v in kwargs.items()]
    call = f"{name}({', '.join(shown)})"
    text = str(error).replace(error.call, call, 1)
    told = type(error)(text.replace("look at the arguments above", f"see help(minigrad.{name})"))
    told.call = call
    return told
