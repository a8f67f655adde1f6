"""Run a loop and its backward pass over whole sequences of the same sizes, over and over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from minigrad.evaluate import run
from minigrad.graph import Var
from minigrad.kernels.layout import whole_layout
from minigrad.kernels.normalize import Refusal
from minigrad.kernels.program import Program
from minigrad.kernels.targets.frames import bytes_at
from minigrad.kernels.targets.numba_cpu import blocks, code_of, kept_rows, namespace, runs_of
from minigrad.reuse import address_of


class GradientRunner:
    """Runs a loop forwards and backwards, as `minigrad.kernels.targets.planned`, with less to look up.

    Parameters
    ----------
    program : Program
        With a backward pass, for sequences that are not broken.
    steps, count : int
        T and N.
    reverse : bool
        Go through time backwards.

    Raises
    ------
    Refusal
        If something is computed for all rows before the loop, or behind it.
    """

    def __init__(self, program: Program, steps: int, count: int, reverse: bool) -> None:
        backward = program.backward
        assert backward is not None
        after = [i for node in backward.after for i in node.inputs if isinstance(i, Var)]
        if program.before or any(var.shape[:1] == (program.rows,) for var in after):
            raise Refusal("something is computed before the loop, or behind it")
        self.program, self.reverse, self.plan = program, reverse, program.loop
        self._backward = backward
        self.layout = whole_layout(steps, count, blocks(program.loop, count))
        self._layout = whole_layout(steps, count, blocks(backward.loop, count))
        self._forth = runs_of(program.loop, self.layout, reverse, False)
        self._back = runs_of(backward.loop, self._layout, not reverse, True)
        kept = self._kept_places()
        positions = code_of(backward.loop).read
        self._read = [entry for entry in positions if entry[0] not in kept]
        self._placed = [(entry[1], kept[entry[0]]) for entry in positions if entry[0] in kept]

    def _kept_places(self) -> dict[Var, int]:
        """Return where the loop has what it keeps, in bytes, by variable."""
        plan, code = self.plan, code_of(self.plan)
        places = {b: bytes_at(at, self.layout) for b, at in code.kept(self.layout)[0].items()}
        found = {v: places[b] for v, b in plan.stored.items() if b in places}
        for var, (state, first) in self.program.in_histories(self.reverse).items():
            step = self.layout.count * state.width * code.dtype.itemsize
            found[var] = places[state] + first * step
        return found

    def forward(
        self, inputs: Sequence[Any], states: Sequence[Any], parameters: Sequence[Any]
    ) -> tuple[Any, list[Any], Any]:
        """Return the outputs (T, N, width), the final states (N, width), and what `backward` needs."""
        program = self.program
        values = dict(zip(program.parameters, parameters, strict=True))
        run(program.once, values, namespace)
        values.update(zip(program.inputs, inputs, strict=True))
        found = self._forth.run(self.layout, values, states, False)
        first = self.plan.states[0]
        history = kept_rows(self.plan, self.layout, found.kept, (first,))[first]
        return (history[:-1] if self.reverse else history[1:]), found.finals, found.kept

    def backward(
        self,
        inputs: Sequence[Any],
        parameters: Sequence[Any],
        kept: Any,
        from_outputs: Any,
        from_finals: Sequence[Any],
    ) -> tuple[dict[int, Any], list[Any]]:
        """Return the cotangents of what is wanted, by number of the argument, and of the initial states.

        Parameters
        ----------
        inputs, parameters : sequence of array
        kept
            From `forward`.
        from_outputs : array
            Shape (T, N, width).
        from_finals : sequence of array or None
            Shape (N, width); None if it is zero.
        """
        program, backward = self.program, self._backward
        values = dict(zip(program.parameters, parameters, strict=True))
        run(backward.prepare, values, namespace)
        values.update(zip(program.inputs, inputs, strict=True))
        values[backward.from_outputs] = from_outputs
        run(backward.once, values, namespace)
        start = address_of(kept)
        placed = [(position, start + place) for position, place in self._placed]
        found = self._back.run(self._layout, values, from_finals, False, self._read, placed)
        values.update(found.sums)
        values.update(found.given_away)
        run(backward.after, values, namespace)
        arguments = [*inputs, *program.states, *parameters]  # those of the states are not asked for
        wanted = {
            i: numpy.zeros(arguments[i].shape, self.plan.dtype) if v is None else values[v]
            for i, v in backward.wanted.items()
        }
        return wanted, found.finals
