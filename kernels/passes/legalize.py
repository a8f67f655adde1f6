"""Rewrite the graph of a step in few kinds of nodes, so that what plans a loop need know no others.

Values of a step have the shape (N, width): a row for each sequence of the batch. The kinds are

- ``matmul(rows, matrix)``, where the matrix is made of parameters alone;
- elementwise ops, where a width of 1, and parameters, stretch to the width of the rows;
- ``split`` and ``getitem`` of columns, and ``concat`` of columns;
- ``sum``, ``max`` and ``min`` over the columns of a row, with the axis kept;
- on parameters alone, any op.

Everything else is either written in these, by running its own formula on variables, or refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from minigrad.dispatch import apply, interpreting
from minigrad.dtypes import as_dtype, bool_
from minigrad.errors import GradientError, KernelError
from minigrad.graph import Graph, Line, Node, Recorder, Var, at_line, ops
from minigrad.kernels.passes.dataflow import live_nodes, partition
from minigrad.kernels.passes.resize import has_rows
from minigrad.ops.shape import normal_axes

COLUMNS = (slice(None),)
REDUCTIONS = frozenset({"sum", "max", "min"})
# begins a refusal that is a fault of the compiler, and not declared
INTERNAL = "the compiler failed"


class Refusal(KernelError):
    """What cannot be placed in a compiled loop, and why.

    Attributes
    ----------
    line : tuple of str and int or None
        File and number of the line of the step that it is about; a part of the message.
    """

    def __init__(self, reason: str, line: Line | None = None) -> None:
        super().__init__(reason)
        self.line = line

    def __str__(self) -> str:
        return f"{super().__str__()}{at_line(self.line)}"


@dataclass(frozen=True)
class Normal:
    """A graph in few kinds of nodes.

    Attributes
    ----------
    graph : Graph
        With the inputs of the original one.
    outside : dict of Var
        What can only be computed outside of a loop, for the rows of all steps at once, and why.
    """

    graph: Graph
    outside: Mapping[Var, Refusal]


def normalize(
    graph: Graph, parameters: Collection[Var], varying: Collection[Var], backward: bool = False
) -> Normal:
    """Return a graph that computes the same in the kinds of nodes above.

    Nodes of other kinds stay as they are, and have to be computed outside of the loop: before it, if
    they do not depend on ``varying``, or in a backward pass behind it, together with all that is made
    of them. So are sums over rows.

    Parameters
    ----------
    graph : Graph
        Of a step, or of its backward pass. Its number of rows must be a prime that divides no other
        size.
    parameters : collection of Var
        Those inputs of the graph that have no row for each sequence.
    varying : collection of Var
        Those inputs that come from the step before. What does not depend on them is added first.
    backward : bool
        Whether this is a backward pass.

    Raises
    ------
    Refusal
        If a node has to be in the loop and cannot be written in these kinds; it names the op and
        the line of the step.
    """
    normal = _in_few_kinds(graph, parameters, varying, backward)
    merged = Normal(_merged(normal.graph), normal.outside)
    ordered = _early_terms_first(merged, parameters, varying)
    return Normal(_merged(ordered.graph), ordered.outside)


def fixed_by(nodes: Sequence[Node], parameters: Collection[Var], rows: int) -> set[Var]:
    """Return the variables that are made of ``parameters`` alone, whatever the number of ``rows`` is."""
    fixed = set(parameters)
    for node in nodes:
        alone = all(i in fixed for i in node.inputs if isinstance(i, Var))
        if alone and not any(has_rows(output, rows) for output in node.outputs):
            fixed.update(node.outputs)
    return fixed


@contextmanager
def refused_at(line: Line | None) -> Iterator[None]:
    """Name the ``line`` of a step in a refusal; what else the compiler raises becomes one."""
    try:
        yield
    except Refusal as refusal:
        refusal.line = refusal.line or line
        raise
    except GradientError:  # of the step: it has no such derivative, compiled or not
        raise
    except Exception as error:
        raise Refusal(f"{INTERNAL} ({type(error).__name__}: {error})", line) from error


# into few kinds


def _in_few_kinds(
    graph: Graph, parameters: Collection[Var], varying: Collection[Var], backward: bool
) -> Normal:
    first = next(iter(varying))
    rows = first.shape[0]
    fixed = fixed_by(graph.nodes, parameters, rows)
    _, each = partition(graph.nodes, varying)
    late = {output for node in each for output in node.outputs}
    new: dict[Var, Any] = {var: var for var in graph.inputs}
    outside: dict[Any, Refusal] = {}

    with interpreting(Recorder()) as recorder:
        for node in graph.nodes:
            recorder.line = node.line
            if not backward and _works_over_rows(node, rows):
                raise _over_rows(node)
            args = [new[i] if isinstance(i, Var) else i for i in node.inputs]
            reasons = [outside[i] for i in args if isinstance(i, Var) and i in outside]
            reason = reasons[0] if reasons and backward else None
            if reason is None and node.outputs[0] not in fixed:
                try:
                    with refused_at(node.line):
                        _check(node, fixed, first)
                        made = _written(node, args, fixed)
                except Refusal as refusal:
                    if node.outputs[0] in late and not backward:
                        raise
                    reason = refusal
                    made = _as_it_is(node, args)
                if reason is None and _sums_rows(node, args, made):
                    reason = _over_rows(node)
                    if node.outputs[0] in late and not backward:
                        raise reason
            else:
                made = _as_it_is(node, args)
            outputs = made if isinstance(made, (tuple, list)) else (made,)
            new.update(zip(node.outputs, outputs, strict=True))
            if reason is not None:
                outside.update(dict.fromkeys(outputs, reason))
    outputs = tuple(new.get(output) for output in graph.outputs)
    return Normal(Graph(graph.inputs, live_nodes(recorder.nodes, outputs), outputs), outside)


def _works_over_rows(node: Node, rows: int) -> bool:
    """Say whether a node works along the axis of rows, or makes one value for all rows together."""
    read = [i for i in node.inputs if isinstance(i, Var) and has_rows(i, rows)]
    if read and "axis" in node.attributes and node.op.name != "stack":  # whose axis is new
        shape, axis = read[0].shape, node.attributes["axis"]
        every = range(len(shape))
        axes = every if axis is None else normal_axes(axis, len(shape), node.op.name)
        if any(shape[a] and shape[a] % rows == 0 for a in axes):
            return True
    return bool(read) and not all(has_rows(output, rows) for output in node.outputs)


def _over_rows(node: Node) -> Refusal:
    reason = f"{node.op.name} over the rows of a step has no place in a loop"
    return Refusal(reason, node.line)


def _check(node: Node, fixed: set[Var], state: Var) -> None:
    """Refuse an operation on values that are no rows of numbers: one for each sequence, as of a state."""
    read = [i for i in node.inputs if isinstance(i, Var) and i not in fixed]
    for var in read:
        if len(var.shape) != 2 or var.shape[0] != state.shape[0]:
            raise Refusal(
                f"{node.op.name} of {var!r}: values of a compiled loop have the shape (N, width)"
            )
        if not var.shape[1] and node.op.name != "concat":
            raise Refusal(f"{node.op.name} of {var!r}, which has no columns")
    for var in node.outputs if node.op.elementwise else ():
        if len(var.shape) != 2 or var.dtype not in (state.dtype, bool_):
            raise Refusal(
                f"{node.op.name} makes {var!r}: values of a compiled loop have the shape (N, width) and "
                f"the dtype of the first state, {state.dtype}"
            )


def _as_it_is(node: Node, args: list[Any]) -> Any:
    return apply(node.op, tuple(args), node.attributes)


def _sums_rows(node: Node, args: list[Any], made: Any) -> bool:
    """Say whether a node sums over rows, or turns them to be summed."""
    return node.op.name == "matrix_transpose" or (
        node.op.name == "sum_to" and made.shape != (args[0].shape[0], 1)
    )


def _written(node: Node, args: list[Any], fixed: set[Var]) -> Any:
    """Return what ``node`` computes from ``args``, recorded in few kinds of nodes."""
    name, attributes = node.op.name, node.attributes
    if node.op.elementwise:
        return _as_it_is(node, args)
    write = _WRITERS.get(name)
    if write is None:
        raise Refusal(f"{name} has no place in a compiled loop")
    if name.startswith("matmul") and node.inputs[1] not in fixed:
        raise Refusal(
            f"{name} of rows with {node.inputs[1]!r}, which is not made of parameters alone"
        )
    return write(node, *args, **attributes)


def _product(node: Node, a: Any, b: Any) -> Any:
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise Refusal(f"matmul of {a!r} with {b!r}: only rows by a matrix are compiled")
    return ops.matmul(a, b)


def _over_columns(node: Node, axis: Any, keepdims: bool = True) -> None:
    x = node.inputs[0]
    every = range(len(x.shape))
    axes = every if axis is None else normal_axes(axis, len(x.shape), node.op.name)
    if tuple(axes) != (len(x.shape) - 1,) or not keepdims:
        raise Refusal(
            f"{node.op.name} over axis {axis} of {x!r}: only the last axis, with keepdims=True, is "
            "compiled"
        )


def _reduction(node: Node, x: Any, *, axis: Any, keepdims: bool, **others: Any) -> Any:
    _over_columns(node, axis, keepdims)
    return getattr(ops, node.op.name)(x, axis=-1, keepdims=True, **others)


def _sum(node: Node, x: Any, *, axis: Any, keepdims: bool, dtype: Any) -> Any:
    if dtype is not None:
        x = _astype(node, x, dtype=as_dtype(dtype))
    return _reduction(node, x, axis=axis, keepdims=keepdims)


def _mean(node: Node, x: Any, *, axis: Any, keepdims: bool) -> Any:
    _over_columns(node, axis, keepdims)
    return ops.sum(x, axis=-1, keepdims=True) / x.shape[1]


def _by_formula(node: Node, *args: Any, **attributes: Any) -> Any:
    _over_columns(node, attributes["axis"], attributes.get("keepdims", True))
    return node.op.fn(ops, *args, **{**attributes, "axis": -1})


def _split(node: Node, x: Any, *, sections: Any, axis: int) -> Any:
    _over_columns(node, axis)
    return ops.split(x, sections=sections, axis=-1)


def _columns(x: Any, start: int, stop: int) -> Any:
    if (start, stop) == (0, x.shape[1]):
        return x
    return ops.getitem(x, key=(*COLUMNS, slice(start, stop)))


def columns_of(key: tuple[Any, ...], width: int) -> tuple[int, int]:
    """Return the first column that ``key`` picks, and that behind the last one.

    Raises
    ------
    Refusal
        If it picks something else than neighbouring columns of all rows.
    """
    match key:
        case (slice(start=None, stop=None, step=None), slice() as chosen):
            start, stop, step = chosen.indices(width)
            if step == 1:
                return start, max(start, stop)
        case (e, slice() as chosen) if e is Ellipsis:
            return columns_of((*COLUMNS, chosen), width)
        case (slice(start=None, stop=None, step=None),) | ():
            return 0, width
    raise Refusal(f"getitem with the key {key}: only neighbouring columns, x[:, a:b], are compiled")


def _getitem(node: Node, x: Any, *indices: Any, key: Any) -> Any:
    if indices or len(x.shape) != 2:
        raise Refusal(f"getitem of {node.inputs[0]!r} with {key}: only x[:, a:b] is compiled")
    return _columns(x, *columns_of(key, x.shape[1]))


def _put_zeros(node: Node, g: Any, *indices: Any, key: Any, shape: Any) -> Any:
    if indices or len(shape) != 2:
        raise Refusal("the gradient of an index: only that of x[:, a:b] is compiled")
    start, stop = columns_of(key, shape[1])
    parts = []
    for width, part in ((start, None), (stop - start, g), (shape[1] - stop, None)):
        if width:
            parts.append(_zeros(g, width) if part is None else part)
    return ops.concat(*parts, axis=-1) if len(parts) > 1 else parts[0]


def _zeros(g: Any, width: int) -> Any:
    """Return zeros (N, width), which no op of the table makes."""
    column = ops.zeros_like(_columns(g, 0, 1))
    return ops.broadcast_to(column, shape=(column.shape[0], width))


def _concat(node: Node, *xs: Any, axis: int) -> Any:
    _over_columns(node, axis)
    parts = [x for x in xs if x.shape[1]]
    if not parts:
        raise Refusal("concat of values that have no columns")
    return ops.concat(*parts, axis=-1) if len(parts) > 1 else parts[0]


def _sum_to(node: Node, g: Any, *, shape: Any) -> Any:
    if tuple(shape) == (g.shape[0], 1):
        return ops.sum(g, axis=-1, keepdims=True)
    return ops.sum_to(g, shape=shape)  # over rows: behind the loop


def _transpose(node: Node, x: Any) -> Any:
    return ops.matrix_transpose(x)  # of rows: behind the loop


def _broadcast_to(node: Node, x: Any, *, shape: Any) -> Any:
    if len(shape) != 2:
        raise Refusal(f"broadcast_to makes {node.outputs[0]!r}, which is no row for each sequence")
    return ops.broadcast_to(x, shape=shape)


def _identity(node: Node, x: Any) -> Any:
    return x


def _astype(node: Node, x: Any, *, dtype: Any) -> Any:
    if x.dtype == dtype:
        return x
    if x.dtype != bool_:
        raise Refusal(f"astype from {x.dtype} to {dtype}: only truth values become numbers")
    return ops.astype(x, dtype=dtype)


_WRITERS: Mapping[str, Callable[..., Any]] = {
    "matmul": _product,
    "matmul_transposed": lambda node, a, b: _product(node, a, ops.matrix_transpose(b)),
    "sum": _sum,
    "max": _reduction,
    "min": _reduction,
    "mean": _mean,
    "softmax": _by_formula,
    "log_softmax": _by_formula,
    "logsumexp": _by_formula,
    "split": _split,
    "getitem": _getitem,
    "put_zeros": _put_zeros,
    "concat": _concat,
    "sum_to": _sum_to,
    "matrix_transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "positive": _identity,
    "astype": _astype,
}


# the same computed twice


def _merged(graph: Graph) -> Graph:
    """Return the graph with equal nodes made one."""
    known: dict[Any, Node] = {}
    new: dict[Any, Any] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(new.get(i, i) if isinstance(i, Var) else i for i in node.inputs)
        identity = (
            node.op,
            tuple(i if isinstance(i, Var) else (type(i), i) for i in inputs),
            repr(sorted(node.attributes.items())),
        )
        if identity in known:
            new.update(zip(node.outputs, known[identity].outputs, strict=True))
        else:
            known[identity] = replace(node, inputs=inputs)
            nodes.append(known[identity])
    outputs = tuple(new.get(o, o) for o in graph.outputs)
    return Graph(graph.inputs, tuple(nodes), outputs)


# sums


def _early_terms_first(
    normal: Normal, parameters: Collection[Var], varying: Collection[Var]
) -> Normal:
    """Reorder sums: parameters, then what does not depend on the step before, then the rest.

    So a bias is added once, to the product of the inputs, before the loop.
    """
    graph, outside = normal.graph, normal.outside
    fixed = fixed_by(graph.nodes, parameters, next(iter(varying)).shape[0])
    left_alone = {*fixed, *outside}
    _, each = partition(graph.nodes, varying)
    late = {*varying, *(output for node in each for output in node.outputs)}
    uses = Counter(i for node in graph.nodes for i in node.inputs if isinstance(i, Var))
    uses.update(o for o in graph.outputs if isinstance(o, Var))
    consumers = {i: node for node in graph.nodes for i in node.inputs if isinstance(i, Var)}

    def is_inner(var: Any) -> bool:
        """Say whether ``var`` is a sum that only another sum of the same shape reads."""
        reader = consumers.get(var)
        same = reader is not None and reader.outputs[0].shape == var.shape
        return (
            uses[var] == 1
            and same
            and reader.op.name == "add"  # type: ignore[union-attr]
            and reader.outputs[0] not in left_alone  # type: ignore[union-attr]
        )

    terms: dict[Any, list[Any]] = {}
    new: dict[Any, Any] = {var: var for var in graph.inputs}
    with interpreting(Recorder()) as recorder:
        for node in graph.nodes:
            recorder.line = node.line
            if node.op.name != "add" or node.outputs[0] in left_alone:
                made = _as_it_is(node, [new[i] if isinstance(i, Var) else i for i in node.inputs])
                several = isinstance(made, (tuple, list))
                new.update(zip(node.outputs, made if several else (made,), strict=True))
                continue
            (output,) = node.outputs
            terms[output] = [t for i in node.inputs for t in terms.get(i, [i])]
            if is_inner(output):
                continue
            ordered = sorted(terms[output], key=lambda t: (t in late) + (t not in fixed))
            first, *others = (new[t] if isinstance(t, Var) else t for t in ordered)
            for other in others:
                first = first + other
            new[output] = first
            terms[output] = [output]
    outputs = tuple(new.get(o) for o in graph.outputs)
    in_order = Graph(graph.inputs, live_nodes(recorder.nodes, outputs), outputs)
    return Normal(in_order, {new[v]: why for v, why in outside.items() if v in new})
