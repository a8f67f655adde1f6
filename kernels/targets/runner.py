"""Run a loop without a backward pass over and over, with all that it needs at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from minigrad.evaluate import run
from minigrad.kernels.cpu.rows import joined_rows
from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.workspaces import new_workspace
from minigrad.kernels.layout import whole_layout
from minigrad.kernels.program import Program
from minigrad.kernels.targets.numba_cpu import blocks, code_of, give, namespace
from minigrad.reuse import address_of, reused_array

__all__ = ["Runner", "joined_rows"]


class Runner:
    """Runs a loop without a backward pass over and over: what it needs is kept from run to run.

    Parameters
    ----------
    program : Program
        Without a backward pass, and with nothing before its loop.
    parameters : sequence of array
        What they are now.
    steps, count : int
        T and N.
    reverse : bool
        Go through time backwards.
    """

    def __init__(
        self, program: Program, parameters: Sequence[Any], steps: int, count: int, reverse: bool
    ) -> None:
        plan = program.loop
        self.code = code_of(plan)
        values = run(
            program.once, dict(zip(program.parameters, parameters, strict=True)), namespace
        )
        self.inputs = [numpy.zeros((count, v.shape[1]), plan.dtype) for v in program.inputs]
        values.update(zip(program.inputs, self.inputs, strict=True))
        layout = whole_layout(steps, count, blocks(plan, count))
        self.frame = frame = self.code.frame(layout, reverse, False)
        self.reverse = reverse
        self.threads = threads_for(layout.size * self.code.row_cost)
        self.working = new_workspace(frame.working_bytes(layout))
        self.elements = frame.kept_bytes(layout) // plan.dtype.itemsize
        kept, self.address = reused_array((self.elements,), plan.dtype)
        self.arguments = frame.arguments_for(layout, self.address, self.working)
        self.used = [layout, *give(self.code, frame, self.arguments, values, True)]
        self.starts, self.ends, _ = frame.places(plan.dtype, kept, self.working)
        if steps > 1:  # each run has memory of its own for what it keeps
            self.starts = [self._carried(i, place) for i, place in enumerate(self.starts)]
            self.ends = [self._carried(i, place) for i, place in enumerate(self.ends)]
        self.at = frame.kept_at(layout, plan.states[0])
        self.shape = steps + 1, count, plan.states[0].width
        self.positions = [
            self.code.positions[plan.read[v]] if v in plan.read else None for v in program.inputs
        ]

    def _carried(self, number: int, place: Any) -> Any:
        return None if self.frame.states[number].is_history else place

    def run(self, inputs: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        """Return the outputs (T, N, width), and the states behind the last step.

        Parameters
        ----------
        inputs : sequence of array
            Shape (T, N, width).
        states : sequence of array
            Shape (N, width).
        """
        kind, frame = self.code.dtype, self.frame
        kept, address = reused_array((self.elements,), kind)
        arguments = self.arguments + frame.in_kept * (address - self.address)
        used = []
        for position, array in zip(self.positions, inputs, strict=True):
            if position is not None:
                used.append(numpy.ascontiguousarray(array, kind))
                arguments[position] = address_of(used[-1])
        starts, ends = list(self.starts), list(self.ends)
        for i, state in enumerate(frame.states):
            if state.is_history:
                starts[i] = numpy.ndarray(state.shape, kind, kept, state.start)
                ends[i] = numpy.ndarray(state.shape, kind, kept, state.end)
        for start, array in zip(starts, states, strict=True):
            start[...] = array
        run_team(self.code.entry, self.threads, arguments)
        history = numpy.ndarray(self.shape, kind, kept, self.at)
        return [history[:-1] if self.reverse else history[1:], *(end.copy() for end in ends)]

    def step(self, inputs: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        """Return the states behind a single step, on memory that stays.

        Parameters
        ----------
        inputs, states : sequence of array
            Shape (N, width), or any that broadcasts to it.
        """
        for place, array in zip(self.inputs, inputs, strict=True):
            place[...] = array
        for start, array in zip(self.starts, states, strict=True):
            start[...] = array
        run_team(self.code.entry, 1, self.arguments)
        return [end.copy() for end in self.ends]
