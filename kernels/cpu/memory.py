"""Large pieces of memory that are used again: to get new ones from the system costs a third of a step.

The system hands out pages filled with zeros, one by one as they are touched. A training step asks for
the same sizes again and again, so what it has let go is kept for the next one.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy

_LINE = 64  # bytes
_LEAST = 1 << 12


class Piece(NamedTuple):
    """Some memory.

    Attributes
    ----------
    address : int
        Of the first cache line.
    size : int
        Bytes that can be used from there.
    memory : numpy.ndarray
        What owns it.
    """

    address: int
    size: int
    memory: Any


class _Pool:
    """Pieces of memory that nobody uses: no more than were in use at once."""

    def __init__(self) -> None:
        self.free: OrderedDict[int, list[Piece]] = OrderedDict()
        self.in_use = self.most_in_use = self.kept = 0
        # an array can vanish in any line, also while this thread holds the lock
        self.lock = threading.RLock()

    def borrow(self, size: int) -> Piece:
        """Return a piece of at least ``size`` bytes, a little larger; its content is arbitrary."""
        step = max(_LEAST, 1 << max(0, size.bit_length() - 4))
        wanted = -(-size // step) * step
        with self.lock:
            pieces = self.free.get(wanted)
            piece = pieces.pop() if pieces else None
            if piece is not None:
                self.kept -= wanted
            self.in_use += wanted
            self.most_in_use = max(self.most_in_use, self.in_use)
            self._shrink()
        if piece is not None:
            return piece
        memory = numpy.empty(wanted + _LINE, numpy.uint8)
        start: int = memory.ctypes.data
        return Piece(start + -start % _LINE, wanted, memory)

    def give_back(self, piece: Piece) -> None:
        """Keep a piece for later."""
        size = piece.size
        with self.lock:
            self.in_use -= size
            self.kept += size
            self.free.setdefault(size, []).append(piece)
            self.free.move_to_end(size)
            self._shrink()

    def _shrink(self) -> None:
        """Let go of the sizes that were given back the longest time ago."""
        while self.free and self.kept > self.most_in_use:
            size, pieces = next(iter(self.free.items()))
            if pieces:
                self.kept -= size
                pieces.pop()
            else:
                del self.free[size]


_pool = _Pool()
borrow, give_back = _pool.borrow, _pool.give_back


def _start_anew() -> None:
    """In a forked child no other thread holds the lock any more."""
    _pool.lock = threading.RLock()


os.register_at_fork(after_in_child=_start_anew)


class _Owner:
    """The owner of an array's memory, which gives it back when the last view of it is gone."""

    __slots__ = ("__array_interface__", "__weakref__", "piece")

    __array_interface__: dict[str, Any]

    def __init__(self, piece: Piece) -> None:
        self.piece = piece

    # bound here: when a program ends, names of modules vanish before the last arrays do
    def __del__(self, give_back: Any = give_back) -> None:
        give_back(self.piece)


def borrowed_array(elements: int, kind: Any) -> tuple[Any, int]:
    """Return a flat array that begins on a cache line, and its address; its content is arbitrary.

    Its memory is given back by itself.

    Parameters
    ----------
    elements : int
    kind : numpy.dtype
    """
    piece = borrow(elements * kind.itemsize)
    owner = _Owner(piece)
    owner.__array_interface__ = {
        "version": 3,
        "shape": (elements,),
        "typestr": kind.str,
        "data": (piece.address, False),
    }
    return numpy.asarray(owner), piece.address
