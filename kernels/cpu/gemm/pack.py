"""Copy a matrix into the order in which the microkernel reads it.

A packed matrix of K rows and M columns is a sequence of panels of nearly equal width. In a panel, row
follows row; each row is padded with zeros to whole vectors.

A packed matrix should begin at a multiple of 64 bytes: it is read faster.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cpu.compiled import compiled, inlined, instructions
from minigrad.kernels.cpu.gemm.microkernel import item_size, lanes, tile_columns
from minigrad.kernels.cpu.linked import external
from minigrad.kernels.cpu.simd.vector_instructions import INT64, VectorBuilder


@compiled
def whole_vectors(real: Any, columns: int) -> int:
    """Return ``columns`` rounded up to a multiple of the lanes."""
    return -(-columns // lanes(real)) * lanes(real)


@compiled
def packed_size(real: Any, K: int, M: int) -> int:
    """Return the number of elements of a packed matrix of K rows and M columns."""
    return K * whole_vectors(real, M)


@compiled
def panel_count(real: Any, M: int) -> int:
    """Return the number of panels of a packed matrix of M columns."""
    return -(-M // tile_columns(real))


@compiled
def panel_start(real: Any, M: int, panel: int) -> int:
    """Return the first column of a panel; for ``panel_count(real, M)`` it is M."""
    vectors = -(-M // lanes(real))
    return min(M, vectors * panel // panel_count(real, M) * lanes(real))


@compiled
def pack_panels(
    real: Any,
    first: int,
    last: int,
    K: int,
    M: int,
    matrix: int,
    row_stride: int,
    column_stride: int,
    packed: int,
) -> None:
    """Pack the panels ``first`` to ``last`` (excluded) of a matrix.

    Parameters
    ----------
    real : type
        np.float32 or np.float64.
    first, last : int
        Of the ``panel_count(real, M)`` panels. They may be packed by several threads.
    K, M : int
        Rows and columns of the matrix.
    matrix, packed : int
        Addresses of the matrix and of ``packed_size(real, K, M)`` elements.
    row_stride, column_stride : int
        Of the matrix, in elements. It is fast if one of them is 1.
    """
    size = item_size(real)
    for panel in range(first, last):
        column = panel_start(real, M, panel)
        columns = panel_start(real, M, panel + 1) - column
        source = matrix + column * column_stride * size
        target = packed + column * K * size
        if column_stride == 1:
            copy_panel(real, K, columns, source, row_stride, target)
        elif row_stride == 1:
            _transpose_panel(real, K, columns, source, column_stride, target)
        else:
            _gather_panel(real, K, columns, source, row_stride, column_stride, target)


@compiled
def pack(
    real: Any,
    K: int,
    M: int,
    matrix: int,
    row_stride: int,
    column_stride: int,
    packed: int,
) -> None:
    """Pack a whole matrix; see `pack_panels`."""
    count = panel_count(real, M)
    pack_panels(real, 0, count, K, M, matrix, row_stride, column_stride, packed)


@compiled
def share_start(real: Any, width: int, share: int, shares: int) -> int:
    """Return the first of the columns of a share; for ``share = shares`` it is ``width``."""
    vectors = -(-width // lanes(real))
    return min(width, vectors * share // shares * lanes(real))


@compiled
def copy_panel(real: Any, K: int, columns: int, matrix: int, row_stride: int, packed: int) -> None:
    """Pack K rows of ``columns`` columns that lie side by side as one panel, however wide."""
    step = lanes(real) * item_size(real)
    row_bytes = row_stride * item_size(real)
    packed_bytes = whole_vectors(real, columns) * item_size(real)
    whole = columns // lanes(real) * step
    for k in range(K):
        source, target = matrix + k * row_bytes, packed + k * packed_bytes
        for offset in range(0, whole, step):
            _copy(real, source + offset, target + offset)
        if whole < packed_bytes:
            _copy_first(real, source + whole, target + whole, columns % lanes(real))


@inlined
def _transpose_panel(
    real: Any, K: int, columns: int, matrix: int, column_stride: int, packed: int
) -> None:
    """Pack K rows of columns in which row follows row."""
    size = item_size(real)
    step = lanes(real)
    width = whole_vectors(real, columns)
    for column in range(0, columns, step):
        count = min(step, columns - column)
        source, target = matrix + column * column_stride * size, packed + column * size
        whole = K // step * step if count == step else 0
        for k in range(0, whole, step):
            place = target + k * width * size
            _transpose(real, source + k * size, column_stride, place, width)
        for k in range(whole, K, step):
            place = target + k * width * size
            length = min(step, K - k)
            _transpose_first(real, source + k * size, column_stride, place, width, count, length)


@inlined
def _gather_panel(
    real: Any,
    K: int,
    columns: int,
    matrix: int,
    row_stride: int,
    column_stride: int,
    packed: int,
) -> None:
    """Pack K rows of columns that lie anywhere, element by element."""
    size = item_size(real)
    width = whole_vectors(real, columns)
    for k in range(K):
        source, target = matrix + k * row_stride * size, packed + k * width * size
        _copy_first(real, source, target + (width - lanes(real)) * size, 0)
        for i in range(columns):
            copy_element(real, source + i * column_stride * size, target + i * size)


@instructions
def _copy(vector: VectorBuilder, source: Any, target: Any) -> None:
    """Copy one vector."""
    vector.store(vector.load(vector.pointer(source)), vector.pointer(target))


@instructions
def _copy_first(vector: VectorBuilder, source: Any, target: Any, count: Any) -> None:
    """Copy the first ``count`` elements of a vector; the others become zero."""
    there = vector.first(count)
    vector.store(vector.load(vector.pointer(source), there), vector.pointer(target))


@instructions
def copy_element(vector: VectorBuilder, source: Any, target: Any) -> None:
    """Copy one element."""
    element = vector.builder.load(vector.pointer(source), typ=vector.real)
    vector.builder.store(element, vector.pointer(target))


@instructions
def store_one(vector: VectorBuilder, target: Any) -> None:
    """Write the number 1."""
    vector.builder.store(vector.real(1), vector.pointer(target))


@instructions
def _transpose(
    vector: VectorBuilder, source: Any, stride: Any, target: Any, target_stride: Any
) -> None:
    """Transpose a square of lanes x lanes elements."""
    sources = vector.rows(vector.pointer(source), stride, vector.lanes)
    targets = vector.rows(vector.pointer(target), target_stride, vector.lanes)
    for row, place in zip(
        _transposed(vector, list(map(vector.load, sources))), targets, strict=True
    ):
        vector.store(row, place)


@instructions
def _transpose_first(
    vector: VectorBuilder,
    source: Any,
    stride: Any,
    target: Any,
    target_stride: Any,
    count: Any,
    length: Any,
) -> None:
    """Transpose ``count`` rows of ``length`` elements into ``length`` rows, padded with zeros."""

    def is_below(i: int, limit: Any) -> Any:
        return vector.all_or_none(vector.builder.icmp_signed("<", INT64(i), limit))

    there = vector.first(length)
    rows = []
    for i, place in enumerate(vector.rows(vector.pointer(source), stride, vector.lanes)):
        rows.append(vector.load(place, vector.builder.and_(there, is_below(i, count))))
    targets = vector.rows(vector.pointer(target), target_stride, vector.lanes)
    for i, (row, place) in enumerate(zip(_transposed(vector, rows), targets, strict=True)):
        vector.store(row, place, is_below(i, length))


def _transposed(vector: VectorBuilder, rows: list[Any]) -> list[Any]:
    """Transpose a square of vectors: swap halves, then quarters, and so on."""
    lanes = vector.lanes
    distance = lanes // 2
    while distance:
        low = [j if not j & distance else lanes + j - distance for j in range(lanes)]
        high = [j + distance if not j & distance else lanes + j for j in range(lanes)]
        for i in range(lanes):
            if not i & distance:
                pair = rows[i], rows[i + distance]
                rows[i], rows[i + distance] = vector.pick(*pair, low), vector.pick(*pair, high)
        distance //= 2
    return rows


@external
def shared_pack(
    real: Any,
    thread: int,
    threads: int,
    parts: int,
    shares: int,
    inner: int,
    columns: int,
    matrix: int,
    row_stride: int,
    column_stride: int,
    packed: int,
) -> None:
    """Pack this thread's part of a matrix for products that threads share by columns.

    The columns of each share of each part are packed as a matrix of their own, share by share.

    Parameters
    ----------
    real : type
        np.float32 or np.float64.
    thread, threads : int
    parts, shares : int
        The parts are of equal width; each is divided into shares.
    inner, columns : int
        Rows and columns of the matrix.
    matrix, row_stride, column_stride
        As for `pack_panels`.
    packed : int
        The address of ``parts * packed_size(real, inner, columns // parts)`` elements.
    """
    size, width = item_size(real), columns // parts
    for share in range(shares):
        start = share_start(real, width, share, shares)
        length = share_start(real, width, share + 1, shares) - start
        panels = panel_count(real, length)
        first, last = panels * thread // threads, panels * (thread + 1) // threads
        for part in range(parts):
            source = matrix + (part * width + start) * column_stride * size
            pack_panels(real, first, last, inner, length, source, row_stride, column_stride, packed)
            packed += inner * whole_vectors(real, length) * size
