"""Run the loop of a plan on the CPU: generated code that Numba compiles, on a team of threads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy

from minigrad.backends import backend_named
from minigrad.backends.numpy_ import use_product
from minigrad.graph import Var
from minigrad.kernels.cache import load_source
from minigrad.kernels.cpu.lanes import DOUBLE, SINGLE
from minigrad.kernels.cpu.rows import take_rows
from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.weight_gradients import is_narrow, scratch_size
from minigrad.kernels.cpu.wide import matmul
from minigrad.kernels.cpu.workspaces import Workspace, borrow, give_back
from minigrad.kernels.emit.numba_source import FIRST, argument_order, numba_source
from minigrad.kernels.layout import Layout
from minigrad.kernels.plan import Buffer, LoopPlan
from minigrad.kernels.targets.matrices import KeptMatrices, pack
from minigrad.kernels.targets.planned import Run
from minigrad.reuse import address_of, reused_array
from minigrad.threads import get_num_threads

_REALS = {numpy.dtype("float32"): numpy.float32, numpy.dtype("float64"): numpy.float64}
_LANES = {numpy.dtype("float32"): SINGLE.lanes, numpy.dtype("float64"): DOUBLE.lanes}
__all__ = ["blocks", "loop_of", "namespace", "run_loop", "take_rows"]

_LINE = 64  # bytes: vectors that lie across two cache lines are slow
_GAP = 9  # lines
# Fewer rows than this for each thread: threads share columns, so that a product has more rows.
_FEW_ROWS = 8
# What is computed for all rows of a chunk reads its matrix once for so many rows. Results do depend on
# this number, since sums over rows are taken chunk by chunk.
_CHUNK_ROWS = 256
# About how many multiplications take as long as an element of a sweep.
_SWEEP_COST = 20
_MEETING, _SCRATCH = 10, 13  # addresses among the numbers of `numba_source`

# The engine's own products, those of a Linear for instance, are as fast from now on.
use_product(matmul)
namespace = backend_named("numpy").namespace
_loops: WeakKeyDictionary[LoopPlan, _Loop] = WeakKeyDictionary()
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
    read: Mapping[Var, Any],
    fixed: Mapping[Var, Any],
    initial: Sequence[Any],
    *,
    reverse: bool,
    backward: bool,
    keep: bool,
) -> Run:
    """Run the loop; see `minigrad.kernels.targets.planned.Target`."""
    return loop_of(plan).run(layout, read, fixed, initial, reverse, backward, keep)


def loop_of(plan: LoopPlan) -> _Loop:
    """Return the compiled loop of a plan; the second time it is at hand."""
    loop = _loops.get(plan)
    if loop is None:
        loop = _loops[plan] = _Loop(plan)
    return loop


class _Frame(NamedTuple):
    """What runs with one layout have in common.

    Attributes
    ----------
    arguments : numpy.ndarray
        Those of the compiled function, with offsets in the place of addresses.
    in_block, in_working : numpy.ndarray
        1 for an offset in what is returned, and in the memory that is borrowed for the run; else 0.
    elements, bytes : int
        Of these two.
    returned : tuple
        The buffers that are returned, each with its first element and its shape.
    states : tuple
        Where each state begins and ends, see `_State`.
    threads, shares : int
    matrices : tuple
        Of each matrix: its variable, the position of its address among the arguments, its offset in the
        borrowed memory, how many bytes it has, and into how many parts it is divided.
    """

    arguments: Any
    in_block: Any
    in_working: Any
    elements: int
    bytes: int
    returned: tuple[tuple[Buffer, int, tuple[int, ...]], ...]
    states: tuple[_State, ...]
    threads: int
    shares: int
    matrices: tuple[tuple[Var, int, int, int, int], ...]


class _State(NamedTuple):
    """Where a state begins and ends, in bytes, and the initial one of fresh rows, if there are any."""

    is_history: bool
    shape: tuple[int, int]
    start: int
    end: int
    first: int | None


class _Ready(NamedTuple):
    """A run that can begin.

    ``address``: of what is returned. ``starts`` and ``ends`` are where its states begin and end;
    ``firsts`` is what fresh rows begin with, or what they hand over in a backward pass; ``used`` are
    arrays that must live as long.
    """

    arguments: Any
    address: int
    returned: dict[Buffer, Any]
    sums: dict[Var, Any]
    starts: list[Any]
    ends: list[Any]
    firsts: list[Any]
    used: list[Any]


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
        first = FIRST + len(self.widths)
        self.positions = {b: first + i for i, b in enumerate(self.order)}
        self.sum_positions = [first + len(self.order) + i for i in range(len(plan.sums))]
        products = [p for phase in plan.phases for p in phase.products]
        self.products = {p.matrix: p for p in products}
        self.in_chunks = bool(plan.sums) or any(p.ahead or p.behind for p in products)
        self.histories = [i for i, b in enumerate(plan.states) if b.kind == "history"]
        self.given_away = [(v, b) for v, b in plan.stored.items() if v in plan.given_away]
        self.returned = (
            *(plan.states[i] for i in self.histories),
            *(b for v, b in plan.stored.items() if b.kind == "stored" and v not in plan.given_away),
        )
        self.kept = [(v, b) for v, b in plan.stored.items() if b.kind == "stored"]
        self.given = [
            *((v, self.positions[b]) for v, b in plan.read.items()),
            *((v, self.positions[b]) for v, b in plan.fixed.items() if b.kind == "vector"),
        ]
        self.matrices = [(v, b) for v, b in plan.fixed.items() if b.kind == "matrix"]
        self.row_cost = (
            sum(p.inner * p.width for p in products)
            + sum(s.outer * s.inner for s in plan.sums)
            + sum(_SWEEP_COST * s.width for phase in plan.phases for s in phase.sweeps.values())
        )

    def run(
        self,
        layout: Layout,
        read: Mapping[Var, Any],
        fixed: Mapping[Var, Any],
        initial: Sequence[Any],
        reverse: bool,
        backward: bool,
        keep: bool,
    ) -> Run:
        """Run it; see `minigrad.kernels.targets.planned.Target`."""
        frame = self.frame(layout, reverse, backward)
        working = borrow(frame.bytes)
        ready = self.prepare(frame, working, layout, read, fixed, keep)
        for start, state in zip(ready.starts, initial, strict=True):
            start[...] = state
        for first, state in zip(ready.firsts, initial, strict=False):
            first[...] = 0 if backward else state
        run_team(self.entry, frame.threads, ready.arguments)
        finals = [end.copy() for end in ready.ends]
        released = [first.copy() for first in ready.firsts] if backward else []
        give_back(working)
        returned, states = ready.returned, self.plan.states
        return Run(
            finals,
            released,
            {i: returned[states[i]] for i in self.histories},
            {v: returned[b].reshape(layout.size, -1) for v, b in self.kept},
            {v: returned[b] for v, b in self.given_away} if layout.index is None else {},
            {v: numpy.ascontiguousarray(a) for v, a in ready.sums.items()},
        )

    def prepare(
        self,
        frame: _Frame,
        working: Workspace,
        layout: Layout,
        read: Mapping[Var, Any],
        fixed: Mapping[Var, Any],
        keep: bool,
    ) -> _Ready:
        """Take memory, pack the matrices, and write down the arguments of a run."""
        kind, item = self.dtype, self.dtype.itemsize
        block, address = reused_array((frame.elements,), kind)
        arguments = frame.arguments + frame.in_block * address + frame.in_working * working.address
        arguments[_MEETING] = working.meeting
        returned = {
            buffer: numpy.ndarray(shape, kind, block, at * item)
            for buffer, at, shape in frame.returned
        }
        for _, buffer in self.given_away:
            rows = (layout.steps, layout.count) if layout.index is None else (layout.size,)
            returned[buffer], at = reused_array((*rows, buffer.width), kind)
            arguments[self.positions[buffer]] = at
        sums = {}
        for s, position in zip(self.plan.sums, self.sum_positions, strict=True):
            turned = s.inner > 1 and is_narrow(s.inner)
            array, at = reused_array((s.inner, s.outer) if turned else s.result.shape, kind)
            sums[s.result] = array.T if turned else array
            arguments[position] = at
        used = [layout, working]
        for var, position in self.given:
            array = numpy.ascontiguousarray(read[var] if var in read else fixed[var], kind)
            used.append(array)
            arguments[position] = address_of(array)
        if keep:
            for var, position, _, size, parts in frame.matrices:
                piece = _kept_matrices.packed(item, frame.shares, fixed[var], parts, size)
                used.append(piece)
                arguments[position] = piece.address
        else:
            places = [
                (fixed[v], parts, working.address + at) for v, _, at, _, parts in frame.matrices
            ]
            pack(item, frame.shares, places)
        starts, ends, firsts = [], [], []
        for state in frame.states:
            memory, skipped = (block, 0) if state.is_history else (working.memory, working.skipped)
            starts.append(numpy.ndarray(state.shape, kind, memory, skipped + state.start))
            ends.append(numpy.ndarray(state.shape, kind, memory, skipped + state.end))
            if state.first is not None:
                firsts.append(numpy.ndarray(state.shape, kind, memory, skipped + state.first))
        return _Ready(arguments, address, returned, sums, starts, ends, firsts, used)

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

        shapes: dict[Buffer, tuple[int, ...]] = {}
        for buffer in self.returned:
            lead = (steps + 1, count) if buffer.kind == "history" else (layout.size,)
            shapes[buffer] = (*lead, buffer.width)
        in_block, elements = _side_by_side({b: math.prod(s) for b, s in shapes.items()}, item)

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
        for _, buffer in self.matrices:
            # the columns of each part are rounded up to whole vectors
            product = self.products[buffer]
            parts[buffer] = plan.columns.parts(product) if plan.columns and shares > 1 else 1
            widest = plan.columns.parts(product) if plan.columns else 1
            inner[buffer] = product.inner * widest * (-(-buffer.width // widest // line) * line)
        in_working, needed = _side_by_side(inner, item)
        flags = [0 if f is None else f.ctypes.data for f in (layout.present, layout.fresh)]
        numbers = [
            steps,
            count,
            reverse,
            backward,
            blocks,
            shares,
            chunk,
            layout.tables.ctypes.data,
        ]
        numbers += [*flags, 0, whole, layout.size]  # the barrier comes with the memory of a run
        numbers += [in_working["sums"] * item, scratch, *self.widths]
        offsets = [in_block.get(b, in_working.get(b, 0)) * item for b in self.order]
        places = [*(0 for _ in numbers), *self.order, *plan.sums]
        numbers += [*offsets, *(0 for _ in plan.sums)]
        working = [int(b in in_working) if isinstance(b, Buffer) else 0 for b in places]
        working[_SCRATCH] = 1
        return _Frame(
            numpy.array(numbers, numpy.int64),
            numpy.array(
                [int(isinstance(b, Buffer) and b in in_block) for b in places], numpy.int64
            ),
            numpy.array(working, numpy.int64),
            elements,
            needed * item,
            tuple((b, at, shapes[b]) for b, at in in_block.items()),
            tuple(
                self._state(buffer, layout, reverse, {**in_block, **in_working}[buffer])
                for buffer in plan.states
            ),
            threads,
            shares,
            tuple(
                (v, self.positions[b], in_working[b] * item, inner[b] * item, parts[b])
                for v, b in self.matrices
            ),
        )

    def _state(self, buffer: Buffer, layout: Layout, reverse: bool, at: int) -> _State:
        item: int = self.dtype.itemsize
        shape = layout.count, buffer.width

        def place(number: int) -> int:
            return (at + number * layout.count * buffer.width) * item

        if buffer.kind == "history":
            first, last = (layout.steps, 0) if reverse else (0, layout.steps)
            return _State(True, shape, place(first), place(last), None)
        return _State(False, shape, place(2), place(2), None if layout.fresh is None else place(3))


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
