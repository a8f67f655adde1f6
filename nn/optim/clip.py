"""Limits on the size of gradients."""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy

from minigrad.checks import check_number
from minigrad.creation import full
from minigrad.dtypes import float32, float64
from minigrad.errors import ArgumentError, GradientError, user_stacklevel
from minigrad.nn.constructors import explained
from minigrad.nn.module import Module
from minigrad.ops import elementwise
from minigrad.ops.shape import stack
from minigrad.tape import no_grad
from minigrad.tensor import Tensor


@explained
def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Return the norm of the elements of all tensors together. No square overflows.

    Parameters
    ----------
    tensors : Tensor or iterable of Tensor
        Any shapes.
    norm_type : float
        Which norm: 2 is the Euclidean one, ``math.inf`` the largest absolute value.
    error_if_nonfinite : bool
        Whether to raise if an element is not finite.

    Returns
    -------
    Tensor
        Shape (), float32, or float64 if a tensor is; where the first tensor is.

    Raises
    ------
    ArgumentError
        If ``norm_type`` is not above 0.
    GradientError
        If ``error_if_nonfinite`` is set and an element is not finite.

    Examples
    --------
    >>> nn.get_total_norm([mg.tensor([3.0]), mg.tensor([4.0])])
    tensor(5.)
    """
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    return _measure("get_total_norm", found, norm_type, error_if_nonfinite).tensor


@explained
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor, so that their norm together is at most ``max_norm``.

    The factor is ``max_norm / (norm + 1e-6)``, as in PyTorch. If it is not below 1, nothing changes.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Of any shapes; those without a gradient are left out.
    max_norm : float
        The largest norm, 0 or more.
    norm_type : float
        Which norm: 2 is the Euclidean one, ``math.inf`` the largest absolute value.
    error_if_nonfinite : bool
        Whether to raise if a gradient is not finite. Otherwise infinity makes finite gradients 0 and
        NaN makes all gradients NaN, as in PyTorch.

    Returns
    -------
    Tensor
        The norm before scaling, as `get_total_norm` returns it: shape ().

    Raises
    ------
    ArgumentError
        If ``max_norm`` is negative or not a number, ``norm_type`` is not above 0, or ``parameters``
        holds something else.
    GradientError
        If ``error_if_nonfinite`` is set and a gradient is not finite.

    Examples
    --------
    >>> weight = nn.Parameter([3.0, 4.0])
    >>> (weight * weight / 2).sum().backward()
    >>> nn.clip_grad_norm_(weight, max_norm=1.0)
    tensor(5.)
    >>> weight.grad
    tensor([0.6, 0.8])
    """
    limit = check_number("clip_grad_norm_", "max_norm", max_norm, low=0)
    trained = _with_gradients("clip_grad_norm_", parameters)
    gradients = [p.grad for p in trained if p.grad is not None]
    measured = _measure("clip_grad_norm_", gradients, norm_type, error_if_nonfinite)
    if not measured.norm + 1e-6 <= limit:
        # parts and root are near 1, so that nothing overflows or vanishes on the way
        factor = limit / (measured.root + 1e-6 / measured.scale)
        with numpy.errstate(all="ignore"):
            for p, part in zip(trained, measured.parts, strict=True):
                p.grad = (part * factor).astype(p.dtype)
    return measured.tensor


@explained
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of the gradients to between ``-clip_value`` and ``clip_value``.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Of any shapes; those without a gradient are left out.
    clip_value : float
        The largest absolute value, 0 or more.

    Raises
    ------
    ArgumentError
        If ``clip_value`` is negative or not a number, or ``parameters`` holds something else.

    Examples
    --------
    >>> weight = nn.Parameter([0.5, -4.0])
    >>> (weight * weight / 2).sum().backward()
    >>> nn.clip_grad_value_(weight, 1.0)
    >>> weight.grad
    tensor([ 0.5, -1. ])
    """
    limit = check_number("clip_grad_value_", "clip_value", clip_value, low=0)
    with no_grad():
        for p in _with_gradients("clip_grad_value_", parameters):
            p.grad = elementwise.clip(p.grad, -limit, limit)


class _Measured(NamedTuple):
    """A norm, as ``scale root``; ``parts`` are the tensors divided by ``scale``."""

    parts: list[Tensor]
    scale: float
    root: float
    tensor: Tensor

    @property
    def norm(self) -> float:
        return self.scale * self.root


def _measure(doing: str, tensors: list[Tensor], norm_type: Any, strict: bool) -> _Measured:
    order = math.inf if norm_type == "inf" else norm_type  # PyTorch takes the text, too
    power = check_number(doing, "norm_type", order, low=0)
    if not power:
        raise ArgumentError(f"{doing}: norm_type must be above 0, not {norm_type!r}")
    with no_grad(), numpy.errstate(all="ignore"):
        wide = [t.detach().astype(float64 if t.dtype == float64 else float32) for t in tensors]
        dtype = float64 if any(t.dtype == float64 for t in wide) else float32
        device = tensors[0].device if tensors else None
        if power == 2:
            squares = _together([(t * t).sum() for t in wide], 1)
            if _SAFE[0] < squares < _SAFE[1]:
                root = math.sqrt(squares)
                return _Measured(wide, 1.0, root, full((), root, dtype=dtype, device=device))
        largest = _together([elementwise.abs(t).max() for t in wide if t.size], math.inf)
        if strict and not math.isfinite(largest):
            raise GradientError(
                f"{doing}: the norm of the gradients is {largest}, so that they cannot be scaled; look "
                "for the cause with minigrad.anomaly(), or pass error_if_nonfinite=False"
            )
        # a power of two, so that the division is exact
        usual = largest and math.isfinite(largest)
        scale = math.ldexp(1.0, math.frexp(largest)[1] - 1) if usual else 1.0
        parts = [t / scale for t in wide]
        if power == math.inf or not usual:
            root = largest / scale
        else:
            root = _together([_powers(part, power).sum() for part in parts], 1) ** (1 / power)
        norm = full((), scale * root, dtype=dtype, device=device)
    return _Measured(parts, scale, root, norm)


# Between these, a sum of squares in float32 has lost nothing to overflow or to underflow.
_SAFE = 1e-20, 1e30


def _powers(x: Tensor, power: float) -> Any:
    if power == 2:
        return x * x
    return elementwise.abs(x) if power == 1 else elementwise.abs(x) ** power


def _together(numbers: list[Tensor], power: float) -> float:
    """Return the sum (power 1) or the largest (infinity) of tensors of shape (), with one transfer."""
    if not numbers:
        return 0.0
    gathered = stack([x.to(numbers[0].device).astype(float64) for x in numbers])
    return float(gathered.sum() if power == 1 else gathered.max())


def _with_gradients(doing: str, parameters: Any) -> list[Tensor]:
    """Return the parameters that have a gradient, each once."""
    if isinstance(parameters, Module) or not isinstance(parameters, Iterable):
        raise ArgumentError(
            f"{doing}: parameters must be tensors, in a list for instance, not a "
            f"{type(parameters).__name__}; pass module.parameters()"
        )
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not found and isinstance(parameters, types.GeneratorType):
        warnings.warn(
            f"{doing}: the parameters come from a generator that is used up, so that no gradient is "
            "changed; make it again",
            UserWarning,
            stacklevel=user_stacklevel(),
        )
    for position, p in enumerate(found):
        if not isinstance(p, Tensor):
            raise ArgumentError(f"{doing}: parameter {position} must be a tensor, but is {p!r}")
    return list({id(p): p for p in found if p.grad is not None}.values())
