"""Training and scoring of models that predict what comes next in a text."""

from __future__ import annotations

import math
from typing import Any

from minigrad.nn.data.streams import Streams
from minigrad.nn.module import Module
from minigrad.nn.training.truncation import detach_state
from minigrad.ops.losses import cross_entropy
from minigrad.tape import no_grad
from minigrad.tensor import Tensor


def next_loss(
    model: Module, codes: Tensor, targets: Tensor, state: Any = None
) -> tuple[Tensor, Any]:
    """Return the mean cross-entropy of the next code in nats, and the detached state to go on from.

    Parameters
    ----------
    model : Module
        ``model(codes, state)`` returns scores of shape (T, N, size) and the new state.
    codes, targets : Tensor of int
        Shape (T, N).
    state : Any
        What the chunk before ended with; None at the beginning.

    Returns
    -------
    loss : Tensor
        Shape ().
    state : Any
        What the chunk ended with, detached.

    Examples
    --------
    >>> class Model(nn.Module):
    ...     def __init__(self):
    ...         self.embedding, self.rnn, self.head = nn.Embedding(5, 3), nn.GRU(3, 4), nn.Linear(4, 5)
    ...     def forward(self, codes, state=None):
    ...         output, state = self.rnn(self.embedding(codes), state)
    ...         return self.head(output), state
    >>> codes = mg.zeros((7, 2), dtype="int64")
    >>> loss, state = nn.text.next_loss(Model(), codes, codes)
    >>> loss.shape
    ()
    """
    scores, state = model(codes, state)
    loss = cross_entropy(scores.reshape(-1, scores.shape[-1]), targets.reshape(-1))
    return loss, detach_state(state)


def bits_per_character(model: Module, streams: Streams) -> float:
    """Return the mean number of bits that the model needs for a character of these streams.

    The streams are read from their beginning; their ``position`` stays as it is.

    Parameters
    ----------
    model : Module
        As for `next_loss`; it is run in its evaluation mode.
    streams : Streams
        The text.

    Returns
    -------
    float
        Bits per character.

    Examples
    --------
    >>> class Model(nn.Module):
    ...     def __init__(self):
    ...         self.embedding, self.rnn, self.head = nn.Embedding(5, 3), nn.GRU(3, 4), nn.Linear(4, 5)
    ...     def forward(self, codes, state=None):
    ...         output, state = self.rnn(self.embedding(codes), state)
    ...         return self.head(output), state
    >>> import numpy as np
    >>> streams = nn.data.Streams(np.zeros(9, dtype=np.int64), batch=2, length=3)
    >>> nn.text.bits_per_character(Model(), streams) > 0
    True
    """
    total, state = 0.0, None
    position, streams.position = streams.position, 0
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            for codes, targets in streams:
                loss, state = next_loss(model, codes, targets, state)
                total += loss.item() * codes.size
    finally:
        streams.position = position
        for module, mode in modes:  # some may have been in evaluation mode already
            module.training = mode
    return total / streams.size / math.log(2)
