"""Losses of each element or class, as layers around the functions of `minigrad`."""

from __future__ import annotations

from typing import Any

from minigrad.checks import check_flag, check_number
from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.nn.parameter import Buffer
from minigrad.ops import reduce
from minigrad.ops.elementwise import not_equal, where
from minigrad.ops.index import take
from minigrad.ops.losses import (
    binary_cross_entropy_with_logits,
    check_reduction,
    class_axis,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from minigrad.ops.probability_losses import (
    binary_cross_entropy,
    check_divergence_reduction,
    kl_div,
)
from minigrad.tensor import Tensor


class _Loss(Module):
    def __init__(self, *, reduction: str = "mean") -> None:
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction


def _kept(weight: Tensor | None) -> Buffer | None:
    return None if weight is None else Buffer(weight)


class _ClassLoss(_Loss):
    """A loss whose mean is one over the targets that count, each as much as its class weighs."""

    weight: Buffer | None
    ignore_index: int

    def number_of_items(self, input: Any, target: Any) -> float:
        """Return what the mean is divided by, so that means of batches of any size can be added up.

        Parameters
        ----------
        input : Tensor
            Scores, shape (N, C, d1, ...) or (C,).
        target : Tensor
            Class indices, shape (N, d1, ...) or (); or probabilities of the shape of ``input``.

        Returns
        -------
        float
            How many targets count, each as much as its class weighs. Probabilities all count as 1.
        """
        if is_floating(target.dtype):
            return float(target.size) / (target.shape[class_axis(target)] or 1)
        counted = kept = not_equal(target, self.ignore_index)
        if self.weight is not None:
            counted = where(kept, take(self.weight, where(kept, target, 0)), 0.0)
        number: float = reduce.sum(counted).item()
        return number


class CrossEntropyLoss(_ClassLoss):
    """Cross entropy between the softmax of scores and the targets; see `minigrad.cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class, shape (C,).
    ignore_index : int
        A class index whose places count for nothing.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.
    label_smoothing : float
        What part of each target is spread evenly over the classes (Szegedy 2016).

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown, or ``label_smoothing`` does not lie between 0 and 1.

    Examples
    --------
    >>> scores = mg.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> nn.CrossEntropyLoss(reduction="sum")(scores, mg.tensor([0, 1]))
    tensor(1.3382)
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
        """Return the loss of scores against class indices or probabilities.

        Parameters
        ----------
        input : Tensor
            Scores, shape (N, C, d1, ...) or (C,).
        target : Tensor
            Class indices (integers), shape (N, d1, ...) or (); or probabilities (floats) of the shape of
            ``input``.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape (N, d1, ...).

        Raises
        ------
        ShapeError
            If shapes do not fit.
        IndexingError
            If a class index is out of range and not ``ignore_index``.
        ArgumentError
            If ``ignore_index`` was given and ``target`` holds probabilities.
        """
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_ClassLoss):
    """Negative log likelihood of the target classes; see `minigrad.nll_loss`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class, shape (C,).
    ignore_index : int
        A class index whose places count for nothing.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.

    Examples
    --------
    >>> scores = mg.log_softmax(mg.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), axis=1)
    >>> nn.NLLLoss(reduction="sum")(scores, mg.tensor([0, 1]))
    tensor(1.3382)
    """

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight, self.ignore_index = _kept(weight), ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of log probabilities against class indices.

        Parameters
        ----------
        input : Tensor
            Logarithms of probabilities, shape (N, C, d1, ...) or (C,).
        target : Tensor
            Class indices (integers), shape (N, d1, ...) or ().

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape (N, d1, ...).

        Raises
        ------
        ShapeError
            If shapes do not fit.
        DtypeError
            If ``target`` holds no integers.
        IndexingError
            If a class index is out of range and not ``ignore_index``.
        """
        return nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class BCEWithLogitsLoss(_Loss):
    """Cross entropy between the sigmoid of scores and probabilities, without overflow.

    See `minigrad.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each element, of a shape that broadcasts to that of the scores.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.
    pos_weight : Tensor, optional
        A factor for the positive part, of a shape that broadcasts to that of the scores.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.

    Examples
    --------
    >>> nn.BCEWithLogitsLoss()(mg.tensor([0.0, 100.0]), mg.tensor([1.0, 1.0]))
    tensor(0.3466)
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
        """Return the loss of scores against probabilities.

        Parameters
        ----------
        input : Tensor
            Scores, any shape.
        target : Tensor
            Probabilities, the shape of ``input``.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape of ``input``.

        Raises
        ------
        ShapeError
            If the shapes differ.
        """
        return binary_cross_entropy_with_logits(
            input, target, self.weight, self.pos_weight, reduction=self.reduction
        )


class BCELoss(_Loss):
    """Cross entropy between probabilities and probabilities; see `minigrad.binary_cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each element, of a shape that broadcasts to that of the probabilities.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.

    Examples
    --------
    >>> nn.BCELoss(reduction="sum")(mg.tensor([0.5, 0.0]), mg.tensor([1.0, 1.0]))
    tensor(100.6931)
    """

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = _kept(weight)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of probabilities against probabilities.

        Parameters
        ----------
        input : Tensor
            Probabilities, any shape.
        target : Tensor
            Probabilities, the shape of ``input``.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape of ``input``.

        Raises
        ------
        ShapeError
            If the shapes differ.
        ArgumentError
            If a number does not lie between 0 and 1.
        """
        return binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class KLDivLoss(Module):
    """Divergence from log probabilities to probabilities; see `minigrad.kl_div`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "batchmean"}
        Whether the result is the mean or the sum of all losses, or has one for each element. "batchmean"
        is the sum over the size of axis 0: the divergence itself.
    log_target : bool
        Whether targets are logarithms.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown, or ``log_target`` no bool.

    Examples
    --------
    >>> scores = mg.log_softmax(mg.zeros((1, 3)))
    >>> nn.KLDivLoss(reduction="batchmean")(scores, mg.tensor([[0.5, 0.5, 0.0]]))
    tensor(0.4055)
    """

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        check_divergence_reduction("KLDivLoss", reduction)
        self.reduction = reduction
        self.log_target = check_flag("KLDivLoss", "log_target", log_target)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of log probabilities against probabilities, or their logarithms.

        Parameters
        ----------
        input : Tensor
            Logarithms of probabilities, any shape.
        target : Tensor
            Probabilities, or their logarithms, in the shape of ``input``.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape of ``input``.

        Raises
        ------
        ShapeError
            If the shapes differ.
        """
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class MSELoss(_Loss):
    """Mean of the squared differences.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.

    Examples
    --------
    >>> nn.MSELoss()(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of two tensors of one shape.

        Parameters
        ----------
        input : Tensor
            What was predicted, any shape.
        target : Tensor
            What is right, the shape of ``input``.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape of ``input``.

        Raises
        ------
        ShapeError
            If the shapes differ.
        """
        return mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean of the absolute differences; the gradient at 0 is 0.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown.

    Examples
    --------
    >>> nn.L1Loss(reduction="sum")(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of two tensors of one shape.

        Parameters
        ----------
        input : Tensor
            What was predicted, any shape.
        target : Tensor
            What is right, the shape of ``input``.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape of ``input``.

        Raises
        ------
        ShapeError
            If the shapes differ.
        """
        return l1_loss(input, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """Mean of the differences, squared up to ``delta``, absolute beyond; see `minigrad.huber_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.
    delta : float
        Up to which difference it is squared.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown, or ``delta`` is not positive.

    Examples
    --------
    >>> nn.HuberLoss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 5.0]))
    tensor(1.5)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not delta > 0:
            raise ArgumentError(f"HuberLoss: delta must be positive, not {delta}")
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of two tensors of one shape.

        Parameters
        ----------
        input : Tensor
            What was predicted, any shape.
        target : Tensor
            What is right, the shape of ``input``.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape of ``input``.

        Raises
        ------
        ShapeError
            If the shapes differ.
        """
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(_Loss):
    """Mean of the absolute differences, made smooth up to ``beta``; see `minigrad.smooth_l1_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.
    beta : float
        Up to which difference it is smooth.

    Raises
    ------
    ArgumentError
        If ``reduction`` is unknown, or ``beta`` is negative.

    Examples
    --------
    >>> nn.SmoothL1Loss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 5.0]))
    tensor(1.5)
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        beta = check_number("SmoothL1Loss", "beta", beta, low=0)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of two tensors of one shape.

        Parameters
        ----------
        input : Tensor
            What was predicted, any shape.
        target : Tensor
            What is right, the shape of ``input``.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` the shape of ``input``.

        Raises
        ------
        ShapeError
            If the shapes differ.
        """
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)
