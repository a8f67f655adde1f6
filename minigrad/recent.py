"""What was used last, by key: a table that stays small by forgetting what was used longest ago."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

_K = TypeVar("_K")
_V = TypeVar("_V")


class Recent(Generic[_K, _V]):
    """A table of limited size: the least recently used entry goes when there is no room for a new one.

    To look an entry up, which fast paths do, takes no lock.

    Parameters
    ----------
    most : int
        How many entries there are at most.
    """

    def __init__(self, most: int) -> None:
        self._most, self._uses = most, count()
        self._entries: dict[
            _K, list[tuple[int, _V]]
        ] = {}  # each a cell: when it was used, and what
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: _K) -> bool:
        return key in self._entries

    def get(self, key: _K) -> _V | None:
        """Return what is known by a key, which is then the one used last; else None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value = entry[0][1]
        entry[0] = next(self._uses), value
        return value

    def put(self, key: _K, value: _V) -> _V:
        """Remember a value, and return it."""
        with self._lock:
            if key not in self._entries and len(self._entries) >= self._most:
                self._entries.pop(min(list(self._entries), key=self._last_use), None)
            self._entries[key] = [(next(self._uses), value)]
        return value

    def pop(self, key: _K) -> None:
        """Forget what is known by a key. No lock: weak references call this at any moment."""
        self._entries.pop(key, None)

    def _last_use(self, key: _K) -> int:
        entry = self._entries.get(key)
        return -1 if entry is None else entry[0][0]

    def values(self) -> list[_V]:
        """Return all values."""
        return [entry[0][1] for entry in list(self._entries.values())]

    def found(self, key: _K, make: Callable[[], _V]) -> _V:
        """Return what is known by a key; it is made if it is not there."""
        known = self.get(key)
        return self.put(key, make()) if known is None else known


def table_of(
    tables: WeakKeyDictionary[Any, Recent[_K, _V]], owner: Any, most: int
) -> Recent[_K, _V]:
    """Return the table of an owner, which lives as long as it; an empty one the first time."""
    found = tables.get(owner)
    return tables.setdefault(owner, Recent(most)) if found is None else found
