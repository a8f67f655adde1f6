"""The options that several schedules have, and what checks those of one for each group."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.checks import as_integer, check_integer
from minigrad.errors import ArgumentError
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.options import NOT_NEGATIVE, Check, option

LAST_EPOCH = option(
    "The number of steps done; -1 begins anew. See `LRScheduler`.", check_integer, default=-1
)
ETA_MIN = option("The smallest learning rate.", NOT_NEGATIVE, default=0.0)
GAMMA = option("The factor of each fall.", NOT_NEGATIVE, default=0.1)


def check_optimizer(of: str, name: str, value: Any) -> Optimizer:
    """Return ``value`` if it is an optimiser.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(value, Optimizer):
        raise ArgumentError(f"{of}: the first argument must be an optimizer, not {value!r}")
    return value


def are_counts(values: Iterable[Any]) -> bool:
    """Say whether all values are integers, 0 or more."""
    found = map(as_integer, values)
    return all(count is not None and count >= 0 for count in found)


def check_count(of: str, name: str, value: Any) -> int:
    """Return an integer, 0 or more.

    Raises
    ------
    ArgumentError
    """
    if not are_counts([value]):
        raise ArgumentError(f"{of}: {name} must be an integer, 0 or more, not {value!r}")
    return int(value)


def excluding(check: Check, bound: float, says: str) -> Check:
    """Return what checks as ``check`` does, and refuses ``bound``."""

    def checked(of: str, name: str, value: Any) -> Any:
        found = check(of, name, value)
        if found == bound:
            raise ArgumentError(f"{of}: {name} must be {says}, not {value!r}")
        return found

    return checked


def one_or_each(check: Check) -> Check:
    """Return what checks a value for all groups, or one for each in a list."""

    def checked(of: str, name: str, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [check(of, name, one) for one in value]
        return check(of, name, value)

    return checked


def for_each_group(of: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """Return ``value`` for each group; a list must have as many members as there are groups.

    Raises
    ------
    ArgumentError
    """
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ArgumentError(
            f"{of}: {name} has {len(value)} members, and the optimizer has {groups} groups; give "
            "one for each, or one for all"
        )
    return list(value)
