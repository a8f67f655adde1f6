"""Large pieces of memory that are used again: to get new ones from the system costs a third of a step.

The system hands out pages filled with zeros, one by one as they are touched. A training step asks for
the same sizes again and again, so what it has let go is kept for the next one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy

_LINE = 64  # bytes
_SMALL = 1 << 16  # below this many bytes the allocator of the C library is as fast


class _Pool:
    """Pieces of memory that nobody uses: never more than were in use at once."""

    def __init__(self) -> None:
        self.free: OrderedDict[int, list[Any]] = OrderedDict()
        self.in_use = self.most_in_use = self.kept = 0
        # a lease can end in any line, also while this thread holds the lock
        self.lock = threading.RLock()

    def take(self, size: int) -> Any:
        """Return a piece of at least ``size`` bytes, and a line."""
        step = max(_SMALL, 1 << max(0, size.bit_length() - 4))  # at most an eighth too large
        wanted = -(-(size + _LINE) // step) * step
        with self.lock:
            pieces = self.free.get(wanted)
            piece = pieces.pop() if pieces else None
            if piece is not None:
                self.kept -= wanted
            self.in_use += wanted
            self.most_in_use = max(self.most_in_use, self.in_use)
            self._shrink()
        return numpy.empty(wanted, numpy.uint8) if piece is None else piece

    def give_back(self, piece: Any) -> None:
        """Keep a piece for later."""
        with self.lock:
            self.in_use -= piece.size
            self.kept += piece.size
            self.free.setdefault(piece.size, []).append(piece)
            self.free.move_to_end(piece.size)
            self._shrink()

    def _shrink(self) -> None:
        """Let go of the sizes that were asked for the longest time ago."""
        while self.kept + self.in_use > self.most_in_use:
            size, pieces = next(iter(self.free.items()))
            if pieces:
                pieces.pop()
                self.kept -= size
            else:
                del self.free[size]


_pool = _Pool()


class _Lease:
    """The owner of an array's memory, which gives it back when the last view of it is gone."""

    __slots__ = ("__array_interface__", "address", "piece")

    __array_interface__: dict[str, Any]

    def __init__(self, piece: Any) -> None:
        self.piece = piece
        start: int = piece.ctypes.data
        self.address = start + -start % _LINE

    # bound here: when a program ends, names of modules vanish before the last arrays do
    def __del__(self, give_back: Any = _pool.give_back) -> None:
        give_back(self.piece)


def aligned(elements: int, kind: Any) -> tuple[Any, int]:
    """Return a flat array that begins on a cache line, and its address; its content is arbitrary.

    Parameters
    ----------
    elements : int
    kind : numpy.dtype
    """
    size = elements * kind.itemsize
    if size < _SMALL:
        raw = numpy.empty(elements + _LINE // kind.itemsize, kind)
        address = raw.ctypes.data
        begin = -address % _LINE // kind.itemsize
        return raw[begin : begin + elements], address + begin * kind.itemsize
    lease = _Lease(_pool.take(size))
    lease.__array_interface__ = {
        "version": 3,
        "shape": (elements,),
        "typestr": kind.str,
        "data": (lease.address, False),
    }
    return numpy.asarray(lease), lease.address
