"""Memory for what a loop needs while it runs: the same for every loop, so that it stays in the caches."""

from __future__ import annotations

from minigrad.reuse import Piece, new_piece

_LEAST = 1 << 16  # bytes


class Workspaces:
    """Memory for work that gives it back: as many pieces as were in use at once."""

    def __init__(self) -> None:
        self.free: list[Piece] = []

    def borrow(self, size: int) -> Piece:
        """Return a piece of at least ``size`` bytes for the caller alone.

        What is new is filled with zeros; else there is what was left in it.
        """
        try:
            piece = self.free.pop()  # the last one that was used
        except IndexError:
            piece = None
        if piece is None or piece.size < size:
            piece = new_piece(max(size + size // 4, _LEAST))
        return piece

    def give_back(self, piece: Piece) -> None:
        """Keep a piece for later."""
        self.free.append(piece)


_workspaces = Workspaces()
borrow, give_back = _workspaces.borrow, _workspaces.give_back
