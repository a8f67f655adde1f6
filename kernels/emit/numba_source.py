"""A plan as Python text for Numba: one function that runs the whole loop for some rows of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any

from minigrad.dtypes import bool_
from minigrad.graph import Var
from minigrad.kernels.emit.dialect import INFIX, lowered, number
from minigrad.kernels.emit.widths import Widths
from minigrad.kernels.plan import Buffer, LoopPlan, Place, PlacedSum, Product, Sweep
from minigrad.kernels.scalar import FUNCTIONS, Call

_INFIX = {**INFIX, "logical_and": "&", "logical_or": "|"}
# where a reduction begins, and the sign of what it takes the sum or the largest of
_REDUCTIONS = {"sum": ("0.0", ""), "max": ("-inf", ""), "min": ("-inf", "-")}
_HEAD = """\
from math import inf, nan

from numba import cfunc, {real} as real

from minigrad.kernels.cpu.barrier import barrier
from minigrad.kernels.cpu.batch_order import collect, spread
from minigrad.kernels.cpu.pack import share_start, shared_pack as pack
from minigrad.kernels.cpu.product import shared_product as product
from minigrad.kernels.cpu.weight_gradients import shared_gradient as gradient
from minigrad.kernels.cpu.vector import (
    first{bits} as first_lanes, load{bits} as load, load{bits}_masked as load_masked,
    load_integer, load_one{bits} as load_one,
    max_lanes, splat{bits} as splat, store, store_masked, sum_lanes, where,
)
from minigrad.kernels.cpu.vector_math import (
    {functions},
)


@cfunc("void(int64, int64, CPointer(int64))", cache=True, error_model="numpy")
def loop(thread, threads, arguments):
    steps, rows, reverse, backward = arguments[0], arguments[1], arguments[2], arguments[3]
    blocks, shares, chunk, tables = arguments[4], arguments[5], arguments[6], arguments[7]
    present, fresh, meeting, whole = arguments[8], arguments[9], arguments[10], arguments[11]
    size, own, packing = arguments[12], arguments[13] + thread * arguments[14], arguments[15]
    order = arguments[16]
{addresses}
{packs}
    first_share, last_share = 0, 1
    first_block, next_block = thread, threads
    if shares > 1:
        first_share, last_share = shares * thread // threads, shares * (thread + 1) // threads
        first_block, next_block = 0, 1
{columns}
    for first in range(0, steps, chunk):
        last = min(first + chunk, steps) - 1
        low, high = (steps - 1 - last, steps - 1 - first) if reverse else (first, last)
        early, count = (low * rows, (high + 1 - low) * rows) if whole else (0, size)
        for block in range(first_block, blocks, next_block):
            table = tables + block * (1 + 2 * steps) * 8
            begin = load_integer(table)
            low_at, low_n = load_integer(table + low * 16 + 8), load_integer(table + low * 16 + 16)
            groups, group_rows, group_step, group_table = high + 1 - low, low_n, rows, 0
            if not whole:
                group_step, group_table = 0, table + low * 16 + 8
            elif blocks == 1:
                groups, group_rows = 1, low_n * groups
            before = high + 1 if reverse else low - 1
            active = load_integer(table + before * 16 + 16) if first > 0 else 0
{collected}
{ahead}
            for step in range(first, last + 1):
                t = steps - 1 - step if reverse else step
                at, n = load_integer(table + t * 16 + 8), load_integer(table + t * 16 + 16)
                following = t - 1 if reverse else t + 1
                remaining = load_integer(table + following * 16 + 16) if step + 1 < steps else 0
                now, later = step % 2, 1 - step % 2
{pointers}
{body}
                active = n
{behind}
{spread}
{sums}
"""


# From the name of a column, and how to load from an address, to the address and the value to store.
Store = Callable[[str, Callable[[str], str]], tuple[str, str]]

FIRST = 17  # the numbers before widths and addresses, see `numba_source`


@dataclass(frozen=True)
class NumbaSource:
    """Text, and the widths and offsets that it gets as arguments, in elements: it fits all widths."""

    text: str
    widths: tuple[int, ...]


def argument_order(plan: LoopPlan) -> tuple[Buffer, ...]:
    """Return the buffers whose addresses the function takes, behind numbers and widths.

    Behind them come those of the results of sums, then the row strides of what is read, in elements, and
    for each matrix where it is and its two strides. If the plan is broken, there follow for all that is
    read where it is in the batch, and its row stride there in elements; and where what is spread goes to.
    """
    return (
        *plan.read.values(),
        *plan.stored.values(),
        *plan.fixed.values(),
        *plan.states,
        *plan.scratch,
    )


def collected(plan: LoopPlan) -> list[Buffer]:
    """Return what a loop can copy from the batch by itself."""
    return list(plan.read.values()) if plan.broken else []


def spread(plan: LoopPlan) -> dict[Var, Buffer]:
    """Return what a loop can copy to the batch by itself."""
    return {v: plan.stored[v] for v in plan.stored if v in plan.spread}


def multiplied(plan: LoopPlan) -> dict[Buffer, Product]:
    """Return the matrices of a loop, each with a product that it stands in."""
    return {p.matrix: p for phase in plan.phases for p in phase.products}


def numba_source(plan: LoopPlan, lanes: int) -> NumbaSource:
    """Return a module with a function ``loop(thread, threads, arguments)``.

    Its arguments are integers: T; N; whether time runs backwards; whether this is a backward pass; the
    number of blocks of rows, and of shares of columns; how many steps make a chunk; the address of the
    tables of a `minigrad.kernels.layout.Layout`; those of the flags of present and fresh rows, or 0;
    that of a barrier; whether the layout is whole; how many rows there are; the address of scratch memory
    for sums, and how many bytes of it a thread has; whether matrices are to be packed; the address of the
    order of the layout, or 0 if rows lie as in the batch; then the widths,
    and what `argument_order` says. Either blocks are divided between the threads,
    or, if there are several shares, the shares of the only block.

    A thread takes its blocks through a chunk, with products ahead of it and behind it for all their rows.
    Then all threads take the sums over the rows of the chunk, while they are in the caches. If the layout
    is not whole, the threads are not ready with a chunk at the same time, and the sums wait until the
    loop has ended.

    Buffers of states hold (4, N, width): step ``k`` reads the part ``k % 2``, and writes the other of
    the first two. In the third, a sequence waits before its first step and behind its last. The fourth
    holds the initial states that fresh rows begin with; in a backward pass what comes to them there is
    added to it. Rows that are absent are not computed: their states are carried, and what is stored of
    them is zero.

    Parameters
    ----------
    plan : LoopPlan
    lanes : int
        How many elements a vector of the plan's dtype holds.
    """
    writer = _Writer(plan, lanes)
    text = writer.text()
    return NumbaSource(text, tuple(writer.widths.values.values()))


class _Writer:
    def __init__(self, plan: LoopPlan, lanes: int) -> None:
        self.plan = plan
        self.lanes = lanes
        self.size = plan.dtype.itemsize
        self.widths = Widths(plan)
        self.carried_states = [state for state in plan.states if state.kind == "state"]

    def text(self) -> str:
        """Return the whole module."""
        order = argument_order(self.plan)
        body, meeting = self.entered(), "barrier(meeting, threads)"
        products = [p for phase in self.plan.phases for p in phase.products]
        ahead = [p for p in products if p.ahead]
        columns = self.plan.columns
        if columns is not None and -1 in columns.meetings:
            body.append(f"if shares > 1:\n    {meeting}")
        for index, phase in enumerate(self.plan.phases):
            if columns is not None and index in columns.meetings:
                body.append(f"if shares > 1:\n    {meeting}")
            body += [self.product(p) for p in phase.products if not p.ahead and not p.behind]
            body += [self.sweep(s) for s in phase.sweeps.values()]
        body += self.left()
        functions = sorted(FUNCTIONS.difference(_INFIX, {"where"}))
        behind = [p for p in products if p.behind]
        waiting = [f"if shares > 1:\n    {meeting}"] if behind else []  # for the columns of others
        parts = {
            "packs": (self.packs(), 4),
            "columns": (self.bounds(), 4),
            "collected": (self.collected(), 12),
            "ahead": (self.in_chunk(ahead), 12),
            "pointers": (self.pointers(), 16),
            "body": (body, 16),
            "behind": ([*waiting, *self.in_chunk(behind)], 12),
            "spread": (self.spread(), 12),
            "sums": (self.sums(), 8),
        }
        # all widths have their names now
        given = [
            *self.widths.values,
            *(buffer.name for buffer in order),
            *(s.name for s in self.plan.sums),
            *(f"{buffer.name}_stride" for buffer in self.plan.read.values()),
            *(
                f"{m.name}_{part}"
                for m in multiplied(self.plan)
                for part in ("from", "down", "along")
            ),
            *(
                f"{b.name}_{part}"
                for b in collected(self.plan)
                for part in ("batch", "batch_stride")
            ),
            *(f"{b.name}_batch" for b in spread(self.plan).values()),
        ]
        addresses = [f"{name} = arguments[{FIRST + i}]" for i, name in enumerate(given)]
        return _HEAD.format(
            real=self.plan.dtype.name,
            bits=8 * self.size,
            functions=", ".join(functions),
            addresses=indent("\n".join(addresses), " " * 4),
            **{name: indent("\n".join(lines), " " * by) for name, (lines, by) in parts.items()},
        )

    # memory

    def stride(self, buffer: Buffer) -> str:
        """Return the distance of the rows of a buffer in elements. What is read may be a part of rows."""
        return f"{buffer.name}_stride" if buffer.kind == "read" else self.widths.of(buffer)

    def row_bytes(self, buffer: Buffer) -> str:
        """Return the distance of the rows of a buffer in bytes."""
        return f"{self.stride(buffer)} * {self.size}"

    def packs(self) -> list[str]:
        """Return lines that pack all matrices."""
        calls = map(self.pack, multiplied(self.plan).values())
        lines = [f"    {line}" for line in (*calls, "barrier(meeting, threads)")]
        return ["if packing:", *lines] if len(lines) > 1 else []

    def pack(self, p: Product) -> str:
        """Return the call that packs the matrix of a product."""
        name = p.matrix.name
        return (
            f"pack(real, thread, threads, {self.parts(p)}, shares, {self.widths.inner(p)}, "
            f"{self.widths.of(p.matrix)}, {name}_from, {name}_down, {name}_along, {name})"
        )

    def parts(self, p: Product) -> str:
        """Return into how many parts the columns of a product fall if threads share them."""
        parts = 1 if self.plan.columns is None else self.plan.columns.parts(p)
        return f"{parts} if shares > 1 else 1"

    def bounds(self) -> list[str]:
        """Return lines that set where the thread's columns of each width begin and end, in bytes."""
        sweeps = (s for phase in self.plan.phases for s in phase.sweeps.values())
        buffers = (*self.plan.states, *self.plan.stored.values())
        widths = [*map(self.widths.of_sweep, sweeps), *map(self.widths.of, buffers)]
        lines = []
        for width in dict.fromkeys(widths):
            for name, share in (("from", "first_share"), ("to", "last_share")):
                start = f"share_start(real, {width}, {share}, shares)"
                lines.append(f"{name}_{width} = {start} * {self.size}")
        return lines

    def in_chunk(self, products: Sequence[Product]) -> list[str]:
        """Return lines that compute products for the block's rows of all steps of a chunk."""
        starts = {
            "read": "low_at",
            "stored": "low_at",
            "passing": "low_at - early",
            "ahead": "begin",
        }
        lines = [
            f"{buffer.name}_chunk = {buffer.name} + ({starts[buffer.kind]}) * {self.row_bytes(buffer)}"
            for buffer in _buffers(products)
            if buffer.kind in starts
        ]
        return [*lines, *(self.product(p, "chunk") for p in products)]

    def collected(self) -> list[str]:
        """Return lines that copy what is read in a chunk to where the loop has it."""
        return [
            f"collect(low, high + 1, table, rows, order, present, {b.name}_batch, "
            f"{b.name}_batch_stride * {self.size}, {b.name}, {self.row_bytes(b)})"
            for b in collected(self.plan)
        ]

    def spread(self) -> list[str]:
        """Return lines that copy what a chunk has made to where it is in the batch."""
        lines = [
            f"spread(low, high + 1, table, end, rows, order, {b.name}, {self.row_bytes(b)}, "
            f"{b.name}_batch)"
            for b in spread(self.plan).values()
        ]
        following = "load_integer(table + (1 + 2 * steps) * 8) if block + 1 < blocks else rows"
        return [f"end = {following}", *lines] if lines else []

    def sums(self) -> list[str]:
        """Return lines that take the sums over the rows of a chunk, or of all of them at the end."""
        if not self.plan.sums:
            return []
        # the next chunk lies where this one does
        lines = [
            "barrier(meeting, threads)",
            *map(self.sum, self.plan.sums),
            "barrier(meeting, threads)",
        ]
        return ["if whole or last == steps - 1:", *(f"    {line}" for line in lines)]

    def sum(self, s: PlacedSum) -> str:
        """Return the call of a sum over the rows of a chunk."""
        more = "1 if whole and first > 0 else 0"
        right = "0, 0, 1"
        if s.right is not None:
            right = f"{self.rows_of(s.right)}, {self.widths.of(s.right)}"
        return (
            f"gradient(real, thread, threads, count, {self.rows_of(s.left)}, "
            f"{self.widths.of(s.left)}, {right}, {s.name}, {more}, own)"
        )

    def rows_of(self, buffer: Buffer) -> str:
        """Return the address of a chunk's first row, and the distance of its rows."""
        first = "" if buffer.kind == "passing" else f" + early * {self.row_bytes(buffer)}"
        return f"{buffer.name}{first}, {self.stride(buffer)}"

    def pointers(self) -> list[str]:
        """Return lines that set the address of the block's first row in each buffer."""
        before, behind = ("at + (rows if reverse else 0)", "at + (0 if reverse else rows)")
        rows = {
            "read": {"row": "at"},
            "stored": {"row": "at"},
            "scratch": {"row": "begin"},
            "passing": {"row": "at - early"},
            "ahead": {"row": "(t - low) * rows + begin"},
            "history": {"row": before, "next_row": behind},
            "state": {
                "row": "now * rows + begin",
                "next_row": "later * rows + begin",
                "parked_row": "2 * rows + begin",
                "first_row": "3 * rows + begin",
            },
        }
        return [
            f"{buffer.name}_{name} = {buffer.name} + ({start}) * {self.row_bytes(buffer)}"
            for buffer in argument_order(self.plan)
            for name, start in rows.get(buffer.kind, {}).items()
        ]

    def base(self, place: Place, row: str = "row") -> str:
        """Return the address of a place in the block's first row."""
        name = place.buffer.name
        if place.buffer.kind != "vector":
            name += f"_next_{row}" if place.next else f"_{row}"
        return f"{name} + {self.widths.offset(place)} * {self.size}" if place.offset else name

    # products

    def product(self, p: Product, row: str = "row") -> str:
        """Return the call of a product: for a step, or for the block's rows of a ``chunk``."""
        start, start_stride = "0", "0"
        if p.start is not None:
            start = self.base(p.start, row)
            if p.start.buffer.kind != "vector":
                start_stride = self.stride(p.start.buffer)
        inner, width = self.widths.inner(p), self.widths.of(p.matrix)
        groups = "1, 0, 0, 0, 0, n"
        if row == "chunk":
            places = (p.source, p.start or p.target, p.target)
            # what is ahead is so for each thread, and the threads are not in the same chunk
            steps = ("rows" if q.buffer.kind == "ahead" else "group_step" for q in places)
            groups = f"groups, {', '.join(steps)}, group_table, group_rows"
        source, target = self.stride(p.source.buffer), self.stride(p.target.buffer)
        return (
            f"product(real, first_share, last_share, shares, {self.parts(p)}, "
            f"{groups}, "
            f"{self.base(p.source, row)}, {source}, "
            f"{p.matrix.name}, {inner}, {width}, {start}, {start_stride}, "
            f"{self.base(p.target, row)}, {target})"
        )

    # the states of sequences that begin and end, and of absent and fresh rows

    def entered(self) -> list[str]:
        """Return what happens before a step: some sequences begin."""
        blocks = []
        if self.carried_states:
            blocks.append(self.moved("active", "n", "parked_row", "row"))
            if self.plan.broken:
                copies = self.copies("first_row", "row")
                blocks.append(self.where("fresh != 0 and not backward", "fresh", "!=", copies))
        return blocks

    def left(self) -> list[str]:
        """Return what happens behind a step: absent rows are as before it, and some sequences end."""
        blocks = []
        if self.plan.broken:
            carried = self.copies("row", "next_row")
            for buffer in self.plan.stored.values():
                carried += self.columns(buffer, _zeros(self.current(buffer, "row")))
            blocks.append(self.where("present != 0", "present", "==", carried))
            blocks.append(self.where("fresh != 0 and backward", "fresh", "!=", self.released()))
        if self.carried_states:
            blocks.append(self.moved("remaining", "n", "next_row", "parked_row"))
        return blocks

    def released(self) -> list[str]:
        """Return lines that hand the cotangents of a fresh row to the initial states."""
        lines = []
        for buffer in self.carried_states:
            later, first = (self.current(buffer, part) for part in ("next_row", "first_row"))
            lines += self.columns(buffer, _sum(first, later))
            lines += self.columns(buffer, _zeros(later))
        return lines

    def moved(self, first: str, last: str, source: str, target: str) -> str:
        """Return a loop that moves the states of some sequences between parts of the buffers."""
        lines = [f"    {line}" for line in self.copies(source, target)]
        return "\n".join([f"for row in range({first}, {last}):", *lines])

    def copies(self, source: str, target: str) -> list[str]:
        """Return lines that copy one part of each carried state to another, in the current row."""
        lines = []
        for buffer in self.carried_states:
            copy = _copy(self.current(buffer, source), self.current(buffer, target))
            lines += self.columns(buffer, copy)
        return lines

    def current(self, buffer: Buffer, part: str) -> str:
        """Return the address of the current row in a part of a buffer."""
        return f"{buffer.name}_{part} + row * {self.row_bytes(buffer)}"

    def where(self, condition: str, flags: str, comparison: str, lines: list[str]) -> str:
        """Return a loop that, under a condition, runs ``lines`` for rows whose flag is zero or not."""
        test = f"load_integer({flags} + (at + row) * 8) {comparison} 0"
        head = [f"if {condition}:", "    for row in range(n):", f"        if {test}:"]
        return "\n".join([*head, *(f"            {line}" for line in lines)])

    def head(self, width: str, masked: bool) -> list[str]:
        """Return the head of a loop over the thread's columns of a width."""
        step = self.lanes * self.size
        lines = [f"for column in range(from_{width}, to_{width}, {step}):"]
        if masked:
            lines.append(f"    mask = first_lanes({width} - column // {self.size})")
        return lines

    def columns(self, buffer: Buffer, make: Store) -> list[str]:
        """Return lines that store vectors in the thread's columns of the current row of a buffer."""
        masked = buffer.width % self.lanes != 0
        at, value = make("column", "load_masked({}, mask)".format if masked else "load({})".format)
        end = f"store_masked({at}, {value}, mask)" if masked else f"store({at}, {value})"
        return [*self.head(self.widths.of(buffer), masked), f"    {end}"]

    # sweeps

    def sweep(self, sweep: Sweep) -> str:
        """Return the loop over rows and columns."""
        masked = sweep.width % self.lanes != 0
        code = lowered(sweep)
        names = code.names
        lines = []
        for var, place in code.for_rows.items():
            value = f"splat(load_one({self.address(place, None)}))"
            lines.append(f"{names[var]} = {self.truth(var, value)}")
        for i, (node, _) in enumerate(sweep.reductions):
            start, _ = _REDUCTIONS[node.op.name]
            lines.append(f"total{i} = splat({start})")
        body = []
        for var, place in code.for_columns.items():
            at = self.address(place, "column")
            value = f"load_masked({at}, mask)" if masked else f"load({at})"
            body.append(f"{names[var]} = {self.truth(var, value)}")
        body += [self.line(call) for call in code.calls]
        for i, (node, _) in enumerate(sweep.reductions):
            body.append(self.accumulated(i, node.op.name, names[node.inputs[0]], masked))
        for value, place in sweep.stores:
            body.append(self.stored(value, names, self.address(place, "column"), masked))
        lines += self.head(self.widths.of_sweep(sweep), masked)
        lines += [f"    {line}" for line in body]
        for i, (node, place) in enumerate(sweep.reductions):
            _, sign = _REDUCTIONS[node.op.name]
            total = "sum_lanes" if node.op.name == "sum" else "max_lanes"
            lines.append(f"store({self.address(place, None)}, {sign}{total}(total{i}))")
        head = ["for row in range(n):"]
        if self.plan.broken:
            absent = "present != 0 and load_integer(present + (at + row) * 8) == 0"
            head += [f"    if {absent}:", "        continue"]
        return "\n".join([*head, *(f"    {line}" for line in lines)])

    def address(self, place: Place, column: str | None) -> str:
        """Return the address of the column in the current row."""
        parts = [self.base(place)]
        if place.buffer.kind != "vector":
            parts.append(f"row * {self.row_bytes(place.buffer)}")
        if column is not None:
            parts.append(column)
        return " + ".join(parts)

    @staticmethod
    def truth(var: Var, value: str) -> str:
        """Return a value as it is computed with; truth values lie in memory as numbers."""
        return f"{value} != 0.0" if var.dtype == bool_ else value

    def accumulated(self, index: int, kind: str, name: str, masked: bool) -> str:
        """Return the line that takes one vector into a total."""
        start, sign = _REDUCTIONS[kind]
        value = f"where(mask, {sign}{name}, {start})" if masked else f"{sign}{name}"
        total = f"total{index}"
        joined = f"{total} + {value}" if kind == "sum" else f"maximum({total}, {value})"
        return f"{total} = {joined}"

    def stored(self, value: Any, names: Mapping[Var, str], at: str, masked: bool) -> str:
        """Return the line that stores a value."""
        if isinstance(value, Var):
            name = names[value]
            name = f"where({name}, splat(1.0), 0.0)" if value.dtype == bool_ else name
        else:
            name = f"splat({float(value)})"
        return f"store_masked({at}, {name}, mask)" if masked else f"store({at}, {name})"

    def line(self, call: Call) -> str:
        """Return the line of one call."""
        arguments = [
            a if isinstance(a, str) else number(a, infinity="inf", nan="nan")
            for a in call.arguments
        ]
        values = arguments[1:] if call.function == "where" else arguments
        if all(not isinstance(a, str) for a in call.arguments[-len(values) :]):
            arguments[-1] = f"splat({arguments[-1]})"  # two numbers make no vector
        if call.function in _INFIX:
            left, right = arguments
            return f"{call.result} = {left} {_INFIX[call.function]} {right}"
        if call.function == "negative":
            return f"{call.result} = -{arguments[0]}"
        if call.function == "logical_not":
            return f"{call.result} = ~{arguments[0]}"
        return f"{call.result} = {call.function}({', '.join(arguments)})"


def _buffers(products: Iterable[Product]) -> list[Buffer]:
    """Return the buffers that products read and write, in order."""
    places = (place for p in products for place in (p.source, p.target, p.start))
    return list(dict.fromkeys(place.buffer for place in places if place is not None))


def _zeros(target: str) -> Store:
    return lambda column, load: (f"{target} + {column}", "splat(0.0)")


def _copy(source: str, target: str) -> Store:
    return lambda column, load: (f"{target} + {column}", load(f"{source} + {column}"))


def _sum(target: str, other: str) -> Store:
    """Return what adds ``other`` to ``target``."""

    def store(column: str, load: Callable[[str], str]) -> tuple[str, str]:
        at = f"{target} + {column}"
        return at, f"{load(at)} + {load(f'{other} + {column}')}"

    return store
