"""Take rows of an array, on a team of threads: to where a loop has them, and back."""

from __future__ import annotations

from typing import Any

import numpy
from numba import cfunc

from minigrad.kernels.cpu.team import run_team, threads_for
from minigrad.kernels.cpu.vector import (
    LANES32,
    first32,
    load32,
    load32_masked,
    load_integer,
    splat32,
    store,
    store_masked,
)
from minigrad.kernels.layout import taken
from minigrad.reuse import address_of, reused_array

_COST = 0.25  # how many multiplications take as long as to copy four bytes
_WORD = 4  # bytes


def take_rows(rows: Any, index: Any) -> Any:
    """Return ``rows[index]``, with zeros where the index is negative.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (any number, ...).
    index : numpy.ndarray of int64
        Shape (some number,).
    """
    size = rows[:1].nbytes
    if not rows.flags.c_contiguous or size % _WORD or not len(rows):
        return taken(rows, index)
    found, address = reused_array((len(index), *rows.shape[1:]), rows.dtype)
    numbers = [len(index), address_of(rows), address_of(index), address, size // _WORD]
    threads = threads_for(_COST * found.nbytes / _WORD)
    run_team(_entry.address, threads, numpy.array(numbers, numpy.int64))
    return found


@cfunc("void(int64, int64, CPointer(int64))", cache=True, error_model="numpy")
def _entry(thread: int, threads: int, arguments: Any) -> None:
    count, rows, index, out = arguments[0], arguments[1], arguments[2], arguments[3]
    size, step = arguments[4] * _WORD, LANES32 * _WORD
    whole = size - size % step
    rest = first32((size - whole) // _WORD)
    for row in range(count * thread // threads, count * (thread + 1) // threads):
        number = load_integer(index + 8 * row)
        source, target = rows + number * size, out + row * size
        if number < 0:
            for column in range(0, whole, step):
                store(target + column, splat32(0.0))
            store_masked(target + whole, splat32(0.0), rest)
        else:
            for column in range(0, whole, step):
                store(target + column, load32(source + column))
            store_masked(target + whole, load32_masked(source + whole, rest), rest)
