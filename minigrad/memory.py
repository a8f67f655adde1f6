"""A clock of writes to memory, so that a backward pass can refuse to use what has changed.

A tensor's memory is closed to the outside: what comes in and what goes out is copied. The one way in is
``writing``. One clock orders op records and writes alike, so a backward pass that is about to use an
array that was written after the forward pass can tell.
"""

from __future__ import annotations

import weakref
from itertools import count
from typing import Any

from minigrad.errors import GradientError
from minigrad.lock import lock

tick = count(1).__next__

latest_write = 0
_writes: dict[int, tuple[weakref.ref[Any], int]] = {}


def owner(array: Any) -> Any:
    """Return the array that owns the memory ``array`` looks at."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


def _repeats_itself(array: Any) -> bool:
    """Say whether two elements of ``array`` may lie at the same address, as after broadcasting."""
    if not array.size:
        return False
    reach = array.itemsize
    for step, size in sorted(
        (abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1
    ):
        if step < reach:
            return True
        reach += step * (size - 1)
    return False


class writing:
    """Open ``array`` for writing inside the ``with`` block, and note the time.

    Raises
    ------
    GradientError
        If elements of ``array`` share memory, so that a write to one would change others.
    """

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        if _repeats_itself(array):
            raise GradientError(
                f"elements of this tensor of shape {tuple(array.shape)} share memory, as "
                "broadcasting leaves them, and a write to one would change others; write to clone()"
            )
        self._array = array

    def __enter__(self) -> Any:
        global latest_write
        holder = owner(self._array)
        if not getattr(self._array.flags, "writeable", True):  # a view of what was broadcast
            self._array.setflags(write=True)
        key = id(holder)
        known = _writes.get(key)
        reference = (
            known[0]
            if known is not None and known[0]() is holder
            else weakref.ref(holder, lambda _: _writes.pop(key, None))
        )
        with lock:  # another thread's later time must stay
            latest_write = tick()
            _writes[key] = (reference, latest_write)
        return self._array

    def __exit__(self, *_: object) -> None:
        pass


def written_after(array: Any, time: int) -> bool:
    """Say whether the memory of ``array`` was written after ``time``."""
    entry = _writes.get(id(owner(array)))
    return entry is not None and entry[1] > time
