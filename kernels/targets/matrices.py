"""Matrices as products read them, kept as long as nobody writes to them."""

from __future__ import annotations

import weakref
from typing import Any

from minigrad import memory
from minigrad.kernels.cpu.gemm.packing import pack_matrix
from minigrad.recent import Recent
from minigrad.reuse import Piece, address_of, new_piece

_MOST = 64  # matrices that are kept


def _holder(matrix: Any) -> Any:
    """Return the array that a view looks at. Its memory may be used again when it is gone."""
    while (base := matrix.base) is not None and type(base) is type(matrix):
        matrix = base
    return matrix


class KeptMatrices:
    """Packed copies of matrices, for loops without a backward pass: their weights seldom change."""

    def __init__(self) -> None:
        self._kept: Recent[Any, tuple[Any, int, Piece]] = Recent(_MOST)

    def packed(self, shares: int, matrix: Any, parts: int, size: int) -> Piece:
        """Return the packed copy of a matrix, which is made if it is not there, or has changed.

        Parameters
        ----------
        shares, parts : int
            See `minigrad.kernels.cpu.gemm.pack.shared_pack`.
        matrix : array
        size : int
            Bytes of the copy.
        """
        holder, item = _holder(matrix), matrix.itemsize
        down, along = matrix.strides
        address = address_of(matrix.T if down < along else matrix)
        rows, columns = matrix.shape
        shape = parts, rows, columns, address, down // item, along // item
        key = id(holder), shares, shape
        known = self._kept.get(key)
        if known is not None:
            reference, time, piece = known
            if reference() is holder and not memory.written_after(holder, time):
                return piece
        time, piece = memory.latest_write, new_piece(size)
        pack_matrix(matrix.dtype.type, shares, *shape, piece.address)
        self._kept.put(key, (weakref.ref(holder, lambda _: self._kept.pop(key)), time, piece))
        return piece
