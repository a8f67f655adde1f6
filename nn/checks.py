"""Checking the arguments that layers are made with, and the inputs that they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from minigrad.backends.base import backend_of
from minigrad.checks import as_number, check_flag, check_integer
from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError, DtypeError, conversion, type_name
from minigrad.graph import Var
from minigrad.tensor import Tensor, tensor


def check_counts(of: str, **counts: Any) -> list[int]:
    """Return numbers of things, positive integers, as Python's.

    Raises
    ------
    ArgumentError
    """
    return [check_integer(of, name, count, low=1) for name, count in counts.items()]


def check_dropout(of: str, **probabilities: Any) -> list[float]:
    """Return probabilities to drop an element, numbers from 0 to 1, as Python's.

    Raises
    ------
    ArgumentError
    """
    found = [as_number(p) for p in probabilities.values()]
    for (name, p), number in zip(probabilities.items(), found, strict=True):
        if number is None or not 0 <= number <= 1:
            raise ArgumentError(
                f"{of}: {name} is the probability to drop an element and must lie between 0 and 1, "
                f"not {p!r}"
            )
    return [number for number in found if number is not None]


def check_flags(of: str, **flags: Any) -> None:
    """Refuse what is neither True nor False: often an argument that stands at the wrong place.

    Raises
    ------
    ArgumentError
    """
    for name, flag in flags.items():
        check_flag(of, name, flag, "; pass what follows the sizes by name")


def checked_tensor(of: str, x: Any, like: Tensor | None = None, what: str = "the input") -> Any:
    """Return what a layer was given as a tensor, or as a value of a step that is being traced.

    A layer takes what ops take: tensors, and arrays of NumPy or CuPy.

    Parameters
    ----------
    of : str
        The layer.
    x : Tensor or array
    like : Tensor, optional
        Where an array goes: to the device of this one.
    what : str
        What to call it in the message.

    Raises
    ------
    TypeError
        If it is neither.
    DtypeError
        If it is an array of something else than numbers or bool.
    """
    if isinstance(x, (Tensor, Var)):
        return x
    if isinstance(x, (numpy.ndarray, numpy.generic)) or backend_of(x) is not None:
        return tensor(x, device=None if like is None else like.device)
    raise TypeError(
        f"{of}: {what} must be a tensor or an array, not a {type_name(x)}{conversion(x)}"
    )


def checked_input(of: str, x: Any, like: Tensor | None = None, what: str = "the input") -> Any:
    """Return an input as a tensor of floating-point numbers.

    Raises
    ------
    TypeError
        As `checked_tensor`.
    DtypeError
        If it holds integers or bool.
    """
    x = checked_tensor(of, x, like, what)
    if not is_floating(x.dtype):
        raise DtypeError(
            f"{of}: {what} has dtype {x.dtype}; it must hold floating-point numbers, "
            "convert it with .astype('float32')"
        )
    return x


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
