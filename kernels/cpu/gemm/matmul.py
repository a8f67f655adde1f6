"""Products of large matrices on a team of threads, by the packed kernels of the loops."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy
from numba import cfunc

from minigrad.kernels.cpu.gemm.microkernel import item_size
from minigrad.kernels.cpu.gemm.pack import packed_size
from minigrad.kernels.cpu.gemm.packing import pack_matrix
from minigrad.kernels.cpu.gemm.product import rows_product
from minigrad.kernels.cpu.gemm.weight_gradients import is_narrow, scratch_size, shared_gradient
from minigrad.kernels.cpu.linked import provide
from minigrad.kernels.cpu.threads.team import ENTRY_TYPE, run_team
from minigrad.kernels.cpu.workspaces import borrow, give_back
from minigrad.reuse import CACHE_LINE, address_of, reused_array
from minigrad.threads import get_num_threads

_REALS = {numpy.dtype("float32"): numpy.float32, numpy.dtype("float64"): numpy.float64}
# Below these numbers of multiplications a call of NumPy is over sooner than ours has begun.
_FEW, _FEW_BY_MATRIX = 400_000, 1_000_000
# A matrix is read and written once more to be packed, and a sum over rows is taken in long chains: that
# has to pay for so few rows, too.
_FEW_ROWS, _SHORT = 96, 8


def matmul(a: Any, b: Any) -> Any:
    """Return ``a @ b``, as `numpy.matmul` does; faster for large matrices of one dtype.

    Parameters
    ----------
    a, b : numpy.ndarray
    """
    if b.ndim != 2 or a.ndim < 2 or a.size * b.shape[1] < _FEW or a.dtype != b.dtype:
        return numpy.matmul(a, b)
    real, inner, size = _REALS.get(a.dtype), a.shape[-1], a.itemsize
    if real is None or b.shape[0] != inner:
        return numpy.matmul(a, b)
    if a.ndim > 2:
        if not a.flags.c_contiguous:
            return numpy.matmul(a, b)
        product = matmul(a.reshape(math.prod(a.shape[:-1]), inner), b)
        return product.reshape(*a.shape[:-1], b.shape[1])
    rows, columns = len(a), b.shape[1]
    turned = a.strides[0] == size and a.strides[1] >= rows * size
    if turned and inner >= _SHORT and b.strides[1] == size and b.strides[0] >= columns * size:
        return _over_rows(real, a.T, b)
    lies_in_rows = a.strides[1] == size and a.strides[0] >= inner * size
    wide = rows >= _FEW_ROWS and rows * inner * columns >= _FEW_BY_MATRIX
    if wide and lies_in_rows and min(b.strides) > 0:
        return _by_matrix(real, a, b)
    return numpy.matmul(a, b)


def _by_matrix(real: Any, a: Any, b: Any) -> Any:
    """Return ``a @ b`` of a matrix of many rows: each thread has some of them."""
    (rows, inner), columns, size = a.shape, b.shape[1], a.itemsize
    work = borrow(packed_size(real, inner, columns) * size)
    down, along = b.strides
    at = address_of(b.T if down < along else b)
    pack_matrix(real, 1, 1, inner, columns, at, down // size, along // size, work.address)
    c, out = reused_array((rows, columns), a.dtype)
    numbers = (rows, a.ctypes.data, a.strides[0] // size, work.address, inner, columns, out)
    run_team(_product(real).address, get_num_threads(), numpy.array(numbers, numpy.int64))
    give_back(work)
    return c


def _over_rows(real: Any, a: Any, b: Any) -> Any:
    """Return ``a.T @ b``, a sum over many rows: each thread has some columns of a."""
    (rows, outer), inner, size, threads = a.shape, b.shape[1], a.itemsize, get_num_threads()
    turned = is_narrow(inner)
    out, to = reused_array((inner, outer) if turned else (outer, inner), a.dtype)
    scratch = -(-scratch_size(real, inner) * size // CACHE_LINE) * CACHE_LINE
    work = borrow(threads * scratch)
    numbers = (rows, a.ctypes.data, a.strides[0] // size, b.ctypes.data, b.strides[0] // size)
    more = (outer, inner, to, work.address, scratch)
    run_team(_gradient(real).address, threads, numpy.array([*numbers, *more], numpy.int64))
    give_back(work)
    return numpy.ascontiguousarray(out.T) if turned else out


@cache
def _product(real: Any) -> Any:
    """Return what multiplies matrices of np.float32 or np.float64."""
    provide(real)

    @cfunc(ENTRY_TYPE, cache=True, error_model="numpy")
    def entry(thread: int, threads: int, arguments: Any) -> None:
        rows, a, stride = arguments[0], arguments[1], arguments[2]
        packed, inner, columns, c = arguments[3], arguments[4], arguments[5], arguments[6]
        begin = rows * thread // threads
        n = rows * (thread + 1) // threads - begin
        a += begin * stride * item_size(real)
        c += begin * columns * item_size(real)
        rows_product(real, n, a, stride, packed, inner, columns, 0, 0, c, columns)

    return entry


@cache
def _gradient(real: Any) -> Any:
    """Return what sums over the rows of matrices of np.float32 or np.float64."""
    provide(real)

    @cfunc(ENTRY_TYPE, cache=True, error_model="numpy")
    def entry(thread: int, threads: int, arguments: Any) -> None:
        rows, a, a_stride, b, b_stride = (
            arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
        )  # fmt: skip
        outer, inner, out = arguments[5], arguments[6], arguments[7]
        scratch = arguments[8] + thread * arguments[9]
        shared_gradient(
            real, thread, threads, rows, a, a_stride, outer, b, b_stride, inner, out, 0, scratch
        )

    return entry
