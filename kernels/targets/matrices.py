"""Matrices as products read them: packed for one run, or kept as long as nobody writes to them."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from minigrad import memory
from minigrad.kernels.cpu.packing import pack_matrices
from minigrad.reuse import Piece, address_of, new_piece

_MOST = 64  # matrices that are kept


def pack(item: int, shares: int, places: Sequence[tuple[Any, int, int]]) -> None:
    """Pack matrices for products that threads share.

    Parameters
    ----------
    item : int
        Bytes of an element.
    shares : int
    places : sequence of tuple
        For each matrix: the array, into how many parts it is divided, and the address to pack it to.
    """
    if places:
        pack_matrices(item, shares, [(*_shape(m, item, parts), to) for m, parts, to in places])


def _shape(matrix: Any, item: int, parts: int) -> tuple[int, int, int, int, int, int]:
    down, along = matrix.strides
    address = address_of(matrix.T if down < along else matrix)
    rows, columns = matrix.shape
    return parts, rows, columns, address, down // item, along // item


def _holder(matrix: Any) -> Any:
    """Return the array that a view looks at. Its memory may be used again when it is gone."""
    while (base := matrix.base) is not None and type(base) is type(matrix):
        matrix = base
    return matrix


class KeptMatrices:
    """Packed copies of matrices, for loops without a backward pass: their weights seldom change."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, tuple[Any, int, Piece]] = OrderedDict()

    def packed(self, item: int, shares: int, matrix: Any, parts: int, size: int) -> Piece:
        """Return the packed copy of a matrix, which is made if it is not there, or has changed.

        Parameters
        ----------
        item, shares, matrix, parts
            As for `pack`.
        size : int
            Bytes of the copy.
        """
        holder = _holder(matrix)
        key = (id(holder), shares, *_shape(matrix, item, parts))
        known = self._kept.get(key)
        if known is not None:
            reference, time, piece = known
            if reference() is holder and not memory.written_after(holder, time):
                return piece
        time, piece = memory.latest_write, new_piece(size)
        pack(item, shares, [(matrix, parts, piece.address)])
        self._kept[key] = weakref.ref(holder, lambda _: self._kept.pop(key, None)), time, piece
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return piece
