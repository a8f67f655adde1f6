"""A caching allocator for large arrays: new pages from the system cost a third of a training step.

The system hands out pages filled with zeros, one by one as they are touched. A training step asks for
the same sizes again and again, so the memory of arrays that are gone is kept for the next ones.
"""

from __future__ import annotations

import math
import mmap
import os
import threading
from contextlib import suppress
from ctypes import addressof, c_char
from sys import getrefcount
from typing import Any, NamedTuple

import numpy

CACHE_LINE = 64  # bytes
_PAGE = 1 << 21  # of the large pages: the processor finds an address in them faster
_SMALL = 1 << 15  # the C library uses again what is not larger


class Memory(numpy.ndarray[Any, Any]):
    """The bytes that arrays look at."""


class Piece(NamedTuple):
    """Some memory.

    Attributes
    ----------
    address : int
        Of the first cache line.
    size : int
        Bytes that can be used from there.
    memory : Memory
        What owns it. Each array that looks at it refers to this one.
    skipped : int
        Where in ``memory`` that address is.
    """

    address: int
    size: int
    memory: Memory
    skipped: int

    def array(self, shape: Any, kind: Any) -> Any:
        """Return an array of this memory."""
        return numpy.ndarray(shape, kind, self.memory, self.skipped)


def new_piece(size: int) -> Piece:
    """Return new memory, filled with zeros, that begins on a cache line; on large pages if it is large.

    Parameters
    ----------
    size : int
        Bytes.
    """
    if size < _PAGE or not hasattr(mmap, "MAP_ANONYMOUS"):  # Windows has none
        memory = Memory((size + CACHE_LINE,), numpy.uint8)
        memory.fill(0)
        boundary = CACHE_LINE
    else:
        # private: a forked child has its own, and only private memory gets large pages
        length, flags = -(-size // _PAGE) * _PAGE + _PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        region = mmap.mmap(-1, length, flags=flags)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a system without large pages: small ones do as well
                region.madvise(mmap.MADV_HUGEPAGE)
        memory = Memory((len(region),), numpy.uint8, region)
        boundary = _PAGE
    start = address_of(memory)
    skipped = -start % boundary
    return Piece(start + skipped, size, memory, skipped)


def address_of(array: Any) -> int:
    """Return where the first element of an array is. ``array.ctypes.data`` is three times slower."""
    try:
        return addressof(c_char.from_buffer(array))
    except (BufferError, TypeError, ValueError):  # read-only, empty, or not in one piece
        found: int = array.ctypes.data
        return found


def is_alone(array: Any) -> bool:
    """Say whether no other array looks at the same memory, other than views of this one.

    False is always possible: it is not said of views that NumPy made.
    """
    base = array.base
    return base is None or (
        type(base) is Memory and array.flags.c_contiguous and getrefcount(base) == _UNUSED + 2
    )


def _references(piece: Piece) -> int:
    return getrefcount(piece.memory)


# to memory that no array looks at
_UNUSED = _references(new_piece(0))


class Allocator:
    """Memory that is free when no array looks at it any more.

    There are hardly ever more bytes in it than arrays had in use at once, and half of that.
    """

    def __init__(self) -> None:
        self.pieces: dict[int, list[Piece]] = {}  # by size, the one that was new last at the end
        self.most_in_use = 0
        self.lock = threading.Lock()

    def array(self, shape: tuple[int, ...], kind: Any) -> tuple[Any, int]:
        """Return an array, and its address; its content is arbitrary.

        It begins on a cache line, unless it is small.

        Parameters
        ----------
        shape : tuple of int
        kind : numpy.dtype
        """
        size = math.prod(shape) * kind.itemsize
        # Who is interrupted in here, by a signal, say, must not wait for itself.
        if size > _SMALL and self.lock.acquire(blocking=False):
            try:
                piece = self._free_piece(size)
                return piece.array(shape, kind), piece.address
            finally:
                self.lock.release()
        array = numpy.empty(shape, kind)
        return array, address_of(array)

    def _free_piece(self, size: int) -> Piece:
        step = 1 << (size.bit_length() - 4)  # similar sizes share their pieces
        size = -(-size // step) * step
        for piece in self.pieces.get(size, ()):
            if getrefcount(piece.memory) == _UNUSED:
                return piece
        self._make_room(size)
        piece = new_piece(size)
        self.pieces.setdefault(size, []).append(piece)
        return piece

    def _make_room(self, size: int) -> None:
        """Let go of what is free, first of the sizes that have been there for the longest time."""
        kept = sum(known * len(pieces) for known, pieces in self.pieces.items())
        free = {
            known: [piece for piece in pieces if getrefcount(piece.memory) == _UNUSED]
            for known, pieces in self.pieces.items()
        }
        in_use = kept - sum(known * len(pieces) for known, pieces in free.items())
        self.most_in_use = max(self.most_in_use, in_use + size)
        limit = self.most_in_use + self.most_in_use // 2
        for known, pieces in free.items():
            while pieces and kept + size > limit:
                self.pieces[known].remove(pieces.pop())
                kept -= known
            if not self.pieces[known]:
                del self.pieces[known]


_allocator = Allocator()
reused_array = _allocator.array


def _start_anew() -> None:
    """In a forked child no other thread holds the lock any more."""
    _allocator.lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_start_anew)
