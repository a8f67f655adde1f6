"""Where the rows of each step lie in memory, and how they are divided into blocks.

A block is a set of sequences that one thread takes through all steps. Rows behind the length of their
sequence are not in memory at all: the longest sequence comes first, so that the sequences of a step are
the first ones of those of the step before it, and its rows are packed behind those of that step. Such
sequences are divided into portions first: each has rows, and sums over rows, of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy

from minigrad.kernels.runtime.rows import Rows

Take = Callable[[Any, Any], Any]
# see `minigrad.kernels.cpu.ragged.packed_sequences.packed_rows`
Pack = Callable[[Any, int, int, int, int], tuple[Any, Any, Any, Any, Any, Any]]

# What is computed for all rows of a chunk reads its matrix once for so many rows, which stay in a cache.
# Results do depend on this number, since sums over rows are taken chunk by chunk.
CHUNK_ROWS = 256

# A thread whose blocks are portions adds up their rows by itself, while they are in its caches. Sums of
# more portions would do for more threads, and cost all of them. Results do depend on this number.
_PORTIONS = 2


def taken(rows: Any, index: Any) -> Any:
    """Return ``rows[index]``, with zeros where the index is negative."""
    if not len(rows):
        return numpy.zeros((*index.shape, *rows.shape[1:]), rows.dtype)
    found = rows[index]
    found[index < 0] = 0
    return found


@dataclass(frozen=True, eq=False)
class Layout:
    """The rows of a loop of T steps over N sequences.

    Attributes
    ----------
    steps, count : int
        T and N.
    size : int
        How many rows all steps have together.
    tables : numpy.ndarray of int64
        Shape (blocks, 1 + 2 T): the number of the first sequence of the block in ``order``, and for each
        step the position of its first row and how many rows it has.
    portions : numpy.ndarray of int64, optional
        The tables of the portions. None: there are none, and the rows of a step follow each other.
    bounds : numpy.ndarray of int64, optional
        Shape (portions, 2 + T): into how many chunks the time of each portion is divided, the first step
        of each of them, and T.
    index : numpy.ndarray of int64, optional
        Shape (size,): which of the T * N rows lies there. None: all of them, in their order.
    order : numpy.ndarray of int64, optional
        Shape (N,): the sequences, block by block. None: in their order.
    places : numpy.ndarray of int64, optional
        Shape (N,): where in the order each sequence is.
    present, fresh : numpy.ndarray of int64, optional
        Shape (size,). None: all rows are present, none is fresh.
    """

    steps: int
    count: int
    size: int
    tables: Any
    portions: Any = None
    bounds: Any = None
    index: Any = None
    order: Any = None
    places: Any = None
    present: Any = None
    fresh: Any = None

    def rows_of(self, array: Any, take: Take = taken) -> Any:
        """Return the rows (size, ...) of an array (T, N, ...); zeros where a row is absent."""
        rows = array.reshape(self.steps * self.count, *array.shape[2:])
        return rows if self.source is None else take(rows, self.source)

    def over_time(self, rows: Any, take: Take = taken) -> Any:
        """Return an array (T, N, ...) of rows (size, ...); zeros behind the lengths."""
        if self.place is not None:
            return take(rows, self.place)
        return rows.reshape(self.steps, self.count, *rows.shape[1:])

    @property
    def kind(self) -> tuple[int, int, int, bool]:
        """T, N, the number of blocks, and whether there are fresh rows."""
        return self.steps, self.count, len(self.tables), self.fresh is not None

    @cached_property
    def source(self) -> Any:
        """Which of the T * N rows lies at each place, -1 for none; None if each is where it was."""
        if self.present is None:
            return self.index
        return numpy.where(self.present != 0, self.index, -1)

    @cached_property
    def place(self) -> Any:
        """Shape (T, N): where each row lies, -1 for nowhere; None if each is where it was."""
        if self.index is None:
            return None
        places = numpy.full(self.steps * self.count, -1)
        places[self.index] = numpy.arange(self.size)
        return places.reshape(self.steps, self.count)

    def ordered(self, state: Any) -> Any:
        """Return a state (N, ...) block by block."""
        return state if self.order is None else state[self.order]

    def unordered(self, state: Any) -> Any:
        """Return a state that lies block by block in the order of the batch."""
        return state if self.order is None else state[self.places]


@lru_cache(maxsize=64)
def whole_layout(steps: int, count: int, blocks: int) -> Layout:
    """Return the layout of a loop in which every row is present in every step."""
    tables = numpy.empty((blocks, 1 + 2 * steps), numpy.int64)
    bounds = numpy.arange(blocks + 1) * count // blocks
    tables[:, 0] = bounds[:-1]
    tables[:, 1::2] = numpy.arange(steps) * count + bounds[:-1, None]
    tables[:, 2::2] = (bounds[1:] - bounds[:-1])[:, None]
    return Layout(steps, count, steps * count, tables)


def layout_of(steps: int, count: int, blocks: int, rows: Rows | None, pack: Pack) -> Layout:
    """Return the layout of a loop, for so many blocks; of the same rows always the same.

    Parameters
    ----------
    steps, count : int
    blocks : int
        With lengths there can be another one.
    rows : Rows, optional
        Which rows take part in which step, as arrays; None if all do.
    pack : callable
        `minigrad.kernels.cpu.ragged.packed_sequences.packed_rows`.
    """
    if rows is None:
        return whole_layout(steps, count, blocks)
    if not rows.layouts:
        rows.layouts.append(_broken_layout(steps, count, blocks, rows, pack))
    found: Layout = rows.layouts[0]
    return found


def _broken_layout(steps: int, count: int, blocks: int, rows: Rows, pack: Pack) -> Layout:
    lengths, present, fresh = rows.lengths, None, None
    if rows.has_flags:
        present, fresh = rows.host_present, rows.host_fresh
        used = present | fresh
        lengths = numpy.where(used.any(axis=0), steps - used[::-1].argmax(axis=0), 0)
    number = min(_PORTIONS, count)
    parts = max(1, min(-(-blocks // number), count // number))
    found = pack(lengths, steps, number, number * parts, CHUNK_ROWS)
    order, places, portions, bounds, tables, index = found

    def placed(flags: Any) -> Any:
        return flags.reshape(-1)[index].astype(numpy.int64)

    absent = present is not None and not (at := placed(present)).all()
    begun = fresh is not None and fresh.any()
    return Layout(
        steps, count, len(index), tables, portions, bounds, index, order, places,
        at if absent else None, placed(fresh) if begun else None,
    )  # fmt: skip
