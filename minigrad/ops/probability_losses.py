"""Losses between probabilities: what PyTorch computes of the probabilities themselves, not of scores.

Where a probability is 0 its logarithm has no number. A binary cross entropy then counts -100, and its
slope is bounded, as in PyTorch; in a divergence what has no probability costs nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigrad.checks import check_flag
from minigrad.composite import composite
from minigrad.errors import ArgumentError, ShapeError, check_choice
from minigrad.op import Arguments, Domain, Draw, define_op
from minigrad.ops import reduce
from minigrad.ops.elementwise import exp, log, where
from minigrad.ops.losses import REDUCTIONS, any_reduction, check_pair, check_reduction, reduced
from minigrad.promotion import rounded_once

DIVERGENCE_REDUCTIONS = (*REDUCTIONS, "batchmean")
_LEAST_LOG = -100.0
_LEAST_VARIANCE = float(numpy.float32(1e-12))  # as PyTorch, which takes it for float64, too

# two classes


def _logs(m: Any, x: Any) -> tuple[Any, Any]:
    return m.maximum(m.log(x), _LEAST_LOG), m.maximum(m.log1p(-x), _LEAST_LOG)


def _binary_log_loss(m: Any, x: Any, target: Any, /) -> Any:
    for name, given in (("input", x), ("target", target)):
        if not bool(m.all((given >= 0) & (given <= 1))):
            raise ArgumentError(
                f"{name} must hold probabilities, from 0 to 1, but has others (or NaN); of scores take "
                "binary_cross_entropy_with_logits"
            )
    positive, negative = _logs(m, x)
    return -(target * positive + (1 - target) * negative)


def _binary_log_loss_rule(m: Any, g: Any, y: Any, x: Any, target: Any) -> Any:
    return g * (x - target) / m.maximum(x * (1 - x), _LEAST_VARIANCE)


def _binary_log_loss_target_rule(m: Any, g: Any, y: Any, x: Any, target: Any) -> Any:
    positive, negative = _logs(m, x)
    return g * (negative - positive)


def _pair_of_probabilities(draw: Draw) -> Arguments:
    shape = draw.shape()
    return (draw.array(*shape, low=0.1, high=0.9), draw.array(*shape, low=0.1, high=0.9)), {}


binary_log_loss = define_op(
    "binary_log_loss", _binary_log_loss, (_binary_log_loss_rule, _binary_log_loss_target_rule),
    domain=Domain(0.1, 0.9, arguments=_pair_of_probabilities),
    promotion="float",
    doc="The cross entropy of two probabilities of one shape, each between 0 and 1.",
)  # fmt: skip


def _binary_arguments(draw: Draw) -> Arguments:
    args, _ = _pair_of_probabilities(draw)
    shape = args[0].shape
    weight = draw.choice([None, draw.array(*shape[-1:], low=0.5, high=2.0)])
    return (*args, weight), {"reduction": any_reduction(draw, shape)}


@composite(domain=Domain(0.1, 0.9, arguments=_binary_arguments))
@rounded_once(promotion="float")
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """Return the cross entropy between probabilities and the probabilities ``target``.

    ``loss = -weight * (target * log(input) + (1 - target) * log(1 - input))``, where a logarithm counts
    as -100 if it is smaller. Of scores `binary_cross_entropy_with_logits` loses no digits.

    Parameters
    ----------
    input : Tensor
        Probabilities, any shape.
    target : Tensor
        Probabilities, the shape of ``input``.
    weight : Tensor, optional
        A factor for each element, of a shape that broadcasts to that of ``input``.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.

    Returns
    -------
    Tensor
        A scalar, or with ``reduction="none"`` the shape of ``input``.

    Raises
    ------
    ShapeError
        If the shapes of ``input`` and ``target`` differ, or ``weight`` does not broadcast to them.
    ArgumentError
        If a number does not lie between 0 and 1, or ``reduction`` has another value.

    Examples
    --------
    >>> p, target = mg.tensor([0.5, 0.0]), mg.tensor([1.0, 1.0])
    >>> mg.binary_cross_entropy(p, target, reduction="none")
    tensor([  0.6931, 100.    ])
    """
    check_reduction("binary_cross_entropy", reduction)
    check_pair("binary_cross_entropy", input, target)
    loss = binary_log_loss(input, target)
    if weight is not None:
        loss = loss * weight
        if tuple(loss.shape) != tuple(input.shape):
            raise ShapeError(
                f"binary_cross_entropy: weight has shape {tuple(weight.shape)}, which does not broadcast "
                f"to the shape {tuple(input.shape)} of input"
            )
    return reduced(loss, reduction)


# distributions


def check_divergence_reduction(of: str, reduction: str) -> None:
    """Refuse a reduction that is not "none", "mean", "sum" or "batchmean".

    Raises
    ------
    ArgumentError
    """
    check_choice(of, DIVERGENCE_REDUCTIONS, reduction=reduction)


def _kl_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1)
    log_target = draw.boolean()
    low = -2.0 if log_target else 0.1
    reduction = draw.choice([any_reduction(draw, shape), "batchmean" if shape[0] else "sum"])
    args = draw.array(*shape), draw.array(*shape, low=low, high=0.9)
    return args, {"reduction": reduction, "log_target": log_target}


@composite(domain=Domain(sharp="complex", arguments=_kl_arguments))
@rounded_once(promotion="float")
def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Return the divergence of Kullback and Leibler from log probabilities to probabilities.

    ``loss = target * (log(target) - input)``, and 0 where ``target`` is 0.

    Parameters
    ----------
    input : Tensor
        Logarithms of probabilities, any shape.
    target : Tensor
        Probabilities, or their logarithms, in the shape of ``input``.
    reduction : {"mean", "sum", "none", "batchmean"}
        Whether the result is the mean or the sum of all losses, or has one for each element. "batchmean"
        is the sum over the size of axis 0: the divergence itself.
    log_target : bool
        Whether ``target`` holds logarithms.

    Returns
    -------
    Tensor
        A scalar, or with ``reduction="none"`` the shape of ``input``.

    Raises
    ------
    ShapeError
        If the shapes of ``input`` and ``target`` differ.
    ArgumentError
        If ``reduction`` or ``log_target`` has another value.

    Examples
    --------
    >>> p = mg.tensor([[0.5, 0.5, 0.0]])
    >>> mg.kl_div(mg.log_softmax(mg.zeros((1, 3))), p, reduction="batchmean")
    tensor(0.4055)
    """
    check_divergence_reduction("kl_div", reduction)
    check_flag("kl_div", "log_target", log_target)
    check_pair("kl_div", input, target)
    if log_target:
        loss = where(target == -math.inf, 0.0, exp(target) * (target - input))
    else:
        loss = where(target == 0, 0.0, target * (log(target) - input))
    if reduction != "batchmean":
        return reduced(loss, reduction)
    return reduce.sum(loss) / (input.shape[0] or math.nan if input.shape else 1)
