"""Run the loop of a plan on the CPU: generated code that Numba compiles, on a team of threads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy

from minigrad.backends import backend_named
from minigrad.graph import Var
from minigrad.kernels.cache import load_source
from minigrad.kernels.cpu.barrier import BARRIER_BYTES
from minigrad.kernels.cpu.lanes import DOUBLE, SINGLE
from minigrad.kernels.cpu.memory import borrow, borrowed_array, give_back
from minigrad.kernels.cpu.packing import pack_matrices
from minigrad.kernels.cpu.row_sums import row_sums
from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.wide import matmul
from minigrad.kernels.emit.numba_source import argument_order, numba_source
from minigrad.kernels.layout import Layout
from minigrad.kernels.plan import Buffer, LoopPlan
from minigrad.kernels.program import RowSum
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
    loop = _loops.get(plan)
    if loop is None:
        loop = _loops[plan] = _Loop(plan)
    return loop.run(layout, read, fixed, initial, reverse, backward)


class _Memory(NamedTuple):
    """Where buffers lie: what is returned in one block (in elements), the rest in another (in bytes)."""

    returned: tuple[tuple[Buffer, int, tuple[int, ...]], ...]
    elements: int
    working: tuple[tuple[Buffer, int], ...]
    working_bytes: int


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
        away = {}
        for var, buffer in self.given_away:
            shape = (steps, count) if layout.index is None else (layout.size,)
            away[var] = numpy.empty((*shape, buffer.width), kind)
            returned[buffer] = away[var]
            addresses[buffer] = away[var].ctypes.data
        given = [numpy.ascontiguousarray(read[v], kind) for v in plan.read]
        vectors = [
            numpy.ascontiguousarray(fixed[v], kind)
            for v, b in plan.fixed.items()
            if b.kind == "vector"
        ]
        names = (*plan.read.values(), *(b for b in plan.fixed.values() if b.kind == "vector"))
        addresses.update((b, a.ctypes.data) for b, a in zip(names, (*given, *vectors), strict=True))
        self._pack(fixed, shares, addresses)
        for i in self.histories:
            returned[plan.states[i]][steps if reverse else 0] = initial[i]
        parts = {}
        for i in self.carried:
            buffer, start = plan.states[i], initial[i]
            shape = (4 if layout.fresh is not None else 3, *start.shape)
            offset = addresses[buffer] - working.memory.ctypes.data
            parts[buffer] = numpy.ndarray(shape, kind, working.memory, offset)
            parts[buffer][2] = start
            parts[buffer][3:] = 0 if backward else start
        meeting = numpy.zeros(BARRIER_BYTES // 8, numpy.int64)
        flags = [0 if f is None else f.ctypes.data for f in (layout.present, layout.fresh)]
        numbers = [steps, count, reverse, backward, number, shares, chunk]
        together = shares > 1 or (layout.is_contiguous and count < _FEW_ROWS * number)
        numbers += [layout.tables.ctypes.data, *flags, meeting.ctypes.data, together, *self.widths]
        arguments = numpy.array([*numbers, *(addresses[b] for b in self.order)], numpy.int64)
        run_team(self.entry, threads_for(layout.size * self.row_cost), arguments)
        last = 0 if reverse else steps
        finals = [
            (returned[b][last] if b.kind == "history" else parts[b][2]).copy() for b in plan.states
        ]
        released = []
        if backward and layout.fresh is not None:
            released = [parts[b][3].copy() for b in plan.states]
        give_back(working)
        return Run(
            finals,
            released,
            {i: returned[plan.states[i]] for i in self.histories},
            {v: returned[b].reshape(layout.size, -1) for v, b in plan.stored.items()},
            away if layout.index is None else {},
        )

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
