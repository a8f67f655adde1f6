"""Who interprets an op right now: eager arithmetic, or a recorder while a step is being traced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from minigrad.op import Op


class Interpreter(Protocol):
    """What gives an op its meaning."""

    def apply(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        """Carry out ``op`` on ``args``."""


_I = TypeVar("_I", bound=Interpreter)
_current: ContextVar[Any] = ContextVar("minigrad_interpreter")

current = _current.get


def apply(op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
    """Hand ``op`` to the interpreter of this context."""
    return current().apply(op, args, attrs)


@contextmanager
def interpreting(interpreter: _I) -> Iterator[_I]:
    """Interpret every op inside the ``with`` block by ``interpreter``."""
    token = _current.set(interpreter)
    try:
        yield interpreter
    finally:
        _current.reset(token)


def install_default(interpreter: Interpreter) -> None:
    """Use ``interpreter`` wherever no other was chosen, in new threads too."""
    global _current, current
    _current = ContextVar("minigrad_interpreter", default=interpreter)
    current = _current.get
