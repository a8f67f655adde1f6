"""Run a program: its loops by a target, what is outside of them by the graph interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from minigrad.dtypes import bool_
from minigrad.evaluate import run
from minigrad.graph import Node, Var
from minigrad.kernels.layout import Layout, layout_of
from minigrad.kernels.plan import Buffer, LoopPlan
from minigrad.kernels.program import Program
from minigrad.kernels.resize import resized
from minigrad.kernels.rows import Rows

Arrays = Mapping[Var, Any]


class Run(NamedTuple):
    """What a loop returns.

    Attributes
    ----------
    finals : list of array
        The states behind the last step, (N, width).
    released : list of array
        In a backward pass, what came to the initial states in fresh rows; else empty.
    kept : Any
        Histories of states, and what the plan stores: see `Target.kept_rows`.
    given_away : dict of array
        Shape (T, N, width), in the order of the batch, zero behind the lengths: what the plan gives away;
        and what it spreads, unless its rows lie in this order anyway.
    sums : dict of array
        The sums over the rows of all steps.
    """

    finals: list[Any]
    released: list[Any]
    kept: Any
    given_away: dict[Var, Any]
    sums: dict[Var, Any]


class Target(Protocol):
    """What runs the loops of plans."""

    namespace: Any

    def blocks(self, plan: LoopPlan, count: int) -> int:
        """Return into how many blocks the sequences are divided."""

    def packed_rows(
        self, lengths: Any, steps: int, portions: int, blocks: int, limit: int
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Return how sequences are divided; see `minigrad.kernels.layout.layout_of`."""

    def take_rows(self, rows: Any, index: Any) -> Any:
        """Return ``rows[index]``, with zeros where the index, of any shape, is negative."""

    def run_loop(
        self,
        plan: LoopPlan,
        layout: Layout,
        values: Arrays,
        initial: Sequence[Any],
        *,
        reverse: bool,
        backward: bool,
        keep: bool,
    ) -> Run:
        """Run the loop.

        Parameters
        ----------
        plan : LoopPlan
        layout : Layout
            Where the rows of each step lie, and which of them are absent or fresh.
        values : dict of array
            What is read, and the vectors and matrices. What is read has the shape (size, width), or
            (T, N, width) in the order of the batch.
        initial : sequence of array or None
            Shape (N, width), in the order of the layout; None if it is zero.
        reverse : bool
            Go through time backwards.
        backward : bool
            Whether states are cotangents: in a backward pass those of fresh rows go to the initial
            states after the step, instead of beginning with them before it.
        keep : bool
            Whether to keep for another run what is made of vectors and matrices.
        """

    def kept_rows(
        self, plan: LoopPlan, layout: Layout, kept: Any, buffers: Sequence[Buffer]
    ) -> Mapping[Buffer, Any]:
        """Return what a run has kept of buffers.

        Parameters
        ----------
        plan, layout
            Those of the run.
        kept
            From it.
        buffers : sequence of Buffer
            Of a state with a history: (T + 1, N, width), in the order of time. Of what is stored and not
            given away: (size, width), zero in absent rows.
        """


def forward(
    target: Target,
    program: Program,
    arrays: Sequence[Any],
    reverse: bool,
    rows: Rows | None,
) -> tuple[Any, ...]:
    """Run the loop forwards.

    Parameters
    ----------
    target : Target
    program : Program
        For broken sequences if there are ``rows``.
    arrays : sequence of array
        Inputs (T, N, ...), initial states (N, width) and parameters.
    reverse : bool
        Go through time backwards.
    rows : Rows, optional
        Which rows take part in which step, as arrays; None if all do.

    Returns
    -------
    tuple of array
        Outputs, final states, and what the backward pass needs, if there is one.
    """
    inputs, initial, _ = _split(program, arrays)
    plan = program.loop
    layout = _layout(target, plan, inputs, rows)
    values = _outside(target, program, program.once, arrays, layout)
    found = target.run_loop(
        plan,
        layout,
        values,
        [layout.ordered(s) for s in initial],
        reverse=reverse,
        backward=False,
        keep=program.backward is None,
    )
    if program.outputs[0] in found.given_away:
        output = found.given_away[program.outputs[0]]
    elif program.broken:
        stored = plan.stored[program.outputs[0]]
        rows = target.kept_rows(plan, layout, found.kept, [stored])[stored]
        output = layout.over_time(rows, target.take_rows)
    else:
        first = plan.states[0]
        history = target.kept_rows(plan, layout, found.kept, [first])[first]
        output = history[:-1] if reverse else history[1:]
    finals = [layout.unordered(f) for f in found.finals]
    return (output, *finals) if found.kept is None else (output, *finals, found.kept)


def adjoint(
    target: Target,
    program: Program,
    arrays: Sequence[Any],
    results: Sequence[Any],
    cotangents: Sequence[Any],
    reverse: bool,
    rows: Rows | None,
) -> dict[int, Any]:
    """Run the loop backwards.

    Parameters
    ----------
    target, program, arrays, reverse, rows
        As for `forward`.
    results : sequence of array
        What `forward` returned.
    cotangents : sequence of array or None
        Of the outputs and of the final states, which are zero if it is None.

    Returns
    -------
    dict of array
        Cotangents of all initial states and of what is wanted, by number of the argument.
    """
    backward = program.backward
    assert backward is not None  # the loop was run to be differentiated
    m, plan = target.namespace, backward.loop
    inputs, initial, _ = _split(program, arrays)
    first, number = len(inputs), len(initial)
    layout = _layout(target, plan, inputs, rows)
    read_behind = bool(backward.after)
    values = _outside(target, program, backward.prepare, arrays, layout, read_behind)
    values.update(_kept(target, program, layout, results[1 + number], reverse))
    values[backward.from_outputs] = _rows(target, layout, cotangents[0], read_behind)
    run(backward.once, values, m)
    found = target.run_loop(
        plan,
        layout,
        values,
        [None if g is None else layout.ordered(g) for g in cotangents[1 : 1 + number]],
        reverse=not reverse,
        backward=True,
        keep=False,
    )
    whole = layout.index is None
    if whole:
        values.update((v, layout.rows_of(a)) for v, a in found.given_away.items())
    if plan.kept:
        values.update(_stored(plan, target.kept_rows(plan, layout, found.kept, plan.kept)))
    values.update(found.sums)
    values.update(_behind(m, program, values, layout))
    wanted = {}
    for i, var in backward.wanted.items():
        if var is None:
            wanted[i] = m.zeros(arrays[i].shape, dtype=arrays[i].dtype)
        else:
            g = found.given_away.get(var)
            if g is None:
                g = layout.over_time(values[var], target.take_rows) if i < first else values[var]
            # a view is no memory of its own, and would be copied
            wanted[i] = g if g.shape == arrays[i].shape else g.reshape(arrays[i].shape)
    starts = found.finals
    if found.released:
        starts = [a + b for a, b in zip(starts, found.released, strict=True)]
    starts = [layout.unordered(g) for g in starts]
    return {**dict(zip(range(first, first + number), starts, strict=True)), **wanted}


def _layout(target: Target, plan: LoopPlan, inputs: Sequence[Any], rows: Rows | None) -> Layout:
    steps, count = inputs[0].shape[:2]
    return layout_of(steps, count, target.blocks(plan, count), rows, target.packed_rows)


def _split(program: Program, arrays: Sequence[Any]) -> tuple[Any, Any, Any]:
    first = len(program.inputs)
    second = first + len(program.states)
    return arrays[:first], arrays[first:second], arrays[second:]


def _rows(target: Target, layout: Layout, array: Any, now: bool) -> Any:
    """Return rows as a loop reads them: packed ``now``, or as they are, for a loop that packs them."""
    if now or array.ndim != 3 or layout.index is None:
        return layout.rows_of(array, target.take_rows)
    return array


def _outside(
    target: Target,
    program: Program,
    once: Sequence[Node],
    arrays: Sequence[Any],
    layout: Layout,
    read_behind: bool = False,
) -> dict[Var, Any]:
    """Return parameters, inputs, and what is made of them before the loop, with time as rows."""
    m = target.namespace
    inputs, _, parameters = _split(program, arrays)
    in_python = read_behind or bool(program.before)
    values = dict(zip(program.parameters, parameters, strict=True))
    run(once, values, m)
    rows = [_rows(target, layout, x, in_python) for x in inputs]
    values.update(zip(program.inputs, rows, strict=True))
    if program.before:
        values.update(_before(m, program, values, layout))
    return values


def _before(m: Any, program: Program, values: Arrays, layout: Layout) -> dict[Var, Any]:
    """Return what is made before the loop. What stands in absent rows is not used for it."""
    size, there = layout.size, None
    given = dict(values)
    if layout.present is not None:
        there = m.nonzero(layout.present)[0]
        size = len(there)
        given.update((v, values[v][there]) for v in program.inputs)
    run(resized(program.before, program.rows, size), given, m)
    made = {output: given[output] for node in program.before for output in node.outputs}
    return made if there is None else _scattered(m, made, program.rows, layout, there)


def _behind(m: Any, program: Program, values: Arrays, layout: Layout) -> dict[Var, Any]:
    """Return what is made behind the loop. What stands in absent rows is not used for it."""
    assert program.backward is not None
    nodes, rows, size, there = program.backward.after, program.rows, layout.size, None
    if not nodes:
        return {}
    given = dict(values)
    if layout.present is not None:
        there = m.nonzero(layout.present)[0]
        size = len(there)
        given = {v: a[there] if v.shape[:1] == (rows,) else a for v, a in given.items()}
    run(resized(nodes, rows, size), given, m)
    made = {output: given[output] for node in nodes for output in node.outputs}
    return made if there is None else _scattered(m, made, rows, layout, there)


def _scattered(m: Any, made: Arrays, rows: int, layout: Layout, there: Any) -> dict[Var, Any]:
    """Return arrays whose rows are those ``there``, with zeros between them."""
    whole = dict(made)
    for var, array in made.items():
        if var.shape[:1] == (rows,):
            whole[var] = m.zeros((layout.size, *array.shape[1:]), dtype=array.dtype)
            whole[var][there] = array
    return whole


def _kept(
    target: Target, program: Program, layout: Layout, kept: Any, reverse: bool
) -> dict[Var, Any]:
    """Return what the loop has kept, by variable."""
    plan = program.loop
    found = target.kept_rows(plan, layout, kept, plan.kept)
    values = _stored(plan, found)
    for var, (state, first) in program.in_histories(reverse).items():
        values[var] = layout.rows_of(found[state][first : first + layout.steps])
    return values


def _stored(plan: LoopPlan, found: Mapping[Buffer, Any]) -> dict[Var, Any]:
    """Return what a loop has stored and kept, by variable."""
    return {
        v: found[b] != 0 if v.dtype == bool_ else found[b]
        for v, b in plan.stored.items()
        if b in found
    }
