"""Run a program: the loop by a function that runs plans, what is outside by the graph interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from minigrad.dtypes import bool_
from minigrad.evaluate import run
from minigrad.graph import Node, Var
from minigrad.kernels.plan import LoopPlan
from minigrad.kernels.program import Program
from minigrad.kernels.rows import Rows

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
        *,
        reverse: bool,
        backward: bool,
        rows: Rows | None,
    ) -> tuple[list[Any], list[Any], dict[Var, Any]]:
        """Run the loop.

        Parameters
        ----------
        plan : LoopPlan
        steps : int
        read : dict of array
            Shape (T, N, width).
        fixed : dict of array
            Vectors and matrices.
        initial : sequence of array
            Shape (N, width).
        reverse : bool
            Go through time backwards.
        backward : bool
            Whether states are cotangents: in a backward pass those of fresh rows go to the initial
            states after the step, instead of beginning with them before it.
        rows : Rows, optional
            Which rows take part in which step, as arrays; None if all do.

        Returns
        -------
        finals : list of array
        released : list of array
            What came to the initial states in fresh rows of a backward pass.
        stored : dict of array
            Shape (T, N, width), zero in absent rows.
        """


def forward(
    m: Any,
    program: Program,
    arrays: Sequence[Any],
    reverse: bool,
    rows: Rows | None,
    run_loop: RunLoop,
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
    rows : Rows, optional
        Which rows take part in which step, as arrays; None if all do. The program has to be one for
        broken sequences then.
    run_loop : callable

    Returns
    -------
    tuple of array
        Outputs, final states, and what the backward pass needs.
    """
    inputs, initial, _ = _split(program, arrays)
    steps, count = inputs[0].shape[:2]
    values = _outside(m, program, program.before, arrays, rows)
    plan = program.loop
    read, fixed = _given(plan, values, steps, count)
    finals, _, stored = run_loop(
        plan, steps, read, fixed, initial, reverse=reverse, backward=False, rows=rows
    )
    output, *kept = plan.stored
    return stored[output], *finals, *(stored[v] for v in kept)


def adjoint(
    m: Any,
    program: Program,
    arrays: Sequence[Any],
    results: Sequence[Any],
    cotangents: Sequence[Any],
    reverse: bool,
    rows: Rows | None,
    run_loop: RunLoop,
) -> dict[int, Any]:
    """Run the loop backwards.

    Parameters
    ----------
    m, program, arrays, reverse, rows, run_loop
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
    steps, count = inputs[0].shape[:2]
    number, total = len(initial), steps * count
    stacks = dict(zip(program.loop.stored, (results[0], *results[1 + number :]), strict=True))
    known = _outside(m, program, backward.before, arrays, rows)
    known.update(_as_rows(stacks, total))
    for old, new, start in zip(program.states, program.outputs, initial, strict=True):
        if old not in stacks and new in stacks:
            known[old] = _before(m, stacks[new], start, reverse).reshape(total, -1)
    values = {v: known[read] for v, read in backward.reads.items()}
    values[backward.from_outputs] = cotangents[0].reshape(total, -1)
    run(backward.once, values, m)
    plan = backward.loop
    read, fixed = _given(plan, values, steps, count)
    carried, released, stored = run_loop(
        plan,
        steps,
        read,
        fixed,
        cotangents[1 : 1 + number],
        reverse=not reverse,
        backward=True,
        rows=rows,
    )
    values.update(_as_rows(stored, total))
    if rows is not None:
        absent = ~rows.present.reshape(total, 1)
        values[backward.from_outputs] = m.where(absent, 0.0, values[backward.from_outputs])
    run(_for_rows(backward.after, program.rows, total), values, m)
    found = {}
    for i, var in backward.wanted.items():
        if var is None:
            found[i] = m.zeros(arrays[i].shape, dtype=arrays[i].dtype)
        else:
            found[i] = values[var].reshape(arrays[i].shape)
            if rows is not None and i < len(inputs):
                absent = ~rows.present.reshape(steps, count, *(1,) * (found[i].ndim - 2))
                found[i] = m.where(absent, 0.0, found[i])
    starts = carried if rows is None else [a + b for a, b in zip(carried, released, strict=True)]
    first = len(inputs)
    return {**dict(zip(range(first, first + number), starts, strict=True)), **found}


def _split(program: Program, arrays: Sequence[Any]) -> tuple[Any, Any, Any]:
    first = len(program.inputs)
    second = first + len(program.states)
    return arrays[:first], arrays[first:second], arrays[second:]


def _outside(
    m: Any, program: Program, before: Sequence[Node], arrays: Sequence[Any], rows: Rows | None
) -> dict[Var, Any]:
    """Return parameters, inputs, and what ``before`` makes of them, with time as rows.

    What stands in absent rows is replaced by a row that is present in some step, so that it is never
    read.
    """
    inputs, _, parameters = _split(program, arrays)
    total = inputs[0].shape[0] * inputs[0].shape[1]
    values = dict(zip(program.parameters, parameters, strict=True))
    run(program.once, values, m)
    flat = [x.reshape(total, *x.shape[2:]) for x in inputs]
    if rows is not None:
        present = rows.present.reshape(total)
        stand_in = m.where(present, m.arange(total), present.argmax())
        flat = [x[stand_in] for x in flat]
    values.update(zip(program.inputs, flat, strict=True))
    return run(_for_rows(before, program.rows, total), values, m)


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
        shape = node.attributes.get("shape", ())
        if node.op.name == "broadcast_to" and shape[0] == traced:
            node = Node(node.op, node.inputs, {"shape": (rows, *shape[1:])}, node.outputs)
        fitted.append(node)
    return fitted
