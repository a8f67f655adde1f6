"""A plan as Python text for Numba: one function that runs the whole loop for some rows of the batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import indent

from minigrad.kernels.emit.addresses import Addresses
from minigrad.kernels.emit.arguments import NUMBERS, collected, multiplied, slots, spread
from minigrad.kernels.emit.numba_rows import RowWriter
from minigrad.kernels.emit.numba_sweep import CALLED, SweepWriter
from minigrad.kernels.plan.ir import Buffer, LoopPlan, PlacedSum, Product

_HEAD = """\
from math import inf, nan

from numba import cfunc
from numpy import {real} as real

from minigrad.kernels.cpu.gemm.pack import share_start, shared_pack as pack
from minigrad.kernels.cpu.gemm.partial_sums import add_parts
from minigrad.kernels.cpu.gemm.product import shared_product as product
from minigrad.kernels.cpu.gemm.weight_gradients import shared_gradient as gradient
from minigrad.kernels.cpu.linked import provide
from minigrad.kernels.cpu.ragged.gather_scatter import collect, spread
from minigrad.kernels.cpu.simd.vector import (
    first{bits} as first_lanes, load{bits} as load, load{bits}_masked as load_masked,
    load_integer, load_one{bits} as load_one,
    max_lanes, splat{bits} as splat, store, store_masked, sum_lanes, where,
)
from minigrad.kernels.cpu.simd.vector_math import (
    {functions},
)
from minigrad.kernels.cpu.threads.barrier import barrier

provide(real)
"""

_FUNCTION = """\
@cfunc("void(int64, int64, CPointer(int64))", cache=True, error_model="numpy", no_rewrites=True)
def loop(thread, threads, arguments):
    {arguments}
    own = scratch + thread * scratch_bytes
    {packs}
    first_share, last_share = 0, 1
    {loop}
"""

# All blocks go through a chunk together, and so do all threads.
_WHOLE = """\
first_block, next_block = thread, threads
if shares > 1:
    first_share, last_share = shares * thread // threads, shares * (thread + 1) // threads
    first_block, next_block = 0, 1
{columns}
chunks_at, chunks = bounds, load_integer(bounds)
for chunk in range(chunks):
    {chunk}
    early = passed = low * rows
    for block in range(first_block, blocks, next_block):
        table = tables + block * (1 + 2 * steps) * 8
        begin = load_integer(table)
        low_at, low_n = load_integer(table + low * 16 + 8), load_integer(table + low * 16 + 16)
        groups, group_rows = (1, low_n * (high + 1 - low)) if blocks == 1 else (high + 1 - low, low_n)
        group_step, group_table = rows, 0
        {block}
    {together}
"""

# Each block goes through time at its own pace, and has its own part of the memory for a chunk.
_BROKEN = """\
{columns}
passed = 0
for block in range(thread, blocks, threads):
    table = tables + block * (1 + 2 * steps) * 8
    begin = load_integer(table)
    chunks_at = bounds + block * portions // blocks * (2 + steps) * 8
    chunks = load_integer(chunks_at)
    for chunk in range(chunks):
        {chunk}
        low_at, low_n = load_integer(table + low * 16 + 8), load_integer(table + low * 16 + 16)
        groups, group_rows, group_step = high + 1 - low, low_n, 0
        group_table = table + low * 16 + 8
        early = low_at - thread * region
        passed = early if apart else 0
        {block}
        {apart}
{later}
"""

_CHUNK = (
    "bound = chunks_at + (chunks - chunk if reverse else 1 + chunk) * 8",
    "low, high = load_integer(bound), load_integer(bound + 8) - 1",
)

_BLOCK = """\
first, last = (steps - 1 - high, steps - 1 - low) if reverse else (low, high)
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
"""

_LATER = """\
barrier(meeting, threads)
if not apart:
    for portion in range(portions):
        table = portion_tables + portion * (1 + 2 * steps) * 8
        chunks_at = bounds + portion * (2 + steps) * 8
        chunks = load_integer(chunks_at)
        for chunk in range(chunks):
            {chunk}
            low_at = load_integer(table + low * 16 + 8)
            {sums}
    barrier(meeting, threads)
{totals}
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
    Then all threads take the sums over the rows of the chunk, while they are in the caches. If sequences
    are broken, the threads are not ready with a chunk at the same time. Then each takes the sums over the
    rows of its own portions; if it has parts of portions only, the sums wait until the loop ends.

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
        meetings = self.plan.columns.meetings if self.plan.columns else ()
        if -1 in meetings:
            body.append(f"if shares > 1:\n    {meeting}")
        for index, phase in enumerate(self.plan.phases):
            if index in meetings:
                body.append(f"if shares > 1:\n    {meeting}")
            body += [self.product(p) for p in phase.products if not p.ahead and not p.behind]
            body += [self.sweeps.sweep(s) for s in phase.sweeps.values()]
        body += self.rows.left()
        plain = not self.plan.broken
        behind = [p for p in products if p.behind]
        # for the columns of others
        waiting = [f"if shares > 1:\n    {meeting}"] if behind and plain else []
        packs, columns = self.packs(), self.bounds()
        block = _filled(
            _BLOCK,
            collected=self.collected(),
            ahead=self.in_chunk(ahead),
            pointers=self.addresses.pointers(),
            body=body,
            behind=[*waiting, *self.in_chunk(behind)],
            spread=self.spread(),
        )
        if plain:
            sums, template = {"together": self.together()}, _WHOLE
        else:
            sums, template = {"apart": self.apart(), "later": self.later()}, _BROKEN
        loop = _filled(template, columns=columns, chunk=_CHUNK, block=block, **sums)
        # all widths have their names now
        names = *NUMBERS, *self.widths.values, *slots(self.plan).values()
        arguments = [f"{name} = arguments[{i}]" for i, name in enumerate(names)]
        head = _HEAD.format(
            real=self.plan.dtype.name, bits=8 * self.size, functions=", ".join(CALLED)
        )
        function = _filled(_FUNCTION, arguments=arguments, packs=packs, loop=loop)
        return "\n".join([head, *function, ""])

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
        return "1" if parts == 1 else f"{parts} if shares > 1 else 1"

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
            "passing": "low_at - passed",
            "ahead": "low_at - early",
        }
        lines = []
        for buffer in _buffers(products):
            if buffer.kind in starts:
                first = f"({starts[buffer.kind]}) * {self.addresses.row_bytes(buffer)}"
                lines.append(f"{buffer.name}_chunk = {self.addresses.first(buffer)} + {first}")
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
            f"spread(low, high + 1, table, end, rows, order, {self.addresses.first(b)}, "
            f"{self.addresses.row_bytes(b)}, {b.name}_batch)"
            for b in spread(self.plan).values()
        ]
        following = "load_integer(table + (1 + 2 * steps) * 8) if block + 1 < blocks else rows"
        return [f"end = {following}", *lines] if lines else []

    def together(self) -> list[str]:
        """Return lines that take the sums over the rows of a chunk, together."""
        if not self.plan.sums:
            return []
        count, more = "(high + 1 - low) * rows", "1 if chunk > 0 else 0"
        # the next chunk lies where this one does
        return [
            "barrier(meeting, threads)",
            *(self.sum(s, "thread, threads", count, "early", s.name, more) for s in self.plan.sums),
            "barrier(meeting, threads)",
        ]

    def apart(self) -> list[str]:
        """Return lines that take the sums over the rows of a chunk of a block that is a portion."""
        lines = self.of_portion("0, 1", "block")
        return ["if apart:", *(f"    {line}" for line in lines)] if lines else []

    def later(self) -> list[str]:
        """Return lines that take the sums of portions behind the loop, and add up what was taken."""
        of_portion = self.of_portion("thread, threads", "portion")
        if not of_portion:
            return []
        totals = [
            f"add_parts(real, thread, threads, portions, {self.elements(s)}, {s.name}_parts, {s.name})"
            for s in self.plan.sums
        ]
        return _filled(_LATER, chunk=_CHUNK, sums=of_portion, totals=totals)

    def of_portion(self, threads: str, portion: str) -> list[str]:
        """Return lines that take sums over the rows of a portion in a chunk; ``table`` is its table."""
        if not self.plan.sums:
            return []
        end = "load_integer(table + high * 16 + 8) + load_integer(table + high * 16 + 16)"
        lines = [f"count = {end} - low_at"]
        for s in self.plan.sums:
            part = f"{s.name}_parts + {portion} * {self.elements(s)} * {self.size}"
            lines.append(self.sum(s, threads, "count", "low_at", part, "1 if chunk > 0 else 0"))
        return lines

    def sum(self, s: PlacedSum, threads: str, count: str, first: str, out: str, more: str) -> str:
        """Return the call of a sum over so many rows from ``first`` on."""
        right = "0, 0, 1"
        if s.right is not None:
            right = f"{self.addresses.rows_of(s.right, first)}, {self.widths.of(s.right)}"
        return (
            f"gradient(real, {threads}, {count}, {self.addresses.rows_of(s.left, first)}, "
            f"{self.widths.of(s.left)}, {right}, {out}, {more}, own)"
        )

    def elements(self, s: PlacedSum) -> str:
        """Return how many numbers a sum consists of."""
        columns = self.widths.of(s.left)
        return columns if s.right is None else f"{columns} * {self.widths.of(s.right)}"

    # products

    def product(self, p: Product, row: str = "row") -> str:
        """Return the call of a product: for a step, or for the block's rows of a ``chunk``."""
        start, start_stride = "0", "0"
        if p.start is not None:
            start = self.addresses.base(p.start, row)
            if p.start.buffer.kind != "vector":
                start_stride = self.addresses.stride(p.start.buffer)
        inner, width = self.widths.inner(p), self.widths.of(p.matrix)
        groups = "groups, group_step, group_table, group_rows" if row == "chunk" else "1, 0, 0, n"
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


def _filled(template: str, **parts: Sequence[str]) -> list[str]:
    """Return the lines of a template, with parts in the places of their names."""
    lines = []
    for line in template.splitlines():
        name = line.strip()
        if name.startswith("{"):
            indentation = line[: -len(name)]
            part = "\n".join(parts[name[1:-1]])
            lines += indent(part, indentation).splitlines()
        else:
            lines.append(line)
    return lines
