"""The eager interpreter and its tape. The unit of the tape is the record of one op call.

A record keeps the arrays its adjoint rules read and nothing else, and links to the records its arguments
came from, never to tensors: what nobody needs any more is freed at once. Records carry the time they
were made, so the latest one is always ready to be differentiated, and no recursion is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy

from minigrad import dispatch, memory
from minigrad.backends import backend_of
from minigrad.backends.base import by_type
from minigrad.checks import check_flag
from minigrad.contexts import Decorating
from minigrad.dtypes import bool_, float32, float64, is_floating
from minigrad.errors import (
    AnomalyError,
    BackendError,
    TraceError,
    conversion,
    type_name,
    user_line,
)
from minigrad.failures import describe, explain
from minigrad.graph import Var, needs
from minigrad.op import Op
from minigrad.promotion import promoted, weak_number
from minigrad.silence import give_back, new_quiet, take
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
_MIXED = object()  # in place of a dtype, for several
_NOTHING = tuple((None,) * n for n in range(8))  # what an op saves that saves no argument


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

    tracing = False

    def __init__(self, tracking: bool, checking: bool) -> None:
        self.tracking = tracking
        self.checking = checking

    def switched(self, tracking: bool, checking: bool) -> Eager:
        """Return the interpreter that differs from this one by ``tracking`` and ``checking`` alone."""
        return _MODES[tracking, checking]

    def apply(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        """Run the formula of ``op`` on the arrays of ``args``."""
        # The hot path of the engine: calls and attribute look-ups are counted here.
        arrays: list[Any] = []
        parents: list[Any] = []
        mask = others = 0  # bits: which arguments are tracked, and which are no tensors
        bit = 1
        kind: Any = None
        dtype: Any = None
        for arg in args:
            if isinstance(arg, Tensor):
                if arg._tracked:
                    mask |= bit
                    parents.append(arg._node or arg)
                else:
                    parents.append(None)
                arg = arg._array
                if type(arg) is not kind:
                    if kind is not None:
                        raise _mixed_devices(op, args)
                    kind = type(arg)
                found = arg.dtype
                # truth values beside floats need no conversion, and conditions none at all
                if found is not dtype and (
                    found is not bool_ or (op.fixed and len(arrays) not in op.fixed)
                ):
                    dtype = found if dtype is None else _MIXED
            elif arg is not None and type(arg) not in _WEAK:
                return self.apply(op, _as_tensors(op, args), attrs)
            else:
                others |= bit
                parents.append(None)
            arrays.append(arg)
            bit <<= 1
        if kind is None:
            return self.apply(op, _as_tensors(op, args), attrs)
        if dtype is not float32 and dtype is not float64:
            op = promoted(op, arrays)
        backend = by_type[kind]
        try:  # what `quietly` does, without its call
            run = take()
        except IndexError:
            run = new_quiet()
        try:
            if backend.on_device is not None:
                with backend.on_device(arrays):
                    out = run(op.fn, backend.namespace, *arrays, **attrs)
            elif attrs:
                out = run(op.fn, backend.namespace, *arrays, **attrs)
            else:
                out = run(op.fn, backend.namespace, *arrays)
        except Exception as error:
            raise explain(op, args, attrs, error) from error
        finally:
            give_back(run)
        if type(out) is not kind:
            if isinstance(out, (tuple, list)):
                return self._several(op, args, attrs, arrays, parents, (mask, others), kind, out)
            if type(out) not in by_type:
                out = backend.namespace.asarray(out)
        if self.checking:
            check(op, args, attrs, (out,), backend)
        if not mask or not self.tracking or op.rules is None:
            return make(out, None)
        dtype = out.dtype
        if dtype is not float32 and dtype is not float64 and not is_floating(dtype):
            return make(out, None)
        plan = op.saving.get(mask if not others else (mask, others))
        if plan is None or op.variadic:
            plan = _plan(op, arrays, (out,), False, attrs, (mask, others))
        droppable, keep_output = plan
        if op.elementwise and len(droppable) == len(arrays):
            saved: Any = _NOTHING[len(droppable)]
        else:
            saved = arrays
            for position in droppable:
                arrays[position] = None if op.elementwise else _spec(arrays[position])
        record = new_record(Record)
        record.op = op
        record.parents = parents
        record.saved = saved
        record.output = out if keep_output else None
        record.attrs = attrs
        record.kind = kind
        record.shape = out.shape
        record.dtype = dtype
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
        which: tuple[int, int],
        kind: Any,
        outs: Any,
    ) -> tuple[Tensor, ...]:
        """Wrap the results of an op that has several."""
        backend = by_type[kind]
        outs = tuple([o if type(o) is kind else backend.namespace.asarray(o) for o in outs])
        if self.checking:
            check(op, args, attrs, outs, backend)
        if not which[0] or not self.tracking or op.rules is None or not outs:
            return tuple([make(o, None) for o in outs])
        droppable, keep_output = _plan(op, arrays, outs, True, attrs, which)
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
        record.outputs = specs = tuple([Spec(o.shape, o.dtype) for o in outs])
        record.time = tick()
        if self.checking:
            record.line = user_line()
        tensors = []
        for position, (out, (shape, dtype)) in enumerate(zip(outs, specs, strict=True)):
            tracked = dtype is float32 or dtype is float64 or is_floating(dtype)
            tensors.append(make(out, Output(record, position, shape, dtype) if tracked else None))
        return tuple(tensors)


def _plan(
    op: Op,
    arrays: Sequence[Any],
    outs: Any,
    several: bool,
    attrs: Mapping[str, Any],
    which: tuple[int, int],
) -> tuple[tuple[int, ...], bool]:
    """Return which arguments need not be saved, and whether the output must be."""
    key = (*which, len(arrays)) if op.variadic else which if which[1] else which[0]
    plan = op.saving.get(key)
    if plan is None:
        plan = op.saving[key] = needs(op, arrays, outs, several, attrs, which[0])
    return plan


def _spec(array: Any) -> Any:
    return Spec(array.shape, array.dtype) if hasattr(array, "shape") else array


def _as_tensors(op: Op, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arrays as tensors, and numbers as they are in Python; those too if there is no array."""
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
        elif (number := weak_number(arg)) is not None:
            converted.append(number)
        elif isinstance(arg, numpy.ndarray) or backend_of(arg) is not None:
            converted.append(tensor(arg, device=None if like is None else like.device))
        else:
            name = op.arrays[position] if position < len(op.arrays) else f"argument {position + 1}"
            plain = isinstance(arg, (list, tuple)) and not hasattr(arg, "_fields")
            inner = plain and any(isinstance(a, Tensor) for a in arg)
            advice = "; join it with minigrad.stack" if inner else conversion(arg)
            raise TypeError(
                f"{op.name}(): {name} must be a tensor, an array or a number, but is a "
                f"{type_name(arg)}{advice}"
            )
    if not any(isinstance(a, Tensor) for a in converted):
        converted = [a if a is None else tensor(a) for a in converted]
    if all(a is None for a in converted):
        raise TypeError(f"{op.name}{op.__signature__} needs at least one tensor")
    return tuple(converted)


def _mixed_devices(op: Op, args: tuple[Any, ...]) -> BackendError:
    devices = sorted({arg.device for arg in args if isinstance(arg, Tensor)})
    return BackendError(
        f"{op.name}: its tensors are on different devices, {' and '.join(devices)}; "
        f'move them to one with .to("{devices[0]}")'
    )


# which interpreter is at work

_MODES = {
    (tracking, checking): Eager(tracking, checking)
    for tracking in (True, False)
    for checking in (True, False)
}
dispatch.install_default(_MODES[True, False])


def eager(tracking: bool, checking: bool) -> Eager:
    """Return the eager interpreter that does, or does not, record and check."""
    return _MODES[tracking, checking]


def is_grad_enabled() -> bool:
    """Say whether ops on tensors that require gradients are being recorded.

    Returns
    -------
    bool
        True, unless inside `no_grad`.

    Examples
    --------
    >>> mg.is_grad_enabled()
    True
    """
    return bool(getattr(dispatch.current(), "tracking", False))


class _GradMode(Decorating):
    """Record, or do not record, inside the ``with`` block or in the function it decorates."""

    # A class, since a generator takes three times as long, of a step of a stream a tenth.
    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._entered: list[Any] = []

    def anew(self) -> _GradMode:
        return _GradMode(self._enabled)

    def __enter__(self) -> None:
        self._entered.append(dispatch.choose(_recording(self._enabled)))

    def __exit__(self, *error: object) -> None:
        dispatch.restore(self._entered.pop())


def _recording(enabled: bool) -> Eager:
    """Return the interpreter that differs from the present one by whether it records."""
    current = dispatch.current()
    if not isinstance(current, Eager):
        raise TraceError(
            f"a traced step cannot switch gradients on or off, at {user_line()}\n"
            "  take no_grad() or enable_grad() out of the step, or use detach() before it"
        )
    return current.switched(enabled, current.checking)


class set_grad_enabled(_GradMode):
    """Record, or do not record, from now on; as a context manager or a decorator only inside.

    It concerns the thread, or the asynchronous task, that calls it.

    Parameters
    ----------
    enabled : bool
        Whether ops on tensors that require gradients are recorded.

    Raises
    ------
    ArgumentError
        If ``enabled`` is neither True nor False.
    TraceError
        In a step that is being traced.

    Examples
    --------
    >>> with mg.set_grad_enabled(False):
    ...     mg.is_grad_enabled()
    False
    """

    def __init__(self, enabled: bool) -> None:
        super().__init__(check_flag("set_grad_enabled", "enabled", enabled))
        self._before = dispatch.current()
        dispatch.choose(_recording(self._enabled))

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.__exit__()
        return super().__call__(function)

    def __enter__(self) -> None:
        dispatch.choose(_recording(self._enabled))

    def __exit__(self, *error: object) -> None:
        dispatch.choose(self._before)


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Record nothing inside the ``with`` block, or in the function it decorates.

    As a decorator it may stand without brackets. The body of a generator or a coroutine is under it,
    and what runs between two of its steps is not.

    Parameters
    ----------
    function : callable, optional
        What to decorate.

    Returns
    -------
    context manager or callable
        For a ``with`` statement; or the decorated function.

    Raises
    ------
    ArgumentError
        If what it decorates is not a function.
    TraceError
        In a step that is being traced.

    Examples
    --------
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> with mg.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    return _block(_GradMode(False), function)


def enable_grad(function: Callable[..., Any] | None = None) -> Any:
    """Record again inside a ``no_grad`` block, or in the function it decorates; see `no_grad`.

    Parameters
    ----------
    function : callable, optional
        What to decorate.

    Returns
    -------
    context manager or callable
        For a ``with`` statement; or the decorated function.

    Raises
    ------
    ArgumentError
        If what it decorates is not a function.
    TraceError
        In a step that is being traced.

    Examples
    --------
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> with mg.no_grad(), mg.enable_grad():
    ...     y = x * x
    >>> y.requires_grad
    True
    """
    return _block(_GradMode(True), function)


def _block(context: Decorating, function: Any) -> Any:
    return context if function is None else context(function)


class _Anomaly(Decorating):
    """Check each result inside the ``with`` block or in the function it decorates."""

    def __init__(self) -> None:
        self._entered: list[Any] = []

    def anew(self) -> _Anomaly:
        return _Anomaly()

    def __enter__(self) -> None:
        current = dispatch.current()
        if not isinstance(current, Eager):
            raise TraceError(
                f"a traced step has no values to watch, at {user_line()}\n"
                "  take anomaly() out of the step"
            )
        silent = numpy.errstate(all="ignore")
        silent.__enter__()
        token = dispatch.choose(current.switched(current.tracking, True))
        self._entered.append((token, silent))

    def __exit__(self, *error: object) -> None:
        token, silent = self._entered.pop()
        dispatch.restore(token)
        silent.__exit__(None, None, None)


def anomaly(function: Callable[..., Any] | None = None) -> Any:
    """Raise at the first op, forward or backward, that yields NaN or infinity from finite numbers.

    It holds inside the ``with`` block, or in the function it decorates; see `no_grad`.

    Parameters
    ----------
    function : callable, optional
        What to decorate.

    Returns
    -------
    context manager or callable
        For a ``with`` statement; or the decorated function.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    AnomalyError
        Names the op, its arguments and, in the backward pass, the line that called it.

    Examples
    --------
    >>> with mg.anomaly():
    ...     mg.log(mg.tensor([1.0, 0.0]))
    Traceback (most recent call last):
    minigrad.errors.AnomalyError: ...
    """
    return _block(_Anomaly(), function)


def is_finite(value: Any, backend: Any) -> bool:
    """Say whether an array, tensor, number or sequence of them holds neither NaN nor infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (tuple, list)):
        return all(is_finite(part, backend) for part in value)
    array = value._array if isinstance(value, Tensor) else value
    if not hasattr(array, "dtype") or not is_floating(array.dtype):
        return True
    backend = by_type.get(type(array), backend)  # it may have moved
    with backend.place(array):
        return bool(backend.namespace.all(backend.namespace.isfinite(array)))


def check(
    op: Op, args: Sequence[Any], attrs: Mapping[str, Any], outs: tuple[Any, ...], backend: Any
) -> None:
    """Raise `AnomalyError` if ``op`` made non-finite numbers out of finite arguments and options."""
    if is_finite(outs, backend):
        return
    if is_finite((*args, *attrs.values()), backend):
        shown = ", ".join(describe(a) for a in args)
        raise AnomalyError(
            f"{op.name}({shown}) produced NaN or infinity from finite arguments, at {user_line()}\n"
            "  clip its argument, or guard it with minigrad.where"
        )
