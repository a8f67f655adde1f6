"""A barrier for the members of a team, called by generated code."""

from __future__ import annotations

from numba import njit, types

from minigrad.kernels.cpu.threads.atomics import (
    atomic_add,
    atomic_load,
    atomic_store,
    wait_a_moment,
)

# The two counters lie on two cache lines (of 128 bytes on some ARM cores): the threads that wait
# read one, and the threads that arrive write the other.
_RELEASES = 128
BARRIER_BYTES = 256


@njit(types.void(types.int64, types.int64), cache=True, nogil=True, error_model="numpy")
def barrier(sync_address: int, members: int) -> None:
    """Wait until all ``members`` of the team have come here.

    What a member wrote before, every member sees afterwards. All members must really be running,
    as those of `minigrad.kernels.cpu.threads.team.run_team` are; otherwise this never returns.

    Parameters
    ----------
    sync_address
        The address of ``BARRIER_BYTES`` bytes that were zero before the first use, a multiple
        of 8. They can be used again, also by a team of another size.
    members
        The size of the team. A team of one does not wait.
    """
    if members == 1:
        return
    releases = atomic_load(sync_address + _RELEASES)
    if atomic_add(sync_address, 1) == members - 1:
        atomic_store(sync_address, 0)
        atomic_store(sync_address + _RELEASES, releases + 1)
        return
    count = 0
    while atomic_load(sync_address + _RELEASES) == releases:
        wait_a_moment(count)
        count += 1
