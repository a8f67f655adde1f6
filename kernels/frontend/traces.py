"""The graphs of steps: each is traced and verified once for the shapes and dtypes of its arguments.

A step is run on variables twice: with the number of rows that is there, and with a prime that divides
no other size. Graphs that differ in that number alone say two things at once: that the step computes the
same each time, and that it does not depend on the number of rows. For another number it is run once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from minigrad.dtypes import get_default_dtype
from minigrad.errors import MinigradError, TraceError
from minigrad.graph import Graph, Line, Var
from minigrad.kernels.cell import Step
from minigrad.kernels.frontend.guards import surroundings_of
from minigrad.kernels.frontend.trace import argument_names, check_repeats, record
from minigrad.kernels.frontend.traced_step import TracedStep, form_of
from minigrad.kernels.frontend.verify import verify
from minigrad.kernels.passes.legalize import Refusal
from minigrad.kernels.passes.resize import prime_of_rows, resized
from minigrad.recent import Recent, table_of

Spec = tuple[tuple[int, ...], Any]  # a shape and a dtype

_MOST = 1000
_verified: Recent[Any, bool] = Recent(_MOST)  # the forms of steps in which rows do not mix
# of each step: by shapes and dtypes without the number of rows, then by this number
_traces: WeakKeyDictionary[Any, Recent[Any, Recent[int, TracedStep]]] = WeakKeyDictionary()


def traced_step(
    step: Step, inputs: Sequence[Spec], states: Sequence[Spec], parameters: Mapping[str, Spec]
) -> TracedStep:
    """Return the graph of a step; the second time it is cached.

    Parameters
    ----------
    step : callable
    inputs, states : sequence of (shape, dtype)
        Of one time step, with N first.
    parameters : dict of (shape, dtype)

    Raises
    ------
    TraceError
        If the step cannot be turned into a graph, see `minigrad.kernels.frontend.trace.trace`, or mixes
        rows.
    """
    surroundings = surroundings_of(step)
    if surroundings is None:
        return _traced(step, inputs, states, parameters, None)
    rows = states[0][0][0]
    specs = [tuple((shape[1:], dtype) for shape, dtype in part) for part in (inputs, states)]
    key = (*specs, tuple(parameters.items()), get_default_dtype(), surroundings)
    known = table_of(_traces, step, _MOST).found(key, lambda: Recent(_MOST))

    def make() -> TracedStep:
        others = (made.any_rows for made in known.values())
        symbolic = next((graph for graph in others if isinstance(graph, Graph)), None)
        return _traced(step, inputs, states, parameters, symbolic)

    return known.found(rows, make)


def _traced(
    step: Step,
    inputs: Sequence[Spec],
    states: Sequence[Spec],
    parameters: Mapping[str, Spec],
    symbolic: Graph | None,
) -> TracedStep:
    """Trace and verify a step, of which the graph for any number of rows may be known."""
    number, rows = len(inputs), states[0][0][0]
    names = argument_names(step, number, len(states))
    named = [(*spec, name) for spec, name in zip((*inputs, *states), names, strict=True)]

    def recorded(count: int) -> Graph:
        given = [Var((count, *shape[1:]), dtype, name) for shape, dtype, name in named]
        own = {name: Var(*spec, name) for name, spec in parameters.items()}
        return record(step, given[:number], given[number:], own)

    graph, sequences = recorded(rows), len(named)
    reason = None
    try:
        if symbolic is None:
            symbolic = recorded(prime_of_rows(graph))
        line = difference(graph, symbolic, sequences)
        if line is not None:
            reason = Refusal("it computes something else for another number of rows", *line)
    except MinigradError as error:
        reason = Refusal(f"it cannot be traced with another number of rows: {error}")
    if symbolic is None or reason is not None:
        check_repeats(step, graph, recorded(rows))
        verify(step, graph, number, len(states))
    else:
        try:
            _verify_once(step, symbolic, number, len(states))
        except TraceError as error:
            if rows > 1:  # a single row mixes with no other
                raise
            reason = Refusal(f"it cannot be traced with another number of rows: {error}")
    return TracedStep(graph, number, len(states), reason or symbolic)


def _verify_once(step: Step, graph: Graph, inputs: int, states: int) -> None:
    form = form_of(graph, inputs + states)
    if form not in _verified:
        verify(step, graph, inputs, states)
        _verified.put(form, True)


def difference(graph: Graph, other: Graph, sequences: int) -> tuple[Line | None] | None:
    """Return where graphs of different numbers of rows differ in more than that; None if they do not.

    Parameters
    ----------
    graph, other : Graph
        The number of rows of the other one divides no other size.
    sequences : int
        How many of the inputs have a row for each sequence: the first ones.
    """
    rows, prime = graph.inputs[0].shape[0], other.inputs[0].shape[0]
    form = form_of(graph, sequences)
    nodes = tuple(resized(other.nodes, prime, rows))
    found = form_of(replace(other, nodes=nodes), sequences)
    if found == form:
        return None
    same = next((i for i, (a, b) in enumerate(zip(form, found, strict=False)) if a != b), 0)
    position = same - 1 - len(graph.inputs)  # after the number of sequences and the shapes
    return (graph.nodes[position].line if 0 <= position < len(graph.nodes) else None,)
