"""Turn a step function into a graph, by running it once on variables."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from minigrad.dispatch import interpreting
from minigrad.errors import (
    MinigradError,
    TraceError,
    is_user_code,
    is_user_frame,
    source_line,
)
from minigrad.graph import Graph, Line, Recorder, Var
from minigrad.kernels.passes.dataflow import live_nodes
from minigrad.op import Op


def trace(
    step: Callable[..., Any],
    inputs: Sequence[Var],
    states: Sequence[Var],
    parameters: Mapping[str, Var],
) -> Graph:
    """Record what ``step(*inputs, *states, **parameters)`` computes.

    Numbers that the step reads from outside, and attributes such as axes, become constants.

    Parameters
    ----------
    step : callable
        Returns the new states: one variable, or a tuple of them.
    inputs, states : sequence of Var
    parameters : dict of Var
        Passed by name.

    Returns
    -------
    Graph
        Its inputs are inputs, states and parameters, its outputs the new states.

    Raises
    ------
    TraceError
        If the step branches on a value, uses a tensor it was not given, draws random numbers, or
        returns something else than new states with the shapes and dtypes of the old ones. It names
        the user's line.
    MinigradError
        What an op in the step raised, with the name of the step.
    """
    graph = record(step, inputs, states, parameters)
    check_repeats(step, graph, record(step, inputs, states, parameters))
    return graph


def check_repeats(step: Callable[..., Any], graph: Graph, again: Graph) -> None:
    """Refuse a step of which two traces, with the same arguments, differ.

    Raises
    ------
    TraceError
    """
    for first, second in zip(_structure(graph), _structure(again), strict=False):
        if first != second:
            raise TraceError(
                f"in step {name_of(step)!r}, at {definition(step)}: it computes something else each "
                f"time it is called ({first[0]} with {first[1]}, then {second[0]} with {second[1]})\n"
                "  draw random numbers and count calls outside of the step, and pass them to it"
            )


class _StepRecorder(Recorder):
    """Notes the line of the step that calls each op."""

    def apply(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        self.line = _calling_line()
        return super().apply(op, args, attrs)


def record(
    step: Callable[..., Any],
    inputs: Sequence[Var],
    states: Sequence[Var],
    parameters: Mapping[str, Var],
) -> Graph:
    """Run a step on variables once; see `trace`, which also runs it again and compares."""
    given = (*inputs, *states, *parameters.values())
    with interpreting(_StepRecorder()) as recorder:
        try:
            returned = step(*inputs, *states, **parameters)
        except MinigradError as error:
            raise type(error)(f"in step {name_of(step)!r}: {error}") from error
        except Exception as error:
            raise TraceError(
                f"in step {name_of(step)!r}, at {_failing_line(error) or definition(step)}\n"
                f"  {type(error).__name__}: {error}"
            ) from error
    outputs = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
    _check_states(step, outputs, states)
    known = set(given)
    for node in recorder.nodes:
        known.update(node.outputs)
    for value in (*outputs, *(i for node in recorder.nodes for i in node.inputs)):
        if isinstance(value, Var) and value not in known:
            raise TraceError(
                f"in step {name_of(step)!r}, at {definition(step)}: it uses {value!r}, a value of "
                "another trace\n  a step must return its results, not store them"
            )
    return Graph(given, live_nodes(recorder.nodes, outputs), outputs)


def _check_states(
    step: Callable[..., Any], outputs: tuple[Any, ...], states: Sequence[Var]
) -> None:
    where = f"in step {name_of(step)!r}, at {definition(step)}"
    names = ", ".join(s.name for s in states)
    for value in outputs:
        if not isinstance(value, Var):
            raise TraceError(
                f"{where}: it returns {'a ' * (value is not None)}"
                f"{type(value).__name__ if value is not None else 'None'}, which was not computed "
                f"from its arguments\n  return the new value of {names}"
            )
    if len(outputs) != len(states):
        raise TraceError(
            f"{where}: it returns {len(outputs)} value{'s' * (len(outputs) != 1)}, but it was given "
            f"{len(states)} state{'s' * (len(states) != 1)} ({names})\n"
            "  return the new value of each state, in the same order"
        )
    for value, state in zip(outputs, states, strict=True):
        if (value.shape, value.dtype) != (state.shape, state.dtype):
            raise TraceError(
                f"{where}: state {state.name!r} comes in as {state.dtype}{list(state.shape)} and "
                f"goes out as {value.dtype}{list(value.shape)}\n"
                "  give the initial state, the inputs and the parameters the shapes and the dtype "
                "that the step keeps"
            )


def _structure(graph: Graph) -> list[tuple[str, str]]:
    """Return op, arguments and attributes of each node, with positions in place of variables."""
    position = {var: i for i, var in enumerate(graph.inputs)}
    rows = []
    for node in graph.nodes:
        args = [f"#{position[i]}" if isinstance(i, Var) else repr(i) for i in node.inputs]
        args += [f"{key}={value!r}" for key, value in node.attributes.items()]
        rows.append((node.op.name, ", ".join(args)))
        for output in node.outputs:
            position[output] = len(position)
    rows.append(("return", ", ".join(f"#{position[o]}" for o in graph.outputs)))
    return rows


# what to call things in messages


def name_of(step: Callable[..., Any]) -> str:
    """Return the name of a step function, or of its type if it has none."""
    return getattr(step, "__name__", type(step).__name__)


def argument_names(step: Callable[..., Any], inputs: int, states: int) -> list[str]:
    """Return names for the positional arguments of ``step``: its own, if it has as many."""
    parameters: Iterable[inspect.Parameter] = ()
    with suppress(TypeError, ValueError):  # not every callable tells its signature
        parameters = inspect.signature(step).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(names) != inputs + states:
        names = [f"input{i}" for i in range(inputs)] + [f"state{i}" for i in range(states)]
    return names


def definition(step: Callable[..., Any]) -> str:
    """Return ``"file.py:12: source text"`` of the first line of a step function."""
    code = getattr(inspect.unwrap(step), "__code__", None)
    if code is None:
        return f"an object of type {type(step).__name__}"
    return source_line(code.co_filename, code.co_firstlineno)


def definition_line(step: Callable[..., Any]) -> Line | None:
    """Return file and number of the first line of a step function; None of a step of our own."""
    function = inspect.unwrap(step)
    code = getattr(function, "__code__", None)
    if code is None or not is_user_code(function.__module__ or "", code.co_filename):
        return None
    return code.co_filename, code.co_firstlineno


def _calling_line() -> Line | None:
    """Return file and number of the line of a step that is being run; None of a step of our own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not record.__code__:
        if is_user_frame(frame):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def _failing_line(error: Exception) -> str | None:
    """Return the line of the step that ``error`` came through."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        if is_user_frame(frame):
            return source_line(frame.f_code.co_filename, number)
    return None
