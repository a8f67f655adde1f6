"""Where the rows of sequences of different lengths lie, and how they are divided into blocks."""

from __future__ import annotations

from ctypes import c_int64
from typing import Any

import numpy
from numba import cfunc, types

from minigrad.kernels.cpu.compiled import compiled
from minigrad.reuse import address_of

# About how long it takes to compute a row, to do what is done in a step for all rows of a block together,
# and to write the padding of one step of a sequence that has ended.
_ROW, _STEP, _PADDING = 24, 48, 1


@compiled
def _time(steps: int, length: int, is_first: bool) -> int:
    """Return how long a sequence takes; the first one of a block is its longest."""
    step = _ROW + _STEP if is_first else _ROW
    return step * length + _PADDING * (steps - length)


@compiled
def _end_of_block(steps: int, lengths: Any, first: int, last: int, limit: int) -> int:
    """Return where a block of sequences ends that begins with the first and takes no longer."""
    end, time = first, 0
    while end < last:
        time += _time(steps, lengths[end], end == first)
        if time > limit:
            break
        end += 1
    return end


@compiled
def _shortest_time(steps: int, lengths: Any, first: int, last: int, blocks: int) -> int:
    """Return the shortest time in which so many blocks of some sequences can be over."""
    too_short, enough = -1, 0
    for place in range(first, last):
        enough += _time(steps, lengths[place], True)
    while enough - too_short > 1:
        limit, end = (too_short + enough) // 2, first
        for _ in range(blocks):
            end = _end_of_block(steps, lengths, end, last, limit)
        if end == last:
            enough = limit
        else:
            too_short = limit
    return enough


@compiled
def _set_bounds(steps: int, limit: int, tables: Any, table: int, bounds: Any, at: int) -> None:
    """Divide time into chunks: the number of them, the first step of each, and T."""
    chunks, rows = 0, 0
    for t in range(steps):
        there = tables[table + 2 + 2 * t]
        rows += there
        if t == 0 or rows > limit:
            chunks += 1
            bounds[at + chunks], rows = t, there
    bounds[at], bounds[at + chunks + 1] = chunks, steps


_NUMBERS, _ADDRESSES = 5, 8
# Pointers: with arrays it takes Numba two seconds more to compile this.
_SIGNATURE = types.void(*[types.int64] * _NUMBERS, *[types.CPointer(types.int64)] * _ADDRESSES)


@cfunc(_SIGNATURE, cache=True, error_model="numpy")
def _pack(
    steps: int,
    count: int,
    portions: int,
    parts: int,
    limit: int,
    lengths: Any,
    order: Any,
    places: Any,
    tables: Any,
    bounds: Any,
    index: Any,
    following: Any,
    longest: Any,
) -> None:
    # behind so many longer sequences comes the first one of a length
    for length in range(steps + 1):
        following[length] = 0
    for n in range(count):
        for shorter in range(lengths[n]):
            following[shorter] += 1
    for n in range(count):
        place = following[lengths[n]]
        following[lengths[n]] += 1
        order[place], places[n], longest[place] = n, place, lengths[n]

    shortest, first, row = _shortest_time(steps, longest, 0, count, portions), 0, 0
    for number in range(portions):
        last = _end_of_block(steps, longest, first, count, shortest)
        portion, there = number * (1 + 2 * steps), last
        tables[portion] = first
        for t in range(steps):
            while there > first and longest[there - 1] <= t:
                there -= 1
            tables[portion + 1 + 2 * t], tables[portion + 2 + 2 * t] = row, there - first
            for place in range(first, there):
                index[row] = t * count + order[place]
                row += 1
        _set_bounds(steps, limit, tables, portion, bounds, number * (2 + steps))

        begin, shortest_inside = first, _shortest_time(steps, longest, first, last, parts)
        for part in range(parts):
            end = _end_of_block(steps, longest, begin, last, shortest_inside)
            block, there = (portions + number * parts + part) * (1 + 2 * steps), end
            tables[block] = begin
            for t in range(steps):
                while there > begin and longest[there - 1] <= t:
                    there -= 1
                tables[block + 1 + 2 * t] = tables[portion + 1 + 2 * t] + begin - first
                tables[block + 2 + 2 * t] = there - begin
            begin = end
        first = last


_packing = _pack.ctypes
_packing.argtypes = [c_int64] * (_NUMBERS + _ADDRESSES)


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
        lengths,); see `minigrad.kernels.runtime.layout.Layout`.
    """
    lengths, count = numpy.ascontiguousarray(lengths, numpy.int64), len(lengths)
    order, places, longest = numpy.empty((3, count), numpy.int64)
    tables = numpy.empty((portions + blocks, 1 + 2 * steps), numpy.int64)
    bounds = numpy.empty((portions, 2 + steps), numpy.int64)
    index, following = (
        numpy.empty(int(lengths.sum()), numpy.int64),
        numpy.empty(steps + 1, numpy.int64),
    )
    memory = lengths, order, places, tables, bounds, index, following, longest
    _packing(steps, count, portions, blocks // portions, limit, *map(address_of, memory))
    return order, places, tables[:portions], bounds, tables[portions:], index
