"""Run the loop of a plan on the CPU: generated code that Numba compiles, on a team of threads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy

from minigrad.backends import backend_named
from minigrad.backends.numpy_ import use_threads
from minigrad.graph import Var
from minigrad.kernels.cache import load_source
from minigrad.kernels.cpu.lanes import DOUBLE, SINGLE
from minigrad.kernels.cpu.rows import joined_rows, take_rows
from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.weight_gradients import is_narrow, scratch_size
from minigrad.kernels.cpu.wide import matmul
from minigrad.kernels.cpu.workspaces import Workspace, borrow, give_back
from minigrad.kernels.emit.numba_source import FIRST, argument_order, multiplied, numba_source
from minigrad.kernels.layout import Layout
from minigrad.kernels.plan import Buffer, LoopPlan
from minigrad.kernels.targets.matrices import KeptMatrices
from minigrad.kernels.targets.planned import Run
from minigrad.reuse import address_of, reused_array
from minigrad.threads import get_num_threads

_REALS = {numpy.dtype("float32"): numpy.float32, numpy.dtype("float64"): numpy.float64}
_LANES = {numpy.dtype("float32"): SINGLE.lanes, numpy.dtype("float64"): DOUBLE.lanes}
__all__ = ["blocks", "kept_rows", "loop_of", "namespace", "run_loop", "take_rows"]

_LINE = 64  # bytes: vectors that lie across two cache lines are slow
_GAP = 9  # lines
# Fewer rows than this for each thread: threads share columns, so that a product has more rows.
_FEW_ROWS = 8
# What is computed for all rows of a chunk reads its matrix once for so many rows. Results do depend on
# this number, since sums over rows are taken chunk by chunk.
_CHUNK_ROWS = 256
# About how many multiplications take as long as an element of a sweep.
_SWEEP_COST = 20
_MEETING, _SCRATCH, _PACKING = 10, 13, 15  # among the numbers of `numba_source`

# The engine's own products, those of a Linear for instance, are as fast from now on.
use_threads(matmul, joined_rows)
namespace = backend_named("numpy").namespace
_kept_matrices = KeptMatrices()


def blocks(plan: LoopPlan, count: int) -> int:
    """Return into how many blocks the sequences are divided: 1 if the threads share columns."""
    threads = get_num_threads()
    if plan.columns is not None and count < _FEW_ROWS * threads:
        return 1
    return max(1, min(threads, count))


def run_loop(
    plan: LoopPlan,
    layout: Layout,
    values: Mapping[Var, Any],
    initial: Sequence[Any],
    *,
    reverse: bool,
    backward: bool,
    keep: bool,
) -> Run:
    """Run the loop; see `minigrad.kernels.targets.planned.Target`."""
    return loop_of(plan).run(layout, values, initial, reverse, backward, keep)


def kept_rows(plan: LoopPlan, layout: Layout, kept: Any, buffer: Buffer) -> Any:
    """Return what was kept of a buffer; see `minigrad.kernels.targets.planned.Target`."""
    loop = loop_of(plan)
    at, shape = loop.kept(layout).places[buffer]
    return numpy.ndarray(shape, loop.dtype, kept, at)


def loop_of(plan: LoopPlan) -> _Loop:
    """Return the compiled loop of a plan; the second time it is at hand."""
    loop: _Loop | None = plan.compiled.get(__name__)
    if loop is None:
        loop = plan.compiled[__name__] = _Loop(plan)
    return loop


class _Kept(NamedTuple):
    """What a loop hands over to its backward pass: one piece of memory.

    Attributes
    ----------
    places : dict
        Of each buffer in it: where it begins, in bytes, and its shape.
    elements : int
    """

    places: dict[Buffer, tuple[int, tuple[int, ...]]]
    elements: int


class _Frame(NamedTuple):
    """What runs with one layout have in common.

    Attributes
    ----------
    arguments : numpy.ndarray
        Those of the compiled function, with offsets in the place of addresses.
    in_kept, in_working : numpy.ndarray
        1 for an offset in what is kept, and in the memory that is borrowed for the run; else 0.
    kept : _Kept
    bytes : int
        Of the borrowed memory.
    states : tuple
        Where each state begins and ends, see `_State`.
    threads, shares : int
    matrices : tuple
        Of each matrix: its variable, the positions of its address and of its source among the arguments,
        how many bytes it has, and into how many parts it is divided.
    given_away : tuple
        Of each array with memory of its own: its variable, its position and its shape.
    """

    arguments: Any
    in_kept: Any
    in_working: Any
    kept: _Kept
    bytes: int
    states: tuple[_State, ...]
    threads: int
    shares: int
    matrices: tuple[tuple[Var, int, int, int, int], ...]
    given_away: tuple[tuple[Var, int, tuple[int, ...]], ...]


class _State(NamedTuple):
    """Where a state begins and ends, in bytes, and the initial one of fresh rows, if there are any."""

    is_history: bool
    shape: tuple[int, int]
    start: int
    end: int
    first: int | None


class _Loop:
    """The compiled loop of a plan."""

    def __init__(self, plan: LoopPlan) -> None:
        self.plan = plan
        self.dtype = plan.dtype
        self.real = _REALS[plan.dtype]
        source = numba_source(plan, _LANES[plan.dtype])
        self.entry: int = load_source(source.text, "loop").loop.address
        self.widths = source.widths
        self.order = argument_order(plan)
        self.products = multiplied(plan)
        names = [*self.order, *plan.sums, *(("stride", v) for v in plan.read)]
        names += [(name, b) for b in self.products for name in ("from", "down", "along")]
        self.positions = {b: FIRST + len(self.widths) + i for i, b in enumerate(names)}
        self.in_chunks = bool(plan.sums) or any(
            p.ahead or p.behind for phase in plan.phases for p in phase.products
        )
        self.returned = (
            *(b for b in plan.states if b.kind == "history"),
            *(b for v, b in plan.stored.items() if b.kind == "stored" and v not in plan.given_away),
        )
        self.read = [
            (v, self.positions[b], self.positions["stride", v]) for v, b in plan.read.items()
        ]
        self.vectors = [(v, self.positions[b]) for v, b in plan.fixed.items() if b.kind == "vector"]
        self.sums = []
        for s in plan.sums:
            turned = s.inner > 1 and is_narrow(s.inner)
            shape = (s.inner, s.outer) if turned else s.result.shape
            self.sums.append((s.result, self.positions[s], shape, turned))
        products = [p for phase in plan.phases for p in phase.products]
        self.row_cost = (
            sum(p.inner * p.width for p in products)
            + sum(s.outer * s.inner for s in plan.sums)
            + sum(_SWEEP_COST * s.width for phase in plan.phases for s in phase.sweeps.values())
        )

    def run(
        self,
        layout: Layout,
        values: Mapping[Var, Any],
        initial: Sequence[Any],
        reverse: bool,
        backward: bool,
        keep: bool,
    ) -> Run:
        """Run it; see `minigrad.kernels.targets.planned.Target`."""
        kind = self.dtype
        frame = self.frame(layout, reverse, backward)
        working = borrow(frame.bytes)
        kept, address = None, 0
        if frame.kept.elements:
            kept, address = reused_array((frame.kept.elements,), kind)
        arguments = self.arguments(frame, address, working)
        used = self.give(arguments, frame, values, keep)
        given_away, sums = {}, {}
        for var, position, shape in frame.given_away:
            given_away[var], arguments[position] = reused_array(shape, kind)
        for var, position, shape, turned in self.sums:
            array, arguments[position] = reused_array(shape, kind)
            sums[var] = array.T if turned else array
        starts, ends, firsts = places_of(frame, kind, kept, working)
        for start, state in zip(starts, initial, strict=True):
            start[...] = state
        for first, state in zip(firsts, initial, strict=False):
            first[...] = 0 if backward else state
        run_team(self.entry, frame.threads, arguments)
        del used
        finals = [end.copy() for end in ends]
        released = [first.copy() for first in firsts] if backward else []
        give_back(working)
        for var, _, _, turned in self.sums:
            if turned:
                sums[var] = numpy.ascontiguousarray(sums[var])
        return Run(finals, released, kept, given_away, sums)

    def arguments(self, frame: _Frame, kept: int, working: Workspace) -> Any:
        """Return the arguments of a run, for memory at these addresses."""
        arguments = frame.arguments + frame.in_kept * kept + frame.in_working * working.address
        arguments[_MEETING] = working.meeting
        return arguments

    def give(self, arguments: Any, frame: _Frame, values: Mapping[Var, Any], keep: bool) -> Any:
        """Write down where the values are; return what must live as long as they are used."""
        kind, item = self.dtype, self.dtype.itemsize
        used = []
        for var, position, stride_position in self.read:
            array = values[var]
            stride, step = array.strides
            if step != item or stride % item or array.dtype != kind:
                array = numpy.ascontiguousarray(array, kind)
                stride = array.strides[0]
            used.append(array)
            arguments[position] = address_of(array)
            arguments[stride_position] = stride // item
        for var, position in self.vectors:
            array = numpy.ascontiguousarray(values[var], kind)
            used.append(array)
            arguments[position] = address_of(array)
        for var, position, source, size, parts in frame.matrices:
            matrix = values[var]
            if keep:
                piece = _kept_matrices.packed(item, frame.shares, matrix, parts, size)
                used.append(piece)
                arguments[position] = piece.address
            else:
                down, along = matrix.strides
                arguments[source] = address_of(matrix.T if down < along else matrix)
                arguments[source + 1] = down // item
                arguments[source + 2] = along // item
        arguments[_PACKING] = not keep
        return used

    def kept(self, layout: Layout) -> _Kept:
        """Return how what is kept lies in memory; the second time it is at hand."""
        found: _Kept | None = layout.frames.get(self)
        if found is None:
            steps, count, size = layout.steps, layout.count, layout.size
            shapes: dict[Buffer, tuple[int, ...]] = {
                b: (*((steps + 1, count) if b.kind == "history" else (size,)), b.width)
                for b in self.returned
            }
            item = self.dtype.itemsize
            starts, elements = _side_by_side({b: math.prod(s) for b, s in shapes.items()}, item)
            places = {b: (starts[b] * item, shape) for b, shape in shapes.items()}
            found = layout.frames[self] = _Kept(places, elements)
        return found

    def frame(self, layout: Layout, reverse: bool, backward: bool) -> _Frame:
        """Return what runs with this layout have in common; the second time it is at hand."""
        key = (self, reverse, backward, get_num_threads())
        frame: _Frame | None = layout.frames.get(key)
        if frame is None:
            frame = layout.frames[key] = self._frame(layout, reverse, backward)
        return frame

    def _frame(self, layout: Layout, reverse: bool, backward: bool) -> _Frame:
        plan, item, steps, count = self.plan, self.dtype.itemsize, layout.steps, layout.count
        whole, fresh = layout.index is None, layout.fresh is not None
        blocks = len(layout.tables)
        shares = get_num_threads() if blocks == 1 and plan.columns is not None else 1
        rows = _CHUNK_ROWS if self.in_chunks else layout.size
        chunk = min(steps, max(1, rows // max(count, 1))) if whole else 1
        threads = threads_for(layout.size * self.row_cost)
        kept = self.kept(layout)

        inner: dict[Any, int] = {}
        scratch = max((scratch_size(self.real, s.inner) for s in plan.sums), default=0)
        scratch = -(-scratch * item // _LINE) * _LINE
        inner["sums"] = threads * scratch // item
        for buffer in plan.scratch:
            inner[buffer] = count * buffer.width * (chunk if buffer.kind == "ahead" else 1)
        for buffer in plan.stored.values():
            if buffer.kind == "passing":
                inner[buffer] = (chunk * count if whole else layout.size) * buffer.width
        for buffer in plan.states:
            if buffer.kind == "state":
                inner[buffer] = (4 if fresh else 3) * count * buffer.width
        line = _LINE // item
        parts = {}
        for buffer, product in self.products.items():
            # the columns of each part are rounded up to whole vectors
            parts[buffer] = plan.columns.parts(product) if plan.columns and shares > 1 else 1
            widest = plan.columns.parts(product) if plan.columns else 1
            inner[buffer] = product.inner * widest * (-(-buffer.width // widest // line) * line)
        in_working, needed = _side_by_side(inner, item)

        numbers = [0] * (FIRST + len(self.widths) + len(self.positions))
        flags = [0 if f is None else f.ctypes.data for f in (layout.present, layout.fresh)]
        tables = layout.tables.ctypes.data
        # the barrier comes with the memory of a run
        head = [steps, count, reverse, backward, blocks, shares, chunk, tables, *flags, 0, whole]
        head += [layout.size, in_working["sums"] * item, scratch, 0, *self.widths]
        numbers[: len(head)] = head
        arguments = numpy.array(numbers, numpy.int64)
        in_kept, in_borrowed = numpy.zeros_like(arguments), numpy.zeros_like(arguments)
        in_borrowed[_SCRATCH] = 1
        for buffer in self.order:
            position = self.positions[buffer]
            if buffer in kept.places:
                arguments[position], in_kept[position] = kept.places[buffer][0], 1
            elif buffer in in_working:
                arguments[position], in_borrowed[position] = in_working[buffer] * item, 1

        def state(buffer: Buffer) -> _State:
            is_history = buffer.kind == "history"
            at = kept.places[buffer][0] if is_history else in_working[buffer] * item
            return self._state(buffer, layout, reverse, at)

        return _Frame(
            arguments,
            in_kept,
            in_borrowed,
            kept,
            needed * item,
            tuple(map(state, plan.states)),
            threads,
            shares,
            tuple(
                (v, self.positions[b], self.positions["from", b], inner[b] * item, parts[b])
                for v, b in plan.fixed.items()
                if b.kind == "matrix"
            ),
            tuple(
                (v, self.positions[b], (*((steps, count) if whole else (layout.size,)), b.width))
                for v, b in plan.stored.items()
                if v in plan.given_away
            ),
        )

    def _state(self, buffer: Buffer, layout: Layout, reverse: bool, at: int) -> _State:
        item: int = self.dtype.itemsize
        shape = layout.count, buffer.width

        def place(number: int) -> int:
            return at + number * layout.count * buffer.width * item

        if buffer.kind == "history":
            first, last = (layout.steps, 0) if reverse else (0, layout.steps)
            return _State(True, shape, place(first), place(last), None)
        return _State(False, shape, place(2), place(2), None if layout.fresh is None else place(3))


def places_of(
    frame: _Frame, kind: Any, kept: Any, working: Workspace
) -> tuple[list[Any], list[Any], list[Any]]:
    """Return where states begin and end, and what fresh rows begin with, or hand over backwards."""
    starts, ends, firsts = [], [], []
    for state in frame.states:
        memory, skipped = (kept, 0) if state.is_history else (working.memory, working.skipped)
        starts.append(numpy.ndarray(state.shape, kind, memory, skipped + state.start))
        ends.append(numpy.ndarray(state.shape, kind, memory, skipped + state.end))
        if state.first is not None:
            firsts.append(numpy.ndarray(state.shape, kind, memory, skipped + state.first))
    return starts, ends, firsts


def _side_by_side(sizes: Mapping[Any, int], item: int) -> tuple[dict[Any, int], int]:
    """Return where buffers of so many elements begin, each on a cache line, and how many there are.

    Between them some lines are left free: buffers whose distance is a multiple of a page get into each
    other's way in the first-level cache.
    """
    line, total, starts = _LINE // item, 0, {}
    for name, size in sizes.items():
        starts[name] = total
        total += (-(-size // line) + _GAP) * line
    return starts, total
