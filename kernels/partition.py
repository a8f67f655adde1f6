"""Divide the nodes of a graph by what they depend on: what varies from step to step, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
