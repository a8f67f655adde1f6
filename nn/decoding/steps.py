"""Models that go on step by step: what they begin with, and the scores that they return."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy

from minigrad.checks import as_integer, check_integer
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn.checks import checked_tensor
from minigrad.nn.decoding.rows import count_of
from minigrad.nn.module import Module
from minigrad.ops import reduce
from minigrad.ops.elementwise import where
from minigrad.tape import no_grad
from minigrad.tensor import Tensor, tensor

Choose = Callable[[Tensor], Any]  # from scores (N, V) to tokens (N,)


class Start(NamedTuple):
    """What sequences begin with.

    Attributes
    ----------
    tokens : Tensor of int64
        Shape (T, N).
    single : bool
        Whether it was given without N.
    """

    tokens: Tensor
    single: bool


def start_of(of: str, model: Any, start: Any, state: Any) -> Start:
    """Return the tokens that sequences begin with, at least one of each.

    Parameters
    ----------
    of : str
        What messages begin with.
    model : Module
        With a method ``step``.
    start : int, or Tensor, array or sequence of int
        Shape (T, N), of a single sequence (T,). An integer is the first token of every row of the state.
    state : Any

    Raises
    ------
    ArgumentError
        If the model has no method ``step``, or there is no token.
    ShapeError, DtypeError
        If these are no such tokens.
    """
    if not callable(getattr(model, "step", None)):
        raise ArgumentError(
            f"{of}: the model is a {type(model).__name__}, which has no method step(tokens, state); it "
            "takes tokens (N,) and a state, and returns scores (N, size) and the new state, as that of "
            "nn.Decoder"
        )
    weights = model.parameters() if isinstance(model, Module) else ()
    device = next((p.device for p in weights), None)
    first = as_integer(start)
    rows = None if first is None else count_of(state)
    if first is not None:
        start = numpy.full((1,) if rows is None else (1, rows), first, dtype=numpy.int64)
    elif isinstance(start, (list, tuple)):
        start = numpy.asarray(start)
    tokens = checked_tensor(of, start, None, "the start")
    if tokens.ndim not in (1, 2) or not tokens.shape[0]:
        raise ShapeError(
            f"{of}: the start has shape {tokens.shape}; give one token or more of one sequence, (T,), or "
            "of several, (T, N)"
        )
    if tokens.dtype.kind not in "iu":
        raise DtypeError(f"{of}: the start must hold integers, not {tokens.dtype}")
    tokens = tokens.astype("int64").to(device or tokens.device)
    single = tokens.ndim == 1
    return Start(tokens[:, None] if single else tokens, single)


def scores_of(
    of: str, model: Any, tokens: Tensor, state: Any, eos: int | None = None
) -> tuple[Tensor, Any]:
    """Return the scores of a model for the next tokens, in float64, and its new state.

    In float64 no temperature is zero, and a difference of scores does not overflow.

    Raises
    ------
    ArgumentError
        If it returns something else, or no score of ``eos``.
    """
    found = model.step(tokens, state)
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Tensor)):
        raise ArgumentError(
            f"{of}: step() of a {type(model).__name__} returned a {type(found).__name__}; it must return "
            "the scores of the next tokens and the new state"
        )
    scores, state = found
    rows = len(tokens)
    if scores.ndim != 2 or scores.shape[0] != rows or not scores.shape[1]:
        raise ArgumentError(
            f"{of}: step() of a {type(model).__name__} returned scores of shape {scores.shape} for "
            f"tokens of shape {tokens.shape}; they must be ({rows}, size)"
        )
    if eos is not None and eos >= scores.shape[1]:
        raise ArgumentError(
            f"{of}: eos is {eos}, and the model scores the tokens 0 to {scores.shape[1] - 1}, so that no "
            "sequence would end; give the number of the token that ends one"
        )
    return scores.astype("float64"), state


def check_scores(of: str, scores: Any, dead_end: bool = False) -> None:
    """Refuse scores that are NaN or inf, or, unless at a ``dead_end``, forbid all tokens of a row.

    Raises
    ------
    ArgumentError
    """
    largest = reduce.max(scores, axis=-1).tolist()
    for number in largest:
        if not math.isfinite(number) and not (dead_end and number == -math.inf):
            forbidden = "all -inf, which forbids every token"
            found = forbidden if number == -math.inf else f"{number}"
            raise ArgumentError(
                f"{of}: the scores that step() returned are {found}; a model that has diverged returns "
                "such: train it again with a smaller learning rate or clipped gradients"
            )


def check_ends(of: str, length: Any, eos: Any) -> tuple[int, int | None]:
    """Return the limit and the token that ends a sequence.

    Raises
    ------
    ArgumentError
    """
    return (
        check_integer(of, "length", length, low=0),
        None if eos is None else check_integer(of, "eos", eos, low=0),
    )


def read_start(of: str, model: Any, start: Start, state: Any) -> tuple[Tensor, Any]:
    """Return the last tokens of the start, and the state after those before."""
    *before, tokens = start.tokens
    with no_grad():
        for earlier in before:
            _, state = scores_of(of, model, earlier, state)
    return tokens, state


def continued(
    of: str, model: Any, start: Start, state: Any, length: int, eos: int | None, choose: Choose
) -> Iterator[Tensor]:
    """Yield the tokens (N,) that are chosen step by step; a row that has ended goes on with ``eos``."""
    tokens, state = read_start(of, model, start, state)
    ended = None
    for _ in range(length):
        with no_grad():
            scores, state = scores_of(of, model, tokens, state, eos)
            check_scores(of, scores)
            tokens = choose(scores)
            if eos is not None:
                if ended is not None:
                    tokens = where(ended, tensor(eos, device=tokens.device), tokens)
                ended = tokens == eos
        yield tokens
        if ended is not None and bool(ended.all()):
            return
