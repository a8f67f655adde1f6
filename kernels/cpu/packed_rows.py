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


@njit(cache=True)
def _set_bounds(table: Any, bounds: Any, limit: int) -> None:
    """Divide time into chunks: the number of them, the first step of each, and T."""
    steps, chunks, rows = len(table) // 2, 0, 0
    for t in range(steps):
        rows += table[2 + 2 * t]
        if t == 0 or rows > limit:
            chunks += 1
            bounds[chunks], rows = t, table[2 + 2 * t]
    bounds[0], bounds[chunks + 1] = chunks, steps


_INTEGERS, _TABLES = "int64[::1]", "int64[:, ::1]"
_SIGNATURE = f"void({3 * f'{_INTEGERS}, '}{3 * f'{_TABLES}, '}{_INTEGERS}, int64)"


@njit(_SIGNATURE, cache=True)
def _pack(
    lengths: Any,
    order: Any,
    places: Any,
    portions: Any,
    bounds: Any,
    blocks: Any,
    index: Any,
    limit: int,
) -> None:
    count, steps = len(lengths), portions.shape[1] // 2
    # so many sequences are longer than t, and take part in the step t
    active = numpy.zeros(steps + 1, numpy.int64)
    for length in lengths:
        active[:length] += 1
    following = active.copy()
    for n, length in enumerate(lengths):
        place = following[length]
        order[place], places[n] = n, place
        following[length] += 1

    longest, parts = lengths[order], len(blocks) // len(portions)
    shortest, first, row = _shortest_time(longest, len(portions)), 0, 0
    for number, portion in enumerate(portions):
        last = _end_of_block(longest, first, shortest)
        portion[0] = first
        for t in range(steps):
            there = min(max(active[t], first), last)
            portion[1 + 2 * t], portion[2 + 2 * t] = row, there - first
            for place in range(first, there):
                index[row] = t * count + order[place]
                row += 1
        _set_bounds(portion, bounds[number], limit)

        inside, begin = longest[first:last], first
        shortest_inside = _shortest_time(inside, parts)
        for block in blocks[number * parts : (number + 1) * parts]:
            end = first + _end_of_block(inside, begin - first, shortest_inside)
            block[0] = begin
            for t in range(steps):
                block[1 + 2 * t] = portion[1 + 2 * t] + begin - first
                block[2 + 2 * t] = min(max(active[t], begin), end) - begin
            begin = end
        first = last


def packed_rows(
    lengths: Any, steps: int, portions: int, blocks: int, limit: int
) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Return the order of sequences, how they and time are divided, and which row lies where.

    The longest sequence comes first. A portion is a range of this order, and a block one of a portion:
    such that the portion, and the block of a portion, that takes longest is over as soon as possible.
    The rows of a portion lie together, step by step. Where they lie does not depend on the blocks: so
    sums over rows do not, either.

    Parameters
    ----------
    lengths : numpy.ndarray of int64
        Shape (N,).
    steps, portions, blocks : int
        T, how many portions there are, and how many blocks: a multiple.
    limit : int
        How many rows of a portion the steps of a chunk have at most, if there are several.

    Returns
    -------
    order, places, portions, bounds, blocks, index : numpy.ndarray of int64
        Shapes (N,), (N,), (portions, 1 + 2 T), (portions, 2 + T), (blocks, 1 + 2 T) and (sum of the
        lengths,); see `minigrad.kernels.layout.Layout`.
    """
    order, places = numpy.empty((2, len(lengths)), numpy.int64)
    tables = numpy.empty((portions + blocks, 1 + 2 * steps), numpy.int64)
    bounds = numpy.empty((portions, 2 + steps), numpy.int64)
    index = numpy.empty(int(lengths.sum()), numpy.int64)
    _pack(lengths, order, places, tables[:portions], bounds, tables[portions:], index, limit)
    return order, places, tables[:portions], bounds, tables[portions:], index
