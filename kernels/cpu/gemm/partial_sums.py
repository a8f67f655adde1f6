"""Add the sums over the rows of portions of sequences, each of which a thread has taken by itself."""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cpu.compiled import instructions
from minigrad.kernels.cpu.gemm.microkernel import item_size, lanes
from minigrad.kernels.cpu.gemm.pack import share_start
from minigrad.kernels.cpu.linked import external
from minigrad.kernels.cpu.simd.vector_instructions import VectorBuilder


@instructions
def _add_first(vector: VectorBuilder, left: Any, right: Any, target: Any, count: Any) -> None:
    """Store the sums of the first ``count`` elements of two vectors."""
    there = vector.first(count)
    a, b = (vector.load(vector.pointer(place), there) for place in (left, right))
    vector.store(vector.builder.fadd(a, b), vector.pointer(target), there)


@instructions
def _copy_first(vector: VectorBuilder, source: Any, target: Any, count: Any) -> None:
    """Copy the first ``count`` elements of a vector, and touch no other."""
    there = vector.first(count)
    vector.store(vector.load(vector.pointer(source), there), vector.pointer(target), there)


@external
def add_parts(
    real: Any, thread: int, threads: int, count: int, size: int, parts: int, out: int
) -> None:
    """Compute a thread's elements of the sum of some parts.

    Parameters
    ----------
    real : type
        np.float32 or np.float64.
    thread, threads : int
        The number of the thread, and how many there are.
    count, size : int
        How many parts there are, at least 1, and how many elements each has.
    parts, out : int
        Addresses of the first part, which the others follow, and of the sum.
    """
    first = share_start(real, size, thread, threads)
    last = share_start(real, size, thread + 1, threads)
    item = item_size(real)
    for place in range(first, last, lanes(real)):
        number, at = min(lanes(real), last - place), place * item
        if count == 1:
            _copy_first(real, parts + at, out + at, number)
        for part in range(1, count):
            left = out + at if part > 1 else parts + at
            _add_first(real, left, parts + (part * size + place) * item, out + at, number)
