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
from dataclasses import dataclass, field, replace
from typing import Any

import numpy

from minigrad.dtypes import bool_
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.tensor import Tensor, tensor

Values = Sequence[Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that take part, for all T steps of a loop over N rows.

    Attributes
    ----------
    present, fresh : tensor or array of bool
        Shape (T, N): see above.
    stand_in : tensor or array of int
        Shape (T, N): the row itself, or the present row that is computed in its place.
    all_present, any_present, any_fresh : tuple of bool
        One for each step, known on the CPU, so that a step without absent rows costs nothing.
    layouts : list
        Where a target keeps how it lays these rows out in memory, once it has decided.
    """

    present: Any
    fresh: Any
    stand_in: Any
    all_present: tuple[bool, ...]
    any_present: tuple[bool, ...]
    any_fresh: tuple[bool, ...]
    layouts: list[Any] = field(default_factory=list)

    def as_arrays(self) -> Rows:
        """Return the same with arrays in the place of tensors."""
        names = ("present", "fresh", "stand_in")
        return replace(self, **{name: getattr(self, name)._array for name in names})

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
    present: Any = numpy.ones((steps, count), dtype=bool)
    fresh: Any = numpy.zeros((steps, count), dtype=bool)
    if lengths is not None:
        present = numpy.arange(steps)[:, None] < _lengths(where, steps, count, lengths)
    if reset is not None:
        fresh = _flags(where, "reset", steps, count, reset) & present
    if mask is not None:
        present = present & _flags(where, "mask", steps, count, mask)
    if present.all() and not fresh.any():
        return None
    own = numpy.arange(count)
    # without any row there is no step either, and no row to stand in
    others = present.argmax(axis=1)[:, None] if count else own
    stand_in = numpy.where(present, own, others)
    return Rows(
        present=tensor(present, device=device),
        fresh=tensor(fresh, device=device),
        stand_in=tensor(stand_in, device=device),
        all_present=tuple(present.all(axis=1).tolist()),
        any_present=tuple(present.any(axis=1).tolist()),
        any_fresh=tuple(fresh.any(axis=1).tolist()),
    )


def _lengths(where: str, steps: int, count: int, lengths: Any) -> Any:
    values = on_host(lengths)
    if values.shape != (count,):
        raise ShapeError(
            f"{where}: lengths have shape {values.shape}; there must be one length for each of the "
            f"{count} rows of the batch"
        )
    if values.size and values.dtype.kind not in "iu":
        raise DtypeError(f"{where}: lengths must be integers, not {values.dtype}")
    wrong = numpy.flatnonzero((values < 0) | (values > steps))
    if wrong.size:
        raise ArgumentError(
            f"{where}: the length of row {wrong[0]} is {values[wrong[0]]}, but the input has {steps} "
            f"steps; lengths go from 0 to {steps}"
        )
    return values


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
    """Return an array on the CPU."""
    given = values if isinstance(values, Tensor) else tensor(values)
    return given.detach().cpu().numpy()
