"""What the engine must know about an array library, and the registry of those it knows."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from minigrad.contexts import Decorating
from minigrad.errors import BackendError, suggestion
from minigrad.op import OPS, on_replacement


class Formulas:
    """The ops of the table as the ``m`` of a rule that runs on raw arrays of one library."""

    def __init__(self, namespace: Any) -> None:
        self._namespace = namespace

    def __getattr__(self, name: str) -> Callable[..., Any]:
        formula = partial(OPS[name].fn, self._namespace)
        self.__dict__[name] = formula
        return formula


@dataclass(frozen=True, eq=False, repr=False)
class Backend:
    """An array library.

    Attributes
    ----------
    name : str
        What ``use_backend`` calls it.
    array_type : type
        The type of its arrays.
    namespace : module-like
        The array API standard's functions, as the formulas call them, and besides
        ``native(dtype)`` (the library's own dtype object), ``pick(x, key)`` (``x[key]``; an index out
        of bounds is an error), ``scatter_add(target, key, values)`` and
        ``scatter_set(target, key, values)`` (in place, on an array the formula made itself; of
        several writes to one place the last wins).
    asarray : callable
        ``asarray(data, dtype, index)``: a new array on device number ``index``, never a view of
        ``data``.
    to_numpy : callable
        A NumPy array with the same content.
    device_of : callable
        The device string of an array.
    on_device : callable, optional
        ``on_device(arrays)`` is a context manager in which ops on ``arrays`` run; None if the
        library needs none.
    formulas : Formulas
        The ops of the table on the library's arrays: the ``m`` of a rule in the backward pass.
    """

    name: str
    array_type: type
    namespace: Any
    asarray: Callable[[Any, Any, int], Any]
    to_numpy: Callable[[Any], Any]
    device_of: Callable[[Any], str]
    on_device: Callable[[Any], AbstractContextManager[Any]] | None = None
    formulas: Formulas = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formulas", Formulas(self.namespace))

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    def place(self, *arrays: Any) -> AbstractContextManager[Any]:
        """Return a context manager in which work on ``arrays`` is done where they are."""
        return nullcontext() if self.on_device is None else self.on_device(arrays)

    def copy(self, array: Any) -> Any:
        """Return a copy of ``array``, on its device."""
        with self.place(array):
            return array.copy()


_MODULES = {"numpy": "minigrad.backends.numpy_", "cupy": "minigrad.backends.cupy_"}
_loaded: dict[str, Backend] = {}
by_type: dict[type, Backend] = {}
_default: ContextVar[str | None] = ContextVar("minigrad_backend", default=None)
_process_default: str | None = None


def register(backend: Backend) -> None:
    """Make ``backend`` known by its name and by the type of its arrays."""
    _loaded[backend.name] = backend
    on_replacement.append(lambda name: backend.formulas.__dict__.pop(name, None) and None)
    by_type[backend.array_type] = backend


def backend_named(name: str) -> Backend:
    """Return the backend called ``name``, importing its array library if need be.

    Raises
    ------
    BackendError
        If there is none of that name, or its library cannot be used.
    """
    found = _loaded.get(name)
    if found is None:
        module = _MODULES.get(name)
        if module is None:
            known = sorted({*_MODULES, *_loaded})
            raise BackendError(
                f"there is no backend {name!r}{suggestion(name, known)}; "
                f"the backends are {', '.join(known)}"
            )
        found = importlib.import_module(module).load()
        register(found)
    return found


def backend_of(array: Any) -> Backend | None:
    """Return the backend that owns ``array``, or None; never imports an array library."""
    found = by_type.get(type(array))
    if found is None:
        cupy = sys.modules.get("cupy")
        if cupy is not None and isinstance(array, getattr(cupy, "ndarray", ())):
            return backend_named("cupy")
        for kind, backend in by_type.items():
            if isinstance(array, kind):
                return backend
    return found


def get_default_backend() -> str:
    """Return the name of the backend that creation functions use.

    Returns
    -------
    str
        "numpy" or "cupy".

    Raises
    ------
    BackendError
        If the environment variable MINIGRAD_BACKEND names another one.

    Examples
    --------
    >>> with mg.use_backend("numpy"):
    ...     mg.get_default_backend()
    'numpy'
    """
    chosen = _default.get() or _process_default
    if chosen is None:
        chosen = os.environ.get("MINIGRAD_BACKEND") or "numpy"
        if chosen not in _MODULES and chosen not in _loaded:
            raise BackendError(
                f"MINIGRAD_BACKEND is {chosen!r}{suggestion(chosen, _MODULES)}; "
                f"set it to one of {', '.join(_MODULES)}, or unset it"
            )
    return chosen


class _Block(Decorating):
    """Create tensors with one array library inside the ``with`` block or the function it decorates."""

    def __init__(self, name: str) -> None:
        backend_named(name)
        self._name = name
        self._entered: list[Token[str | None]] = []

    def anew(self) -> _Block:
        return _Block(self._name)

    def __enter__(self) -> None:
        self._entered.append(_default.set(self._name))

    def __exit__(self, *error: object) -> None:
        _default.reset(self._entered.pop())


class use_backend(_Block):
    """Create tensors with this array library from now on; as a context manager, only inside it.

    As a decorator, only while the function runs.

    Parameters
    ----------
    name : {"numpy", "cupy"}
        The array library: NumPy works on the CPU, CuPy on GPUs.

    Raises
    ------
    BackendError
        If the array library is missing or unusable; the default then stays as it was.

    Examples
    --------
    >>> with mg.use_backend("numpy"):
    ...     mg.zeros(2).device
    'cpu'
    """

    def __init__(self, name: str) -> None:
        global _process_default
        super().__init__(name)
        self._before = _process_default
        _process_default = name

    def _only_inside(self) -> None:
        global _process_default
        _process_default = self._before

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self._only_inside()
        return super().__call__(function)

    def __enter__(self) -> None:
        self._only_inside()
        super().__enter__()


def parse_device(device: str | None) -> tuple[str, int]:
    """Return backend name and device number of "cpu", "cuda" or "cuda:1"; None is the default.

    Raises
    ------
    BackendError
        If the string names no device.
    """
    if device is None:
        return get_default_backend(), 0
    if device == "cpu":
        return "numpy", 0
    if isinstance(device, str):
        kind, _, number = device.partition(":")
        if kind == "cuda" and (number.isdecimal() or device == "cuda"):
            return "cupy", int(number or 0)
    raise BackendError(f'unknown device {device!r}; write "cpu", "cuda" or "cuda:1"')
