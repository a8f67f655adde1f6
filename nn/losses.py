"""Loss functions as layers: the options at first, scores and targets when called."""

from __future__ import annotations

from typing import Any

from minigrad.checks import check_number
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.nn.parameter import Buffer
from minigrad.ops.losses import (
    binary_cross_entropy_with_logits,
    check_reduction,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from minigrad.tensor import Tensor


class _Loss(Module):
    def __init__(self, *, reduction: str = "mean") -> None:
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction


def _kept(weight: Tensor | None) -> Buffer | None:
    return None if weight is None else Buffer(weight)


class CrossEntropyLoss(_Loss):
    """Cross entropy between the softmax of scores and the targets; see `minigrad.cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class, shape (C,).
    ignore_index : int
        A class index whose places count for nothing.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        What part of each target is spread evenly over the classes (Szegedy 2016).

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown, or ``label_smoothing`` does not lie between 0 and 1.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction=reduction)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(
                f"CrossEntropyLoss: label_smoothing must lie between 0 and 1, not {label_smoothing}"
            )
        self.weight = _kept(weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of scores (N, C, ...) or (C,) against class indices or probabilities."""
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """Negative log likelihood of the target classes; see `minigrad.nll_loss`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class, shape (C,).
    ignore_index : int
        A class index whose places count for nothing.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.
    """

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight, self.ignore_index = _kept(weight), ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of log probabilities (N, C, ...) or (C,) against class indices."""
        return nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class BCEWithLogitsLoss(_Loss):
    """Cross entropy between the sigmoid of scores and probabilities, without overflow.

    See `minigrad.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each element; broadcasts against the scores.
    reduction : {"mean", "sum", "none"}
    pos_weight : Tensor, optional
        A factor for the positive part; broadcasts against the scores.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight, self.pos_weight = _kept(weight), _kept(pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of scores against probabilities of the same shape."""
        return binary_cross_entropy_with_logits(
            input, target, self.weight, self.pos_weight, reduction=self.reduction
        )


class MSELoss(_Loss):
    """Mean of the squared differences.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of two tensors of one shape."""
        return mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean of the absolute differences; the gradient at 0 is 0.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of two tensors of one shape."""
        return l1_loss(input, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """Mean of the differences, squared up to ``delta``, absolute beyond; see `minigrad.huber_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    delta : float

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown, or ``delta`` is not positive.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not delta > 0:
            raise ArgumentError(f"HuberLoss: delta must be positive, not {delta}")
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of two tensors of one shape."""
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(_Loss):
    """Mean of the absolute differences, made smooth up to ``beta``; see `minigrad.smooth_l1_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    beta : float

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown, or ``beta`` is negative.
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        beta = check_number("SmoothL1Loss", "beta", beta, low=0)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of two tensors of one shape."""
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)
