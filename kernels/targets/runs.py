"""Run a compiled loop over layouts of one kind, whose memory plans are cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy

from minigrad.graph import Var
from minigrad.kernels.cpu.threads.autotuner import Pace
from minigrad.kernels.cpu.threads.team import run_team, threads_for
from minigrad.kernels.cpu.workspaces import borrow, give_back
from minigrad.kernels.runtime.executable import Residuals, Run
from minigrad.kernels.runtime.layout import Layout
from minigrad.kernels.targets.frames import PACKING, Code, Frame, Linear, code_of, whole_lines
from minigrad.kernels.targets.matrices import KeptMatrices
from minigrad.reuse import address_of, reused_array

# of what is read: the variable, and the positions of its address and its row stride
Read = Sequence[tuple[Var, int, int]]

# what is read in a backward pass: of values, and of residuals the positions and where they lie
Divided = tuple[Read, Sequence[tuple[int, Linear]]]

_kept_matrices = KeptMatrices()


class Runs:
    """The runs of a loop with layouts of one kind.

    Several threads may run at once: what a run needs for itself it borrows.

    Parameters
    ----------
    code : Code
    reverse, backward : bool
        See `minigrad.kernels.runtime.executable.Target.bind`.
    """

    def __init__(self, code: Code, reverse: bool, backward: bool) -> None:
        self.code, self.reverse, self.backward = code, reverse, backward
        self.pace = Pace()
        self._frames: dict[int, Frame] = {}
        self._divided: Divided | None = None

    def divided(self, layout: Layout, residuals: Residuals) -> Divided:
        """Divide what the loop reads in values and residuals; the second time this is cached."""
        if self._divided is None:
            made, read, placed = code_of(residuals.plan), [], []
            places, _ = made.kept(layout)
            for entry in self.code.read:
                found = residuals.places.get(entry[0])
                if found is None:
                    read.append(entry)
                else:
                    buffer, first = found
                    size, per_row = places[buffer]
                    size += first * layout.count * buffer.width * self.code.dtype.itemsize
                    placed.append((entry[1], (size, per_row)))
            self._divided = read, placed
        return self._divided

    def frame(self, layout: Layout, threads: int) -> Frame:
        """Return what runs on so many threads have in common; the second time it is cached."""
        found = self._frames.get(threads)
        if found is None:
            found = Frame(self.code, layout, self.reverse, self.backward, threads)
            self._frames[threads] = found
        return found

    def run(
        self,
        layout: Layout,
        values: Mapping[Var, Any],
        initial: Sequence[Any],
        keep: bool,
        residuals: Residuals | None = None,
    ) -> Run:
        """Run the loop; see `minigrad.kernels.runtime.executable.BoundLoop`."""
        code, rows, backward = self.code, layout.size, self.backward
        kind = code.dtype
        threads = threads_for(rows * code.row_cost)
        alone = threads == 1 or self.pace.goes_alone(rows, perf_counter())
        frame = self.frame(layout, 1 if alone else threads)
        size, borrowed = frame.sizes(layout)
        working = borrow(borrowed)
        kept, address = None, 0
        if size:
            kept, address = reused_array((size // kind.itemsize,), kind)
        arguments = frame.arguments_for(layout, address, working)
        read: Read = code.read
        if residuals is not None:
            read, placed = self.divided(layout, residuals)
            start, lines = address_of(residuals.kept), whole_lines(rows)
            for position, (place, per_line) in placed:
                arguments[position] = start + place + per_line * lines
        used = give(code, frame, arguments, values, keep, read)
        given_away, sums = {}, {}
        for var, position, width in code.written:
            whole = layout.steps, layout.count, width
            given_away[var], arguments[position] = reused_array(whole, kind)
        for var, position, shape, turned in code.sums:
            array, arguments[position] = reused_array(shape, kind)
            sums[var] = array.T if turned else array
        starts, ends, firsts = frame.places(kind, kept, working)
        for start, state in zip(starts, initial, strict=True):
            start[...] = 0 if state is None else state
        for first, state in zip(firsts, initial, strict=False):
            first[...] = 0 if backward or state is None else state
        begin = perf_counter()
        run_team(code.entry, 1 if alone else threads, arguments)
        if threads > 1:
            self.pace.note(alone, rows, perf_counter() - begin)
        del used
        finals = [end.copy() for end in ends]
        released = [first.copy() for first in firsts] if backward else []
        give_back(working)
        for var, _, _, turned in code.sums:
            if turned:
                sums[var] = numpy.ascontiguousarray(sums[var])
        return Run(finals, released, kept, given_away, sums)


def give(
    code: Code, frame: Frame, arguments: Any, values: Mapping[Var, Any], keep: bool, read: Read
) -> Any:
    """Write among the arguments where values are; return what must live as long as they are used.

    Parameters
    ----------
    code : Code
    frame : Frame
        One of its.
    arguments : numpy.ndarray
    values : dict of array
        What is read, and the vectors and matrices; see `minigrad.kernels.runtime.executable.BoundLoop`.
    keep : bool
        Whether to keep packed copies of the matrices for another run.
    read : sequence of tuple
        Those of ``code.read`` that are among the values.
    """
    kind, item = code.dtype, code.dtype.itemsize
    used = []
    for var, position, stride_position in read:
        array = values[var]
        if array.ndim == 3:  # in the order of the batch
            array = array.reshape(-1, array.shape[-1])
            if var in code.batch:  # the loop copies it to where it has it
                position, stride_position = code.batch[var]
        stride, step = array.strides
        if step != item or stride % item or array.dtype != kind:
            array = numpy.ascontiguousarray(array, kind)
            stride = array.strides[0]
        used.append(array)
        arguments[position] = address_of(array)
        arguments[stride_position] = stride // item
    for var, position in code.vectors:
        array = numpy.ascontiguousarray(values[var], kind)
        used.append(array)
        arguments[position] = address_of(array)
    for var, position, source, size, parts in frame.matrices:
        matrix = values[var]
        if keep:
            piece = _kept_matrices.packed(frame.shares, matrix, parts, size)
            used.append(piece)
            arguments[position] = piece.address
        else:
            down, along = matrix.strides
            arguments[source] = address_of(matrix.T if down < along else matrix)
            arguments[source + 1] = down // item
            arguments[source + 2] = along // item
    arguments[PACKING] = not keep
    return used
