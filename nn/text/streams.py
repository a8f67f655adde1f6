"""A long text as streams that are read side by side, and from which a run can go on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from minigrad.checks import as_integer
from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_counts, entry_of
from minigrad.nn.text.vocabulary import Codes
from minigrad.tensor import Tensor, tensor


class Streams:
    """A text cut into stretches of equal length that lie side by side, to be read in chunks.

    Parameters
    ----------
    codes : array of int
        The text, shape (length,); up to ``batch`` characters at its end are left over.
    batch : int
        How many stretches.

    Attributes
    ----------
    inputs, targets : array of int
        Shape (T, batch): each column is one stretch, and its targets are one character ahead.
    position : int
        The step that `remaining` goes on from.

    Raises
    ------
    ArgumentError
        If ``batch`` is not positive, ``codes`` is no row of integers, or it does not hold a character
        and its successor for each stretch.

    Examples
    --------
    >>> import numpy as np
    >>> streams = nn.text.Streams(np.arange(9), batch=2)
    >>> [x.shape for x, y in streams.chunks(3)]
    [(3, 2), (1, 2)]
    """

    def __init__(self, codes: Codes, batch: int) -> None:
        (batch,) = check_counts("Streams", batch=batch)
        self._codes = np.asarray(codes)
        if self._codes.ndim != 1 or self._codes.dtype.kind not in "iu":
            raise ArgumentError(
                f"Streams: the text must be a row of integers, not {self._codes.dtype} of shape "
                f"{self._codes.shape}; encode it with a Vocabulary"
            )
        length = (len(codes) - 1) // batch
        if length < 1:
            raise ArgumentError(
                f"a text of {len(codes)} characters is too short for {batch} streams side by side; "
                "give a longer text or a smaller batch"
            )
        self.inputs = self._codes[: length * batch].reshape(batch, length).T
        self.targets = self._codes[1 : length * batch + 1].reshape(batch, length).T
        self.position = 0

    def __len__(self) -> int:
        """Return T, the number of steps."""
        return len(self.inputs)

    @property
    def size(self) -> int:
        """How many characters are read in one pass."""
        return int(self.inputs.size)

    def chunks(self, length: int, device: str | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets of ``length`` steps after ``length`` steps; the last may be fewer.

        Parameters
        ----------
        length : int
            How many steps a chunk has.
        device : str, optional
            Where the tensors go.

        Returns
        -------
        iterator of (Tensor, Tensor)
            Inputs and targets, shape (length, batch), int64.

        Raises
        ------
        ArgumentError
            If ``length`` is not positive.
        """
        check_counts("chunks", length=length)
        return (self._chunk(start, length, device) for start in range(0, len(self), length))

    def remaining(self, length: int, device: str | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield chunks as `chunks` does, but from ``position`` on, which moves along.

        When a chunk is yielded, ``position`` is already behind it: who stops there, saves the state
        and loads it again goes on with the next chunk. After the last one the position is 0 again.

        Parameters
        ----------
        length : int
            How many steps a chunk has.
        device : str, optional
            Where the tensors go.

        Returns
        -------
        iterator of (Tensor, Tensor)
            Inputs and targets, shape (length, batch), int64.

        Raises
        ------
        ArgumentError
            If ``length`` is not positive.
        """
        check_counts("remaining", length=length)
        return self._moving(length, device)

    def _moving(self, length: int, device: str | None) -> Iterator[tuple[Tensor, Tensor]]:
        while self.position < len(self):
            start, self.position = self.position, min(self.position + length, len(self))
            yield self._chunk(start, length, device)
        self.position = 0

    def _chunk(self, start: int, length: int, device: str | None) -> tuple[Tensor, Tensor]:
        part = slice(start, start + length)
        return tensor(self.inputs[part], device=device), tensor(self.targets[part], device=device)

    def state_dict(self) -> dict[str, Any]:
        """Return the position, and what tells this text from others.

        Returns
        -------
        dict
            Plain data, which `load_state_dict` takes.
        """
        return {"position": self.position, "batch": self.inputs.shape[1], "text": self._digest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a position in the same text.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned.

        Raises
        ------
        ArgumentError
            If it is another text, another number of streams, or no position. Nothing has changed then.
        """
        position, batch = entry_of(state, "position"), entry_of(state, "batch")
        if entry_of(state, "text") != self._digest:
            raise ArgumentError(
                "this is not the text that the position belongs to; give the text that the run began "
                "with"
            )
        if batch != self.inputs.shape[1]:
            raise ArgumentError(
                f"the position belongs to {batch} streams side by side, and here are "
                f"{self.inputs.shape[1]}; cut the text into as many"
            )
        place = as_integer(position)
        if place is None or not 0 <= place <= len(self):
            raise ArgumentError(
                f"the position must be an integer from 0 to {len(self)}, not {position!r}; pass what "
                "state_dict() returned"
            )
        self.position = place

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self._codes.astype("<i8").tobytes()).hexdigest()
