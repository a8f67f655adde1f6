"""Transposed convolution: the adjoint of a convolution in its input, as a function of its own.

Each element of the input is multiplied by the kernel, and the products are added where a convolution
would have read them. The op is that of the convolution's rule, so it needs no rule here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.composite import composite
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import Arguments, Domain, Draw
from minigrad.ops.convolution import convolution_input
from minigrad.ops.shape import reshape
from minigrad.ops.windows import (
    Sizes,
    as_given,
    axis_sizes,
    batched,
    padded,
    window_arguments,
    window_counts,
    window_spans,
)
from minigrad.promotion import rounded_once


def check_output_padding(of: str, output_padding: Sizes, stride: Sizes, dilation: Sizes) -> None:
    """Refuse to lengthen a result by more than what a convolution would not have read.

    Raises
    ------
    ArgumentError
    """
    if any(n >= max(s, d) for n, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{of}: output_padding {output_padding} must be smaller than the stride {stride} or the "
            f"dilation {dilation}; it only tells which of the sizes that the stride rounds alike is meant"
        )


def least_sizes(
    size: Sequence[int], kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Sizes:
    """Return the spatial sizes of the result without ``output_padding``."""
    spans = window_spans(kernel, dilation)
    axes = zip(size, spans, stride, padding, strict=True)
    return tuple((n - 1) * s + span - 2 * p for n, span, s, p in axes)


def _transpose(
    of: str,
    rank: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    stride = axis_sizes(of, "stride", stride, rank, 1)
    padding = axis_sizes(of, "padding", padding, rank, 0)
    output_padding = axis_sizes(of, "output_padding", output_padding, rank, 0)
    dilation = axis_sizes(of, "dilation", dilation, rank, 1)
    (groups,) = axis_sizes(of, "groups", groups, 1, 1)
    check_output_padding(of, output_padding, stride, dilation)
    batch, shape = batched(of, x, rank), tuple(weight.shape)
    if len(shape) != rank + 2 or 0 in shape[2:]:
        raise ShapeError(
            f"{of}: weight has shape {shape}; it must be (in, out / groups, *kernel) with "
            f"{rank + 2} axes and a kernel that is not empty"
        )
    if batch.shape[1] != shape[0] or shape[0] % groups:
        raise ShapeError(
            f"{of}: x of shape {tuple(x.shape)} has {batch.shape[1]} channels and weight has shape "
            f"{shape} with groups={groups}; weight must be (in, out / groups, *kernel), and groups "
            "must divide in"
        )
    outputs = shape[1] * groups
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise ShapeError(
            f"{of}: bias has shape {tuple(bias.shape)}; it must be {(outputs,)}, one for each output"
        )
    size, kernel = tuple(batch.shape[2:]), shape[2:]
    least = least_sizes(size, kernel, stride, padding, dilation)
    result = tuple(n + more for n, more in zip(least, output_padding, strict=True))
    if 0 in size or min(result) < 1:
        raise ShapeError(
            f"{of}: x of size {size} with padding {padding} leaves a result of size {result}; give a "
            "larger x or less padding"
        )
    attrs = {"stride": stride, "dilation": dilation, "groups": groups}
    whole = least_sizes(size, kernel, stride, (0,) * rank, dilation)
    y = convolution_input(batch, weight, size=whole, **attrs)
    beyond = [max(more - p, 0) for more, p in zip(output_padding, padding, strict=True)]
    y = padded(y, [(0, n) for n in beyond])
    if any(padding):
        inside = zip(padding, result, strict=True)
        y = y[(slice(None), slice(None), *(slice(p, p + n) for p, n in inside))]
    if bias is not None:
        y = y + reshape(bias, (outputs, *(1,) * rank))
    return as_given(y, x)


def _transpose_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        (x,), attrs = window_arguments(draw, rank)
        kernel, groups = attrs.pop("kernel"), draw.integer(1, 2)
        size = window_counts(x.shape[2:], kernel, **attrs)
        x = draw.array(*x.shape[: draw.integer(0, 1)], 2 * groups, *size)
        weight, bias = draw.array(2 * groups, 2, *kernel), draw.array(2 * groups)
        furthest = map(max, attrs["stride"], attrs["dilation"])
        attrs["output_padding"] = tuple(draw.integer(0, n - 1) for n in furthest)
        least = least_sizes(size, kernel, attrs["stride"], (0,) * rank, attrs["dilation"])
        attrs["padding"] = tuple(draw.integer(0, min(2, (n - 1) // 2)) for n in least)
        return (x, weight, draw.choice([None, bias])), {**attrs, "groups": groups}

    return arguments


@composite(domain=Domain(sharp="linear", arguments=_transpose_arguments(1)))
@rounded_once()
def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Any:
    """Transpose `conv1d`: spread each element over what a window of that convolution reads.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, L) or (C, L).
    weight : Tensor
        Shape (C, out / groups, k): that of the convolution from ``out`` to ``C`` channels.
    bias : Tensor, optional
        Shape (out,).
    stride : int
        How far what an element is spread over is from the next.
    padding : int
        How much of the result is left out on either side.
    output_padding : int
        How much longer the result is at its end; smaller than the stride or the dilation.
    groups : int
        The channels are cut into so many groups, which are treated apart from each other.
    dilation : int
        How far the elements of the kernel are from each other.

    Returns
    -------
    Tensor
        Shape (N, out, (L - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1), or
        that without N.

    Raises
    ------
    ShapeError
        If shapes do not fit, or nothing is left of the result.
    ArgumentError
        If a number is too small, or ``output_padding`` too large.

    Examples
    --------
    >>> mg.conv_transpose1d(mg.tensor([[1.0, 2.0]]), mg.tensor([[[1.0, -1.0]]]), stride=2)
    tensor([[ 1., -1.,  2., -2.]])
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _transpose("conv_transpose1d", 1, x, weight, bias, *options)


@composite(domain=Domain(sharp="linear", arguments=_transpose_arguments(2)))
@rounded_once()
def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Any:
    """Transpose `conv2d`: spread each element over what a window of that convolution reads.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, H, W) or (C, H, W).
    weight : Tensor
        Shape (C, out / groups, k1, k2): that of the convolution from ``out`` to ``C`` channels.
    bias : Tensor, optional
        Shape (out,).
    stride : int or pair of int
        How far what an element is spread over is from the next.
    padding : int or pair of int
        How much of the result is left out on either side.
    output_padding : int or pair of int
        How much longer the result is at the end of each axis; smaller than the stride or the dilation.
    groups : int
        The channels are cut into so many groups, which are treated apart from each other.
    dilation : int or pair of int
        How far the elements of the kernel are from each other.

    Returns
    -------
    Tensor
        Shape (N, out, H', W') or (out, H', W'); see `minigrad.conv_transpose1d`.

    Raises
    ------
    ShapeError
        If shapes do not fit, or nothing is left of the result.
    ArgumentError
        If a number is too small, or ``output_padding`` too large.

    Examples
    --------
    >>> mg.conv_transpose2d(mg.ones((1, 2, 4, 4)), mg.ones((2, 3, 2, 2)), stride=2).shape
    (1, 3, 8, 8)
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _transpose("conv_transpose2d", 2, x, weight, bias, *options)
