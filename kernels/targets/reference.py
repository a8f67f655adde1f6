"""The reference loop: interpret the graph of the step once for each time step, with array functions.

Every other way to run a loop is tested against this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.evaluate import run
from minigrad.graph import Var
from minigrad.kernels.step import Backward, TracedStep


def forward(
    m: Any, step: TracedStep, arrays: Sequence[Any], backward: Backward | None, reverse: bool
) -> tuple[Any, ...]:
    """Run the loop.

    Parameters
    ----------
    m : namespace
        The array library.
    step : TracedStep
    arrays : sequence of array
        Inputs of shape (T, N, ...), initial states (N, ...) and parameters.
    backward : Backward, optional
        The backward pass to keep values for.
    reverse : bool
        Go through time backwards.

    Returns
    -------
    tuple of array
        The first state after each step (T, N, ...), the final states, and the values kept, each
        (T, ...).
    """
    inputs, states, parameters = step.split(arrays)
    steps = inputs[0].shape[0]
    once = run(step.once, dict(zip(step.parameters, parameters, strict=True)), m)
    new = step.graph.outputs
    stored = (new[0], *(backward.kept if backward else ()))
    stacks = [m.empty((steps, *v.shape), dtype=m.native(v.dtype)) for v in stored]
    for t in _order(steps, reverse):
        values = dict(once)
        values.update(zip(step.inputs, (x[t] for x in inputs), strict=True))
        values.update(zip(step.states, states, strict=True))
        run(step.each, values, m)
        states = [values[var] for var in new]
        for stack, var in zip(stacks, stored, strict=True):
            stack[t] = values[var]
    finals = [m.asarray(state, copy=True) for state in states]
    return (stacks[0], *finals, *stacks[1:])


def adjoint(
    m: Any,
    step: TracedStep,
    arrays: Sequence[Any],
    results: Sequence[Any],
    cotangents: Sequence[Any],
    backward: Backward,
    reverse: bool,
) -> dict[int, Any]:
    """Run the loop's backward pass.

    Parameters
    ----------
    m, step, arrays, backward, reverse
        As for `forward`.
    results : sequence of array
        What `forward` returned.
    cotangents : sequence of array
        Of the outputs and of the final states.

    Returns
    -------
    dict of array
        Cotangents of all initial states and of ``backward.wanted``, by number of the argument.
    """
    inputs, initial, parameters = step.split(arrays)
    steps, count = inputs[0].shape[0], len(initial)
    new, graph = step.graph.outputs, backward.graph
    stacks = dict(zip((new[0], *backward.kept), (results[0], *results[1 + count :]), strict=True))
    once = dict(zip(step.parameters, parameters, strict=True))
    run(backward.once, run(backward.prepare, once, m), m)
    seeds, read = graph.inputs[:count], set(graph.inputs[count:])
    totals: list[Any] = [None] * len(backward.wanted)  # summed over time, or a slice for each step
    g_outputs, carried = cotangents[0], list(cotangents[1 : 1 + count])
    order = _order(steps, reverse)
    for position in range(steps - 1, -1, -1):
        t = order[position]
        before = order[position - 1] if position else None
        carried[0] = carried[0] + g_outputs[t]
        values: dict[Var, Any] = dict(once)
        values.update(zip(seeds, carried, strict=True))
        values.update((var, x[t]) for var, x in zip(step.inputs, inputs, strict=True))
        for var, result, start in zip(step.states, new, initial, strict=True):
            if var in read:
                values[var] = start if before is None else stacks[result][before]
        values.update((var, stack[t]) for var, stack in stacks.items() if var in read)
        run(backward.each, values, m)
        found = [None if var is None else values[var] for var in graph.outputs]
        carried = [
            m.zeros_like(old) if g is None else g
            for g, old in zip(found[:count], initial, strict=True)
        ]
        for k, (i, part) in enumerate(zip(backward.wanted, found[count:], strict=True)):
            if part is None:
                continue
            if i < len(inputs):
                if totals[k] is None:
                    totals[k] = m.zeros(inputs[i].shape, dtype=inputs[i].dtype)
                totals[k][t] = part
            elif totals[k] is None:
                # a copy lies in memory in the order that the other parts will have
                totals[k] = m.asarray(part, copy=True)
            else:
                totals[k] += part
    first = len(inputs)
    found = [
        m.zeros(arrays[i].shape, dtype=arrays[i].dtype) if total is None else total
        for i, total in zip(backward.wanted, totals, strict=True)
    ]
    return dict(
        zip((*range(first, first + count), *backward.wanted), (*carried, *found), strict=True)
    )


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)
