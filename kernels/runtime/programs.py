"""Whether a loop can be compiled, and the program to compile, for any number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.dtypes import float32, float64
from minigrad.graph import Graph
from minigrad.kernels.cell import Step
from minigrad.kernels.emit.numba_source import numba_source
from minigrad.kernels.frontend.trace import definition_line
from minigrad.kernels.frontend.traced_step import TracedStep
from minigrad.kernels.frontend.traces import difference
from minigrad.kernels.passes.differentiate import differentiate
from minigrad.kernels.passes.legalize import Refusal, refused_at
from minigrad.kernels.plan.program import Program, make_program
from minigrad.recent import Recent

# By what a step computes, and not by the step: so a step that has to be traced each time is not compiled
# each time.
_MOST = 1000
_programs: Recent[Any, Program] = Recent(_MOST)
_refusals: Recent[Any, str] = Recent(_MOST)  # also by the lines of the step, which they name
_LANES = 8  # of a processor; any number does to see whether there is a text


def program_of(
    step: Step, traced: TracedStep, wanted: Sequence[int] | None, broken: bool
) -> Program:
    """Return the program of a step; the second time it is cached.

    Parameters
    ----------
    step : callable
    traced : TracedStep
    wanted, broken
        As for `minigrad.kernels.plan.program.make_program`.

    Raises
    ------
    Refusal
        If the loop cannot be compiled; it says why, and names the line of the step.
    """
    kind = None if wanted is None else tuple(wanted), broken
    found = _programs.get((traced.form_for_any_rows, kind))
    if found is not None:
        return found
    place = (traced.form, kind, *(node.line for node in traced.graph.nodes))
    reason = _refusals.get(place)
    if reason is not None:
        raise Refusal(reason)
    try:
        with refused_at(definition_line(step)):  # whatever a pass of the compiler raises
            graph = _for_any_rows(traced, wanted)
            program = make_program(graph, len(traced.inputs), len(traced.states), wanted, broken)
            numba_source(program.loop, _LANES)  # what has no text is found out now
            if program.backward is not None:
                numba_source(program.backward.loop, _LANES)
    except Refusal as refusal:
        _refusals.put(place, str(refusal))
        raise
    return _programs.put((traced.form_for_any_rows, kind), program)


def _for_any_rows(traced: TracedStep, wanted: Sequence[int] | None) -> Graph:
    """Return the graph of a step for any number of rows; refuse what has none, or no such gradient."""
    real = traced.states[0].dtype
    if real not in (float32, float64):
        raise Refusal(f"its states are of dtype {real}; only float32 and float64 are compiled")
    for state in traced.states:
        if state.dtype != real:
            raise Refusal(f"its states are of several dtypes: {state!r} beside {real}")
        if len(state.shape) != 2:
            raise Refusal(f"{state!r}: states of a compiled loop have the shape (N, width)")
    for var in (*traced.inputs, *traced.states):
        if 0 in var.shape[1:]:
            raise Refusal(f"{var!r} has no columns")
    graph = traced.any_rows
    if isinstance(graph, Refusal):
        raise Refusal(graph.args[0], graph.line)
    assert graph is not None  # it is there unless a pass is tried on its own
    if wanted is not None:
        first, last = len(traced.inputs), len(traced.inputs) + len(traced.states)
        here, anywhere = (
            differentiate(g, (*g.inputs[first:last], *(g.inputs[i] for i in wanted)))
            for g in (traced.graph, graph)
        )
        line = difference(here, anywhere, len(here.inputs))
        if line is not None:
            raise Refusal("it computes something else for another number of rows", *line)
    return graph
