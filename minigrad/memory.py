"""Who may write to an array, and when it was last written.

A tensor's memory is closed to the outside: what leaves the engine is read-only. The one way in is
``writing``. One clock orders op records and writes alike, so a backward pass that is about to use an
array that was written after the forward pass can tell, and refuses.
"""

from __future__ import annotations

import weakref
from itertools import count
from typing import Any

tick = count(1).__next__

latest_write = 0
_writes: dict[int, tuple[weakref.ref[Any], int]] = {}


def owner(array: Any) -> Any:
    """Return the array that owns the memory ``array`` looks at."""
    base = getattr(array, "base", None)
    while base is not None and type(base) is type(array):
        array, base = base, base.base
    return array


def freeze(array: Any) -> Any:
    """Make a NumPy array and its owner read-only, and return it; other arrays have no such flag."""
    if hasattr(array, "setflags"):
        holder = owner(array)
        if holder is not array:
            holder.setflags(write=False)
        array.setflags(write=False)
    return array


class writing:
    """Open ``array`` for writing inside the ``with`` block, and note the time."""

    __slots__ = ("_array", "_locked")

    def __init__(self, array: Any) -> None:
        self._array = array
        self._locked = not getattr(getattr(array, "flags", None), "writeable", True)

    def __enter__(self) -> Any:
        global latest_write
        holder = owner(self._array)
        if self._locked:
            holder.setflags(write=True)
            self._array.setflags(write=True)
        key = id(holder)
        known = _writes.get(key)
        reference = (
            known[0]
            if known is not None and known[0]() is holder
            else weakref.ref(holder, lambda _: _writes.pop(key, None))
        )
        latest_write = tick()
        _writes[key] = (reference, latest_write)
        return self._array

    def __exit__(self, *_: object) -> None:
        if self._locked:
            freeze(self._array)


def written_after(array: Any, time: int) -> bool:
    """Say whether the memory of ``array`` was written after ``time``."""
    entry = _writes.get(id(owner(array)))
    return entry is not None and entry[1] > time
