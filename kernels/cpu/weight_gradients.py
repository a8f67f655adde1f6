"""Sums over many rows: the gradients of weights, a^T @ b, and of biases, the sums of columns.

The rows are cut into chunks. Each chunk is summed from zero and then added: so the error grows with the
length of a chunk and the number of chunks, not with the number of rows, and an element has the same
bits however the result is shared out between threads.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cpu.compiled import compiled, inlined
from minigrad.kernels.cpu.microkernel import TILE_ROWS, item_size, lanes, tile_columns
from minigrad.kernels.cpu.pack import (
    copy_element,
    copy_panel,
    panel_count,
    panel_start,
    store_one,
    whole_vectors,
)
from minigrad.kernels.cpu.product import strided_product

_CHUNK = 256
# So many packed panels of a chunk stay in the second-level cache.
_PANELS = 10


@compiled
def scratch_size(real: Any, Ma: int, Kb: int) -> int:
    """Return the number of elements that `weight_gradient` (or, for Kb = 1, `column_sums`) needs."""
    if Kb <= TILE_ROWS:
        return _CHUNK * lanes(real) + Ma * Kb
    columns = min(whole_vectors(real, Kb), _PANELS * tile_columns(real))
    return _CHUNK * (whole_vectors(real, TILE_ROWS) + columns)


@compiled
def weight_gradient(
    real: Any,
    first: int,
    last: int,
    R: int,
    a: int,
    a_row_stride: int,
    b: int,
    b_row_stride: int,
    Kb: int,
    out: int,
    out_row_stride: int,
    scratch: int,
) -> None:
    """Compute the rows ``first`` to ``last`` (excluded) of out = a^T @ b.

    Parameters
    ----------
    real : type
        np.float32 or np.float64.
    first, last : int
        Of the columns of a, which are the rows of out.
    R, Kb : int
        a is (R, ...), b is (R, Kb).
    a, b, out : int
        Addresses of whole matrices.
    a_row_stride, b_row_stride, out_row_stride : int
        In elements. The elements of a row lie side by side.
    scratch : int
        Address of ``scratch_size(real, last - first, Kb)`` elements of this thread; fast at a multiple
        of 64 bytes.
    """
    size = item_size(real)
    if Kb <= TILE_ROWS:
        columns = last - first
        sums = scratch + _CHUNK * lanes(real) * size
        _few_rows(
            real, R, b, b_row_stride, Kb, a + first * size, a_row_stride, columns, sums, scratch
        )
        for row in range(columns):
            for column in range(Kb):
                copy_element(
                    real,
                    sums + (column * columns + row) * size,
                    out + ((first + row) * out_row_stride + column) * size,
                )
    else:
        _many_rows(
            real, first, last, R, a, a_row_stride, b, b_row_stride, Kb, out, out_row_stride, scratch
        )


@compiled
def column_sums(
    real: Any, R: int, a: int, a_row_stride: int, M: int, out: int, scratch: int
) -> None:
    """Compute the sums of the columns of a, which is (R, M).

    Parameters are those of `weight_gradient`; ``scratch`` has ``scratch_size(real, M, 1)`` elements.
    """
    one = scratch + _CHUNK * lanes(real) * item_size(real)
    store_one(real, one)
    _few_rows(real, R, one, 0, 1, a, a_row_stride, M, out, scratch)


@inlined
def _many_rows(
    real: Any,
    first: int,
    last: int,
    R: int,
    a: int,
    a_row_stride: int,
    b: int,
    b_row_stride: int,
    Kb: int,
    out: int,
    out_row_stride: int,
    packed_a: int,
) -> None:
    """Compute rows of out = a^T @ b: pack some panels of b, and in turn groups of columns of a."""
    size = item_size(real)
    group = whole_vectors(real, TILE_ROWS)
    packed_b = packed_a + _CHUNK * group * size
    step = _PANELS * tile_columns(real)
    for r in range(0, max(R, 1), _CHUNK):
        rows = min(_CHUNK, R - r)
        for column in range(0, Kb, step):
            columns = min(step, Kb - column)
            panels = panel_count(real, columns)
            right = b + (r * b_row_stride + column) * size
            for panel in range(panels):
                start = panel_start(real, columns, panel)
                width = panel_start(real, columns, panel + 1) - start
                target = packed_b + start * rows * size
                copy_panel(real, rows, width, right + start * size, b_row_stride, target)
            for row in range(first, last, group):
                height = min(group, last - row)
                left = a + (r * a_row_stride + row) * size
                copy_panel(real, rows, height, left, a_row_stride, packed_a)
                target = out + (row * out_row_stride + column) * size
                strided_product(
                    real, 0, panels, height, packed_a, 1, whole_vectors(real, height),
                    packed_b, 0, rows, columns,
                    target if r > 0 else 0, out_row_stride, target, out_row_stride,
                )  # fmt: skip


@inlined
def _few_rows(
    real: Any,
    R: int,
    a: int,
    a_row_stride: int,
    Ma: int,
    b: int,
    b_row_stride: int,
    Kb: int,
    out: int,
    packed: int,
) -> None:
    """Compute the dense (Ma, Kb) matrix out = a^T @ b; pack nothing but the last columns of b."""
    size = item_size(real)
    whole = Kb // lanes(real) * lanes(real)
    for r in range(0, max(R, 1), _CHUNK):
        rows = min(_CHUNK, R - r)
        left, right = a + r * a_row_stride * size, b + r * b_row_stride * size
        strided_product(
            real, 0, panel_count(real, whole), Ma, left, 1, a_row_stride,
            right, b_row_stride, rows, whole, out if r > 0 else 0, Kb, out, Kb,
        )  # fmt: skip
        if whole < Kb:
            target = out + whole * size
            copy_panel(real, rows, Kb - whole, right + whole * size, b_row_stride, packed)
            strided_product(
                real, 0, 1, Ma, left, 1, a_row_stride,
                packed, 0, rows, Kb - whole, target if r > 0 else 0, Kb, target, Kb,
            )  # fmt: skip
