"""Run a loop on random values, in each of the ways there are, and collect all that comes out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy

from minigrad.autograd import grad
from minigrad.backends import backend_named
from minigrad.errors import KernelError
from minigrad.evaluate import evaluate
from minigrad.graph import Graph, Var
from minigrad.kernels.certificate.case import Case
from minigrad.kernels.certificate.subject import Subject
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.runtime.rows import rows_of
from minigrad.kernels.scan import Compile, scan
from minigrad.tensor import Tensor, tensor

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Values:
    """The arguments of a loop, as arrays.

    Attributes
    ----------
    inputs, states, parameters : dict of array
    rows : dict
        ``lengths``, ``mask`` and ``reset``, those that are given.
    reverse : bool
    cotangents : list of array
        Of the outputs and of the final states.
    """

    inputs: Arrays
    states: Arrays
    parameters: Arrays
    rows: Mapping[str, Any]
    reverse: bool
    cotangents: Sequence[Any]

    @property
    def steps(self) -> int:
        """T."""
        return int(next(iter(self.inputs.values())).shape[0])

    @property
    def count(self) -> int:
        """N."""
        return int(next(iter(self.states.values())).shape[0])

    @property
    def arguments(self) -> Arrays:
        """All inputs, states and parameters."""
        return {**self.inputs, **self.states, **self.parameters}

    @property
    def floats(self) -> Arrays:
        """The arguments that have gradients."""
        return {name: a for name, a in self.arguments.items() if a.dtype.kind == "f"}

    @property
    def results_of_steps(self) -> list[str]:
        """The names of results with the shape (T, N, ...)."""
        return ["outputs", *(_gradient(name) for name in self.inputs if name in self.floats)]

    @property
    def results_of_rows(self) -> list[str]:
        """The names of results with the shape (N, ...)."""
        gradients = [_gradient(name) for name in self.states if name in self.floats]
        return [*map(_final, self.states), *gradients]

    def present(self) -> Any:
        """Return which rows take part in which step, shape (T, N)."""
        found = numpy.ones((self.steps, self.count), dtype=bool)
        if "lengths" in self.rows:
            found &= numpy.arange(self.steps)[:, None] < self.rows["lengths"]
        return found & self.rows.get("mask", True)

    def replaced(self, arrays: Mapping[str, Any]) -> Values:
        """Return the same loop with other values for some arguments."""
        groups = (self.inputs, self.states, self.parameters)
        new = [{name: arrays.get(name, old) for name, old in group.items()} for group in groups]
        return replace(self, inputs=new[0], states=new[1], parameters=new[2])


def values_of(subject: Subject, case: Case) -> Values:
    """Draw the values of a case: the same ones each time."""
    rng = numpy.random.default_rng(case.seed)
    steps, count = case.steps, case.rows
    rows: dict[str, Any] = {}  # drawn first: they are the same for other sizes
    if case.lengths:
        rows["lengths"] = rng.integers(0, steps + 1, count)
    if case.mask:
        rows["mask"] = rng.random((steps, count)) < 0.7
    if case.reset:
        rows["reset"] = rng.random((steps, count)) < 0.3
    inputs = {name: source.draw(rng, steps, count) for name, source in subject.inputs.items()}
    states = {name: source.draw(rng, count) for name, source in subject.states.items()}
    parameters = {name: source.draw(rng) for name, source in subject.parameters.items()}
    finals = list(states.values())
    shapes = [(steps, *finals[0].shape), *(final.shape for final in finals)]
    cotangents = [rng.uniform(-1, 1, shape) for shape in shapes]
    return Values(inputs, states, parameters, rows, case.reverse, cotangents)


def results_of(
    subject: Subject,
    values: Values,
    compile: Compile | None = None,
    dtype: str = "float64",
    gradients: bool = True,
) -> Arrays:
    """Run the loop on tensors.

    Parameters
    ----------
    subject : Subject
    values : Values
    compile : {"auto", "require", "never"}, optional
        As for `scan`; by default "require" if the loop can be compiled, else "auto".
    dtype : str
        Of all floating-point numbers.
    gradients : bool
        Whether to pull the cotangents back.

    Returns
    -------
    dict of array
        ``"outputs"``, ``"final h"`` for each state, and ``"gradient of w"`` for each argument with a
        floating-point dtype.
    """
    given = {name: _tensor(a, dtype, gradients) for name, a in values.arguments.items()}
    results = _looped(subject, values, given, compile)
    names = ["outputs", *map(_final, values.states)]
    found = {name: r.detach().numpy() for name, r in zip(names, results, strict=True)}
    if gradients:
        found.update(_pulled_back(results, given, values.cotangents))
    return found


def results_in_chunks(subject: Subject, values: Values, borders: Sequence[int]) -> Arrays:
    """Run the loop as `results_of` does, in chunks of time that hand on their states.

    Parameters
    ----------
    subject : Subject
    values : Values
        Without resets: the initial state of a chunk is not that of the whole.
    borders : sequence of int
        Where a chunk begins, other than the first.
    """
    given = {name: _tensor(a, "float64", True) for name, a in values.arguments.items()}
    edges = [0, *borders, values.steps]
    chunks = [slice(a, b) for a, b in pairwise(edges)]
    now, outputs = dict(given), {}
    for chunk in chunks[::-1] if values.reverse else chunks:
        rows = {name: flags[chunk] for name, flags in values.rows.items() if name != "lengths"}
        if "lengths" in values.rows:
            behind = values.rows["lengths"] - chunk.start
            rows["lengths"] = numpy.clip(behind, 0, chunk.stop - chunk.start)
        now.update({name: given[name][chunk] for name in values.inputs})
        outputs[chunk.start], *finals = _looped(subject, replace(values, rows=rows), now, None)
        now.update(zip(values.states, finals, strict=True))
    parts = [outputs[chunk.start] for chunk in chunks]
    finals = [now[name] for name in values.states]
    first, *others = values.cotangents
    cotangents = [*(first[chunk] for chunk in chunks), *others]
    return {
        "outputs": numpy.concatenate([part.detach().numpy() for part in parts]),
        **{_final(name): now[name].detach().numpy() for name in values.states},
        **_pulled_back([*parts, *finals], given, cotangents),
    }


def results_along_graph(subject: Subject, values: Values) -> list[Any]:
    """Run the graph of the step on arrays, also on complex ones, and return outputs and final states."""
    graph = graph_of(subject, values)
    m = backend_named("numpy").namespace
    given = [values.rows.get(name) for name in ("lengths", "mask", "reset")]
    rows = rows_of("certify", values.steps, values.count, "cpu", *given)
    rows = rows and rows.as_arrays()
    parameters = tuple(values.parameters.values())

    def compute(xs: Sequence[Any], states: Sequence[Any]) -> Sequence[Any]:
        return evaluate(graph, (*xs, *states, *parameters), m)

    initial = tuple(values.states.values())
    current: Sequence[Any] = initial
    outputs = []
    for t in reversed(range(values.steps)) if values.reverse else range(values.steps):
        xs = [x[t] for x in values.inputs.values()]
        if rows is None:
            current = compute(xs, current)
            outputs.append(current[0])
        else:
            output, current = rows.advance(m, t, compute, xs, current, initial)
            outputs.append(output)
    if values.reverse:
        outputs.reverse()
    return [numpy.stack(outputs) if outputs else numpy.zeros((0, *initial[0].shape)), *current]


def graph_of(subject: Subject, values: Values) -> Graph:
    """Trace the step for values of these shapes."""

    def variables(arrays: Arrays, first: int) -> dict[str, Var]:
        return {
            name: Var(array.shape[first:], _kind(array), name) for name, array in arrays.items()
        }

    inputs, states = variables(values.inputs, 1), variables(values.states, 0)
    return trace(
        subject.step, [*inputs.values()], [*states.values()], variables(values.parameters, 0)
    )


def refusal_of(subject: Subject) -> str:
    """Return why the loop is not compiled; an empty string if it is.

    Raises
    ------
    TraceError
        If the step is none that a loop can have.
    """
    for flags in ({}, {"mask": True}):
        values = values_of(subject, Case(3, 2, **flags))
        try:
            results_of(subject, values, compile="require")
        except KernelError as error:
            results_of(subject, values, compile="auto")  # is there a loop, with no compiler at all?
            reason = str(error).partition(" cannot be compiled: ")[2]
            return reason.removesuffix("; use compile='auto'") or str(error)
    return ""


def _kind(array: Any) -> Any:
    return numpy.dtype("float64") if array.dtype.kind == "c" else array.dtype


def _tensor(array: Any, dtype: str, requires_grad: bool = False) -> Tensor:
    if array.dtype.kind != "f":
        return tensor(array, device="cpu")
    return tensor(array.astype(dtype), device="cpu", requires_grad=requires_grad)


def _looped(
    subject: Subject, values: Values, given: Mapping[str, Tensor], compile: Compile | None
) -> list[Tensor]:
    way: Compile = compile or ("auto" if subject.refusal else "require")
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the certificate says itself what is not compiled
        outputs, finals = scan(
            subject.step,
            tuple(given[name] for name in values.inputs),
            tuple(given[name] for name in values.states),
            {name: given[name] for name in values.parameters},
            reverse=values.reverse,
            compile=way,
            **values.rows,
        )
    return [outputs, *finals]


def _pulled_back(
    results: Sequence[Tensor], given: Mapping[str, Tensor], cotangents: Sequence[Any]
) -> Arrays:
    leaves = {name: leaf for name, leaf in given.items() if leaf.requires_grad}
    pairs = [
        (result, tensor(g, dtype=result.dtype, device=result.device))
        for result, g in zip(results, cotangents, strict=True)
        if result.requires_grad
    ]
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if pairs and leaves:
        ys, gs = zip(*pairs, strict=True)
        found = grad(ys, [*leaves.values()], gs, allow_unused=True)
    return {
        _gradient(name): numpy.zeros(leaf.shape, leaf.dtype) if g is None else g.numpy()
        for (name, leaf), g in zip(leaves.items(), found, strict=True)
    }


def _final(state: str) -> str:
    return f"final {state}"


def _gradient(argument: str) -> str:
    return f"gradient of {argument}"
