"""Copy a matrix into the order in which the microkernel reads it.

A packed matrix of K rows and M columns is a sequence of panels: ``panel_width`` columns each, fewer in
the last. In a panel, row follows row; each row is padded with zeros to whole vectors.

A packed matrix should begin at a multiple of 64 bytes: it is read faster.
"""

from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.core.typing import Signature
from numba.extending import intrinsic

from minigrad.kernels.cpu.microkernel import item_size, lanes, panel_width
from minigrad.kernels.cpu.vector_instructions import INT64, VectorBuilder


@njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
def whole_vectors(real: Any, columns: int) -> int:
    """Return ``columns`` rounded up to a multiple of the lanes."""
    return -(-columns // lanes(real)) * lanes(real)


@njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
def packed_size(real: Any, K: int, M: int) -> int:
    """Return the number of elements of a packed matrix of K rows and M columns."""
    return K * whole_vectors(real, M)


@njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
def panel_count(real: Any, M: int) -> int:
    """Return the number of panels of a packed matrix of M columns."""
    return -(-M // panel_width(real))


@njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
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
    width = panel_width(real)
    for panel in range(first, last):
        column = panel * width
        pack_panel(
            real,
            K,
            min(width, M - column),
            matrix + column * column_stride * size,
            row_stride,
            column_stride,
            packed + column * K * size,
        )


@njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
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
                    _copy_element(real, row + i * column_stride * size, place + i * size)


@njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
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


@intrinsic  # type: ignore[untyped-decorator]
def _copy(typing_context: Any, real: Any, source: Any, target: Any) -> tuple[Signature, Any]:
    """Copy one vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = VectorBuilder(builder, real.dtype)
        source, target = map(vector.pointer, arguments[1:])
        vector.store(vector.load(source), target)
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _copy_first(
    typing_context: Any, real: Any, source: Any, target: Any, count: Any
) -> tuple[Signature, Any]:
    """Copy the first ``count`` elements of a vector; the others become zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = VectorBuilder(builder, real.dtype)
        source, target = map(vector.pointer, arguments[1:3])
        vector.store(vector.load(source, vector.first(arguments[3])), target)
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _copy_element(
    typing_context: Any, real: Any, source: Any, target: Any
) -> tuple[Signature, Any]:
    """Copy one element."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = VectorBuilder(builder, real.dtype)
        source, target = map(vector.pointer, arguments[1:])
        builder.store(builder.load(source, typ=vector.real), target)
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64), generate


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


@intrinsic  # type: ignore[untyped-decorator]
def _transpose(
    typing_context: Any, real: Any, source: Any, stride: Any, target: Any, target_stride: Any
) -> tuple[Signature, Any]:
    """Transpose a square of lanes x lanes elements."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, source, stride, target, target_stride = arguments
        vector = VectorBuilder(builder, real.dtype)
        sources = vector.rows(vector.pointer(source), stride, vector.lanes)
        targets = vector.rows(vector.pointer(target), target_stride, vector.lanes)
        for row, place in zip(
            _transposed(vector, list(map(vector.load, sources))), targets, strict=True
        ):
            vector.store(row, place)
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 4), generate


@intrinsic  # type: ignore[untyped-decorator]
def _transpose_first(
    typing_context: Any,
    real: Any,
    source: Any,
    stride: Any,
    target: Any,
    target_stride: Any,
    count: Any,
    length: Any,
) -> tuple[Signature, Any]:
    """Transpose ``count`` rows of ``length`` elements into ``length`` rows, padded with zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, source, stride, target, target_stride, count, length = arguments
        vector = VectorBuilder(builder, real.dtype)
        there = vector.first(length)

        def is_below(i: int, limit: Any) -> Any:
            return vector.all_or_none(builder.icmp_signed("<", INT64(i), limit))

        sources = vector.rows(vector.pointer(source), stride, vector.lanes)
        rows = [
            vector.load(place, builder.and_(there, is_below(i, count)))
            for i, place in enumerate(sources)
        ]
        targets = vector.rows(vector.pointer(target), target_stride, vector.lanes)
        for i, (row, place) in enumerate(zip(_transposed(vector, rows), targets, strict=True)):
            vector.store(row, place, is_below(i, length))
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 6), generate
