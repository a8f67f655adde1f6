"""Convolution and pooling: sums of products, means and maxima over windows.

A convolution is a matrix product of its weight with the windows of its input, laid out as columns. The
columns are made for a few samples at a time, so that they stay in the cache and never take much memory.
It is bilinear, and its two adjoints are bilinear too: the three ops are each other's rules. Pooling
reduces the windows themselves, so it needs no rule of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy

from minigrad.checks import as_integer, check_flag
from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError, ShapeError, suggestion
from minigrad.op import Arguments, Domain, Draw, composite, define_op
from minigrad.ops import reduce
from minigrad.ops.elementwise import where
from minigrad.ops.shape import broadcast_to, concat, expand_dims, flip, pad, reshape, squeeze
from minigrad.promotion import rounded_once

Sizes = tuple[int, ...]

_COLUMNS = 2**18  # how many elements of columns to make at a time: 1 MiB of float32

# windows


def _spans(kernel: Sizes, dilation: Sizes) -> Sizes:
    """Return how far a window reaches along each spatial axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def _counts(
    size: Sequence[int], kernel: Sizes, stride: Sizes, dilation: Sizes, of: str = "windows"
) -> Sizes:
    """Return how many windows fit along each spatial axis."""
    spans = _spans(kernel, dilation)
    if any(n < span for n, span in zip(size, spans, strict=True)):
        raise ShapeError(
            f"{of}: a kernel that spans {spans} does not fit an input of size {tuple(size)}; "
            "use padding or a smaller kernel"
        )
    return tuple((n - span) // s + 1 for n, span, s in zip(size, spans, stride, strict=True))


def _keys(counts: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Iterator[Any]:
    """Yield, for each place in the kernel, the key of the elements it meets in all windows."""
    for place in itertools.product(*map(range, kernel)):
        steps = zip(place, counts, stride, dilation, strict=True)
        yield (
            slice(None),
            slice(None),
            *(slice(p * d, p * d + (n - 1) * s + 1, s) for p, n, s, d in steps),
        )


def _windows(m: Any, x: Any, /, *, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Any:
    counts = _counts(x.shape[2:], kernel, stride, dilation)
    return m.stack([x[key] for key in _keys(counts, kernel, stride, dilation)], axis=2)


def _put_windows(
    m: Any, values: Any, /, *, size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Any:
    x = m.zeros((*values.shape[:2], *size), dtype=values.dtype)
    for i, key in enumerate(_keys(values.shape[3:], kernel, stride, dilation)):
        x = m.scatter_add(x, key, values[:, :, i, ...])
    return x


def _window_arguments(draw: Draw, rank: int | None = None) -> Arguments:
    """Draw an input (N, C, d1, ...) and the numbers of windows that fit it."""
    rank = rank or draw.integer(1, 2)
    kernel = tuple(draw.integer(1, 3) for _ in range(rank))
    stride = tuple(draw.integer(1, 3) for _ in range(rank))
    dilation = tuple(draw.integer(1, 2) for _ in range(rank))
    size = tuple(d * (k - 1) + draw.integer(1, 4) for k, d in zip(kernel, dilation, strict=True))
    x = draw.array(draw.integer(0, 3), draw.integer(1, 3), *size)
    return (x,), {"kernel": kernel, "stride": stride, "dilation": dilation}


def _put_window_arguments(draw: Draw) -> Arguments:
    (x,), attrs = _window_arguments(draw)
    values = (*x.shape[:2], math.prod(attrs["kernel"]), *_counts(x.shape[2:], **attrs))
    return (draw.array(*values),), {**attrs, "size": x.shape[2:]}


windows = define_op(
    "windows", _windows,
    lambda m, g, y, x, **attrs: m.put_windows(g, size=tuple(x.shape[2:]), **attrs),
    domain=Domain(sharp="linear", arguments=_window_arguments),
    moves=True,
    doc="The elements of each window of (N, C, d1, ...), as (N, C, places in the window, windows).",
)  # fmt: skip
put_windows = define_op(
    "put_windows", _put_windows, lambda m, g, y, values, size, **attrs: m.windows(g, **attrs),
    domain=Domain(sharp="linear", arguments=_put_window_arguments),
    doc="Zeros, with the values of windows added at their places: the adjoint of `windows`.",
)  # fmt: skip

# the three products of a convolution


def _columns(m: Any, x: Any, groups: int, **attrs: Any) -> Any:
    """Return the windows as (N, groups, channels of a group times places, windows)."""
    y = _windows(m, x, **attrs)
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
    counts = _counts(x.shape[2:], kernel, stride, dilation)
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
            _put_windows(m, part, size=size, kernel=kernel, stride=stride, dilation=dilation)
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
    (x,), attrs = _window_arguments(draw)
    kernel, groups = attrs.pop("kernel"), draw.integer(1, 2)
    inputs, outputs = groups * draw.integer(1, 2), groups * draw.integer(1, 3)
    x = draw.array(x.shape[0], inputs, *x.shape[2:])
    return (x, draw.array(outputs, inputs // groups, *kernel)), {**attrs, "groups": groups}


def _result_shape(x: Any, weight: Any, attrs: dict[str, Any]) -> Sizes:
    kernel = tuple(weight.shape[2:])
    counts = _counts(x.shape[2:], kernel, attrs["stride"], attrs["dilation"])
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

_AXES = {1: "(N, C, L), or (C, L)", 2: "(N, C, H, W), or (C, H, W)"}


def axis_sizes(of: str, name: str, given: Any, rank: int, least: int) -> Sizes:
    """Return ``given``, one integer or one for each spatial axis, as a tuple.

    Raises
    ------
    ArgumentError
        If it is something else, or a number is smaller than ``least``.
    """
    values = tuple(given) if isinstance(given, Sequence) else (given,) * rank
    sizes = tuple([n for n in map(as_integer, values) if n is not None])
    if len(values) != rank or len(sizes) != rank or min(sizes) < least:
        several = "" if rank == 1 else f" or a tuple of {rank} integers"
        raise ArgumentError(f"{of}: {name} must be an integer{several} >= {least}, not {given!r}")
    return sizes


def _batched(of: str, x: Any, rank: int) -> Any:
    """Return ``x`` with an axis for the batch."""
    if len(x.shape) not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{of}: x has shape {tuple(x.shape)}; it must be {_AXES[rank]} without a batch"
        )
    return x if len(x.shape) == rank + 2 else expand_dims(x, 0)


def _as_given(y: Any, x: Any) -> Any:
    """Return ``y`` without the axis for the batch if ``x`` has none."""
    return y if len(y.shape) == len(x.shape) else squeeze(y, 0)


def _padded(x: Any, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    return pad(x, ((0, 0), (0, 0), *widths), value=value) if any(map(any, widths)) else x


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
    totals = [span - 1 for span in _spans(kernel, dilation)]
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
        return x[(slice(None),) * axis + (slice(start, stop),)]

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
    batch = _batched(of, x, rank)
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
    batch = _padded(batch, margins(of, padding, shape[2:], stride, dilation))
    _counts(batch.shape[2:], shape[2:], stride, dilation, of)
    y = convolution(batch, weight, stride=stride, dilation=dilation, groups=groups)
    if bias is not None:
        y = y + reshape(bias, (*shape[:1], *(1,) * rank))
    return _as_given(y, x)


def _conv_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        (x,), attrs = _window_arguments(draw, rank)
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


def pool_sizes(
    of: str, rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    """Return kernel, stride, padding and dilation of a pooling for each spatial axis.

    Raises
    ------
    ArgumentError
        If one is no integer or too small, or the padding too large.
    """
    kernel = axis_sizes(of, "kernel_size", kernel_size, rank, 1)
    steps = kernel if stride is None else axis_sizes(of, "stride", stride, rank, 1)
    widths = axis_sizes(of, "padding", padding, rank, 0)
    if any(2 * n > k for n, k in zip(widths, kernel, strict=True)):
        raise ArgumentError(
            f"{of}: padding {padding} is more than half of kernel_size {kernel_size}; use less"
        )
    return kernel, steps, widths, axis_sizes(of, "dilation", dilation, rank, 1)


def _pool_windows(
    of: str, rank: int, x: Any, *sizes: Any, border: float, ceil_mode: bool = False
) -> Any:
    kernel, steps, widths, dilation = pool_sizes(of, rank, *sizes)
    check_flag(of, "ceil_mode", ceil_mode)
    batch = _batched(of, x, rank)
    borders = [(n, n) for n in widths]
    if ceil_mode:
        axes = zip(batch.shape[2:], widths, _spans(kernel, dilation), steps, strict=True)
        borders = [(n, n + _partial(size, n, span, step)) for size, n, span, step in axes]
    batch = _padded(batch, borders, border)
    _counts(batch.shape[2:], kernel, steps, dilation, of)
    return windows(batch, kernel=kernel, stride=steps, dilation=dilation)


def _partial(size: int, width: int, span: int, step: int) -> int:
    """Return by how much a last window sticks out, if it still begins on the input or before it."""
    room = size + 2 * width - span
    extra = -room % step
    return extra if room + extra < size + width else 0


def _max_pool(of: str, rank: int, x: Any, *sizes: Any, ceil_mode: bool) -> Any:
    views = _pool_windows(of, rank, x, *sizes, border=_lowest(x.dtype), ceil_mode=ceil_mode)
    y = reduce.max(views, axis=2)
    if not is_floating(x.dtype):
        return _as_given(y, x)
    # where all is -inf, the border has taken a share of the gradient: the others get theirs and that one
    shares = y
    kernel, steps, widths, dilation = pool_sizes(of, rank, *sizes)
    axes = zip(x.shape[-rank:], kernel, steps, widths, dilation, strict=True)
    for axis, (size, k, step, width, apart) in enumerate(axes, 2):
        starts = range(-width, y.shape[axis] * step - width, step)
        counted = _inside(starts, k, apart, 0, size)
        shares = _scaled(shares, axis, [k / max(n, 1) for n in counted])
    return _as_given(y if shares is y else where(y == -math.inf, shares, y), x)


def _lowest(dtype: Any) -> float:
    if is_floating(dtype):
        return -math.inf
    return False if dtype.kind == "b" else int(numpy.iinfo(dtype).min)


def _inside(starts: Iterable[int], kernel: int, dilation: int, low: int, high: int) -> list[int]:
    """Return how many places of each window lie from ``low`` on and below ``high``."""
    reach = dilation * (kernel - 1)
    return [
        kernel
        if low <= start and start + reach < high
        else sum(low <= start + dilation * i < high for i in range(kernel))
        for start in starts
    ]


def _avg_pool(
    of: str,
    rank: int,
    x: Any,
    *sizes: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Any:
    check_flag(of, "count_include_pad", count_include_pad)
    check_divisor(of, divisor_override)
    views = _pool_windows(of, rank, x, *sizes, border=0.0, ceil_mode=ceil_mode)
    y = reduce.mean(views, axis=2)
    if divisor_override is not None:
        return _as_given(y * (views.shape[2] / divisor_override), x)
    kernel, steps, widths, _ = pool_sizes(of, rank, *sizes)
    axes = zip(x.shape[-rank:], kernel, steps, widths, strict=True)
    for axis, (size, k, step, width) in enumerate(axes, 2):
        low, high = (-width, size + width) if count_include_pad else (0, size)
        starts = range(-width, y.shape[axis] * step - width, step)
        counted = _inside(starts, k, 1, low, high)
        y = _scaled(y, axis, [k / max(n, 1) for n in counted])
    return _as_given(y, x)


def _scaled(y: Any, axis: int, factors: Sequence[float]) -> Any:
    """Return ``y`` times one number for each place on an axis; in a traced step they are constants."""
    if all(factor == 1 for factor in factors):
        return y
    parts, start = [], 0
    for factor, same in itertools.groupby(factors):
        stop = start + len(list(same))
        parts.append(y[(slice(None),) * axis + (slice(start, stop),)] * factor)
        start = stop
    return concat(parts, axis=axis)


def check_divisor(of: str, divisor: Any) -> None:
    """Refuse a ``divisor_override`` that is neither None nor an integer other than 0.

    Raises
    ------
    ArgumentError
    """
    if divisor is not None and not as_integer(divisor):
        raise ArgumentError(
            f"{of}: divisor_override must be an integer other than 0, or None, not {divisor!r}"
        )


def _pool_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        (x,), attrs = _window_arguments(draw, rank)
        kernel = attrs["kernel"]
        size = tuple(max(n, k) for n, k in zip(x.shape[2:], kernel, strict=True))
        x = draw.distinct(*x.shape[draw.integer(0, 1) : 2], *size)
        padding = draw.choice([0, tuple(k // 2 for k in kernel)])
        stride = draw.choice([None, attrs["stride"]])
        return (x, kernel), {"stride": stride, "padding": padding}

    return arguments


def _avg_pool_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        args, attrs = _pool_arguments(rank)(draw)
        attrs |= {"ceil_mode": draw.boolean(), "count_include_pad": draw.boolean()}
        return args, attrs if rank == 1 else {**attrs, "divisor_override": draw.choice([None, 3])}

    return arguments


def _max_pool_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        (x, kernel), attrs = _pool_arguments(rank)(draw)
        if draw.boolean():
            x = draw.distinct(*x.shape[:-rank], *(2 * n for n in x.shape[-rank:]))
            attrs["dilation"] = 2
        return (x, kernel), {**attrs, "ceil_mode": draw.boolean()}

    return arguments


@composite(domain=Domain(arguments=_max_pool_arguments(1)))
def max_pool1d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Any:
    """Return the largest element of each window; equal largest elements share the gradient.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, L) or (C, L).
    kernel_size : int
        The size of a window.
    stride : int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int
        How much of minus infinity to put on either side; at most half of ``kernel_size``.
    dilation : int
        How far the elements of a window are from each other.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end.

    Returns
    -------
    Tensor
        Shape (N, C, L') or (C, L').

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or no window fits it.
    ArgumentError
        If a number is too small or ``padding`` too large.

    Examples
    --------
    >>> mg.max_pool1d(mg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    sizes = (kernel_size, stride, padding, dilation)
    return _max_pool("max_pool1d", 1, x, *sizes, ceil_mode=ceil_mode)


@composite(domain=Domain(arguments=_max_pool_arguments(2)))
def max_pool2d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Any:
    """Return the largest element of each window; equal largest elements share the gradient.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size : int or pair of int
        The size of a window.
    stride : int or pair of int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int or pair of int
        How much of minus infinity to put on either side; at most half of ``kernel_size``.
    dilation : int or pair of int
        How far the elements of a window are from each other.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end.

    Returns
    -------
    Tensor
        Shape (N, C, H', W') or (C, H', W').

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or no window fits it.
    ArgumentError
        If a number is too small or ``padding`` too large.

    Examples
    --------
    >>> mg.max_pool2d(mg.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[4.]]])
    """
    sizes = (kernel_size, stride, padding, dilation)
    return _max_pool("max_pool2d", 2, x, *sizes, ceil_mode=ceil_mode)


@composite(domain=Domain(sharp="linear", arguments=_avg_pool_arguments(1)))
@rounded_once()
def avg_pool1d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Return the mean of each window.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, L) or (C, L).
    kernel_size : int
        The size of a window.
    stride : int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int
        How many zeros to put on either side; at most half of ``kernel_size``.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end. What is
        beyond never counts.
    count_include_pad : bool
        Whether the zeros of the padding count.

    Returns
    -------
    Tensor
        Shape (N, C, L') or (C, L').

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or no window fits it.
    ArgumentError
        If a number is too small or ``padding`` too large, or an option has an impossible value.

    Examples
    --------
    >>> mg.avg_pool1d(mg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    options = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, **options)


@composite(domain=Domain(sharp="linear", arguments=_avg_pool_arguments(2)))
@rounded_once()
def avg_pool2d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the mean of each window.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size : int or pair of int
        The size of a window.
    stride : int or pair of int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int or pair of int
        How many zeros to put on either side; at most half of ``kernel_size``.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end. What is
        beyond never counts.
    count_include_pad : bool
        Whether the zeros of the padding count.
    divisor_override : int, optional
        What sums are divided by, instead of the number of elements that count.

    Returns
    -------
    Tensor
        Shape (N, C, H', W') or (C, H', W').

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or no window fits it.
    ArgumentError
        If a number is too small or ``padding`` too large, or an option has an impossible value.

    Examples
    --------
    >>> mg.avg_pool2d(mg.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[2.5]]])
    """
    options: dict[str, Any] = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    options["divisor_override"] = divisor_override
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, **options)
