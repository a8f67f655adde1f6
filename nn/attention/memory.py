"""What queries look at: keys and values of sequences, and which positions are real."""

from __future__ import annotations

from typing import Any, NamedTuple

from minigrad.creation import ones
from minigrad.dtypes import bool_
from minigrad.kernels.runtime.rows import rows_of
from minigrad.ops.elementwise import where
from minigrad.ops.index import take
from minigrad.ops.shape import expand_dims, swapaxes
from minigrad.tensor import Tensor


class Memory(NamedTuple):
    """A batch of sequences that is ready to be looked at, the batch first: see `Attention.prepare`.

    The parts may be states of a step of your own, which a loop carries along unchanged.

    Attributes
    ----------
    keys : Tensor
        Shape (N, S, key size): what queries are compared with.
    values : Tensor
        Shape (N, S, memory_size): what is looked up, zero where nothing is.
    allowed : Tensor of bool
        Shape (N, S): which positions are real.

    Examples
    --------
    >>> nn.DotAttention(4).prepare(mg.ones((5, 2, 4)), lengths=[5, 3]).allowed.sum(axis=1)
    tensor([5, 3])
    """

    keys: Tensor
    values: Tensor
    allowed: Tensor

    def select_rows(self, rows: Tensor) -> Memory:
        """Return the memory of these rows of the batch.

        Parameters
        ----------
        rows : Tensor of int
            Shape (M,): one may be there several times.

        Returns
        -------
        Memory
            Of M rows.
        """
        return Memory(*[take(part, rows, axis=0) for part in self])


def real_values(of: str, memory: Tensor, lengths: Any, mask: Any) -> tuple[Tensor, Tensor]:
    """Return a memory with N first and zeros where it is not real, and where it is.

    Parameters
    ----------
    of : str
        What messages begin with.
    memory : Tensor
        Shape (S, N, width).
    lengths, mask
        As for `minigrad.kernels.scan`.

    Returns
    -------
    values : Tensor
        Shape (N, S, width).
    allowed : Tensor of bool
        Shape (N, S).
    """
    steps, count = memory.shape[:2]
    values = swapaxes(memory, 0, 1)
    rows = rows_of(of, steps, count, memory.device, lengths, mask, None)
    if rows is None:
        return values, ones((count, steps), dtype=bool_, device=memory.device)
    allowed = swapaxes(rows.present, 0, 1)
    return where(expand_dims(allowed, -1), values, 0.0), allowed
