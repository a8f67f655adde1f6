"""Copy a matrix into the order in which the microkernel reads it.

A packed matrix of K rows and M columns is a sequence of panels of nearly equal width. In a panel, row
follows row; each row is padded with zeros to whole vectors.

A packed matrix should begin at a multiple of 64 bytes: it is read faster.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.cpu.compiled import compiled, instructions
from minigrad.kernels.cpu.microkernel import item_size, lanes, tile_columns
from minigrad.kernels.cpu.vector_instructions import INT64, VectorBuilder


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
        pack_panel(
            real,
            K,
            panel_start(real, M, panel + 1) - column,
            matrix + column * column_stride * size,
            row_stride,
            column_stride,
            packed + column * K * size,
        )


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
def pack_panel(
    real: Any,
    K: int,
    columns: int,
    matrix: int,
    row_stride: int,
    column_stride: int,
    packed: int,
) -> None:
    """Pack K rows of ``columns`` columns as one panel, however wide; see `pack_panels`."""
    size = item_size(real)
    step = lanes(real)
    width = whole_vectors(real, columns)
    for column in range(0, columns, step):
        count = min(step, columns - column)
        source = matrix + column * column_stride * size
        target = packed + column * size
        if column_stride == 1:
            _copy_columns(real, K, count, source, row_stride * size, target, width * size)
        elif row_stride == 1:
            _transpose_columns(real, K, count, source, column_stride, target, width)
        else:
            for k in range(K):
                row, place = source + k * row_stride * size, target + k * width * size
                _copy_first(real, row, place, 0)
                for i in range(count):
                    copy_element(real, row + i * column_stride * size, place + i * size)


@compiled
def _copy_columns(
    real: Any, K: int, count: int, source: int, row_bytes: int, target: int, step: int
) -> None:
    """Copy K rows of ``count`` elements, at most a vector; pad each with zeros."""
    if count == lanes(real):
        for k in range(K):
            _copy(real, source + k * row_bytes, target + k * step)
    else:
        for k in range(K):
            _copy_first(real, source + k * row_bytes, target + k * step, count)


@compiled
def _transpose_columns(
    real: Any, K: int, count: int, source: int, stride: int, target: int, width: int
) -> None:
    """Turn ``count`` rows of K elements, ``stride`` apart, into K rows, ``width`` apart."""
    size = item_size(real)
    step = lanes(real)
    whole = K // step * step if count == step else 0
    for k in range(0, whole, step):
        _transpose(real, source + k * size, stride, target + k * width * size, width)
    for k in range(whole, K, step):
        place = target + k * width * size
        _transpose_first(real, source + k * size, stride, place, width, count, min(step, K - k))


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
