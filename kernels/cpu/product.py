"""Matrix products with a packed right operand: c = start + a @ b.

The common axis is cut into blocks and the rows into chunks, both by sizes alone, so that what is read
again is still in a cache. Each block is summed from zero and then added. So an element
has the same bits however rows and panels are shared out between threads or calls.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cpu.compiled import compiled
from minigrad.kernels.cpu.microkernel import TILE_ROWS, item_size, tile
from minigrad.kernels.cpu.pack import panel_count, panel_start, whole_vectors

# A panel of one block is read for each tile: it stays in the second-level cache. A chunk of rows is
# read for each panel, six times more slowly: on a small CPU it may lie in the third level.
_BLOCK = 512
_CHUNK_BYTES = 512 * 1024


@compiled
def panels_product(
    real: Any,
    first: int,
    last: int,
    n: int,
    a: int,
    a_row_stride: int,
    packed: int,
    K: int,
    M: int,
    start: int,
    start_row_stride: int,
    c: int,
    c_row_stride: int,
) -> None:
    """Compute the columns of c = start + a @ b that lie in the panels ``first`` to ``last`` (excluded).

    Parameters
    ----------
    real : type
        np.float32 or np.float64.
    first, last : int
        Of the ``panel_count(real, M)`` panels of b.
    n, K, M : int
        a is (n, K), b is (K, M), c is (n, M). Any may be 0.
    a, start, c : int
        Addresses of whole matrices. ``start`` may be c itself, one row (with a stride of 0), any other
        matrix, or 0: then nothing is added.
    packed : int
        Address of b, as `minigrad.kernels.cpu.pack.pack` wrote it.
    a_row_stride, start_row_stride, c_row_stride : int
        In elements. The elements of a row lie side by side.
    """
    size = item_size(real)
    blocks = max(1, -(-K // _BLOCK))
    chunk = max(TILE_ROWS, _CHUNK_BYTES // (size * (1 + K // blocks)) // TILE_ROWS * TILE_ROWS)
    for first_row in range(0, n, chunk):
        rows = min(chunk, n - first_row)
        for block in range(blocks):
            k = K * block // blocks
            length = K * (block + 1) // blocks - k
            before, before_stride = (start, start_row_stride) if block == 0 else (c, c_row_stride)
            for panel in range(first, last):
                column = panel_start(real, M, panel)
                columns = panel_start(real, M, panel + 1) - column
                padded = whole_vectors(real, columns)
                _tiles(
                    real,
                    rows,
                    columns,
                    length,
                    a + (first_row * a_row_stride + k) * size,
                    a_row_stride,
                    packed + (column * K + k * padded) * size,
                    padded,
                    before and before + (first_row * before_stride + column) * size,
                    before_stride,
                    c + (first_row * c_row_stride + column) * size,
                    c_row_stride,
                )


@compiled
def rows_product(
    real: Any,
    n: int,
    a: int,
    a_row_stride: int,
    packed: int,
    K: int,
    M: int,
    start: int,
    start_row_stride: int,
    c: int,
    c_row_stride: int,
) -> None:
    """Compute all columns of c = start + a @ b; see `panels_product`."""
    panels_product(
        real,
        0,
        panel_count(real, M),
        n,
        a,
        a_row_stride,
        packed,
        K,
        M,
        start,
        start_row_stride,
        c,
        c_row_stride,
    )


@compiled
def _tiles(
    real: Any,
    rows: int,
    columns: int,
    K: int,
    a: int,
    a_row_stride: int,
    b: int,
    b_row_stride: int,
    start: int,
    start_row_stride: int,
    c: int,
    c_row_stride: int,
) -> None:
    """Multiply rows by one panel, in tiles of nearly equal height."""
    size = item_size(real)
    tiles = -(-rows // TILE_ROWS)
    for number in range(tiles):
        row = rows * number // tiles
        tile(
            size,
            rows * (number + 1) // tiles - row,
            columns,
            K,
            a + row * a_row_stride * size,
            a_row_stride,
            1,
            b,
            b_row_stride,
            start and start + row * start_row_stride * size,
            start_row_stride,
            c + row * c_row_stride * size,
            c_row_stride,
        )
