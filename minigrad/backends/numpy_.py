"""NumPy, on the CPU."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy

from minigrad.backends import sums
from minigrad.backends.base import Backend
from minigrad.reuse import reused_array
from minigrad.silence import quietly


def _scatter_add(target: Any, key: Any, values: Any) -> Any:
    arrays = [isinstance(part, numpy.ndarray) for part in key]
    if not any(arrays):
        target[key] += values
    elif arrays[0] and all(part is Ellipsis for part in key[1:]) and target.flags.c_contiguous:
        _add_rows(target, key[0], values)
    else:
        numpy.add.at(target, key, values)
    return target


def _add_rows(target: Any, rows: Any, values: Any) -> None:
    """Add ``values`` to ``target[rows]`` by positions in the flat array, which NumPy does faster."""
    count, shape = target.shape[0], target.shape[1:]
    if rows.size and not -count <= rows.min() <= rows.max() < count:
        raise IndexError(
            f"indices run from {rows.min()} to {rows.max()}, out of bounds for axis 0 "
            f"with size {count}"
        )
    width = math.prod(shape)
    first = numpy.where(rows < 0, rows + count, rows).reshape(-1, 1) * width
    values = numpy.broadcast_to(values, (*rows.shape, *shape))
    numpy.add.at(target.reshape(-1), (first + numpy.arange(width)).reshape(-1), values.reshape(-1))


def _scatter_set(target: Any, key: Any, values: Any) -> Any:
    if any(isinstance(part, numpy.ndarray) for part in key):
        # NumPy writes in the order of memory: only in this one does the last of several values stay
        key = tuple(
            numpy.asarray(part, order="C") if isinstance(part, numpy.ndarray) else part
            for part in key
        )
        values = numpy.asarray(values, order="C")
    target[key] = values
    return target


_LARGE = 1 << 20  # bytes


def _concat(arrays: Any, axis: int | None = 0) -> Any:
    if sum(array.nbytes for array in arrays) < _LARGE or axis is None:
        return numpy.concatenate(arrays, axis=axis)
    shapes = {array.shape[:axis] + array.shape[axis:][1:] for array in arrays}
    kinds = {array.dtype for array in arrays}
    if len(shapes) > 1 or len(kinds) > 1:
        return numpy.concatenate(arrays, axis=axis)
    shape = list(arrays[0].shape)
    shape[axis] = sum(array.shape[axis] for array in arrays)
    if axis in (-1, len(shape) - 1) and _joined_rows is not None:
        return _joined_rows(arrays)
    joined, _ = reused_array(tuple(shape), arrays[0].dtype)
    return numpy.concatenate(arrays, axis=axis, out=joined)


_joined_rows: Callable[[Any], Any] | None = None


def join_by(joined_rows: Callable[[Any], Any]) -> None:
    """Join large arrays along their last axis by a function from now on.

    Parameters
    ----------
    joined_rows : callable
        Takes arrays of one dtype that differ in their last axis alone. It copies, so that results do
        not depend on it.
    """
    global _joined_rows
    _joined_rows = joined_rows


def _asarray(data: Any, dtype: Any, index: int) -> Any:
    return quietly(numpy.array, data, dtype=dtype, order="C")


# So many multiplications take NumPy about half a millisecond: then it is worth it to load the kernels.
_MANY = 1 << 24


def _matmul(a: Any, b: Any) -> Any:
    """Return ``a @ b``. The size of the product says by which kernel, and nothing that ran before."""
    if (
        a.ndim > 1 < b.ndim and a.shape[-1] == 1
    ):  # outer products, which BLAS takes four times as long for
        return numpy.multiply(a, b, order="C")
    if b.ndim == 2 and a.size * b.shape[1] >= _MANY:
        from minigrad.kernels.runtime.switch import switch

        if not switch.is_off:
            from minigrad.kernels.cpu.gemm.matmul import matmul  # Numba is loaded when it is needed

            return matmul(a, b)
    return numpy.matmul(a, b)


def load() -> Backend:
    """Return the backend record."""
    # those that are there: to ask for the others would import submodules, which takes a while
    public = {name: vars(numpy)[name] for name in numpy.__all__ if name in vars(numpy)}
    # the function of NumPy is ten times slower than the attribute
    own = {"concat": _concat, "matmul": _matmul, "matrix_transpose": operator.attrgetter("mT")}
    own |= {name: getattr(sums, name) for name in ("sum", "mean", "var", "std", "cumulative_sum")}
    namespace = SimpleNamespace(
        **{**public, **own},
        native=numpy.dtype,
        pick=operator.getitem,
        scatter_add=_scatter_add,
        scatter_set=_scatter_set,
    )
    return Backend(
        name="numpy",
        array_type=numpy.ndarray,
        namespace=namespace,
        asarray=_asarray,
        to_numpy=lambda array: array,
        device_of=lambda array: "cpu",
    )
