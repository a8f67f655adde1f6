"""Run the loop of a plan on the CPU: generated code that Numba compiles, on a team of threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import numpy

from minigrad.backends import backend_named
from minigrad.graph import Var
from minigrad.kernels.cache import load_source
from minigrad.kernels.cpu.barrier import BARRIER_BYTES
from minigrad.kernels.cpu.lanes import DOUBLE, SINGLE
from minigrad.kernels.cpu.pack import pack_shared, packed_size
from minigrad.kernels.cpu.row_sums import row_sums
from minigrad.kernels.cpu.team import run_team
from minigrad.kernels.cpu.wide import matmul
from minigrad.kernels.emit.numba_source import argument_order, numba_source
from minigrad.kernels.layout import Layout
from minigrad.kernels.plan import Buffer, LoopPlan
from minigrad.kernels.program import RowSum
from minigrad.kernels.targets.planned import Run
from minigrad.threads import get_num_threads

_LANES = {numpy.dtype("float32"): SINGLE.lanes, numpy.dtype("float64"): DOUBLE.lanes}
# Fewer rows than this for each thread: threads share columns, so that a product has more rows.
_FEW_ROWS = 8
# A product that goes ahead reads its matrix once for so many rows.
_AHEAD_ROWS = 192

namespace = SimpleNamespace(**{**vars(backend_named("numpy").namespace), "matmul": matmul})
_entries: WeakKeyDictionary[LoopPlan, Any] = WeakKeyDictionary()


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
    kind, steps, count = plan.dtype, layout.steps, layout.count
    number = len(layout.tables)
    shares = get_num_threads() if number == 1 and plan.columns is not None else 1
    chunk = max(1, _AHEAD_ROWS * number // max(count, 1)) if layout.is_contiguous else 1
    chunk = min(chunk, steps)
    memory: dict[Buffer, Any] = {}
    for var, buffer in plan.read.items():
        memory[buffer] = numpy.ascontiguousarray(read[var], kind)
    for buffer in plan.stored.values():
        memory[buffer] = numpy.empty((layout.size, buffer.width), kind)
    for buffer in plan.scratch:
        rows = count * chunk if buffer.kind == "ahead" else count
        memory[buffer] = numpy.empty((rows, buffer.width), kind)
    for buffer, start in zip(plan.states, initial, strict=True):
        memory[buffer] = _state(buffer, start, layout, reverse, backward)
    products = {p.matrix: p for phase in plan.phases for p in phase.products}
    for var, buffer in plan.fixed.items():
        array = fixed[var]
        if buffer.kind == "matrix":
            product = products[buffer]
            parts = plan.columns.parts(product) if plan.columns and shares > 1 else 1
            memory[buffer] = _packed(array, shares, parts)
        else:
            memory[buffer] = numpy.ascontiguousarray(array, kind)
    meeting = numpy.zeros(BARRIER_BYTES // 8, numpy.int64)
    flags = [0 if f is None else f.ctypes.data for f in (layout.present, layout.fresh)]
    tables = layout.tables.ctypes.data
    numbers = [steps, count, reverse, backward, number, shares, chunk, tables, *flags]
    addresses = [memory[buffer].ctypes.data for buffer in argument_order(plan)]
    arguments = numpy.array([*numbers, meeting.ctypes.data, *addresses], numpy.int64)
    run_team(_entry(plan), get_num_threads(), arguments)
    states = [memory[buffer] for buffer in plan.states]
    last = 0 if reverse else steps
    finals = [
        s[last].copy() if b.kind == "history" else s[2]
        for b, s in zip(plan.states, states, strict=True)
    ]
    released = [s[3] for s in states] if backward and layout.fresh is not None else []
    histories = {
        i: s
        for i, (b, s) in enumerate(zip(plan.states, states, strict=True))
        if b.kind == "history"
    }
    return Run(finals, released, histories, {v: memory[b] for v, b in plan.stored.items()})


def _state(buffer: Buffer, start: Any, layout: Layout, reverse: bool, backward: bool) -> Any:
    """Return the memory of a state, with its initial value; see `numba_source`."""
    if buffer.kind == "history":
        history = numpy.empty((layout.steps + 1, layout.count, buffer.width), start.dtype)
        history[layout.steps if reverse else 0] = start
        return history
    parts = 3 if layout.fresh is None else 4
    state = numpy.empty((parts, layout.count, buffer.width), start.dtype)
    state[2] = start
    state[3:] = 0 if backward else start
    return state


def _packed(matrix: Any, shares: int, parts: int) -> Any:
    """Return a matrix as products read it."""
    real, (inner, width) = matrix.dtype.type, matrix.shape
    packed = numpy.empty(parts * packed_size(real, inner, width // parts), matrix.dtype)
    down, along = (stride // matrix.itemsize for stride in matrix.strides)
    source, target = matrix.ctypes.data, packed.ctypes.data
    pack_shared(real, shares, parts, inner, width, source, down, along, target)
    return packed


def sum_rows(sums: Sequence[RowSum], values: Mapping[Var, Any]) -> dict[Var, Any]:
    """Return sums over rows; see `minigrad.kernels.targets.planned.Target`."""
    if not sums:
        return {}
    pairs = []
    for s in sums:
        right = None if s.right is None else _in_rows(values[s.right])
        pairs.append((_in_rows(values[s.left]), right))
    results = row_sums(pairs)
    return {s.result: r.reshape(s.result.shape) for s, r in zip(sums, results, strict=True)}


def _in_rows(array: Any) -> Any:
    """Return an array in which the elements of a row lie side by side."""
    is_so = array.strides[1] == array.itemsize and array.strides[0] % array.itemsize == 0
    return array if is_so else numpy.ascontiguousarray(array)


def _entry(plan: LoopPlan) -> int:
    """Return the address of the compiled loop."""
    if plan not in _entries:
        _entries[plan] = load_source(numba_source(plan, _LANES[plan.dtype]), "loop")
    address: int = _entries[plan].loop.address
    return address
