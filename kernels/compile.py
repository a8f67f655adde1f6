"""Whether a loop can be compiled, and the program to compile, for any number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice
from typing import Any

from minigrad.dtypes import float32, float64
from minigrad.errors import MinigradError
from minigrad.graph import Graph, Line, Var
from minigrad.kernels.cell import Step
from minigrad.kernels.normalize import Refusal
from minigrad.kernels.program import Program, make_program
from minigrad.kernels.recent import Recent
from minigrad.kernels.step import TracedStep, form_of
from minigrad.kernels.trace import trace

# By what a step computes, and not by the step: traces of it with other numbers of rows are equal, and
# so are those of a step that has to be traced each time.
_MOST = 1000
_programs: Recent[Any, Program] = Recent(_MOST)
_refusals: Recent[Any, str] = Recent(_MOST)  # also by the lines of the step, which they name


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
            graph = _for_any_rows(step, traced)
            program = make_program(graph, len(traced.inputs), len(traced.states), wanted, broken)
            return _programs.put(key, program)
        except Refusal as refusal:
            reason = _refusals.put(place, str(refusal))
    raise Refusal(reason)


def _for_any_rows(step: Step, traced: TracedStep) -> Graph:
    """Trace the step with a number of rows that is the size of no other axis."""
    real = traced.states[0].dtype
    if real not in (float32, float64):
        raise Refusal(f"its states are of dtype {real}; only float32 and float64 are compiled")
    for state in traced.states:
        if state.dtype != real:
            raise Refusal(f"its states are of several dtypes: {state!r} beside {real}")
    sizes = {n for var in traced.parameters for n in var.shape}
    for node in traced.graph.nodes:
        sizes.update(n for output in node.outputs for n in output.shape)
    for var in (*traced.inputs, *traced.states):
        sizes.update(var.shape[1:])
        if 0 in var.shape[1:]:
            raise Refusal(f"{var!r} has no columns")
    # Besides the number of rows that is there, two others: a step that reads it is found out.
    first, second = islice((rows for rows in count(3) if rows not in sizes), 2)
    try:
        graphs = [traced.graph, *(_traced_with(step, traced, rows) for rows in (first, second))]
    except MinigradError as error:
        raise Refusal(f"it cannot be traced with another number of rows: {error}") from error
    forms = [form_of(graph, len(traced.inputs) + len(traced.states)) for graph in graphs]
    for form in forms[1:]:
        if form != forms[0]:
            line = _first_difference(traced.graph, forms[0], form)
            raise Refusal("it computes something else for another number of rows", line)
    return graphs[1]


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
