"""Run a loop without a backward pass over and over, with all that it needs at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from minigrad.evaluate import run
from minigrad.kernels.cpu.rows import joined_rows
from minigrad.kernels.cpu.team import run_team
from minigrad.kernels.cpu.workspaces import new_workspace
from minigrad.kernels.layout import whole_layout
from minigrad.kernels.program import Program
from minigrad.kernels.targets.numba_cpu import blocks, loop_of, namespace
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
        loop = loop_of(plan)
        fixed = run(program.once, dict(zip(program.parameters, parameters, strict=True)), namespace)
        self.inputs = [numpy.zeros((count, v.shape[1]), plan.dtype) for v in program.inputs]
        read = dict(zip(program.inputs, self.inputs, strict=True))
        layout = whole_layout(steps, count, blocks(plan, count))
        self.loop, self.frame = loop, loop.frame(layout, reverse, False)
        self.reverse = reverse
        working = new_workspace(self.frame.bytes)
        self.ready = loop.prepare(self.frame, working, layout, read, fixed, False)
        self.positions = [
            loop.positions[plan.read[v]] if v in plan.read else None for v in program.inputs
        ]
        if steps > 1:  # each run has memory of its own for what it returns
            self.ready = self.ready._replace(
                returned={},
                starts=[self._carried(i, a) for i, a in enumerate(self.ready.starts)],
                ends=[self._carried(i, a) for i, a in enumerate(self.ready.ends)],
            )

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
        loop, frame, ready = self.loop, self.frame, self.ready
        block, address = reused_array((frame.elements,), loop.dtype)
        arguments = ready.arguments + frame.in_block * (address - ready.address)
        used = []
        for position, array in zip(self.positions, inputs, strict=True):
            if position is not None:
                used.append(numpy.ascontiguousarray(array, loop.dtype))
                arguments[position] = address_of(used[-1])
        starts, ends = list(ready.starts), list(ready.ends)
        for i, state in enumerate(frame.states):
            if state.is_history:
                starts[i] = numpy.ndarray(state.shape, loop.dtype, block, state.start)
                ends[i] = numpy.ndarray(state.shape, loop.dtype, block, state.end)
        for start, array in zip(starts, states, strict=True):
            start[...] = array
        run_team(loop.entry, frame.threads, arguments)
        _, at, shape = frame.returned[0]
        history = numpy.ndarray(shape, loop.dtype, block, at * loop.dtype.itemsize)
        return [history[:-1] if self.reverse else history[1:], *(end.copy() for end in ends)]

    def step(self, inputs: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        """Return the states behind a single step, on memory that stays.

        Parameters
        ----------
        inputs, states : sequence of array
            Shape (N, width), or any that broadcasts to it.
        """
        ready = self.ready
        for place, array in zip(self.inputs, inputs, strict=True):
            place[...] = array
        for start, array in zip(ready.starts, states, strict=True):
            start[...] = array
        run_team(self.loop.entry, 1, ready.arguments)
        return [end.copy() for end in ready.ends]
