"""The backward pass: run the adjoint rules of the tape's records, the latest record first.

A record was made after all the records it reads from, so the latest one that has a cotangent has all of
it. A heap by time is all the order that is needed: no recursion, no sorting of the whole graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from heapq import heappop, heappush
from typing import Any

import numpy

from minigrad import dispatch, memory
from minigrad.adjoint import fitted, jointly, without_dropped
from minigrad.backends.base import by_type
from minigrad.dispatch import interpreting
from minigrad.errors import AnomalyError, GradientError
from minigrad.failures import describe
from minigrad.graph import ops
from minigrad.tape import Output, Record, eager, is_finite
from minigrad.tensor import Tensor, check_gradient, make, tensor


class Cotangents:
    """What is known so far about the cotangents of records and leaves."""

    def __init__(self) -> None:
        self.of: dict[Any, Any] = {}
        self.leaves: dict[int, Tensor] = {}
        self.queue: list[tuple[int, Record]] = []
        self._queued: set[Record] = set()
        self._sums: set[Any] = set()

    def accumulate(self, node: Any, g: Any) -> None:
        """Add ``g`` to the cotangent of ``node``: a record, an output of one, or a leaf tensor."""
        of = self.of
        if type(node) is Record:
            key: Any = node
            if key not in of:
                heappush(self.queue, (-node.time, node))
        elif type(node) is Output:
            record = node.record
            key = (record, node.position)
            if record not in self._queued:
                self._queued.add(record)
                heappush(self.queue, (-record.time, record))
        else:
            key = id(node)
            self.leaves[key] = node
        if key not in of:
            of[key] = g
        elif key in self._sums:
            of[key] += g  # a sum made here is ours alone
        else:
            of[key] = of[key] + g
            self._sums.add(key)


def _freed(record: Record) -> GradientError:
    return GradientError(
        f"backward through {record.op.name} a second time: what it had saved was freed by the first "
        "backward pass; call the first one with retain_graph=True"
    )


def _overwritten(record: Record, array: Any) -> GradientError:
    return GradientError(
        f"backward through {record.op.name}: one of its arrays ({describe(array)}) was written in place "
        "after the forward pass, so the gradient would be wrong; call backward() before you update "
        "parameters or tensors, or update a clone()"
    )


def _check_unwritten(record: Record) -> None:
    outs = record.output if isinstance(record.output, tuple) else (record.output,)
    for array in (*record.saved, *outs):
        if type(array) is record.kind and memory.written_after(array, record.time):
            raise _overwritten(record, array)


def _leading_to(wanted: set[Any], roots: Iterable[Any], independent: bool) -> set[Record]:
    """Return the records between ``roots`` and the ``wanted`` nodes."""
    seen: set[Record] = set()
    stack = [r for r in roots if isinstance(r, Record)]
    while stack:
        record = stack.pop()
        if record.saved is None:
            raise _freed(record)
        if record not in seen and not (independent and _is_wanted(record, wanted)):
            seen.add(record)
            for parent in record.parents:
                if type(parent) is Record:
                    stack.append(parent)
                elif type(parent) is Output:
                    stack.append(parent.record)
    useful: set[Record] = set()
    for record in sorted(seen, key=lambda r: r.time):
        for parent in record.parents:
            source = parent.record if type(parent) is Output else parent
            if source is not None and (
                node_key(parent) in wanted or (type(source) is Record and source in useful)
            ):
                useful.add(record)
                break
    return useful


def _is_wanted(record: Record, wanted: set[Any]) -> bool:
    count = 0 if record.outputs is None else len(record.outputs)
    return record in wanted or any((record, i) in wanted for i in range(count))


def node_key(node: Any) -> Any:
    """Return what identifies a record, an output of one, or a leaf tensor."""
    if type(node) is Record:
        return node
    return (node.record, node.position) if type(node) is Output else id(node)


def backpropagate(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Any],
    *,
    wanted: Sequence[Tensor] | None,
    retain_graph: bool,
    create_graph: bool,
    independent: bool = False,
) -> dict[Any, Any]:
    """Run the adjoint rules from ``outputs`` back.

    Parameters
    ----------
    outputs : sequence of Tensor
    cotangents : sequence of Tensor
        One for each output.
    wanted : sequence of Tensor, optional
        The tensors whose cotangents are asked for; None stands for all leaves.
    retain_graph : bool
        Keep what the records saved.
    create_graph : bool
        Record the backward pass itself.
    independent : bool
        Treat the wanted tensors as independent of each other: go back no further than to them, and
        leave their hooks to whoever goes on from there.

    Returns
    -------
    dict
        Cotangents (tensors) by `node_key`; for ``wanted=None`` by leaf tensor.
    """
    state = Cotangents()
    nodes = [output._node or output for output in outputs]
    keys = None if wanted is None else {node_key(t._node or t) for t in wanted}
    useful = None
    if keys is not None:
        roots = [n.record if type(n) is Output else n for n in nodes]
        useful = _leading_to(keys, roots, independent)
    checking = bool(getattr(dispatch.current(), "checking", False))
    for node, g in zip(nodes, cotangents, strict=True):
        state.accumulate(node, g if create_graph else g._array)
    found: dict[Any, Any] = {}
    done: list[Record] = []
    mode = interpreting(eager(create_graph, checking))
    with mode, numpy.errstate(all="ignore"), ExitStack() as devices:
        _run(state, keys, useful, found, done, create_graph, checking, not independent, devices)
    for key, leaf in state.leaves.items():
        if keys is None or key in keys:
            g = state.of[key] if independent else _hooked(leaf._hooks, state.of[key])
            found[leaf if keys is None else key] = g
    if not retain_graph:
        for record in done:
            record.saved = record.output = None
            record.parents = ()
    return {key: g if isinstance(g, Tensor) else _wrapped(g) for key, g in found.items()}


def _wrapped(g: Any) -> Tensor:
    if type(g) not in by_type:
        g = numpy.asarray(g)
    return make(g, None)


def _hooked(hooks: Any, g: Any) -> Any:
    if hooks:
        for _, hook in sorted(hooks.items()):
            given = g if isinstance(g, Tensor) else _wrapped(g)
            if given._node is None:
                given = given.clone()  # other branches use the same array, and a hook may write
            changed = hook(given)
            if changed is not None:
                check_gradient("the result of a gradient hook", changed, "the gradient", given)
                g = changed if isinstance(g, Tensor) else changed._array
    return g


def _run(
    state: Cotangents,
    keys: set[Any] | None,
    useful: set[Record] | None,
    found: dict[Any, Any],
    done: list[Record],
    create_graph: bool,
    checking: bool,
    hooking: bool,
    devices: ExitStack,
) -> None:
    of, queue, accumulate = state.of, state.queue, state.accumulate
    suspect: set[Any] = set()
    kind: Any = None
    backend: Any = None
    moving = False
    m: Any = ops
    while queue:
        record = heappop(queue)[1]
        op = record.op
        g: Any
        if record.outputs is not None:
            g = _gather(record, state, keys, found, create_graph, hooking)
        else:
            g = of.pop(record)
            if record.hooks is not None and (hooking or record not in keys):  # type: ignore[operator]
                g = _hooked(record.hooks.get(0), g)
            if keys is not None and record in keys:
                found[record] = g
        if useful is not None and record not in useful:
            continue
        saved, output = record.saved, record.output
        if saved is None:
            raise _freed(record)
        if record.time < memory.latest_write:
            _check_unwritten(record)
        if create_graph:
            saved, output = _as_tracked(record)
        else:
            if record.kind is not kind:
                kind = record.kind
                backend = by_type[kind]
                m = backend.formulas
                moving = backend.on_device is not None
            if moving:
                devices.close()
                devices.enter_context(backend.place(*(g if record.outputs is not None else (g,))))
        attrs = record.attrs
        rules = op.rules
        unchosen = op.selects or (suspect and record in suspect)
        doubtful = (
            unchosen
            and op.elementwise
            and not op.selects
            and record in suspect
            and (output is not None or any(map(_is_array, saved)))
        )
        together = jointly(m, op, g, output, saved, attrs) if op.joint else None
        position = -1
        for parent in record.parents:
            position += 1
            if parent is None or (useful is not None and not _leads(parent, useful, keys)):
                continue
            if together is not None:
                part = together[position]
                if part is None:
                    continue
            elif rules[position] is None:
                raise GradientError(
                    f"{op.name} has no derivative with respect to its argument {position + 1}; "
                    "detach() that argument"
                )
            elif attrs:
                part = rules[position](m, g, output, *saved, **attrs)
            else:
                part = rules[position](m, g, output, *saved)
            if doubtful:
                part = without_dropped(m, g, part, differentiable=create_graph)
            like = parent._array if isinstance(parent, Tensor) else parent
            try:
                dtype = part._array.dtype if create_graph else part.dtype
                fits = part.shape == like.shape and (dtype is like.dtype or dtype == like.dtype)
            except AttributeError:
                fits = False  # it is no array
            if not fits:
                part = fitted(m, op, position, part, like)
            if checking:
                _check_backward(record, g, part)
            if moving:
                devices.close()
                devices.enter_context(backend.place(part))
            if type(parent) is Record and parent not in of:
                of[parent] = part
                heappush(queue, (-parent.time, parent))
            else:
                accumulate(parent, part)
            if unchosen:
                suspect.add(parent.record if type(parent) is Output else parent)
        done.append(record)


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or type(value) in by_type


def _leads(parent: Any, useful: set[Record], keys: Any) -> bool:
    """Say whether a wanted cotangent needs that of ``parent``."""
    source = parent.record if type(parent) is Output else parent
    return source in useful or node_key(parent) in keys


def _gather(
    record: Record,
    state: Cotangents,
    keys: set[Any] | None,
    found: dict[Any, Any],
    as_tensors: bool,
    hooking: bool,
) -> tuple[Any, ...]:
    """Return the cotangents of all outputs of ``record``; zeros or None where none arrived."""
    gs = []
    specs = record.outputs or ()
    for index in range(len(specs)):
        g = state.of.pop((record, index), None)
        mine = hooking or (record, index) not in keys  # type: ignore[operator]
        if g is not None and record.hooks is not None and mine:
            g = _hooked(record.hooks.get(index), g)
        if keys is not None and g is not None and (record, index) in keys:
            found[record, index] = g
        gs.append(g)
    if record.op.takes_none:
        return tuple(gs)
    backend = by_type[record.kind]
    with backend.place(*(getattr(g, "_array", g) for g in gs)):
        for index, spec in enumerate(specs):
            if gs[index] is None:
                zeros = backend.namespace.zeros(spec.shape, dtype=spec.dtype)
                gs[index] = make(zeros, None) if as_tensors else zeros
    return tuple(gs)


def _as_tracked(record: Record) -> tuple[list[Any], Any]:
    """Return what ``record`` saved as tensors that know where they came from."""
    kind = record.kind
    saved = []
    for value, parent in zip(record.saved, record.parents, strict=True):
        if type(value) is not kind:
            saved.append(value)
        elif isinstance(parent, Tensor):
            saved.append(parent)
        else:
            saved.append(make(value, parent))
    output = record.output
    if isinstance(output, tuple):
        output = tuple(make(o, Output(record, i, o.shape, o.dtype)) for i, o in enumerate(output))
    elif output is not None:
        output = make(output, record)
    return saved, output


def _check_backward(record: Record, g: Any, part: Any) -> None:
    backend = by_type[record.kind]
    given = (g, tuple(record.saved), tuple(record.attrs.values()))
    if not is_finite(part, backend) and is_finite(given, backend):
        line = getattr(record, "line", "a line that ran outside of anomaly()")
        raise AnomalyError(
            f"the gradient of {record.op.name} is NaN or infinite although its cotangent and its "
            f"arguments are finite; the op was called at {line}\n"
            "  keep its argument away from the singular point"
        )


def check_differentiable(t: Tensor) -> None:
    """Raise `GradientError` if no gradient can flow from ``t``."""
    if not t.requires_grad:
        raise GradientError(
            "this tensor does not depend on any tensor that requires a gradient; create the inputs "
            "with requires_grad=True, and do not work under no_grad() or detach()"
        )


def seed(output: Tensor, gradient: Any) -> Any:
    """Return the cotangent to start from: ``gradient``, checked, or one for a scalar output."""
    check_differentiable(output)
    if gradient is None:
        if output.size != 1:
            raise GradientError(
                f"the gradient of an output of shape {output.shape} needs a cotangent of the same "
                "shape: pass it as gradient=, or reduce the output to a scalar with sum() or mean()"
            )
        backend = by_type[type(output._array)]
        with backend.place(output._array):
            return make(backend.namespace.ones_like(output._array), None)
    if not isinstance(gradient, Tensor):
        gradient = tensor(gradient, dtype=output.dtype, device=output.device)
    check_gradient("the cotangent", gradient, "the output", output)
    return gradient
