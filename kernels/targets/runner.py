"""Run a compiled loop without a backward pass over and over, with its arguments bound."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy

from minigrad.evaluate import run
from minigrad.kernels.cpu.ragged.copies import joined_rows
from minigrad.kernels.cpu.threads.team import run_team, threads_for
from minigrad.kernels.cpu.workspaces import Workspace, borrow, give_back
from minigrad.kernels.plan.program import Program
from minigrad.kernels.runtime.layout import whole_layout
from minigrad.kernels.targets.frames import IN_KEPT, IN_WORKING, MEETING, Frame, bytes_at, code_of
from minigrad.kernels.targets.numba_cpu import bind, blocks, namespace
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
        self.runs = bind(plan, self.layout, reverse, False)
        self.reverse, self.pace = reverse, self.runs.pace
        self.threads = threads_for(self.layout.size * code.row_cost)
        self.at = bytes_at(code.kept(self.layout)[0][plan.states[0]], self.layout)
        self.shape = steps + 1, count, plan.states[0].width
        self.positions = [
            code.positions[plan.read[v]] if v in plan.read else None for v in program.inputs
        ]
        self.ways: dict[int, _Way] = {}

    def way(self, threads: int) -> _Way:
        """Return what is needed for runs on so many threads; the second time it is cached."""
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
        working = way.borrowed()
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
        finals = [end.copy() for end in ends]
        give_back(working)
        history = numpy.ndarray(self.shape, kind, kept, self.at)
        return [history[:-1] if self.reverse else history[1:], *finals]

    def step(self, inputs: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        """Return the states behind a single step.

        Parameters
        ----------
        inputs, states : sequence of array
            Shape (N, width), or any that broadcasts to it.
        """
        way = self.way(1)
        working = way.borrowed()
        for place, array in zip(self.inputs, inputs, strict=True):
            place[...] = array
        for start, array in zip(way.starts, states, strict=True):
            start[...] = array
        run_team(self.code.entry, 1, way.arguments)
        finals = [end.copy() for end in way.ends]
        give_back(working)
        return finals


class _Way:
    """What stays from run to run, for some number of threads.

    Attributes
    ----------
    frame : Frame
    elements : int
        Of what is kept.
    address : int
        Of what is kept in a single step; each longer run has memory of its own, and moves the arguments.
    working : Workspace
        The one that the arguments are for. A run borrows one, which all loops share: mostly it is this.
    arguments, in_kept : numpy.ndarray
        And 1 for those that are in what is kept.
    starts, ends : list of array
        Where states begin and end; None if it is in what is kept of a longer run.
    """

    def __init__(self, runner: Runner, threads: int) -> None:
        code, layout, self._kind = runner.code, runner.layout, runner.code.dtype
        self.frame: Frame = runner.runs.frame(layout, threads)
        size, self._size = self.frame.sizes(layout)
        self.working, self.elements = borrow(self._size), size // self._kind.itemsize
        kept, self.address = reused_array((self.elements,), self._kind)
        self.arguments = self.frame.arguments_for(layout, self.address, self.working)
        self.in_kept, self._in_working = self.frame.basis[:, (IN_KEPT, IN_WORKING)].T.copy()
        for _, position, *_ in self.frame.matrices:
            self._in_working[position] = 0  # a packed copy elsewhere, which is kept
        self.used = give(code, self.frame, self.arguments, runner.values, True, code.read)
        self.starts, self.ends, _ = self.frame.places(self._kind, kept, self.working)
        if layout.steps > 1:
            self.starts = [self._carried(i, place) for i, place in enumerate(self.starts)]
            self.ends = [self._carried(i, place) for i, place in enumerate(self.ends)]
        give_back(self.working)

    def _carried(self, number: int, place: Any) -> Any:
        return None if self.frame.states[number].is_history else place

    def borrowed(self) -> Workspace:
        """Borrow a workspace for a run, and let the arguments be for it."""
        working = borrow(self._size)
        if working is not self.working:
            self.arguments += self._in_working * (working.address - self.working.address)
            self.arguments[MEETING] = working.meeting
            for i, state in enumerate(self.frame.states):
                if not state.is_history:
                    where = self._kind, working.memory
                    self.starts[i] = numpy.ndarray(
                        state.shape, *where, working.skipped + state.start
                    )
                    self.ends[i] = numpy.ndarray(state.shape, *where, working.skipped + state.end)
            self.working = working
        return working
