"""The reference loop: interpret the graph of the step once for each time step, with array functions.

Every other way to run a loop is tested against this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from minigrad.evaluate import run
from minigrad.graph import Var
from minigrad.kernels.frontend.traced_step import Backward, TracedStep
from minigrad.kernels.runtime.rows import Rows


def forward(
    m: Any,
    step: TracedStep,
    arrays: Sequence[Any],
    backward: Backward | None,
    reverse: bool,
    rows: Rows | None,
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
    rows : Rows, optional
        Which rows take part in which step, as arrays; None if all do.

    Returns
    -------
    tuple of array
        The first state after each step (T, N, ...), the final states, and the values kept, each
        (T, ...).
    """
    inputs, initial, parameters = step.split(arrays)
    steps = inputs[0].shape[0]
    once = run(step.once, dict(zip(step.parameters, parameters, strict=True)), m)
    new = step.graph.outputs
    kept = backward.kept(rows is not None) if backward else ()
    outputs, *stacks = (
        m.empty((steps, *v.shape), dtype=m.native(v.dtype)) for v in (new[0], *kept)
    )

    def compute(t: int, xs: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        values = dict(once)
        values.update(zip(step.inputs, xs, strict=True))
        values.update(zip(step.states, states, strict=True))
        run(step.each, values, m)
        for stack, var in zip(stacks, kept, strict=True):
            stack[t] = values[var]
        return [values[var] for var in new]

    states: Sequence[Any] = initial
    for t in _order(steps, reverse):
        xs = [x[t] for x in inputs]
        if rows is None:
            states = compute(t, xs, states)
            outputs[t] = states[0]
        else:
            outputs[t], states = rows.advance(m, t, partial(compute, t), xs, states, initial)
    return (outputs, *(m.asarray(state, copy=True) for state in states), *stacks)


def adjoint(
    m: Any,
    step: TracedStep,
    arrays: Sequence[Any],
    results: Sequence[Any],
    cotangents: Sequence[Any],
    backward: Backward,
    reverse: bool,
    rows: Rows | None,
) -> dict[int, Any]:
    """Run the loop's backward pass.

    Parameters
    ----------
    m, step, arrays, backward, reverse, rows
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
    stacks = dict(zip(backward.kept(rows is not None), results[1 + count :], strict=True))
    if rows is None:  # otherwise outputs are zero where a row is absent
        stacks[new[0]] = results[0]
    once = dict(zip(step.parameters, parameters, strict=True))
    run(backward.once, run(backward.prepare, once, m), m)
    seeds, read = graph.inputs[:count], set(graph.inputs[count:])
    order = _order(steps, reverse)

    def compute(position: int, carried: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the cotangents of the states before a step, and of what else is wanted in it."""
        t = order[position]
        values: dict[Var, Any] = dict(once)
        values.update(zip(seeds, carried, strict=True))
        xs = [x[t] for x in inputs]
        values.update(zip(step.inputs, rows.filled(t, xs) if rows else xs, strict=True))
        for var, result, start in zip(step.states, new, initial, strict=True):
            if var in step.constant:
                values[var] = rows.filled(t, [start])[0] if rows else start
            elif var in read and var not in stacks:
                values[var] = stacks[result][order[position - 1]] if position else start
        values.update((var, stack[t]) for var, stack in stacks.items() if var in read)
        run(backward.each, values, m)
        found = [None if var is None else values[var] for var in graph.outputs]
        olds = zip(found[:count], initial, strict=True)
        return [m.zeros_like(old) if g is None else g for g, old in olds], found[count:]

    carried: Sequence[Any] = list(cotangents[1 : 1 + count])
    from_resets = [m.zeros_like(g) for g in carried]
    totals: list[Any] = [None] * len(backward.wanted)  # summed over time, or a slice for each step
    zero = [0] * count
    for position in range(steps - 1, -1, -1):
        t = order[position]
        if rows is None or rows.any_present[t]:
            after = [carried[0] + cotangents[0][t], *carried[1:]]
            before, parts = compute(position, rows.kept(m, t, after, zero) if rows else after)
            carried = rows.kept(m, t, before, carried) if rows else before
            for k, (i, part) in enumerate(zip(backward.wanted, parts, strict=True)):
                if part is None:
                    continue
                if i < len(inputs):
                    if totals[k] is None:
                        totals[k] = m.zeros(inputs[i].shape, dtype=inputs[i].dtype)
                    totals[k][t] = rows.kept(m, t, [part], zero[:1])[0] if rows else part
                elif totals[k] is None:
                    # a copy lies in memory in the order that the other parts will have
                    totals[k] = m.asarray(part, copy=True)
                else:
                    totals[k] += part
        if rows and rows.any_fresh[t]:
            to_initial = rows.refreshed(m, t, zero, carried)
            from_resets = [a + b for a, b in zip(from_resets, to_initial, strict=True)]
            carried = rows.refreshed(m, t, carried, zero)
    first = len(inputs)
    starts = [a + b for a, b in zip(carried, from_resets, strict=True)] if rows else carried
    found = [
        m.zeros(arrays[i].shape, dtype=arrays[i].dtype) if total is None else total
        for i, total in zip(backward.wanted, totals, strict=True)
    ]
    return dict(
        zip((*range(first, first + count), *backward.wanted), (*starts, *found), strict=True)
    )


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)
