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
    flat = _Flat(m, steps, count, rows)
    values = _outside(m, program, program.before, arrays, flat)
    plan = program.loop
    finals, _, stored = run_loop(
        plan,
        flat.steps,
        *flat.given(plan, values),
        initial,
        reverse=reverse,
        backward=False,
        rows=rows,
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
    flat, number = _Flat(m, steps, count, rows), len(initial)
    stacks = dict(zip(program.loop.stored, (results[0], *results[1 + number :]), strict=True))
    known = _outside(m, program, backward.before, arrays, flat)
    known.update((v, flat.rows_of(stack, v.dtype)) for v, stack in stacks.items())
    for old, new, start in zip(program.states, program.outputs, initial, strict=True):
        if old not in stacks and new in stacks:
            known[old] = flat.rows_of(_before(m, stacks[new], start, reverse))
    values = {v: known[read] for v, read in backward.reads.items()}
    values[backward.from_outputs] = flat.rows_of(cotangents[0])
    run(backward.once, values, m)
    carried, released, stored = run_loop(
        backward.loop,
        flat.steps,
        *flat.given(backward.loop, values),
        cotangents[1 : 1 + number],
        reverse=not reverse,
        backward=True,
        rows=rows,
    )
    values.update((v, flat.rows_of(stack, v.dtype)) for v, stack in stored.items())
    run(_for_rows(backward.after, program.rows, flat.size), values, m)
    found = {}
    for i, var in backward.wanted.items():
        if var is None:
            found[i] = m.zeros(arrays[i].shape, dtype=arrays[i].dtype)
        else:
            g = flat.over_time(values[var]) if i < len(inputs) else values[var]
            found[i] = g.reshape(arrays[i].shape)
    starts = carried if rows is None else [a + b for a, b in zip(carried, released, strict=True)]
    first = len(inputs)
    return {**dict(zip(range(first, first + number), starts, strict=True)), **found}


class _Flat:
    """Arrays (T, N, ...) as rows, for what is computed outside of the loop, and back.

    Rows that are absent are left out, so that what stands in them is never read.
    """

    def __init__(self, m: Any, steps: int, count: int, rows: Rows | None) -> None:
        self.m = m
        self.steps, self.count = steps, count
        self.index = None if rows is None else m.nonzero(rows.present.reshape(-1))[0]
        self.size = steps * count if self.index is None else len(self.index)

    def rows_of(self, array: Any, dtype: Any = None) -> Any:
        """Return rows (size, ...); of truth values, which a loop stores as numbers, truth values."""
        flat = array.reshape(self.steps * self.count, *array.shape[2:])
        flat = flat if self.index is None else flat[self.index]
        return flat != 0 if dtype == bool_ else flat

    def over_time(self, rows: Any) -> Any:
        """Return an array (T, N, ...), zero where a row is absent."""
        if self.index is not None:
            whole = self.m.zeros((self.steps * self.count, *rows.shape[1:]), dtype=rows.dtype)
            whole[self.index] = rows
            rows = whole
        return rows.reshape(self.steps, self.count, *rows.shape[1:])

    def given(self, plan: LoopPlan, values: Arrays) -> tuple[Arrays, Arrays]:
        """Return what a loop reads at each step, and what is made of parameters."""
        read = {v: self.over_time(values[v]) for v in plan.read}
        read = {v: a.astype(plan.dtype) if v.dtype == bool_ else a for v, a in read.items()}
        return read, {v: values[v] for v in plan.fixed}


def _split(program: Program, arrays: Sequence[Any]) -> tuple[Any, Any, Any]:
    first = len(program.inputs)
    second = first + len(program.states)
    return arrays[:first], arrays[first:second], arrays[second:]


def _outside(
    m: Any, program: Program, before: Sequence[Node], arrays: Sequence[Any], flat: _Flat
) -> dict[Var, Any]:
    """Return parameters, inputs, and what ``before`` makes of them, with time as rows."""
    inputs, _, parameters = _split(program, arrays)
    values = dict(zip(program.parameters, parameters, strict=True))
    run(program.once, values, m)
    values.update(zip(program.inputs, map(flat.rows_of, inputs), strict=True))
    return run(_for_rows(before, program.rows, flat.size), values, m)


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
