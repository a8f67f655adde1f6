"""A long text as streams that are read side by side, for truncated backpropagation through time."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_counts
from minigrad.nn.data.arrays import digest_of
from minigrad.nn.data.source import Source
from minigrad.tensor import Tensor, tensor


class Streams(Source):
    """A text cut into stretches of equal length that lie side by side, to be read in chunks.

    Iterating yields ``(codes, targets)``, both of shape (length, batch), from ``position`` to the end.
    When a chunk is yielded, ``position`` is already after it; after the last one it is 0 again.

    Parameters
    ----------
    codes : array of int
        The text, shape (length,); up to ``batch`` characters at its end are left over.
    batch : int
        How many stretches.
    length : int
        How many steps a chunk has; the last may have fewer.
    device : str, optional
        Where the tensors go.

    Attributes
    ----------
    inputs, targets : array of int64
        Shape (T, batch): each column is one stretch, and its targets are one character ahead.
    position : int
        How many chunks of this epoch have been read.

    Raises
    ------
    ArgumentError
        If ``batch`` or ``length`` is not positive, ``codes`` is no row of integers, or it does not hold
        a character and its successor for each stretch.

    Examples
    --------
    >>> import numpy as np
    >>> streams = nn.data.Streams(np.arange(9), batch=2, length=3)
    >>> [codes.shape for codes, targets in streams]
    [(3, 2), (1, 2)]
    """

    def __init__(
        self, codes: np.ndarray[Any, Any], batch: int, length: int, device: str | None = None
    ) -> None:
        batch, length = check_counts("Streams", batch=batch, length=length)
        given = np.asarray(codes)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            raise ArgumentError(
                f"Streams: the text must be a row of integers, not {given.dtype} of shape "
                f"{given.shape}; encode it with a Vocabulary"
            )
        steps = (len(given) - 1) // batch
        if steps < 1:
            raise ArgumentError(
                f"a text of {len(given)} characters is too short for {batch} streams side by side; "
                "give a longer text or a smaller batch"
            )
        self._codes = given.astype(np.int64)
        self._length, self._device = length, device
        self.inputs = self._codes[: steps * batch].reshape(batch, steps).T
        self.targets = self._codes[1 : steps * batch + 1].reshape(batch, steps).T

    def __len__(self) -> int:
        """Return how many chunks an epoch has."""
        return ceil(len(self.inputs) / self._length)

    @property
    def size(self) -> int:
        """How many characters are read in one epoch."""
        return int(self.inputs.size)

    def _batch(self, number: int) -> tuple[Tensor, Tensor]:
        part = slice(number * self._length, (number + 1) * self._length)
        codes, targets = self.inputs[part], self.targets[part]
        return tensor(codes, device=self._device), tensor(targets, device=self._device)

    def _settings(self) -> dict[str, Any]:
        return {"batch": self.inputs.shape[1], "length": self._length}

    def _digested(self) -> str:
        return digest_of(self._codes)
