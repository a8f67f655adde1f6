"""Sums over many rows: the gradients of weights, a^T @ b, and of biases, the sums of columns.

The rows are cut into chunks. Each chunk is summed from zero and then added: so the error grows with the
length of a chunk and the number of chunks, not with the number of rows, and an element has the same
bits however the result is shared out between threads.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cpu.compiled import compiled
from minigrad.kernels.cpu.microkernel import TILE_ROWS, item_size, lanes, tile, tile_columns
from minigrad.kernels.cpu.pack import (
    copy_element,
    copy_panel,
    panel_count,
    panel_start,
    store_one,
    whole_vectors,
)

_CHUNK = 256
# So many packed panels of a chunk stay in the second-level cache.
_PANELS = 10


@compiled
def scratch_size(real: Any, Ma: int, Kb: int) -> int:
    """Return the number of elements that `weight_gradient` (or, for Kb = 1, `column_sums`) needs."""
    if Kb <= TILE_ROWS:
        return _CHUNK * tile_columns(real) + Ma * Kb + 1
    return _CHUNK * (
        whole_vectors(real, TILE_ROWS) + min(whole_vectors(real, Kb), _PANELS * tile_columns(real))
    )


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
        sums = scratch + _CHUNK * tile_columns(real) * size
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
        return
    packed_b = scratch + _CHUNK * whole_vectors(real, TILE_ROWS) * size
    panels = panel_count(real, Kb)
    for r in range(0, max(R, 1), _CHUNK):
        rows = min(_CHUNK, R - r)
        for panel in range(0, panels, _PANELS):
            _chunk_of_panels(
                real,
                panel,
                min(panels, panel + _PANELS),
                first,
                last,
                rows,
                a + r * a_row_stride * size,
                a_row_stride,
                b + r * b_row_stride * size,
                b_row_stride,
                Kb,
                r > 0,
                out,
                out_row_stride,
                scratch,
                packed_b,
            )


@compiled
def column_sums(
    real: Any, R: int, a: int, a_row_stride: int, M: int, out: int, scratch: int
) -> None:
    """Compute the sums of the columns of a, which is (R, M).

    Parameters are those of `weight_gradient`; ``scratch`` has ``scratch_size(real, M, 1)`` elements.
    """
    one = scratch + _CHUNK * tile_columns(real) * item_size(real)
    store_one(real, one)
    _few_rows(real, R, one, 0, 1, a, a_row_stride, M, out, scratch)


@compiled
def _chunk_of_panels(
    real: Any,
    first_panel: int,
    last_panel: int,
    first: int,
    last: int,
    rows: int,
    a: int,
    a_row_stride: int,
    b: int,
    b_row_stride: int,
    Kb: int,
    add: bool,
    out: int,
    out_row_stride: int,
    packed_a: int,
    packed_b: int,
) -> None:
    """Compute out = a^T @ b, or add it to out, for one chunk of rows and some panels of b."""
    size = item_size(real)
    left = panel_start(real, Kb, first_panel)
    for panel in range(first_panel, last_panel):
        column = panel_start(real, Kb, panel)
        columns = panel_start(real, Kb, panel + 1) - column
        target = packed_b + (column - left) * rows * size
        copy_panel(real, rows, columns, b + column * size, b_row_stride, target)
    group = whole_vectors(real, TILE_ROWS)
    for row in range(first, last, group):
        height = min(group, last - row)
        stride = whole_vectors(real, height)
        copy_panel(real, rows, height, a + row * size, a_row_stride, packed_a)
        for panel in range(first_panel, last_panel):
            column = panel_start(real, Kb, panel)
            columns = panel_start(real, Kb, panel + 1) - column
            for i in range(0, height, TILE_ROWS):
                place = out + ((row + i) * out_row_stride + column) * size
                tile(
                    size,
                    min(TILE_ROWS, height - i),
                    columns,
                    rows,
                    packed_a + i * size,
                    1,
                    stride,
                    packed_b + (column - left) * rows * size,
                    whole_vectors(real, columns),
                    place if add else 0,
                    out_row_stride,
                    place,
                    out_row_stride,
                )


@compiled
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
    scratch: int,
) -> None:
    """Compute the dense (Ma, Kb) matrix out = a^T @ b for Ma <= TILE_ROWS, without packing a."""
    size = item_size(real)
    for r in range(0, max(R, 1), _CHUNK):
        rows = min(_CHUNK, R - r)
        for panel in range(panel_count(real, Kb)):
            column = panel_start(real, Kb, panel)
            columns = panel_start(real, Kb, panel + 1) - column
            source, stride = b + (r * b_row_stride + column) * size, b_row_stride
            if columns % lanes(real):  # a row of whole vectors is read where it lies
                copy_panel(real, rows, columns, source, b_row_stride, scratch)
                source, stride = scratch, whole_vectors(real, columns)
            place = out + column * size
            tile(
                size,
                Ma,
                columns,
                rows,
                a + r * a_row_stride * size,
                1,
                a_row_stride,
                source,
                stride,
                place if r > 0 else 0,
                Kb,
                place,
                Kb,
            )
