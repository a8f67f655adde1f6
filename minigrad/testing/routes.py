"""The ways to run an op or a function: its formula, its adjoint rules, and its graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minigrad.adjoint import fitted, jointly
from minigrad.dispatch import apply, interpreting
from minigrad.dtypes import as_dtype, is_floating
from minigrad.graph import Graph, Recorder, Var
from minigrad.op import Arguments, Composite, Op


def is_array(value: Any) -> bool:
    """Say whether ``value`` is an array, a tensor or a graph variable, and not a Python scalar."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def is_differentiable(value: Any) -> bool:
    """Say whether ``value`` is an array of floating-point numbers."""
    return is_array(value) and is_floating(value.dtype)


def bound(op: Op, args: Sequence[Any], attrs: Mapping[str, Any]) -> Arguments:
    """Return arguments and attributes as the formula of ``op`` takes them, with defaults filled in."""
    return op.bind((list(args),) if op.variadic else tuple(args), attrs)


def call(row: Op | Composite, args: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
    """Call an op or a composite function on tensors or graph variables, through the interpreter."""
    if isinstance(row, Composite):
        return row.function(*args, **attrs)
    return apply(row, *bound(row, args, attrs))


def listed(outputs: Any) -> tuple[Any, ...]:
    """Return one output or several as a tuple."""
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


def adjoint(
    op: Op,
    m: Any,
    g: Any,
    y: Any,
    args: Sequence[Any],
    attrs: Mapping[str, Any],
    mask: int = -1,
) -> dict[int, Any]:
    """Run the adjoint rules of ``op``, un-broadcast included.

    Parameters
    ----------
    op : Op
    m : object
        What the rules compute with: ``backend.formulas`` for raw arrays, ``minigrad.graph.ops`` for
        tensors and graph variables.
    g, y : Any
        Cotangent and output; tuples if the op has several outputs.
    args, attrs
        As the formula takes them.
    mask : int
        Bit ``i`` asks for the cotangent of argument ``i``; by default all are wanted.

    Returns
    -------
    dict
        The cotangent of each floating-point argument that has a rule, by position.
    """
    positions = [i for i, x in enumerate(args) if mask >> i & 1 and is_differentiable(x)]
    if op.joint:
        found = jointly(m, op, g, y, args, attrs)
        parts = {i: found[i] for i in positions if found[i] is not None}
    else:
        rules = {i: op.rules[i] for i in positions}
        parts = {i: r(m, g, y, *args, **attrs) for i, r in rules.items() if r is not None}
    return {i: fitted(m, op, i, part, args[i]) for i, part in parts.items()}


def trace(function: Callable[..., Any], *arrays: Any) -> Graph:
    """Record the op calls that ``function`` makes for arguments of these shapes and dtypes."""
    inputs = tuple(Var(tuple(a.shape), as_dtype(a.dtype)) for a in arrays)
    with interpreting(Recorder()) as recorder:
        outputs = listed(function(*inputs))
    return Graph(inputs, tuple(recorder.nodes), outputs)
