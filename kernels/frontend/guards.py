"""What a step reads beside its arguments: it is baked into the graph, and must not change unseen."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from operator import is_
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from minigrad.op import Composite, Op

Surroundings = tuple[Any, ...]
# what could change unseen and what reads it, when somebody asks
_unknown: ContextVar[list[tuple[Any, tuple[Any, ...]]] | None] = ContextVar("unknown", default=None)
_glances: WeakKeyDictionary[FunctionType, _Glance] = WeakKeyDictionary()
_NOWHERE = object()
_PLAIN = (bool, int, float, str, type(None))
LIBRARIES = ("builtins", "minigrad", "numpy", "math")  # what they define does not change


def surroundings_of(value: Any, above: tuple[Any, ...] = ()) -> Surroundings | None:
    """Return what can change in a step, or in a value that a step reads from outside.

    Of a function it is the code, and the same of all values that it reads. An object with a method
    ``surroundings`` says it itself.

    Parameters
    ----------
    value : Any
    above : tuple
        What is being looked at already; functions may call each other.

    Returns
    -------
    tuple or None
        Equal as long as the step computes the same. None if something could change unseen.
    """
    if type(value) is FunctionType:
        glance = _glances.get(value)
        if glance is not None and glance.is_same(value):
            return glance.surroundings
    elif hasattr(type(value), "surroundings"):
        if above and any(value is outer for outer in above):
            return ()
        own: Surroundings | None = value.surroundings(above)
        return own
    if isinstance(value, _PLAIN):
        return (repr(value),)
    if inspect.ismodule(value):  # modules may answer to any name, after a search
        return () if _is_of_library(value.__name__) else _ask(value, above)
    if any(value is outer for outer in above) or _is_fixed(value):
        return ()
    if not inspect.isfunction(value):
        return _ask(value, above)
    found: list[Any] = [value.__code__]
    for name, inside in _read_from_outside(value):
        seen = surroundings_of(inside, (*above, value))
        if seen is None:
            return None
        found.append((name, seen))
    if type(value) is FunctionType:
        _remember(value, tuple(found))
    return tuple(found)


class _Glance:
    """What a function read when it was looked through, if only the places can change, not the values.

    Nothing in it leads back to the function, which would live for ever.
    """

    def __init__(self, function: FunctionType, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._code, self._defaults = function.__code__, function.__defaults__
        names = dict.fromkeys(name for code in _codes(self._code) for name in code.co_names)
        self._names = tuple(names)
        self._values = self._read(function)

    def _read(self, function: FunctionType) -> list[Any]:
        outside = function.__globals__
        values = [outside.get(name, _NOWHERE) for name in self._names]
        named = function.__kwdefaults__
        return [*values, *named, *named.values()] if named else values

    def is_same(self, function: FunctionType) -> bool:
        """Say whether the function reads the same as then."""
        if function.__code__ is not self._code or function.__defaults__ is not self._defaults:
            return False
        values = self._read(function)
        return (
            not function.__dict__
            and len(values) == len(self._values)
            and all(map(is_, values, self._values))
        )


def _remember(function: FunctionType, surroundings: Surroundings) -> None:
    """Note what a function reads, unless a value may change, or lead back to the function."""
    if function.__closure__ or function.__dict__:
        return
    if all(_is_settled(value) for _, value in _read_from_outside(function)):
        _glances[function] = _Glance(function, surroundings)


def _is_settled(value: Any) -> bool:
    return type(value) in _PLAIN or inspect.ismodule(value) or _is_fixed(value)


def _ask(value: Any, above: tuple[Any, ...]) -> Surroundings | None:
    """Note, for whoever asks, that a value could change unseen."""
    asked = _unknown.get()
    if asked is not None:
        asked.append((value, above))
    return None


def why_unknown(step: Any) -> str | None:
    """Return why `surroundings_of` a step is None, as the end of a sentence; None if it is not.

    Parameters
    ----------
    step : callable
    """
    found: list[tuple[Any, tuple[Any, ...]]] = []
    token = _unknown.set(found)
    try:
        surroundings_of(step)
    finally:
        _unknown.reset(token)
    if not found:
        return None
    value, above = found[0]
    kind = type(value).__name__
    if not above:
        return f"it is a {kind}, and changes in it are not seen"
    names = [str(name) for name, inside in _parts(above[-1]) if inside is value]
    reader = getattr(above[-1], "__name__", f"a {type(above[-1]).__name__}")
    return f"{' '.join(names[:1])} in {reader} is a {kind}, and changes in it are not seen".strip()


def _parts(reader: Any) -> Iterator[tuple[str | int, Any]]:
    """Yield what a function, an object or a container of a step reads, by name or place."""
    if inspect.isfunction(reader):
        yield from _read_from_outside(reader)
    elif isinstance(reader, Mapping):
        yield from reader.items()
    elif isinstance(reader, (list, tuple)):
        yield from enumerate(reader)
    else:
        yield from getattr(reader, "__dict__", {}).items()
        yield from vars(type(reader)).items()


def _read_from_outside(function: FunctionType) -> Iterator[tuple[str | int, Any]]:
    names = dict.fromkeys(name for code in _codes(function.__code__) for name in code.co_names)
    outside = function.__globals__
    yield from ((name, outside[name]) for name in names if name in outside)
    for name, variable in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=True
    ):
        if name != "__class__":  # of super(): where the function stands
            yield name, variable.cell_contents
    yield from (function.__kwdefaults__ or {}).items()
    yield from enumerate(function.__defaults__ or ())
    yield from ((f".{name}", value) for name, value in vars(function).items())


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function, and of the functions and comprehensions inside."""
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)


def _is_fixed(value: Any) -> bool:
    """Say whether ``value`` is an op, or a function of a library, which do not change."""
    if isinstance(value, (Op, Composite)):
        return True
    if not inspect.isroutine(value) or not inspect.ismodule(getattr(value, "__self__", inspect)):
        return False  # a method of an object that may change, or no function at all
    return _is_of_library(getattr(value, "__module__", None) or "")


def _is_of_library(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES
