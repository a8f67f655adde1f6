"""Passes that make a graph smaller without changing what it computes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minigrad.graph import Node, Var


def live_nodes(nodes: Sequence[Node], roots: Iterable[Any]) -> tuple[Node, ...]:
    """Return the nodes that ``roots`` depend on, in order."""
    needed = {root for root in roots if isinstance(root, Var)}
    kept = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            kept.append(node)
            needed.update(i for i in node.inputs if isinstance(i, Var))
    return tuple(reversed(kept))
