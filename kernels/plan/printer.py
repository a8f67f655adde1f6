"""Plans as text for people: pages and tests show it, nothing runs it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from minigrad.graph import Var
from minigrad.kernels.plan.ir import Buffer, Columns, LoopPlan, Place, PlacedSum, Product, Sweep

_PASSING = " passing"


def describe(plan: LoopPlan) -> str:
    """Return the text form of a plan: its buffers, then what a step does, line by line.

    Behind the name of a buffer stands its width, behind that of a place the columns ``[from:to]``, if
    they are not all of them. ``next state0`` is the state after the step.

    Parameters
    ----------
    plan : LoopPlan
    """
    lines = [
        *_buffers("read", ((f" = {var.name}", b) for var, b in plan.read.items())),
        *_buffers("fixed", ((f" = {var.name}", b) for var, b in plan.fixed.items())),
        *_buffers("state", ((" history" * (b.kind == "history"), b) for b in plan.states)),
        *_buffers(
            "stored",
            (
                (f" = {var.name}{_PASSING * (b.kind == 'passing')}", b)
                for var, b in plan.stored.items()
            ),
        ),
        *_buffers("scratch", ((" ahead" * (b.kind == "ahead"), b) for b in plan.scratch)),
    ]
    for number, phase in enumerate(plan.phases):
        lines.append(f"phase {number}")
        lines += [f"  {_product(product)}" for product in phase.products]
        for sweep in phase.sweeps.values():
            lines += [f"  sweep of width {sweep.width}", *(f"    {line}" for line in _sweep(sweep))]
    lines += [f"{s.name}[{s.outer}, {s.inner}] = {_sum(s)}, {s.result.name}" for s in plan.sums]
    if plan.columns is not None:
        lines.append(_columns(plan.columns))
    if plan.broken:
        lines.append("rows may be absent or begin anew")
    return "\n".join(lines)


def place_text(place: Place, width: int) -> str:
    """Return the text form of columns of a buffer.

    Parameters
    ----------
    place : Place
    width : int
        How many columns.
    """
    name = f"next {place.buffer.name}" if place.next else place.buffer.name
    if (place.offset, width) == (0, place.buffer.width):
        return name
    return f"{name}[{place.offset}:{place.offset + width}]"


def numbered(texts: Iterable[str]) -> list[str]:
    """Return texts in which unnamed variables are called v0, v1, ... in the order they appear in.

    Their own names count all variables of a process, so that they differ from run to run. A variable
    that is in several of the texts has one name in all of them.

    Parameters
    ----------
    texts : iterable of str
        Of graphs, nodes and plans.
    """
    known: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        return known.setdefault(match.group(), f"v{len(known)}")

    return [re.sub(r"(?<![^\W_])v\d+\b", renamed, text) for text in texts]


def _buffers(kind: str, buffers: Iterable[tuple[str, Buffer]]) -> list[str]:
    shown = ", ".join(f"{b.name}[{b.width}]{remark}" for remark, b in buffers)
    return [f"{kind:<8}{shown}"] if shown else []


def _columns(columns: Columns) -> str:
    where = [
        f"the products of phase {n}" if n >= 0 else "the step" for n in sorted(columns.meetings)
    ]
    meet = f"; they meet before {' and '.join(where)}" if where else ""
    return f"threads can share {columns.width} columns{meet}"


def _product(p: Product) -> str:
    start = "" if p.start is None else f"{place_text(p.start, p.width)} + "
    text = f"{place_text(p.target, p.width)} = {start}{place_text(p.source, p.inner)} @ {p.matrix.name}"
    return f"{text}, ahead" if p.ahead else text


def _sum(s: PlacedSum) -> str:
    return f"transposed({s.left.name}) @ {'1' if s.right is None else s.right.name}"


def _sweep(sweep: Sweep) -> Sequence[str]:
    lines = [
        f"{var.name} = {place_text(place, var.shape[-1] if var.shape else 1)}"
        for var, place in sweep.loads.items()
    ]
    lines += map(repr, sweep.nodes)
    lines += [f"{place_text(place, sweep.width)} = {_name(value)}" for value, place in sweep.stores]
    lines += [
        f"{place_text(place, 1)} = {node.op.name}({_name(node.inputs[0])})"
        for node, place in sweep.reductions
    ]
    return lines


def _name(value: Any) -> str:
    return value.name if isinstance(value, Var) else repr(value)
