"""Scaling by scikit-learn's objects, which know rows of features; fitted on the part to train on only."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.data.arrays import Array, rows_of


def scaled(scaler: Any, train: Any, *others: Any) -> tuple[Array, ...]:
    """Fit a scaler on the part to train on, and return this part and others as it scales them.

    Parameters
    ----------
    scaler : object
        What has ``fit`` and ``transform`` of arrays of shape (rows, features), such as
        ``StandardScaler()`` of scikit-learn. It is fitted here.
    train : array_like
        Shape (..., features), such as (T, N, features), or (T,) for a single feature.
    *others : array_like
        Parts to validate and to test on, with the same features.

    Returns
    -------
    tuple of numpy.ndarray
        The parts, each of its shape; what is NaN is so afterwards if the scaler lets it be.

    Raises
    ------
    ArgumentError
        If ``scaler`` is none, or returns something else than a row for each row.
    ShapeError
        If there is nothing to fit on, or the features differ.
    DtypeError
        If a part holds something else than numbers.

    Examples
    --------
    >>> class Centred:
    ...     def fit(self, rows): self.mean = rows.mean(0)
    ...     def transform(self, rows): return rows - self.mean
    ...     def inverse_transform(self, rows): return rows + self.mean
    >>> scaler = Centred()
    >>> train, test = nn.data.scaled(scaler, [1.0, 3.0], [5.0])
    >>> train.tolist(), test.tolist()
    ([-1.0, 1.0], [3.0])
    >>> nn.data.unscaled(scaler, test).tolist()
    [5.0]
    """
    for name in ("fit", "transform"):
        _check_method("scaled", scaler, name)
    parts = [rows_of("scaled", part) for part in (train, *others)]
    features = _features(parts[0])
    for number, part in enumerate(parts):
        if _features(part) != features:
            raise ShapeError(
                f"scaled: part {number} has {_features(part)} features, and the one to train on has "
                f"{features}; features are the last axis"
            )
    if not parts[0].size:
        raise ShapeError(f"scaled: the part to train on is empty, {parts[0].shape}; give some rows")
    scaler.fit(parts[0].reshape(-1, features))
    return tuple(_by_rows("scaled", scaler.transform, part) for part in parts)


def unscaled(scaler: Any, values: Any) -> Array:
    """Return scaled values, such as predictions, in their own unit again.

    Parameters
    ----------
    scaler : object
        What `scaled` has fitted; it has ``inverse_transform``.
    values : array_like
        Shape (..., features), or (T,) for a single feature.

    Returns
    -------
    numpy.ndarray
        Of the same shape.

    Raises
    ------
    ArgumentError
        If ``scaler`` has no ``inverse_transform``, or it returns something else than a row for each row.
    ShapeError
        If ``values`` is a single number.
    DtypeError
        If they are no numbers.

    Examples
    --------
    >>> class Halved:
    ...     def fit(self, rows): pass
    ...     def transform(self, rows): return rows / 2
    ...     def inverse_transform(self, rows): return rows * 2
    >>> nn.data.unscaled(Halved(), mg.tensor([[[1.0, 2.0]]])).tolist()
    [[[2.0, 4.0]]]
    """
    _check_method("unscaled", scaler, "inverse_transform")
    return _by_rows("unscaled", scaler.inverse_transform, rows_of("unscaled", values))


def _features(part: Array) -> int:
    return 1 if part.ndim == 1 else part.shape[-1]


def _by_rows(of: str, function: Any, part: Array) -> Array:
    """Return a function of rows of features, applied to an array of any number of axes."""
    if not part.size:
        return part  # scikit-learn refuses what has no rows
    found = np.asarray(function(part.reshape(-1, _features(part))))
    if found.ndim != 2 or len(found) * _features(part) != part.size:
        raise ArgumentError(
            f"{of}: the scaler returned shape {found.shape} for {part.size // _features(part)} rows; "
            "give one that returns an array with a row for each"
        )
    if part.ndim == 1 and found.shape[1] == 1:
        return found[:, 0]
    return found.reshape(*part.shape[: max(1, part.ndim - 1)], -1)


def _check_method(of: str, scaler: Any, name: str) -> None:
    if isinstance(scaler, type) or not callable(getattr(scaler, name, None)):
        raise ArgumentError(
            f"{of}: the scaler must have {name}(), and {scaler!r} is none; give an object such as "
            "scikit-learn's StandardScaler()"
        )
