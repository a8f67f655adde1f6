"""Formulas run without NumPy's floating-point warnings, in contexts that are kept and used again.

What NumPy does about such errors is part of the context (of `contextvars`). To run a function in a
context that is ready costs a tenth of ``numpy.errstate``, which takes as long as a small op. A formula
has its arrays and attributes and needs no variables of the user's context.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

import numpy

_free: list[Callable[..., Any]] = []  # methods ``run`` of silent contexts that are not in use
take, give_back = _free.pop, _free.append


def new_quiet() -> Callable[..., Any]:
    """Return the method ``run`` of another silent context, where `take` finds none."""
    context = Context()
    context.run(numpy.seterr, all="ignore")
    return context.run


def quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what ``function`` returns, called in a silent context."""
    try:
        run = take()
    except IndexError:
        run = new_quiet()
    try:
        return run(function, *args, **kwargs)
    finally:
        give_back(run)
