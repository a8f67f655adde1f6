"""What the options of a schedule may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minigrad.checks import as_integer, as_number
from minigrad.errors import ArgumentError
from minigrad.nn.optim.groups import plain
from minigrad.nn.optim.optimizer import Optimizer


def is_number(value: Any) -> bool:
    """Say whether ``value`` is a finite real number."""
    number = as_number(value)
    return number is not None and math.isfinite(number)


def check(name: str, accepts: Callable[[Any], bool], says: str, **options: Any) -> None:
    """Refuse options that ``accepts`` does not take.

    Raises
    ------
    ArgumentError
    """
    for option, value in options.items():
        if not accepts(value):
            raise ArgumentError(f"{name}: {option} must be {says}, not {value!r}")


def check_numbers(
    name: str, low: float = 0.0, high: float = float("inf"), **options: Any
) -> list[float]:
    """Return options that are numbers from ``low`` to ``high`` as Python's; refuse others.

    Raises
    ------
    ArgumentError
    """
    says = (
        f"a finite number, {low:g} or more"
        if high == float("inf")
        else (f"a number from {low:g} to {high:g}")
    )
    check(name, lambda v: is_number(v) and low <= v <= high, says, **options)
    return list(map(plain, options.values()))


def is_count(value: Any) -> bool:
    """Say whether ``value`` is an integer, 0 or more."""
    count = as_integer(value)
    return count is not None and count >= 0


def for_each_group(name: str, option: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """Return ``value`` for each group; a list must have as many members as there are groups.

    Raises
    ------
    ArgumentError
    """
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [plain(value)] * groups
    if len(value) != groups:
        raise ArgumentError(
            f"{name}: {option} has {len(value)} members, and the optimizer has {groups} groups; give "
            "one for each, or one for all"
        )
    return list(plain(value))
