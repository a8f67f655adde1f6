"""Scores of language models, from the mean cross-entropy of a token in nats."""

from __future__ import annotations

import math
from typing import Any

from minigrad.checks import check_number
from minigrad.errors import ArgumentError
from minigrad.tensor import Tensor


def perplexity(loss: Any) -> float:
    """Return ``exp(loss)``: among how many equally likely tokens the model hesitates.

    It is no mean: take it of the loss of the whole set, and not of each batch.

    Parameters
    ----------
    loss : Tensor or float, or a pair
        The mean cross-entropy of a token in nats, a scalar; or the pair of the sum and the number of
        tokens.

    Returns
    -------
    float
        1 or more; infinity where a token had no probability.

    Raises
    ------
    ArgumentError
        If the loss is NaN, negative, no scalar, or of no token.

    Examples
    --------
    >>> import math
    >>> round(nn.metrics.perplexity(math.log(50)), 6)
    50.0
    """
    nats = _mean("perplexity", loss, low=0.0)
    return math.exp(nats) if nats < 709.78 else math.inf


def bits(loss: Any) -> float:
    """Return ``loss / log(2)``: how many bits a token takes.

    Parameters
    ----------
    loss : Tensor or float, or a pair
        The mean cross-entropy of a token in nats, a scalar; or the pair of the sum and the number of
        tokens.

    Returns
    -------
    float
        Bits per token.

    Raises
    ------
    ArgumentError
        If the loss is NaN, no scalar, or of no token.

    Examples
    --------
    >>> import math
    >>> round(nn.metrics.bits(math.log(8)), 6)
    3.0
    """
    return _mean("bits", loss, low=-math.inf) / math.log(2)


def _mean(of: str, loss: Any, low: float) -> float:
    parts = [
        x.item() if isinstance(x, Tensor) and x.size == 1 else x
        for x in (loss if isinstance(loss, tuple) else (loss, 1))
    ]
    if len(parts) != 2:
        raise ArgumentError(f"{of}: a pair is (sum of losses, number of tokens), not {loss!r}")
    total = check_number(of, "loss", parts[0], low=low)
    count = check_number(of, "the number of tokens", parts[1], low=0, finite=True)
    if count == 0:
        raise ArgumentError(f"{of}: the loss is of no token; there is nothing to judge")
    return total / count
