"""Loss functions, with PyTorch's names, arguments and reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigrad.checks import check_number
from minigrad.composite import composite
from minigrad.dtypes import is_floating
from minigrad.errors import (
    ArgumentError,
    DtypeError,
    IndexingError,
    ShapeError,
    check_choice,
    conversion,
    type_name,
)
from minigrad.op import Arguments, Domain, Draw, define_op
from minigrad.ops import reduce
from minigrad.ops.elementwise import (
    abs,
    clip,
    logical_and,
    not_equal,
    softplus,
    square,
    subtract,
    where,
)
from minigrad.ops.index import put_along_axis
from minigrad.ops.network import log_softmax
from minigrad.ops.shape import astype, broadcast_to, reshape
from minigrad.promotion import rounded_once

REDUCTIONS = ("none", "mean", "sum")
_NONE_IGNORED = -100  # as in PyTorch: no class has this index


def check_reduction(of: str, reduction: str) -> None:
    """Refuse a reduction that is not "none", "mean" or "sum".

    Raises
    ------
    ArgumentError
    """
    check_choice(of, REDUCTIONS, reduction=reduction)


def _check_arrays(of: str, **arrays: Any) -> None:
    for name, array in arrays.items():
        if not hasattr(getattr(array, "dtype", None), "kind"):  # a dtype of PyTorch has none
            raise TypeError(
                f"{of}(): {name} must be a tensor or an array, but is a {type_name(array)}"
                f"{conversion(array)}"
            )


def reduced(loss: Any, reduction: str) -> Any:
    """Return the mean or the sum of a loss, or what it is for each element."""
    if reduction == "none":
        return loss
    return reduce.mean(loss) if reduction == "mean" else reduce.sum(loss)


def any_reduction(draw: Draw, shape: tuple[int, ...]) -> str:
    """Draw a reduction; not the mean of nothing, which is NaN."""
    return str(draw.choice(["none", "sum"] if 0 in shape else REDUCTIONS))


# classification: one class for each row, or a probability for each class


def class_axis(x: Any) -> int:
    """Return the axis of the classes: the second, or the only one."""
    return int(min(1, x.ndim - 1))


def _without_classes(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _pick_class(m: Any, x: Any, target: Any, /, *, ignore_index: int) -> Any:
    axis = class_axis(x)
    classes = x.shape[axis]
    kept = target != ignore_index
    wrong = kept & ((target < 0) | (target >= classes))
    if bool(m.any(wrong)):
        raise IndexingError(
            f"the targets run from {int(m.min(target))} to {int(m.max(target))}; with {classes} "
            f"classes they must lie between 0 and {classes - 1}, or be ignore_index={ignore_index}"
        )
    indices = m.expand_dims(m.where(kept, target, 0), axis=axis)
    picked = m.reshape(m.take_along_axis(x, indices, axis=axis), target.shape)
    return m.where(kept, picked, 0.0)


def _pick_class_rule(m: Any, g: Any, y: Any, x: Any, target: Any, ignore_index: int) -> Any:
    classes = x.shape[class_axis(x)]
    return m.put_class(g, target, classes=classes, ignore_index=ignore_index)


def _put_class(m: Any, values: Any, target: Any, /, *, classes: int, ignore_index: int) -> Any:
    axis = min(1, values.ndim)
    kept = target != ignore_index
    indices = m.expand_dims(m.where(kept, target, 0), axis=axis)
    values = m.expand_dims(m.where(kept, values, 0.0), axis=axis)
    shape = (*target.shape[:axis], classes, *target.shape[axis:])
    return put_along_axis.fn(m, values, indices, axis=axis, shape=shape)


def _put_class_rule(
    m: Any, g: Any, y: Any, values: Any, target: Any, classes: int, ignore_index: int
) -> Any:
    return m.pick_class(g, target, ignore_index=ignore_index)


def _class_arguments(draw: Draw, ignored: tuple[int, ...] = (-100, 1)) -> tuple[Any, Any, int]:
    """Draw scores, class indices for them, and the index to ignore."""
    classes = draw.integer(1, 4)
    ignore_index = draw.choice(ignored)
    shape = draw.choice([(), (draw.integer(0, 4), *draw.shape(max_dims=2))])
    x = draw.array(*shape[:1], classes, *shape[1:])
    return x, draw.integers(*shape, low=0, high=classes - 1), ignore_index


def _pick_class_arguments(draw: Draw) -> Arguments:
    x, target, ignore_index = _class_arguments(draw)
    return (x, target), {"ignore_index": ignore_index}


def _put_class_arguments(draw: Draw) -> Arguments:
    x, target, ignore_index = _class_arguments(draw)
    attrs = {"classes": x.shape[class_axis(x)], "ignore_index": ignore_index}
    return (draw.array(*target.shape), target), attrs


pick_class = define_op(
    "pick_class", _pick_class, (_pick_class_rule, None),
    domain=Domain(
        sharp="linear", arguments=_pick_class_arguments, strict="its adjoint writes by integer arrays"
    ),
    moves=True,
    doc="The element of the class that ``target`` names, and 0 where it is ``ignore_index``.",
)  # fmt: skip
put_class = define_op(
    "put_class", _put_class, (_put_class_rule, None),
    domain=Domain(
        sharp="linear", arguments=_put_class_arguments, strict="it writes by integer arrays"
    ),
    moves=True, doc="Zeros, with values put at their class: the adjoint of `pick_class`.",
)  # fmt: skip


def _check_classes(of: str, input: Any, target: Any, weight: Any) -> None:
    _check_arrays(of, input=input, target=target, **({} if weight is None else {"weight": weight}))
    if not input.ndim:
        raise ShapeError(f"{of}: input needs an axis of classes, but its shape is ()")
    axis = class_axis(input)
    if is_floating(target.dtype):
        if tuple(target.shape) != tuple(input.shape):
            raise ShapeError(
                f"{of}: target is of {target.dtype}, so it must hold a probability for each class "
                f"in the shape {tuple(input.shape)} of input, but its shape is "
                f'{tuple(target.shape)}; convert class indices with .astype("int64")'
            )
    elif target.dtype.kind == "b":
        raise DtypeError(
            f"{of}: target must hold class indices (integers) or probabilities, not bool"
        )
    else:
        expected = _without_classes(tuple(input.shape), axis)
        if tuple(target.shape) != expected:
            raise ShapeError(
                f"{of}: input has shape {tuple(input.shape)} with the classes on axis {axis}, so "
                f"target must have shape {expected}, not {tuple(target.shape)}"
            )
    if weight is not None and tuple(weight.shape) != (input.shape[axis],):
        raise ShapeError(
            f"{of}: weight has shape {tuple(weight.shape)}; it must hold one number for each of "
            f"the {input.shape[axis]} classes"
        )


def _over_classes(weight: Any, like: Any) -> Any:
    """Return the weights of the classes in the shape of ``like``."""
    axis = class_axis(like)
    shape = tuple(n if i == axis else 1 for i, n in enumerate(like.shape))
    return broadcast_to(reshape(weight, shape), tuple(like.shape))


def _likelihood_loss(
    log_probabilities: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    kept = not_equal(target, ignore_index)
    loss = -pick_class(log_probabilities, target, ignore_index=ignore_index)
    scale = astype(kept, log_probabilities.dtype)
    weights = None
    if weight is not None:
        weights = _over_classes(weight, log_probabilities)
        scale = pick_class(weights, target, ignore_index=ignore_index)
        loss = loss * scale
    if label_smoothing:
        axis = class_axis(log_probabilities)
        weighted = log_probabilities if weights is None else log_probabilities * weights
        smooth = where(kept, -reduce.mean(weighted, axis=axis), 0.0)
        loss = (1 - label_smoothing) * loss + label_smoothing * smooth
    if reduction == "mean":
        total = reduce.sum(scale)
        return reduce.sum(loss) / where(total == 0, math.nan, total)
    return reduced(loss, reduction)


def _nll_arguments(draw: Draw) -> Arguments:
    # ignoring class 1 may leave nothing to take the mean of
    x, target, ignore_index = _class_arguments(draw)
    weight = draw.choice([None, draw.array(x.shape[class_axis(x)], low=0.5, high=2.0)])
    reduction = any_reduction(draw, (0,) if ignore_index >= 0 else target.shape)
    return (x, target, weight), {"ignore_index": ignore_index, "reduction": reduction}


@composite(
    domain=Domain(
        sharp="complex", arguments=_nll_arguments, strict="its adjoint writes by integer arrays"
    )
)
@rounded_once(promotion="float", fixed=("target",))
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = _NONE_IGNORED,
    reduction: str = "mean",
) -> Any:
    """Return the negative log likelihood of the target classes.

    Parameters
    ----------
    input : Tensor
        Logarithms of probabilities, shape (N, C, d1, ...) or (C,); C is the number of classes.
    target : Tensor
        Class indices (integers), shape (N, d1, ...) or ().
    weight : Tensor, optional
        A factor for each class, shape (C,).
    ignore_index : int
        A class index whose places count for nothing.
    reduction : {"mean", "sum", "none"}
        "none" keeps the shape (N, d1, ...). The mean is weighted: the sum is divided by the sum of the
        targets' weights, so it is NaN, with a gradient of zero, if all targets are ignored.

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
    ArgumentError
        If ``reduction`` has another value.

    Examples
    --------
    >>> scores = mg.log_softmax(mg.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), axis=1)
    >>> mg.nll_loss(scores, mg.tensor([0, 1]), reduction="none")
    tensor([0.2395, 1.0986])
    """
    check_reduction("nll_loss", reduction)
    _check_classes("nll_loss", input, target, weight)
    if is_floating(target.dtype):
        raise DtypeError(
            f"nll_loss: target must hold class indices (integers), not {target.dtype}; "
            "cross_entropy takes probabilities"
        )
    return _likelihood_loss(input, target, weight, ignore_index, reduction, 0.0)


def _cross_entropy_arguments(draw: Draw) -> Arguments:
    (x, target, weight), attrs = _nll_arguments(draw)
    attrs["label_smoothing"] = draw.choice([0.0, 0.1, 1.0])
    if draw.boolean():
        del attrs["ignore_index"]
        target = draw.array(*x.shape, low=0.1, high=1.0)
    return (x, target, weight), attrs


@composite(
    domain=Domain(
        sharp="complex",
        arguments=_cross_entropy_arguments,
        strict="its adjoint writes by integer arrays",
    )
)
@rounded_once(promotion="float", fixed=("target",))
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = _NONE_IGNORED,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross entropy between the softmax of scores and the targets.

    ``loss = -weight[target] * log_softmax(input)[target]``

    Parameters
    ----------
    input : Tensor
        Scores, shape (N, C, d1, ...) or (C,); C is the number of classes.
    target : Tensor
        Class indices (integers), shape (N, d1, ...) or (); or probabilities (floats) of the shape of
        ``input``.
    weight : Tensor, optional
        A factor for each class, shape (C,).
    ignore_index : int
        A class index whose places count for nothing. Must be left out with probabilities.
    reduction : {"mean", "sum", "none"}
        "none" keeps the shape (N, d1, ...). The mean over class indices is weighted: the sum is
        divided by the sum of the targets' weights, so it is NaN, with a gradient of zero, if all
        targets are ignored. The mean over probabilities is divided by the number of places.
    label_smoothing : float
        What part of each target is spread evenly over the classes (Szegedy 2016).

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
        If ``reduction`` or ``label_smoothing`` has another value, or ``ignore_index`` is given for
        probabilities.

    Examples
    --------
    >>> scores = mg.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> mg.cross_entropy(scores, mg.tensor([0, 1]), reduction="none")
    tensor([0.2395, 1.0986])
    """
    check_reduction("cross_entropy", reduction)
    _check_classes("cross_entropy", input, target, weight)
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"cross_entropy: label_smoothing must lie between 0 and 1, not {label_smoothing}"
        )
    axis = class_axis(input)
    scores = log_softmax(input, axis=axis)
    if not is_floating(target.dtype):
        return _likelihood_loss(scores, target, weight, ignore_index, reduction, label_smoothing)
    if ignore_index != _NONE_IGNORED:
        raise ArgumentError(
            f"cross_entropy: ignore_index={ignore_index} names a class, but target holds probabilities "
            f"({target.dtype}); leave ignore_index out, and set a row of probabilities to 0 to ignore it"
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
    # a class without probability costs nothing, also where its score is minus infinity
    scores = where(logical_and(target == 0, scores == -math.inf), 0.0, scores)
    if weight is not None:
        scores = scores * _over_classes(weight, input)
    return reduced(-reduce.sum(target * scores, axis=axis), reduction)


# two classes


def _binary_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    weight = draw.choice([None, draw.array(*shape[-1:], low=0.5, high=2.0)])
    pos_weight = draw.choice([None, draw.array(*shape[-1:], low=0.5, high=2.0)])
    args = (draw.array(*shape), draw.array(*shape, low=0.0, high=1.0), weight, pos_weight)
    return args, {"reduction": any_reduction(draw, shape)}


def check_pair(of: str, input: Any, target: Any) -> None:
    """Refuse a pair that are not arrays of one shape.

    Raises
    ------
    TypeError, ShapeError
    """
    _check_arrays(of, input=input, target=target)
    if tuple(input.shape) != tuple(target.shape):
        raise ShapeError(
            f"{of}: input has shape {tuple(input.shape)} and target {tuple(target.shape)}; the "
            "shapes must be equal, use reshape or broadcast_to on one of them"
        )


@composite(domain=Domain(arguments=_binary_arguments))
@rounded_once(promotion="float")
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    pos_weight: Any = None,
    *,
    reduction: str = "mean",
) -> Any:
    """Return the cross entropy between the sigmoid of scores and the probabilities ``target``.

    ``loss = -weight * (pos_weight * target * log(p) + (1 - target) * log(1 - p))`` with
    ``p = sigmoid(input)``, without overflow.

    Parameters
    ----------
    input : Tensor
        Scores, any shape.
    target : Tensor
        Probabilities, the shape of ``input``.
    weight : Tensor, optional
        A factor for each element, of a shape that broadcasts to that of ``input``.
    pos_weight : Tensor, optional
        A factor for the positive part, of a shape that broadcasts to that of ``input``.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.

    Returns
    -------
    Tensor
        A scalar, or with ``reduction="none"`` the shape of ``input``.

    Raises
    ------
    ShapeError
        If the shapes of ``input`` and ``target`` differ.
    ArgumentError
        If ``reduction`` has another value.

    Examples
    --------
    >>> scores, target = mg.tensor([0.0, 100.0]), mg.tensor([1.0, 0.0])
    >>> mg.binary_cross_entropy_with_logits(scores, target, reduction="none")
    tensor([  0.6931, 100.    ])
    """
    check_reduction("binary_cross_entropy_with_logits", reduction)
    check_pair("binary_cross_entropy_with_logits", input, target)
    positive = target if pos_weight is None else target * pos_weight
    loss = (1 - target) * softplus(input) + positive * softplus(-input)  # no term cancels another
    return reduced(loss if weight is None else loss * weight, reduction)


# distances


def _pair_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    return (draw.array(*shape), draw.array(*shape)), {"reduction": any_reduction(draw, shape)}


@composite(domain=Domain(sharp="complex", arguments=_pair_arguments))
@rounded_once(promotion="float")
def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Return the mean of the squared differences of two tensors of one shape.

    Parameters
    ----------
    input : Tensor
        What was predicted, any shape.
    target : Tensor
        What is right, the shape of ``input``.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.

    Returns
    -------
    Tensor
        A scalar, or with ``reduction="none"`` the shape of ``input``.

    Raises
    ------
    ShapeError
        If the shapes of ``input`` and ``target`` differ.
    ArgumentError
        If ``reduction`` has another value.

    Examples
    --------
    >>> mg.mse_loss(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 4.0]))
    tensor(2.)
    """
    check_reduction("mse_loss", reduction)
    check_pair("mse_loss", input, target)
    return reduced(square(subtract(input, target)), reduction)


@composite(domain=Domain(arguments=_pair_arguments))
@rounded_once(promotion="float")
def l1_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Return the mean of the absolute differences of two tensors of one shape.

    The gradient at 0 is 0.

    Parameters
    ----------
    input : Tensor
        What was predicted, any shape.
    target : Tensor
        What is right, the shape of ``input``.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.

    Returns
    -------
    Tensor
        A scalar, or with ``reduction="none"`` the shape of ``input``.

    Raises
    ------
    ShapeError
        If the shapes of ``input`` and ``target`` differ.
    ArgumentError
        If ``reduction`` has another value.

    Examples
    --------
    >>> mg.l1_loss(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 4.0]))
    tensor(1.)
    """
    check_reduction("l1_loss", reduction)
    check_pair("l1_loss", input, target)
    return reduced(abs(subtract(input, target)), reduction)


def _huber_arguments(draw: Draw) -> Arguments:
    pair, attrs = _pair_arguments(draw)
    return pair, {**attrs, "delta": draw.choice([0.3, 1.0, 2.5])}


@composite(domain=Domain(arguments=_huber_arguments))
@rounded_once(promotion="float")
def huber_loss(input: Any, target: Any, *, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Return the mean of the differences, squared if small, absolute if large (Huber 1964).

    ``0.5 * d ** 2`` where ``abs(d) <= delta``, else ``delta * (abs(d) - 0.5 * delta)``.

    Parameters
    ----------
    input : Tensor
        What was predicted, any shape.
    target : Tensor
        What is right, the shape of ``input``.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.
    delta : float
        Up to which difference it is squared.

    Returns
    -------
    Tensor
        A scalar, or with ``reduction="none"`` the shape of ``input``.

    Raises
    ------
    ShapeError
        If the shapes of ``input`` and ``target`` differ.
    ArgumentError
        If ``reduction`` has another value, or ``delta`` is not positive.

    Examples
    --------
    >>> mg.huber_loss(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 5.0]), reduction="none")
    tensor([0.5, 2.5])
    """
    check_reduction("huber_loss", reduction)
    check_pair("huber_loss", input, target)
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, not {delta}")
    near, rest = _bent(subtract(input, target), delta)
    return reduced(near * rest, reduction)


def _bent(d: Any, width: float) -> tuple[Any, Any]:
    """Return two factors whose product is quadratic in ``d`` up to ``width``, and linear beyond."""
    near = clip(d, -width, width)
    return near, d - 0.5 * near


def _smooth_l1_arguments(draw: Draw) -> Arguments:
    pair, attrs = _pair_arguments(draw)
    return pair, {**attrs, "beta": draw.choice([0.0, 0.3, 1.0, 2.5])}


@composite(domain=Domain(arguments=_smooth_l1_arguments))
@rounded_once(promotion="float")
def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Return the mean of the absolute differences, made smooth at 0 (Girshick 2015).

    It is `huber_loss` over ``beta``: ``0.5 * d ** 2 / beta`` where ``abs(d) < beta``, else
    ``abs(d) - 0.5 * beta``; with ``beta=0`` it is `l1_loss`.

    Parameters
    ----------
    input : Tensor
        What was predicted, any shape.
    target : Tensor
        What is right, the shape of ``input``.
    reduction : {"mean", "sum", "none"}
        Whether the result is the mean or the sum of all losses, or has one for each element.
    beta : float
        Up to which difference it is smooth.

    Returns
    -------
    Tensor
        A scalar, or with ``reduction="none"`` the shape of ``input``.

    Raises
    ------
    ShapeError
        If the shapes of ``input`` and ``target`` differ.
    ArgumentError
        If ``reduction`` has another value, or ``beta`` is negative.

    Examples
    --------
    >>> mg.smooth_l1_loss(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 5.0]), reduction="none")
    tensor([0.5, 2.5])
    """
    check_reduction("smooth_l1_loss", reduction)
    check_pair("smooth_l1_loss", input, target)
    beta = check_number("smooth_l1_loss", "beta", beta, low=0)
    d = subtract(input, target)
    if beta < numpy.finfo(d.dtype).tiny:  # no difference is as small, and 1 / beta may be too large
        return reduced(abs(d), reduction)
    near, rest = _bent(d, beta)
    return reduced(near / beta * rest, reduction)
