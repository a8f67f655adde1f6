"""Checking the arguments that layers are made with, and the inputs that they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError, DtypeError, ShapeError


def check_counts(of: str, **counts: int) -> None:
    """Refuse numbers of things that are not positive integers.

    Raises
    ------
    ArgumentError
    """
    for name, count in counts.items():
        if not isinstance(count, (int, numpy.integer)) or isinstance(count, bool) or count < 1:
            raise ArgumentError(f"{of}: {name} must be a positive integer, not {count!r}")


def check_dropout(of: str, **probabilities: float) -> None:
    """Refuse probabilities to drop an element that are no numbers from 0 to 1.

    Raises
    ------
    ArgumentError
    """
    for name, p in probabilities.items():
        if not isinstance(p, (int, float)) or isinstance(p, bool) or not 0 <= p <= 1:
            raise ArgumentError(
                f"{of}: {name} is the probability to drop an element and must lie between 0 and 1, "
                f"not {p!r}"
            )


def check_flags(of: str, **flags: bool) -> None:
    """Refuse what is neither True nor False: often an argument that stands at the wrong place.

    Raises
    ------
    ArgumentError
    """
    for name, flag in flags.items():
        if not isinstance(flag, (bool, numpy.bool)):
            raise ArgumentError(
                f"{of}: {name} must be True or False, not {flag!r}; pass what follows the sizes by name"
            )


def check_tensor(of: str, x: Any) -> None:
    """Refuse an input that is no tensor (or array).

    Raises
    ------
    TypeError
    """
    if not (hasattr(x, "shape") and hasattr(x, "dtype")):
        raise TypeError(
            f"{of}: the input must be a tensor, not a {type(x).__name__}; "
            "convert it with minigrad.tensor(...)"
        )


def check_input(of: str, x: Any) -> None:
    """Refuse an input that is no tensor (or array) of floating-point numbers.

    Raises
    ------
    TypeError
        As `check_tensor`.
    DtypeError
        If it holds integers or bool.
    """
    check_tensor(of, x)
    if not is_floating(x.dtype):
        raise DtypeError(
            f"{of}: the input has dtype {x.dtype}; it must hold floating-point numbers, "
            "convert it with .astype('float32')"
        )


def check_axis_size(of: str, x: Any, axis: int, name: str, size: int, layout: str) -> None:
    """Refuse an input of floating-point numbers in which one axis has another size.

    Parameters
    ----------
    of : str
        The layer.
    x : Tensor
    axis : int
        Which axis, counted from the end.
    name, size : str, int
        What the layer calls the size of the axis, and the size.
    layout : str
        The shape that the layer takes, for the message.

    Raises
    ------
    ShapeError
        If ``x`` has no such axis, or it has another size.
    TypeError, DtypeError
        As `check_input`.
    """
    check_input(of, x)
    shape = tuple(x.shape)
    if len(shape) < -axis or shape[axis] != size:
        raise ShapeError(
            f"{of}: the input has shape {shape}; it must be {layout} with {name}={size}"
        )


def entry_of(state: Any, name: str) -> Any:
    """Return an entry of a state dict of plain data.

    Raises
    ------
    ArgumentError
        If ``state`` has no such entry.
    """
    if not isinstance(state, Mapping) or name not in state:
        raise ArgumentError(
            f"load_state_dict: the state has no {name!r}; pass what state_dict() returned"
        )
    return state[name]
