"""Limits on the size of gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable

from minigrad.errors import ArgumentError
from minigrad.tape import no_grad
from minigrad.tensor import Tensor


def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients by one factor, so that their norm together is at most ``max_norm``.

    Parameters
    ----------
    parameters : iterable of Tensor
        Those without a gradient are left out.
    max_norm : float

    Returns
    -------
    float
        The norm before scaling.

    Raises
    ------
    ArgumentError
        If ``max_norm`` is negative or not a number.
    """
    if not max_norm >= 0:
        raise ArgumentError(f"clip_grad_norm_: max_norm must be 0 or more, not {max_norm}")
    pairs = [(p, p.grad) for p in parameters if p.grad is not None]
    with no_grad():
        norm = math.sqrt(sum(float((g * g).sum()) for _, g in pairs))
        if norm > max_norm:
            factor = max_norm / (norm + 1e-6)  # as PyTorch
            for p, g in pairs:
                p.grad = g * factor
    return norm
