"""Pack several matrices on a team of threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
from numba import cfunc, float32, float64

from minigrad.kernels.cpu.compiled import compiled
from minigrad.kernels.cpu.microkernel import item_size
from minigrad.kernels.cpu.pack import pack_panels, panel_count, share_start, whole_vectors
from minigrad.kernels.cpu.team import run_team, threads_for

_HEAD = 3  # item size, shares, number of matrices
_ITEM = 7
_COST = 4  # how many multiplications take as long as to pack an element


def pack_matrices(
    item_bytes: int, shares: int, items: Sequence[tuple[int, int, int, int, int, int, int]]
) -> None:
    """Pack matrices for threads that share products by columns.

    The columns of each share of each part are packed as a matrix of their own, share by share.

    Parameters
    ----------
    item_bytes : int
        Of float32 or of float64.
    shares : int
    items : sequence of tuple
        For each matrix: parts of equal width, rows, columns, address, row stride and column stride in
        elements, and the address of ``parts * packed_size(real, rows, columns // parts)`` elements.
    """
    numbers, elements = [item_bytes, shares, len(items)], 0
    for item in items:
        numbers += item
        elements += item[1] * item[2]
    threads = threads_for(_COST * elements)
    run_team(_entry.address, threads, numpy.array(numbers, numpy.int64))


@compiled
def _pack(real: Any, thread: int, threads: int, arguments: Any) -> None:
    size, shares = item_size(real), arguments[1]
    for number in range(arguments[2]):
        at = _HEAD + number * _ITEM
        parts, inner, columns = arguments[at], arguments[at + 1], arguments[at + 2]
        matrix, row_stride = arguments[at + 3], arguments[at + 4]
        column_stride, target = arguments[at + 5], arguments[at + 6]
        width = columns // parts
        for share in range(shares):
            start = share_start(real, width, share, shares)
            length = share_start(real, width, share + 1, shares) - start
            panels = panel_count(real, length)
            for part in range(parts):
                pack_panels(
                    real,
                    panels * thread // threads,
                    panels * (thread + 1) // threads,
                    inner,
                    length,
                    matrix + (part * width + start) * column_stride * size,
                    row_stride,
                    column_stride,
                    target,
                )
                target += inner * whole_vectors(real, length) * size


@cfunc("void(int64, int64, CPointer(int64))", cache=True, error_model="numpy")
def _entry(thread: int, threads: int, arguments: Any) -> None:
    if arguments[0] == 4:
        _pack(float32, thread, threads, arguments)
    else:
        _pack(float64, thread, threads, arguments)
