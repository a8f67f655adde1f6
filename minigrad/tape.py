"""The eager interpreter and its tape. The unit of the tape is the record of one op call.

A record keeps the arrays its adjoint rules read and nothing else, and links to the records its arguments
came from, never to tensors: what nobody needs any more is freed at once. Records carry the time they
were made, so the latest one is always ready to be differentiated, and no recursion is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy

from minigrad import dispatch, memory
from minigrad.backends import backend_of
from minigrad.backends.base import by_type
from minigrad.dispatch import interpreting
from minigrad.dtypes import as_dtype, is_floating
from minigrad.errors import (
    AnomalyError,
    BackendError,
    DtypeError,
    GradientError,
    TraceError,
    user_line,
)
from minigrad.failures import explain
from minigrad.graph import Var, needs, ops
from minigrad.op import Op
from minigrad.tensor import Tensor, make, tensor

tick = memory.tick


class Spec(NamedTuple):
    """Shape and dtype of an array that was not kept."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


class Record:
    """One op call on the tape. Also the source of the op's output, if it has just one.

    Attributes
    ----------
    parents : tuple
        Where each argument came from: a record, an `Output`, a leaf tensor, or None if not tracked.
    saved : list or None
        The arguments. One whose elements no rule reads is replaced by its `Spec`, or by None if the op
        is elementwise. None once freed.
    output : object
        The output array (or arrays) if a rule reads it, else None.
    outputs : tuple of Spec or None
        Shapes and dtypes, if the op has several outputs.
    """

    __slots__ = (
        "attrs", "dtype", "hooks", "kind", "line", "op", "output", "outputs", "parents", "saved",
        "shape", "time",
    )  # fmt: skip

    op: Op
    parents: Sequence[Any]
    saved: Any
    output: Any
    attrs: Mapping[str, Any]
    kind: Any
    shape: Any
    dtype: Any
    time: int
    hooks: dict[int, dict[int, Any]] | None
    outputs: tuple[Spec, ...] | None
    line: str

    @property
    def ndim(self) -> int:
        """Number of axes of the output."""
        return len(self.shape)


new_record = Record.__new__
_WEAK = frozenset({bool, int, float})


class Output(NamedTuple):
    """One of several outputs of a record."""

    record: Record
    position: int
    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """Number of axes of the output."""
        return len(self.shape)


class Eager:
    """Carry out each op at once; write a record if a gradient may be wanted.

    Parameters
    ----------
    tracking : bool
        Whether records are written.
    checking : bool
        Whether each result is checked for NaN and infinity.
    """

    def __init__(self, tracking: bool, checking: bool) -> None:
        self.tracking = tracking
        self.checking = checking

    def apply(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        """Run the formula of ``op`` on the arrays of ``args``."""
        # The hot path of the engine: calls and attribute look-ups are counted here.
        arrays: list[Any] = []
        parents: list[Any] = []
        mask = 0
        bit = 1
        kind: Any = None
        for arg in args:
            if isinstance(arg, Tensor):
                array = arg._array
                arrays.append(array)
                if arg.requires_grad:
                    mask |= bit
                    parents.append(arg._node or arg)
                else:
                    parents.append(None)
                if type(array) is not kind:
                    if kind is not None:
                        raise _mixed_devices(op, args)
                    kind = type(array)
            elif arg is None or type(arg) in _WEAK:
                arrays.append(arg)
                parents.append(None)
            else:
                return self.apply(op, _as_tensors(op, args), attrs)
            bit <<= 1
        if kind is None:
            return self.apply(op, _as_tensors(op, args, scalars=True), attrs)
        backend = by_type[kind]
        try:
            if backend.on_device is not None:
                with backend.on_device(arrays):
                    out = op.fn(backend.namespace, *arrays, **attrs)
            elif attrs:
                out = op.fn(backend.namespace, *arrays, **attrs)
            else:
                out = op.fn(backend.namespace, *arrays)
        except Exception as error:
            raise explain(op, args, attrs, error) from error
        if type(out) is not kind:
            if isinstance(out, (tuple, list)):
                return self._several(op, args, attrs, arrays, parents, mask, kind, out)
            out = backend.namespace.asarray(out)
        if self.checking:
            check(op, args, (out,), backend)
        if not mask or not self.tracking or op.rules is None:
            return make(out, None)
        plan = op.saving.get(mask)
        if plan is None or op.variadic:
            plan = _plan(op, arrays, (out,), False, attrs, mask)
        droppable, keep_output = plan
        for position in droppable:
            arrays[position] = None if op.elementwise else _spec(arrays[position])
        record = new_record(Record)
        record.op = op
        record.parents = parents
        record.saved = arrays
        record.output = out if keep_output else None
        record.attrs = attrs
        record.kind = kind
        record.shape = out.shape
        record.dtype = out.dtype
        record.time = tick()
        record.hooks = record.outputs = None
        if self.checking:
            record.line = user_line()
        return make(out, record)

    def _several(
        self,
        op: Op,
        args: tuple[Any, ...],
        attrs: Mapping[str, Any],
        arrays: list[Any],
        parents: list[Any],
        mask: int,
        kind: Any,
        outs: Any,
    ) -> tuple[Tensor, ...]:
        """Wrap the results of an op that has several."""
        backend = by_type[kind]
        outs = tuple(o if type(o) is kind else backend.namespace.asarray(o) for o in outs)
        if self.checking:
            check(op, args, outs, backend)
        if not mask or not self.tracking or op.rules is None or not outs:
            return tuple(make(o, None) for o in outs)
        droppable, keep_output = _plan(op, arrays, outs, True, attrs, mask)
        for position in droppable:
            arrays[position] = _spec(arrays[position])
        record = new_record(Record)
        record.op = op
        record.parents = parents
        record.saved = arrays
        record.output = outs if keep_output else None
        record.attrs = attrs
        record.kind = kind
        record.shape = record.dtype = record.hooks = None
        record.outputs = tuple(Spec(o.shape, o.dtype) for o in outs)
        record.time = tick()
        if self.checking:
            record.line = user_line()
        return tuple(
            make(o, Output(record, i, o.shape, o.dtype) if is_floating(o.dtype) else None)
            for i, o in enumerate(outs)
        )


def _plan(
    op: Op, arrays: Sequence[Any], outs: Any, several: bool, attrs: Mapping[str, Any], mask: int
) -> tuple[tuple[int, ...], bool]:
    """Return which arguments need not be saved, and whether the output must be."""
    key = (mask, len(arrays)) if op.variadic else mask
    plan = op.saving.get(key)
    if plan is None:
        plan = op.saving[key] = needs(op, arrays, outs, several, attrs, mask)
    return plan


def _spec(array: Any) -> Spec:
    return Spec(array.shape, array.dtype)


def _as_tensors(op: Op, args: tuple[Any, ...], scalars: bool = False) -> tuple[Any, ...]:
    converted: list[Any] = []
    like = next((a for a in args if isinstance(a, Tensor)), None)
    for position, arg in enumerate(args):
        if isinstance(arg, Tensor) or arg is None:
            converted.append(arg)
        elif isinstance(arg, Var):
            raise TraceError(
                f"{op.name} got {arg!r}, a value of a traced step, outside of that step, at "
                f"{user_line()}\n  a step must return its results, not store them"
            )
        elif isinstance(arg, (bool, int, float)) and not isinstance(arg, numpy.generic):
            converted.append(tensor(arg) if scalars else arg)
        elif isinstance(arg, (numpy.ndarray, numpy.generic)) or backend_of(arg) is not None:
            converted.append(tensor(arg, device=None if like is None else like.device))
        else:
            name = op.arrays[position] if position < len(op.arrays) else f"argument {position + 1}"
            raise TypeError(
                f"{op.name}(): {name} must be a tensor, an array or a number, but is a "
                f"{type(arg).__name__}; convert it with minigrad.tensor(...)"
            )
    if not any(isinstance(a, Tensor) for a in converted):
        raise TypeError(f"{op.name}{op.__signature__} needs at least one tensor")
    return tuple(converted)


def _mixed_devices(op: Op, args: tuple[Any, ...]) -> BackendError:
    devices = sorted({arg.device for arg in args if isinstance(arg, Tensor)})
    return BackendError(
        f"{op.name}: its tensors are on different devices, {' and '.join(devices)}; "
        f'move them to one with .to("{devices[0]}")'
    )


# which interpreter is at work

EAGER = Eager(tracking=True, checking=False)
_MODES = {
    (tracking, checking): Eager(tracking, checking)
    for tracking in (True, False)
    for checking in (True, False)
}
_MODES[True, False] = EAGER
dispatch.install_default(EAGER)


def is_grad_enabled() -> bool:
    """Say whether ops on tensors that require gradients are being recorded."""
    return bool(getattr(dispatch.current(), "tracking", False))


@contextmanager
def set_grad_enabled(enabled: bool) -> Iterator[None]:
    """Record, or do not record, inside the ``with`` block. Also works as a decorator."""
    current = dispatch.current()
    if not isinstance(current, Eager):
        raise TraceError(
            f"a traced step cannot switch gradients on or off, at {user_line()}\n"
            "  take no_grad() or enable_grad() out of the step, or use detach() before it"
        )
    with interpreting(_MODES[enabled, current.checking]):
        yield


def no_grad() -> Any:
    """Record nothing inside the ``with`` block, or in the function it decorates."""
    return set_grad_enabled(False)


def enable_grad() -> Any:
    """Record again inside a ``no_grad`` block, or in the function it decorates."""
    return set_grad_enabled(True)


@contextmanager
def anomaly() -> Iterator[None]:
    """Raise at the first op, forward or backward, that yields NaN or infinity from finite numbers.

    Raises
    ------
    AnomalyError
        Names the op, its arguments and, in the backward pass, the line that called it.
    """
    current = dispatch.current()
    with interpreting(_MODES[getattr(current, "tracking", True), True]):
        yield


def _finite(array: Any, backend: Any) -> bool:
    if not hasattr(array, "dtype") or not is_floating(array.dtype):
        return True
    return bool(backend.namespace.all(backend.namespace.isfinite(array)))


def check(op: Op, args: Sequence[Any], outs: Sequence[Any], backend: Any) -> None:
    """Raise `AnomalyError` if ``op`` made non-finite numbers out of finite ones."""
    if all(_finite(out, backend) for out in outs):
        return
    given = [a._array if isinstance(a, Tensor) else a for a in args]
    if all(_finite(a, backend) for a in given):
        shown = ", ".join(_shown(a) for a in args)
        raise AnomalyError(
            f"{op.name}({shown}) produced NaN or infinity from finite arguments, at {user_line()}\n"
            "  clip its argument, or guard it with minigrad.where"
        )


def _shown(arg: Any) -> str:
    return f"{arg.dtype}{list(arg.shape)}" if hasattr(arg, "shape") else repr(arg)


# the backward pass


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
        f"backward through {record.op.name}: one of its arrays ({_shown(array)}) was written in place "
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
        Treat the wanted tensors as independent of each other: go back no further than to them.

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
    with interpreting(_MODES[create_graph, checking]), numpy.errstate(all="ignore"):
        _run(state, keys, useful, found, done, create_graph, checking)
    for key, leaf in state.leaves.items():
        if keys is None:
            found[leaf] = _hooked(leaf._hooks, state.of[key])
        elif key in keys:
            found[key] = _hooked(leaf._hooks, state.of[key])
    if not retain_graph:
        for record in done:
            record.saved = record.output = None
            record.parents = ()
    return {key: g if isinstance(g, Tensor) else _wrapped(key, g) for key, g in found.items()}


def _wrapped(key: Any, g: Any) -> Tensor:
    if type(g) not in by_type:
        g = numpy.asarray(g)
    return make(g, None)


def _hooked(hooks: Any, g: Any) -> Any:
    if hooks:
        for hook in tuple(hooks.values()):
            given = g if isinstance(g, Tensor) else _wrapped(None, g)
            changed = hook(given)
            if changed is not None:
                if not isinstance(changed, Tensor) or changed.shape != given.shape:
                    raise GradientError(
                        f"a gradient hook must return None or a tensor of shape {given.shape}, "
                        f"but returned {changed!r}"
                    )
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
) -> None:
    of, queue, accumulate = state.of, state.queue, state.accumulate
    suspect: set[Any] = set()
    kind: Any = None
    m: Any = ops
    while queue:
        record = heappop(queue)[1]
        op = record.op
        g: Any
        if record.outputs is not None:
            g = _gather(record, state, keys, found, create_graph)
        else:
            g = of.pop(record)
            if record.hooks is not None:
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
        elif record.kind is not kind:
            kind = record.kind
            m = by_type[kind].formulas
        attrs = record.attrs
        rules = op.rules
        unchosen = op.selects or (suspect and record in suspect)
        doubtful = unchosen and op.elementwise and not op.linear and record in suspect
        together = rules(m, g, output, *saved, **attrs) if op.joint else None
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
                # 0 * inf is NaN, but an element that was not chosen has no influence at all
                part = m.where(g == 0, 0.0, part)
            like = parent._array if isinstance(parent, Tensor) else parent
            if part.shape != like.shape:
                part = m.sum_to(part, shape=like.shape)
            dtype = part._array.dtype if create_graph else part.dtype
            if dtype is not like.dtype and dtype != like.dtype:
                part = m.astype(part, dtype=as_dtype(like.dtype))
            if checking:
                _check_backward(record, g, part)
            if type(parent) is Record and parent not in of:
                of[parent] = part
                heappush(queue, (-parent.time, parent))
            else:
                accumulate(parent, part)
            if unchosen:
                suspect.add(parent.record if type(parent) is Output else parent)
        done.append(record)


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
) -> tuple[Any, ...]:
    """Return the cotangents of all outputs of ``record``; zeros where none arrived."""
    gs = []
    namespace = by_type[record.kind].namespace
    for index, spec in enumerate(record.outputs or ()):
        g = state.of.pop((record, index), None)
        if g is not None and record.hooks is not None:
            g = _hooked(record.hooks.get(index), g)
        if keys is not None and g is not None and (record, index) in keys:
            found[record, index] = g
        if g is None:
            g = namespace.zeros(spec.shape, dtype=spec.dtype)
            g = make(g, None) if as_tensors else g
        gs.append(g)
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
    part = part._array if isinstance(part, Tensor) else part
    gs = g if isinstance(g, tuple) else (g,)
    given = [x._array if isinstance(x, Tensor) else x for x in gs]
    if not _finite(part, backend) and all(_finite(x, backend) for x in given):
        line = getattr(record, "line", "a line that ran outside of anomaly()")
        raise AnomalyError(
            f"the gradient of {record.op.name} is NaN or infinite although its cotangent is finite; "
            f"the op was called at {line}\n  keep its argument away from the singular point"
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
        return make(by_type[type(output._array)].namespace.ones_like(output._array), None)
    if not isinstance(gradient, Tensor):
        gradient = tensor(gradient, dtype=output.dtype, device=output.device)
    if gradient.shape != output.shape:
        raise GradientError(
            f"the cotangent has shape {gradient.shape}, but the output has shape {output.shape}; "
            "they must be equal"
        )
    if gradient.dtype != output.dtype:
        raise DtypeError(
            f"the cotangent has dtype {gradient.dtype}, but the output has dtype {output.dtype}; "
            f'convert it with .astype("{output.dtype}")'
        )
    if gradient.device != output.device:
        raise BackendError(
            f"the cotangent is on {gradient.device}, but the output is on {output.device}; "
            f'move it with .to("{output.device}")'
        )
    return gradient
