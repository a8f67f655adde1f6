"""What the options of an optimiser may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy

from minigrad.checks import as_number


class Rule(NamedTuple):
    """What one option accepts, and how to say so."""

    accepts: Callable[[Any], bool]
    says: str


def is_number(value: Any) -> bool:
    """Say whether ``value`` is a finite real number."""
    number = as_number(value)
    return number is not None and math.isfinite(number)


def plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's, and a list as a tuple, so that they can be saved."""
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    number = as_number(value)
    if number is not None:
        return number
    return bool(value) if isinstance(value, numpy.bool) else value


def _are_betas(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(is_number(beta) and 0 <= beta < 1 for beta in value)
    )


NUMBER = Rule(is_number, "a finite number")
NOT_NEGATIVE = Rule(lambda value: is_number(value) and value >= 0, "a finite number, 0 or more")
PROPORTION = Rule(lambda value: is_number(value) and 0 <= value <= 1, "a number from 0 to 1")
BETAS = Rule(_are_betas, "two numbers from 0 to below 1")
FLAG = Rule(lambda value: isinstance(value, (bool, numpy.bool)), "True or False")

WRITTEN_BY_SCHEDULES = {"initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"}
"""What a schedule notes in a group, beside the options."""

ONLY_IN_PYTORCH = {"foreach", "fused", "capturable", "differentiable"}
"""Options of PyTorch that must be off, because there is nothing here that they could mean."""


def usable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a group without its parameters, and without what PyTorch has turned off."""
    left_out = {"params", *(name for name in ONLY_IN_PYTORCH if not options.get(name))}
    return {name: plain(value) for name, value in options.items() if name not in left_out}
