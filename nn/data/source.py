"""What training reads batch by batch, and can go on from: a position in data that is told from others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from minigrad.checks import as_integer
from minigrad.errors import ArgumentError
from minigrad.nn.checks import entry_of


class Source:
    """Batches that are read one after the other, from ``position`` to the end of an epoch.

    When a batch is yielded, ``position`` is already after it: who stops there, saves the state and
    loads it again goes on with the next one. After the last one the position is 0 again.
    """

    position = 0

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        while self.position < len(self):
            self.position += 1
            yield self._batch(self.position - 1)
        self.position = 0

    def _batch(self, number: int) -> Any:
        """Return this batch of the epoch."""
        raise NotImplementedError

    def _settings(self) -> dict[str, Any]:
        """Return what a position means nothing without."""
        raise NotImplementedError

    def _digested(self) -> str:
        """Return what tells the data from others."""
        raise NotImplementedError

    @cached_property
    def _digest(self) -> str:
        return self._digested()

    def state_dict(self) -> dict[str, Any]:
        """Return the position, and what tells this data from others.

        Returns
        -------
        dict
            Plain data, which `load_state_dict` takes.
        """
        return {"position": self.position, "data": self._digest, **self._settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a position in the same data.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned.

        Raises
        ------
        ArgumentError
            If it is other data, cut in another way, or no position. Nothing has changed then.
        """
        position = entry_of(state, "position")
        if entry_of(state, "data") != self._digest:
            raise ArgumentError(
                "this is not the data that the position belongs to; give the data that the run began "
                "with"
            )
        for name, value in self._settings().items():
            if (saved := entry_of(state, name)) != value:
                raise ArgumentError(
                    f"the position was saved with {name}={saved}, and here it is {name}={value}; give "
                    "what the run began with"
                )
        place = as_integer(position)
        if place is None or not 0 <= place <= len(self):
            raise ArgumentError(
                f"the position must be an integer from 0 to {len(self)}, not {position!r}; pass what "
                "state_dict() returned"
            )
        self.position = place
