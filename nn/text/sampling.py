"""Let a model of sequences go on by itself, one draw after the other."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad import random
from minigrad.checks import check_integer, check_number
from minigrad.errors import ArgumentError
from minigrad.ops.network import softmax
from minigrad.ops.reduce import topk
from minigrad.tape import no_grad
from minigrad.tensor import Tensor, tensor

Predict = Callable[[Tensor, Any], tuple[Tensor, Any]]


def generate(
    predict: Predict,
    prompt: np.ndarray[Any, Any],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: random.Generator | None = None,
    device: str | None = None,
) -> Iterator[int]:
    """Yield ``length`` numbers that continue ``prompt``, drawn one by one.

    Each number is drawn when it is asked for.

    Parameters
    ----------
    predict : callable
        ``predict(codes, state)`` takes codes of shape (T, 1) and a state (at first None); it returns
        scores of shape (T, 1, size) for the next number, and the new state. A score of -inf forbids
        a number.
    prompt : array of int
        Shape (length,): at least one number.
    length : int
        How many numbers to draw.
    temperature : float
        Scores are divided by it: below 1 likely numbers are drawn even more often. The smallest ones
        leave only the likeliest numbers, each as often as the others.
    top_k : int, optional
        Draw from the ``top_k`` likeliest numbers only; 1 always takes the likeliest (greedy decoding).
    generator : Generator, optional
        By default the global one.
    device : str, optional
        Where ``predict`` wants its codes.

    Returns
    -------
    iterator of int
        The numbers.

    Raises
    ------
    ArgumentError
        If the prompt is no row of integers, the length is negative, the temperature or ``top_k`` is not
        positive, or ``predict`` returns scores of another shape, or such that are NaN, inf, or all
        -inf.

    Examples
    --------
    >>> import numpy as np
    >>> def predict(codes, state):
    ...     return mg.one_hot((codes + 1) % 5, 5), state
    >>> list(nn.text.generate(predict, np.array([2]), length=4, top_k=1))
    [3, 4, 0, 1]
    """
    start = tensor(prompt, device=device)
    if start.ndim != 1 or start.size == 0:
        raise ArgumentError(
            f"generate: the prompt has shape {start.shape}; give a row of one number or more"
        )
    if start.dtype.kind not in "iu":
        raise ArgumentError(f"generate: the prompt must hold integers, not {start.dtype}")
    length = check_integer("generate", "length", length, low=0)
    temperature = check_number("generate", "temperature", temperature)
    if not 0 < temperature <= sys.float_info.max:  # an integer may be larger than any float
        raise ArgumentError(f"generate: temperature must be a number above 0, not {temperature!r}")
    if top_k is not None:
        top_k = check_integer("generate", "top_k", top_k, low=1)
    draws = generator or random.default_generator
    return _generated(predict, start, length, temperature, top_k, draws)


def _generated(
    predict: Predict,
    codes: Tensor,
    length: int,
    temperature: float,
    top_k: int | None,
    generator: random.Generator,
) -> Iterator[int]:
    state = None
    for _ in range(length):
        with no_grad():
            scores, state = predict(codes[:, None], state)
            if scores.ndim != 3 or scores.shape[:2] != (len(codes), 1) or not scores.shape[2]:
                raise ArgumentError(
                    f"generate: predict() returned scores of shape {scores.shape} for "
                    f"{len(codes)} steps of one sequence; it must be ({len(codes)}, 1, size)"
                )
            size = scores.shape[-1]
            # in float64 no temperature is zero, and a difference of scores cannot overflow
            likely, numbers = topk(scores[-1, 0].astype("float64"), min(top_k or size, size))
            _check_finite(likely[0].item())
            place = generator.categorical(softmax((likely - likely[0]) / temperature, axis=-1))
            codes = numbers[place][None]
        yield int(codes)


def _check_finite(largest: float) -> None:
    """Refuse scores by the largest of them, as which NaN counts."""
    if not math.isfinite(largest):
        found = "all -inf, which forbids every number" if largest == -math.inf else f"{largest}"
        raise ArgumentError(
            f"generate: the scores that predict() returned are {found}; a model that has diverged "
            "returns such: train it again with a smaller learning rate or clipped gradients"
        )
