"""Checks of derivatives for your own functions and ops, and Hypothesis strategies that draw their input.

``minigrad.testing.strategies`` (arguments of ops) and ``minigrad.testing.steps`` (steps of loops) need
the package ``hypothesis``; nothing else here does.
"""

from minigrad.testing.gradcheck import (
    GradcheckError,
    KinkError,
    check_adjoint,
    check_op,
    gradcheck,
    gradgradcheck,
    taylor_slope,
)

__all__ = [
    "GradcheckError",
    "KinkError",
    "check_adjoint",
    "check_op",
    "gradcheck",
    "gradgradcheck",
    "taylor_slope",
]
