"""Rows of the batch to where a loop has them, and back: it moves those of a few steps at a time.

A loop packs the rows of sequences that have ended away, see `minigrad.kernels.runtime.layout`. What it
reads it copies just before it needs it, and what it has made just afterwards, while both are in a core's
cache.
"""

from __future__ import annotations

import llvmlite.binding as llvm
from numba import cfunc, types

from minigrad.kernels.cpu.compiled import compiled
from minigrad.kernels.cpu.simd.vector import (
    LANES32,
    first32,
    load32,
    load32_masked,
    load_integer,
    splat32,
    store,
    store_masked,
    store_past_caches,
)

WORD = 4  # bytes
_STEP = LANES32 * WORD


@compiled
def copy_row(source: int, target: int, size: int) -> None:
    """Copy a row of ``size`` bytes, which are whole words."""
    whole = size - size % _STEP
    for column in range(0, whole, _STEP):
        store(target + column, load32(source + column))
    rest = first32((size - whole) // WORD)
    store_masked(target + whole, load32_masked(source + whole, rest), rest)


@compiled
def clear_row(target: int, size: int) -> None:
    """Set a row of ``size`` bytes, which are whole words, to zero."""
    whole = size - size % _STEP
    for column in range(0, whole, _STEP):
        store(target + column, splat32(0.0))
    store_masked(target + whole, splat32(0.0), first32((size - whole) // WORD))


@compiled
def clear_padding(target: int, size: int) -> None:
    """Do what `clear_row` does, for a row that nobody reads who knows the lengths of the sequences."""
    if size % _STEP == 0 and target % _STEP == 0:
        for column in range(0, size, _STEP):
            store_past_caches(target + column, splat32(0.0))
    else:
        clear_row(target, size)


@cfunc(types.void(*[types.int64] * 11), cache=True, error_model="numpy")
def _collect(
    first: int,
    last: int,
    table: int,
    rows: int,
    order: int,
    present: int,
    batch: int,
    batch_size: int,
    packed: int,
    size: int,
    begin: int,
) -> None:
    for t in range(first, last):
        at = load_integer(table + (1 + 2 * t) * 8)
        for row in range(load_integer(table + (2 + 2 * t) * 8)):
            target = packed + (at + row) * size
            if present != 0 and load_integer(present + (at + row) * 8) == 0:
                clear_row(target, size)
            else:
                number = t * rows + load_integer(order + (begin + row) * 8)
                copy_row(batch + number * batch_size, target, size)


@cfunc(types.void(*[types.int64] * 10), cache=True, error_model="numpy")
def _spread(
    first: int,
    last: int,
    table: int,
    rows: int,
    order: int,
    packed: int,
    size: int,
    batch: int,
    begin: int,
    end: int,
) -> None:
    for t in range(first, last):
        at = load_integer(table + (1 + 2 * t) * 8)
        there = load_integer(table + (2 + 2 * t) * 8)
        for row in range(end - begin):
            target = batch + (t * rows + load_integer(order + (begin + row) * 8)) * size
            if row < there:
                copy_row(packed + (at + row) * size, target, size)
            else:
                clear_padding(target, size)


# As in `minigrad.kernels.cpu.gemm.product`: each loop calls them by name.
llvm.add_symbol("minigrad_collect", _collect.address)
llvm.add_symbol("minigrad_spread", _spread.address)
_external_collect = types.ExternalFunction("minigrad_collect", types.void(*[types.int64] * 11))
_external_spread = types.ExternalFunction("minigrad_spread", types.void(*[types.int64] * 10))


@compiled
def collect(
    first: int,
    last: int,
    table: int,
    rows: int,
    order: int,
    present: int,
    batch: int,
    batch_size: int,
    packed: int,
    size: int,
) -> None:
    """Copy the rows of a block of sequences to where the loop has them; absent ones are set to zero.

    Parameters
    ----------
    first, last : int
        The time steps; ``last`` is excluded.
    table, order, present : int
        Addresses of the block's table, of the order and of the flags of a
        `minigrad.kernels.runtime.layout.Layout`. Without flags ``present`` is 0. Nothing is done if
        ``batch`` is 0.
    rows : int
        How many sequences there are.
    batch, packed : int
        Where the rows are, (T, N, ...), and where they go to.
    batch_size, size : int
        From row to row there, and here, in bytes.
    """
    if batch != 0:
        begin = load_integer(table)
        _external_collect(
            first, last, table, rows, order, present, batch, batch_size, packed, size, begin
        )


@compiled
def spread(
    first: int,
    last: int,
    table: int,
    end: int,
    rows: int,
    order: int,
    packed: int,
    size: int,
    batch: int,
) -> None:
    """Copy the rows of a block back, and set those behind the lengths of sequences to zero.

    Parameters
    ----------
    end : int
        The number in the order of the first sequence that is not in the block.
    first, last, table, rows, order, packed, size, batch
        As for `collect`.
    """
    if batch != 0:
        begin = load_integer(table)
        _external_spread(first, last, table, rows, order, packed, size, batch, begin, end)
