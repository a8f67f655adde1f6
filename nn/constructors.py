"""Errors of constructors and of calls of modules for arguments that they do not take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from minigrad.errors import suggestion
from minigrad.failures import describe

_F = TypeVar("_F", bound=Callable[..., Any])
_IN_PLACE = "results are new tensors, and their memory is used again without being asked for"
_AT_ONCE = "there is one way to update, for each parameter by itself"
_REDUCTION = "reduction='mean', 'sum' or 'none' says it"
NOT_OFFERED = {
    "inplace": _IN_PLACE,
    "size_average": _REDUCTION,
    "reduce": _REDUCTION,
    "return_indices": "they serve MaxUnpool, which there is not",
    "sparse": "gradients are dense, and no optimiser takes others",
    "_freeze": "write layer.requires_grad_(False)",
    "padding_mode": "only a convolution reads a border that could be made of something else than zeros",
    "min_value": "it is called min_val",
    "max_value": "it is called max_val",
    "add_bias_kv": "concat a learned position to keys and values",
    "add_zero_attn": "concat a position of zeros to keys and values",
    "foreach": _AT_ONCE,
    "fused": _AT_ONCE,
    "capturable": "there are no graphs of CUDA calls to capture a step in",
    "differentiable": "a step is never recorded for a gradient",
    "last_epoch": "load_state_dict() goes on from an earlier epoch",
    "destination": "it is a new dict each time",
    "keep_vars": "the values are copies, without gradients",
    "assign": "values are written into the parameters, which stay the same objects",
    "non_blocking": "copies are waited for",
    "memory_format": "arrays are in the order of their axes",
    "prepend": "hooks run in the order in which they were added",
    "always_call": "hooks run after a call that ends without an error",
}
"""Options of PyTorch that are not offered, and why."""


def explain_arguments(cls: type) -> None:
    """Let the ``__init__`` of a class of this package tell which arguments it does not take.

    It is told by the name of the class that was called; Python would name the one, perhaps a private one,
    that defines ``__init__``.
    """
    if not cls.__module__.startswith("minigrad.") or "__init__" not in vars(cls):
        return
    init = vars(cls)["__init__"]
    signature = inspect.signature(init)

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        called = type(self) if type(self).__init__ is __init__ else cls
        _bind(called.__name__, signature, self, *args, **kwargs)
        init(self, *args, **kwargs)

    cls.__init__ = __init__  # type: ignore[misc]


def explain_call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise an error if the arguments do not fit those of ``forward``, by the name of the module.

    Raises
    ------
    TypeError
    """
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):  # it is no function, or one that does not tell
        return
    _bind(f"{type(module).__name__}.forward", signature, *args, **kwargs)


def explained(function: _F) -> _F:
    """Let a function or a method tell why it does not take an option of PyTorch."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            _bind(function.__qualname__, signature, *args, **kwargs)
            raise

    return cast(_F, wrapper)


def _bind(name: str, signature: inspect.Signature, /, *args: Any, **kwargs: Any) -> None:
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        given = args[1:] if "self" in signature.parameters else args
        raise TypeError(_complaint(name, signature, given, kwargs, error)) from None


def _complaint(
    name: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: TypeError,
) -> str:
    parameters = [p for p in signature.parameters.values() if p.name != "self" and p.name[0] != "_"]
    known = [p.name for p in parameters]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unknown = next((option for option in kwargs if option not in known and not takes_any), None)
    if unknown in NOT_OFFERED:
        return f"{name} has no option {unknown!r}: {NOT_OFFERED[unknown]}; leave it out"
    if unknown is not None:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        return f"{name} has no option {unknown!r}{suggestion(unknown, known)}; {takes}"
    ordered = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    if len(args) > len(ordered):
        rest = [option for option in known if option not in ordered]
        by_name = f"; pass {', '.join(rest)} by name" if rest else ""
        some = f"only {', '.join(ordered)}" if ordered else "nothing"
        more = describe(args[len(ordered)])
        return f"{name} takes {some} by position, and was also given {more}{by_name}"
    return f"{name}: {error}"  # one is missing, or there twice
