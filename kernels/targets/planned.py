"""Run a program: the loop by a function that runs plans, what is outside by the graph interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from minigrad.dtypes import bool_
from minigrad.evaluate import run
from minigrad.graph import Node, Var
from minigrad.kernels.plan import LoopPlan
from minigrad.kernels.program import Program

Arrays = Mapping[Var, Any]


class RunLoop(Protocol):
    """What runs the loop of a plan."""

    def __call__(
        self,
        plan: LoopPlan,
        steps: int,
        read: Arrays,
        fixed: Arrays,
        initial: Sequence[Any],
        reverse: bool,
    ) -> tuple[list[Any], dict[Var, Any]]:
        """Return the final states, each (N, width), and what is stored, each (T, N, width)."""


def forward(
    m: Any, program: Program, arrays: Sequence[Any], reverse: bool, run_loop: RunLoop
) -> tuple[Any, ...]:
    """Run the loop forwards.

    Parameters
    ----------
    m : namespace
        The array library.
    program : Program
    arrays : sequence of array
        Inputs (T, N, ...), initial states (N, width) and parameters.
    reverse : bool
        Go through time backwards.
    run_loop : callable

    Returns
    -------
    tuple of array
        Outputs, final states, and what the backward pass needs.
    """
    inputs, initial, _ = _split(program, arrays)
    steps, rows = inputs[0].shape[:2]
    values = _outside(m, program, arrays)
    plan = program.loop
    read, fixed = _given(plan, values, steps, rows)
    finals, stored = run_loop(plan, steps, read, fixed, initial, reverse)
    output, *kept = plan.stored
    return stored[output], *finals, *(stored[v] for v in kept)


def adjoint(
    m: Any,
    program: Program,
    arrays: Sequence[Any],
    results: Sequence[Any],
    cotangents: Sequence[Any],
    reverse: bool,
    run_loop: RunLoop,
) -> dict[int, Any]:
    """Run the loop backwards.

    Parameters
    ----------
    m, program, arrays, reverse, run_loop
        As for `forward`.
    results : sequence of array
        What `forward` returned.
    cotangents : sequence of array
        Of the outputs and of the final states.

    Returns
    -------
    dict of array
        Cotangents of all initial states and of what is wanted, by number of the argument.
    """
    backward = program.backward
    assert backward is not None  # the loop was run to be differentiated
    inputs, initial, _ = _split(program, arrays)
    steps, rows = inputs[0].shape[:2]
    count = len(initial)
    stacks = dict(zip(program.loop.stored, (results[0], *results[1 + count :]), strict=True))
    known = _outside(m, program, arrays)
    known.update(_as_rows(stacks, steps * rows))
    for old, new, start in zip(program.states, program.outputs, initial, strict=True):
        if new in stacks:
            known[old] = _before(m, stacks[new], start, reverse).reshape(steps * rows, -1)
    values = {v: known[read] for v, read in backward.reads.items()}
    values[backward.from_outputs] = cotangents[0].reshape(steps * rows, -1)
    run(backward.once, values, m)
    plan = backward.loop
    read, fixed = _given(plan, values, steps, rows)
    carried, stored = run_loop(plan, steps, read, fixed, cotangents[1 : 1 + count], not reverse)
    values.update(_as_rows(stored, steps * rows))
    run(_for_rows(backward.after, program.rows, steps * rows), values, m)
    found = {}
    for number, var in backward.wanted.items():
        shape = arrays[number].shape
        found[number] = (
            m.zeros(shape, dtype=arrays[number].dtype)
            if var is None
            else values[var].reshape(shape)
        )
    first = len(inputs)
    return {**dict(zip(range(first, first + count), carried, strict=True)), **found}


def _split(program: Program, arrays: Sequence[Any]) -> tuple[Any, Any, Any]:
    first = len(program.inputs)
    second = first + len(program.states)
    return arrays[:first], arrays[first:second], arrays[second:]


def _outside(m: Any, program: Program, arrays: Sequence[Any]) -> dict[Var, Any]:
    """Return parameters, inputs, and what is made of them before the loop, with time as rows."""
    inputs, _, parameters = _split(program, arrays)
    rows = inputs[0].shape[0] * inputs[0].shape[1]
    values = dict(zip(program.parameters, parameters, strict=True))
    run(program.once, values, m)
    flat = (x.reshape(rows, *x.shape[2:]) for x in inputs)
    values.update(zip(program.inputs, flat, strict=True))
    return run(_for_rows(program.before, program.rows, rows), values, m)


def _given(plan: LoopPlan, values: Arrays, steps: int, rows: int) -> tuple[Arrays, Arrays]:
    """Return what the loop reads at each step, and what is made of parameters."""
    read = {v: values[v].reshape(steps, rows, -1) for v in plan.read}
    read = {v: a.astype(plan.dtype) if v.dtype == bool_ else a for v, a in read.items()}
    return read, {v: values[v] for v in plan.fixed}


def _as_rows(stacks: Arrays, rows: int) -> Arrays:
    """Return what a loop stored as rows."""
    flat = {v: stack.reshape(rows, -1) for v, stack in stacks.items()}
    return {v: a != 0 if v.dtype == bool_ else a for v, a in flat.items()}


def _before(m: Any, stack: Any, start: Any, reverse: bool) -> Any:
    """Return the states before each step, from those behind it and the initial one."""
    first = start[None]
    return m.concat([stack[1:], first] if reverse else [first, stack[:-1]], axis=0)


def _for_rows(nodes: Sequence[Node], traced: int, rows: int) -> list[Node]:
    """Return nodes whose attributes fit another number of rows."""
    fitted = []
    for node in nodes:
        shape = node.attributes.get("shape")
        if node.op.name == "broadcast_to" and shape[0] == traced:
            node = Node(node.op, node.inputs, {"shape": (rows, *shape[1:])}, node.outputs)
        fitted.append(node)
    return fitted
