"""A program on a target, for one direction of time: it runs forwards, and backwards for a gradient.

Loops are run by the target, what is outside of them by the graph interpreter. Of sequences that all take
part in every step, the target's loops are bound once for each T and N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from minigrad.dtypes import bool_
from minigrad.evaluate import run
from minigrad.graph import Node, Var
from minigrad.kernels.passes.resize import resized
from minigrad.kernels.plan.ir import Buffer, LoopPlan
from minigrad.kernels.plan.program import Program
from minigrad.kernels.runtime.layout import Layout, layout_of
from minigrad.kernels.runtime.rows import Rows
from minigrad.recent import Recent
from minigrad.threads import get_num_threads

Arrays = Mapping[Var, Any]
_MOST = 256  # loops that are bound: of each kind of dense batch, forwards and backwards


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


class Residuals(NamedTuple):
    """What a loop has kept for its backward pass.

    Attributes
    ----------
    plan : LoopPlan
        Of the loop forwards.
    kept : Any
        From its `Run`.
    places : dict of (Buffer, int)
        Where each variable lies: in the rows of a buffer, from this step on.
    """

    plan: LoopPlan
    kept: Any
    places: Mapping[Var, tuple[Buffer, int]]


class BoundLoop(Protocol):
    """The loop of a plan, for layouts of one kind."""

    def run(
        self,
        layout: Layout,
        values: Arrays,
        initial: Sequence[Any],
        keep: bool,
        residuals: Residuals | None = None,
    ) -> Run:
        """Run the loop.

        Parameters
        ----------
        layout : Layout
            Where the rows of each step lie, and which of them are absent or fresh.
        values : dict of array
            What is read, and the vectors and matrices. What is read has the shape (size, width), or
            (T, N, width) in the order of the batch.
        initial : sequence of array or None
            Shape (N, width), in the order of the layout; None if it is zero.
        keep : bool
            Whether to keep for another run what is made of vectors and matrices.
        residuals : Residuals, optional
            What is read, too, in a backward pass.
        """


class Target(Protocol):
    """What runs the loops of plans."""

    namespace: Any

    def blocks(self, plan: LoopPlan, count: int) -> int:
        """Return into how many blocks the sequences are divided."""

    def packed_rows(
        self, lengths: Any, steps: int, portions: int, blocks: int, limit: int
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Return how sequences are divided; see `minigrad.kernels.runtime.layout.layout_of`."""

    def take_rows(self, rows: Any, index: Any) -> Any:
        """Return ``rows[index]``, with zeros where the index, of any shape, is negative."""

    def bind(self, plan: LoopPlan, layout: Layout, reverse: bool, backward: bool) -> BoundLoop:
        """Return what runs the loop of a plan over layouts of one kind.

        Parameters
        ----------
        plan : LoopPlan
        layout : Layout
            Any of this kind, see `Layout.kind`.
        reverse : bool
            Go through time backwards.
        backward : bool
            Whether states are cotangents: in a backward pass those of fresh rows go to the initial
            states after the step, instead of beginning with them before it.
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


class Executable:
    """A program on a target, for one direction of time.

    Parameters
    ----------
    program : Program
    target : Target
    reverse : bool
        Go through time backwards.
    """

    def __init__(self, program: Program, target: Target, reverse: bool) -> None:
        self.program, self._target, self._reverse = program, target, reverse
        self._first = len(program.inputs)
        self._second = self._first + len(program.states)
        self._dense: Recent[Any, tuple[Layout, BoundLoop]] = Recent(_MOST)

    def forward(self, arrays: Sequence[Any], rows: Rows | None) -> tuple[Any, ...]:
        """Run the loop forwards.

        Parameters
        ----------
        arrays : sequence of array
            Inputs (T, N, ...), initial states (N, width) and parameters.
        rows : Rows, optional
            Which rows take part in which step, as arrays; None if all do. The program is one for ragged
            sequences if there are any.

        Returns
        -------
        tuple of array
            Outputs, final states, and the residuals of the backward pass, if there is one.
        """
        program, target, first, second = self.program, self._target, self._first, self._second
        plan, initial = program.loop, arrays[first:second]
        layout, loop = self._bound(arrays[0], rows, False)
        values = self._values(program.once, arrays, layout, False)
        if layout.order is not None:
            initial = [layout.ordered(state) for state in initial]
        found = loop.run(layout, values, initial, program.backward is None)
        if program.outputs[0] in found.given_away:
            output = found.given_away[program.outputs[0]]
        elif program.broken:
            stored = plan.stored[program.outputs[0]]
            ours = target.kept_rows(plan, layout, found.kept, (stored,))[stored]
            output = layout.over_time(ours, target.take_rows)
        else:
            state = plan.states[0]
            history = target.kept_rows(plan, layout, found.kept, (state,))[state]
            output = history[:-1] if self._reverse else history[1:]
        finals = found.finals
        if layout.order is not None:
            finals = [layout.unordered(final) for final in finals]
        return (output, *finals) if found.kept is None else (output, *finals, found.kept)

    def backward(
        self,
        arrays: Sequence[Any],
        results: Sequence[Any],
        cotangents: Sequence[Any],
        rows: Rows | None,
    ) -> dict[int, Any]:
        """Run the loop backwards.

        Parameters
        ----------
        arrays, rows
            Those of `forward`.
        results : sequence of array
            What it returned.
        cotangents : sequence of array or None
            Of the outputs, and of the final states, which are zero if it is None.

        Returns
        -------
        dict of array
            Cotangents of all initial states and of what is wanted, by number of the argument.
        """
        program, target, first, second = self.program, self._target, self._first, self._second
        backward = program.backward
        assert backward is not None  # the loop was run to be differentiated
        m, plan, rows_after = target.namespace, backward.loop, program.rows_after
        layout, loop = self._bound(arrays[0], rows, True)
        values = self._values(backward.prepare, arrays, layout, rows_after)
        from_outputs, *from_finals = cotangents[: 1 + second - first]
        if rows_after:
            from_outputs = layout.rows_of(from_outputs, target.take_rows)
        values[backward.from_outputs] = from_outputs
        if backward.once:
            run(backward.once, values, m)
        if layout.order is not None:
            from_finals = [None if g is None else layout.ordered(g) for g in from_finals]
        places = program.places[self._reverse]
        residuals = Residuals(program.loop, results[1 + second - first], places)
        found = loop.run(layout, values, from_finals, False, residuals)
        values.update(found.sums)
        if rows_after:
            values.update(rows_kept(target, layout, residuals))
            if layout.index is None:
                values.update((v, layout.rows_of(a)) for v, a in found.given_away.items())
            if plan.kept:
                values.update(_stored(plan, target.kept_rows(plan, layout, found.kept, plan.kept)))
            values.update(_behind(m, program, values, layout))
        elif backward.after:
            run(backward.after, values, m)
        wanted = {}
        for i, var in backward.wanted.items():
            array = arrays[i]
            if var is None:
                wanted[i] = m.zeros(array.shape, dtype=array.dtype)
                continue
            g = found.given_away.get(var)
            if g is None:
                g = layout.over_time(values[var], target.take_rows) if i < first else values[var]
            # a view is no memory of its own, and would be copied
            wanted[i] = g if g.shape == array.shape else g.reshape(array.shape)
        starts = found.finals
        if found.released:
            starts = [a + b for a, b in zip(starts, found.released, strict=True)]
        if layout.order is not None:
            starts = [layout.unordered(g) for g in starts]
        wanted.update(zip(range(first, second), starts, strict=True))
        return wanted

    def _bound(self, x: Any, rows: Rows | None, backward: bool) -> tuple[Layout, BoundLoop]:
        """Return the layout for an input (T, N, ...), and the loop of one direction of the gradient."""
        steps, count = x.shape[:2]
        if rows is not None:
            return self._bind(steps, count, rows, backward)
        key = steps, count, backward, get_num_threads()
        found = self._dense.get(key)
        if found is None:
            found = self._dense.put(key, self._bind(steps, count, None, backward))
        return found

    def _bind(
        self, steps: int, count: int, rows: Rows | None, backward: bool
    ) -> tuple[Layout, BoundLoop]:
        program, target, reverse = self.program, self._target, self._reverse
        plan = program.loop
        if backward:
            assert program.backward is not None
            plan, reverse = program.backward.loop, not reverse
        layout = layout_of(steps, count, target.blocks(plan, count), rows, target.packed_rows)
        return layout, target.bind(plan, layout, reverse, backward)

    def _values(
        self, once: Sequence[Node], arrays: Sequence[Any], layout: Layout, rows_after: bool
    ) -> dict[Var, Any]:
        """Return parameters, inputs, and what is made of them before the loop, with time as rows."""
        program, target = self.program, self._target
        values: dict[Var, Any] = dict(zip(program.parameters, arrays[self._second :], strict=True))
        if once:
            run(once, values, target.namespace)
        inputs = arrays[: self._first]
        if rows_after or program.before:  # the interpreter reads them; a loop packs its rows itself
            inputs = [layout.rows_of(x, target.take_rows) for x in inputs]
        values.update(zip(program.inputs, inputs, strict=True))
        if program.before:
            values.update(_before(target.namespace, program, values, layout))
        return values


def executable_of(program: Program, target: Target, reverse: bool) -> Executable:
    """Return the executable of a program; the second time it is cached."""
    found: Executable | None = program.executables.get((target, reverse))
    if found is None:
        found = Executable(program, target, reverse)
        program.executables[target, reverse] = found
    return found


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


def rows_kept(target: Target, layout: Layout, residuals: Residuals) -> dict[Var, Any]:
    """Return the rows (size, width) of all residuals, by variable."""
    plan, kept, places = residuals
    found = target.kept_rows(plan, layout, kept, plan.kept)
    values = {}
    for var, (buffer, first) in places.items():
        rows = found[buffer]
        if buffer.kind == "history":
            rows = layout.rows_of(rows[first : first + layout.steps])
        values[var] = rows != 0 if var.dtype == bool_ else rows
    return values


def _stored(plan: LoopPlan, found: Mapping[Buffer, Any]) -> dict[Var, Any]:
    """Return what a loop has stored and kept, by variable."""
    return {
        v: found[b] != 0 if v.dtype == bool_ else found[b]
        for v, b in plan.stored.items()
        if b in found
    }
