"""Specializations of `scan`: what is found out once, for arguments of the same shapes and dtypes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from minigrad.dtypes import get_default_dtype
from minigrad.errors import KernelError, ShapeError, TraceError, user_line, user_stacklevel
from minigrad.graph import Var
from minigrad.kernels.cell import Step
from minigrad.kernels.frontend.guards import surroundings_of
from minigrad.kernels.frontend.trace import name_of
from minigrad.kernels.frontend.traced_step import TracedStep
from minigrad.kernels.frontend.traces import Spec, traced_step
from minigrad.kernels.passes.legalize import Refusal
from minigrad.kernels.runtime.executable import Executable, executable_of
from minigrad.kernels.runtime.programs import program_of
from minigrad.kernels.targets.choice import target_for
from minigrad.recent import Recent, table_of
from minigrad.tensor import Tensor

_S = TypeVar("_S", bound=Step)
_told: set[str] = set()
# by their ids: a step need not be hashable
_interpreted: WeakValueDictionary[int, Any] = WeakValueDictionary()
_specializations: WeakKeyDictionary[Any, Recent[Any, Specialization]] = WeakKeyDictionary()
_MOST = 1000  # of a step


def interpreted(step: _S) -> _S:
    """Mark a step of minigrad itself that is known not to compile yet, and return it.

    `scan` does not warn of such a step, which no user can change: it compiles it as soon as the
    compiler takes it, and interprets it until then. ``compile="require"`` and
    `minigrad.kernels.explain` say why as of any other step.
    """
    _interpreted[id(step)] = step
    return step


class Specialization:
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
        self._devices = devices
        self._traced: TracedStep | None = None
        self._executables: dict[Any, Executable] = {}

    def traced(self, step: Step) -> TracedStep:
        """Return the graph of the step."""
        if self._traced is None:
            self._traced = traced_step(step, self._inputs, self._states, self._parameters)
        return self._traced

    def executable(
        self, step: Step, wanted: tuple[int, ...], broken: bool, reverse: bool, required: bool
    ) -> Executable | None:
        """Return the executable of a loop that can be compiled, else None, after saying so."""
        found = self._executables.get((wanted, broken, reverse))
        if found is not None:
            return found
        first, last = len(self._inputs), len(self._inputs) + len(self._states)
        others = [i for i in wanted if not first <= i < last] if wanted else None
        try:
            target = target_for(self._devices)
            program = program_of(step, self.traced(step), others, broken)
            found = executable_of(program, target, reverse)
            self._executables[wanted, broken, reverse] = found
            return found
        except Refusal as refusal:
            reason = f"{self.where} cannot be compiled: {refusal}"
        if required:
            raise KernelError(f"{reason}; use compile='auto'")
        if id(step) not in _interpreted and reason not in _told:
            _told.add(reason)
            warnings.warn(f"{reason}; it is interpreted instead", stacklevel=user_stacklevel())
        return None


def specialization_of(
    step: Step, arguments: Sequence[Any], inputs: int, states: int, names: tuple[str, ...]
) -> Specialization:
    """Return what is known about such a call; check the arguments if it is the first one.

    Parameters
    ----------
    step : callable
    arguments : sequence of Tensor
        Inputs (T, N, ...), states and parameters.
    inputs, states : int
        How many of the arguments these are.
    names : tuple of str
        Of the parameters.

    Raises
    ------
    TypeError
        If an argument is not a tensor.
    ShapeError
        If inputs differ in T, or inputs and states in N.
    """
    surroundings = surroundings_of(step)
    # what may change unseen is traced each time
    known = None if surroundings is None else table_of(_specializations, step, _MOST)
    try:
        kinds = tuple([(type(t._array), t._array.shape, t._array.dtype) for t in arguments])
    except AttributeError:  # no tensor: this is told below
        kinds = ()
    key = (inputs, states, names, kinds, get_default_dtype(), surroundings)
    found = known.get(key) if known is not None and kinds else None
    if found is None:
        where, last = f"scan of step {name_of(step)!r}", inputs + states
        _check_tensors(step, arguments[:inputs], "input")
        _check_tensors(step, arguments[inputs:last], "state")
        _check_tensors(step, arguments[last:], "parameter")
        _check_shapes(where, arguments[:inputs], arguments[inputs:last])
        specs = [(t.shape, t.dtype) for t in arguments]
        parameters = dict(zip(names, specs[last:], strict=True))
        devices = [t.device for t in arguments]
        found = Specialization(where, specs[:inputs], specs[inputs:last], parameters, devices)
        if known is not None:
            known.put(key, found)
    return found


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
