"""Run the loop of a plan on the CPU: generated code that Numba compiles, on a team of threads."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy

from minigrad.backends import backend_named
from minigrad.evaluate import run
from minigrad.graph import Var
from minigrad.kernels.cache import load_source
from minigrad.kernels.cpu.barrier import BARRIER_BYTES
from minigrad.kernels.cpu.lanes import DOUBLE, SINGLE
from minigrad.kernels.cpu.memory import Piece, borrow, borrowed_array, give_back
from minigrad.kernels.cpu.packing import pack_matrices
from minigrad.kernels.cpu.row_sums import row_sums
from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.wide import matmul
from minigrad.kernels.emit.numba_source import argument_order, numba_source
from minigrad.kernels.layout import Layout, whole_layout
from minigrad.kernels.plan import Buffer, LoopPlan
from minigrad.kernels.program import Program, RowSum
from minigrad.kernels.targets.planned import Run
from minigrad.threads import get_num_threads

_LANES = {numpy.dtype("float32"): SINGLE.lanes, numpy.dtype("float64"): DOUBLE.lanes}
_LINE = 64  # bytes: vectors that lie across two cache lines are slow
# Fewer rows than this for each thread: threads share columns, so that a product has more rows.
_FEW_ROWS = 8
# A product that goes ahead reads its matrix once for so many rows.
_AHEAD_ROWS = 192
# About how many multiplications take as long as an element of a sweep.
_SWEEP_COST = 20

namespace = SimpleNamespace(**{**vars(backend_named("numpy").namespace), "matmul": matmul})
_loops: WeakKeyDictionary[LoopPlan, _Loop] = WeakKeyDictionary()


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
) -> Run:
    """Run the loop; see `minigrad.kernels.targets.planned.Target`."""
    return _loop_of(plan).run(layout, read, fixed, initial, reverse, backward)


def _loop_of(plan: LoopPlan) -> _Loop:
    loop = _loops.get(plan)
    if loop is None:
        loop = _loops[plan] = _Loop(plan)
    return loop


class _Memory(NamedTuple):
    """Where buffers lie: what is returned in one block (in elements), the rest in another (in bytes)."""

    returned: tuple[tuple[Buffer, int, tuple[int, ...]], ...]
    elements: int
    working: tuple[tuple[Buffer, int], ...]
    working_bytes: int


class _Ready(NamedTuple):
    """A run that can begin.

    ``starts`` and ``ends`` are where its states begin and end; ``firsts`` is what fresh rows begin with,
    or what they hand over in a backward pass; ``used`` are arrays that must live as long.
    """

    arguments: Any
    returned: dict[Buffer, Any]
    working: Piece
    starts: list[Any]
    ends: list[Any]
    firsts: list[Any]
    used: tuple[Any, ...]


class _Loop:
    """The compiled loop of a plan."""

    def __init__(self, plan: LoopPlan) -> None:
        self.plan = plan
        self.dtype = plan.dtype
        source = numba_source(plan, _LANES[plan.dtype])
        self.entry: int = load_source(source.text, "loop").loop.address
        self.widths = source.widths
        self.order = argument_order(plan)
        self.products = {p.matrix: p for phase in plan.phases for p in phase.products}
        self.carried = [i for i, b in enumerate(plan.states) if b.kind == "state"]
        self.histories = [i for i, b in enumerate(plan.states) if b.kind == "history"]
        self.given_away = [(v, b) for v, b in plan.stored.items() if v in plan.given_away]
        self.returned = (
            *(plan.states[i] for i in self.histories),
            *(b for v, b in plan.stored.items() if v not in plan.given_away),
        )
        self.vectors = [(v, b) for v, b in plan.fixed.items() if b.kind == "vector"]
        self.matrices = [(v, b) for v, b in plan.fixed.items() if b.kind == "matrix"]
        self.row_cost = sum(p.inner * p.width for p in self.products.values()) + sum(
            _SWEEP_COST * sweep.width for phase in plan.phases for sweep in phase.sweeps.values()
        )
        self.memory = lru_cache(maxsize=64)(self._memory)

    def run(
        self,
        layout: Layout,
        read: Mapping[Var, Any],
        fixed: Mapping[Var, Any],
        initial: Sequence[Any],
        reverse: bool,
        backward: bool,
    ) -> Run:
        """Run it; see `minigrad.kernels.targets.planned.Target`."""
        ready = self.prepare(layout, read, fixed, reverse, backward)
        for start, state in zip(ready.starts, initial, strict=True):
            start[...] = state
        for first, state in zip(ready.firsts, initial, strict=False):
            first[...] = 0 if backward else state
        threads = threads_for(layout.size * self.row_cost)
        run_team(self.entry, threads, ready.arguments)
        finals = [end.copy() for end in ready.ends]
        released = [first.copy() for first in ready.firsts] if backward else []
        give_back(ready.working)
        returned, states = ready.returned, self.plan.states
        return Run(
            finals,
            released,
            {i: returned[states[i]] for i in self.histories},
            {v: returned[b].reshape(layout.size, -1) for v, b in self.plan.stored.items()},
            {v: returned[b] for v, b in self.given_away} if layout.index is None else {},
        )

    def prepare(
        self,
        layout: Layout,
        read: Mapping[Var, Any],
        fixed: Mapping[Var, Any],
        reverse: bool,
        backward: bool,
    ) -> _Ready:
        """Take memory, pack the matrices, and write down the arguments of a run."""
        plan, kind, steps, count = self.plan, self.dtype, layout.steps, layout.count
        number = len(layout.tables)
        shares = get_num_threads() if number == 1 and plan.columns is not None else 1
        chunk = max(1, _AHEAD_ROWS * number // max(count, 1)) if layout.is_contiguous else 1
        chunk = min(chunk, steps)
        memory = self.memory(layout.size, steps, count, chunk, layout.fresh is not None)
        block, address = borrowed_array(memory.elements, kind)
        working = borrow(memory.working_bytes)
        addresses = {b: working.address + at for b, at in memory.working}
        returned = {}
        for buffer, at, shape in memory.returned:
            returned[buffer] = block[at : at + math.prod(shape)].reshape(shape)
            addresses[buffer] = address + at * kind.itemsize
        for _, buffer in self.given_away:
            rows = (steps, count) if layout.index is None else (layout.size,)
            returned[buffer] = numpy.empty((*rows, buffer.width), kind)
        given = {b: numpy.ascontiguousarray(read[v], kind) for v, b in plan.read.items()}
        for var, buffer in self.vectors:
            given[buffer] = numpy.ascontiguousarray(fixed[var], kind)
        addresses.update((b, a.ctypes.data) for b, a in given.items())
        addresses.update((b, returned[b].ctypes.data) for _, b in self.given_away)
        self._pack(fixed, shares, addresses)
        starts, ends, firsts = [], [], []
        for buffer in plan.states:
            if buffer.kind == "history":
                starts.append(returned[buffer][steps if reverse else 0])
                ends.append(returned[buffer][0 if reverse else steps])
                continue
            offset = addresses[buffer] - working.memory.ctypes.data
            shape = (3 if layout.fresh is None else 4, count, buffer.width)
            parts = numpy.ndarray(shape, kind, working.memory, offset)
            starts.append(parts[2])
            ends.append(parts[2])
            firsts += list(parts[3:])
        meeting = numpy.zeros(BARRIER_BYTES // 8, numpy.int64)
        flags = [0 if f is None else f.ctypes.data for f in (layout.present, layout.fresh)]
        numbers = [steps, count, reverse, backward, number, shares, chunk]
        together = shares > 1 or (layout.is_contiguous and count < _FEW_ROWS * number)
        numbers += [layout.tables.ctypes.data, *flags, meeting.ctypes.data, together, *self.widths]
        arguments = numpy.array([*numbers, *(addresses[b] for b in self.order)], numpy.int64)
        used = (layout, meeting, *given.values())
        return _Ready(arguments, returned, working, starts, ends, firsts, used)

    def _memory(self, size: int, steps: int, count: int, chunk: int, fresh: bool) -> _Memory:
        """Return where each buffer lies in the memory that a run asks for."""
        item, plan = self.dtype.itemsize, self.plan
        shapes: dict[Buffer, tuple[int, ...]] = {}
        for buffer in self.returned:
            rows = (steps + 1, count) if buffer.kind == "history" else (size,)
            shapes[buffer] = (*rows, buffer.width)
        returned, elements = _side_by_side(
            {b: math.prod(shape) for b, shape in shapes.items()}, item
        )
        inner: dict[Buffer, int] = {}
        for buffer in plan.scratch:
            inner[buffer] = count * buffer.width * (chunk if buffer.kind == "ahead" else 1)
        for i in self.carried:
            inner[plan.states[i]] = (4 if fresh else 3) * count * plan.states[i].width
        line = _LINE // item
        for _, buffer in self.matrices:
            # the columns of each part are rounded up to whole vectors
            parts = plan.columns.parts(self.products[buffer]) if plan.columns else 1
            columns = parts * (-(-buffer.width // parts // line) * line)
            inner[buffer] = self.products[buffer].inner * columns
        working, needed = _side_by_side(inner, item)
        return _Memory(
            tuple((b, at, shapes[b]) for b, at in returned.items()),
            elements,
            tuple((b, at * item) for b, at in working.items()),
            needed * item,
        )

    def _pack(self, fixed: Mapping[Var, Any], shares: int, addresses: Mapping[Buffer, int]) -> None:
        """Pack the matrices of all products."""
        items = []
        for var, buffer in self.matrices:
            matrix = fixed[var]
            down, along = matrix.strides
            columns = self.plan.columns
            parts = columns.parts(self.products[buffer]) if columns and shares > 1 else 1
            size = matrix.itemsize
            place = (matrix.ctypes.data, down // size, along // size, addresses[buffer])
            items.append((parts, *matrix.shape, *place))
        if items:
            pack_matrices(self.dtype.itemsize, shares, items)


def _side_by_side(sizes: Mapping[Buffer, int], item: int) -> tuple[dict[Buffer, int], int]:
    """Return where buffers of so many elements begin, each on a cache line, and how many there are."""
    line, total, starts = _LINE // item, 0, {}
    for buffer, size in sizes.items():
        starts[buffer] = total
        total += -(-size // line) * line
    return starts, total


def sum_rows(sums: Sequence[RowSum], values: Mapping[Var, Any]) -> dict[Var, Any]:
    """Return sums over rows; see `minigrad.kernels.targets.planned.Target`."""
    if not sums:
        return {}
    pairs = []
    for s in sums:
        right = None if s.right is None else _in_rows(values[s.right])
        pairs.append((_in_rows(values[s.left]), right))
    results = row_sums(pairs)
    return {
        s.result: r if r.shape == s.result.shape else r.reshape(s.result.shape)
        for s, r in zip(sums, results, strict=True)
    }


def _in_rows(array: Any) -> Any:
    """Return an array in which the elements of a row lie side by side."""
    is_so = array.strides[1] == array.itemsize and array.strides[0] % array.itemsize == 0
    return array if is_so else numpy.ascontiguousarray(array)


class Stepper:
    """Takes single steps of a cell: its parameters are packed once, and its memory stays.

    Parameters
    ----------
    program : Program
        Without a backward pass, and with nothing before its loop.
    parameters : sequence of array
        What they are now.
    count : int
        N.
    """

    def __init__(self, program: Program, parameters: Sequence[Any], count: int) -> None:
        plan = program.loop
        loop = _loop_of(plan)
        fixed = run(program.once, dict(zip(program.parameters, parameters, strict=True)), namespace)
        self.inputs = [numpy.zeros((count, v.shape[1]), plan.dtype) for v in program.inputs]
        read = dict(zip(program.inputs, self.inputs, strict=True))
        self.entry = loop.entry
        self.ready = loop.prepare(whole_layout(1, count, 1), read, fixed, False, False)
        weakref.finalize(self, give_back, self.ready.working)

    def take(self, inputs: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        """Return the states behind a step.

        Parameters
        ----------
        inputs, states : sequence of array
            Shape (N, width), or any that broadcasts to it.
        """
        arguments, _, _, starts, ends, _, _ = self.ready
        for place, array in zip(self.inputs, inputs, strict=True):
            place[...] = array
        for place, array in zip(starts, states, strict=True):
            place[...] = array
        run_team(self.entry, 1, arguments)
        return [end.copy() for end in ends]
