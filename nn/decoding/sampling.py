"""Let a model of sequences go on by itself, one draw after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from minigrad import random
from minigrad.checks import check_integer, check_number
from minigrad.errors import ArgumentError
from minigrad.nn.decoding.steps import check_ends, continued, start_of
from minigrad.ops.elementwise import where
from minigrad.ops.index import take_along_axis
from minigrad.ops.network import softmax
from minigrad.ops.reduce import cumulative_sum, topk
from minigrad.ops.shape import squeeze
from minigrad.random import Generator
from minigrad.tensor import Tensor


def generate(
    model: Any,
    start: Any,
    state: Any = None,
    *,
    length: int,
    eos: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
) -> Iterator[Any]:
    """Yield tokens that continue sequences, drawn one by one: each when it is asked for.

    First the temperature acts, then ``top_k``, then ``top_p``. Call ``model.eval()`` before, if it drops
    anything in training.

    Parameters
    ----------
    model : Module
        What has a method ``step(tokens, state)``: it takes tokens (N,) and a state, and returns the
        scores (N, size) of the next tokens and the new state. A score of -inf forbids a token.
    start : int, or Tensor, array or sequence of int
        What the sequences begin with: shape (T, N), or (T,) of a single one. An integer is the first
        token of each row of the state, or without a state of a single sequence.
    state : Any
        What ``step`` takes first.
    length : int
        How many tokens to draw at most.
    eos : int, optional
        The token that ends a sequence. It is yielded, too, and again until all of a batch have ended.
    temperature : float
        Scores are divided by it: below 1 likely tokens are drawn even more often. The smallest ones leave
        only the likeliest tokens, each as often as the others.
    top_k : int, optional
        Draw from the ``top_k`` likeliest tokens only; 1 always takes the likeliest.
    top_p : float, optional
        Draw from the fewest likeliest tokens whose probabilities add up to ``top_p`` (Holtzman 2020).
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    iterator
        Of the tokens, shape (N,); of a single sequence of Python's int.

    Raises
    ------
    ArgumentError
        If the model has no method ``step``, or it returns scores of another shape, or such that are NaN,
        inf, or all -inf; if ``length`` is negative or ``eos`` no token, the temperature or ``top_k`` is
        not positive, or ``top_p`` not above 0 and at most 1.
    ShapeError
        If the start has another shape, or none.
    DtypeError
        If the start does not hold integers.

    Examples
    --------
    >>> class Successor:
    ...     def step(self, tokens, state):
    ...         return mg.one_hot((tokens + 1) % 5, 5), state
    >>> list(nn.decoding.generate(Successor(), [1, 2], length=4, top_k=1))
    [3, 4, 0, 1]
    """
    begun = start_of("generate", model, start, state)
    length, eos = check_ends("generate", length, eos)
    temperature = check_number("generate", "temperature", temperature)
    if not 0 < temperature <= sys.float_info.max:  # an integer may be larger than any float
        raise ArgumentError(f"generate: temperature must be a number above 0, not {temperature!r}")
    if top_k is not None:
        top_k = check_integer("generate", "top_k", top_k, low=1)
    if top_p is not None:
        top_p = check_number("generate", "top_p", top_p, high=1)
        if top_p <= 0:
            raise ArgumentError(
                f"generate: top_p must be a number above 0, at most 1, not {top_p!r}"
            )
    source = generator or random.default_generator

    def draw(scores: Tensor) -> Any:
        likely, tokens = topk(scores, min(top_k or scores.shape[-1], scores.shape[-1]))
        chances = softmax((likely - likely[:, :1]) / temperature, axis=-1)
        if top_p is not None and top_p < 1:
            before = cumulative_sum(chances, axis=-1) - chances
            chances = where(before < top_p, chances, 0.0)
        place = source.categorical(chances)
        return squeeze(take_along_axis(tokens, place[:, None], axis=-1), -1)

    drawn = continued("generate", model, begun, state, length, eos, draw)
    return (int(tokens.item()) for tokens in drawn) if begun.single else drawn
