"""The innermost loop of every product: a small tile of the result, held in registers.

A tile of rows x vectors runs along the common axis. Each element is one chain of multiply-adds from
zero, in the order of that axis; what it starts from is added at the end. So an element has the same
bits in whatever tile it is computed.

The tiles are written as LLVM instructions on vectors: no optimiser has to find them.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from llvmlite import ir

from minigrad.kernels.cpu.compiled import constant, instructions
from minigrad.kernels.cpu.simd.instruction_set import vector_registers
from minigrad.kernels.cpu.simd.vector_instructions import INT64, VectorBuilder

# All sums of a tile, one row of vectors and one broadcast have to fit into the registers.
PANEL_VECTORS, TILE_ROWS = {32: (3, 8), 16: (3, 4)}[vector_registers()]

item_size = constant(lambda vector: vector.size)
lanes = constant(lambda vector: vector.lanes)
tile_columns = constant(lambda vector: PANEL_VECTORS * vector.lanes)


@instructions
def tile(
    vector: VectorBuilder,
    rows: Any,
    columns: Any,
    K: Any,
    a: Any,
    a_row_stride: Any,
    a_stride: Any,
    b: Any,
    b_row_stride: Any,
    start: Any,
    start_row_stride: Any,
    c: Any,
    c_row_stride: Any,
) -> None:
    """Compute c = start + a @ b for one tile.

    Parameters
    ----------
    rows, columns, K : int
        a is (rows, K), b is (K, columns); 1 <= rows <= TILE_ROWS, 1 <= columns <= tile_columns(real).
    a, b, start, c : int
        Addresses. Without a start (0), nothing is added. b is read in whole vectors: its rows reach to a
        multiple of lanes(real). Of c nothing but the tile is written.
    a_row_stride, a_stride, b_row_stride, start_row_stride, c_row_stride : int
        In elements. The elements in a row of b, start and c lie side by side.
    """
    builder = vector.builder
    last = builder.sdiv(builder.sub(columns, INT64(1)), INT64(vector.lanes))
    tail = builder.sub(columns, builder.mul(last, INT64(vector.lanes)))
    arguments = [tail, K, a, a_row_stride, a_stride, b, b_row_stride]
    arguments += [start, start_row_stride, c, c_row_stride]
    end = builder.append_basic_block()
    switch = builder.switch(builder.add(builder.mul(last, INT64(TILE_ROWS)), rows), end)
    for vectors in range(1, PANEL_VECTORS + 1):
        for height in range(1, TILE_ROWS + 1):
            block = builder.append_basic_block()
            switch.add_case(INT64((vectors - 1) * TILE_ROWS + height), block)
            builder.position_at_end(block)
            function = _tile_function(builder.module, vector.real, height, vectors)
            builder.call(function, arguments)
            builder.branch(end)
    builder.position_at_end(end)


@instructions
def row_pair(
    vector: VectorBuilder,
    columns: Any,
    more_columns: Any,
    K: Any,
    a: Any,
    a_stride: Any,
    b: Any,
    more_b: Any,
    start: Any,
    c: Any,
) -> None:
    """Compute one row of c = start + a @ b for two packed panels that lie side by side.

    A tile of a single row waits for its few sums; two of them wait together.

    Parameters
    ----------
    columns, more_columns : int
        Of the two panels, from 1 to tile_columns(real); the first has whole vectors.
    K, a, a_stride, b, start, c : int
        As for `tile`, of the first panel.
    more_b : int
        Address of the second panel.
    """
    builder = vector.builder
    one = INT64(1)

    def last_vector(width: Any) -> Any:
        return builder.sdiv(builder.sub(width, one), INT64(vector.lanes))

    first, second = last_vector(columns), last_vector(more_columns)
    tail = builder.sub(more_columns, builder.mul(second, INT64(vector.lanes)))
    arguments = [tail, K, a, a_stride, b, more_b, start, c]
    end = builder.append_basic_block()
    number = builder.add(builder.mul(first, INT64(PANEL_VECTORS)), second)
    switch = builder.switch(number, end)
    for left in range(PANEL_VECTORS):
        for right in range(PANEL_VECTORS):
            block = builder.append_basic_block()
            switch.add_case(INT64(left * PANEL_VECTORS + right), block)
            builder.position_at_end(block)
            function = _pair_function(builder.module, vector.real, left + 1, right + 1)
            builder.call(function, arguments)
            builder.branch(end)
    builder.position_at_end(end)


def _pair_function(module: ir.Module, real: Any, left: int, right: int) -> ir.Function:
    """Return the function for one row of two panels of so many vectors."""
    function, is_new = _function(module, f"minigrad_pair_{real}_{left}_{right}", 8)
    if is_new:
        vector = VectorBuilder(ir.IRBuilder(function.append_basic_block()), real)
        tail, K, a, a_stride, b, more_b, start, c = function.args
        zero = INT64(0)
        panels = [
            (vector.pointer(b), INT64(left * vector.lanes), left),
            (vector.pointer(more_b), INT64(right * vector.lanes), right),
        ]
        sums = _sums(vector, K, [vector.pointer(a)], a_stride, panels)
        _add_and_store(vector, sums, tail, start, zero, c, zero)
        vector.builder.ret_void()
    return function


def _function(module: ir.Module, name: str, arguments: int) -> tuple[ir.Function, bool]:
    """Return a function of a module, and whether it has to be written."""
    if name in module.globals:
        return module.globals[name], False
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [INT64] * arguments), name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    return function, True


def _tile_function(module: ir.Module, real: Any, rows: int, vectors: int) -> ir.Function:
    """Return the function for one tile shape; write it into ``module`` if it is not there."""
    function, is_new = _function(module, f"minigrad_tile_{real}_{rows}x{vectors}", 11)
    if not is_new:
        return function
    vector = VectorBuilder(ir.IRBuilder(function.append_basic_block()), real)
    tail, K, a, a_row_stride, a_stride, b, b_row_stride, start, start_stride, c, c_stride = (
        function.args
    )
    a_rows = vector.rows(vector.pointer(a), a_row_stride, rows)
    sums = _sums(vector, K, a_rows, a_stride, [(vector.pointer(b), b_row_stride, vectors)])
    _add_and_store(vector, sums, tail, start, start_stride, c, c_stride)
    vector.builder.ret_void()
    return function


def _sums(
    vector: VectorBuilder,
    K: Any,
    a_rows: list[Any],
    a_stride: Any,
    panels: list[tuple[Any, Any, int]],
) -> list[list[Any]]:
    """Write the loop along the common axis. Return the sums: for each row, its vectors.

    Of each panel of b the address, the distance of its rows, and its number of vectors are given.
    """
    builder = vector.builder
    before, loop, done = builder.block, *(builder.append_basic_block() for _ in range(2))
    builder.cbranch(builder.icmp_signed(">", K, INT64(0)), loop, done)

    builder.position_at_end(loop)
    k, a_at, *b_ats = (builder.phi(INT64) for _ in range(2 + len(panels)))
    width = sum(vectors for _, _, vectors in panels)
    sums = [[builder.phi(vector.type) for _ in range(width)] for _ in a_rows]
    b_row = []
    for (b, _, vectors), b_at in zip(panels, b_ats, strict=True):
        b_row += vector.load_row(vector.at(b, b_at), vectors)
    new_sums = []
    for row, row_sums in zip(a_rows, sums, strict=True):
        factor = vector.splat(builder.load(vector.at(row, a_at), typ=vector.real))
        new_sums.append(list(map(vector.multiply_add, [factor] * width, b_row, row_sums)))
    next_k = builder.add(k, INT64(1))
    changes = [
        (k, INT64(0), next_k),
        (a_at, INT64(0), builder.add(a_at, a_stride)),
        *(
            (b_at, INT64(0), builder.add(b_at, stride))
            for (_, stride, _), b_at in zip(panels, b_ats, strict=True)
        ),
        *((old, vector.zero, new) for old, new in zip(chain(*sums), chain(*new_sums), strict=True)),
    ]
    for phi, first, following in changes:
        phi.add_incoming(first, before)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", next_k, K), loop, done)

    builder.position_at_end(done)

    return [[vector.choose((vector.zero, before), (new, loop)) for new in row] for row in new_sums]


def _add_and_store(
    vector: VectorBuilder,
    sums: list[list[Any]],
    tail: Any,
    start: Any,
    start_stride: Any,
    c: Any,
    c_stride: Any,
) -> None:
    """Write the end of a tile: ``tail`` is the number of elements in the last vector."""
    builder = vector.builder
    starts = vector.rows(vector.pointer(start), start_stride, len(sums))
    targets = vector.rows(vector.pointer(c), c_stride, len(sums))

    offsets = [INT64(place * vector.lanes) for place in range(len(sums[0]))]
    there = vector.first(tail)

    before = builder.block
    with builder.if_then(builder.icmp_signed("!=", start, INT64(0))):
        added = []
        for row, row_start in zip(sums, starts, strict=True):
            places = [vector.at(row_start, offset) for offset in offsets]
            initial = [*map(vector.load, places[:-1]), vector.load(places[-1], there)]
            added.append(list(map(builder.fadd, initial, row)))
        after = builder.block
    totals = [
        [vector.choose((old, before), (new, after)) for old, new in zip(*rows, strict=True)]
        for rows in zip(sums, added, strict=True)
    ]
    for row, target in zip(totals, targets, strict=True):
        for total, offset in zip(row[:-1], offsets, strict=False):
            vector.store(total, vector.at(target, offset))
    is_whole = builder.icmp_signed("==", tail, INT64(vector.lanes))
    with builder.if_else(is_whole) as branches:
        for branch, mask in zip(branches, (None, there), strict=True):
            with branch:
                for row, target in zip(totals, targets, strict=True):
                    vector.store(row[-1], vector.at(target, offsets[-1]), mask)
