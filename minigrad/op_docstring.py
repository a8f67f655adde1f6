"""The docstring of an op, put together from its record when it is read.

The record gives the sentence, the signature, the defaults and the kind of op. The tables of
`minigrad.ops.documentation` give what a name means wherever it stands, and the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from textwrap import fill
from typing import Any, Protocol

from minigrad.docstring import section
from minigrad.ops import documentation as tables
from minigrad.ops.examples import EXAMPLES


class Documented(Protocol):
    """What a docstring is made of; the attributes are those of `minigrad.op.Op`."""

    name: str
    doc: str
    rules: Any
    elementwise: bool
    variadic: bool
    promotion: Any
    arrays: tuple[str, ...]
    attributes: tuple[str, ...]
    arity: int
    defaults: dict[str, Any]


def docstring(op: Documented) -> str:
    """Return the text of the record, then the sections of a NumPy-style docstring."""
    sections = {
        "Parameters": "\n".join(_parameters(op)),
        "Returns": _entry(_kind(op), result) if (result := _result(op)) else "",
        "Raises": "\n".join(_entry(error, when) for error, when in _errors(op).items()),
        "Notes": "" if op.rules else "Has no derivative: the result requires no gradient.",
        "Examples": EXAMPLES.get(op.name, ""),
    }
    return cleandoc(op.doc) + "".join(map(section, sections.keys(), sections.values()))


def _entry(head: str, text: str) -> str:
    return f"{head}\n{fill(text, 96, initial_indent='    ', subsequent_indent='    ')}".rstrip()


def _parameters(op: Documented) -> Iterator[str]:
    arrays = ("arrays",) if op.variadic else op.arrays
    told = tables.PARAMETERS.keys() & {f"{op.name}.{name}" for name in arrays}
    if op.elementwise and not told:
        shapes = "Any shape." if len(arrays) == 1 else f"Shapes that broadcast. {tables.PROMOTION}"
        yield _entry(f"{', '.join(arrays)} : Tensor or number", shapes)
        arrays = ()
    for name in (*arrays, *op.attributes):
        usual = tables.ANY if name in arrays else tables.PARAMETERS.get(name, ("object", ""))
        kind, text = tables.PARAMETERS.get(f"{op.name}.{name}", usual)
        if name in op.defaults:
            default = op.defaults[name]
            kind += ", optional" if default is None else f", default {default!r}"
        yield _entry(f"{name} : {kind}", text)


def _kind(op: Documented) -> str:
    return "tuple of Tensor" if op.name in tables.SEVERAL else "Tensor"


def _result(op: Documented) -> str:
    if op.name in tables.RETURNS or not (op.elementwise or "keepdims" in op.attributes):
        return tables.RETURNS.get(op.name, "")
    one = op.arity == 1
    shape = "The shape of ``x``" if one else "The broadcast shape"
    if not op.elementwise:
        shape += " without the reduced axes"
    dtype = "its dtype" if one else "the dtype in which they meet"
    if op.promotion == "float":
        dtype += "; of integers the default dtype"
    return f"{tables.UNITS.get(op.name, '')}{shape}, and {tables.DTYPES.get(op.name, dtype)}."


def _errors(op: Documented) -> dict[str, str]:
    errors = {}
    if op.elementwise and op.arity > 1:
        errors["ShapeError"] = "If the shapes do not broadcast."
    elif "axis" in op.attributes:
        errors["ShapeError"] = "If there is no such axis, or it is named twice."
    errors |= tables.RAISES.get(op.name, {})
    errors["TypeError"] = "If an argument is neither a tensor, an array nor a number."
    if op.variadic or op.arity > 1:
        errors["BackendError"] = "If the tensors are on different devices."
    return errors
