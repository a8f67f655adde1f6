"""How likely a model finds given sequences."""

from __future__ import annotations

from typing import Any

import numpy

from minigrad.creation import zeros
from minigrad.errors import DtypeError, ShapeError
from minigrad.kernels.runtime.rows import rows_of
from minigrad.nn.checks import checked_tensor
from minigrad.nn.decoding.steps import scores_of, start_of
from minigrad.nn.losses.padding import with_lengths
from minigrad.ops.elementwise import where
from minigrad.ops.index import take_along_axis
from minigrad.ops.network import log_softmax
from minigrad.ops.shape import squeeze
from minigrad.tensor import Tensor


def log_probability(
    model: Any, start: Any, sequence: Any, state: Any = None, *, lengths: Any = None
) -> Tensor:
    """Return the logarithm of the probability of given continuations, step by step.

    Gradients flow through it.

    Parameters
    ----------
    model : Module
        What has a method ``step(tokens, state)``, as for `generate`.
    start : int, or Tensor, array or sequence of int
        What the sequences begin with: shape (T, N), or (T,) of a single one. An integer is the first
        token of each row of the state, or without a state of a single sequence.
    sequence : Tensor, array or sequence of int, or Padded
        The tokens after the start, ``eos`` if it counts: shape (L, N), or (L,) of a single one.
    state : Any
        What ``step`` takes first.
    lengths : sequence or Tensor of int, optional
        Shape (N,): how many tokens of each sequence are real; by default those of a `Padded`, or all.

    Returns
    -------
    Tensor
        In nats, float64, shape (N,); of a single sequence ().

    Raises
    ------
    ArgumentError
        If the model has no method ``step``, or it returns scores of another shape; if a length is
        negative or larger than L.
    ShapeError
        If start and sequence do not fit.
    DtypeError
        If they do not hold integers.
    IndexingError
        If the model has no such token.

    Examples
    --------
    >>> class Successor:
    ...     def step(self, tokens, state):
    ...         return mg.log(0.2 + 4 * mg.one_hot((tokens + 1) % 5, 5)), state
    >>> mg.exp(nn.decoding.log_probability(Successor(), 1, [2, 3, 3]))
    tensor(0.0282, dtype=float64)
    """
    begun = start_of("log_probability", model, start, state)
    given, own = with_lengths(sequence)
    if isinstance(given, (list, tuple)):
        given = numpy.asarray(given)
    tokens = checked_tensor("log_probability", given, begun.tokens, "the sequence")
    if tokens.dtype.kind not in "iu":
        raise DtypeError(f"log_probability: the sequence must hold integers, not {tokens.dtype}")
    rows = begun.tokens.shape[1]
    if tokens.ndim != 2 - begun.single or (not begun.single and tokens.shape[1] != rows):
        wanted = "(L,)" if begun.single else f"(L, {rows})"
        raise ShapeError(
            f"log_probability: the sequence has shape {tokens.shape}; behind this start it must be "
            f"{wanted}"
        )
    tokens = tokens[:, None] if begun.single else tokens
    steps = tokens.shape[0]
    ends = own if lengths is None else lengths
    present = rows_of("log_probability", steps, rows, tokens.device, ends, None, None)
    if present is not None:
        tokens = where(present.present, tokens, 0)
    total: Any = zeros(rows, dtype="float64", device=tokens.device)
    read = [*begun.tokens, *tokens][:-1] if steps else []
    for t, x in enumerate(read, 1 - begun.tokens.shape[0]):  # from 0 on, what follows the start
        scores, state = scores_of("log_probability", model, x, state)
        if t >= 0:
            likely = log_softmax(scores, axis=-1)
            chosen = squeeze(take_along_axis(likely, tokens[t][:, None], axis=-1), -1)
            total = total + (chosen if present is None else where(present.present[t], chosen, 0.0))
    found: Tensor = total[0] if begun.single else total
    return found
