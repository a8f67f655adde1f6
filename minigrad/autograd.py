"""Derivatives for users: of outputs with respect to inputs, and of functions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy

from minigrad.backends.base import by_type
from minigrad.backpropagation import backpropagate, node_key, seed
from minigrad.checks import as_integer, check_integers
from minigrad.errors import ArgumentError, GradientError
from minigrad.lock import lock
from minigrad.ops.elementwise import zeros_like
from minigrad.reuse import is_alone
from minigrad.tape import enable_grad, no_grad
from minigrad.tensor import Tensor, make


def listed_tensors(value: Any, what: str) -> tuple[Tensor, ...]:
    """Return a tensor or a sequence of tensors as a tuple; ``what`` names it in the error."""
    found = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for item in found:
        if not isinstance(item, Tensor):
            raise TypeError(f"{what} must be a tensor or a sequence of tensors, not {item!r}")
    return found


def _holders(t: Tensor) -> int:
    """Return how many references there are to the array of ``t``, and to no view of it."""
    return sys.getrefcount(t._array)


def _is_no_view(array: Any) -> bool:
    return getattr(array, "base", array) is None


_PROBE = make(numpy.empty(0), None)
_ALONE = _holders(_PROBE)


def _owned(g: Tensor, recorded: bool) -> Tensor:
    """Return a gradient with memory of its own, so that writing to it changes nothing else.

    The gradients of ``x + y`` are one array, and that of ``sum(x)`` shows one element many times.
    """
    if g._node is not None:
        return g
    if g.requires_grad:  # a cotangent that was given, passed on as it was
        with enable_grad():
            return g.clone()
    if not recorded and _holders(g) == _ALONE:
        alone = is_alone if isinstance(g._array, numpy.ndarray) else _is_no_view
        if alone(g._array):
            return g
    return make(by_type[type(g._array)].copy(g._array), None)


def _zeros_like(t: Tensor) -> Tensor:
    """Return a constant; zero times ``t`` would be NaN where ``t`` is infinite."""
    zeros: Tensor = zeros_like(t.detach())
    return zeros


def _seeds(outputs: Sequence[Tensor], gradients: Any) -> list[Tensor]:
    given = gradients if isinstance(gradients, (list, tuple)) else (gradients,)
    if gradients is None:
        given = (None,) * len(outputs)
    if len(given) != len(outputs):
        raise GradientError(
            f"{len(outputs)} outputs but {len(given)} cotangents; give one for each output"
        )
    return [seed(output, g) for output, g in zip(outputs, given, strict=True)]


def backward(
    outputs: Any,
    gradients: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradients of ``outputs`` with respect to every leaf to the leaf's ``grad``.

    Threads may add to one leaf at the same time.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
        Any shapes.
    gradients : Tensor or sequence of Tensor, optional
        One cotangent for each output, of its shape; may be left out for scalars.
    retain_graph : bool, optional
        Keep what was saved, so that backward can run again; by default ``create_graph``.
    create_graph : bool
        Record the backward pass, so that gradients can be differentiated.

    Raises
    ------
    GradientError
        See `Tensor.backward`. No ``grad`` changes if it is raised.

    Examples
    --------
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> mg.backward([mg.sum(x * x), mg.sum(x)])
    >>> x.grad
    tensor([3., 5.])
    """
    listed = listed_tensors(outputs, "outputs")
    found = backpropagate(
        listed,
        _seeds(listed, gradients),
        wanted=None,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )
    with lock, enable_grad() if create_graph else no_grad():
        sums = {
            leaf: _owned(g, create_graph) if leaf._grad is None else leaf._grad + g
            for leaf, g in found.items()
            if leaf.requires_grad  # it may have been frozen since
        }
        for leaf, total in sums.items():
            leaf._grad = total


Tensor._backward = staticmethod(backward)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of ``outputs`` with respect to ``inputs``, and change nothing else.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
        Any shapes.
    inputs : Tensor or sequence of Tensor
        What to differentiate by, of any shapes.
    grad_outputs : Tensor or sequence of Tensor, optional
        One cotangent for each output, of its shape; may be left out for scalars.
    retain_graph : bool, optional
        Keep what was saved, so that backward can run again; by default ``create_graph``.
    create_graph : bool
        Record the backward pass, so that the gradients can be differentiated.
    allow_unused : bool
        Return None for an input that the outputs do not depend on, instead of raising.

    Returns
    -------
    tuple of Tensor
        One gradient for each input, of the input's shape and dtype.

    Raises
    ------
    GradientError
        If an input does not require a gradient, or is not used; see also `Tensor.backward`.

    Examples
    --------
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> (slope,) = mg.grad(x**2, x, create_graph=True)
    >>> mg.grad(slope, x)
    (tensor(2.),)
    """
    wanted = listed_tensors(inputs, "inputs")
    listed = listed_tensors(outputs, "outputs")
    for position, t in enumerate(wanted):
        if not t.requires_grad:
            raise GradientError(
                f"input {position} does not require a gradient; create it with requires_grad=True "
                "before computing the outputs"
            )
    found = backpropagate(
        listed,
        _seeds(listed, grad_outputs),
        wanted=wanted,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )
    result = tuple(found.get(node_key(t._node or t)) for t in wanted)
    if not allow_unused and any(g is None for g in result):
        unused = [i for i, g in enumerate(result) if g is None]
        raise GradientError(
            f"the outputs do not depend on input{'s' if len(unused) > 1 else ''} "
            f"{', '.join(map(str, unused))}; pass allow_unused=True to get None there"
        )
    return tuple(None if g is None else _owned(g, create_graph) for g in result)


# derivatives of functions


_differentiating: ContextVar[bool] = ContextVar("minigrad_differentiating", default=False)


def _inside(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function that is being differentiated."""
    token = _differentiating.set(True)
    try:
        return function(*args, **kwargs)
    finally:
        _differentiating.reset(token)


def _go_on(given: Sequence[Tensor]) -> bool:
    """Say whether gradients flow on through derivatives by these tensors.

    They do if a tensor is tracked. But a parameter of a module always is, so it alone does not tell that
    the derivative is to be differentiated again: a function around this one, which is, does.
    """
    return any(
        t.requires_grad and (_differentiating.get() or not t._is_parameter)
        for t in listed_tensors(given, "the arguments")
    )


def _linked(values: Sequence[Any]) -> list[Tensor]:
    """Return tensors to differentiate by: tracked ones as they are, so that outer derivatives work."""
    return [
        t if t.requires_grad else t.detach().requires_grad_()
        for t in listed_tensors(values, "the arguments")
    ]


def _pulled(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    *,
    create_graph: bool,
    retain_graph: bool | None = None,
) -> tuple[Tensor, ...]:
    """Return the gradient of each input; zeros where no output depends on it."""
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    found: Sequence[Tensor | None] = (None,) * len(inputs)
    if pairs:
        found = grad(
            [o for o, _ in pairs],
            inputs,
            [c for _, c in pairs],
            retain_graph=retain_graph,
            create_graph=create_graph,
            allow_unused=True,
        )
    return tuple(_zeros_like(t) if g is None else g for t, g in zip(inputs, found, strict=True))


def chosen(of: str, args: Sequence[Any], argnums: Sequence[int]) -> tuple[int, ...]:
    """Return the positions of the arguments to differentiate by, counted from the front.

    Raises
    ------
    ArgumentError
        If there is no such argument, or it is named twice.
    """
    found = tuple([n + len(args) if n < 0 else n for n in argnums])
    if len(set(found)) < len(found) or any(not 0 <= n < len(args) for n in found):
        raise ArgumentError(
            f"{of}: argnums {tuple(argnums)} must name different ones of the {len(args)} positional "
            "arguments, which count from 0"
        )
    return found


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0
) -> Callable[..., tuple[Any, Any]]:
    """Return a function that computes ``function`` and its gradient.

    Parameters
    ----------
    function : callable
        Returns a scalar tensor.
    argnums : int or sequence of int
        The positional arguments to differentiate by.

    Returns
    -------
    callable
        Takes what ``function`` takes; returns ``(value, gradient)``, with a tuple of gradients for a
        sequence of ``argnums``.

    Raises
    ------
    ArgumentError
        If ``argnums`` is neither an integer nor a list or tuple of them; by the new function, if there is
        no such argument, or it is named twice.
    GradientError
        By the new function, if the value is not a scalar, or does not depend on an argument.

    Examples
    --------
    >>> mg.value_and_grad(lambda x: mg.sum(x * x))(mg.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """
    numbers = check_integers("value_and_grad", "argnums", argnums)
    single = as_integer(argnums) is not None

    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        places = chosen("value_and_grad", args, numbers)
        with enable_grad():
            inputs = _linked([args[n] for n in places])
            given = list(args)
            for n, t in zip(places, inputs, strict=True):
                given[n] = t
            value = _inside(function, *given, **kwargs)
            tracked = _go_on([args[n] for n in places])
            gradients = grad(value, inputs, create_graph=tracked)
        value = value if tracked else value.detach()
        return value, gradients[0] if single else gradients

    return differentiated


def vjp(function: Callable[..., Any], *primals: Tensor) -> tuple[Any, Callable[..., Any]]:
    """Return ``function(*primals)`` and a function from output cotangents to input cotangents.

    Parameters
    ----------
    function : callable
        Takes tensors, and returns one or several.
    *primals : Tensor
        What to call it with; any shapes.

    Returns
    -------
    outputs : Tensor or sequence of Tensor
        What the function returned, of any shape.
    pull_back : callable
        Takes one cotangent for each output, None for an output that is left out, and returns a tuple
        with one for each of ``primals``; zeros where an output does not depend on it. It may be called
        many times.

    Raises
    ------
    GradientError, DtypeError
        By the second function, if cotangents and outputs differ in number or shape, or in dtype.

    Examples
    --------
    >>> outputs, pull_back = mg.vjp(lambda x: x * x, mg.tensor([1.0, 2.0]))
    >>> pull_back(mg.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    with enable_grad():
        inputs = _linked(primals)
        outputs = _inside(function, *inputs)
    several = isinstance(outputs, (tuple, list))
    listed = listed_tensors(outputs, "the results of the function")

    def pull_back(*cotangents: Tensor | None) -> tuple[Tensor, ...]:
        pairs = [(o, c) for o, c in zip(listed, cotangents, strict=False) if c is not None]
        create = _go_on((*[c for _, c in pairs], *primals))
        if len(cotangents) != len(listed):
            raise GradientError(
                f"the function has {len(listed)} outputs but {len(cotangents)} cotangents were given; "
                "give one for each"
            )
        reached, given = [o for o, _ in pairs], [c for _, c in pairs]
        return _pulled(reached, given, inputs, create_graph=create, retain_graph=True)

    if not _go_on(primals):
        outputs = tuple(o.detach() for o in listed) if several else listed[0].detach()
    return outputs, pull_back


def jvp(
    function: Callable[..., Any], primals: Sequence[Tensor], tangents: Sequence[Tensor]
) -> tuple[Any, Any]:
    """Return ``function(*primals)`` and its derivative in the direction ``tangents``.

    It transposes the transpose: the adjoint is linear in its cotangent, and the adjoint of that map is
    the derivative wanted.

    Parameters
    ----------
    function : callable
        Takes tensors, and returns one or several.
    primals : sequence of Tensor
        What to call it with; any shapes.
    tangents : sequence of Tensor
        A direction for each of ``primals``, of its shape.

    Returns
    -------
    outputs : Tensor or sequence of Tensor
        What the function returned, of any shape.
    derivatives : Tensor or tuple of Tensor
        One for each output, of its shape.

    Raises
    ------
    GradientError
        If shapes of primals and tangents differ.

    Examples
    --------
    >>> mg.jvp(lambda x: x * x, [mg.tensor([1.0, 2.0])], [mg.tensor([1.0, 10.0])])
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    _check_tangents(primals, tangents, "jvp")
    with enable_grad():
        inputs = _linked(primals)
        outputs = _inside(function, *inputs)
        several = isinstance(outputs, (tuple, list))
        listed = listed_tensors(outputs, "the results of the function")
        probes = [_zeros_like(o).requires_grad_() for o in listed]
        create = _go_on((*primals, *tangents))
        pulled = _pulled(listed, probes, inputs, create_graph=True)
        results = _pulled(pulled, tangents, probes, create_graph=create)
    values = listed if create else tuple(o.detach() for o in listed)
    if several:
        return values, results
    return values[0], results[0]


def hvp(
    function: Callable[..., Any], primals: Sequence[Tensor], tangents: Sequence[Tensor]
) -> tuple[Any, tuple[Tensor, ...]]:
    """Return ``function(*primals)`` (a scalar) and its Hessian times ``tangents``.

    Parameters
    ----------
    function : callable
        Takes tensors, and returns a scalar.
    primals : sequence of Tensor
        What to call it with; any shapes.
    tangents : sequence of Tensor
        A direction for each of ``primals``, of its shape.

    Returns
    -------
    value : Tensor
        What the function returned, a scalar.
    products : tuple of Tensor
        One for each of ``primals``, of its shape.

    Raises
    ------
    GradientError
        If shapes of primals and tangents differ, or the value is not a scalar.

    Examples
    --------
    >>> mg.hvp(lambda x: mg.sum(x**3), [mg.tensor([1.0, 2.0])], [mg.tensor([1.0, 1.0])])
    (tensor(9.), (tensor([ 6., 12.]),))
    """
    _check_tangents(primals, tangents, "hvp")
    with enable_grad():
        inputs = _linked(primals)
        value = _inside(function, *inputs)
        create = _go_on((*primals, *tangents))
        gradients = _pulled((value,), (None,), inputs, create_graph=True)
        products = _pulled(gradients, tangents, inputs, create_graph=create)
    return value if create else value.detach(), products


def _check_tangents(primals: Sequence[Tensor], tangents: Sequence[Tensor], of: str) -> None:
    shapes = [t.shape for t in listed_tensors(primals, "primals")]
    given = [t.shape for t in listed_tensors(tangents, "tangents")]
    if shapes != given:
        raise GradientError(
            f"{of}: primals have shapes {shapes} and tangents {given}; they must be equal one by one"
        )
