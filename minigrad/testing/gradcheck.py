"""Compare gradients with derivatives that are found without them.

All checks rest on one identity. Let ``J`` be the derivative of a function at ``x``. For every direction
``v`` and cotangent ``g`` the adjoint must satisfy ``<g, J v> = <adjoint(g), v>``. The left side is the
derivative of ``t -> <g, f(x + t v)>`` at 0, one number that can be found in several ways:

"differences"
    Central differences, with steps made smaller until they agree among themselves.
"complex"
    The complex step: for analytic formulas, exact to rounding.
"linear"
    A central difference with a step of one: for functions that are linear or bilinear, exact to rounding.
"taylor"
    ``f(x + t v)`` minus its linear part must fall like ``t ** 2``. Needs no tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy

from minigrad.autograd import grad
from minigrad.backends import backend_named
from minigrad.checks import check_integer
from minigrad.errors import ArgumentError, DtypeError, suggestion
from minigrad.evaluate import evaluate
from minigrad.graph import Var
from minigrad.op import Op
from minigrad.ops.elementwise import zeros_like
from minigrad.tape import enable_grad, no_grad
from minigrad.tensor import Tensor, tensor
from minigrad.testing.routes import (
    adjoint,
    bound,
    is_differentiable,
    listed,
    trace,
)

Arrays = Sequence[Any]
_EPSILON = float(numpy.finfo(numpy.float64).eps)
_MOST_ELEMENTS = 1000  # how many elements of an argument a failure report looks at


class GradcheckError(AssertionError):
    """A gradient is wrong. The message says which method, argument and element, and both numbers."""


class KinkError(ArithmeticError):
    """The function has a kink or a jump at this point or next to it: nothing can be checked there."""


@dataclass(frozen=True)
class _Subject:
    """A function of float64 arrays, and its adjoint."""

    name: str
    labels: tuple[str, ...]
    forward: Callable[[Arrays], tuple[Any, ...]]
    pull_back: Callable[[Arrays, Arrays], tuple[Any, ...]]
    forward_complex: Callable[[Arrays], tuple[Any, ...]]


@dataclass(frozen=True)
class _Line:
    """The function ``t -> <g, f(x + t v)>``."""

    subject: _Subject
    xs: Arrays
    directions: Arrays
    cotangents: Arrays

    def _at(self, t: complex) -> list[Any]:
        return [x + t * v if v.any() else x for x, v in zip(self.xs, self.directions, strict=True)]

    def __call__(self, t: float) -> tuple[float, float]:
        """Return the value at ``t``, and the size of what was added up for it."""
        ys = self.subject.forward(self._at(t))
        terms = [g * y for g, y in zip(self.cotangents, ys, strict=True)]
        return sum(float(x.sum()) for x in terms), sum(float(abs(x).sum()) for x in terms)

    def complex_step(self) -> tuple[float, float]:
        """Return the derivative at 0, and the size of what was added up for the value there."""
        step = 1e-30
        ys = self.subject.forward_complex(self._at(1j * step))
        terms = [g * y for g, y in zip(self.cotangents, ys, strict=True)]
        slope = sum(float(numpy.imag(x).sum()) for x in terms) / step
        return slope, sum(float(abs(x).sum()) for x in terms)


# the methods: each returns the derivative of a line at 0, and a bound for its error


def _by_differences(line: _Line) -> tuple[float, float]:
    middle, size = line(0.0)
    for exponent in range(8, 24, 3):
        steps = [2.0**-exponent, 2.0 ** -(exponent + 1), 2.0 ** -(exponent + 2)]
        ends = [(line(h)[0], line(-h)[0]) for h in steps]
        slopes = [(a - b) / (2 * h) for h, (a, b) in zip(steps, ends, strict=True)]
        # right slope less left slope: falls with the step where the function is smooth
        bends = [abs(a + b - 2 * middle) / h for h, (a, b) in zip(steps, ends, strict=True)]
        noise = 8 * _EPSILON * size / steps[-1]
        # extrapolation: the error of a central difference is even in the step (Richardson 1911)
        first, second = ((4 * fine - coarse) / 3 for coarse, fine in pairwise(slopes))
        error = abs(second - first) + noise
        reliable = error <= 1e-7 * (abs(second) + size)
        if reliable and bends[-1] <= 0.6 * bends[0] + noise:
            return second, 4 * error
    raise KinkError(
        f"{line.subject.name} has a kink or a jump within {steps[0]:.0e} of this point: slopes to the "
        f"right and to the left differ by {bends[-1]:.3g}; check it at another point"
    )


def _by_complex_step(line: _Line) -> tuple[float, float]:
    value, size = line.complex_step()
    return value, 1e-12 * size


def _by_step_of_one(line: _Line) -> tuple[float, float]:
    (right, size), (left, other) = line(1.0), line(-1.0)
    return (right - left) / 2, 1e-13 * (size + other)


_DERIVATIVES = {
    "differences": _by_differences,
    "complex": _by_complex_step,
    "linear": _by_step_of_one,
}
METHODS = (*_DERIVATIVES, "taylor")


def _remainder_slope(line: _Line, claimed: float) -> float:
    """Return the power of ``t`` with which the Taylor remainder falls; infinite if there is none."""
    middle, size = line(0.0)
    remainders = []
    for exponent in range(6, 16):
        h = 2.0**-exponent
        remainder = abs(line(h)[0] - middle - h * claimed)
        if not math.isfinite(remainder):
            raise KinkError(
                f"{line.subject.name} is not finite within {h:.0e} of this point; check it at another"
            )
        if remainder > 64 * _EPSILON * (size + abs(claimed) * h):
            remainders.append((h, remainder))
    if len(remainders) < 3:
        return math.inf
    (h1, r1), (h2, r2) = remainders[0], remainders[-1]
    return math.log(r1 / r2) / math.log(h1 / h2)


# comparing


def _claimed(parts: Arrays, directions: Arrays) -> tuple[float, float]:
    terms = [p * v for p, v in zip(parts, directions, strict=True)]
    return sum(float(t.sum()) for t in terms), sum(float(abs(t).sum()) for t in terms)


def _agree(claimed: float, size: float, found: float, error: float, method: str) -> bool:
    tolerance = (1e-6 if method == "differences" else 1e-11) * (size + abs(found))
    return abs(claimed - found) <= error + tolerance


def _disagreement(
    subject: _Subject, xs: Arrays, gs: Arrays, parts: Arrays, method: str, most: int
) -> list[str]:
    """Return a line for each element whose derivative is wrong, the worst first."""
    wrong = []
    for k, x in enumerate(xs):
        for index in islice(numpy.ndindex(x.shape), most):
            directions = [numpy.zeros_like(other) for other in xs]
            directions[k][index] = 1.0
            claimed = float(parts[k][index])
            line = _Line(subject, xs, directions, gs)
            try:
                found, error = _DERIVATIVES[method](line)
            except KinkError:
                continue
            if not _agree(claimed, abs(claimed), found, error, method):
                where = f"argument {subject.labels[k]}, element {index}"
                text = f"{where}: the rule gives {claimed:.10g}, {method} gives {found:.10g}"
                wrong.append((abs(claimed - found), text))
    wrong.sort(key=lambda pair: -pair[0])
    return [text for _, text in wrong]


def _outputs_of(subject: _Subject, xs: Arrays) -> tuple[Any, ...]:
    """Return the outputs at the point; refuse those that cannot be differentiated numerically."""
    ys, again = subject.forward(xs), subject.forward(xs)
    if not ys:
        raise ArgumentError(
            f"gradcheck of {subject.name}: it returns no floating-point numbers; "
            "there is nothing to check"
        )
    if len(ys) != len(again) or not all(
        numpy.array_equal(y, z, equal_nan=True) for y, z in zip(ys, again, strict=True)
    ):
        raise ArgumentError(
            f"gradcheck of {subject.name}: called again it returned something else; seed what is "
            "random in it, and change nothing that it reads"
        )
    for position, y in enumerate(ys):
        if not numpy.isfinite(y).all():
            raise KinkError(
                f"gradcheck of {subject.name}: output {position} is not finite, so nothing can be "
                "checked here; check it at another point"
            )
    return ys


def _wild(subject: _Subject, parts: Arrays) -> GradcheckError:
    shown = [
        f"argument {label}, element {tuple(index)}: the rule gives {part[tuple(index)]}"
        for label, part in zip(subject.labels, parts, strict=True)
        for index in numpy.argwhere(~numpy.isfinite(part)).tolist()
    ]
    return GradcheckError(f"gradcheck of {subject.name}: the gradient is wrong: {shown[0]}")


def _by_size(directions: Arrays, parts: Arrays) -> list[Arrays]:
    """Return ``directions`` cut up, so that each of them meets derivatives of about one size.

    Beside one that is much larger a wrong derivative would not be seen. Each argument has directions of
    its own, and so have its derivatives of 0.
    """
    found: list[Arrays] = []
    for k, part in enumerate(parts):
        size = abs(part)
        with numpy.errstate(all="ignore"):
            below = numpy.floor(numpy.log10(size.max(initial=0.0) / size) / 3)
        classes = numpy.where(size > 0, below, numpy.inf)
        for value in numpy.unique(classes):
            only = [numpy.zeros_like(v) for v in directions]
            only[k] = numpy.where(classes == value, directions[k], 0.0)
            found.append(only)
    return found if len(found) > 1 else []


def _check(
    subject: _Subject,
    xs: Arrays,
    methods: Sequence[str],
    directions: int,
    seed: int,
    most: int = _MOST_ELEMENTS,
) -> float:
    """Return the largest relative difference between claimed and found derivatives."""
    check_integer(f"gradcheck of {subject.name}", "directions", directions, low=1)
    if not methods or isinstance(methods, str):
        raise ArgumentError(
            f"gradcheck of {subject.name}: methods must be a list or tuple of at least one of "
            f"{', '.join(METHODS)}, not {methods!r}"
        )
    for method in methods:
        if method not in METHODS:
            raise ArgumentError(
                f"gradcheck has no method {method!r}{suggestion(method, METHODS)}; "
                f"the methods are {', '.join(METHODS)}"
            )
    rng = numpy.random.default_rng(seed)
    ys = _outputs_of(subject, xs)
    largest = 0.0
    for _ in range(directions):
        vs = [rng.standard_normal(x.shape) for x in xs]
        gs = [rng.standard_normal(y.shape) for y in ys]
        parts = subject.pull_back(xs, gs)
        for label, x, part in zip(subject.labels, xs, parts, strict=True):
            if part.shape != x.shape:
                raise GradcheckError(
                    f"gradcheck of {subject.name}: the gradient of argument {label} has shape "
                    f"{part.shape}, but the argument has shape {x.shape}"
                )
        if not all(numpy.isfinite(part).all() for part in parts):
            for method in set(methods) - {"taylor"}:  # at a kink there need be no gradient
                _DERIVATIVES[method](_Line(subject, xs, vs, gs))
            raise _wild(subject, parts)
        for place, along in enumerate((vs, *_by_size(vs, parts))):
            line = _Line(subject, xs, along, gs)
            claimed, size = _claimed(parts, along)
            for method in methods:
                if method == "taylor":
                    slope = _remainder_slope(line, claimed)
                    if slope < 1.5:
                        raise GradcheckError(
                            f"gradcheck of {subject.name}: the gradient is wrong: the Taylor remainder "
                            f"falls like t ** {slope:.2f}, not like t ** 2"
                        )
                    continue
                found, error = _DERIVATIVES[method](line)
                if _agree(claimed, size, found, error, method):
                    if place == 0:
                        difference = abs(claimed - found) / (size + abs(found) or 1.0)
                        largest = max(largest, difference)
                    continue
                details = _disagreement(subject, xs, gs, parts, method, most)
                shown = "".join(f"\n  {text}" for text in details[:5])
                more = f"\n  ... and {len(details) - 5} more elements" if len(details) > 5 else ""
                raise GradcheckError(
                    f"gradcheck of {subject.name}: the gradient is wrong: along a random direction the "
                    f"rules give {claimed:.10g}, {method} gives {found:.10g}{shown}{more}"
                )
    return largest


# what is checked: a function of tensors, or the record of an op


def _as_float64(values: Arrays, of: str) -> None:
    for position, value in enumerate(values):
        if is_differentiable(value) and value.dtype != numpy.float64:
            raise DtypeError(
                f"{of}: input {position} is {value.dtype}, in which differences are too coarse; "
                'convert it with .astype("float64")'
            )


def _separate(inputs: tuple[Any, ...], of: str) -> tuple[Any, ...]:
    """Return the inputs one by one, also if they were given as one list, as PyTorch takes them."""
    if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)):
        inputs = tuple(inputs[0])
    for position, value in enumerate(inputs):
        if _holds_tensors(value):
            raise ArgumentError(
                f"{of}: input {position} is a {type(value).__name__} with tensors in it, which would not "
                "be checked; give them one by one, and put them together in the function: "
                "lambda a, b: f([a, b])"
            )
    return inputs


def _holds_tensors(value: Any) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, (Mapping, list, tuple, set)) and any(
        isinstance(part, Tensor) or _holds_tensors(part) for part in parts
    )


def _differentiable_outputs(of: str, outputs: Any) -> list[Tensor]:
    """Return the floating-point tensors among the outputs of a function; refuse what is no tensor."""
    given = listed(outputs)
    if not given or not all(isinstance(y, (Tensor, Var)) for y in given):
        shown = "an empty tuple" if not given else ", ".join(type(y).__name__ for y in given)
        raise ArgumentError(f"{of}: the function must return a tensor or several, not {shown}")
    for position, y in enumerate(given):
        if is_differentiable(y) and y.dtype != numpy.float64:
            raise DtypeError(
                f"{of}: output {position} is {y.dtype}, in which differences are too coarse; "
                "let the function compute in float64"
            )
    return [y for y in given if is_differentiable(y)]


def _function_subject(
    function: Callable[..., Any], inputs: Sequence[Any], of: str
) -> tuple[_Subject, list[Any]]:
    _as_float64(inputs, of)
    tensors = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and is_differentiable(x)]
    positions = [i for i in tensors if inputs[i].requires_grad] or tensors
    if not positions:
        raise ArgumentError(
            f"{of}: none of the inputs is a tensor of float64; there is nothing to check"
        )

    def filled(values: Arrays) -> list[Any]:
        given = list(inputs)
        for i, value in zip(positions, values, strict=True):
            given[i] = value
        return given

    def run(arrays: Arrays, requires_grad: bool) -> tuple[list[Tensor], list[Tensor]]:
        xs = [
            tensor(a, device=inputs[i].device, requires_grad=requires_grad)
            for i, a in zip(positions, arrays, strict=True)
        ]
        return xs, _differentiable_outputs(of, function(*filled(xs)))

    def forward(arrays: Arrays) -> tuple[Any, ...]:
        with no_grad(), numpy.errstate(all="ignore"):
            return tuple(_raw(y) for y in run(arrays, False)[1])

    def pull_back(arrays: Arrays, cotangents: Arrays) -> tuple[Any, ...]:
        xs, ys = run(arrays, True)
        pairs = [
            (y, tensor(g, dtype=y.dtype, device=y.device))
            for y, g in zip(ys, cotangents, strict=True)
            if y.requires_grad
        ]
        if not pairs:
            return tuple(numpy.zeros(x.shape) for x in xs)
        found = grad([y for y, _ in pairs], xs, [g for _, g in pairs], allow_unused=True)
        return tuple(
            numpy.zeros(x.shape) if g is None else _raw(g) for x, g in zip(xs, found, strict=True)
        )

    def forward_complex(arrays: Arrays) -> tuple[Any, ...]:
        traced = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]

        def on_variables(*values: Any) -> Any:
            given = list(inputs)
            for i, value in zip(traced, values, strict=True):
                given[i] = value
            return function(*given)

        graph = trace(on_variables, *(inputs[i] for i in traced))
        values = dict(zip(positions, arrays, strict=True))
        content = [values[i] if i in values else _raw(inputs[i]) for i in traced]
        outs = zip(
            graph.outputs, evaluate(graph, content, backend_named("numpy").namespace), strict=True
        )
        return tuple(y for spec, y in outs if is_differentiable(spec))

    name = getattr(function, "__name__", type(function).__name__)
    subject = _Subject(name, tuple(map(str, positions)), forward, pull_back, forward_complex)
    return subject, [_raw(inputs[i]) for i in positions]


def _raw(t: Tensor) -> Any:
    return t.detach().cpu().numpy()


def gradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    methods: Sequence[str] = ("differences",),
    directions: int = 2,
    seed: int = 0,
) -> None:
    """Compare the gradients of a function of tensors with numerical derivatives.

    Parameters
    ----------
    function : callable
        Takes ``inputs``, returns a tensor or several. It must return the same each time.
    *inputs : Any
        Those that require gradients are checked; all float64 tensors if none does. They may be given
        as one list or tuple, as PyTorch takes them.
    methods : sequence of {"differences", "complex", "linear", "taylor"}
        "differences": central differences. "complex": the complex step, for analytic functions that use
        no other tensors than their inputs. "linear": a step of one, for (bi)linear functions. "taylor":
        the Taylor remainder falls like the square of the step.
    directions : int
        How many random directions and cotangents to try.
    seed : int
        Where those come from.

    Raises
    ------
    GradcheckError
        If a gradient is wrong; names the argument, the element and both numbers.
    KinkError
        If the function is not smooth at this point, or its result is not finite.
    DtypeError
        If an input or an output is a floating-point tensor of another dtype than float64.
    ArgumentError
        If the inputs hold nothing to check, or the function returns something else than tensors or,
        called again, other numbers.

    Examples
    --------
    >>> from minigrad.testing import gradcheck
    >>> x = mg.tensor([0.5, 2.0], dtype="float64", requires_grad=True)
    >>> gradcheck(lambda x: mg.sin(x) * x, x)
    """
    inputs = _separate(inputs, "gradcheck")
    subject, xs = _function_subject(function, inputs, "gradcheck")
    _check(subject, xs, methods, directions, seed)


def gradgradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    methods: Sequence[str] = ("differences",),
    directions: int = 2,
    seed: int = 0,
) -> None:
    """Compare second derivatives of a function of tensors with numerical derivatives of the first.

    It checks the function that maps inputs and cotangents to gradients. Parameters are those of
    `gradcheck`, but for the method "complex".

    Parameters
    ----------
    function : callable
        Takes ``inputs``, returns a tensor or several. It must return the same each time.
    *inputs : Any
        Tensors of any shapes, float64, that require gradients, and other arguments.
    methods : sequence of {"differences", "linear", "taylor"}
        As in `gradcheck`.
    directions : int
        How many random directions and cotangents to try.
    seed : int
        Where those come from.

    Raises
    ------
    ArgumentError
        If ``methods`` names "complex": a gradient cannot be traced.
    GradcheckError, KinkError, DtypeError
        As in `gradcheck`.

    Examples
    --------
    >>> from minigrad.testing import gradgradcheck
    >>> x = mg.tensor([0.5, 2.0], dtype="float64", requires_grad=True)
    >>> gradgradcheck(lambda x: mg.sin(x) * x, x)
    """
    if "complex" in methods:
        raise ArgumentError(
            'gradgradcheck has no method "complex", because a gradient cannot be traced; '
            'use "differences", "linear" or "taylor"'
        )
    inputs = _separate(inputs, "gradgradcheck")
    subject, xs = _function_subject(function, inputs, "gradgradcheck")
    rng = numpy.random.default_rng(seed + 1)
    cotangents = [tensor(rng.standard_normal(y.shape)) for y in subject.forward(xs)]
    checked = [int(label) for label in subject.labels]

    def first_order(*values: Any) -> tuple[Any, ...]:
        points, gs = values[: len(checked)], values[len(checked) :]
        given = list(inputs)
        linked = [x if x.requires_grad else x.detach().requires_grad_() for x in points]
        for i, x in zip(checked, linked, strict=True):
            given[i] = x
        with enable_grad():
            ys = _differentiable_outputs("gradgradcheck", function(*given))
            pairs = [(y, g) for y, g in zip(ys, gs, strict=True) if y.requires_grad]
            if not pairs:
                return tuple(map(zeros_like, linked))
            found = grad(
                [y for y, _ in pairs],
                linked,
                [g for _, g in pairs],
                create_graph=True,
                allow_unused=True,
            )
            return tuple(
                zeros_like(x) if g is None else g for x, g in zip(linked, found, strict=True)
            )

    name = getattr(function, "__name__", type(function).__name__)
    first_order.__name__ = f"the gradient of {name}"
    gradcheck(
        first_order,
        *(inputs[i].detach() for i in checked),
        *cotangents,
        methods=methods,
        directions=directions,
        seed=seed,
    )


def check_op(
    op: Op,
    args: Sequence[Any],
    attrs: Mapping[str, Any] | None = None,
    *,
    methods: Sequence[str] | None = None,
    directions: int = 2,
    seed: int = 0,
) -> None:
    """Compare the adjoint rules of an op record with its formula, on NumPy arrays and without a tape.

    Parameters
    ----------
    op : Op
        Need not be in the table.
    args : sequence
        NumPy arrays and Python scalars, as `op` takes them; the float64 arrays are checked.
    attrs : mapping, optional
        Values of the attributes by name.
    methods : sequence of str, optional
        As in `gradcheck`; by default differences, and what the op's domain calls ``sharp``.
    directions, seed : int
        As in `gradcheck`.

    Raises
    ------
    GradcheckError, KinkError, DtypeError
        As in `gradcheck`.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.testing import check_op
    >>> check_op(mg.sin, [np.array([0.5, 2.0])])
    """
    _as_float64(args, f"check_op({op.name})")
    args, attrs = bound(op, args, attrs or {})
    backend = backend_named("numpy")
    positions = [i for i, x in enumerate(args) if is_differentiable(x)]
    if methods is None:
        methods = ("differences", *([op.domain.sharp] if op.domain.sharp else []))

    def run(arrays: Arrays) -> tuple[tuple[Any, ...], Any]:
        given = list(args)
        for i, array in zip(positions, arrays, strict=True):
            given[i] = array
        with numpy.errstate(all="ignore"):
            return tuple(given), op.fn(backend.namespace, *given, **attrs)

    def forward(arrays: Arrays) -> tuple[Any, ...]:
        outs = map(numpy.asarray, listed(run(arrays)[1]))
        return tuple(y for y in outs if y.dtype.kind in "fc")

    def pull_back(arrays: Arrays, cotangents: Arrays) -> tuple[Any, ...]:
        given, outs = run(arrays)
        ys = tuple(map(numpy.asarray, listed(outs)))
        remaining = iter(cotangents)
        gs = tuple(next(remaining) if is_differentiable(y) else numpy.zeros_like(y) for y in ys)
        several = isinstance(outs, (tuple, list))
        with numpy.errstate(all="ignore"):
            parts = adjoint(
                op,
                backend.formulas,
                gs if several else gs[0],
                ys if several else ys[0],
                given,
                attrs,
            )
        return tuple(numpy.asarray(parts.get(i, numpy.zeros(args[i].shape))) for i in positions)

    labels = tuple(f"{i} ({op.arrays[i]})" if i < len(op.arrays) else str(i) for i in positions)
    subject = _Subject(op.name, labels, forward, pull_back, forward)
    _check(subject, [args[i] for i in positions], methods, directions, seed)


def check_adjoint(
    name: str,
    forward: Callable[[Arrays], tuple[Any, ...]],
    pull_back: Callable[[Arrays, Arrays], tuple[Any, ...]],
    arguments: Mapping[str, Any],
    *,
    methods: Sequence[str] = ("differences",),
    directions: int = 2,
    seed: int = 0,
    most_elements: int = _MOST_ELEMENTS,
) -> float:
    """Compare a function of NumPy arrays with an adjoint that was found in any way.

    Parameters
    ----------
    name : str
        What messages call the function.
    forward : callable
        From the values of ``arguments`` to a tuple of arrays; for the method "complex" also from
        complex values.
    pull_back : callable
        ``pull_back(values, cotangents)`` returns the gradient of each argument.
    arguments : dict of array
        The point: float64 arrays, and what messages call them.
    methods : sequence of {"differences", "complex", "linear", "taylor"}
        As in `gradcheck`.
    directions : int
        How many random directions and cotangents to try.
    seed : int
        Where those come from.
    most_elements : int
        How many elements of an argument a failure looks at, to name those that are wrong.

    Returns
    -------
    float
        The largest relative difference along the directions that were tried.

    Raises
    ------
    GradcheckError, KinkError, DtypeError
        As in `gradcheck`.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.testing import check_adjoint
    >>> error = check_adjoint(
    ...     "square",
    ...     lambda values: (values[0] ** 2,),
    ...     lambda values, cotangents: (2 * values[0] * cotangents[0],),
    ...     {"x": np.array([1.0, 2.0])},
    ... )
    >>> error < 1e-6
    True
    """
    values = list(arguments.values())
    _as_float64(values, f"check_adjoint of {name}")
    subject = _Subject(name, tuple(arguments), forward, pull_back, forward)
    return _check(subject, values, methods, directions, seed, most_elements)


def taylor_slope(function: Callable[..., Any], *inputs: Any, seed: int = 0) -> float:
    """Return the power of the step with which the Taylor remainder of a function falls.

    It is 2 where the gradient is right, 1 where it is wrong, and infinite where the function is linear.

    Parameters
    ----------
    function : callable
        Takes ``inputs``, returns a tensor or several.
    *inputs : Any
        Tensors of any shapes, float64, that require gradients, and other arguments.
    seed : int
        Where directions and cotangents come from.

    Returns
    -------
    float
        The power.

    Raises
    ------
    DtypeError
        If an input is a floating-point tensor of another dtype than float64.

    Examples
    --------
    >>> from minigrad.testing import taylor_slope
    >>> x = mg.tensor([0.5, 2.0], dtype="float64", requires_grad=True)
    >>> round(taylor_slope(mg.exp, x))
    2
    """
    subject, xs = _function_subject(function, _separate(inputs, "taylor_slope"), "taylor_slope")
    rng = numpy.random.default_rng(seed)
    vs = [rng.standard_normal(x.shape) for x in xs]
    gs = [rng.standard_normal(y.shape) for y in subject.forward(xs)]
    claimed, _ = _claimed(subject.pull_back(xs, gs), vs)
    return _remainder_slope(_Line(subject, xs, vs, gs), claimed)
