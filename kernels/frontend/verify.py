"""Refuse a step whose rows mix: each row of the batch is a sequence of its own.

Otherwise padding would change results, and a loop could not be divided between threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from minigrad.backends import backend_named
from minigrad.errors import TraceError
from minigrad.evaluate import evaluate
from minigrad.graph import Graph, Var
from minigrad.kernels.frontend.trace import definition, name_of

_NOISE = numpy.random.default_rng(0).uniform(-1, 1, size=8191)


def verify(step: Callable[..., Any], graph: Graph, inputs: int, states: int) -> None:
    """Run the graph of a step with another first row, and with others behind it, and look at the rest.

    Products of matrices of one shape compute each row in the same way, so that rows which do not
    depend on those that changed stay the same to the last bit.

    Parameters
    ----------
    step : callable
        For the message.
    graph : Graph
    inputs, states : int
        How many of the graph's inputs have the batch as their first axis.

    Raises
    ------
    TraceError
        If a row of a new state depends on another row of the inputs or of the states.
    """
    names = [var.name for var in graph.inputs[inputs : inputs + states]]
    first, others = slice(None, 1), slice(1, None)
    for changing, staying in ((first, others), (others, first)):
        for integer in (1, 0):  # it may be an index, and 1 out of range
            found = _before_and_after(graph, inputs + states, changing, integer)
            if found is not None:
                break
        else:  # made-up numbers do not suit every step
            return
        for name, old, new in zip(names, *found, strict=True):
            same = numpy.array_equal(old[staying], new[staying], equal_nan=old.dtype.kind == "f")
            if not same:
                raise TraceError(
                    f"in step {name_of(step)!r}, at {definition(step)}: it mixes rows of the batch: "
                    f"the new state {name!r} of one row depends on another row\n"
                    "  let reductions, splits and products work on the last axis, not on axis 0; or "
                    "run it on tensors with compile='never'"
                )


def _before_and_after(
    graph: Graph, batched: int, changing: slice, integer: int
) -> tuple[Any, Any] | None:
    """Return the new states, and those with other rows ``changing``; None if they cannot be computed.

    Parameters
    ----------
    graph : Graph
    batched : int
        How many of its inputs have the batch as their first axis.
    changing : slice
    integer : int
        What the integers, which are zero, change to.
    """
    values = [_noise(var, start) for start, var in enumerate(graph.inputs)]
    changed = [value.copy() for value in values]
    for var, value in zip(graph.inputs[:batched], changed, strict=False):
        other = _noise(Var(value[changing].shape, var.dtype), 99)
        value[changing] = integer if var.dtype.kind in "iu" else other
    m = backend_named("numpy").namespace
    with numpy.errstate(all="ignore"):
        try:
            return evaluate(graph, values, m), evaluate(graph, changed, m)
        except (IndexError, ValueError):
            return None


def _noise(var: Var, start: int) -> Any:
    """Return made-up values; zeros for integers, which may be indices."""
    if var.dtype.kind in "iu":
        return numpy.zeros(var.shape, var.dtype)
    values = numpy.resize(_NOISE[start:], var.shape)
    return values > 0 if var.dtype.kind == "b" else values.astype(var.dtype)
