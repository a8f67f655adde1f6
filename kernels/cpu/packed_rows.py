"""Where the rows of sequences of different lengths lie, and how they are divided into blocks."""

from __future__ import annotations

from typing import Any

import numpy
from numba import njit

# What is done in a step for all rows of a block together takes about as long as so many rows.
_STEP_COST = 2


@njit(cache=True)
def _end_of_block(lengths: Any, first: int, limit: int) -> int:
    """Return where a block ends that begins with the sequence ``first`` and takes no longer."""
    last, time = first, 0
    while last < len(lengths):
        time += lengths[last] if last > first else (1 + _STEP_COST) * lengths[last]
        if time > limit:
            break
        last += 1
    return last


@njit(cache=True)
def _shortest_time(lengths: Any, blocks: int) -> int:
    """Return the shortest time, in rows, in which so many blocks can be over."""
    too_short, enough = -1, (1 + _STEP_COST) * lengths.sum()
    while enough - too_short > 1:
        limit, end = (too_short + enough) // 2, 0
        for _ in range(blocks):
            end = _end_of_block(lengths, end, limit)
        if end == len(lengths):
            enough = limit
        else:
            too_short = limit
    return enough


_INTEGERS = "int64[::1]"


@njit(f"void({_INTEGERS}, {_INTEGERS}, {_INTEGERS}, int64[:, ::1], {_INTEGERS})", cache=True)
def _pack(lengths: Any, order: Any, places: Any, tables: Any, index: Any) -> None:
    count, steps = len(lengths), tables.shape[1] // 2
    # so many sequences are longer than t, and take part in the step t
    active = numpy.zeros(steps + 1, numpy.int64)
    for length in lengths:
        active[:length] += 1
    following = active.copy()
    for n, length in enumerate(lengths):
        place = following[length]
        order[place], places[n] = n, place
        following[length] += 1

    row = 0
    for t in range(steps):
        for place in range(active[t]):
            index[row + place] = t * count + order[place]
        row += active[t]

    longest, first = lengths[order], 0
    limit = _shortest_time(longest, len(tables))
    for table in tables:
        last = _end_of_block(longest, first, limit)
        table[0], row = first, 0
        for t in range(steps):
            table[1 + 2 * t] = row + first
            table[2 + 2 * t] = min(max(active[t], first), last) - first
            row += active[t]
        first = last


def packed_rows(lengths: Any, steps: int, blocks: int) -> tuple[Any, Any, Any, Any]:
    """Return the order of sequences, the tables of their blocks, and which row lies where.

    The longest sequence comes first, and the rows of a step lie in this order, whatever the number of
    blocks: so sums over rows do not depend on it. A block is a range of the order; the blocks are such
    that the one that takes longest is over as soon as possible.

    Parameters
    ----------
    lengths : numpy.ndarray of int64
        Shape (N,).
    steps, blocks : int
        T, and how many blocks there are.

    Returns
    -------
    order, places, tables, index : numpy.ndarray of int64
        Shapes (N,), (N,), (blocks, 1 + 2 T) and (sum of the lengths,); see
        `minigrad.kernels.layout.Layout`.
    """
    order, places = numpy.empty((2, len(lengths)), numpy.int64)
    tables = numpy.empty((blocks, 1 + 2 * steps), numpy.int64)
    index = numpy.empty(int(lengths.sum()), numpy.int64)
    _pack(lengths, order, places, tables, index)
    return order, places, tables, index
