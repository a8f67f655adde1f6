"""Truncated backpropagation through time: go on from a state without its history."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.tensor import Tensor


def detach_state(state: Any) -> Any:
    """Return the state of a recurrent layer, through which no gradient flows back.

    A long sequence is trained in chunks: each begins with the detached state that the one before ended
    with [Williams & Peng 1990].

    Parameters
    ----------
    state : Tensor, None, or nested tuple, list or dict of them
        As a recurrent layer returns it; any shapes.

    Returns
    -------
    Tensor, None, or nested tuple, list or dict of them
        The same with detached tensors, of the same shapes.

    Raises
    ------
    ArgumentError
        If it holds something else, from which a gradient might flow on.

    Examples
    --------
    >>> layer = nn.LSTM(3, 4)
    >>> output, state = layer(mg.zeros((7, 2, 3)))
    >>> h, c = nn.detach_state(state)
    >>> h.requires_grad
    False
    """
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, tuple):
        parts = map(detach_state, state)
        return state._make(parts) if hasattr(state, "_make") else tuple(parts)
    if isinstance(state, list):
        return [detach_state(part) for part in state]
    if isinstance(state, dict):
        return {name: detach_state(part) for name, part in state.items()}
    if state is not None:
        raise ArgumentError(
            f"detach_state: a state is made of tensors in tuples, lists and dicts, not of a "
            f"{type(state).__name__}; detach it yourself"
        )
    return None
