"""The state of a decoder between two steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from minigrad.nn.attention.memory import Memory
from minigrad.tensor import Tensor


class DecoderState(NamedTuple):
    """Where a decoder stands: what its next step needs. `Decoder.start` makes the first one.

    Attributes
    ----------
    hidden : Tensor, tuple of Tensor or None
        The state of the recurrent layers, shape (num_layers, N, width); None for zeros.
    context : Tensor or None
        What was looked at last, shape (N, memory_size); None for zeros.
    memory : Memory or None
        What attention looks at.
    vector : Tensor or None
        What is part of each input, shape (N, vector_size).

    Examples
    --------
    >>> decoder = nn.Decoder(nn.cells.gru, 3, 4, output_size=5)
    >>> scores, state = decoder.step(mg.tensor([1, 2]), decoder.start())
    >>> state.hidden.shape
    (1, 2, 4)
    """

    hidden: Any = None
    context: Tensor | None = None
    memory: Memory | None = None
    vector: Tensor | None = None
