"""Matrix products with a packed right operand: c = start + a @ b.

The common axis is cut into blocks and the rows into chunks, both by sizes alone, so that what is read
again is still in a cache. Each block is summed from zero and then added. So an element has the same bits
however rows and panels are shared out between threads or calls.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cpu.compiled import compiled, inlined
from minigrad.kernels.cpu.gemm.microkernel import TILE_ROWS, item_size, lanes, row_pair, tile
from minigrad.kernels.cpu.gemm.pack import panel_count, panel_start, share_start, whole_vectors
from minigrad.kernels.cpu.linked import external
from minigrad.kernels.cpu.simd.vector import load_integer

# A panel of one block is read for each tile: it stays in the second-level cache. A chunk of rows is
# read for each panel, six times more slowly: on a small CPU it may lie in the third level.
_BLOCK = 512
_CHUNK_BYTES = 512 * 1024


@external
def _product(
    real: Any,
    first: int,
    last: int,
    n: int,
    a: int,
    a_row_stride: int,
    a_stride: int,
    b: int,
    b_row_stride: int,
    K: int,
    M: int,
    start: int,
    start_row_stride: int,
    c: int,
    c_row_stride: int,
    groups: int,
    group_step: int,
    table: int,
) -> None:
    size = item_size(real)
    blocks = max(1, -(-K // _BLOCK))
    chunk = max(TILE_ROWS, _CHUNK_BYTES // (size * (1 + K // blocks)) // TILE_ROWS * TILE_ROWS)
    for first_row in range(0, n, chunk):
        for block in range(blocks):
            k = K * block // blocks
            length = K * (block + 1) // blocks - k
            before, before_stride = start, start_row_stride
            if block > 0:
                before, before_stride = c, c_row_stride
            panel = first
            while panel < last:
                column = panel_start(real, M, panel)
                columns = panel_start(real, M, panel + 1) - column
                row_stride = b_row_stride or whole_vectors(real, columns)
                right = b + ((column if b_row_stride else column * K) + k * row_stride) * size
                panel += 1
                beside, more = 0, 0
                if n == 1 and panel < last and b_row_stride == 0 and columns <= 2 * lanes(real):
                    beside = panel_start(real, M, panel)
                    more = panel_start(real, M, panel + 1) - beside
                    panel += 1
                for group in range(groups):
                    place, rows = group * group_step, n
                    if table != 0:
                        place = load_integer(table + group * 16) - load_integer(table)
                        rows = load_integer(table + group * 16 + 8)
                    rows = min(chunk, rows - first_row)
                    place += first_row
                    from_a = a + (place * a_row_stride + k * a_stride) * size
                    from_start = before and before + (place * before_stride + column) * size
                    to_c = c + (place * c_row_stride + column) * size
                    if more > 0:
                        if rows > 0:
                            row_pair(
                                real,
                                columns,
                                more,
                                length,
                                from_a,
                                a_stride,
                                right,
                                b + (beside * K + k * whole_vectors(real, more)) * size,
                                from_start,
                                to_c,
                            )
                        continue
                    tiles = -(-rows // TILE_ROWS)
                    for number in range(tiles):
                        row = rows * number // tiles
                        height = rows * (number + 1) // tiles - row
                        tile(
                            real,
                            height,
                            columns,
                            length,
                            from_a + row * a_row_stride * size,
                            a_row_stride,
                            a_stride,
                            right,
                            row_stride,
                            before and from_start + row * before_stride * size,
                            before_stride,
                            to_c + row * c_row_stride * size,
                            c_row_stride,
                        )


@inlined
def strided_product(
    real: Any,
    first: int,
    last: int,
    n: int,
    a: int,
    a_row_stride: int,
    a_stride: int,
    b: int,
    b_row_stride: int,
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
    b, b_row_stride : int
        If the stride is 0, b is as `minigrad.kernels.cpu.gemm.pack.pack` wrote it. Otherwise its
        elements lie side by side in rows, and M is a multiple of the lanes.
    a_row_stride, a_stride, start_row_stride, c_row_stride : int
        In elements. The elements of a row of start and c lie side by side.
    """
    _product(
        real, first, last, n, a, a_row_stride, a_stride,
        b, b_row_stride, K, M, start, start_row_stride, c, c_row_stride, 1, 0, 0,
    )  # fmt: skip


@inlined
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
    """Compute some panels of a product with a packed matrix; see `strided_product`."""
    strided_product(
        real, first, last, n, a, a_row_stride, 1,
        packed, 0, K, M, start, start_row_stride, c, c_row_stride,
    )  # fmt: skip


@inlined
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
    """Compute a product with a packed matrix; see `strided_product`."""
    strided_product(
        real, 0, panel_count(real, M), n, a, a_row_stride, 1,
        packed, 0, K, M, start, start_row_stride, c, c_row_stride,
    )  # fmt: skip


@compiled  # into each loop: with one sequence, one call more in a step is felt
def shared_product(
    real: Any,
    first: int,
    last: int,
    shares: int,
    parts: int,
    groups: int,
    group_step: int,
    table: int,
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
    """Compute the shares ``first`` to ``last`` (excluded) of a product.

    ``packed`` is as `minigrad.kernels.cpu.gemm.packing.pack_matrix` wrote it; see also `strided_product`.
    The rows are ``groups`` groups of ``n``; from a group to the next one it is ``group_step`` rows. If
    ``table`` is not 0, it is the address of where each group begins, and how many rows it has: then ``n``
    is the most of them.
    """
    size = item_size(real)
    width = M // parts
    for share in range(first, last):
        column = share_start(real, width, share, shares)
        columns = share_start(real, width, share + 1, shares) - column
        right = packed + K * parts * column * size
        for part in range(parts):
            at = (part * width + column) * size
            _product(
                real, 0, panel_count(real, columns), n, a, a_row_stride, 1,
                right, 0, K, columns,
                start and start + at, start_row_stride, c + at, c_row_stride,
                groups, group_step, table,
            )  # fmt: skip
            right += K * whole_vectors(real, columns) * size
