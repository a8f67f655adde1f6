"""Copy rows of arrays on a team of threads: to where a loop has them and back, or side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy
from numba import cfunc

from minigrad.kernels.cpu.ragged.gather_scatter import WORD, clear_row, copy_row
from minigrad.kernels.cpu.simd.vector import load_integer
from minigrad.kernels.cpu.threads.team import ENTRY_TYPE, run_team, threads_for
from minigrad.kernels.runtime.layout import taken
from minigrad.reuse import address_of, reused_array

_COST = 4  # how many multiplications take as long as to copy four bytes


def take_rows(rows: Any, index: Any) -> Any:
    """Return ``rows[index]``, with zeros where the index is negative.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (any number, ...).
    index : numpy.ndarray of int64
        Any shape.
    """
    size = rows[:1].nbytes
    if not rows.flags.c_contiguous or size % WORD or not len(rows):
        return taken(rows, index)
    found, address = reused_array((*index.shape, *rows.shape[1:]), rows.dtype)
    numbers = [index.size, address_of(rows), address_of(index), address, size // WORD]
    threads = threads_for(_COST * found.nbytes / WORD)
    run_team(_take.address, threads, numpy.array(numbers, numpy.int64))
    return found


def joined_rows(parts: Sequence[Any]) -> Any:
    """Return arrays side by side, joined along their last axis.

    Parameters
    ----------
    parts : sequence of numpy.ndarray
        Of one dtype, which may differ in their last axis.
    """
    first = parts[0]
    widths = [part.shape[-1] * part.itemsize for part in parts]
    if not all(part.flags.c_contiguous for part in parts) or any(w % WORD for w in widths):
        return numpy.concatenate(parts, axis=-1)
    columns = sum(part.shape[-1] for part in parts)
    found, address = reused_array((*first.shape[:-1], columns), first.dtype)
    count, to = math.prod(first.shape[:-1]), address
    numbers = [count, len(parts), sum(widths)]
    for part, width in zip(parts, widths, strict=True):
        numbers += [address_of(part), to, width // WORD]
        to += width
    threads = threads_for(_COST * found.nbytes / WORD)
    run_team(_join.address, threads, numpy.array(numbers, numpy.int64))
    return found


@cfunc(ENTRY_TYPE, cache=True, error_model="numpy")
def _take(thread: int, threads: int, arguments: Any) -> None:
    count, rows, index, out = arguments[0], arguments[1], arguments[2], arguments[3]
    size = arguments[4] * WORD
    for row in range(count * thread // threads, count * (thread + 1) // threads):
        number, target = load_integer(index + 8 * row), out + row * size
        if number < 0:
            clear_row(target, size)
        else:
            copy_row(rows + number * size, target, size)


@cfunc(ENTRY_TYPE, cache=True, error_model="numpy")
def _join(thread: int, threads: int, arguments: Any) -> None:
    count, parts, stride = arguments[0], arguments[1], arguments[2]
    for row in range(count * thread // threads, count * (thread + 1) // threads):
        for part in range(parts):
            source, target = arguments[3 + 3 * part], arguments[4 + 3 * part]
            size = arguments[5 + 3 * part] * WORD
            copy_row(source + row * size, target + row * stride, size)
