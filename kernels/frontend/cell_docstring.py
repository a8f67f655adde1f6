"""The docstring of a cell: that of its step, and the arguments and results that the record knows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from minigrad.docstring import section

# Primes stand for the sizes: one that divides the size of an axis tells what that is a multiple of.
_INPUT, _HIDDEN = 29, 31
_RAISES = "ShapeError\n    By the ops of the step, if shapes do not fit."


class Documented(Protocol):
    """What a docstring is made of; the attributes are those of `minigrad.kernels.cell.CellFunction`."""

    step: Callable[..., Any]
    states: tuple[str, ...]
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    needed: tuple[str, ...]
    params: Any

    def state_widths(self, hidden_size: int) -> Any:
        """Return the width of each state."""

    def initial_parameters(self, input_size: int, hidden_size: int) -> Any:
        """Return the start of each parameter, by name."""


def docstring(cell: Documented) -> str:
    """Return the docstring of the step, and in it the sections that every cell has."""
    own = inspect.cleandoc(cell.step.__doc__ or "")
    if re.search(r"^Parameters\n-+$", own, re.MULTILINE):
        return own
    text, *others = re.split(r"(?=\n\n\w+\n-+\n)", own, maxsplit=1)
    result = "Tensor" if len(cell.states) == 1 else "tuple of Tensor"
    result += f"\n    The new {', '.join(cell.states)}, in the shape of the old."
    sections = {"Parameters": "\n".join(_parameters(cell)), "Returns": result, "Raises": _RAISES}
    parts = [text, *map(section, sections.keys(), sections.values()), *others]
    return "".join(parts).lstrip()


def _parameters(cell: Documented) -> Iterator[str]:
    width = "input_size" if cell.params else "..."
    for name in cell.inputs:
        yield f"{name} : Tensor\n    The input of one time step, shape (N, {width})."
    widths = _found(lambda: cell.state_widths(_HIDDEN)) or ("...",) * len(cell.states)
    for name, size in zip(cell.states, widths, strict=True):
        yield f"{name} : Tensor\n    A state, shape {_shape(['N', size])}."
    starts = _found(lambda: cell.initial_parameters(_INPUT, _HIDDEN)) or {}
    for name in cell.parameters:
        start = starts.get(name)
        shape = getattr(start, "shape", start)
        told = f"shape {_shape(shape)}" if shape is not None else "of the shape that the step takes"
        kind = "Tensor" if name in cell.needed else "Tensor, optional"
        yield f"{name} : {kind}\n    A parameter, {told}."


def _found(of_the_user: Callable[[], Any]) -> Any:
    """Return what a function of the user returns; None if it wants options, or other sizes."""
    try:
        return of_the_user()
    except Exception:
        return None


def _shape(sizes: Any) -> str:
    sides = [size if isinstance(size, str) else _size(size) for size in sizes]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"


def _size(size: int) -> str:
    for known, name in ((_HIDDEN, "hidden_size"), (_INPUT, "input_size")):
        if size % known == 0 and size:
            return name if size == known else f"{size // known} * {name}"
    return str(size)
