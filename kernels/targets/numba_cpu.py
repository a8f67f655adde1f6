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
from minigrad.kernels.cpu.lanes import DOUBLE, SINGLE
from minigrad.kernels.cpu.pack import pack, packed_size
from minigrad.kernels.cpu.team import run_team
from minigrad.kernels.cpu.wide import matmul
from minigrad.kernels.emit.numba_source import numba_source
from minigrad.kernels.plan import LoopPlan
from minigrad.kernels.rows import Rows
from minigrad.threads import get_num_threads

_LANES = {numpy.dtype("float32"): SINGLE.lanes, numpy.dtype("float64"): DOUBLE.lanes}
NAMESPACE = SimpleNamespace(**{**vars(backend_named("numpy").namespace), "matmul": matmul})
"""NumPy as formulas take it, with our own product for what is computed outside of the loop."""
_entries: WeakKeyDictionary[LoopPlan, Any] = WeakKeyDictionary()


def run_loop(
    plan: LoopPlan,
    steps: int,
    read: Mapping[Var, Any],
    fixed: Mapping[Var, Any],
    initial: Sequence[Any],
    *,
    reverse: bool,
    backward: bool,
    rows: Rows | None,
) -> tuple[list[Any], list[Any], dict[Var, Any]]:
    """Run the loop; see `minigrad.kernels.targets.planned.RunLoop`."""
    count, real = initial[0].shape[0], plan.dtype.type
    entry = _entry(plan)
    stored = {v: numpy.empty((steps, count, b.width), plan.dtype) for v, b in plan.stored.items()}
    states = []
    for start, buffer in zip(initial, plan.states, strict=True):
        state = numpy.empty((3, count, buffer.width), plan.dtype)
        state[0], state[2] = start, 0 if backward else start
        states.append(state)
    inners = {p.matrix: p.inner for phase in plan.phases for p in phase.products}
    parameters = []
    for var, buffer in plan.fixed.items():
        array = fixed[var]
        if buffer.kind == "matrix":
            inner, width = inners[buffer], buffer.width
            packed = numpy.empty(packed_size(real, inner, width), plan.dtype)
            down, along = (stride // array.itemsize for stride in array.strides)
            pack(real, inner, width, array.ctypes.data, down, along, packed.ctypes.data)
            parameters.append(packed)
        else:
            parameters.append(numpy.ascontiguousarray(array, plan.dtype))
    scratch = [numpy.empty((count, b.width), plan.dtype) for b in plan.scratch]
    sequences = [numpy.ascontiguousarray(read[v]) for v in plan.read]
    arrays = (*sequences, *stored.values(), *parameters, *states, *scratch)
    flags = [] if rows is None else [f.astype(numpy.int64) for f in (rows.present, rows.fresh)]
    present, fresh = (f.ctypes.data for f in flags) if flags else (0, 0)
    numbers = (steps, count, reverse, backward, present, fresh)
    arguments = numpy.array([*numbers, *(a.ctypes.data for a in arrays)], numpy.int64)
    run_team(entry, get_num_threads(), arguments)
    return [s[steps % 2] for s in states], [s[2] for s in states], stored


def _entry(plan: LoopPlan) -> int:
    """Return the address of the compiled loop."""
    if plan not in _entries:
        _entries[plan] = load_source(numba_source(plan, _LANES[plan.dtype]), "loop")
    address: int = _entries[plan].loop.address
    return address
