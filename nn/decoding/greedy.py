"""Greedy decoding: the likeliest token at each step."""

from __future__ import annotations

from typing import Any

import numpy

from minigrad.nn.data.padding import Padded
from minigrad.nn.decoding.steps import check_ends, continued, start_of
from minigrad.ops.reduce import argmax
from minigrad.tensor import tensor


def greedy(
    model: Any, start: Any, state: Any = None, *, length: int, eos: int | None = None
) -> Any:
    """Continue sequences with the likeliest token at each step.

    Parameters
    ----------
    model : Module
        What has a method ``step(tokens, state)``, as for `generate`.
    start : int, or Tensor, array or sequence of int
        What the sequences begin with: shape (T, N), or (T,) of a single one. An integer is the first
        token of each row of the state, or without a state of a single sequence.
    state : Any
        What ``step`` takes first.
    length : int
        How many tokens to add at most.
    eos : int, optional
        The token that ends a sequence.

    Returns
    -------
    Padded or list of int
        The tokens after the start, shape (T, N) with lengths, without ``eos``; of a single sequence a
        list.

    Raises
    ------
    ArgumentError
        If the model has no method ``step``, or it returns scores of another shape, or such that are NaN,
        inf, or all -inf; if ``length`` is negative or ``eos`` no token.
    ShapeError
        If the start has another shape, or none.
    DtypeError
        If the start does not hold integers.

    Examples
    --------
    >>> class Successor:
    ...     def step(self, tokens, state):
    ...         return mg.one_hot((tokens + 1) % 5, 5), state
    >>> nn.decoding.greedy(Successor(), 0, length=10, eos=4)
    [1, 2, 3]
    >>> tokens, lengths = nn.decoding.greedy(Successor(), [[0, 2]], length=10, eos=4)
    >>> lengths
    tensor([3, 1])
    """
    begun = start_of("greedy", model, start, state)
    length, eos = check_ends("greedy", length, eos)
    steps = continued("greedy", model, begun, state, length, eos, lambda s: argmax(s, axis=-1))
    rows = [tokens.cpu().numpy() for tokens in steps]
    count = begun.tokens.shape[1]
    values = numpy.array(rows, dtype=numpy.int64).reshape(len(rows), count)
    real = numpy.ones(values.shape, dtype=bool) if eos is None else values != eos
    lengths = real.sum(axis=0)  # after the first `eos` there are others
    if begun.single:
        return values[: lengths[0], 0].tolist()
    device = begun.tokens.device
    values = values[: lengths.max(initial=0)]
    return Padded(tensor(values, device=device), tensor(lengths, dtype="int64", device=device))
