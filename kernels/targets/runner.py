"""Run a loop without a backward pass over and over, with all that it needs at hand."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy

from minigrad.evaluate import run
from minigrad.kernels.cpu.rows import joined_rows
from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.workspaces import new_workspace
from minigrad.kernels.layout import whole_layout
from minigrad.kernels.program import Program
from minigrad.kernels.targets.frames import IN_KEPT, Frame, bytes_at
from minigrad.kernels.targets.numba_cpu import blocks, code_of, namespace, runs_of
from minigrad.kernels.targets.runs import give
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
        self.code = code = code_of(plan)
        self.values = run(
            program.once, dict(zip(program.parameters, parameters, strict=True)), namespace
        )
        self.inputs = [numpy.zeros((count, v.shape[1]), plan.dtype) for v in program.inputs]
        self.values.update(zip(program.inputs, self.inputs, strict=True))
        self.layout = whole_layout(steps, count, blocks(plan, count))
        self.runs = runs_of(plan, self.layout, reverse, False)
        self.reverse, self.pace = reverse, self.runs.pace
        self.threads = threads_for(self.layout.size * code.row_cost)
        self.at = bytes_at(code.kept(self.layout)[0][plan.states[0]], self.layout)
        self.shape = steps + 1, count, plan.states[0].width
        self.positions = [
            code.positions[plan.read[v]] if v in plan.read else None for v in program.inputs
        ]
        self.ways: dict[int, _Way] = {}

    def way(self, threads: int) -> _Way:
        """Return what is needed for runs on so many threads; the second time it is at hand."""
        found = self.ways.get(threads)
        if found is None:
            found = self.ways[threads] = _Way(self, threads)
        return found

    def run(self, inputs: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        """Return the outputs (T, N, width), and the states behind the last step.

        Parameters
        ----------
        inputs : sequence of array
            Shape (T, N, width).
        states : sequence of array
            Shape (N, width).
        """
        kind, rows = self.code.dtype, self.layout.size
        alone = self.threads == 1 or self.pace.goes_alone(rows, perf_counter())
        threads = 1 if alone else self.threads
        way = self.way(threads)
        kept, address = reused_array((way.elements,), kind)
        arguments = way.arguments + way.in_kept * (address - way.address)
        used = []
        for position, array in zip(self.positions, inputs, strict=True):
            if position is not None:
                used.append(numpy.ascontiguousarray(array, kind))
                arguments[position] = address_of(used[-1])
        starts, ends = list(way.starts), list(way.ends)
        for i, state in enumerate(way.frame.states):
            if state.is_history:
                starts[i] = numpy.ndarray(state.shape, kind, kept, state.start)
                ends[i] = numpy.ndarray(state.shape, kind, kept, state.end)
        for start, array in zip(starts, states, strict=True):
            start[...] = array
        begin = perf_counter()
        run_team(self.code.entry, threads, arguments)
        if self.threads > 1:
            self.pace.note(alone, rows, perf_counter() - begin)
        history = numpy.ndarray(self.shape, kind, kept, self.at)
        return [history[:-1] if self.reverse else history[1:], *(end.copy() for end in ends)]

    def step(self, inputs: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        """Return the states behind a single step, on memory that stays.

        Parameters
        ----------
        inputs, states : sequence of array
            Shape (N, width), or any that broadcasts to it.
        """
        way = self.way(1)
        for place, array in zip(self.inputs, inputs, strict=True):
            place[...] = array
        for start, array in zip(way.starts, states, strict=True):
            start[...] = array
        run_team(self.code.entry, 1, way.arguments)
        return [end.copy() for end in way.ends]


class _Way:
    """What stays from run to run, for some number of threads.

    Attributes
    ----------
    frame : Frame
    elements : int
        Of what is kept.
    address : int
        Of what is kept in a single step; each longer run has memory of its own, and moves the arguments.
    arguments, in_kept : numpy.ndarray
        And 1 for those that are in what is kept.
    starts, ends : list of array
        Where states begin and end; None if it is in what is kept of a longer run.
    """

    def __init__(self, runner: Runner, threads: int) -> None:
        code, layout, kind = runner.code, runner.layout, runner.code.dtype
        self.frame: Frame = runner.runs.frame(layout, threads)
        size, borrowed = self.frame.sizes(layout)
        self.working, self.elements = new_workspace(borrowed), size // kind.itemsize
        kept, self.address = reused_array((self.elements,), kind)
        self.arguments = self.frame.arguments_for(layout, self.address, self.working)
        self.in_kept = self.frame.basis[:, IN_KEPT].copy()
        self.used = give(code, self.frame, self.arguments, runner.values, True, code.read)
        self.starts, self.ends, _ = self.frame.places(kind, kept, self.working)
        if layout.steps > 1:
            self.starts = [self._carried(i, place) for i, place in enumerate(self.starts)]
            self.ends = [self._carried(i, place) for i, place in enumerate(self.ends)]

    def _carried(self, number: int, place: Any) -> Any:
        return None if self.frame.states[number].is_history else place
