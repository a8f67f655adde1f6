"""Whole matrices of derivatives, row by row: one pass backwards for each element of the outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from minigrad.autograd import chosen, vjp
from minigrad.checks import as_integer, check_integers
from minigrad.creation import zeros
from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError, GradientError
from minigrad.ops.shape import reshape, stack
from minigrad.tensor import Tensor, tensor


def jacobian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes the Jacobian of ``function``, as PyTorch's ``torch.func.jacrev``.

    It takes as many passes backwards as the outputs have elements. `vjp` and `jvp` are what to use for
    products with a Jacobian.

    Parameters
    ----------
    function : callable
        Takes tensors, and returns one or several, also in nested tuples or lists.
    argnums : int or sequence of int
        The positional arguments to differentiate by.

    Returns
    -------
    callable
        Takes what ``function`` takes. Returns for each output a tensor with the axes of the output and
        then those of the argument; for a sequence of ``argnums`` a tuple of them.

    Raises
    ------
    ArgumentError
        If ``argnums`` is neither an integer nor a list or tuple of them; by the new function, if there is
        no such argument, or it is named twice.
    GradientError, TypeError
        By the new function, as `vjp` does: if an output is no tensor of floating-point numbers, say.

    Examples
    --------
    >>> mg.jacobian(lambda x: x * x)(mg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    return _jacobian("jacobian", function, argnums)


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes the second derivatives of ``function``, as ``torch.func.hessian``.

    It is the Jacobian of the Jacobian. `hvp` is what to use for products with a Hessian.

    Parameters
    ----------
    function : callable
        Takes tensors, and returns a scalar, or any tensors as for `jacobian`.
    argnums : int or sequence of int
        The positional arguments to differentiate by.

    Returns
    -------
    callable
        Takes what ``function`` takes. Returns a tensor with the axes of the output and then twice
        those of the argument; for a sequence of ``argnums`` a tuple of tuples, [i][j] by argument i and
        then by argument j.

    Raises
    ------
    ArgumentError
        If ``argnums`` is neither an integer nor a list or tuple of them; by the new function, if there is
        no such argument, or it is named twice.
    GradientError, TypeError
        By the new function, as `vjp` does: if an output is no tensor of floating-point numbers, say.

    Examples
    --------
    >>> mg.hessian(lambda x: mg.sum(x**3))(mg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return _jacobian("hessian", _jacobian("hessian", function, argnums), argnums)


def _jacobian(
    of: str, function: Callable[..., Any], argnums: int | Sequence[int]
) -> Callable[..., Any]:
    if isinstance(argnums, Tensor):
        raise ArgumentError(
            f"{of}: argnums must be the numbers of arguments, not a tensor; write "
            f"minigrad.{of}(function)(x)"
        )
    numbers = check_integers(of, "argnums", argnums)
    single = as_integer(argnums) is not None

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        tree: Any = None
        places = chosen(of, args, numbers)

        def flat(*inputs: Tensor) -> list[Any]:
            nonlocal tree
            given = list(args)
            for n, t in zip(places, inputs, strict=True):
                given[n] = t
            tree = function(*given, **kwargs)
            leaves = _leaves(tree)
            for leaf in leaves:
                if isinstance(leaf, Tensor) and not is_floating(leaf.dtype):
                    raise GradientError(
                        f"{of}: an output has dtype {leaf.dtype}, and what is no floating-point number "
                        "has no derivative; leave it out, or convert it with .astype('float32')"
                    )
            return leaves

        inputs = [args[n] for n in places]
        outputs, pull_back = vjp(flat, *inputs)
        matrices = iter([_matrix(k, outputs, inputs, pull_back) for k in range(len(outputs))])

        def put(node: Any) -> Any:
            if isinstance(node, (tuple, list)):
                return tuple(map(put, node))
            found = next(matrices)
            return found[0] if single else found

        return put(tree)

    return differentiated


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, (tuple, list)):
        return [leaf for node in tree for leaf in _leaves(node)]
    return [tree]


def _matrix(
    k: int, outputs: Sequence[Tensor], inputs: Sequence[Tensor], pull_back: Callable[..., Any]
) -> tuple[Any, ...]:
    """Return the derivatives of output ``k`` by each input."""
    output = outputs[k]
    rows = []
    for i in range(output.size):
        one = numpy.zeros(output.size, dtype=output.dtype)
        one[i] = 1
        cotangents: list[Any] = [None] * len(outputs)
        cotangents[k] = tensor(one.reshape(output.shape), device=output.device)
        rows.append(pull_back(*cotangents))
    shapes = [(*output.shape, *x.shape) for x in inputs]
    if not rows:
        return tuple(
            zeros(shape, dtype=x.dtype, device=x.device)
            for shape, x in zip(shapes, inputs, strict=True)
        )
    return tuple(
        reshape(stack(column), shape)
        for column, shape in zip(zip(*rows, strict=True), shapes, strict=True)
    )
