"""Divide the nodes of a graph by what they depend on, and leave out what nothing depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minigrad.graph import Node, Var


def partition(nodes: Sequence[Node], varying: Iterable[Var]) -> tuple[list[Node], list[Node]]:
    """Split nodes into those that do not depend on ``varying`` variables, and those that do."""
    tainted = set(varying)
    once, each = [], []
    for node in nodes:
        if any(isinstance(i, Var) and i in tainted for i in node.inputs):
            tainted.update(node.outputs)
            each.append(node)
        else:
            once.append(node)
    return once, each


def live_nodes(nodes: Sequence[Node], roots: Iterable[Any]) -> tuple[Node, ...]:
    """Return the nodes that ``roots`` depend on, in order."""
    needed = {root for root in roots if isinstance(root, Var)}
    kept = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            kept.append(node)
            needed.update(i for i in node.inputs if isinstance(i, Var))
    return tuple(reversed(kept))
