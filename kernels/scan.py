"""Run a step function over time, as one record on the tape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from minigrad import dispatch
from minigrad.backends.base import by_type
from minigrad.errors import KernelError, check_choice
from minigrad.kernels.cell import Step
from minigrad.kernels.frontend.trace import name_of
from minigrad.kernels.frontend.traced_step import Backward, TracedStep
from minigrad.kernels.runtime import reference
from minigrad.kernels.runtime.checkpointing import check_checkpoint_every, run_in_segments
from minigrad.kernels.runtime.eager import eager_loop, replayed
from minigrad.kernels.runtime.executable import Executable
from minigrad.kernels.runtime.rows import Rows, on_host, rows_of
from minigrad.kernels.runtime.specialization import specialization_of
from minigrad.kernels.runtime.switch import switch
from minigrad.op import Domain, Op
from minigrad.tensor import Tensor

Compile = Literal["auto", "require", "never"]

_CHOICES = get_args(Compile)


@dataclass(eq=False)
class Loop:
    """What the record of a loop knows besides its arrays."""

    name: str
    traced: TracedStep
    names: tuple[str, ...]
    wanted: tuple[int, ...]
    reverse: bool
    rows: Rows | None
    executable: Executable | None

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
        The states after the last step, in the shape of ``state``.

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
        If the step cannot be turned into a graph; see `minigrad.kernels.frontend.trace.trace`.
    KernelError
        If compilation is required and not possible.

    Examples
    --------
    >>> from minigrad.kernels import scan
    >>> outputs, final = scan(lambda x, h: h + x, mg.ones((3, 1, 2)), mg.zeros((1, 2)))
    >>> outputs[:, 0, 0], final
    (tensor([1., 2., 3.]), tensor([[3., 3.]]))
    """
    inputs, states = _listed(xs), _listed(state)
    parameters = {} if params is None else params
    if not isinstance(parameters, Mapping):
        raise TypeError(
            f"scan of step {name_of(step)!r}: params must be a dict from the names that the step takes "
            f"to tensors, not a {type(params).__name__}"
        )
    arguments = (*inputs, *states, *parameters.values())
    known = specialization_of(step, arguments, len(inputs), len(states), tuple(parameters))
    if compile not in _CHOICES:
        check_choice(known.where, _CHOICES, compile=compile)
    if compile == "require" and switch.is_off:
        raise KernelError(f"{known.where} cannot be compiled: {switch.refusal}; use compile='auto'")
    steps, count = inputs[0].shape[:2]
    rows = None
    if lengths is not None or mask is not None or reset is not None:
        rows = rows_of(known.where, steps, count, inputs[0].device, lengths, mask, reset)
    if checkpoint_every is not None:
        checkpoint_every = check_checkpoint_every(known.where, checkpoint_every, reset)
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
        names = known.names
        results = eager_loop(step, names, len(inputs), len(states), arguments, reverse, rows)
    else:
        tracked = getattr(interpreter, "tracking", False)
        wanted = tuple([i for i, t in enumerate(arguments) if tracked and t._tracked])
        executable = None
        if not switch.is_off:
            nothing = 0 in (steps, count) or (rows is not None and rows.nobody)
            if not nothing:
                required = compile == "require"
                executable = known.executable(step, wanted, rows is not None, reverse, required)
        traced = known.traced(step)
        loop = Loop(name_of(step), traced, known.names, wanted, reverse, rows, executable)
        results = dispatch.apply(_SCAN, arguments, {"loop": loop})
    finals = tuple(results[1 : 1 + len(states)])
    return results[0], finals[0] if isinstance(state, Tensor) else finals


# the op


def _formula(m: Any, *arrays: Any, loop: Loop) -> tuple[Any, ...]:
    rows = loop.rows and loop.rows.as_arrays()
    if loop.executable is not None:
        return loop.executable.forward(arrays, rows)
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
    if loop.executable is not None:
        found = loop.executable.backward(arguments, y, g, rows)
    else:
        backward = loop.backward
        assert backward is not None  # there is no record without a tensor to differentiate by
        found = reference.adjoint(m, loop.traced, arguments, y, g, backward, loop.reverse, rows)
    return tuple(found.get(i) for i in range(len(arguments)))


_SCAN = Op("scan", _formula, _rule, domain=Domain(), joint=True, takes_none=True, saves="all")


def _replayed(g: Sequence[Tensor], arguments: Sequence[Tensor], loop: Loop) -> tuple[Any, ...]:
    """Return the cotangents as tensors that can be differentiated again."""
    inputs, states, _ = loop.traced.split(arguments)
    step, sizes = loop.traced.on_tensors, (len(inputs), len(states))

    def again(own: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return eager_loop(step, loop.names, *sizes, own, loop.reverse, loop.rows)

    return replayed(again, arguments, loop.wanted, g)


def _listed(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)
