"""What whoever runs an adjoint rule owes its result: the argument's shape and dtype, and honest zeros.

The backward pass of the tape, the backward graph of a step and the public checks all run rules, on
arrays, tensors and variables. They differ in how they find cotangents, but not in this.
"""

from __future__ import annotations

from typing import Any

from minigrad.dtypes import as_dtype


def fitted(m: Any, part: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return a cotangent with the shape and the dtype of its argument; the only un-broadcast there is.

    Parameters
    ----------
    m : object
        What the rule computed with.
    part : array, Tensor or Var
        What the rule returned.
    shape, dtype
        Those of the argument.
    """
    if part.shape != shape:
        part = m.sum_to(part, shape=shape)
    return part if part.dtype == dtype else m.astype(part, dtype=as_dtype(dtype))


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
    nothing = g == 0
    if differentiable:
        nothing = m.logical_and(nothing, m.isnan(part))
    return m.where(nothing, 0.0, part)
