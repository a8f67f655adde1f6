"""Run a step function over time, as one record on the tape."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

from minigrad import dispatch
from minigrad.backends.base import by_type
from minigrad.backpropagation import backpropagate, node_key
from minigrad.creation import zeros
from minigrad.dtypes import get_default_dtype
from minigrad.errors import (
    AnomalyError,
    KernelError,
    ShapeError,
    TraceError,
    check_choice,
    user_line,
    user_stacklevel,
)
from minigrad.graph import Var, ops
from minigrad.kernels.cell import Step
from minigrad.kernels.compile import program_of
from minigrad.kernels.normalize import Refusal
from minigrad.kernels.program import Program
from minigrad.kernels.rows import Rows, on_host, rows_of
from minigrad.kernels.segments import check_checkpoint_every, run_in_segments
from minigrad.kernels.step import Backward, TracedStep
from minigrad.kernels.surroundings import surroundings_of
from minigrad.kernels.switch import switch
from minigrad.kernels.targets import planned, reference
from minigrad.kernels.trace import argument_names, name_of, trace
from minigrad.kernels.verify import verify
from minigrad.op import Domain, Op
from minigrad.ops.shape import stack
from minigrad.tape import enable_grad
from minigrad.tensor import Tensor

Compile = Literal["auto", "require", "never"]

_CHOICES = get_args(Compile)
_told: set[str] = set()
_verified: set[Any] = set()  # the forms of steps in which rows do not mix
_traces: WeakKeyDictionary[Any, dict[Any, TracedStep]] = WeakKeyDictionary()
_calls: WeakKeyDictionary[Any, dict[Any, _Call]] = WeakKeyDictionary()
_MOST = 1000  # calls that are known for a step


@dataclass(eq=False)
class Loop:
    """What the record of a loop knows besides its arrays."""

    name: str
    traced: TracedStep
    names: tuple[str, ...]
    wanted: tuple[int, ...]
    reverse: bool
    rows: Rows | None
    program: Program | None

    @property
    def backward(self) -> Backward | None:
        """How to run the step backwards; None if no gradient is wanted."""
        return self.traced.backward(self.wanted) if self.wanted else None

    def __repr__(self) -> str:
        return f"step {self.name!r}"


def scan(
    step: Step,
    xs: Tensor | Sequence[Tensor],
    state: Tensor | Sequence[Tensor],
    params: Mapping[str, Tensor] | None = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
    reverse: bool = False,
    checkpoint_every: int | None = None,
    compile: Compile = "auto",
) -> tuple[Tensor, Any]:
    """Run ``state = step(x[t], *state, **params)`` for every time step.

    The step is run on variables once for each combination of shapes and dtypes, and turned into a
    graph; its backward pass is derived from the graph. The whole loop is one record on the tape.
    Second derivatives go through a loop of tensors.

    Each row of the batch is a sequence of its own: a step must not mix rows (axis 0).

    Parameters
    ----------
    step : callable
        Takes the inputs of one time step, then the states, and the parameters by name. Returns the
        new states, in the same order, shapes and dtypes.
    xs : Tensor or tuple of Tensor
        The inputs, time first: shape (T, N, ...).
    state : Tensor or tuple of Tensor
        The initial states, shape (N, ...).
    params : dict of Tensor, optional
        What the step takes by name.
    lengths : sequence or Tensor of int, optional
        Shape (N,): how many steps each row has, from 0 to T, in any order. Behind its length a row
        is as if masked, and resets there do nothing.
    mask : Tensor or array of bool, optional
        Shape (T, N). Where it is false, the state is carried and the output is zero; the input is
        not read.
    reset : Tensor or array of bool, optional
        Shape (T, N). Where it is true, the state before the step is the initial one, also at masked
        steps.
    reverse : bool
        Begin at the last time step (of each row). Outputs stay in the order of ``xs``.
    checkpoint_every : int, optional
        Keep nothing for the backward pass but the states after every so many steps, and run the loop
        between them again there: less memory, about a third more time. Not together with ``reset``.
    compile : {"auto", "require", "never"}
        "auto": compile the loop; if that is not possible, say why in a warning, once, and interpret the
        graph of the step. With ``MINIGRAD_COMPILE=0`` in the environment every loop is interpreted.
        "require": compile the loop, or raise an error that says why not. "never": run the step on
        tensors, operation by operation, so that it may branch on values.

    Returns
    -------
    outputs : Tensor
        The first state after each step, shape (T, N, ...).
    final_state : Tensor or tuple of Tensor
        As ``state``.

    Raises
    ------
    TypeError
        If an argument is not a tensor.
    ShapeError
        If inputs differ in T, or inputs and states in N, or lengths, mask or reset have other shapes.
    DtypeError
        If lengths are no integers, or mask or reset are not bool.
    ArgumentError
        If a length is negative or larger than T, or ``compile`` or ``checkpoint_every`` make no sense.
    TraceError
        If the step cannot be turned into a graph; see `minigrad.kernels.trace.trace`.
    KernelError
        If compilation is required and not possible.
    """
    inputs, states = _listed(xs), _listed(state)
    parameters = params or {}
    arguments = (*inputs, *states, *parameters.values())
    call = _call(step, arguments, len(inputs), len(states), tuple(parameters))
    if compile not in _CHOICES:
        check_choice(call.where, _CHOICES, compile=compile)
    steps, count = inputs[0].shape[:2]
    rows = None
    if lengths is not None or mask is not None or reset is not None:
        rows = rows_of(call.where, steps, count, inputs[0].device, lengths, mask, reset)
    if checkpoint_every is not None:
        check_checkpoint_every(call.where, checkpoint_every, reset)
        if checkpoint_every < steps:

            def segment(xs: Any, ss: Any, inside: Any, present: Any) -> Any:
                return scan(
                    step, xs, ss, params,
                    lengths=inside, mask=present, reverse=reverse, compile=compile,
                )  # fmt: skip

            ends = None if lengths is None else on_host(lengths)
            present = None if mask is None else on_host(mask)
            results = run_in_segments(
                segment, checkpoint_every, inputs, states, ends, present, reverse
            )
            return results[0], results[1] if isinstance(state, Tensor) else tuple(results[1:])
    interpreter = dispatch.current()
    checking = getattr(interpreter, "checking", False)  # anomaly(): look at each op
    if compile == "never" or checking:
        names = call.names
        results = _eager_loop(step, names, len(inputs), len(states), arguments, reverse, rows)
    else:
        tracked = getattr(interpreter, "tracking", False)
        wanted = tuple([i for i, t in enumerate(arguments) if tracked and t._tracked])
        program = None
        if compile == "require" or not switch.is_off:
            nothing = 0 in (steps, count) or (rows is not None and rows.nobody)
            if not nothing:
                program = call.program(step, wanted, rows is not None, compile == "require")
        loop = Loop(name_of(step), call.traced(step), call.names, wanted, reverse, rows, program)
        results = dispatch.apply(_SCAN, arguments, {"loop": loop})
    finals = tuple(results[1 : 1 + len(states)])
    return results[0], finals[0] if isinstance(state, Tensor) else finals


# the op


def _formula(m: Any, *arrays: Any, loop: Loop) -> tuple[Any, ...]:
    rows = loop.rows and loop.rows.as_arrays()
    if loop.program is not None:
        target = _numba()
        return planned.forward(target, loop.program, arrays, loop.reverse, rows)
    return reference.forward(m, loop.traced, arrays, loop.backward, loop.reverse, rows)


def _rule(m: Any, g: Any, y: Any, *arguments: Any, loop: Loop) -> tuple[Any, ...]:
    if any(isinstance(part, Tensor) for part in g):
        return _replayed(g, arguments, loop)
    m = by_type[type(arguments[0])].namespace
    shown = y[: 1 + len(loop.traced.states)]  # nothing comes to what is kept
    g = [
        m.zeros(r.shape, dtype=r.dtype) if part is None else part
        for r, part in zip(shown, g, strict=False)
    ]
    rows = loop.rows and loop.rows.as_arrays()
    if loop.program is not None:
        target = _numba()
        found = planned.adjoint(target, loop.program, arguments, y, g, loop.reverse, rows)
    else:
        backward = loop.backward
        assert backward is not None  # there is no record without a tensor to differentiate by
        found = reference.adjoint(m, loop.traced, arguments, y, g, backward, loop.reverse, rows)
    return tuple(found.get(i) for i in range(len(arguments)))


@cache
def _numba() -> Any:
    from minigrad.kernels.targets import numba_cpu  # Numba is loaded when it is needed

    return numba_cpu


_SCAN = Op("scan", _formula, _rule, domain=Domain(), joint=True, takes_none=True, saves="all")


def _replayed(g: Sequence[Tensor], arguments: Sequence[Tensor], loop: Loop) -> tuple[Any, ...]:
    """Return the cotangents as tensors that can be differentiated again."""
    inputs, states, _ = loop.traced.split(arguments)
    step, sizes = loop.traced.on_tensors, (len(inputs), len(states))

    def again(own: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return _eager_loop(step, loop.names, *sizes, own, loop.reverse, loop.rows)

    return replayed(again, arguments, loop.wanted, g)


def replayed(
    run: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    arguments: Sequence[Tensor],
    wanted: Sequence[int],
    cotangents: Sequence[Any],
) -> tuple[Any, ...]:
    """Return cotangents of arguments, as tensors that can be differentiated again; None if not wanted.

    Parameters
    ----------
    run : callable
        Makes results of arguments, by operations that can be differentiated twice.
    arguments : sequence of Tensor
    wanted : sequence of int
        Numbers of arguments.
    cotangents : sequence of Tensor or None
        Of the results.
    """
    with enable_grad():
        # one node for each argument, also where the same tensor was given twice
        own = [t.clone() if i in wanted else t for i, t in enumerate(arguments)]
        results = run(own)
        pairs = [
            (r, c)
            for r, c in zip(results, cotangents, strict=False)
            if r.requires_grad and c is not None
        ]
        found = backpropagate(
            [r for r, _ in pairs],
            [c for _, c in pairs],
            wanted=[own[i] for i in wanted],
            retain_graph=True,
            create_graph=True,
            independent=True,
        )
    return tuple(found.get(node_key(t._node)) if i in wanted else None for i, t in enumerate(own))


def _eager_loop(
    step: Step,
    names: Sequence[str],
    inputs: int,
    states: int,
    arguments: Sequence[Tensor],
    reverse: bool,
    rows: Rows | None,
) -> tuple[Tensor, ...]:
    """Run the step on tensors; return the outputs and the final states."""
    xs = list(zip(*(tuple(x) for x in arguments[:inputs]), strict=True))
    initial = tuple(arguments[inputs : inputs + states])
    parameters = dict(zip(names, arguments[inputs + states :], strict=True))

    def compute(given: Sequence[Tensor], before: Sequence[Tensor]) -> tuple[Tensor, ...]:
        result = step(*given, *before, **parameters)
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    outputs: list[Tensor] = []
    current: Sequence[Tensor] = initial
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        try:
            if rows is None:
                current = compute(xs[t], current)
                output = current[0]
            else:
                output, current = rows.advance(ops, t, compute, xs[t], current, initial)
        except AnomalyError as error:
            raise AnomalyError(f"at time step {t} of step {name_of(step)!r}: {error}") from error
        outputs.append(output)
    if not outputs:
        first = current[0]
        return (zeros((0, *first.shape), dtype=first.dtype, device=first.device), *current)
    return (stack(outputs[::-1] if reverse else outputs), *current)


# what is found out once for each combination of shapes and dtypes


Spec = tuple[tuple[int, ...], Any]


class _Call:
    """What calls of a step over arguments of the same shapes and dtypes have in common.

    Parameters
    ----------
    where : str
        What messages begin with.
    inputs, states : sequence of Spec
        Whole inputs, (T, N, ...).
    parameters : dict of Spec
    devices : sequence of str
        Where the arguments are.
    """

    def __init__(
        self,
        where: str,
        inputs: Sequence[Spec],
        states: Sequence[Spec],
        parameters: Mapping[str, Spec],
        devices: Sequence[str],
    ) -> None:
        self.where, self.names = where, tuple(parameters)
        self._inputs = [(shape[1:], dtype) for shape, dtype in inputs]
        self._states, self._parameters = states, parameters
        self._on_cpu = all(device == "cpu" for device in devices)
        self._traced: TracedStep | None = None
        self._programs: dict[Any, Program] = {}

    def traced(self, step: Step) -> TracedStep:
        """Return the graph of the step."""
        if self._traced is None:
            self._traced = traced_step(step, self._inputs, self._states, self._parameters)
        return self._traced

    def program(
        self, step: Step, wanted: tuple[int, ...], broken: bool, required: bool
    ) -> Program | None:
        """Return the program of a loop that can be compiled, else None, after saying so."""
        found = self._programs.get((wanted, broken))
        if found is not None:
            return found
        first, last = len(self._inputs), len(self._inputs) + len(self._states)
        others = [i for i in wanted if not first <= i < last] if wanted else None
        try:
            if not self._on_cpu:
                raise Refusal("its arrays are not on the CPU")
            found = program_of(step, self.traced(step), others, broken)
            self._programs[wanted, broken] = found
            return found
        except Refusal as refusal:
            reason = f"{self.where} cannot be compiled: {refusal}"
        if required:
            raise KernelError(f"{reason}; use compile='auto'")
        if reason not in _told:
            _told.add(reason)
            warnings.warn(f"{reason}; it is interpreted instead", stacklevel=user_stacklevel())
        return None


def _call(
    step: Step, arguments: Sequence[Any], inputs: int, states: int, names: tuple[str, ...]
) -> _Call:
    """Return what is known about such a call; check the arguments if it is the first one."""
    surroundings = surroundings_of(step)
    # what may change unseen is traced each time
    known = {} if surroundings is None else _calls.setdefault(step, {})
    try:
        kinds = tuple([(type(t._array), t._array.shape, t._array.dtype) for t in arguments])
    except AttributeError:  # no tensor: this is told below
        kinds = ()
    key = (inputs, states, names, kinds, get_default_dtype(), surroundings)
    found = known.get(key)
    if found is None or not kinds:
        where, last = f"scan of step {name_of(step)!r}", inputs + states
        _check_tensors(step, arguments[:inputs], "input")
        _check_tensors(step, arguments[inputs:last], "state")
        _check_tensors(step, arguments[last:], "parameter")
        _check_shapes(where, arguments[:inputs], arguments[inputs:last])
        specs = [(t.shape, t.dtype) for t in arguments]
        parameters = dict(zip(names, specs[last:], strict=True))
        devices = [t.device for t in arguments]
        if len(known) >= _MOST:
            known.clear()
        found = known[key] = _Call(where, specs[:inputs], specs[inputs:last], parameters, devices)
    return found


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
    known = {} if surroundings is None else _traces.setdefault(step, {})
    key = (
        tuple(inputs),
        tuple(states),
        tuple(parameters.items()),
        (get_default_dtype(), surroundings),
    )
    if key not in known:
        names = argument_names(step, len(inputs), len(states))
        given = [Var(*spec, name) for spec, name in zip((*inputs, *states), names, strict=True)]
        graph = trace(
            step,
            given[: len(inputs)],
            given[len(inputs) :],
            {name: Var(*spec, name) for name, spec in parameters.items()},
        )
        traced = TracedStep(graph, len(inputs), len(states))
        if traced.form not in _verified:
            verify(step, graph, len(inputs), len(states))
            _verified.add(traced.form)
        known[key] = traced
    return known[key]


# checking


def _listed(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def _check_tensors(step: Step, given: Sequence[Any], what: str) -> None:
    for position, value in enumerate(given):
        if isinstance(value, Var):
            raise TraceError(
                f"scan is called inside of a traced step, at {user_line()}\n"
                "  a loop in a loop is not supported; run the inner loop before the outer one"
            )
        if not isinstance(value, Tensor):
            raise TypeError(
                f"scan of step {name_of(step)!r}: {what} {position} is of type "
                f"{type(value).__name__}; it must be a tensor, see minigrad.tensor"
            )


def _check_shapes(where: str, inputs: Sequence[Tensor], states: Sequence[Tensor]) -> None:
    if not inputs or not states:
        raise ShapeError(f"{where}: a loop needs at least one input and one state")
    for position, x in enumerate(inputs):
        if x.ndim < 2:
            raise ShapeError(
                f"{where}: input {position} has shape {x.shape}; inputs are (T, N, ...): time, batch"
            )
    if len({x.shape[0] for x in inputs}) > 1:
        raise ShapeError(
            f"{where}: the inputs have {', '.join(str(x.shape[0]) for x in inputs)} time steps "
            "(axis 0); they must have the same number"
        )
    rows = [x.shape[1] for x in inputs] + [s.shape[0] if s.ndim else 0 for s in states]
    if len(set(rows)) > 1 or not all(s.ndim for s in states):
        shapes = ", ".join(str(t.shape) for t in (*inputs, *states))
        raise ShapeError(
            f"{where}: inputs (T, N, ...) and states (N, ...) have shapes {shapes}; "
            "they must agree in N"
        )
