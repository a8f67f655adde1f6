"""Run a graph on arrays, one node after the other. This is the definition of what a graph means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.graph import Graph, Node, Var
from minigrad.promotion import promoted


def run(nodes: Sequence[Node], values: dict[Var, Any], m: Any) -> dict[Var, Any]:
    """Add the outputs of ``nodes`` to ``values``, which holds what they read, and return it."""
    for node in nodes:
        args = [values[i] if type(i) is Var else i for i in node.inputs]
        result = promoted(node.op, args).fn(m, *args, **node.attributes)
        if isinstance(result, (tuple, list)):
            values.update(zip(node.outputs, result, strict=True))
        else:
            values[node.outputs[0]] = result
    return values


def evaluate(graph: Graph, arrays: Sequence[Any], m: Any) -> tuple[Any, ...]:
    """Return the outputs of ``graph`` for these inputs.

    Parameters
    ----------
    graph : Graph
    arrays : sequence of array
        One for each input of the graph.
    m : namespace
        The array library, as formulas take it.
    """
    values = run(graph.nodes, dict(zip(graph.inputs, arrays, strict=True)), m)
    return tuple(values[o] if isinstance(o, Var) else o for o in graph.outputs)
