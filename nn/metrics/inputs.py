"""What metrics are given, as NumPy arrays of one shape, and which of their places count."""

from __future__ import annotations

from typing import Any

import numpy

from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn.data.arrays import Array, array_of
from minigrad.ops import reduce
from minigrad.tensor import Tensor, tensor


def on_host(of: str, x: Any, what: str) -> Array:
    """Return a tensor, array or list of numbers as an array of NumPy.

    Raises
    ------
    ArgumentError
        If it is none, or a ragged list.
    DtypeError
        If it holds something other than numbers and bool.
    """
    if isinstance(x, Tensor):
        x = x.detach()
    elif not hasattr(x, "dtype"):  # Python's floats keep their digits
        try:
            x = numpy.asarray(x)
        except ValueError:
            raise ArgumentError(
                f"{of}: {what} must be a tensor, an array or a list of numbers, not a ragged list; "
                "pad it with nn.data.pad_sequence"
            ) from None
    if isinstance(x, numpy.ndarray) and x.dtype.kind not in "biufV":
        raise DtypeError(
            f"{of}: {what} must be a tensor, an array or a list of numbers, not of dtype {x.dtype}"
        )
    array = array_of(of, x)
    return array.astype(numpy.float32) if array.dtype.kind == "V" else array  # bfloat16


def _is_padded(x: Any) -> bool:
    """Say whether ``x`` is a pair of values and lengths, such as `minigrad.nn.data.Padded`."""
    return isinstance(x, tuple) and len(x) == 2 and hasattr(x[0], "shape")


def unpadded(of: str, predictions: Any, targets: Any, lengths: Any) -> tuple[Any, Any, Any]:
    """Return predictions and targets without their lengths, and the lengths.

    Raises
    ------
    ArgumentError
        If lengths are given twice and differ.
    """
    found = [x[1] for x in (predictions, targets) if _is_padded(x)]
    if lengths is not None:
        found.append(lengths)
    arrays = [on_host(of, x, "lengths") for x in found]
    if any(not numpy.array_equal(arrays[0], other) for other in arrays[1:]):
        raise ArgumentError(
            f"{of}: lengths are given more than once, and differ; pass those of the targets only"
        )
    predictions, targets = (x[0] if _is_padded(x) else x for x in (predictions, targets))
    return predictions, targets, arrays[0] if arrays else None


def counted(of: str, shape: tuple[int, ...], mask: Any, lengths: Any) -> Array:
    """Return where values of a shape count, as bool: within the lengths, and where the mask is True.

    Parameters
    ----------
    of : str
    shape : tuple of int
        That of the targets, (T, N, ...) if lengths are given.
    mask : array of bool, optional
        The shape of the targets, or of their first axes.
    lengths : array of int, optional
        Shape (N,).

    Raises
    ------
    ShapeError
        If mask or lengths do not fit the shape.
    DtypeError
        If the mask is not bool, or the lengths are not integers.
    """
    places = numpy.ones(shape, dtype=bool)
    if lengths is not None:
        lengths = on_host(of, lengths, "lengths")
        if lengths.dtype.kind not in "iu":
            raise DtypeError(f"{of}: lengths must be integers, not {lengths.dtype}")
        if len(shape) < 2 or lengths.shape != shape[1:2]:
            raise ShapeError(
                f"{of}: lengths of shape {lengths.shape} do not fit targets of shape {shape}; "
                "targets (T, N, ...) need N lengths"
            )
        if numpy.any((lengths < 0) | (lengths > shape[0])):
            raise ShapeError(
                f"{of}: lengths must lie between 0 and {shape[0]}, the steps of the targets, and run "
                f"from {lengths.min()} to {lengths.max()}"
            )
        inside = numpy.arange(shape[0])[:, None] < lengths
        places &= inside.reshape(inside.shape + (1,) * (len(shape) - 2))
    if mask is not None:
        mask = on_host(of, mask, "mask")
        if mask.dtype.kind != "b":
            raise DtypeError(f"{of}: the mask must be bool, not {mask.dtype}; True counts")
        if mask.shape != shape[: mask.ndim]:
            raise ShapeError(
                f"{of}: a mask of shape {mask.shape} does not fit targets of shape {shape}; it needs "
                "their shape, or their first axes"
            )
        places &= mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
    return places


def numbers(
    of: str, predictions: Any, targets: Any, mask: Any, lengths: Any
) -> tuple[Array, Array, Array]:
    """Return predicted and true numbers as float64, and where they count.

    Raises
    ------
    ShapeError
        If the shapes differ, or mask or lengths do not fit.
    ArgumentError
        If a number that counts is NaN.
    """
    predictions, targets, lengths = unpadded(of, predictions, targets, lengths)
    pair = [on_host(of, x, n) for x, n in ((predictions, "predictions"), (targets, "targets"))]
    if pair[0].shape != pair[1].shape:
        raise ShapeError(
            f"{of}: predictions have shape {pair[0].shape} and targets {pair[1].shape}; "
            "they must be equal"
        )
    places = counted(of, pair[1].shape, mask, lengths)
    for array, what in zip(pair, ("predictions", "targets"), strict=True):
        if numpy.any(numpy.isnan(array[places])):
            raise ArgumentError(f"{of}: the {what} hold NaN; leave such places out by a mask")
    return pair[0].astype(numpy.float64), pair[1].astype(numpy.float64), places


def classes(
    of: str, predictions: Any, targets: Any, mask: Any, lengths: Any
) -> tuple[Array, Array, Array]:
    """Return predicted and true classes as int64 of the targets' shape, and where they count.

    Places that do not count hold 0.

    Parameters
    ----------
    of : str
    predictions : Tensor or array
        Classes of the targets' shape, or scores with one axis more, the last one; the largest wins.
    targets : Tensor, array or Padded
        Classes from 0 on; whole numbers or bool.
    mask, lengths
        See `counted`.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DtypeError
        If the predictions have the targets' shape, and are neither integers nor bool.
    ArgumentError
        If a class that counts is negative, no whole number, or has no score, or a score is NaN.
    """
    predictions, targets, lengths = unpadded(of, predictions, targets, lengths)
    actual = on_host(of, targets, "targets")
    places = counted(of, actual.shape, mask, lengths)
    if not isinstance(predictions, Tensor):
        predictions = on_host(of, predictions, "predictions")
    if predictions.ndim == actual.ndim + 1 and predictions.shape[:-1] == actual.shape:
        predicted, size = _winners(of, predictions, places)
    else:
        predicted, size = on_host(of, predictions, "predictions"), None
    if predicted.shape != actual.shape:
        raise ShapeError(
            f"{of}: predictions of shape {predicted.shape} do not fit targets of shape {actual.shape}; "
            "pass classes of that shape, or scores with one more axis, the last one"
        )
    if predicted.dtype.kind not in "biu" and predicted.size:  # an empty list has no kind
        raise DtypeError(
            f"{of}: predictions of the targets' shape must be classes (integers or bool), not "
            f"{predicted.dtype}; of logits of a yes-or-no question pass 'logits > 0'"
        )
    return (
        _whole(of, "predictions", predicted, places, None),
        _whole(of, "targets", actual, places, size),
        places,
    )


def _winners(of: str, scores: Any, places: Array) -> tuple[Array, int]:
    size = scores.shape[-1]
    if size < 2:
        raise ShapeError(
            f"{of}: the scores have {size} classes; of a yes-or-no question with one logit pass "
            "'logits > 0' in the targets' shape"
        )
    scores = scores.detach() if isinstance(scores, Tensor) else tensor(scores)
    if not places.size:
        return numpy.zeros(places.shape, dtype=numpy.int64), size
    if numpy.any(numpy.isnan(on_host(of, reduce.max(scores, axis=-1), "scores"))[places]):
        raise ArgumentError(f"{of}: the scores hold NaN; the model has diverged, or was given NaN")
    return on_host(of, reduce.argmax(scores, axis=-1), "scores"), size


def _whole(of: str, what: str, array: Array, places: Array, size: int | None) -> Array:
    """Return classes as int64, with 0 where they do not count."""
    values = array[places]
    with numpy.errstate(invalid="ignore"):
        whole = values.astype(numpy.int64)
    wrong = (whole != values) | (whole < 0) | (False if size is None else whole >= size)
    if numpy.any(wrong):
        bound = "" if size is None else f" to {size - 1}, the last class that has a score"
        raise ArgumentError(
            f"{of}: the {what} hold {values[wrong][0].item()}, and classes are whole numbers from 0"
            f"{bound or ' on'}; leave padding out by lengths or a mask"
        )
    result = numpy.zeros(array.shape, dtype=numpy.int64)
    result[places] = whole
    return result
