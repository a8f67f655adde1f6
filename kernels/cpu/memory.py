"""Memory that is used again: to get new pages from the system costs a third of a training step.

The system hands out pages filled with zeros, one by one as they are touched. A training step asks for
the same sizes again and again, so the arrays that it has let go are kept for the next one. What a loop
needs while it runs lies in one piece, the same for every loop, which therefore stays in the caches.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from typing import Any, NamedTuple

import numpy

_LINE = 64  # bytes
_PAGE = 1 << 21  # of the large pages: the processor finds an address in them faster
_SMALL = 1 << 15  # the C library uses again what is not larger
# Free pieces that so many others were asked for since are let go.
_AGE = 256


class Piece(NamedTuple):
    """Some memory.

    Attributes
    ----------
    address : int
        Of the first cache line.
    size : int
        Bytes that can be used from there.
    memory : numpy.ndarray
        What owns it. Whoever looks at it refers to this array.
    skipped : int
        Where in ``memory`` that address is.
    """

    address: int
    size: int
    memory: Any
    skipped: int

    def array(self, elements: int, kind: Any) -> Any:
        """Return a flat array of this memory."""
        return numpy.ndarray((elements,), kind, self.memory, self.skipped)


def new_piece(size: int) -> Piece:
    """Return new memory, filled with zeros, that begins on a cache line; on large pages if it is large.

    Parameters
    ----------
    size : int
        Bytes.
    """
    if size < _PAGE:
        memory = numpy.zeros(size + _LINE, numpy.uint8)
        boundary = _LINE
    else:
        region = mmap.mmap(-1, -(-size // _PAGE) * _PAGE + _PAGE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            try:
                region.madvise(mmap.MADV_HUGEPAGE)
            except OSError:  # a system without large pages: small ones do as well
                pass
        memory = numpy.frombuffer(region, numpy.uint8)
        boundary = _PAGE
    start: int = memory.ctypes.data
    skipped = -start % boundary
    return Piece(start + skipped, size, memory, skipped)


class Workspaces:
    """Memory for work that ends where it began. As many pieces as were in use at once."""

    def __init__(self) -> None:
        self.free: list[Piece] = []

    def borrow(self, size: int) -> Piece:
        """Return a piece of at least ``size`` bytes for the caller alone; its content is arbitrary."""
        try:
            piece = self.free.pop()  # the last one that was used, which is in the caches
        except IndexError:
            piece = None
        if piece is None or piece.size < size:
            piece = new_piece(max(size + size // 4, _SMALL))
        return piece

    def give_back(self, piece: Piece) -> None:
        """Keep a piece for later."""
        self.free.append(piece)


class Arrays:
    """Memory for arrays. It is free when no array looks at it any more.

    There are never more bytes in it than arrays had in use at once.
    """

    def __init__(self) -> None:
        self.pieces: list[list[Any]] = []  # piece, and when it was used last
        self.time = self.most_in_use = 0
        self.lock = threading.Lock()
        # nobody but a piece refers to its memory (and the argument of this call)
        alone = new_piece(0)
        self.unused = sys.getrefcount(alone.memory)

    def array(self, elements: int, kind: Any) -> tuple[Any, int]:
        """Return a flat array that begins on a cache line, and its address; its content is arbitrary.

        Parameters
        ----------
        elements : int
        kind : numpy.dtype
        """
        size = elements * kind.itemsize
        # Who is interrupted in here, by a signal, say, must not wait for itself.
        if size > _SMALL and self.lock.acquire(blocking=False):
            try:
                piece = self._free_piece(size)
                return piece.array(elements, kind), piece.address
            finally:
                self.lock.release()
        piece = new_piece(size)
        return piece.array(elements, kind), piece.address

    def _free_piece(self, size: int) -> Piece:
        self.time += 1
        found: list[Any] | None = None
        for entry in self.pieces:
            piece = entry[0]
            if size <= piece.size <= size + size // 4 and (
                found is None or piece.size < found[0].size
            ):
                if sys.getrefcount(piece.memory) == self.unused:
                    found = entry
        if found is None:
            self._make_room(size)
            found = [new_piece(size + size // 16), 0]
            self.pieces.append(found)
        found[1] = self.time
        piece = found[0]
        return piece

    def _make_room(self, size: int) -> None:
        """Let go of what has been free for the longest time."""
        free = [e for e in self.pieces if sys.getrefcount(e[0].memory) == self.unused]
        kept = sum(entry[0].size for entry in self.pieces)
        in_use = kept - sum(entry[0].size for entry in free)
        self.most_in_use = max(self.most_in_use, in_use + size)
        for entry in sorted(free, key=lambda entry: entry[1]):
            if kept + size <= self.most_in_use and entry[1] > self.time - _AGE:
                break
            kept -= entry[0].size
            self.pieces.remove(entry)


workspaces, arrays = Workspaces(), Arrays()
borrow, give_back, pooled_array = workspaces.borrow, workspaces.give_back, arrays.array


def _start_anew() -> None:
    """In a forked child no other thread holds the lock any more."""
    arrays.lock = threading.Lock()


os.register_at_fork(after_in_child=_start_anew)
