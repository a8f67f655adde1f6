"""Errors of forecasts: mean absolute and squared ones, and those scaled by a naive forecast."""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigrad.checks import check_integer
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.data.arrays import Array
from minigrad.nn.metrics.inputs import numbers, on_host
from minigrad.nn.metrics.ratio import Ratio


def mae(predictions: Any, targets: Any, *, mask: Any = None, lengths: Any = None) -> Ratio:
    """Return the mean absolute error.

    Parameters
    ----------
    predictions : Tensor or array
        The shape of the targets.
    targets : Tensor, array or Padded
        Any shape.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    Ratio
        The sum of errors in units of the targets, and the number of elements.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ArgumentError
        If a number that counts is NaN.

    Examples
    --------
    >>> nn.metrics.mae([1.0, 2.0, 3.0], [1.0, 4.0, 2.0]).value
    1.0
    """
    errors, _ = _errors("mae", predictions, targets, mask, lengths)
    return _mean(numpy.abs(errors))


def mse(predictions: Any, targets: Any, *, mask: Any = None, lengths: Any = None) -> Ratio:
    """Return the mean squared error.

    Parameters
    ----------
    predictions : Tensor or array
        The shape of the targets.
    targets : Tensor, array or Padded
        Any shape.
    mask, lengths : Tensor or array, optional
        Which places count, as for `mae`: bool of the targets' shape, or integers of shape (N,).

    Returns
    -------
    Ratio
        The sum of squared errors, and the number of elements.

    Raises
    ------
    ShapeError, ArgumentError
        As `mae`.

    Examples
    --------
    >>> nn.metrics.mse([1.0, 2.0], [1.0, 4.0]).value
    2.0
    """
    errors, _ = _errors("mse", predictions, targets, mask, lengths)
    return _mean(errors * errors)


def rmse(predictions: Any, targets: Any, *, mask: Any = None, lengths: Any = None) -> float:
    """Return the root of the mean squared error.

    It is no mean: take it of the whole set, or of the value of `mse`, and not of each batch.

    Parameters
    ----------
    predictions : Tensor or array
        The shape of the targets.
    targets : Tensor, array or Padded
        Any shape.
    mask, lengths : Tensor or array, optional
        Which places count, as for `mae`: bool of the targets' shape, or integers of shape (N,).

    Returns
    -------
    float
        In units of the targets; NaN if there is nothing to judge.

    Raises
    ------
    ShapeError, ArgumentError
        As `mae`.

    Examples
    --------
    >>> nn.metrics.rmse([1.0, 2.0], [3.0, 4.0])
    2.0
    """
    errors, _ = _errors("rmse", predictions, targets, mask, lengths)
    return math.sqrt(_mean(errors * errors).value)


def mase(
    predictions: Any,
    targets: Any,
    history: Any,
    *,
    period: int = 1,
    mask: Any = None,
    lengths: Any = None,
) -> Ratio:
    """Return the mean absolute scaled error (Hyndman & Koehler 2006, International J. of Forecasting 22).

    Each series' errors are divided by the mean absolute error that the naive forecast, the value one
    period before, makes in its history. Below 1 is better than that.

    Parameters
    ----------
    predictions : Tensor or array
        The shape of the targets.
    targets : Tensor, array or Padded
        Shape (T, ...): steps first, then the series.
    history : Tensor or array
        What was there for training, without NaN; shape (T_train, ...), the same series.
    period : int, default 1
        How many steps a season has; 1 is the forecast without one.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    Ratio
        The sum of scaled errors, and the number of elements.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or the history is no longer than a period.
    ArgumentError
        If a number that counts is NaN, or ``period`` is no positive integer, or a history that is
        needed never changes from period to period.

    Examples
    --------
    >>> nn.metrics.mase([6.0, 7.0], [6.0, 8.0], history=[1.0, 3.0, 2.0, 5.0]).value
    0.25
    """
    period = check_integer("mase", "period", period, low=1)
    errors, places = _errors("mase", predictions, targets, mask, lengths)
    past = on_host("mase", history, "history").astype(numpy.float64)
    if not places.ndim or past.shape[1:] != places.shape[1:]:
        raise ShapeError(
            f"mase: a history of shape {past.shape} does not fit targets of shape {places.shape}; "
            "their axes behind the first, the steps, must be equal"
        )
    if len(past) <= period:
        raise ShapeError(f"mase: a history of {len(past)} steps is no longer than period={period}")
    scale = numpy.mean(numpy.abs(past[period:] - past[:-period]), axis=0)
    needed = numpy.broadcast_to(scale, places.shape)[places]
    if not numpy.all((needed > 0) & numpy.isfinite(needed)):
        raise ArgumentError(
            "mase: the history of a series holds NaN or infinity, or never changes from period to "
            "period, so that nothing can be scaled by it; leave such series out"
        )
    return _mean(numpy.abs(errors) / needed)


def _errors(
    of: str, predictions: Any, targets: Any, mask: Any, lengths: Any
) -> tuple[Array, Array]:
    """Return the errors that count, flat, and where they are."""
    predicted, actual, places = numbers(of, predictions, targets, mask, lengths)
    return predicted[places] - actual[places], places


def _mean(values: Array) -> Ratio:
    return Ratio(float(values.sum()), values.size)
