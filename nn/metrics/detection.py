"""How well regions meet: intersection over union of boxes and of masks (Jaccard's index)."""

from __future__ import annotations

from typing import Any

import numpy

from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn.data.arrays import Array
from minigrad.nn.metrics.inputs import counted, on_host, unpadded
from minigrad.nn.metrics.ratio import Ratio


def box_iou(a: Any, b: Any) -> Array:
    """Return the intersection over union of each box of ``a`` with each one of ``b``.

    Parameters
    ----------
    a, b : Tensor or array
        Shapes (N, 4) and (M, 4): corners (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2, as in PyTorch's
        torchvision. A width is ``x2 - x1``.

    Returns
    -------
    numpy.ndarray
        Shape (N, M), float64, from 0 to 1; NaN for two boxes without area.

    Raises
    ------
    ShapeError
        If the shapes are others.
    ArgumentError
        If a box has its corners the other way round, or they are not finite.

    Examples
    --------
    >>> nn.metrics.box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]])
    array([[0.33333333, 0.        ]])
    """
    boxes = [_boxes(x) for x in (a, b)]
    (low_a, high_a), (low_b, high_b) = ((x[:, :2], x[:, 2:]) for x in boxes)
    corner = numpy.minimum(high_a[:, None], high_b) - numpy.maximum(low_a[:, None], low_b)
    inside = numpy.prod(numpy.maximum(corner, 0), axis=-1)
    area_a, area_b = (numpy.prod(x[:, 2:] - x[:, :2], axis=-1) for x in boxes)
    union = area_a[:, None] + area_b - inside
    with numpy.errstate(invalid="ignore"):
        ratio: Array = inside / union
    return ratio


def _boxes(x: Any) -> Array:
    boxes = on_host("box_iou", x, "boxes").astype(numpy.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"box_iou: boxes must have shape (N, 4), not {boxes.shape}")
    if not numpy.all(numpy.isfinite(boxes)) or numpy.any(boxes[:, 2:] < boxes[:, :2]):
        raise ArgumentError(
            "box_iou: each box must be (x1, y1, x2, y2), finite, with x1 <= x2 and y1 <= y2"
        )
    return boxes


def mask_iou(predictions: Any, targets: Any, *, mask: Any = None, lengths: Any = None) -> Ratio:
    """Return the intersection over union of two sets of places.

    Parameters
    ----------
    predictions : Tensor or array of bool
        The shape of the targets; of logits pass ``logits > 0``.
    targets : Tensor or array of bool, or Padded
        Any shape.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    Ratio
        How many places are in both, and in any of the two; NaN if there are none.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DtypeError
        If one of the two is not bool.

    Examples
    --------
    >>> nn.metrics.mask_iou([True, True, False], [True, False, False]).value
    0.5
    """
    predictions, targets, lengths = unpadded("mask_iou", predictions, targets, lengths)
    named = (("predictions", predictions), ("targets", targets))
    predicted, actual = (on_host("mask_iou", x, what) for what, x in named)
    if predicted.shape != actual.shape:
        raise ShapeError(
            f"mask_iou: predictions have shape {predicted.shape} and targets {actual.shape}; "
            "they must be equal"
        )
    for array, what in ((predicted, "predictions"), (actual, "targets")):
        if array.dtype.kind != "b":
            raise DtypeError(
                f"mask_iou: the {what} must be bool, not {array.dtype}; compare them with a number"
            )
    places = counted("mask_iou", actual.shape, mask, lengths)
    both, any_ = ((x & places).sum() for x in (predicted & actual, predicted | actual))
    return Ratio(int(both), int(any_))
