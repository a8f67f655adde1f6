"""What runs before a loop, in it, and after it, forwards and backwards.

What does not read a state leaves the loop upwards: time is just more rows there. What the
cotangent of a state does not need leaves the backward loop downwards; there a sum over rows is the sum
over time as well, so that ``transposed(h) @ dz`` over all rows is the gradient of a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minigrad.dispatch import interpreting
from minigrad.graph import Graph, Node, Recorder, Var, ops
from minigrad.kernels.differentiate import differentiate
from minigrad.kernels.normalize import fixed_by, normalize
from minigrad.kernels.partition import partition
from minigrad.kernels.plan import LoopPlan, plan_loop
from minigrad.kernels.simplify import live_nodes


@dataclass(frozen=True, eq=False)
class Backward:
    """The backward pass of a loop.

    Attributes
    ----------
    before : tuple of Node
        What of the forward pass, before its loop, is computed again because it is read.
    once : list of Node
        Made of parameters alone.
    loop : LoopPlan
        Its states are the cotangents of the states.
    after : list of Node
        For the rows of all time steps.
    from_outputs : Var
        The cotangent of the outputs of a step.
    reads : dict of Var
        From the variables of the backward pass to those of the forward pass that they stand for.
    wanted : dict of Var
        What is asked for: the cotangent for each number of an argument, or None.
    """

    before: tuple[Node, ...]
    once: list[Node]
    loop: LoopPlan
    after: list[Node]
    from_outputs: Var
    reads: dict[Var, Var]
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


def make_program(
    graph: Graph, inputs: int, states: int, wanted: Sequence[int] | None, broken: bool = False
) -> Program:
    """Divide the graph of a step, and plan its loops.

    Parameters
    ----------
    graph : Graph
        Traced with a number of rows that is the size of no other axis.
    inputs, states : int
        How many of the graph's inputs are inputs of the step, and states.
    wanted : sequence of int, optional
        The arguments whose cotangents are wanted, beside the states; None for no backward pass.
    broken : bool
        Whether rows may be absent or begin anew, so that the states before a step are not always those
        that the step before it returned.

    Raises
    ------
    minigrad.kernels.normalize.Refusal
        If something in the step has no place in a compiled loop.
    """
    xs, before_states = graph.inputs[:inputs], graph.inputs[inputs : inputs + states]
    parameters = graph.inputs[inputs + states :]
    rows = before_states[0].shape[0]
    derived = None
    if wanted is not None:
        derived = differentiate(graph, (*before_states, *(graph.inputs[i] for i in wanted)))
    read = () if derived is None else derived.inputs[states:]
    extended = Graph(graph.inputs, graph.nodes, (*graph.outputs, *read))
    normal = normalize(extended, parameters, before_states)
    outputs, read_as = normal.outputs[:states], normal.outputs[states:]
    fixed = fixed_by(normal.nodes, parameters)
    once = [node for node in normal.nodes if node.outputs[0] in fixed]
    rest = [node for node in normal.nodes if node.outputs[0] not in fixed]
    before, loop = partition(rest, before_states)
    made_in_loop = {output for node in loop for output in node.outputs}
    # the histories of the states, and what the backward pass reads of a step
    needed = set(read_as)
    kept = dict.fromkeys((outputs[0], *(v for v in read_as if v in made_in_loop)))
    for new, old in zip(outputs, before_states, strict=True):
        if old in needed:
            kept[old if broken else new] = None
    forward = plan_loop(loop, before_states, outputs, tuple(kept), fixed)
    backward = None
    if derived is not None and wanted is not None:
        reads = dict(zip(read, read_as, strict=True))
        again = live_nodes(before, read_as)
        backward = _backward(derived, states, reads, again, fixed, wanted)
    return Program(xs, before_states, parameters, outputs, once, before, forward, backward, rows)


def _backward(
    derived: Graph,
    states: int,
    reads: dict[Var, Var],
    before: tuple[Node, ...],
    fixed: set[Var],
    wanted: Sequence[int],
) -> Backward:
    parameters = [var for var, read in reads.items() if read in fixed]
    seeds = derived.inputs[:states]
    # the cotangent of the first state is what is carried and what comes by the outputs of the step
    carried = Var(seeds[0].shape, seeds[0].dtype)
    from_outputs = Var(seeds[0].shape, seeds[0].dtype)
    with interpreting(Recorder()) as recorder:
        total = ops.add(carried, from_outputs)
    replaced = [
        Node(n.op, tuple(total if i is seeds[0] else i for i in n.inputs), n.attributes, n.outputs)
        for n in derived.nodes
    ]
    outputs = tuple(total if o is seeds[0] else o for o in derived.outputs)
    inputs = (carried, *seeds[1:], from_outputs, *reads)
    whole = Graph(inputs, (*recorder.nodes, *replaced), outputs)
    normal = normalize(whole, parameters, (carried, *seeds[1:]))
    new_states, others = normal.outputs[:states], normal.outputs[states:]
    fixed = fixed_by(normal.nodes, parameters)
    once = [node for node in normal.nodes if node.outputs[0] in fixed]
    rest = [node for node in normal.nodes if node.outputs[0] not in fixed]
    loop = list(live_nodes(rest, new_states))
    inside = set(map(id, loop))
    after = [node for node in rest if id(node) not in inside]
    made = {carried, *seeds[1:], *(output for node in loop for output in node.outputs)}
    asked = (*(i for node in after for i in node.inputs), *others)
    stored = tuple(dict.fromkeys(i for i in asked if isinstance(i, Var) and i in made))
    plan = plan_loop(loop, (carried, *seeds[1:]), new_states, stored, fixed)
    return Backward(
        before, once, plan, after, from_outputs, reads, dict(zip(wanted, others, strict=True))
    )
