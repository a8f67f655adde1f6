"""A plan as Python text for Numba: one function that runs the whole loop for some rows of the batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import indent

from minigrad.kernels.emit.addresses import Addresses
from minigrad.kernels.emit.arguments import NUMBERS, collected, multiplied, slots, spread
from minigrad.kernels.emit.numba_rows import RowWriter
from minigrad.kernels.emit.numba_sweep import CALLED, SweepWriter
from minigrad.kernels.plan import Buffer, LoopPlan, PlacedSum, Product

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
{arguments}
    own = scratch + thread * scratch_bytes
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


@dataclass(frozen=True)
class NumbaSource:
    """Text, and the widths and offsets that it gets as arguments, in elements: it fits all widths."""

    text: str
    widths: tuple[int, ...]


def numba_source(plan: LoopPlan, lanes: int) -> NumbaSource:
    """Return a module with a function ``loop(thread, threads, arguments)``.

    Its arguments are the `NUMBERS` of `minigrad.kernels.emit.arguments`, the widths, and the `slots`.

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
        self.addresses = Addresses(plan)
        self.widths, self.size = self.addresses.widths, self.addresses.size
        self.sweeps = SweepWriter(self.addresses, lanes)
        self.rows = RowWriter(self.sweeps)

    def text(self) -> str:
        """Return the whole module."""
        body, meeting = self.rows.entered(), "barrier(meeting, threads)"
        products = [p for phase in self.plan.phases for p in phase.products]
        ahead = [p for p in products if p.ahead]
        columns = self.plan.columns
        if columns is not None and -1 in columns.meetings:
            body.append(f"if shares > 1:\n    {meeting}")
        for index, phase in enumerate(self.plan.phases):
            if columns is not None and index in columns.meetings:
                body.append(f"if shares > 1:\n    {meeting}")
            body += [self.product(p) for p in phase.products if not p.ahead and not p.behind]
            body += [self.sweeps.sweep(s) for s in phase.sweeps.values()]
        body += self.rows.left()
        behind = [p for p in products if p.behind]
        waiting = [f"if shares > 1:\n    {meeting}"] if behind else []  # for the columns of others
        parts = {
            "packs": (self.packs(), 4),
            "columns": (self.bounds(), 4),
            "collected": (self.collected(), 12),
            "ahead": (self.in_chunk(ahead), 12),
            "pointers": (self.addresses.pointers(), 16),
            "body": (body, 16),
            "behind": ([*waiting, *self.in_chunk(behind)], 12),
            "spread": (self.spread(), 12),
            "sums": (self.sums(), 8),
        }
        # all widths have their names now
        names = *NUMBERS, *self.widths.values, *slots(self.plan).values()
        arguments = [f"{name} = arguments[{i}]" for i, name in enumerate(names)]
        return _HEAD.format(
            real=self.plan.dtype.name,
            bits=8 * self.size,
            functions=", ".join(CALLED),
            arguments=indent("\n".join(arguments), " " * 4),
            **{name: indent("\n".join(lines), " " * by) for name, (lines, by) in parts.items()},
        )

    # matrices

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
        lines = []
        for buffer in _buffers(products):
            if buffer.kind in starts:
                first = f"({starts[buffer.kind]}) * {self.addresses.row_bytes(buffer)}"
                lines.append(f"{buffer.name}_chunk = {buffer.name} + {first}")
        return [*lines, *(self.product(p, "chunk") for p in products)]

    def collected(self) -> list[str]:
        """Return lines that copy what is read in a chunk to where the loop has it."""
        return [
            f"collect(low, high + 1, table, rows, order, present, {b.name}_batch, "
            f"{b.name}_batch_stride * {self.size}, {b.name}, {self.addresses.row_bytes(b)})"
            for b in collected(self.plan)
        ]

    def spread(self) -> list[str]:
        """Return lines that copy what a chunk has made to where it is in the batch."""
        lines = [
            f"spread(low, high + 1, table, end, rows, order, {b.name}, {self.addresses.row_bytes(b)}, "
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
            right = f"{self.addresses.rows_of(s.right)}, {self.widths.of(s.right)}"
        return (
            f"gradient(real, thread, threads, count, {self.addresses.rows_of(s.left)}, "
            f"{self.widths.of(s.left)}, {right}, {s.name}, {more}, own)"
        )

    # products

    def product(self, p: Product, row: str = "row") -> str:
        """Return the call of a product: for a step, or for the block's rows of a ``chunk``."""
        start, start_stride = "0", "0"
        if p.start is not None:
            start = self.addresses.base(p.start, row)
            if p.start.buffer.kind != "vector":
                start_stride = self.addresses.stride(p.start.buffer)
        inner, width = self.widths.inner(p), self.widths.of(p.matrix)
        groups = "1, 0, 0, 0, 0, n"
        if row == "chunk":
            places = (p.source, p.start or p.target, p.target)
            # what is ahead is so for each thread, and the threads are not in the same chunk
            steps = ("rows" if q.buffer.kind == "ahead" else "group_step" for q in places)
            groups = f"groups, {', '.join(steps)}, group_table, group_rows"
        source, target = (
            self.addresses.stride(p.source.buffer),
            self.addresses.stride(p.target.buffer),
        )
        return (
            f"product(real, first_share, last_share, shares, {self.parts(p)}, "
            f"{groups}, "
            f"{self.addresses.base(p.source, row)}, {source}, "
            f"{p.matrix.name}, {inner}, {width}, {start}, {start_stride}, "
            f"{self.addresses.base(p.target, row)}, {target})"
        )


def _buffers(products: Iterable[Product]) -> list[Buffer]:
    """Return the buffers that products read and write, in order."""
    places = (place for p in products for place in (p.source, p.target, p.start))
    return list(dict.fromkeys(place.buffer for place in places if place is not None))
