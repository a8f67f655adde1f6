"""Truncated backpropagation through time: go on from a state without its history."""

from __future__ import annotations

from typing import Any

from minigrad.tensor import Tensor


def detach_state(state: Any) -> Any:
    """Return the state of a recurrent layer, through which no gradient flows back.

    A long sequence is trained in chunks: each begins with the detached state that the one before ended
    with [Williams & Peng 1990].

    Parameters
    ----------
    state : Tensor, None, or nested tuple or list of them
        As a recurrent layer returns it.
    """
    if isinstance(state, (tuple, list)):
        return type(state)(detach_state(part) for part in state)
    return state.detach() if isinstance(state, Tensor) else state
