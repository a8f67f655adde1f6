"""Memory for what a loop needs while it runs: the same for every loop, so that it stays in the caches."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.kernels.cpu.threads.barrier import BARRIER_BYTES
from minigrad.reuse import Memory, new_piece

_LEAST = 1 << 16  # bytes


class Workspace(NamedTuple):
    """Some memory, and a barrier for those who work in it.

    Attributes
    ----------
    meeting : int
        The address of the barrier. Nobody else writes there: a team leaves it as the next one needs it.
    address, size : int
        Of the memory: the first cache line, and how many bytes there are.
    memory : Memory
        What owns it.
    skipped : int
        Where in ``memory`` that address is.
    """

    meeting: int
    address: int
    size: int
    memory: Memory
    skipped: int


def new_workspace(size: int) -> Workspace:
    """Return a new workspace of ``size`` bytes, which are zero."""
    address, _, memory, skipped = new_piece(size + BARRIER_BYTES)
    return Workspace(address, address + BARRIER_BYTES, size, memory, skipped + BARRIER_BYTES)


class Workspaces:
    """Memory for work that gives it back: as many pieces as were in use at once."""

    def __init__(self) -> None:
        self.free: list[Workspace] = []

    def borrow(self, size: int) -> Workspace:
        """Return a workspace of at least ``size`` bytes for the caller alone, with any content."""
        try:
            found = self.free.pop()  # the last one that was used
        except IndexError:
            found = None
        if found is None or found.size < size:
            found = new_workspace(max(size + size // 4, _LEAST))
        return found

    def give_back(self, workspace: Workspace) -> None:
        """Keep a workspace for later."""
        self.free.append(workspace)


_workspaces = Workspaces()
borrow, give_back = _workspaces.borrow, _workspaces.give_back
