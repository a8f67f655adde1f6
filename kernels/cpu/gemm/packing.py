"""Pack a matrix on a team of threads."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy
from numba import cfunc

from minigrad.kernels.cpu.gemm.pack import shared_pack
from minigrad.kernels.cpu.linked import provide
from minigrad.kernels.cpu.threads.team import ENTRY_TYPE, run_team, threads_for

_COST = 4  # how many multiplications take as long as to pack an element


def pack_matrix(
    real: Any,
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
    real : type
        np.float32 or np.float64.
    shares, parts, rows, columns : int
    address, row_stride, column_stride : int
        Of the matrix, the strides in elements.
    target : int
        The address of ``parts * packed_size(real, rows, columns // parts)`` elements.
    """
    numbers = [parts, shares, rows, columns, address, row_stride, column_stride, target]
    threads = threads_for(_COST * rows * columns)
    run_team(_entry(real).address, threads, numpy.array(numbers, numpy.int64))


@cache
def _entry(real: Any) -> Any:
    """Return what packs matrices of np.float32 or np.float64."""
    provide(real)

    @cfunc(ENTRY_TYPE, cache=True, error_model="numpy")
    def entry(thread: int, threads: int, arguments: Any) -> None:
        parts, shares, rows, columns = arguments[0], arguments[1], arguments[2], arguments[3]
        matrix, row_stride, column_stride = arguments[4], arguments[5], arguments[6]
        shared_pack(
            real, thread, threads, parts, shares, rows, columns,
            matrix, row_stride, column_stride, arguments[7],
        )  # fmt: skip

    return entry
