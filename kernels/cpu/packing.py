"""Pack a matrix on a team of threads."""

from __future__ import annotations

from typing import Any

import numpy
from numba import cfunc, float32, float64

from minigrad.kernels.cpu.compiled import compiled
from minigrad.kernels.cpu.pack import shared_pack
from minigrad.kernels.cpu.team import run_team, threads_for

_COST = 4  # how many multiplications take as long as to pack an element


def pack_matrix(
    item_bytes: int,
    shares: int,
    parts: int,
    rows: int,
    columns: int,
    address: int,
    row_stride: int,
    column_stride: int,
    target: int,
) -> None:
    """Pack a matrix for threads that share products by columns; see `shared_pack`.

    Parameters
    ----------
    item_bytes : int
        Of float32 or of float64.
    shares, parts, rows, columns : int
    address, row_stride, column_stride : int
        Of the matrix, the strides in elements.
    target : int
        The address of ``parts * packed_size(real, rows, columns // parts)`` elements.
    """
    numbers = [item_bytes, parts, shares, rows, columns, address, row_stride, column_stride, target]
    threads = threads_for(_COST * rows * columns)
    run_team(_entry.address, threads, numpy.array(numbers, numpy.int64))


@compiled
def _pack(real: Any, thread: int, threads: int, arguments: Any) -> None:
    parts, shares, rows, columns = arguments[1], arguments[2], arguments[3], arguments[4]
    matrix, row_stride, column_stride = arguments[5], arguments[6], arguments[7]
    shared_pack(
        real, thread, threads, parts, shares, rows, columns,
        matrix, row_stride, column_stride, arguments[8],
    )  # fmt: skip


@cfunc("void(int64, int64, CPointer(int64))", cache=True, error_model="numpy")
def _entry(thread: int, threads: int, arguments: Any) -> None:
    if arguments[0] == 4:
        _pack(float32, thread, threads, arguments)
    else:
        _pack(float64, thread, threads, arguments)
