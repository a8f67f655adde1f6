"""Connectionist temporal classification: labels without times, summed over all alignments (Graves 2006).

An alignment gives each frame a label or a blank; the labels that it stands for are left when repetitions
and then blanks are taken out. The sum over all of them is a forward recursion in log space, a step run by
`scan`, so its gradient is derived from that step.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy

from minigrad.checks import check_integer
from minigrad.dtypes import float32, is_half
from minigrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from minigrad.kernels.runtime.rows import on_host
from minigrad.kernels.runtime.specialization import interpreted
from minigrad.kernels.scan import scan
from minigrad.nn.checks import check_flags, checked_input, checked_tensor
from minigrad.nn.losses.padding import present_of, with_lengths
from minigrad.nn.module import Module
from minigrad.ops.elementwise import logaddexp, maximum, where
from minigrad.ops.index import take_along_axis
from minigrad.ops.losses import check_reduction, reduced
from minigrad.ops.shape import astype, broadcast_to, pad, squeeze
from minigrad.tensor import tensor

_Array = numpy.ndarray[Any, Any]


@interpreted
def _forward_step(emitted: Any, skipping: Any, alpha: Any) -> Any:
    """Take one frame: stay, go on by one symbol, or skip a blank between two different labels.

    ``alpha[n, s]`` is the logarithm of the sum over all alignments that have come to symbol s.
    """
    by_one = pad(alpha, ((0, 0), (1, 0)), value=-math.inf)[:, :-1]
    by_two = pad(alpha, ((0, 0), (2, 0)), value=-math.inf)[:, :-2] + skipping
    return logaddexp(logaddexp(alpha, by_one), by_two) + emitted


class _Symbols(NamedTuple):
    """Labels with blanks between and around them, and what may be skipped; (N, 2 S + 1)."""

    labels: _Array
    skipping: _Array  # 0 where one may come from two symbols before, else minus infinity
    lengths: _Array  # of the labels without blanks, (N,)


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any = None,
    target_lengths: Any = None,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Return the negative log likelihood of labels, summed over all their alignments with the frames.

    Labels that cannot be aligned, because there are too few frames, have an infinite loss and a gradient
    of zero. Between two equal labels there must be a blank.

    Parameters
    ----------
    log_probs : Tensor, or pair of Tensor
        Logarithms of probabilities, as from `minigrad.log_softmax`: shape (T, N, C), or (T, C) for a
        single sequence. With lengths, as a pair, such as `minigrad.nn.data.Padded`.
    targets : Tensor of int, or pair of Tensor
        Labels: shape (N, S), or those of all sequences one after the other, shape (sum of the lengths,).
        As a pair with lengths, such as `minigrad.nn.data.Padded`, shape (S, N). What stands in the
        padding is not read.
    input_lengths : sequence or Tensor of int, optional
        The number of frames of each sequence, shape (N,); by default T.
    target_lengths : sequence or Tensor of int, optional
        The number of labels of each sequence, shape (N,); by default S.
    blank : int
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}
        "mean" divides each loss by the number of its labels (or 1) and takes the mean over sequences, as
        PyTorch does.
    zero_infinity : bool
        Whether an infinite loss counts as zero.

    Returns
    -------
    Tensor
        A scalar; with ``reduction="none"`` shape (N,), or () for a single sequence. Of half precision it
        is float32.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DtypeError
        If ``log_probs`` are not floating-point numbers, or labels or lengths no integers.
    ArgumentError
        If a length is negative or too large, a label is the blank, or an option has another value.
    IndexingError
        If a label is out of range.

    Examples
    --------
    >>> log_probs = mg.log_softmax(mg.zeros((4, 2, 3)), axis=-1)
    >>> nn.ctc_loss(log_probs, mg.tensor([[1, 2], [1, 0]]), [4, 3], [2, 1], reduction="none")
    tensor([1.6864, 1.5041])
    """
    check_reduction("ctc_loss", reduction)
    check_flags("ctc_loss", zero_infinity=zero_infinity)
    log_probs, own = with_lengths(log_probs)
    input_lengths = own if input_lengths is None else input_lengths
    log_probs = checked_input("ctc_loss", log_probs)
    single = log_probs.ndim == 2
    if single:
        log_probs = log_probs[:, None]
        input_lengths = None if input_lengths is None else numpy.reshape(on_host(input_lengths), -1)
    if log_probs.ndim != 3:
        raise ShapeError(
            f"ctc_loss: log_probs have shape {tuple(log_probs.shape)}; they must be (T, N, C), or (T, C) "
            "for a single sequence"
        )
    if is_half(log_probs.dtype):
        log_probs = astype(log_probs, float32)
    present_of("ctc_loss", input_lengths, log_probs)  # checks them
    steps, count, classes = log_probs.shape
    symbols = _symbols_of(targets, target_lengths, count, classes, blank)
    total = _total(log_probs, symbols, input_lengths, steps)
    losses = where(total == -math.inf, 0.0 if zero_infinity else math.inf, -total)
    if single:
        losses = squeeze(losses, axis=0)
    if reduction == "mean":
        losses = losses / tensor(
            numpy.maximum(symbols.lengths, 1).reshape(losses.shape).astype(str(losses.dtype)),
            device=losses.device,
        )
    return reduced(losses, reduction)


def _total(log_probs: Any, symbols: _Symbols, input_lengths: Any, steps: int) -> Any:
    """Return the logarithm of the sum over all alignments, shape (N,)."""
    options = {"device": log_probs.device}
    start = numpy.full(symbols.labels.shape, -math.inf)
    start[:, :1] = 0.0
    alpha, skipping = (
        tensor(values, dtype=log_probs.dtype, **options) for values in (start, symbols.skipping)
    )
    emitted = take_along_axis(log_probs, tensor(symbols.labels[None], **options), axis=-1)
    inputs = emitted, broadcast_to(skipping, emitted.shape)
    _, alpha = scan(_forward_step, inputs, alpha, lengths=input_lengths)
    last = tensor(2 * symbols.lengths[:, None], **options)
    ends = [take_along_axis(alpha, maximum(last - back, 0), axis=-1) for back in (0, 1)]
    return squeeze(where(last > 0, logaddexp(*ends), ends[0]), axis=-1)


def _symbols_of(
    targets: Any, target_lengths: Any, count: int, classes: int, blank: int
) -> _Symbols:
    blank = check_integer("ctc_loss", "blank", blank)
    if not 0 <= blank < classes:
        raise ArgumentError(
            f"ctc_loss: blank is {blank}, but log_probs have {classes} classes; it must be one of them"
        )
    given, own = with_lengths(targets)
    values = checked_tensor("ctc_loss", given, what="targets")
    if values.dtype.kind not in "iu":
        raise DtypeError(f"ctc_loss: targets must hold labels (integers), not {values.dtype}")
    rows = on_host(values).astype(numpy.int64)
    if given is not targets:  # a pair: time comes first
        rows, target_lengths = rows.T, own if target_lengths is None else target_lengths
    lengths = _target_lengths(target_lengths, rows, count)
    inside: _Array = numpy.arange(lengths.max(initial=0)) < lengths[:, None]
    labels: _Array = numpy.full(inside.shape, blank)
    labels[inside] = rows if rows.ndim == 1 else rows[:, : inside.shape[1]][inside]
    own_labels = labels[inside]
    if own_labels.size and not (own_labels.min() >= 0 and own_labels.max() < classes):
        raise IndexingError(
            f"ctc_loss: the labels run from {own_labels.min()} to {own_labels.max()}; with {classes} "
            f"classes they must lie between 0 and {classes - 1}"
        )
    if (own_labels == blank).any():
        raise ArgumentError(
            f"ctc_loss: there is a label {blank} in the targets, which is the blank; leave blanks out, "
            "or give another class as blank"
        )
    size = labels.shape[1]
    symbols = numpy.full((count, 2 * size + 1), blank)
    symbols[:, 1::2] = labels
    skipping = numpy.full(symbols.shape, -math.inf)
    skipping[:, 3::2][labels[:, 1:] != labels[:, :-1]] = 0.0
    return _Symbols(symbols, skipping, lengths)


def _target_lengths(given: Any, rows: _Array, count: int) -> _Array:
    """Return how many labels each sequence has, shape (N,).

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
    """
    if given is None:
        given = numpy.full(count, rows.shape[-1] if rows.shape else 0)
    lengths = numpy.reshape(on_host(given), -1)
    fits = rows.ndim == 2 and rows.shape[0] == count
    if not fits and (rows.ndim != 1 or lengths.sum() != rows.size):
        raise ShapeError(
            f"ctc_loss: targets have shape {rows.shape}; for {count} sequences they must be ({count}, S) "
            "or all labels one after the other with target_lengths that add up to their number"
        )
    if lengths.shape != (count,):
        raise ShapeError(
            f"ctc_loss: target_lengths have shape {lengths.shape}; there must be one for each of the "
            f"{count} sequences"
        )
    if count and lengths.dtype.kind not in "iu":
        raise DtypeError(f"ctc_loss: target_lengths must be integers, not {lengths.dtype}")
    most = rows.shape[-1]
    if count and not 0 <= lengths.min() <= lengths.max() <= most:
        wrong = numpy.flatnonzero((lengths < 0) | (lengths > most))[0]
        raise ArgumentError(
            f"ctc_loss: the target length of sequence {wrong} is {lengths[wrong]}; the targets have room "
            f"for lengths from 0 to {most}"
        )
    return lengths.astype(numpy.int64)


class CTCLoss(Module):
    """The negative log likelihood of labels without times; see `minigrad.nn.ctc_loss`.

    Parameters
    ----------
    blank : int
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}
        "mean" divides each loss by the number of its labels (or 1) and takes the mean over sequences, as
        PyTorch does.
    zero_infinity : bool
        Whether an infinite loss, of labels that cannot be aligned, counts as zero.

    Raises
    ------
    ArgumentError
        If ``blank`` is no integer from 0 on, ``reduction`` is unknown, or ``zero_infinity`` no bool.

    Examples
    --------
    >>> log_probs = mg.log_softmax(mg.zeros((4, 2, 3)), axis=-1)
    >>> nn.CTCLoss(reduction="none")(log_probs, mg.tensor([[1, 2], [1, 0]]), [4, 3], [2, 1])
    tensor([1.6864, 1.5041])
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        check_reduction("CTCLoss", reduction)
        check_flags("CTCLoss", zero_infinity=zero_infinity)
        self.blank = check_integer("CTCLoss", "blank", blank, low=0)
        self.reduction, self.zero_infinity = reduction, zero_infinity

    def forward(
        self, input: Any, targets: Any, input_lengths: Any = None, target_lengths: Any = None
    ) -> Any:
        """Return the loss of frames against labels; see `minigrad.nn.ctc_loss`.

        Parameters
        ----------
        input : Tensor, or pair of Tensor
            Logarithms of probabilities, shape (T, N, C) or (T, C); with lengths as a pair.
        targets : Tensor of int, or pair of Tensor
            Labels, shape (N, S) or (sum of the lengths,); with lengths as a pair, shape (S, N).
        input_lengths : sequence or Tensor of int, optional
            The number of frames of each sequence, shape (N,).
        target_lengths : sequence or Tensor of int, optional
            The number of labels of each sequence, shape (N,).

        Returns
        -------
        Tensor
            A scalar; with ``reduction="none"`` shape (N,) or ().

        Raises
        ------
        ShapeError
            If shapes do not fit.
        DtypeError
            If the input is not of floating-point numbers, or labels or lengths not of integers.
        ArgumentError
            If a length is negative or too large, or a label is the blank.
        IndexingError
            If a label is out of range.
        """
        return ctc_loss(
            input,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )

    def number_of_items(self, input: Any, targets: Any) -> float:
        """Return how many sequences the mean is over.

        Parameters
        ----------
        input : Tensor, or pair of Tensor
            Logarithms of probabilities, shape (T, N, C) or (T, C); with lengths as a pair.
        targets : Tensor of int, or pair of Tensor
            Labels, shape (N, S), or with lengths as a pair (S, N).

        Returns
        -------
        float
            N, or 1 of a single sequence.
        """
        log_probs, _ = with_lengths(input)
        count: float = log_probs.shape[1] if log_probs.ndim == 3 else 1
        return count
