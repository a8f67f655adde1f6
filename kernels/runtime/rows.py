"""Which rows of the batch take part in which step of a loop: lengths, masks and resets.

They have one meaning, whatever runs the loop:

- At a step where a row is absent (its mask is false), its state is carried and its output is zero.
- At a step where a row is fresh (its reset is true), its state is the initial one before the step.
- Behind a row's length there are no steps: it is absent there, and resets there do nothing.

An absent row computes what some present row computes, and the result is dropped. So what stands in the
padding is never read: it may be NaN, or an index out of range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy

from minigrad.dtypes import bool_
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.tensor import Tensor, tensor

Values = Sequence[Any]


class Rows:
    """The rows that take part, for all T steps of a loop over N rows. What nobody asks for is not made.

    Parameters
    ----------
    steps, count : int
        T and N.
    device : str
    lengths : numpy.ndarray of int
        Shape (N,).
    bounds : tuple of int
        The smallest and the largest of them; T if there is no row.
    mask, reset : numpy.ndarray of bool, optional
        Shape (T, N).

    Attributes
    ----------
    lengths, mask, reset
        See above.
    shortest : int
        The smallest of them.
    has_flags : bool
        Whether there are others than lengths.
    layouts : list
        Where a target keeps how it lays these rows out in memory, once it has decided.
    """

    def __init__(
        self,
        steps: int,
        count: int,
        device: str,
        lengths: Any,
        bounds: tuple[int, int],
        mask: Any,
        reset: Any,
    ) -> None:
        self.lengths, self.has_flags = lengths, mask is not None or reset is not None
        self.shortest, self._longest = bounds
        self.layouts: list[Any] = []
        self._steps, self._count, self._device = steps, count, device
        self.mask, self.reset = mask, reset
        self._as_tensors = True

    def as_arrays(self) -> Rows:
        """Return the same with arrays in the place of tensors."""
        if not self._as_tensors:
            return self
        if self._twin is None:
            bounds, flags = (self.shortest, self._longest), (self.mask, self.reset)
            self._twin = Rows(self._steps, self._count, self._device, self.lengths, bounds, *flags)
            self._twin._as_tensors, self._twin.layouts = False, self.layouts
        return self._twin

    _twin: Rows | None = None

    @cached_property
    def host_present(self) -> Any:
        """Array of bool, shape (T, N), on the CPU: which rows take part."""
        present = numpy.arange(self._steps)[:, None] < self.lengths
        return present if self.mask is None else present & self.mask

    @cached_property
    def host_fresh(self) -> Any:
        """Array of bool, shape (T, N), on the CPU: before which steps rows begin anew."""
        if self.reset is None:
            return numpy.zeros((self._steps, self._count), dtype=bool)
        return self.reset & (numpy.arange(self._steps)[:, None] < self.lengths)

    @cached_property
    def present(self) -> Any:
        """Tensor or array of bool, shape (T, N): which rows take part."""
        return self._placed(self.host_present)

    @cached_property
    def fresh(self) -> Any:
        """Tensor or array of bool, shape (T, N): before which steps rows begin anew."""
        return self._placed(self.host_fresh)

    @cached_property
    def stand_in(self) -> Any:
        """Tensor or array of int, (T, N): the row itself, or a present one that is computed instead."""
        own = numpy.arange(self._count)
        # without any row there is no step either, and no row to stand in
        others = self.host_present.argmax(axis=1)[:, None] if self._count else own
        return self._placed(numpy.where(self.host_present, own, others))

    @cached_property
    def all_present(self) -> tuple[bool, ...]:
        """For each step, known on the CPU: a step without absent rows costs nothing."""
        return tuple(self.host_present.all(axis=1).tolist())

    @cached_property
    def any_present(self) -> tuple[bool, ...]:
        """For each step, known on the CPU."""
        return tuple(self.host_present.any(axis=1).tolist())

    @cached_property
    def any_fresh(self) -> tuple[bool, ...]:
        """For each step, known on the CPU."""
        return tuple(self.host_fresh.any(axis=1).tolist())

    @property
    def nobody(self) -> bool:
        """Whether no row takes part in any step."""
        if not self.has_flags:
            return not self._count or self._longest == 0
        return not any(self.any_present)

    @property
    def everybody(self) -> bool:
        """Whether all rows take part in all steps, from one initial state."""
        if not self.has_flags:
            return self.shortest == self._steps
        return bool(self.host_present.all()) and not self.host_fresh.any()

    def _placed(self, values: Any) -> Any:
        made = tensor(values, device=self._device)
        return made if self._as_tensors else made._array

    def refreshed(self, m: Any, t: int, states: Values, initial: Values) -> Values:
        """Return the states before step ``t``: the initial ones in fresh rows."""
        return self._choose(m, self.fresh[t], initial, states) if self.any_fresh[t] else states

    def filled(self, t: int, values: Values) -> Values:
        """Return ``values`` with absent rows replaced by what stands in for them."""
        return values if self.all_present[t] else [v[self.stand_in[t]] for v in values]

    def kept(self, m: Any, t: int, new: Values, old: Values) -> Values:
        """Return ``new`` in present rows and ``old`` in absent ones; scalars stand for whole arrays."""
        return new if self.all_present[t] else self._choose(m, self.present[t], new, old)

    def advance(
        self,
        m: Any,
        t: int,
        step: Callable[[Values, Values], Values],
        xs: Values,
        states: Values,
        initial: Values,
    ) -> tuple[Any, Values]:
        """Take step ``t``.

        Parameters
        ----------
        m : namespace
            ``where`` and ``zeros_like`` for what the values are.
        t : int
        step : callable
            ``step(inputs, states)`` returns the new states.
        xs, states, initial : sequence of array or tensor
            The inputs of the step, the states before it, and the initial states.

        Returns
        -------
        output : array or tensor
        states : sequence
        """
        states = self.refreshed(m, t, states, initial)
        if not self.any_present[t]:
            return m.zeros_like(states[0]), states
        new = step(self.filled(t, xs), self.filled(t, states))
        (output,) = self.kept(m, t, new[:1], [False])  # a zero that leaves any dtype as it is
        return output, self.kept(m, t, new, states)

    @staticmethod
    def _choose(m: Any, condition: Any, yes: Values, no: Values) -> Values:
        chosen = []
        for a, b in zip(yes, no, strict=True):
            axes = max(getattr(a, "ndim", 0), getattr(b, "ndim", 0))
            chosen.append(m.where(condition[(slice(None), *[None] * (axes - 1))], a, b))
        return chosen


def rows_of(
    where: str, steps: int, count: int, device: str, lengths: Any, mask: Any, reset: Any
) -> Rows | None:
    """Return which rows take part; None if all do, in every step, from one initial state.

    Parameters
    ----------
    where : str
        What messages begin with.
    steps, count : int
        T and N.
    device : str
    lengths : sequence or tensor of int, optional
        Shape (N,): how many steps each row has, from 0 to T.
    mask, reset : tensor or array of bool, optional
        Shape (T, N).

    Raises
    ------
    ShapeError, DtypeError
        If they do not have these shapes and dtypes.
    ArgumentError
        If a length is negative or larger than T.
    """
    if lengths is None and mask is None and reset is None:
        return None
    ends, bounds = numpy.full(count, steps), (steps, steps)
    if lengths is not None:
        ends, bounds = _lengths(where, steps, count, lengths)
    starts = None if reset is None else _flags(where, "reset", steps, count, reset)
    present = None if mask is None else _flags(where, "mask", steps, count, mask)
    starts = None if starts is None or not starts.any() else starts
    present = None if present is None or present.all() else present
    rows = Rows(steps, count, device, ends, bounds, present, starts)
    return None if rows.everybody else rows


def _lengths(where: str, steps: int, count: int, lengths: Any) -> tuple[Any, tuple[int, int]]:
    """Return the lengths, and the smallest and the largest of them."""
    if isinstance(lengths, (list, tuple)) and {*map(type, lengths)} == {int}:
        values = numpy.array(lengths)  # as `on_host` does, but sooner
    else:
        values = on_host(lengths)
    if values.shape != (count,):
        raise ShapeError(
            f"{where}: lengths have shape {values.shape}; there must be one length for each of the "
            f"{count} rows of the batch"
        )
    if values.size and values.dtype.kind not in "iu":
        raise DtypeError(f"{where}: lengths must be integers, not {values.dtype}")
    shortest, longest = (int(values.min()), int(values.max())) if count else (steps, steps)
    if not 0 <= shortest <= longest <= steps:
        wrong = numpy.flatnonzero((values < 0) | (values > steps))
        raise ArgumentError(
            f"{where}: the length of row {wrong[0]} is {values[wrong[0]]}, but the input has {steps} "
            f"steps; lengths go from 0 to {steps}"
        )
    return values.astype(numpy.int64, copy=False), (shortest, longest)


def _flags(where: str, name: str, steps: int, count: int, flags: Any) -> Any:
    values = on_host(flags)
    if values.shape != (steps, count):
        raise ShapeError(
            f"{where}: {name} has shape {values.shape}; it must be (T, N) = {(steps, count)}"
        )
    if values.size and values.dtype != bool_:
        raise DtypeError(
            f"{where}: {name} has dtype {values.dtype}; it must be bool, for instance {name} != 0"
        )
    return values


def on_host(values: Any) -> Any:
    """Return an array on the CPU, of memory of its own."""
    if type(values) is numpy.ndarray and values.dtype.kind in "biu":
        return values.copy()  # as below, but sooner
    given = values if isinstance(values, Tensor) else tensor(values, device="cpu")
    return given.detach().cpu().numpy()
