"""Who interprets an op right now: eager arithmetic, or a recorder while a step is being traced."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Generic, Protocol, TypeVar


class Interpreter(Protocol):
    """What gives an op its meaning.

    Attributes
    ----------
    tracing : bool
        Whether ops are recorded instead of carried out, so that no value is known.
    """

    tracing: bool

    def apply(self, op: Any, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        """Carry out ``op``, a `minigrad.op.Op`, on ``args``."""


_I = TypeVar("_I", bound=Interpreter)
_current: ContextVar[Any] = ContextVar("minigrad_interpreter")

current = _current.get


def apply(op: Any, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
    """Hand ``op`` to the interpreter of this context."""
    return current().apply(op, args, attrs)


def choose(interpreter: Interpreter) -> Token[Any]:
    """Interpret every op of this context by ``interpreter``, until the token is given to `restore`."""
    return _current.set(interpreter)


def restore(token: Token[Any]) -> None:
    """Interpret ops again as before `choose`."""
    _current.reset(token)


class interpreting(Generic[_I]):
    """Interpret every op inside the ``with`` block by ``interpreter``.

    A class, since a generator takes three times as long, and every backward pass begins here.
    """

    def __init__(self, interpreter: _I) -> None:
        self._interpreter = interpreter

    def __enter__(self) -> _I:
        self._token = choose(self._interpreter)
        return self._interpreter

    def __exit__(self, *error: object) -> None:
        restore(self._token)


def install_default(interpreter: Interpreter) -> None:
    """Use ``interpreter`` wherever no other was chosen, in new threads too."""
    global _current, current
    _current = ContextVar("minigrad_interpreter", default=interpreter)
    current = _current.get
