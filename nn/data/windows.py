"""Forecasting: windows of a series beside what follows them, and splits that never look ahead."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import check_integer
from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_counts
from minigrad.nn.data.arrays import Array, rows_of


def windows(series: Any, length: int, horizon: int) -> tuple[Array, Array]:
    """Return all windows of a series, and what follows each of them.

    Parameters
    ----------
    series : array_like
        Shape (T, ...): time first.
    length : int
        How many steps a window has.
    horizon : int
        How many steps after it are to be predicted.

    Returns
    -------
    inputs : numpy.ndarray
        Shape (T - length - horizon + 1, length, ...), one step after the other. Of an array of NumPy
        these are views, which take no memory and cannot be written to. Every third: ``inputs[::3]``.
    targets : numpy.ndarray
        Shape (T - length - horizon + 1, horizon, ...).

    Raises
    ------
    ArgumentError
        If ``length`` or ``horizon`` is not positive, or the series is shorter than both together.
    ShapeError
        If the series is a single number.
    DtypeError
        If it holds something else than numbers.

    Examples
    --------
    >>> inputs, targets = nn.data.windows([1, 2, 3, 4, 5], length=3, horizon=1)
    >>> inputs.tolist(), targets.tolist()
    ([[1, 2, 3], [2, 3, 4]], [[4], [5]])
    """
    length, horizon = check_counts("windows", length=length, horizon=horizon)
    rows = rows_of("windows", series)
    if len(rows) < length + horizon:
        raise ArgumentError(
            f"windows: a window of {length} steps and {horizon} behind it do not fit into a series of "
            f"{len(rows)}; give a longer series or shorter windows"
        )
    return _sliding(rows[:-horizon], length), _sliding(rows[length:], horizon)


def _sliding(rows: Array, length: int) -> Array:
    found = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0)
    return np.moveaxis(found, -1, 1)


def walk_forward(
    count: int, folds: int, *, test: int | None = None, train: int | None = None, gap: int = 0
) -> list[tuple[slice, slice]]:
    """Return parts of a series to train on, each before the part to test on, which move on in time.

    The tests lie side by side and end with the series. As scikit-learn's ``TimeSeriesSplit`` cuts.

    Parameters
    ----------
    count : int
        How many steps, or windows, the series has.
    folds : int
        How many pairs.
    test : int, optional
        How long each part to test on is; by default ``count // (folds + 1)``.
    train : int, optional
        How long each part to train on is at most: it slides. By default it expands from the beginning.
    gap : int
        How many steps between the two are left out. Of windows whose targets are ``horizon`` steps long,
        ``horizon - 1`` keep the targets apart.

    Returns
    -------
    list of (slice, slice)
        Where to train, and where to test.

    Raises
    ------
    ArgumentError
        If a number is not positive, ``gap`` is negative, or nothing would be left to train on.

    Examples
    --------
    >>> for train, test in nn.data.walk_forward(10, folds=2, test=3):
    ...     print(list(range(10))[train], list(range(10))[test])
    [0, 1, 2, 3] [4, 5, 6]
    [0, 1, 2, 3, 4, 5, 6] [7, 8, 9]
    """
    of = "walk_forward"
    count, folds = check_counts(of, count=count, folds=folds)
    gap = check_integer(of, "gap", gap, low=0)
    size = count // (folds + 1) if test is None else check_integer(of, "test", test, low=1)
    longest = count if train is None else check_integer(of, "train", train, low=1)
    first = count - folds * size
    if size < 1 or first - gap < 1:
        raise ArgumentError(
            f"{of}: {folds} tests of {max(size, 1)} steps and a gap of {gap} leave nothing to train on "
            f"of {count}; take fewer folds, a shorter test or gap"
        )
    starts = range(first, count, size)
    return [
        (slice(max(0, start - gap - longest), start - gap), slice(start, start + size))
        for start in starts
    ]
