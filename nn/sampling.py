"""Let a model of sequences go on by itself, one draw after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad import random
from minigrad.errors import ArgumentError
from minigrad.ops.network import softmax
from minigrad.ops.reduce import topk
from minigrad.tape import no_grad
from minigrad.tensor import Tensor, tensor


def generate(
    predict: Callable[[Tensor, Any], tuple[Tensor, Any]],
    prompt: np.ndarray[Any, Any],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: random.Generator | None = None,
    device: str | None = None,
) -> Iterator[int]:
    """Yield ``length`` numbers that continue ``prompt``, drawn one by one.

    Parameters
    ----------
    predict : callable
        ``predict(codes, state)`` takes codes of shape (T, 1) and a state (at first None); it returns
        scores of shape (T, 1, size) for the next number, and the new state.
    prompt : array of int
        At least one number.
    length : int
    temperature : float
        Scores are divided by it: below 1 likely numbers are drawn even more often.
    top_k : int, optional
        Draw from the ``top_k`` likeliest numbers only; 1 always takes the likeliest (greedy decoding).
    generator : Generator, optional
        By default the global one.
    device : str, optional
        Where ``predict`` wants its codes.

    Raises
    ------
    ArgumentError
        If the prompt is empty, or the temperature or ``top_k`` is not positive.
    """
    if len(prompt) == 0 or not temperature > 0:
        raise ArgumentError(
            f"generate: it needs a prompt and a temperature above 0, not {len(prompt)} characters "
            f"and {temperature}"
        )
    if top_k is not None and top_k < 1:
        raise ArgumentError(f"generate: top_k must be 1 or more, not {top_k}")
    drawn, state = generator or random.default_generator, None
    codes = tensor(prompt, device=device)
    for _ in range(length):
        with no_grad():
            scores, state = predict(codes[:, None], state)
            likely, numbers = topk(scores[-1], min(top_k or scores.shape[-1], scores.shape[-1]))
            place = drawn.categorical(softmax(likely / temperature, axis=-1))
            codes = numbers[0][place]
        yield int(codes)
