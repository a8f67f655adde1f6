"""Products of large matrices on a team of threads, by the packed kernels of the loops."""

from __future__ import annotations

from typing import Any

import numpy
from numba import cfunc, float32, float64

from minigrad.kernels.cpu.pack import pack, packed_size
from minigrad.kernels.cpu.product import rows_product
from minigrad.kernels.cpu.team import run_team
from minigrad.kernels.cpu.weight_gradients import is_narrow, scratch_size, shared_gradient
from minigrad.threads import get_num_threads

_ENTRY = "void(int64, int64, CPointer(int64))"
_REALS = {numpy.dtype("float32"): numpy.float32, numpy.dtype("float64"): numpy.float64}
# Below this number of multiplications a call of NumPy is over sooner than ours has begun.
_FEW = 50_000


def matmul(a: Any, b: Any) -> Any:
    """Return ``a @ b``, as `numpy.matmul` does; faster for large matrices of one dtype.

    Parameters
    ----------
    a, b : numpy.ndarray
    """
    real = _REALS.get(a.dtype)
    if real is None or a.dtype != b.dtype or a.ndim != 2 or b.ndim != 2:
        return numpy.matmul(a, b)
    size, (rows, inner), columns = a.itemsize, a.shape, b.shape[1]
    if rows * inner * columns < _FEW or b.shape[0] != inner:
        return numpy.matmul(a, b)
    turned = a.strides[0] == size and a.strides[1] >= rows * size
    if turned and b.strides[1] == size and b.strides[0] >= columns * size:
        return _over_rows(real, a.T, b)
    if a.strides[1] == size and a.strides[0] >= inner * size and min(b.strides) > 0:
        return _by_matrix(real, a, b)
    return numpy.matmul(a, b)


def _by_matrix(real: Any, a: Any, b: Any) -> Any:
    (rows, inner), columns, size = a.shape, b.shape[1], a.itemsize
    packed = numpy.empty(packed_size(real, inner, columns), a.dtype)
    down, along = (stride // size for stride in b.strides)
    pack(real, inner, columns, b.ctypes.data, down, along, packed.ctypes.data)
    c = numpy.empty((rows, columns), a.dtype)
    numbers = (size, rows, a.ctypes.data, a.strides[0] // size, packed.ctypes.data, inner, columns)
    arguments = numpy.array([*numbers, c.ctypes.data], numpy.int64)
    run_team(_product.address, get_num_threads(), arguments)
    return c


def _over_rows(real: Any, a: Any, b: Any) -> Any:
    """Return ``a.T @ b``, a sum over many rows."""
    (rows, outer), inner, size = a.shape, b.shape[1], a.itemsize
    out, threads = numpy.empty((outer, inner), a.dtype), get_num_threads()
    needed = scratch_size(real, inner)
    scratch = numpy.empty(threads * needed, a.dtype)
    numbers = (size, rows, a.ctypes.data, a.strides[0] // size, b.ctypes.data, b.strides[0] // size)
    more = (outer, inner, out.ctypes.data, scratch.ctypes.data, needed)
    run_team(_gradient.address, threads, numpy.array([*numbers, *more], numpy.int64))
    return out.reshape(inner, outer).T if is_narrow(inner) else out


@cfunc(_ENTRY, cache=True, error_model="numpy")
def _product(thread: int, threads: int, arguments: Any) -> None:
    size, rows, a, stride = arguments[0], arguments[1], arguments[2], arguments[3]
    packed, inner, columns, c = arguments[4], arguments[5], arguments[6], arguments[7]
    begin = rows * thread // threads
    n = rows * (thread + 1) // threads - begin
    a += begin * stride * size
    c += begin * columns * size
    if size == 4:
        rows_product(float32, n, a, stride, packed, inner, columns, 0, 0, c, columns)
    else:
        rows_product(float64, n, a, stride, packed, inner, columns, 0, 0, c, columns)


@cfunc(_ENTRY, cache=True, error_model="numpy")
def _gradient(thread: int, threads: int, arguments: Any) -> None:
    size, rows, a, a_stride = arguments[0], arguments[1], arguments[2], arguments[3]
    b, b_stride, outer, inner = arguments[4], arguments[5], arguments[6], arguments[7]
    out, scratch = arguments[8], arguments[9] + thread * arguments[10] * arguments[0]
    if size == 4:
        shared_gradient(
            float32, thread, threads, rows, a, a_stride, outer, b, b_stride, inner, out, 0, scratch
        )
    else:
        shared_gradient(
            float64, thread, threads, rows, a, a_stride, outer, b, b_stride, inner, out, 0, scratch
        )
