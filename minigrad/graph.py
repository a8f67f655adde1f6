"""A graph of op calls as data: variables, nodes, and the interpreter that records them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NoReturn

import numpy

from minigrad import dispatch
from minigrad.adjoint import jointly
from minigrad.backends import backend_named
from minigrad.dtypes import as_dtype, is_floating
from minigrad.errors import GradientError, TraceError, source_line, user_line
from minigrad.op import OPS, Domain, Op, on_replacement
from minigrad.operators import Operators, destination
from minigrad.promotion import promoted, weak_number

Line = tuple[str, int]

_serial = count().__next__


@dataclass(frozen=True, eq=False)
class Var(Operators):
    """A value of a graph: a shape and a dtype, but no numbers.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    name : str
        What the text form of the graph calls it.
    """

    shape: tuple[int, ...]
    dtype: Any
    name: str = field(default_factory=lambda: f"v{_serial()}")

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(numpy.prod(self.shape, dtype=int))

    def __repr__(self) -> str:
        return f"{self.name}:{self.dtype}{list(self.shape)}"

    __hash__ = object.__hash__

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * int(self.dtype.itemsize)

    def detach(self) -> Any:
        """Return the same value: no gradient flows through it."""
        return dispatch.apply(DETACHED, (self,), {}) if is_floating(self.dtype) else self

    @property
    def data(self) -> Any:
        """The same value without gradients."""
        return self.detach()

    def clone(self) -> Any:
        """Return the same value; gradients flow through."""
        return self

    def to(self, target: Any) -> Any:
        """Return this value with another dtype. A device is refused: a graph has none."""
        if isinstance(target, Var):
            return self.astype(target.dtype)
        device, dtype = destination(target)
        if device is not None:
            self._refuse(*_MOVES)
        return self if dtype is None else self.astype(dtype)

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise TraceError(
            f"the step {what}, but the value of {self!r} is not known while tracing, "
            f"at {user_line()}\n  {instead}"
        )


_NUMBER = "turns a value into a Python number", "keep it a tensor"
_FUNCTIONS = "use minigrad's functions on it"
_ARRAY = "turns a value into a NumPy array", _FUNCTIONS
_OTHERS = "hands a value to another library", _FUNCTIONS
_MOVES = (
    "moves a value to a device",
    "a graph runs where the arguments are; move these before the loop",
)
_WRITES = "writes to a value", "make a new one, with minigrad.where or x.at[i].set(v)"
_GRADIENTS = (
    "handles gradients",
    "the gradient of a step is derived; .detach() lets none flow, and hooks are for the loop's results",
)
_REFUSED = {
    **dict.fromkeys(("__float__", "__int__", "__index__", "item", "tolist"), _NUMBER),
    **dict.fromkeys(("__array__", "numpy"), _ARRAY),
    **dict.fromkeys(("__dlpack__", "__dlpack_device__"), _OTHERS),
    **dict.fromkeys(("cpu", "cuda"), _MOVES),
    **dict.fromkeys(("__copy__", "__deepcopy__"), ("copies a value", "use .clone()")),
    **dict.fromkeys(("__setitem__", "copy_"), _WRITES),
    **dict.fromkeys(("backward", "register_hook", "requires_grad_", "retain_grad"), _GRADIENTS),
    "__bool__": ("branches on a value", "use minigrad.where(condition, a, b)"),
}
_REFUSED_PROPERTIES = {
    **dict.fromkeys(("grad", "is_leaf", "requires_grad"), _GRADIENTS),
    "device": (
        "asks for a device, as ones_like and zeros_like do",
        "a number such as 1.0 broadcasts; or make the tensor outside and pass it to the step",
    ),
}


def _refusing(what: str, instead: str) -> Any:
    def refuse(self: Var, *_: Any, **__: Any) -> NoReturn:
        self._refuse(what, instead)

    return refuse


for _name, _reason in _REFUSED.items():
    setattr(Var, _name, _refusing(*_reason))
for _name, _reason in _REFUSED_PROPERTIES.items():
    setattr(Var, _name, property(_refusing(*_reason)))

# What `Var.detach` records: no rule, so that no gradient flows.
DETACHED = Op("detach", lambda m, x: m.positive(x), None, domain=Domain(), elementwise=True)


@dataclass(frozen=True, eq=False)
class Node:
    """One op call: ``outputs = op(inputs, attributes)``. Inputs are variables or Python scalars.

    Attributes
    ----------
    op : Op
    inputs : tuple
    attributes : dict
    outputs : tuple of Var
    line : tuple of str and int, optional
        File and number of the user's line that it comes from.
    """

    op: Op
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[Var, ...]
    line: Line | None = None

    def __repr__(self) -> str:
        given = [getattr(i, "name", None) or repr(i) for i in self.inputs]
        given += [f"{k}={v}" for k, v in self.attributes.items() if v is not None]
        return f"{', '.join(o.name for o in self.outputs)} = {self.op.name}({', '.join(given)})"


@dataclass(frozen=True)
class Graph:
    """A straight line of nodes from inputs to outputs."""

    inputs: tuple[Var, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Any, ...]

    def __str__(self) -> str:
        lines = [f"in  {', '.join(map(repr, self.inputs))}", *map(repr, self.nodes)]
        return "\n".join(
            [*lines, f"out {', '.join(getattr(o, 'name', repr(o)) for o in self.outputs)}"]
        )


def at_line(line: Line | None) -> str:
    """Return ``", at file.py:12: source text"`` for messages; nothing if the line is not known."""
    return "" if line is None else f", at {source_line(*line)}"


def infer(
    op: Op, args: Sequence[Any], attrs: Mapping[str, Any]
) -> tuple[tuple[tuple[tuple[int, ...], Any], ...], bool]:
    """Find the shapes and dtypes of an op's outputs, by running its formula.

    It runs on stand-ins: arrays of the right shape all of whose elements are one zero in memory. No op
    has a shape rule to keep in step with its formula: the formula is the rule.

    Returns
    -------
    specs : tuple
        A pair of shape and dtype for each output.
    several : bool
        Whether the formula returns a sequence of outputs, be it of one.
    """
    stand_ins = [
        numpy.broadcast_to(numpy.zeros((), a.dtype), a.shape) if isinstance(a, Var) else a
        for a in args
    ]
    with numpy.errstate(all="ignore"):
        out = promoted(op, stand_ins).fn(backend_named("numpy").namespace, *stand_ins, **attrs)
    outs = out if isinstance(out, (tuple, list)) else (out,)
    dtypes = [o.dtype if hasattr(o, "dtype") else numpy.asarray(o).dtype for o in outs]
    return tuple((numpy.shape(o), d) for o, d in zip(outs, dtypes, strict=True)), isinstance(
        out, (tuple, list)
    )


class Recorder:
    """The tracing interpreter: write each op down as a node, and hand back variables.

    Attributes
    ----------
    nodes : list of Node
    line : tuple of str and int or None
        That the nodes to come are from.
    """

    tracing = True

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.line: Line | None = None

    def apply(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        """Append a node for ``op`` and return its output variables."""
        given: list[Any] = []
        for arg in args:
            number = None if isinstance(arg, Var) else weak_number(arg)
            if number is None and not isinstance(arg, (Var, type(None))):
                way = "it" if isinstance(arg, Operators) else "minigrad.tensor(...) of it"
                raise TraceError(
                    f"{op.name} in a traced step uses a {type(arg).__name__} that the step was not "
                    f"given, at {user_line()}\n  pass {way} to the step as an input or a parameter, so "
                    "that it is never baked in; in an nn.Cell let it be an nn.Buffer or nn.Parameter, "
                    "self.table = nn.Buffer(...), say; draw random numbers before the loop"
                )
            given.append(arg if number is None else number)
        args = tuple(given)
        try:
            specs, several = infer(op, args, attrs)
        except Exception as error:
            shown = ", ".join(map(repr, args))
            raise TraceError(f"{op.name}({shown}) at {user_line()}\n  {error}") from error
        outputs = tuple(Var(shape, dtype) for shape, dtype in specs)
        self.nodes.append(Node(op, args, attrs, outputs, self.line))
        return outputs if several else outputs[0]


class Ops:
    """The ops of the table as the ``m`` of a rule: each call goes to the current interpreter."""

    def __getattr__(self, name: str) -> Any:
        op = OPS[name]
        defaults = {k: v for k, v in op.defaults.items() if k in op.attributes}

        def call(*args: Any, **attrs: Any) -> Any:
            return dispatch.apply(op, args, {**defaults, **attrs})

        self.__dict__[name] = call
        return call


ops = Ops()
on_replacement.append(lambda name: ops.__dict__.pop(name, None) and None)


def _stand_in(array: Any) -> Var:
    return Var(tuple(array.shape), as_dtype(array.dtype))


def needs(
    op: Op,
    args: Sequence[Any],
    outs: Sequence[Any],
    several: bool,
    attrs: Mapping[str, Any],
    mask: int,
) -> tuple[tuple[int, ...], bool]:
    """Find what the adjoint rules of the arguments in ``mask`` do not touch, by running them.

    Returns
    -------
    droppable : tuple of int
        Positions of the arguments that no rule reads.
    output : bool
        Whether a rule reads the output.

    Raises
    ------
    GradientError
        If a rule fails on variables.
    """
    op = op.original  # it reads what it reads, whatever the conversions around it
    if op.saves != "touched":
        return (), op.saves == "all"
    xs = [_stand_in(a) if hasattr(a, "shape") else a for a in args]
    ys = tuple(map(_stand_in, outs))
    gs = tuple(Var(y.shape, y.dtype) for y in ys)
    g, y = (gs, ys) if several else (gs[0], ys[0])
    touched: set[Any] = set()
    with dispatch.interpreting(Recorder()) as recorder:
        try:
            if op.joint:
                touched.update(jointly(ops, op, g, y, xs, attrs))
            else:
                for position in range(len(xs)):
                    if mask >> position & 1 and op.rules[position] is not None:
                        touched.add(op.rules[position](ops, g, y, *xs, **attrs))
        except GradientError:
            raise
        except Exception as error:
            raise GradientError(
                f"the adjoint rule of {op.name} failed when it was run on variables to see what it "
                f"reads: {error}\n  a rule must compute with operators and with the functions of "
                "its first argument m, so that it runs on arrays, tensors and variables alike"
            ) from error
    for node in recorder.nodes:
        touched.update(i for i in node.inputs if isinstance(i, Var))
    droppable = tuple(i for i, x in enumerate(xs) if isinstance(x, Var) and x not in touched)
    return droppable, any(o in touched for o in ys)
