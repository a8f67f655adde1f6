"""A traced step, and what of it runs once, at each step, and backwards. Pure data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from minigrad.dispatch import apply
from minigrad.graph import Graph, Node, Var
from minigrad.kernels.passes.dataflow import live_nodes, partition
from minigrad.kernels.passes.differentiate import differentiate
from minigrad.kernels.passes.legalize import Refusal
from minigrad.kernels.passes.resize import resized

_ANY = -(2**32)  # in the place of the number of rows


@dataclass(frozen=True)
class Backward:
    """How to run a step backwards.

    Attributes
    ----------
    graph : Graph
        From the cotangents of the new states to those of the old states, then of ``wanted``.
    wanted : tuple of int
        Which arguments of the loop, beside the states, get a cotangent.
    once, each : list of Node
        The part of the graph that reads parameters only, and the part that runs at each step.
    prepare : tuple of Node
        The part of the forward graph that is made of parameters only and that ``graph`` reads.
    kept_between, kept_within : tuple of Var
        See `kept`.
    """

    graph: Graph
    wanted: tuple[int, ...]
    once: list[Node]
    each: list[Node]
    prepare: tuple[Node, ...]
    kept_between: tuple[Var, ...]
    kept_within: tuple[Var, ...]

    def kept(self, broken: bool) -> tuple[Var, ...]:
        """Return what of the forward graph is kept at each step.

        Usually the states before a step are what the step before it returned, and the outputs are
        at hand. ``broken`` says that this does not hold, because rows are absent or begin anew.
        """
        return self.kept_within if broken else self.kept_between


class TracedStep:
    """The graph of a step, with its inputs sorted by what they are.

    Attributes
    ----------
    graph : Graph
    inputs, states, parameters : tuple of Var
    any_rows : Graph, Refusal or None
        The same with a number of rows that is a prime and divides no other size; why there is none.
    form : tuple
        See `form_of`.
    constant : frozenset of Var
        The states that a step returns as they came: at each step they are the initial ones.
    once, each : list of Node
        The part that reads parameters only, and the part that runs at each step.
    """

    def __init__(
        self, graph: Graph, inputs: int, states: int, any_rows: Graph | Refusal | None = None
    ) -> None:
        self.graph, self.any_rows = graph, any_rows
        self.inputs = graph.inputs[:inputs]
        self.states = graph.inputs[inputs : inputs + states]
        self.parameters = graph.inputs[inputs + states :]
        pairs = zip(self.states, graph.outputs, strict=True)
        self.constant = frozenset(old for old, new in pairs if old is new)
        self.form = form_of(graph, inputs + states)
        self.once, self.each = partition(graph.nodes, (*self.inputs, *self.states))
        self.backward = lru_cache(maxsize=None)(self._backward)

    @cached_property
    def form_for_any_rows(self) -> Any:
        """What the step computes for any number of rows; None if that depends on the number."""
        graph = self.any_rows
        if not isinstance(graph, Graph):
            return None
        nodes = tuple(resized(graph.nodes, graph.inputs[0].shape[0], _ANY))
        return form_of(replace(graph, nodes=nodes), len(self.inputs) + len(self.states))

    def split(self, values: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Split values for all arguments into those for inputs, states and parameters."""
        first, second = len(self.inputs), len(self.inputs) + len(self.states)
        return values[:first], values[first:second], values[second:]

    def on_tensors(self, *values: Any, **parameters: Any) -> tuple[Any, ...]:
        """Run the graph of the step op by op, as the step ran when it was traced."""
        of = dict(zip(self.graph.inputs, (*values, *parameters.values()), strict=True))
        for node in self.graph.nodes:
            args = tuple(of[i] if isinstance(i, Var) else i for i in node.inputs)
            result = apply(node.op, args, node.attributes)
            several = isinstance(result, tuple)
            of.update(zip(node.outputs, result if several else (result,), strict=True))
        return tuple(of[output] for output in self.graph.outputs)

    def _backward(self, wanted: tuple[int, ...]) -> Backward:
        """Return how to get the cotangents of the states and of the arguments ``wanted``."""
        _, states, _ = self.split(range(len(self.graph.inputs)))
        others = tuple(i for i in wanted if i not in states)
        graph = differentiate(self.graph, (*self.states, *(self.graph.inputs[i] for i in others)))
        seeds, read = graph.inputs[: len(states)], dict.fromkeys(graph.inputs[len(states) :])
        fixed = {*self.parameters, *(o for node in self.once for o in node.outputs)}
        once, each = partition(graph.nodes, (*seeds, *(var for var in read if var not in fixed)))
        # what the backward pass reads, and the history of each state it reads; less what is at hand
        history = [
            new
            for old, new in zip(self.states, self.graph.outputs, strict=True)
            if old in read and old not in self.constant
        ]
        output, before = self.graph.outputs[0], set(self.states)
        given = fixed.union(self.inputs, self.constant)
        within = [v for v in read if v not in given]
        between = [v for v in within if v not in before and v is not output]
        between += [v for v in history if v is not output]
        prepare = live_nodes(self.once, read)
        return Backward(
            graph, others, once, each, prepare, tuple(dict.fromkeys(between)), tuple(within)
        )


def form_of(graph: Graph, sequences: int) -> tuple[Any, ...]:
    """Return what a graph computes: without the number of rows, unless an attribute holds it.

    Parameters
    ----------
    graph : Graph
    sequences : int
        How many of its inputs have a row for each sequence: the first ones.
    """
    number = {var: i for i, var in enumerate(graph.inputs)}
    shapes = [
        (var.shape[1:] if i < sequences else var.shape, var.dtype)
        for i, var in enumerate(graph.inputs)
    ]
    computed = []
    for node in graph.nodes:
        inputs = tuple(number[i] if isinstance(i, Var) else repr(i) for i in node.inputs)
        computed.append((node.op, inputs, repr(dict(node.attributes))))
        for output in node.outputs:
            number[output] = len(number)
    outputs = tuple(number[o] if isinstance(o, Var) else repr(o) for o in graph.outputs)
    return sequences, *shapes, *computed, outputs
