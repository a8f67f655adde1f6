"""Derive the backward graph of a graph, by running each op's own adjoint rules on variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.adjoint import fitted, jointly, without_dropped
from minigrad.dispatch import interpreting
from minigrad.dtypes import is_floating
from minigrad.errors import GradientError
from minigrad.graph import Graph, Node, Recorder, Var, at_line, infer, ops
from minigrad.kernels.passes.dataflow import live_nodes
from minigrad.promotion import promoted


def differentiate(graph: Graph, wanted: Sequence[Var]) -> Graph:
    """Return the graph that maps cotangents of the outputs to cotangents of ``wanted``.

    Parameters
    ----------
    graph : Graph
    wanted : sequence of Var
        Inputs of ``graph``.

    Returns
    -------
    Graph
        Its inputs are one cotangent for each output of ``graph``, and then those variables of
        ``graph`` that it reads. Its outputs are one cotangent for each of ``wanted``, or None where
        no output depends on it.

    Raises
    ------
    GradientError
        If a path from ``wanted`` to an output leads through an argument without a derivative.
    """
    seeds = tuple(Var(o.shape, o.dtype, f"d_{o.name}") for o in graph.outputs)
    active = _influenced(graph, wanted)
    # An op that selects may drop elements, also in an earlier step of a loop: see `Op.selects`.
    selecting = any(node.op.selects for node in graph.nodes)
    with interpreting(Recorder()) as recorder:
        cotangents: dict[Var, Any] = {}

        def accumulate(var: Var, part: Any) -> None:
            if 0 in var.shape[1:]:  # nothing comes from columns that are not there
                return
            cotangents[var] = cotangents[var] + part if var in cotangents else part

        for output, seed in zip(graph.outputs, seeds, strict=True):
            if output in active:
                accumulate(output, seed)
        for node in reversed(graph.nodes):
            if not any(o in cotangents for o in node.outputs):
                continue
            recorder.line = node.line
            g = _gathered(node, cotangents)
            before = len(recorder.nodes)
            parts = _parts(node, g, active)
            doubtful = (
                selecting
                and node.op.elementwise
                and not node.op.selects
                and not _inputs(recorder.nodes[before:]).isdisjoint((*node.inputs, *node.outputs))
            )
            for position, part in parts:
                argument = node.inputs[position]
                if doubtful:
                    part = without_dropped(ops, g, part, differentiable=False)
                part = fitted(ops, node.op, position, part, argument)
                accumulate(argument, part)
    outputs = tuple(cotangents.get(var) for var in wanted)
    nodes = live_nodes(recorder.nodes, outputs)
    return Graph((*seeds, *_read(nodes, outputs, seeds)), nodes, outputs)


def _influenced(graph: Graph, wanted: Sequence[Var]) -> set[Var]:
    """Return the floating-point variables that depend on ``wanted`` in a differentiable way."""
    active = {var for var in wanted if is_floating(var.dtype)}
    for node in graph.nodes:
        if node.op.rules is not None and any(
            isinstance(i, Var) and i in active for i in node.inputs
        ):
            active.update(o for o in node.outputs if is_floating(o.dtype))
    return active


def _inputs(nodes: Sequence[Node]) -> set[Var]:
    """Return the variables that ``nodes`` read."""
    return {i for node in nodes for i in node.inputs if isinstance(i, Var)}


def _gathered(node: Node, cotangents: dict[Var, Any]) -> Any:
    """Return what the rules of ``node`` take as ``g``: zeros stand for cotangents that never came."""
    gs = tuple(
        cotangents[output] if output in cotangents else ops.zeros_like(output)
        for output in node.outputs
    )
    return gs if _several(node) else gs[0]


def _several(node: Node) -> bool:
    return len(node.outputs) > 1 or infer(node.op, node.inputs, node.attributes)[1]


def _parts(node: Node, g: Any, active: set[Var]) -> list[tuple[int, Any]]:
    """Run the rules of ``node`` for its active arguments; return positions and cotangents."""
    y = node.outputs if _several(node) else node.outputs[0]
    positions = [p for p, i in enumerate(node.inputs) if isinstance(i, Var) and i in active]
    op = promoted(node.op, node.inputs)
    if op.joint:
        parts = jointly(ops, op, g, y, node.inputs, node.attributes)
        return [(p, parts[p]) for p in positions if parts[p] is not None]
    found = []
    for position in positions:
        rule = op.rules[position]
        if rule is None:
            raise GradientError(
                f"{node.op.name} in a step has no derivative with respect to its argument "
                f"{position + 1}, {node.inputs[position]!r}; it must not depend on a state or on "
                f"what is differentiated{at_line(node.line)}"
            )
        found.append((position, rule(ops, g, y, *node.inputs, **node.attributes)))
    return found


def _read(nodes: Sequence[Node], outputs: Sequence[Any], seeds: Sequence[Var]) -> tuple[Var, ...]:
    """Return the variables that nodes and outputs read and neither make nor get as seeds, in order."""
    made = {o for node in nodes for o in node.outputs}.union(seeds)
    read = dict.fromkeys((*(i for node in nodes for i in node.inputs), *outputs))
    return tuple(var for var in read if isinstance(var, Var) and var not in made)
