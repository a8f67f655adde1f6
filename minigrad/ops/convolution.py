"""Convolution: sums of products over windows.

A convolution is a matrix product of its weight with the windows of its input, laid out as columns. The
columns are made for a few samples at a time, so that they stay in the cache and never take much memory.
It is bilinear, and its two adjoints are bilinear too: the three ops are each other's rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from minigrad.composite import composite
from minigrad.errors import ArgumentError, ShapeError, suggestion
from minigrad.op import Arguments, Domain, Draw, define_op
from minigrad.ops.shape import along, broadcast_to, concat, flip, reshape
from minigrad.ops.windows import (
    Sizes,
    add_windows,
    as_given,
    axis_sizes,
    batched,
    padded,
    take_windows,
    window_arguments,
    window_counts,
    window_spans,
)
from minigrad.promotion import rounded_once

_COLUMNS = 2**18  # how many elements of columns to make at a time: 1 MiB of float32

# the three products of a convolution


def _columns(m: Any, x: Any, groups: int, **attrs: Any) -> Any:
    """Return the windows as (N, groups, channels of a group times places, windows)."""
    y = take_windows(m, x, **attrs)
    rows = y.shape[1] // groups * y.shape[2]
    return m.reshape(y, (y.shape[0], groups, rows, math.prod(y.shape[3:])))


def _rows(m: Any, weight: Any, groups: int) -> Any:
    """Return a weight (O, C / groups, k1, ...) as (groups, O / groups, its columns)."""
    columns = math.prod(weight.shape[1:])
    return m.reshape(weight, (groups, weight.shape[0] // groups, columns))


def _some_samples(count: int, elements: int) -> Iterator[tuple[Any, ...]]:
    """Yield keys for so many samples at a time that their columns, ``elements`` each, fit."""
    step = max(1, _COLUMNS // max(1, elements))
    for start in range(0, max(1, count), step):
        yield (slice(start, min(start + step, count)), ...)


def _convolution(
    m: Any, x: Any, weight: Any, /, *, stride: Sizes, dilation: Sizes, groups: int
) -> Any:
    kernel = tuple(weight.shape[2:])
    counts = window_counts(x.shape[2:], kernel, stride, dilation)
    rows = _rows(m, weight, groups)
    height = math.prod((x.shape[1], *kernel, *counts))
    parts = [
        m.matmul(rows, _columns(m, x[key], groups, kernel=kernel, stride=stride, dilation=dilation))
        for key in _some_samples(x.shape[0], height)
    ]
    y = parts[0] if len(parts) == 1 else m.concat(parts, axis=0)
    return m.reshape(y, (x.shape[0], weight.shape[0], *counts))


def _convolution_input(
    m: Any, g: Any, weight: Any, /, *, size: Sizes, stride: Sizes, dilation: Sizes, groups: int
) -> Any:
    kernel, counts = tuple(weight.shape[2:]), tuple(g.shape[2:])
    columns = m.matrix_transpose(_rows(m, weight, groups))
    channels = groups * weight.shape[1]
    values = (channels, math.prod(kernel), *counts)
    g = m.reshape(g, (g.shape[0], groups, weight.shape[0] // groups, math.prod(counts)))
    parts = []
    for key in _some_samples(g.shape[0], math.prod(values)):
        part = m.matmul(columns, g[key])
        part = m.reshape(part, (part.shape[0], *values))
        parts.append(
            add_windows(m, part, size=size, kernel=kernel, stride=stride, dilation=dilation)
        )
    return parts[0] if len(parts) == 1 else m.concat(parts, axis=0)


def _convolution_weight(
    m: Any, x: Any, g: Any, /, *, kernel: Sizes, stride: Sizes, dilation: Sizes, groups: int
) -> Any:
    outputs, places = g.shape[1] // groups, math.prod(g.shape[2:])
    inner = x.shape[1] // groups * math.prod(kernel)
    samples = m.reshape(g, (g.shape[0], groups, outputs, places))
    total = m.zeros((groups, outputs, inner), dtype=g.dtype)
    for key in _some_samples(x.shape[0], groups * inner * places):
        part = samples[key]
        columns = _columns(m, x[key], groups, kernel=kernel, stride=stride, dilation=dilation)
        if places < outputs:  # few windows: one product over all samples needs less memory
            count = part.shape[0] * places
            part = m.reshape(m.permute_dims(part, (1, 2, 0, 3)), (groups, outputs, count))
            columns = m.reshape(m.permute_dims(columns, (1, 0, 3, 2)), (groups, count, inner))
            total = total + m.matmul(part, columns)
        else:
            total = total + m.sum(m.matmul(part, m.matrix_transpose(columns)), axis=0)
    return m.reshape(total, (g.shape[1], x.shape[1] // groups, *kernel))


def _convolution_arguments(draw: Draw) -> Arguments:
    (x,), attrs = window_arguments(draw)
    kernel, groups = attrs.pop("kernel"), draw.integer(1, 2)
    inputs, outputs = groups * draw.integer(1, 2), groups * draw.integer(1, 3)
    x = draw.array(x.shape[0], inputs, *x.shape[2:])
    return (x, draw.array(outputs, inputs // groups, *kernel)), {**attrs, "groups": groups}


def _result_shape(x: Any, weight: Any, attrs: dict[str, Any]) -> Sizes:
    kernel = tuple(weight.shape[2:])
    counts = window_counts(x.shape[2:], kernel, attrs["stride"], attrs["dilation"])
    return (x.shape[0], weight.shape[0], *counts)


def _convolution_input_arguments(draw: Draw) -> Arguments:
    (x, weight), attrs = _convolution_arguments(draw)
    g = draw.array(*_result_shape(x, weight, attrs))
    return (g, weight), {**attrs, "size": x.shape[2:]}


def _convolution_weight_arguments(draw: Draw) -> Arguments:
    (x, weight), attrs = _convolution_arguments(draw)
    g = draw.array(*_result_shape(x, weight, attrs))
    return (x, g), {**attrs, "kernel": weight.shape[2:]}


def _to_input(m: Any, g: Any, weight: Any, x: Any, **attrs: Any) -> Any:
    return m.convolution_input(g, weight, size=tuple(x.shape[2:]), **attrs)


def _to_weight(m: Any, x: Any, g: Any, weight: Any, **attrs: Any) -> Any:
    return m.convolution_weight(x, g, kernel=tuple(weight.shape[2:]), **attrs)


convolution = define_op(
    "convolution", _convolution,
    (
        lambda m, g, y, x, weight, **attrs: _to_input(m, g, weight, x, **attrs),
        lambda m, g, y, x, weight, **attrs: _to_weight(m, x, g, weight, **attrs),
    ),
    domain=Domain(sharp="linear", arguments=_convolution_arguments),
    promotion="common",
    doc="Products of windows of (N, C, d1, ...) with a weight (O, C / groups, k1, ...), summed.",
)  # fmt: skip
convolution_input = define_op(
    "convolution_input", _convolution_input,
    (
        lambda m, v, y, g, weight, size, **attrs: m.convolution(v, weight, **attrs),
        lambda m, v, y, g, weight, size, **attrs: _to_weight(m, v, g, weight, **attrs),
    ),
    domain=Domain(sharp="linear", arguments=_convolution_input_arguments),
    promotion="common",
    doc="The cotangent of the input of a `convolution`, from the result's and the weight.",
)  # fmt: skip
convolution_weight = define_op(
    "convolution_weight", _convolution_weight,
    (
        lambda m, v, y, x, g, kernel, **attrs: _to_input(m, g, v, x, **attrs),
        lambda m, v, y, x, g, kernel, **attrs: m.convolution(x, v, **attrs),
    ),
    domain=Domain(sharp="linear", arguments=_convolution_weight_arguments),
    promotion="common",
    doc="The cotangent of the weight of a `convolution`, from the input and the result's.",
)  # fmt: skip

# what users write


def margins(
    of: str, padding: Any, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> list[tuple[int, int]]:
    """Return the width of the border before and after each spatial axis.

    Raises
    ------
    ArgumentError
        If ``padding`` is no number and not "valid" or "same", or "same" with a stride.
    """
    rank = len(kernel)
    if not isinstance(padding, str):
        return [(n, n) for n in axis_sizes(of, "padding", padding, rank, 0)]
    if padding == "valid":
        return [(0, 0)] * rank
    if padding != "same":
        raise ArgumentError(
            f"{of}: padding must be 'same', 'valid' or numbers, not {padding!r}"
            f"{suggestion(padding, ('same', 'valid'))}"
        )
    if set(stride) != {1}:
        raise ArgumentError(
            f"{of}: padding='same' needs stride 1, not {stride}; give the padding in numbers"
        )
    totals = [span - 1 for span in window_spans(kernel, dilation)]
    return [(total // 2, total - total // 2) for total in totals]


PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def bordered(of: str, x: Any, widths: Sequence[tuple[int, int]], mode: str) -> Any:
    """Return ``x`` with a border around its last axes that is made of its own elements.

    Parameters
    ----------
    of : str
        The layer.
    x : Tensor
        Shape (..., d1, ...).
    widths : sequence of pair of int
        How wide the border is before and after each of the last axes.
    mode : {"reflect", "replicate", "circular"}
        Whether ``a b c`` goes on as ``b a``, ``c c`` or ``a b``.

    Raises
    ------
    ShapeError
        If the border is wider than what it is made of.
    """
    first = len(x.shape) - len(widths)
    for axis, (before, after) in enumerate(widths, first):
        if before or after:
            x = _bordered_axis(of, x, axis, before, after, mode)
    return x


def _bordered_axis(of: str, x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    size = x.shape[axis]
    widest = {"reflect": size - 1, "circular": size, "replicate": math.inf if size else 0}[mode]
    if max(before, after) > widest:
        raise ShapeError(
            f"{of}: a {mode} border of {max(before, after)} is too wide for an axis of size {size}; "
            f"it may be {max(widest, 0)}, use less padding"
        )

    def part(start: int, stop: int) -> Any:
        return x[along(axis, slice(start, stop))]

    def edge(start: int, count: int) -> Any:
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        return broadcast_to(part(start, start + 1), shape)

    if mode == "circular":
        left, right = part(size - before, size), part(0, after)
    elif mode == "reflect":
        left = flip(part(1, before + 1), axis=axis)
        right = flip(part(size - 1 - after, size - 1), axis=axis)
    else:
        left, right = edge(0, before), edge(size - 1, after)
    return concat([left, x, right], axis=axis)


def _convolve(
    of: str,
    rank: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    stride = axis_sizes(of, "stride", stride, rank, 1)
    dilation = axis_sizes(of, "dilation", dilation, rank, 1)
    (groups,) = axis_sizes(of, "groups", groups, 1, 1)
    batch = batched(of, x, rank)
    shape = tuple(weight.shape)
    if len(shape) != rank + 2 or 0 in shape[2:]:
        raise ShapeError(
            f"{of}: weight has shape {shape}; it must be (out, in / groups, *kernel) with "
            f"{rank + 2} axes and a kernel that is not empty"
        )
    if batch.shape[1] != shape[1] * groups or shape[0] % groups:
        raise ShapeError(
            f"{of}: x of shape {tuple(x.shape)} has {batch.shape[1]} channels and weight has shape "
            f"{shape} with groups={groups}; weight must be (out, in / groups, *kernel), and groups "
            "must divide out"
        )
    if bias is not None and tuple(bias.shape) != shape[:1]:
        raise ShapeError(
            f"{of}: bias has shape {tuple(bias.shape)}; it must be {shape[:1]}, one for each output"
        )
    batch = padded(batch, margins(of, padding, shape[2:], stride, dilation))
    window_counts(batch.shape[2:], shape[2:], stride, dilation, of)
    y = convolution(batch, weight, stride=stride, dilation=dilation, groups=groups)
    if bias is not None:
        y = y + reshape(bias, (*shape[:1], *(1,) * rank))
    return as_given(y, x)


def _conv_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        (x,), attrs = window_arguments(draw, rank)
        kernel, groups = attrs.pop("kernel"), draw.integer(1, 2)
        inputs, outputs = 2 * groups, 2 * groups
        x = draw.array(*x.shape[: draw.integer(0, 1)], inputs, *x.shape[2:])
        bias = draw.choice([None, draw.array(outputs)])
        attrs["padding"] = draw.choice([0, 1, (2,) * rank, "valid", "same"])
        if attrs["padding"] == "same":
            attrs["stride"] = 1
        weight = draw.array(outputs, inputs // groups, *kernel)
        return (x, weight, bias), {**attrs, "groups": groups}

    return arguments


@composite(domain=Domain(sharp="linear", arguments=_conv_arguments(1)))
@rounded_once()
def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    """Convolve along one axis, without flipping the weight: cross-correlation, as PyTorch.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, L) or (C, L).
    weight : Tensor
        Shape (out, C / groups, k).
    bias : Tensor, optional
        Shape (out,).
    stride : int
        How far each window is from the next.
    padding : int, "valid" or "same"
        How many zeros to put on either side. "valid" is none; "same" (for stride 1) keeps the size,
        with the odd zero at the end.
    dilation : int
        How far the elements of a window are from each other.
    groups : int
        The channels are cut into so many groups, which are convolved apart from each other.

    Returns
    -------
    Tensor
        Shape (N, out, (L + 2 * padding - dilation * (k - 1) - 1) // stride + 1), or that without N.

    Raises
    ------
    ShapeError
        If shapes do not fit, or the kernel is larger than the padded input.
    ArgumentError
        If a number is too small, or the padding has another value.

    Examples
    --------
    >>> mg.conv1d(mg.tensor([[1.0, 2.0, 3.0]]), mg.tensor([[[1.0, -1.0]]]))
    tensor([[-1., -1.]])
    """
    return _convolve("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


@composite(domain=Domain(sharp="linear", arguments=_conv_arguments(2)))
@rounded_once()
def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    """Convolve along two axes, without flipping the weight: cross-correlation, as PyTorch.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, H, W) or (C, H, W).
    weight : Tensor
        Shape (out, C / groups, k1, k2).
    bias : Tensor, optional
        Shape (out,).
    stride : int or pair of int
        How far each window is from the next.
    padding : int, pair of int, "valid" or "same"
        How many zeros to put on either side. "valid" is none; "same" (for stride 1) keeps the size,
        with the odd zero at the end.
    dilation : int or pair of int
        How far the elements of a window are from each other.
    groups : int
        The channels are cut into so many groups, which are convolved apart from each other.

    Returns
    -------
    Tensor
        Shape (N, out, H', W') or (out, H', W').

    Raises
    ------
    ShapeError
        If shapes do not fit, or the kernel is larger than the padded input.
    ArgumentError
        If a number is too small, or the padding has another value.

    Examples
    --------
    >>> mg.conv2d(mg.ones((1, 1, 4, 4)), mg.ones((2, 1, 3, 3)), padding=1).shape
    (1, 2, 4, 4)
    """
    return _convolve("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)
