"""Public functions made of ops: a table for the tests, and errors that name the function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from minigrad.errors import ArgumentError, MinigradError
from minigrad.failures import retold
from minigrad.op import COMPOSITES, OPS, Composite, Domain

_F = TypeVar("_F", bound=Callable[..., Any])


def composite(*, domain: Domain, name: str | None = None) -> Callable[[_F], _F]:
    """Add a function that is written in terms of ops to the table of functions to test.

    Parameters
    ----------
    domain : Domain
        What the tests draw; its ``arguments`` must be given.
    name : str, optional
        By default the function's own.

    Raises
    ------
    ArgumentError
        If the name is taken.
    """

    def register(function: _F) -> _F:
        key = name or function.__name__
        if key in OPS or key in COMPOSITES:
            raise ArgumentError(f"there is already a function named {key!r}; choose another name")

        @functools.wraps(function)
        def named(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except (MinigradError, AttributeError, TypeError) as error:
                told = retold(key, function, args, kwargs, error)
                if told is error:
                    raise
                raise told from error.__cause__ or error

        COMPOSITES[key] = Composite(key, named, domain)
        return cast(_F, named)

    return register
