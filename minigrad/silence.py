"""No floating-point warning of NumPy leaves an op: `silence` and `restore` stand around each formula.

NumPy keeps what it does about such errors in a context variable. To set that variable takes a tenth of
the time that ``numpy.errstate`` takes, which is as long as a small op. The variable has no public name:
it is the one that ``numpy.errstate`` changes.
"""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import numpy


def _state() -> tuple[ContextVar[Any], Any] | None:
    """Return NumPy's variable and the value that silences, or None if NumPy works otherwise."""
    before = copy_context()
    with numpy.errstate(all="ignore"):
        inside = copy_context()
    changed = [(var, value) for var, value in inside.items() if before.get(var) is not value]
    return changed[0] if len(changed) == 1 else None


def _enter() -> Any:
    state = numpy.errstate(all="ignore")
    state.__enter__()
    return state


def _leave(state: Any) -> None:
    state.__exit__(None, None, None)


_found = _state()
silence: Any = _enter if _found is None else partial(_found[0].set, _found[1])
restore: Any = _leave if _found is None else _found[0].reset
