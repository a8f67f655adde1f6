"""Fit what an adjoint rule returns to its argument: sum what was broadcast, cast, keep zeros zero.

The backward pass of the tape, the backward graph of a step and the public checks all run rules, on
arrays, tensors and variables. They differ in how they find cotangents, but not in this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.dtypes import as_dtype
from minigrad.errors import GradientError
from minigrad.op import Op


def jointly(m: Any, op: Op, g: Any, y: Any, args: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
    """Return what the one rule of a joint op gives for its arguments, None for those without.

    Raises
    ------
    GradientError
        If it does not return a sequence with an entry for each argument.
    """
    parts = op.rules(m, g, y, *args, **attrs)
    if not isinstance(parts, (tuple, list)) or len(parts) != len(args):
        found = (
            f"{len(parts)} of them" if isinstance(parts, (tuple, list)) else type(parts).__name__
        )
        raise GradientError(
            f"the adjoint rule of {op.name} is joint: it must return a tuple of {len(args)} "
            f"cotangents, one for each argument (None for one without), but returned {found}"
        )
    return parts


def fitted(m: Any, op: Op, position: int, part: Any, argument: Any) -> Any:
    """Return a cotangent with the shape and the dtype of its argument; the only un-broadcast there is.

    It only ever sums. A rule that returns too little, be it ``g`` itself for an op that reduces, has not
    said how ``g`` spreads over the argument.

    Parameters
    ----------
    m : object
        What the rule computed with.
    op : Op
    position : int
        Of the argument.
    part : array, Tensor or Var
        What the rule returned.
    argument : array, Tensor, Var or Spec
        Its shape and dtype are asked for.

    Raises
    ------
    GradientError
        If ``part`` is no array, or one whose shape the argument's does not broadcast to.
    """
    shape = argument.shape
    found = getattr(part, "shape", None)
    if found is None or not _broadcasts(shape, found):
        name = f" ({op.arrays[position]})" if position < len(op.arrays) else ""
        what = repr(part) if found is None else f"a cotangent of shape {tuple(found)}"
        raise GradientError(
            f"the adjoint rule of {op.name} for its argument {position + 1}{name} returned {what}, but "
            f"must return a cotangent of the argument's shape {tuple(shape)}, or of a shape which that "
            "broadcasts to; spread g over it, for instance with m.broadcast_to(g, shape=x.shape)"
        )
    if found != shape:
        part = m.sum_to(part, shape=shape)
    return part if part.dtype == argument.dtype else m.astype(part, dtype=as_dtype(argument.dtype))


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Say whether an array of ``shape`` broadcasts to the shape ``to``."""
    extra = len(to) - len(shape)
    return extra >= 0 and all(n in (1, k) for n, k in zip(shape, to[extra:], strict=True))


def without_dropped(m: Any, g: Any, part: Any, *, differentiable: bool) -> Any:
    """Return a cotangent that is zero wherever ``g`` is: 0 * inf is NaN, but has no influence at all.

    An element that ``where`` or ``maximum`` did not choose (see `minigrad.op.Op.selects`) comes back
    with a cotangent of zero, and may have gone through a slope that is infinite.

    Parameters
    ----------
    m : object
        What the rule computed with.
    g, part : array, Tensor or Var
        What the rule of an elementwise op was given and returned.
    differentiable : bool
        Whether the slope is to be differentiated again: then it stays where 0 * slope is a number.
    """
    if getattr(part, "shape", None) != g.shape:
        return part  # summed already, or to be refused: `fitted` must see what the rule returned
    nothing = g == 0
    if differentiable:
        nothing = m.logical_and(nothing, m.isnan(part))
    return m.where(nothing, 0.0, part)
