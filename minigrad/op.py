"""The op record: one formula, its adjoint rules, and a domain for tests. All else is derived from it.

The formula is a function ``fn(m, *arrays, **attributes)``. It is run, never rewritten: ``m`` is the
array library of the arrays given (NumPy, CuPy, any namespace of the array API standard). Its signature
is the signature of the public function: parameters before ``/`` (all positional ones if there is no
``/``) are arrays, the others are attributes; ``*xs`` means "a sequence of arrays".

An adjoint rule is a function ``rule(m, g, y, *arrays, **attributes)`` that maps the cotangent ``g`` of
the output ``y`` to the cotangent of one argument. In a rule ``m`` offers the ops of the table, so one
rule serves raw arrays, tensors (for second derivatives) and graph variables (for compiled loops).
A rule need not un-broadcast: whoever runs it does. It must spread ``g`` where the op reduces: a cotangent
that is smaller than its argument is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy

from minigrad import dispatch
from minigrad.docstring import Docstring
from minigrad.errors import ArgumentError, suggestion
from minigrad.op_docstring import docstring

Rule = Callable[..., Any]
Sharp = Literal["complex", "linear"]
Arguments = tuple[
    tuple[Any, ...], dict[str, Any]
]  # of one call: arrays in order, attributes by name
Saves = Literal["touched", "inputs", "all"]
Promotion = Literal["common", "float", "separate", "none"]


class Draw(Protocol):
    """The source of test arguments that ``Domain.arguments`` draws from."""

    def integer(self, low: int, high: int) -> int:
        """An integer between ``low`` and ``high``, both included."""

    def boolean(self) -> bool:
        """True or False."""

    def choice(self, options: Sequence[Any]) -> Any:
        """One of ``options``."""

    def shape(self, min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> tuple[int, ...]:
        """A shape; sides are at most 4."""

    def array(self, *shape: int, low: float | None = None, high: float | None = None) -> Any:
        """A float array with values of the op's domain, or between ``low`` and ``high``."""

    def distinct(self, *shape: int) -> Any:
        """A float array whose elements differ clearly from each other."""

    def integers(self, *shape: int, low: int, high: int) -> Any:
        """An integer array with values between ``low`` and ``high``, both included."""

    def booleans(self, *shape: int) -> Any:
        """A bool array."""

    def permutation(self, n: int) -> tuple[int, ...]:
        """The numbers below ``n`` in some order."""


@dataclass(frozen=True)
class Domain:
    """Where an op is tested, and how sharply.

    Parameters
    ----------
    low, high : float
        The range that float arguments are drawn from.
    sharp : {"complex", "linear"}, optional
        The check that holds besides finite differences: "complex" (the formula is analytic and takes
        complex arguments: complex step) or "linear" (linear, or bilinear, in the float arguments
        together: differences with a step of one are exact).
    arguments : callable, optional
        ``arguments(draw)`` returns the arguments and the attributes of one test case. Elementwise ops
        need none: they get broadcasting arrays.
    strict : str, optional
        Why the formula cannot run on a namespace that has the array API standard and nothing else.

    Examples
    --------
    >>> positive = mg.Domain(0.1, 3.0, sharp="complex")
    >>> positive.low, positive.high
    (0.1, 3.0)
    """

    low: float = -2.0
    high: float = 2.0
    sharp: Sharp | None = None
    arguments: Callable[[Draw], Arguments] | None = None
    strict: str | None = None


class Op:
    """One row of the op table; calling it is calling the public function.

    Attributes
    ----------
    name : str
    fn : callable
        The formula.
    rules : sequence of rules, or None
        One adjoint rule for each array argument; None where an argument has no derivative. An op
        without rules is never differentiated: its result is a constant.
    elementwise : bool
        Whether each element of the result depends on one element of each argument.
    selects : bool
        Whether the op passes on some of its arguments' elements and drops others (``where``,
        ``maximum``). A dropped element gets a gradient of exactly zero, whatever it went through before.
    joint : bool
        Whether ``rules`` is a single function that returns the cotangents of all arguments at once.
    takes_none : bool
        Whether the rule of an op with several outputs is given None for a cotangent that never came,
        instead of zeros.
    saves : {"touched", "inputs", "all"}
        What to keep for the backward pass: what the rules touch (found by running them), all
        arguments, or all arguments and outputs.
    doc : str
        One sentence, and what else a user must know. The docstring has more: see `minigrad.op_docstring`.
    """

    __doc__ = Docstring(__doc__, docstring)

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        rules: Any,
        *,
        domain: Domain,
        elementwise: bool = False,
        selects: bool = False,
        joint: bool = False,
        takes_none: bool = False,
        saves: Saves = "touched",
        promotion: Promotion = "none",
        moves: bool = False,
        doc: str = "",
    ) -> None:
        self.name = name
        self.fn = fn
        self.rules = rules
        self.domain = domain
        self.elementwise = elementwise
        self.selects = selects
        self.joint = joint
        self.takes_none = takes_none
        self.saves: Saves = saves
        self.promotion: Promotion = promotion
        self.moves = moves
        self.promotions: dict[Any, Op] = {}
        self.fixed = frozenset(
            i for i, rule in enumerate(rules if isinstance(rules, Sequence) else ()) if rule is None
        )
        self.original = self
        self.saving: dict[Any, tuple[tuple[int, ...], bool]] = {}
        self._read_signature()
        self.doc = doc

    def _read_signature(self) -> None:
        parameters = list(inspect.signature(self.fn).parameters.values())[1:]
        kinds = {p.kind for p in parameters}
        first = (
            inspect.Parameter.POSITIONAL_ONLY
            if inspect.Parameter.POSITIONAL_ONLY in kinds
            else inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        self.variadic = inspect.Parameter.VAR_POSITIONAL in kinds
        arrays = [p for p in parameters if p.kind is first] if not self.variadic else []
        others = [
            p
            for p in parameters
            if p not in arrays and p.kind is not inspect.Parameter.VAR_POSITIONAL
        ]
        self.arrays = tuple(p.name for p in arrays)
        self.arity = len(arrays)
        self.attributes = tuple(p.name for p in others)
        self.defaults = {p.name: p.default for p in (*arrays, *others) if p.default is not p.empty}
        self.known = frozenset(self.attributes)
        self.usual = {
            name: self.defaults[name] for name in self.attributes if name in self.defaults
        }
        self.__name__ = self.__qualname__ = self.name
        public = [p.replace(annotation=p.empty) for p in parameters]
        if self.variadic:
            public = [
                p.replace(kind=inspect.Parameter.POSITIONAL_ONLY, name="arrays")
                if p.kind is inspect.Parameter.VAR_POSITIONAL
                else p
                for p in public
            ]
        self.__signature__ = inspect.Signature(public)

    def with_conversions(self, fn: Callable[..., Any], around: Callable[[Rule], Rule]) -> Op:
        """Return this op with another formula, and with ``around(rule)`` in place of each rule."""
        other = Op.__new__(Op)
        other.__dict__.update(self.__dict__)
        other.fn, rules = fn, self.rules
        if isinstance(rules, EachArgument):
            other.rules = EachArgument(
                lambda position, *args, **attrs: around(rules[position])(*args, **attrs)
            )
        elif isinstance(rules, Sequence):
            other.rules = [None if rule is None else around(rule) for rule in rules]
        elif rules is not None:
            other.rules = around(rules)
        return other

    @property
    def is_built_in(self) -> bool:
        """Whether it is an op of minigrad itself."""
        return str(getattr(self.fn, "__module__", "")).partition(".")[0] == "minigrad"

    def __repr__(self) -> str:
        return f"<op {self.name}{self.__signature__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _lookup, (self.name,)

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        if attrs or self.attributes or len(args) != self.arity:
            found = self._sorted(args, attrs)
            args, attrs = self.bind(args, attrs) if found is None else found
        return dispatch.apply(self, args, attrs)

    def _sorted(self, args: tuple[Any, ...], given: dict[str, Any]) -> Arguments | None:
        """Return what `bind` finds, sooner; None for what is wrong or out of the ordinary."""
        arity, names = self.arity, self.attributes
        more = len(args) - arity
        if self.variadic or not 0 <= more <= len(names):
            return None
        if not given and more == len(names):
            return args[:arity], dict(zip(names, map(_unchangeable, args[arity:]), strict=True))
        attrs = {**self.usual, **dict(zip(names, args[arity:], strict=False)), **given}
        if attrs.keys() != self.known or (more and not given.keys().isdisjoint(names[:more])):
            return None
        return args[:arity], {name: _unchangeable(attrs[name]) for name in names}

    def bind(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> Arguments:
        """Sort a call's arguments into arrays and attributes, defaults filled in.

        Raises
        ------
        TypeError
            If an argument is missing, given twice, or unknown; with the nearest known name.
        """
        if self.variadic:
            if not args or not isinstance(args[0], Sequence) or isinstance(args[0], str):
                found = type(args[0]).__name__ if args else "nothing"
                raise TypeError(
                    f"{self.name}() takes a list or tuple of tensors first, but found {found}; "
                    f"write minigrad.{self.name}([a, b], ...)"
                )
            names, positional = self.attributes, args[1:]
        else:
            names, positional = (*self.arrays, *self.attributes), args
        if len(positional) > len(names):
            raise TypeError(
                f"{self.name}{self.__signature__} takes {len(names)} arguments, "
                f"but {len(positional)} were given"
            )
        values = dict(zip(names, positional, strict=False))
        for key, value in given.items():
            if key in values:
                raise TypeError(f"{self.name}() got two values for {key!r}")
            if key not in names:
                raise TypeError(
                    f"{self.name}{self.__signature__} has no argument {key!r}"
                    + (
                        "; it is called 'axis' here"
                        if key == "dim" and "axis" in names
                        else suggestion(key, names)
                    )
                )
            values[key] = value
        values = {**self.defaults, **values}
        for name in names:
            if name not in values:
                raise TypeError(f"{self.name}() misses its argument {name!r}")
        arrays = tuple(args[0]) if self.variadic else tuple(values[n] for n in self.arrays)
        return arrays, {name: _unchangeable(values[name]) for name in self.attributes}


_PLAIN = frozenset({int, float, bool, str, type(None)})


def _unchangeable(value: Any) -> Any:
    """Return an attribute that its giver cannot change: the backward pass will read it again.

    A number of NumPy becomes one of Python, which has no dtype that a formula would meet.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, numpy.generic):
        return value.item()
    try:
        hash(value)  # soon done for a shape
    except TypeError:
        if isinstance(value, (list, tuple)):
            return tuple(map(_unchangeable, value))
        return value.copy() if isinstance(value, numpy.ndarray) else value
    return value


class EachArgument:
    """The rules of an op that takes any number of arrays: one function that is told which one."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self.rule = rule

    def __getitem__(self, position: int) -> Rule:
        return lambda m, g, y, *xs, **attrs: self.rule(position, m, g, y, *xs, **attrs)


@dataclass(frozen=True)
class Composite:
    """A public function that is written in terms of ops, and so has no rule of its own.

    It stands in a table beside the ops so that the same properties test it.
    """

    name: str
    function: Callable[..., Any]
    domain: Domain


OPS: dict[str, Op] = {}
on_replacement: list[Callable[[str], None]] = []
"""Called with the name of an op that is defined: whoever keeps what the table says forgets it."""
COMPOSITES: dict[str, Composite] = {}


def _lookup(name: str) -> Op:
    return OPS[name]


def define_op(
    name: str,
    fn: Callable[..., Any],
    vjp: Any = None,
    *,
    domain: Domain | None = None,
    doc: str = "",
    elementwise: bool = False,
    selects: bool = False,
    joint: bool = False,
    saves: Saves = "touched",
    promotion: Promotion | None = None,
    moves: bool = False,
    replace: bool = False,
) -> Op:
    """Add an op to the table and return it; the returned record is the public function.

    Parameters
    ----------
    name : str
        The public name; must be free, unless ``replace``.
    fn : callable
        The formula ``fn(m, *arrays, **attributes)``. It runs in a context of its own, in which NumPy
        gives no floating-point warnings.
    vjp : callable or sequence, optional
        The adjoint rule of a function of one array, or one rule for each array. Leave it out for
        functions with no derivative.
    domain : Domain, optional
        What the tests draw; by default arrays that broadcast, with elements between -2 and 2.
    doc : str
        One sentence, then whatever else a user must know.
    elementwise : bool
        Whether each element of the result depends on one element of each argument.
    selects : bool
        Whether some elements of the arguments are passed on and others dropped; those get a gradient of
        exactly zero.
    joint : bool
        Whether ``vjp`` is one function that returns the cotangents of all arguments.
    saves : {"touched", "inputs", "all"}
        What to keep for the backward pass: what the rules touch, all arguments, or the outputs, too.
    promotion : {"common", "float", "separate", "none"}, optional
        In which dtypes the op computes: its arguments meet in one ("common"; "float" turns integers
        into the default dtype, too), but for those that have no rule; or each keeps its own ("separate"),
        as an index does. By default "common" for an elementwise op, else "separate". Half precision is
        computed in float32 and the result rounded, unless it is "none".
    moves : bool
        Whether ``fn`` moves elements and computes none: then it takes half precision as it is.
    replace : bool
        Whether the op takes the place of one of your own with its name, as when a cell of a notebook is
        run again. Records and graphs that were made with the other one keep it.

    Returns
    -------
    Op
        The public function.

    Raises
    ------
    ArgumentError
        If the name is taken (with ``replace``: by minigrad itself), or there is not one rule for each
        array.

    Examples
    --------
    >>> cube = mg.define_op("cube", lambda m, x: x**3, lambda m, g, y, x: g * 3 * x**2, elementwise=True)
    >>> x = mg.tensor(2.0, requires_grad=True)
    >>> mg.grad(cube(x), x)
    (tensor(12.),)
    """
    if name in COMPOSITES or (name in OPS and (OPS[name].is_built_in or not replace)):
        own = name in OPS and not OPS[name].is_built_in
        advice = ", or pass replace=True to define it again" if own else ""
        raise ArgumentError(
            f"define_op: there is already an op named {name!r}; choose another name{advice}"
        )
    rules = (vjp,) if callable(vjp) and not joint else vjp
    op = Op(
        name,
        fn,
        rules,
        domain=domain or Domain(),
        elementwise=elementwise,
        selects=selects,
        joint=joint,
        saves=saves,
        promotion=promotion or ("common" if elementwise else "separate"),
        moves=moves,
        doc=doc,
    )
    if not joint and not op.variadic and rules is not None and len(rules) != op.arity:
        raise ArgumentError(
            f"define_op: {name!r} has {len(rules)} adjoint rules for its {op.arity} arrays "
            f"({', '.join(op.arrays)}); give one for each, None for one without a derivative"
        )
    OPS[name] = op
    for forget in on_replacement:
        forget(name)
    return op


def elementwise(
    name: str,
    fn: Callable[..., Any],
    vjp: Any = None,
    *,
    domain: Domain | None = None,
    doc: str = "",
    selects: bool = False,
    promotion: Promotion = "common",
    moves: bool = False,
) -> Op:
    """Add an op that works on each element by itself, with broadcasting; see `define_op`."""
    return define_op(
        name,
        fn,
        vjp,
        domain=domain,
        doc=doc,
        elementwise=True,
        selects=selects,
        promotion=promotion,
        moves=moves,
    )
