"""What batches, losses and metrics are to `fit` and `evaluate`: read and checked in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, NamedTuple

import numpy

from minigrad.checks import as_number
from minigrad.errors import ArgumentError, type_name
from minigrad.nn.data.arrays import digest_of
from minigrad.nn.data.padding import Padded
from minigrad.nn.data.source import Source
from minigrad.nn.module import Module
from minigrad.nn.training.truncation import detach_state
from minigrad.tensor import Tensor

Score = Callable[[Any, Any], Any]


class Items(NamedTuple):
    """A loss or a metric of one batch: the mean over some items, or their sum."""

    value: Any
    number: float
    is_mean: bool

    @property
    def sum(self) -> float:
        """The sum over the items."""
        if self.is_mean and not self.number:
            return 0.0  # the mean of nothing is NaN
        return float(self.value) * (self.number if self.is_mean else 1.0)

    def share(self, unit: float) -> Tensor:
        """Return the sum divided by ``unit``, with its gradient."""
        factor = (self.number if self.is_mean else 1.0) / unit
        return self.value if factor == 1 else self.value * factor  # type: ignore[no-any-return]


def items_of(of: str, what: str, score: Score, outputs: Any, target: Any) -> Items:
    """Return what a loss or a metric gives for a batch.

    A single number is a mean over as many items as the score itself tells, or else over the elements of
    the target; those of padding are not counted.

    Raises
    ------
    ArgumentError
        If it is neither a number nor a pair of a sum and a number of items.
    """
    value = score(outputs, target)
    if isinstance(value, tuple) and len(value) == 2:
        total, count = value[0], _number(value[1])
        if _number(total) is None or count is None or not 0 <= count < math.inf:
            raise ArgumentError(
                f"{of}: {what} returned the pair {value!r}; return two numbers, the sum over the items "
                "and how many they are"
            )
        return Items(total, count, False)
    if _number(value) is None:
        found = type_name(value)
        if isinstance(value, Tensor):
            found = f"tensor of shape {value.shape} and dtype {value.dtype}"
        raise ArgumentError(
            f"{of}: {what} returned a {found}; return a number, the mean over the items, or a pair: "
            "the sum over the items and how many they are"
        )
    counted = getattr(score, "number_of_items", None)
    count = _number_of_elements(target) if counted is None else counted(outputs, target)
    if count is None:
        raise ArgumentError(
            f"{of}: {what} returned a single number, and of how many items it is the mean cannot be "
            f"told from a target of type {type_name(target)}; return a pair: their sum, and how many "
            "they are"
        )
    return Items(value, count, True)


def _number(value: Any) -> float | None:
    if isinstance(value, Tensor):
        return float(value) if value.shape == () and value.dtype.kind in "biuf" else None
    return as_number(value)


def _number_of_elements(target: Any) -> float | None:
    if isinstance(target, Padded):
        return float(target.lengths.sum())
    size = getattr(target, "size", None)
    return float(size) if isinstance(size, int) else None


def run_model(
    of: str, model: Module, batch: Any, state: Any, carry_state: bool
) -> tuple[Any, Any, Any]:
    """Return the outputs for a batch, its target, and the detached state to go on from.

    Raises
    ------
    ArgumentError
        If the batch is no tuple of inputs and a target, or the model returns no state.
    """
    if not isinstance(batch, tuple) or isinstance(batch, Padded) or len(batch) < 2:
        found = "single field" if isinstance(batch, Padded) else type_name(batch)
        if isinstance(batch, tuple) and not isinstance(batch, Padded):
            found = f"tuple of {len(batch)}"
        raise ArgumentError(
            f"{of}: a batch is a {found}; it must be a tuple (*inputs, target), as batches((inputs, "
            "targets), size) gives it, or as in a list of such tuples"
        )
    *inputs, target = batch
    if not carry_state:
        return model(*inputs), target, None
    found = model(*inputs, state)
    if not isinstance(found, tuple) or len(found) != 2:
        raise ArgumentError(
            f"{of}: with carry_state=True the model must return a pair, its outputs and its state, and "
            f"returned a {type_name(found)}"
        )
    return found[0], target, detach_state(found[1])


class Listed(Source):
    """Batches in a list as a source.

    Parameters
    ----------
    batches : list or tuple
    """

    def __init__(self, batches: Any) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def _batch(self, number: int) -> Any:
        return self._batches[number]

    def _settings(self) -> dict[str, Any]:
        return {"batches": len(self)}

    def _digested(self) -> str:
        return digest_of(*_arrays(self._batches))


def _arrays(value: Any) -> Iterator[numpy.ndarray[Any, Any]]:
    """Yield the arrays of numbers that nested lists and tuples hold."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, Tensor):
        yield numpy.atleast_1d(value.detach().cpu().numpy())
    elif isinstance(value, numpy.ndarray) and value.dtype.kind in "biuf":
        yield numpy.atleast_1d(value)


def source_of(of: str, name: str, batches: Any) -> Any:
    """Return a source of batches that can be read once for each epoch.

    Raises
    ------
    ArgumentError
        If it can be read only once, has no length, or is empty.
    """
    if isinstance(batches, (list, tuple)):
        batches = Listed(batches)
    if not isinstance(batches, Iterable) or not isinstance(batches, Sized):
        once = isinstance(batches, Iterator)
        found = "can be read only once" if once else "are no batches with a length"
        raise ArgumentError(
            f"{of}: {name} is a {type_name(batches)}, which {found}; give a list of batches, or what "
            "minigrad.nn.data.batches() returns"
        )
    if len(batches) == 0:
        raise ArgumentError(f"{of}: {name} has no batches; give one or more")
    return batches
