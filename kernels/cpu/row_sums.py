"""Several sums over the same rows, on a team of threads: the gradients of weights and biases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy
from numba import cfunc, float32, float64

from minigrad.kernels.cpu.compiled import compiled
from minigrad.kernels.cpu.memory import borrow, give_back
from minigrad.kernels.cpu.microkernel import item_size
from minigrad.kernels.cpu.pack import share_start
from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.weight_gradients import column_sums, scratch_size, weight_gradient

_ITEM = 7  # left, its width and row stride; right, its width and row stride; result
_HEAD = 5  # item size, number of sums, rows, scratch of a thread and its elements


def row_sums(pairs: Sequence[tuple[Any, Any]]) -> list[Any]:
    """Return ``left.T @ right`` for each pair of arrays, or the column sums of ``left`` alone.

    Parameters
    ----------
    pairs : sequence
        Arrays of one dtype, shape (rows, width), in which the elements of a row lie side by side. The
        right one may be None.
    """
    first = pairs[0][0]
    widths = tuple((a.shape[1], 1 if b is None else b.shape[1]) for a, b in pairs)
    threads = threads_for(len(first) * sum(outer * inner for outer, inner in widths))
    needed = _scratch_size(first.itemsize, widths)
    numbers, results = [], []
    for (left, right), (outer, inner) in zip(pairs, widths, strict=True):
        shape = (outer,) if right is None else (outer, inner)
        results.append(numpy.empty(shape, first.dtype))
        there = (0, 0, 0) if right is None else (right.ctypes.data, inner, _stride(right))
        numbers += [left.ctypes.data, outer, _stride(left), *there, results[-1].ctypes.data]
    scratch = borrow(threads * needed * first.itemsize)
    head = [first.itemsize, len(pairs), len(first), scratch.address, needed]
    run_team(_entry.address, threads, numpy.array([*head, *numbers], numpy.int64))
    give_back(scratch)
    return results


@lru_cache(maxsize=256)
def _scratch_size(item_bytes: int, widths: tuple[tuple[int, int], ...]) -> int:
    """Return how many elements a thread needs, whole cache lines."""
    real = numpy.float32 if item_bytes == 4 else numpy.float64
    needed = max(scratch_size(real, outer, inner) for outer, inner in widths)
    return -(-needed // 16) * 16


def _stride(array: Any) -> int:
    stride: int = array.strides[0] // array.itemsize
    return stride


@compiled
def _sum(real: Any, thread: int, threads: int, arguments: Any) -> None:
    rows, needed = arguments[2], arguments[4]
    scratch = arguments[3] + thread * needed * item_size(real)
    for number in range(arguments[1]):
        at = _HEAD + number * _ITEM
        left, outer, stride, out = (
            arguments[at], arguments[at + 1], arguments[at + 2], arguments[at + 6],
        )  # fmt: skip
        right, inner, right_stride = arguments[at + 3], arguments[at + 4], arguments[at + 5]
        first = share_start(real, outer, thread, threads)
        last = share_start(real, outer, thread + 1, threads)
        if right == 0:
            offset = first * item_size(real)
            column_sums(real, rows, left + offset, stride, last - first, out + offset, scratch)
        else:
            weight_gradient(
                real,
                first,
                last,
                rows,
                left,
                stride,
                right,
                right_stride,
                inner,
                out,
                inner,
                scratch,
            )


@cfunc("void(int64, int64, CPointer(int64))", cache=True, error_model="numpy")
def _entry(thread: int, threads: int, arguments: Any) -> None:
    if arguments[0] == 4:
        _sum(float32, thread, threads, arguments)
    else:
        _sum(float64, thread, threads, arguments)
