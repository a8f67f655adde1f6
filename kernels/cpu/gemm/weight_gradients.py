"""Sums over many rows: the gradients of weights, a^T @ b, and of biases, the sums of columns.

The rows are cut into chunks. Each chunk is summed from zero and then added: so the error grows with the
length of a chunk and the number of chunks, not with the number of rows, and an element has the same
bits however the result is shared out between threads.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cpu.compiled import compiled, inlined
from minigrad.kernels.cpu.gemm.microkernel import TILE_ROWS, item_size, lanes, tile_columns
from minigrad.kernels.cpu.gemm.pack import (
    copy_panel,
    panel_count,
    panel_start,
    share_start,
    store_one,
    whole_vectors,
)
from minigrad.kernels.cpu.gemm.product import strided_product
from minigrad.kernels.cpu.linked import external

CHUNK = 256  # rows
# So many packed panels of a chunk, with AVX-512 of 512 columns, stay in the second-level cache.
_PANELS = 11


@compiled
def is_narrow(inner: int) -> bool:
    """Say whether the result of `weight_gradient` lies transposed: (inner, outer)."""
    return inner <= TILE_ROWS


@compiled
def scratch_size(real: Any, inner: int) -> int:
    """Return the number of elements that `weight_gradient` needs."""
    if is_narrow(inner):
        return (CHUNK + 1) * lanes(real)
    columns = min(whole_vectors(real, inner), _PANELS * tile_columns(real))
    return CHUNK * (whole_vectors(real, TILE_ROWS) + columns)


@inlined
def _many_rows(
    real: Any,
    first: int,
    last: int,
    rows: int,
    a: int,
    a_row_stride: int,
    b: int,
    b_row_stride: int,
    inner: int,
    out: int,
    more: int,
    packed_a: int,
) -> None:
    """Compute rows of out = a^T @ b: pack some panels of b, and in turn groups of columns of a."""
    size = item_size(real)
    group = whole_vectors(real, TILE_ROWS)
    packed_b = packed_a + CHUNK * group * size
    total = panel_count(real, inner)
    steps = -(-total // _PANELS)
    for step in range(steps):
        column = panel_start(real, inner, total * step // steps)
        columns = panel_start(real, inner, total * (step + 1) // steps) - column
        panels = panel_count(real, columns)
        for panel in range(panels):
            start = panel_start(real, columns, panel)
            width = panel_start(real, columns, panel + 1) - start
            source, target = b + (column + start) * size, packed_b + start * rows * size
            copy_panel(real, rows, width, source, b_row_stride, target)
        for row in range(first, last, group):
            height = min(group, last - row)
            copy_panel(real, rows, height, a + row * size, a_row_stride, packed_a)
            target = out + (row * inner + column) * size
            strided_product(
                real, 0, panels, height, packed_a, 1, whole_vectors(real, height),
                packed_b, 0, rows, columns, target if more else 0, inner, target, inner,
            )  # fmt: skip


@inlined
def _few_rows(
    real: Any,
    first: int,
    last: int,
    rows: int,
    a: int,
    a_row_stride: int,
    outer: int,
    b: int,
    b_row_stride: int,
    inner: int,
    out: int,
    more: int,
    packed: int,
) -> None:
    """Compute columns of out = b^T @ a; pack nothing but the last columns of a."""
    size = item_size(real)
    whole = first + (last - first) // lanes(real) * lanes(real)
    columns = whole - first
    target = out + first * size
    strided_product(
        real, 0, panel_count(real, columns), inner, b, 1, b_row_stride,
        a + first * size, a_row_stride, rows, columns, target if more else 0, outer, target, outer,
    )  # fmt: skip
    if whole < last:
        target = out + whole * size
        copy_panel(real, rows, last - whole, a + whole * size, a_row_stride, packed)
        strided_product(
            real, 0, 1, inner, b, 1, b_row_stride,
            packed, 0, rows, last - whole, target if more else 0, outer, target, outer,
        )  # fmt: skip


@external
def _weight_gradient(
    real: Any,
    first: int,
    last: int,
    R: int,
    a: int,
    a_row_stride: int,
    outer: int,
    b: int,
    b_row_stride: int,
    inner: int,
    out: int,
    more: int,
    scratch: int,
) -> None:
    if b == 0:
        store_one(real, scratch + CHUNK * lanes(real) * item_size(real))
        b, b_row_stride = scratch + CHUNK * lanes(real) * item_size(real), 0
    for r in range(0, max(R, 1), CHUNK):
        rows = min(CHUNK, R - r)
        left = a + r * a_row_stride * item_size(real)
        right = b + r * b_row_stride * item_size(real)
        add = more if r == 0 else 1
        if is_narrow(inner):
            _few_rows(
                real, first, last, rows, left, a_row_stride, outer,
                right, b_row_stride, inner, out, add, scratch,
            )  # fmt: skip
        else:
            _many_rows(
                real, first, last, rows, left, a_row_stride,
                right, b_row_stride, inner, out, add, scratch,
            )  # fmt: skip


@inlined
def weight_gradient(
    real: Any,
    first: int,
    last: int,
    R: int,
    a: int,
    a_row_stride: int,
    outer: int,
    b: int,
    b_row_stride: int,
    inner: int,
    out: int,
    more: int,
    scratch: int,
) -> None:
    """Compute the rows ``first`` to ``last`` (excluded) of out = a^T @ b.

    Parameters
    ----------
    real : type
        np.float32 or np.float64.
    first, last : int
        Of the columns of a, which are the rows of out.
    R, outer, inner : int
        a is (R, outer), b is (R, inner).
    a, b, out : int
        Addresses of whole matrices. If b is 0, it is a column of ones. The elements of out lie side by
        side; if inner is small, see `is_narrow`, out is transposed.
    a_row_stride, b_row_stride : int
        In elements. The elements of a row lie side by side.
    more : int
        If it is not 0, the result is added to out.
    scratch : int
        Address of ``scratch_size(real, inner)`` elements of this thread; fast at a multiple of 64 bytes.
    """
    _weight_gradient(
        real, first, last, R, a, a_row_stride, outer, b, b_row_stride, inner, out, more, scratch
    )


@external
def shared_gradient(
    real: Any,
    thread: int,
    threads: int,
    R: int,
    a: int,
    a_row_stride: int,
    outer: int,
    b: int,
    b_row_stride: int,
    inner: int,
    out: int,
    more: int,
    scratch: int,
) -> None:
    """Compute a thread's rows of out = a^T @ b; see `weight_gradient`."""
    first = share_start(real, outer, thread, threads)
    last = share_start(real, outer, thread + 1, threads)
    weight_gradient(
        real, first, last, R, a, a_row_stride, outer, b, b_row_stride, inner, out, more, scratch
    )
