"""What runs before a loop, in it, and after it, forwards and backwards.

Nearly everything stays in the loop: there the values of a row are in registers, or at least in a cache.
Only what has no place in it leaves: forwards, before the loop, what does not depend on the states;
backwards, behind the loop, sums over the rows of all steps. Such a sum, ``transposed(h) @ dz``, is the
gradient of a matrix.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from minigrad.dispatch import interpreting
from minigrad.graph import Graph, Node, Recorder, Var, ops
from minigrad.kernels.passes.dataflow import live_nodes
from minigrad.kernels.passes.differentiate import differentiate
from minigrad.kernels.passes.legalize import Refusal, fixed_by, normalize
from minigrad.kernels.passes.rematerialize import choose_kept
from minigrad.kernels.plan.ir import Buffer, LoopPlan, RowSum
from minigrad.kernels.plan.schedule import plan_loop


@dataclass(frozen=True, eq=False)
class Backward:
    """The backward pass of a loop.

    Attributes
    ----------
    prepare, once : list of Node
        Made of parameters alone: what of the forward pass is read here, and what else.
    loop : LoopPlan
        Its states are the cotangents of the states. It sums over the rows of all steps, too.
    after : list of Node
        Behind the loop: what is made of the sums, and what else is for the rows of all time steps.
    from_outputs : Var
        The cotangent of the outputs of a step.
    wanted : dict of Var
        What is asked for: the cotangent for each number of an argument, or None.
    """

    prepare: list[Node]
    once: list[Node]
    loop: LoopPlan
    after: list[Node]
    from_outputs: Var
    wanted: dict[int, Any]


@dataclass(frozen=True, eq=False)
class Program:
    """A step made ready to be run for all time steps.

    Attributes
    ----------
    inputs, states, parameters : tuple of Var
        The arguments of the step.
    outputs : tuple of Var
        The new states.
    once, before : list of Node
        Made of parameters alone; made of inputs, for the rows of all time steps.
    loop : LoopPlan
    backward : Backward or None
    rows : int
        The number of rows that the step was traced with.
    broken : bool
        Whether rows may be absent or begin anew.
    executables : dict
        Its `minigrad.kernels.runtime.executable.Executable`, for each target and direction of time.
    """

    inputs: tuple[Var, ...]
    states: tuple[Var, ...]
    parameters: tuple[Var, ...]
    outputs: tuple[Var, ...]
    once: list[Node]
    before: list[Node]
    loop: LoopPlan
    backward: Backward | None
    rows: int
    broken: bool
    executables: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def places(self) -> tuple[Mapping[Var, tuple[Buffer, int]], ...]:
        """Where the loop has what it keeps: in which buffer, and from which step on.

        Two of them: for a loop forwards in time, and backwards in time.
        """
        return self._places(reverse=False), self._places(reverse=True)

    def _places(self, reverse: bool) -> dict[Var, tuple[Buffer, int]]:
        loop, kept = self.loop, set(self.loop.kept)
        found = {var: (buffer, 0) for var, buffer in loop.stored.items() if buffer in kept}
        for state, old, new in zip(loop.states, self.states, self.outputs, strict=True):
            if state.kind == "history":
                found[old], found[new] = (state, int(reverse)), (state, int(not reverse))
        return found

    @cached_property
    def rows_after(self) -> bool:
        """Whether rows of all time steps are read after the backward loop."""
        backward = self.backward
        assert backward is not None  # asked for in a backward pass
        read = [i for node in backward.after for i in node.inputs]
        read += [v for v in backward.wanted.values() if v not in backward.loop.given_away]
        return any(isinstance(i, Var) and i.shape[:1] == (self.rows,) for i in read)


def make_program(
    graph: Graph, inputs: int, states: int, wanted: Sequence[int] | None, broken: bool = False
) -> Program:
    """Divide the graph of a step, and plan its loops.

    Parameters
    ----------
    graph : Graph
        Traced with a number of rows that is a prime and divides the size of no other axis.
    inputs, states : int
        How many of the graph's inputs are inputs of the step, and states.
    wanted : sequence of int, optional
        The arguments whose cotangents are wanted, beside the states; None for no backward pass.
    broken : bool
        Whether rows may be absent or begin anew, so that the states before a step are not always those
        that the step before it returned.

    Raises
    ------
    minigrad.kernels.passes.legalize.Refusal
        If something in the step has no place in a compiled loop.
    """
    xs, olds = graph.inputs[:inputs], graph.inputs[inputs : inputs + states]
    parameters = graph.inputs[inputs + states :]
    derived = None
    if wanted is not None:
        derived = differentiate(graph, (*olds, *(graph.inputs[i] for i in wanted)))
    read = () if derived is None else derived.inputs[states:]
    extended = Graph(graph.inputs, graph.nodes, (*graph.outputs, *read))
    normal = normalize(extended, parameters, olds)
    news, read_as = normal.graph.outputs[:states], normal.graph.outputs[states:]
    rows = olds[0].shape[0]
    fixed = fixed_by(normal.graph.nodes, parameters, rows)
    once = [node for node in normal.graph.nodes if node.outputs[0] in fixed]
    rest = [node for node in normal.graph.nodes if node.outputs[0] not in fixed]
    before = list(live_nodes(rest, normal.outside))
    early = {output for node in before for output in node.outputs}
    loop = [node for node in rest if node.outputs[0] not in early]

    needed = dict.fromkeys(read_as)
    histories = () if broken else _histories(olds, news, needed)
    cheap = {olds[k] for k in histories}.union(news[k] for k in histories)
    if broken:
        cheap.add(news[0])  # stored anyway: the output

    def cost(var: Var) -> int:
        return 0 if var in cheap else var.shape[1]

    at_hand = {*xs, *fixed, *early}
    kept, again = choose_kept(loop, tuple(needed), at_hand, cost)
    if not broken:
        histories = _histories(olds, news, {*needed, *kept})
        cheap = {olds[k] for k in histories}.union(news[k] for k in histories)
    else:
        cheap = set()
    stored = dict.fromkeys([news[0]] if broken else [])
    stored.update(dict.fromkeys(v for v in kept if v not in cheap))
    output = frozenset({news[0]} if broken else ())
    backward = None
    forward = plan_loop(
        loop,
        olds,
        news,
        tuple(stored),
        fixed,
        histories,
        broken,
        given_away=output if derived is None else frozenset(),  # a backward pass reads it
        spread=output,
    )
    if derived is not None and wanted is not None:
        names = dict(zip(read, read_as, strict=True))
        backward = _backward(derived, states, names, again, fixed, once, before, wanted, broken)
    return Program(xs, olds, parameters, news, once, before, forward, backward, rows, broken)


def _histories(olds: Sequence[Var], news: Sequence[Any], read: Collection[Any]) -> tuple[int, ...]:
    """Return the numbers of the states that are kept of all steps: the output, and those read."""
    pairs = enumerate(zip(olds, news, strict=True))
    return tuple(k for k, (old, new) in pairs if k == 0 or old in read or new in read)


def _backward(
    derived: Graph,
    states: int,
    read: dict[Var, Any],
    again: Sequence[Node],
    fixed: set[Var],
    made_once: Sequence[Node],
    before: Sequence[Node],
    wanted: Sequence[int],
    broken: bool,
) -> Backward:
    seeds = derived.inputs[:states]
    # the cotangent of the first state is what is carried and what comes by the outputs of the step
    carried = Var(seeds[0].shape, seeds[0].dtype)
    from_outputs = Var(seeds[0].shape, seeds[0].dtype)
    with interpreting(Recorder()) as recorder:
        total = ops.add(carried, from_outputs)
    known_as: dict[Any, Any] = {**read, seeds[0]: total}
    replaced = [
        replace(n, inputs=tuple(_renamed(i, known_as) for i in n.inputs)) for n in derived.nodes
    ]
    nodes = (*recorder.nodes, *again, *replaced)
    made = {output for node in nodes for output in node.outputs}
    given = dict.fromkeys(
        i for node in nodes for i in node.inputs if isinstance(i, Var) and i not in made
    )
    outputs = tuple(_renamed(o, known_as) for o in derived.outputs)
    given.update(dict.fromkeys(o for o in outputs if isinstance(o, Var) and o not in made))
    varying = (carried, *seeds[1:])
    inputs = tuple(dict.fromkeys((*varying, from_outputs, *given)))
    parameters = [var for var in inputs if var in fixed]
    normal = normalize(Graph(inputs, nodes, outputs), parameters, varying, backward=True)
    new_states, others = normal.graph.outputs[:states], normal.graph.outputs[states:]
    fixed = fixed_by(normal.graph.nodes, parameters, carried.shape[0])
    once = [node for node in normal.graph.nodes if node.outputs[0] in fixed]
    rest = [node for node in normal.graph.nodes if node.outputs[0] not in fixed]
    outside = normal.outside
    for node in live_nodes(rest, new_states):
        if node.outputs[0] in outside:
            why = outside[node.outputs[0]]
            raise Refusal(f"in its backward pass, {why.args[0]}", why.line)
    behind = [node for node in live_nodes(rest, others) if node.outputs[0] in outside]
    sums, after = _row_sums(behind, others)
    summed = [i for s in sums for i in (s.left, s.right)]
    read_behind = [*(i for node in after for i in node.inputs), *others]
    asked = dict.fromkeys(v for v in (*summed, *read_behind) if isinstance(v, Var))
    inner = [node for node in rest if node.outputs[0] not in outside]
    loop = live_nodes(inner, (*new_states, *asked))
    looped = {*varying, *(output for node in loop for output in node.outputs)}
    stored = tuple(v for v in asked if v in looped)
    kept = frozenset(stored)
    given_away = kept.intersection(others)
    if broken:  # what is read behind the loop stays in the order that rows have in it
        given_away = given_away.difference(i for node in after for i in node.inputs)
    plan = plan_loop(
        loop,
        varying,
        new_states,
        stored,
        fixed,
        (),
        broken,
        given_away=given_away,
        spread=given_away if broken else frozenset(),
        passing=kept.difference(read_behind),
        sums=sums,
    )
    read_early = [i for node in (*before, *once, *after) for i in node.inputs]
    prepare = list(live_nodes(made_once, (*plan.fixed, *read_early, *others)))
    return Backward(
        prepare, once, plan, after, from_outputs, dict(zip(wanted, others, strict=True))
    )


def _renamed(value: Any, names: dict[Any, Any]) -> Any:
    return names.get(value, value) if isinstance(value, Var) else value


def _row_sums(behind: Sequence[Node], others: Sequence[Any]) -> tuple[list[RowSum], list[Node]]:
    """Return the sums over rows among nodes, and the nodes that are left."""
    made = {output for node in behind for output in node.outputs}
    turned = {
        n.outputs[0]: n.inputs[0]
        for n in behind
        if n.op.name == "matrix_transpose"
        and n.inputs[0] not in made
        and len(n.inputs[0].shape) == 2
    }
    sums: list[RowSum] = []
    left: list[Node] = []
    for node in behind:
        x, (result,) = node.inputs[0], node.outputs[:1]
        if node.op.name == "matmul" and x in turned and node.inputs[1] not in made:
            sums.append(RowSum(turned[x], node.inputs[1], result))
        elif (
            node.op.name == "sum_to"
            and x not in made
            and len(x.shape) == 2
            and result.size == x.shape[1]
        ):
            sums.append(RowSum(x, None, result))
        else:
            left.append(node)
    return sums, list(live_nodes(left, others))
