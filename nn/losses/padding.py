"""Which elements of padded sequences count: labels and lengths, read and checked."""

from __future__ import annotations

from typing import Any

from minigrad.creation import ones
from minigrad.errors import DtypeError, IndexingError, ShapeError
from minigrad.kernels.runtime.rows import rows_of
from minigrad.nn.checks import checked_tensor
from minigrad.ops import reduce
from minigrad.tensor import Tensor


def with_lengths(given: Any) -> tuple[Any, Any]:
    """Return (values, lengths) of padded sequences; without padding the lengths are None."""
    if isinstance(given, tuple) and len(given) == 2:
        return given
    return given, None


def labels_of(of: str, given: Any, scores: Any, batch_first: bool) -> tuple[Any, Any, Any]:
    """Return the labels of scores, their lengths, and which of them are inside of the lengths.

    Parameters
    ----------
    of : str
        What messages begin with.
    given : Tensor of int, or (Tensor of int, lengths)
        Shape (T, N), or with ``batch_first`` (N, T); lengths have the shape (N,).
    scores : Tensor
        Shape (T, N, C), or with ``batch_first`` (N, T, C).
    batch_first : bool

    Returns
    -------
    labels : Tensor of int64
    lengths : sequence or Tensor of int, or None
    present : Tensor of bool
        Of the shape of ``labels``.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        If labels or lengths do not fit.
    """
    axes = "(N, T, C)" if batch_first else "(T, N, C)"
    if scores.ndim != 3:
        raise ShapeError(f"{of}: the scores have shape {tuple(scores.shape)}; they must be {axes}")
    labels, lengths = with_lengths(given)
    labels = checked_tensor(of, labels, scores, "the target")
    shape = tuple(scores.shape[:2])
    if tuple(labels.shape) != shape:
        raise ShapeError(
            f"{of}: the scores have shape {tuple(scores.shape)}, {axes}, so the target must have shape "
            f"{shape}, not {tuple(labels.shape)}"
        )
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"{of}: the target must hold class indices (integers), not {labels.dtype}")
    present = present_of(of, lengths, scores, batch_first)
    return labels.astype("int64"), lengths, present


def check_classes(of: str, what: str, labels: Any, classes: int) -> None:
    """Refuse labels that are no class; what stands in the padding must have been replaced.

    Raises
    ------
    IndexingError
    """
    if labels.size and not bool(reduce.all((labels >= 0) & (labels < classes))):
        low, high = int(reduce.min(labels)), int(reduce.max(labels))
        raise IndexingError(
            f"{of}: the {what}s run from {low} to {high}; with {classes} classes they must lie between 0 "
            f"and {classes - 1}"
        )


def present_of(of: str, lengths: Any, like: Tensor, batch_first: bool = False) -> Any:
    """Return a bool tensor, (T, N) or with ``batch_first`` (N, T): what is inside of the lengths.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        If the lengths do not fit (T, N, ...), the shape of ``like``.
    """
    steps, count = like.shape[1::-1] if batch_first else like.shape[:2]
    rows = rows_of(of, steps, count, like.device, lengths, None, None)
    if rows is None:
        return ones(like.shape[:2], dtype="bool", device=like.device)
    return rows.present.mT if batch_first else rows.present
