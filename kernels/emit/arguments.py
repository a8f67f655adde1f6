"""What a compiled loop gets: integers, in one order for its text and for those who call it."""

from __future__ import annotations

from typing import Any

from minigrad.graph import Var
from minigrad.kernels.plan.ir import Buffer, LoopPlan, Product

NUMBERS = (
    "steps",  # T
    "rows",  # N
    "reverse",  # whether time runs backwards
    "backward",  # whether this is a backward pass
    "blocks",  # of rows: they are divided between the threads, or, if there are several,
    "shares",  # of columns, those of the only block
    "tables",  # address of those of the blocks of a `minigrad.kernels.runtime.layout.Layout`
    "portions",  # how many it has
    "portion_tables",  # address of theirs
    "bounds",  # address of those of chunks, for each portion
    "region",  # how many rows each thread has of what is passing, ahead or leaving
    "apart",  # whether each block is a portion, and takes the sums over its rows by itself
    "present",  # address of its flags of present rows, or 0
    "fresh",  # and of those of fresh ones
    "meeting",  # address of a barrier
    "scratch",  # address of scratch memory for sums
    "scratch_bytes",  # how much of it a thread has
    "packing",  # whether matrices are to be packed
    "order",  # address of that of the layout
)


def slots(plan: LoopPlan) -> dict[Any, str]:
    """Return the names of what comes behind numbers and widths, in order.

    There are addresses of buffers, and of the results of sums, known by these; strides of rows, in
    elements, of what is read, by ``("stride", buffer)``; where a matrix is, and its two strides, by
    ``("from", buffer)``, ``("down", buffer)`` and ``("along", buffer)``. If the plan is broken, there are
    also, for what is read, where it is in the batch, by ``("batch", buffer)``, and its stride there, by
    ``("batch_stride", buffer)``; where what is spread goes to, by ``("batch", buffer)``; and memory for
    the parts of a sum, one for each portion, by ``("parts", sum)``.
    """
    named: dict[Any, str] = {b: b.name for b in addressed(plan)}
    named.update((s, s.name) for s in plan.sums)
    more: list[tuple[str, Any]] = [
        *(("stride", b) for b in plan.read.values()),
        *((part, b) for b in multiplied(plan) for part in ("from", "down", "along")),
        *((part, b) for b in collected(plan) for part in ("batch", "batch_stride")),
        *(("batch", b) for b in spread(plan).values()),
        *(("parts", s) for s in plan.sums if plan.broken),
    ]
    named.update(((part, b), f"{b.name}_{part}") for part, b in more)
    if len(set(named.values())) < len(named):  # the text would take two things for one
        raise ValueError(f"names of a loop mean several things: {sorted(named.values())}")
    return named


def addressed(plan: LoopPlan) -> tuple[Buffer, ...]:
    """Return the buffers that a loop gets the addresses of."""
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
