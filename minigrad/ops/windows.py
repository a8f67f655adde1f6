"""Windows: the elements that convolution and pooling meet at each place of their input.

The elements of all windows are views of the input, one for each place in the kernel. To pick them and to
add into them are each other's adjoints.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from minigrad.checks import as_integer
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import Arguments, Domain, Draw, define_op
from minigrad.ops.shape import expand_dims, pad, squeeze

Sizes = tuple[int, ...]


def window_spans(kernel: Sizes, dilation: Sizes) -> Sizes:
    """Return how far a window reaches along each spatial axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def window_counts(
    size: Sequence[int], kernel: Sizes, stride: Sizes, dilation: Sizes, of: str = "windows"
) -> Sizes:
    """Return how many windows fit along each spatial axis."""
    spans = window_spans(kernel, dilation)
    if any(n < span for n, span in zip(size, spans, strict=True)):
        raise ShapeError(
            f"{of}: a kernel that spans {spans} does not fit an input of size {tuple(size)}; "
            "use padding or a smaller kernel"
        )
    return tuple((n - span) // s + 1 for n, span, s in zip(size, spans, stride, strict=True))


def window_keys(counts: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Iterator[Any]:
    """Yield, for each place in the kernel, the key of the elements it meets in all windows."""
    for place in itertools.product(*map(range, kernel)):
        steps = zip(place, counts, stride, dilation, strict=True)
        yield (
            slice(None),
            slice(None),
            *(slice(p * d, p * d + (n - 1) * s + 1, s) for p, n, s, d in steps),
        )


def take_windows(m: Any, x: Any, /, *, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Any:
    counts = window_counts(x.shape[2:], kernel, stride, dilation)
    return m.stack([x[key] for key in window_keys(counts, kernel, stride, dilation)], axis=2)


def add_windows(
    m: Any, values: Any, /, *, size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Any:
    x = m.zeros((*values.shape[:2], *size), dtype=values.dtype)
    for i, key in enumerate(window_keys(values.shape[3:], kernel, stride, dilation)):
        x = m.scatter_add(x, key, values[:, :, i, ...])
    return x


def window_arguments(draw: Draw, rank: int | None = None) -> Arguments:
    """Draw an input (N, C, d1, ...) and the numbers of windows that fit it."""
    rank = rank or draw.integer(1, 2)
    kernel = tuple(draw.integer(1, 3) for _ in range(rank))
    stride = tuple(draw.integer(1, 3) for _ in range(rank))
    dilation = tuple(draw.integer(1, 2) for _ in range(rank))
    size = tuple(d * (k - 1) + draw.integer(1, 4) for k, d in zip(kernel, dilation, strict=True))
    x = draw.array(draw.integer(0, 3), draw.integer(1, 3), *size)
    return (x,), {"kernel": kernel, "stride": stride, "dilation": dilation}


def _put_window_arguments(draw: Draw) -> Arguments:
    (x,), attrs = window_arguments(draw)
    values = (*x.shape[:2], math.prod(attrs["kernel"]), *window_counts(x.shape[2:], **attrs))
    return (draw.array(*values),), {**attrs, "size": x.shape[2:]}


windows = define_op(
    "windows", take_windows,
    lambda m, g, y, x, **attrs: m.put_windows(g, size=tuple(x.shape[2:]), **attrs),
    domain=Domain(sharp="linear", arguments=window_arguments),
    moves=True,
    doc="The elements of each window of (N, C, d1, ...), as (N, C, places in the window, windows).",
)  # fmt: skip
put_windows = define_op(
    "put_windows", add_windows, lambda m, g, y, values, size, **attrs: m.windows(g, **attrs),
    domain=Domain(sharp="linear", arguments=_put_window_arguments),
    doc="Zeros, with the values of windows added at their places: the adjoint of `windows`.",
)  # fmt: skip

# what functions of windows are given

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


def batched(of: str, x: Any, rank: int) -> Any:
    """Return ``x`` with an axis for the batch."""
    if len(x.shape) not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{of}: x has shape {tuple(x.shape)}; it must be {_AXES[rank]} without a batch"
        )
    return x if len(x.shape) == rank + 2 else expand_dims(x, 0)


def as_given(y: Any, x: Any) -> Any:
    """Return ``y`` without the axis for the batch if ``x`` has none."""
    return y if len(y.shape) == len(x.shape) else squeeze(y, 0)


def padded(x: Any, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    return pad(x, ((0, 0), (0, 0), *widths), value=value) if any(map(any, widths)) else x
