"""The graphs of steps: each is traced and verified once for the shapes and dtypes of its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from minigrad.dtypes import get_default_dtype
from minigrad.graph import Var
from minigrad.kernels.cell import Step
from minigrad.kernels.recent import Recent, table_of
from minigrad.kernels.step import TracedStep
from minigrad.kernels.surroundings import surroundings_of
from minigrad.kernels.trace import argument_names, trace
from minigrad.kernels.verify import verify

Spec = tuple[tuple[int, ...], Any]  # a shape and a dtype

_MOST = 1000
_verified: Recent[Any, bool] = Recent(_MOST)  # the forms of steps in which rows do not mix
_traces: WeakKeyDictionary[Any, Recent[Any, TracedStep]] = WeakKeyDictionary()


def traced_step(
    step: Step, inputs: Sequence[Spec], states: Sequence[Spec], parameters: Mapping[str, Spec]
) -> TracedStep:
    """Return the graph of a step; the second time it is at hand.

    Parameters
    ----------
    step : callable
    inputs, states : sequence of (shape, dtype)
        Of one time step, with N first.
    parameters : dict of (shape, dtype)
    """
    surroundings = surroundings_of(step)

    def traced() -> TracedStep:
        names = argument_names(step, len(inputs), len(states))
        given = [Var(*spec, name) for spec, name in zip((*inputs, *states), names, strict=True)]
        graph = trace(
            step,
            given[: len(inputs)],
            given[len(inputs) :],
            {name: Var(*spec, name) for name, spec in parameters.items()},
        )
        made = TracedStep(graph, len(inputs), len(states))
        if made.form not in _verified:
            verify(step, graph, len(inputs), len(states))
            if states[0][0][0] > 1:  # a single row mixes with no other
                _verified.put(made.form, True)
        return made

    if surroundings is None:
        return traced()
    specs = tuple(inputs), tuple(states), tuple(parameters.items())
    key = (*specs, (get_default_dtype(), surroundings))
    return table_of(_traces, step, _MOST).found(key, traced)
