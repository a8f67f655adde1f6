"""Run a compiled function on a team of threads.

Why threads of our own, and not those of Numba: docs/adr/0009-own-threads.md.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy
from llvmlite import ir
from numba import njit, types
from numba.core.typing import Signature
from numba.extending import intrinsic
from numpy.typing import NDArray

from minigrad.kernels.cpu.threads.atomics import (
    atomic_add,
    atomic_load,
    atomic_replace,
    atomic_store,
    pause,
    wait_a_moment,
)
from minigrad.reuse import address_of
from minigrad.threads import get_num_threads

# Of what `run_team` runs: the number of the thread, how many there are, and the arguments of all.
ENTRY_TYPE = "void(int64, int64, CPointer(int64))"

# A pool is one block of memory. Each field has cache lines of its own (128 bytes on some cores).
_APART = 128
_GATE, _JOB, _FINISHED, _BUSY, _SLEEPERS, _MUTEX, _WAKING, _BYTES = range(0, 8 * _APART, _APART)
_ENTRY, _ARGUMENTS, _ASKED = _JOB, _JOB + 8, _JOB + 16

# The gate is one word, so that a thread that comes late cannot take one region for another: how
# many threads have joined, whether the team is closed, and the number of the region.
_JOINED = (1 << 32) - 1
_CLOSED = 1 << 32
_REGION = 1 << 33

# A thread without work stays awake for about a millisecond, so that the phases of one
# training step find it ready. A region waits a tenth of that for the threads to wake up, and does so
# without giving its core away: it might not get it back for milliseconds.
_MOMENTS_BEFORE_SLEEP = 6000
# So many multiplications take some microseconds, about as long as it takes to form a team.
_WORTH_A_TEAM = 200_000
_PAUSES_FOR_JOINING = 4000

_initialize_mutex = types.ExternalFunction(
    "pthread_mutex_init", types.int32(types.intp, types.intp)
)
_initialize_waking = types.ExternalFunction(
    "pthread_cond_init", types.int32(types.intp, types.intp)
)
_lock = types.ExternalFunction("pthread_mutex_lock", types.int32(types.intp))
_unlock = types.ExternalFunction("pthread_mutex_unlock", types.int32(types.intp))
_sleep = types.ExternalFunction("pthread_cond_wait", types.int32(types.intp, types.intp))
_wake_all = types.ExternalFunction("pthread_cond_broadcast", types.int32(types.intp))

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@intrinsic
def _call(
    typing_context: Any, entry: Any, thread: Any, threads: Any, arguments: Any
) -> tuple[Signature, Any]:
    """Call the entry at an address."""

    def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        number = ir.IntType(64)
        numbers = number.as_pointer()
        shape = ir.FunctionType(ir.VoidType(), [number, number, numbers])
        entry, thread, threads, arguments = operands
        function = builder.inttoptr(entry, shape.as_pointer())
        builder.call(function, [thread, threads, builder.inttoptr(arguments, numbers)])
        return context.get_dummy_value()

    return types.void(*4 * [types.int64]), generate


@njit("void(int64, int64)", **_OPTIONS)
def _run_alone(entry: int, arguments: int) -> None:
    _call(entry, 0, 1, arguments)


@njit("void(int64)", **_OPTIONS)
def _prepare(pool: int) -> None:
    _initialize_mutex(pool + _MUTEX, 0)
    _initialize_waking(pool + _WAKING, 0)
    atomic_store(pool + _GATE, _CLOSED)


@njit("void(int64, int64, int64, int64)", **_OPTIONS)
def _open_region(pool: int, entry: int, arguments: int, asked: int) -> None:
    """Publish a job. The one who calls is its first member."""
    atomic_store(pool + _ENTRY, entry)
    atomic_store(pool + _ARGUMENTS, arguments)
    atomic_store(pool + _ASKED, asked)
    atomic_store(pool + _FINISHED, 1)
    region = (atomic_load(pool + _GATE) // _REGION + 1) * _REGION
    atomic_store(pool + _GATE, region + 1)
    # A thread that falls asleep counts itself before it looks at the gate for the last time. So
    # either it sees the new region there, or it is seen here.
    if atomic_load(pool + _SLEEPERS) > 0:
        _lock(pool + _MUTEX)
        _wake_all(pool + _WAKING)
        _unlock(pool + _MUTEX)


@njit("boolean(int64, int64, int64, int64)", **_OPTIONS)
def _lead(pool: int, entry: int, asked: int, arguments: int) -> bool:
    """Run a region with those who join in time. Return false at once if another one is running."""
    if not atomic_replace(pool + _BUSY, 0, 1):
        return False
    _open_region(pool, entry, arguments, asked)
    count = 0
    while atomic_load(pool + _GATE) & _JOINED < asked and count < _PAUSES_FOR_JOINING:
        pause()
        count += 1
    members = atomic_add(pool + _GATE, _CLOSED) & _JOINED
    _call(entry, 0, members, arguments)
    count = 0
    while atomic_load(pool + _FINISHED) < members:
        wait_a_moment(count)
        count += 1
    atomic_store(pool + _BUSY, 0)
    return True


@njit("int64(int64, int64)", **_OPTIONS)
def _await_region(pool: int, seen: int) -> int:
    """Return the number of a region other than the one that was ``seen`` last."""
    count = 0
    while atomic_load(pool + _GATE) // _REGION == seen:
        if count < _MOMENTS_BEFORE_SLEEP:
            wait_a_moment(count)
            count += 1
        else:
            _lock(pool + _MUTEX)
            atomic_add(pool + _SLEEPERS, 1)
            while atomic_load(pool + _GATE) // _REGION == seen:
                _sleep(pool + _WAKING, pool + _MUTEX)
            atomic_add(pool + _SLEEPERS, -1)
            _unlock(pool + _MUTEX)
    return atomic_load(pool + _GATE) // _REGION


@njit("int64(int64, int64)", **_OPTIONS)
def _join(pool: int, region: int) -> int:
    """Become a member of the region and return the number as such, or 0 if it is too late."""
    gate = atomic_load(pool + _GATE)
    while (
        gate // _REGION == region
        and gate & _CLOSED == 0
        and gate & _JOINED < atomic_load(pool + _ASKED)
    ):
        if atomic_replace(pool + _GATE, gate, gate + 1):
            return gate & _JOINED
        gate = atomic_load(pool + _GATE)
    return 0


@njit("void(int64)", **_OPTIONS)
def _follow(pool: int) -> None:
    """Be a member of all regions that can be joined in time. Does not return."""
    region = 0
    while True:
        region = _await_region(pool, region)
        thread = _join(pool, region)
        if thread > 0:
            count = 0
            while atomic_load(pool + _GATE) & _CLOSED == 0:
                wait_a_moment(count)
                count += 1
            # Until this thread has finished, nobody changes the gate or the job.
            members = atomic_load(pool + _GATE) & _JOINED
            _call(atomic_load(pool + _ENTRY), thread, members, atomic_load(pool + _ARGUMENTS))
            atomic_add(pool + _FINISHED, 1)


class _Pool:
    """Threads that wait for regions. Grows, and never shrinks."""

    def __init__(self) -> None:
        self.memory = numpy.zeros(_BYTES + _APART, numpy.uint8)
        start: int = self.memory.ctypes.data
        self.address = start + -start % _APART
        self.wanted = self.started = 0
        self.growing = threading.Lock()
        _prepare(self.address)

    def grow(self, wanted: int) -> None:
        """Start threads until there are ``wanted``, or as many as the system allows. Try once."""
        with self.growing:
            for number in range(self.wanted, wanted):
                name = f"minigrad-{number + 1}"
                try:
                    threading.Thread(target=self.follow, name=name, daemon=True).start()
                except RuntimeError:  # the limit of the system, or the program is ending
                    break
                self.started += 1
            self.wanted = max(self.wanted, wanted)

    def follow(self) -> None:
        # Nothing ends the threads: they die with the process. Until then this frame, which never
        # returns, keeps the memory alive that they look at.
        _follow(self.address)


_pool: _Pool | None = None
_creating = threading.Lock()


def threads_for(operations: float) -> int:
    """Return how many threads to ask for: those that are set, or one for a piece of work that is over
    before others have joined.

    Parameters
    ----------
    operations : float
        About how many multiplications the work takes.
    """
    return get_num_threads() if operations >= _WORTH_A_TEAM else 1


def run_team(address: int, threads: int, arguments: NDArray[numpy.int64]) -> None:
    """Run a compiled entry on a team of at most ``threads`` threads, the calling one included.

    Only threads that are running within about a tenth of a millisecond become members, so a member
    may wait for the others (`minigrad.kernels.cpu.threads.barrier.barrier`). The team can be smaller than
    asked: on a busy machine, and whenever another region is running in this process, in which
    case the team is the calling thread alone. What the entry computes must therefore not depend
    on the size of the team.

    Parameters
    ----------
    address
        Where the entry is, a function of `ENTRY_TYPE`. It is called once for each member, with the
        numbers from 0, the calling thread, to ``threads - 1``.
    threads
        How many threads are asked for; 1 needs no team.
    arguments
        What the entry gets: a contiguous array.
    """
    if threads > 1:
        pool = _pool_for(threads)
        threads = min(threads, 1 + pool.started)
    # numbers, and no array: at the first one Numba imports all of NumPy's masked arrays
    given = address_of(arguments)
    if threads <= 1 or not _lead(pool.address, address, threads, given):
        _run_alone(address, given)


def _pool_for(threads: int) -> _Pool:
    """Return the pool after it has had the chance to start enough threads."""
    global _pool
    if _pool is None:
        with _creating:
            if _pool is None:
                _pool = _Pool()
    if _pool.wanted < threads - 1:
        _pool.grow(threads - 1)
    return _pool


def _forget() -> None:
    """Start anew in a forked child: the threads did not come along."""
    global _pool, _creating
    _pool = None
    _creating = threading.Lock()


os.register_at_fork(after_in_child=_forget)
