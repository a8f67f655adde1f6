"""Whether a loop can be compiled, and the program to compile, for any number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minigrad.dtypes import float32, float64
from minigrad.errors import MinigradError
from minigrad.graph import Graph, Line, Var
from minigrad.kernels.cell import Step
from minigrad.kernels.differentiate import differentiate
from minigrad.kernels.emit.numba_source import numba_source
from minigrad.kernels.normalize import Refusal, refused_at
from minigrad.kernels.program import Program, make_program
from minigrad.kernels.recent import Recent
from minigrad.kernels.resize import numbers_of_rows, resized
from minigrad.kernels.step import TracedStep, form_of
from minigrad.kernels.trace import definition_line, trace
from minigrad.kernels.verify import verify

# By what a step computes, and not by the step: traces of it with other numbers of rows are equal, unless
# an attribute holds that number, and so are those of a step that has to be traced each time.
_MOST = 1000
_programs: Recent[Any, Program] = Recent(_MOST)
_refusals: Recent[Any, str] = Recent(_MOST)  # also by the lines of the step, which they name
_ANY = -(2**32)  # in the place of the number of rows
_LANES = 8  # of a processor; any number does to see whether there is a text


def program_of(
    step: Step, traced: TracedStep, wanted: Sequence[int] | None, broken: bool
) -> Program:
    """Return the program of a step; the second time it is at hand.

    Parameters
    ----------
    step : callable
    traced : TracedStep
        With any number of rows.
    wanted, broken
        As for `minigrad.kernels.program.make_program`.

    Raises
    ------
    Refusal
        If the loop cannot be compiled; it says why, and names the line of the step.
    """
    key = (traced.form, None if wanted is None else tuple(wanted), broken)
    found = _programs.get(key)
    if found is not None:
        return found
    place = (key, *(node.line for node in traced.graph.nodes))
    reason = _refusals.get(place)
    if reason is None:
        try:
            return _programs.put(key, _program(step, traced, wanted, broken))
        except Refusal as refusal:
            _refusals.put(place, str(refusal))
            raise
    raise Refusal(reason)


def _program(step: Step, traced: TracedStep, wanted: Sequence[int] | None, broken: bool) -> Program:
    """Make the program of a step; whatever a pass of the compiler raises becomes a refusal."""
    inputs, states = len(traced.inputs), len(traced.states)
    with refused_at(definition_line(step)):
        graph = _for_any_rows(step, traced, wanted)
        # where an attribute holds the number of rows, other numbers have the same program
        nodes = tuple(resized(graph.nodes, graph.inputs[0].shape[0], _ANY))
        form = form_of(replace(graph, nodes=nodes), inputs + states)
        key = (form, None if wanted is None else tuple(wanted), broken)
        program = _programs.get(key)
        if program is None:
            program = make_program(graph, inputs, states, wanted, broken)
            numba_source(program.loop, _LANES)  # what has no text is found out now
            if program.backward is not None:
                numba_source(program.backward.loop, _LANES)
            _programs.put(key, program)
        return program


def _for_any_rows(step: Step, traced: TracedStep, wanted: Sequence[int] | None) -> Graph:
    """Trace the step with a number of rows that divides the size of no other axis."""
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
    # Besides the number of rows that is there, two others: a step that reads it is found out.
    first, second = numbers_of_rows(traced.graph)
    inputs, states = len(traced.inputs), len(traced.states)
    try:
        graphs = [_traced_with(step, traced, rows) for rows in (first, second)]
        verify(step, graphs[0], inputs, states)
    except MinigradError as error:
        raise Refusal(f"it cannot be traced with another number of rows: {error}") from error
    count = traced.states[0].shape[0]
    _check_same([traced.graph, *graphs], (count, first, second), inputs + states)
    if wanted is not None:
        derived = [
            differentiate(g, (*g.inputs[inputs : inputs + states], *(g.inputs[i] for i in wanted)))
            for g in graphs
        ]
        _check_same(derived, (first, second), len(derived[0].inputs))
    return graphs[0]


def _check_same(graphs: Sequence[Graph], rows: Sequence[int], sequences: int) -> None:
    """Refuse graphs of different numbers of ``rows`` that do not compute the same."""
    first, count = graphs[0], rows[0]
    form = form_of(first, sequences)
    for graph, number in zip(graphs[1:], rows[1:], strict=True):
        nodes = tuple(resized(graph.nodes, number, count))
        other = form_of(replace(graph, nodes=nodes), sequences)
        if other != form:
            line = _first_difference(first, form, other)
            raise Refusal("it computes something else for another number of rows", line)


def _first_difference(graph: Graph, form: tuple[Any, ...], other: tuple[Any, ...]) -> Line | None:
    """Return the line of the first node of ``graph`` in which its form differs from another one."""
    same = next((i for i, (a, b) in enumerate(zip(form, other, strict=False)) if a != b), 0)
    position = same - 1 - len(graph.inputs)  # behind the number of sequences and the shapes
    return graph.nodes[position].line if 0 <= position < len(graph.nodes) else None


def _traced_with(step: Step, traced: TracedStep, rows: int) -> Graph:
    def resized(vars: Sequence[Var]) -> list[Var]:
        return [Var((rows, *var.shape[1:]), var.dtype, var.name) for var in vars]

    parameters = {var.name: Var(var.shape, var.dtype, var.name) for var in traced.parameters}
    return trace(step, resized(traced.inputs), resized(traced.states), parameters)
