"""Run the loop of a plan on the CPU: generated code that Numba compiles, on a team of threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy

from minigrad.backends import backend_named
from minigrad.backends.numpy_ import use_threads
from minigrad.graph import Var
from minigrad.kernels.cpu.packed_rows import packed_rows
from minigrad.kernels.cpu.rows import joined_rows, take_rows
from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.wide import matmul
from minigrad.kernels.cpu.workspaces import borrow, give_back
from minigrad.kernels.layout import Layout
from minigrad.kernels.plan import Buffer, LoopPlan
from minigrad.kernels.targets.frames import PACKING, Code, Frame, bytes_at
from minigrad.kernels.targets.matrices import KeptMatrices
from minigrad.kernels.targets.planned import Run
from minigrad.reuse import address_of, reused_array
from minigrad.threads import get_num_threads

__all__ = [
    "blocks",
    "code_of",
    "give",
    "kept_rows",
    "namespace",
    "packed_rows",
    "run_loop",
    "take_rows",
]

# Fewer rows than this for each thread: threads share columns, so that a product has more rows. Matrices
# that do not fit into a core's own cache are worth it for more rows, since each thread reads only a part.
_FEW_ROWS, _FEW_ROWS_OF_LARGE = 8, 12
_LARGE = 1 << 21  # bytes

# The engine's own products, those of a Linear for instance, are as fast from now on.
use_threads(matmul, joined_rows)
namespace = backend_named("numpy").namespace
_kept_matrices = KeptMatrices()


def blocks(plan: LoopPlan, count: int) -> int:
    """Return into how many blocks the sequences are divided: 1 if the threads share columns."""
    threads = get_num_threads()
    if plan.columns is not None:
        is_large = code_of(plan).matrix_bytes > _LARGE
        if count < (_FEW_ROWS_OF_LARGE if is_large else _FEW_ROWS) * threads:
            return 1
    return max(1, min(threads, count))


def code_of(plan: LoopPlan) -> Code:
    """Return the compiled loop of a plan; the second time it is at hand."""
    code: Code | None = plan.compiled.get(__name__)
    if code is None:
        code = plan.compiled[__name__] = Code(plan)
    return code


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
    code = code_of(plan)
    kind, rows = code.dtype, layout.size
    threads, pace = threads_for(rows * code.row_cost), code.pace(layout, reverse)
    alone = threads == 1 or pace.goes_alone(rows, perf_counter())
    frame = code.frame(layout, reverse, backward, 1 if alone else threads)
    working = borrow(frame.working_bytes(layout))
    kept, address = None, 0
    if frame.kept:
        kept, address = reused_array((frame.kept_bytes(layout) // kind.itemsize,), kind)
    arguments = frame.arguments_for(layout, address, working)
    used = give(code, frame, arguments, values, keep)
    given_away, sums = {}, {}
    for var, position, width in (*frame.given_away, *frame.spread):
        shape = layout.steps, layout.count, width
        given_away[var], arguments[position] = reused_array(shape, kind)
    for var, position, shape, turned in code.sums:
        array, arguments[position] = reused_array(shape, kind)
        sums[var] = array.T if turned else array
    starts, ends, firsts = frame.places(kind, kept, working)
    for start, state in zip(starts, initial, strict=True):
        start[...] = state
    for first, state in zip(firsts, initial, strict=False):
        first[...] = 0 if backward else state
    begin = perf_counter()
    run_team(code.entry, 1 if alone else threads, arguments)
    if threads > 1:
        pace.note(alone, rows, perf_counter() - begin)
    del used
    finals = [end.copy() for end in ends]
    released = [first.copy() for first in firsts] if backward else []
    give_back(working)
    for var, _, _, turned in code.sums:
        if turned:
            sums[var] = numpy.ascontiguousarray(sums[var])
    return Run(finals, released, kept, given_away, sums)


def give(code: Code, frame: Frame, arguments: Any, values: Mapping[Var, Any], keep: bool) -> Any:
    """Write among the arguments where values are; return what must live as long as they are used.

    Parameters
    ----------
    code : Code
    frame : Frame
        One of its.
    arguments : numpy.ndarray
    values : dict of array
        What is read, and the vectors and matrices; see `minigrad.kernels.targets.planned.Target`.
    keep : bool
        Whether to keep packed copies of the matrices for another run.
    """
    kind, item = code.dtype, code.dtype.itemsize
    used = []
    for var, position, stride_position in code.read:
        array = values[var]
        if array.ndim == 3:  # in the order of the batch
            array = array.reshape(-1, array.shape[-1])
            if var in frame.moved:  # the loop copies it to where it has it
                arguments[stride_position] = array.shape[-1]
                position, stride_position = frame.moved[var]
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
            piece = _kept_matrices.packed(item, frame.shares, matrix, parts, size)
            used.append(piece)
            arguments[position] = piece.address
        else:
            down, along = matrix.strides
            arguments[source] = address_of(matrix.T if down < along else matrix)
            arguments[source + 1] = down // item
            arguments[source + 2] = along // item
    arguments[PACKING] = not keep
    return used


def kept_rows(
    plan: LoopPlan, layout: Layout, kept: Any, buffers: Sequence[Buffer]
) -> dict[Buffer, Any]:
    """Return what was kept of buffers; see `minigrad.kernels.targets.planned.Target`."""
    code, steps, size = code_of(plan), (layout.steps + 1, layout.count), (layout.size,)
    (places, _), found = code.kept(layout), {}
    for buffer in buffers:
        shape = *(steps if buffer.kind == "history" else size), buffer.width
        at = bytes_at(places[buffer], layout)
        found[buffer] = numpy.ndarray(shape, code.dtype, kept, at)
    return found
