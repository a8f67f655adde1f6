"""Rows of the state of a model: which axis they are, and how to take some of them."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.ops.index import take
from minigrad.tensor import Tensor, tensor


def select_rows(state: Any, rows: Any) -> Any:
    """Return the state of these rows of the batch.

    The batch is the first axis of tensors with one axis or two, and the second one of tensors with
    more: of states (num_layers, N, width) of recurrent layers, say. A part that has a method
    ``select_rows(rows)`` is asked instead.

    Parameters
    ----------
    state : Tensor, None, or nested tuple, list or dict of them
        Of N rows, shapes as above.
    rows : Tensor of int or sequence of int
        Shape (M,): from 0 to N - 1; a row may be there several times.

    Returns
    -------
    Tensor, None, or nested tuple, list or dict of them
        The same, of M rows: shapes as above.

    Raises
    ------
    ArgumentError
        If the state holds something else, or a tensor without axes.
    IndexingError
        If there is no such row.

    Examples
    --------
    >>> h = mg.zeros((1, 3, 4))
    >>> nn.decoding.select_rows((h, mg.tensor([5, 6, 7])), [2, 2])[1]
    tensor([7, 7])
    """
    chosen = rows if isinstance(rows, Tensor) else tensor(rows, dtype="int64")
    return _selected(state, chosen)


def _selected(state: Any, rows: Tensor) -> Any:
    own = getattr(state, "select_rows", None)
    if own is not None:
        return own(rows)
    if isinstance(state, Tensor):
        return take(state, rows.to(state.device), axis=_axis_of(state))
    if isinstance(state, tuple):
        parts = [_selected(part, rows) for part in state]
        return state._make(parts) if hasattr(state, "_make") else tuple(parts)
    if isinstance(state, list):
        return [_selected(part, rows) for part in state]
    if isinstance(state, dict):
        return {name: _selected(part, rows) for name, part in state.items()}
    if state is not None:
        raise ArgumentError(
            f"select_rows: a state is made of tensors in tuples, lists and dicts, not of a "
            f"{type(state).__name__}; give the model, or that part of the state, a method "
            "select_rows(rows)"
        )
    return None


def count_of(state: Any) -> int | None:
    """Return how many rows a state has; None if it holds no tensor."""
    if isinstance(state, Tensor):
        return int(state.shape[_axis_of(state)])
    if isinstance(state, dict):
        state = tuple(state.values())
    if isinstance(state, (tuple, list)):
        if hasattr(state, "select_rows"):  # its tensors have the batch first
            return next((len(part) for part in state if isinstance(part, Tensor)), None)
        return next((n for part in state if (n := count_of(part)) is not None), None)
    return None


def _axis_of(state: Tensor) -> int:
    if not state.ndim:
        raise ArgumentError("select_rows: a tensor of the state has no axis, and so no rows")
    return 0 if state.ndim < 3 else 1
