"""Cross entropy of padded sequences: where there is padding, scores are never read."""

from __future__ import annotations

import math
from typing import Any

from minigrad.errors import check_choice
from minigrad.nn.checks import check_flags, checked_input
from minigrad.nn.losses.criteria import CrossEntropyLoss
from minigrad.nn.losses.padding import labels_of
from minigrad.ops import reduce
from minigrad.ops.elementwise import logical_and, not_equal, where
from minigrad.ops.losses import cross_entropy, reduced
from minigrad.ops.shape import expand_dims, reshape
from minigrad.tensor import Tensor


class SequenceLoss(CrossEntropyLoss):
    """Cross entropy of scores at each step of sequences of unequal length.

    Whatever stands in the padding, of scores and of targets, changes neither the loss nor a gradient.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class, shape (C,).
    per : {"token", "sequence"}
        What one loss belongs to: a step, or a sequence, whose loss is the sum over its steps.
    reduction : {"mean", "sum", "none"}
        The mean over tokens or sequences, the sum, or one loss for each. With ``weight``, a token counts
        as much as its class weighs.
    ignore_index : int
        A class index whose places count for nothing, as if they were padding.
    label_smoothing : float
        What part of each target is spread evenly over the classes (Szegedy 2016).
    batch_first : bool
        Whether scores are (N, T, C) and targets (N, T).

    Raises
    ------
    ArgumentError
        If ``per`` or ``reduction`` is unknown, ``batch_first`` no bool, or ``label_smoothing`` does not
        lie between 0 and 1.

    Examples
    --------
    >>> scores = mg.zeros((3, 2, 4))
    >>> tags = mg.tensor([[1, 3], [2, 0], [0, 0]])
    >>> nn.SequenceLoss()(scores, (tags, [3, 1]))
    tensor(1.3863)
    >>> nn.SequenceLoss(per="sequence", reduction="none")(scores, (tags, [3, 1]))
    tensor([4.1589, 1.3863])
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        per: str = "token",
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        batch_first: bool = False,
    ) -> None:
        super().__init__(
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
        check_choice("SequenceLoss", ("token", "sequence"), per=per)
        check_flags("SequenceLoss", batch_first=batch_first)
        self.per, self.batch_first = per, batch_first

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of scores against the classes that are right.

        Parameters
        ----------
        input : Tensor
            Scores, shape (T, N, C), or with ``batch_first`` (N, T, C).
        target : Tensor of int, or pair of Tensor
            Class indices, shape (T, N) or (N, T); with lengths, shape (N,), as a pair, such as
            `minigrad.nn.data.Padded`.

        Returns
        -------
        Tensor
            A scalar; with ``reduction="none"`` the shape of the target, zero in the padding, or (N,) per
            sequence.

        Raises
        ------
        ShapeError
            If shapes do not fit.
        DtypeError
            If scores are not floating-point numbers, or targets or lengths no integers.
        ArgumentError
            If a length is negative or larger than T.
        IndexingError
            If a class index is out of range and not ``ignore_index``.
        """
        input, labels, kept = self._counted(input, target)
        if not bool(reduce.all(kept)):
            input = where(expand_dims(kept, axis=-1), input, 0.0)
        losses = cross_entropy(
            reshape(input, (-1, input.shape[-1])),
            reshape(labels, (-1,)),
            self.weight,
            ignore_index=self.ignore_index,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        losses = reshape(losses, tuple(labels.shape))
        if self.per == "sequence":
            losses = reduce.sum(losses, axis=1 if self.batch_first else 0)
        if self.reduction == "mean":
            return reduce.sum(losses) / (self._count(labels) or math.nan)
        return reduced(losses, self.reduction)

    def number_of_items(self, input: Any, target: Any) -> float:
        """Return how many tokens or sequences the mean is over; see `CrossEntropyLoss.number_of_items`.

        Parameters
        ----------
        input : Tensor
            Scores, shape (T, N, C), or with ``batch_first`` (N, T, C).
        target : Tensor of int, or pair of Tensor
            Class indices, shape (T, N) or (N, T); with lengths, shape (N,), as a pair.

        Returns
        -------
        float
            Their number; with ``weight``, a token counts as much as its class weighs.
        """
        return self._count(self._counted(input, target)[1])

    def _counted(self, input: Any, target: Any) -> tuple[Any, Any, Any]:
        """Return scores, labels, which are ``ignore_index`` where nothing counts, and where some do."""
        input = checked_input("SequenceLoss", input)
        labels, _, present = labels_of("SequenceLoss", target, input, self.batch_first)
        kept = logical_and(present, not_equal(labels, self.ignore_index))
        return input, where(kept, labels, self.ignore_index), kept

    def _count(self, labels: Any) -> float:
        if self.per == "sequence":
            count: float = labels.shape[0 if self.batch_first else 1]
            return count
        return super().number_of_items(labels, labels)
