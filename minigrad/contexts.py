"""Context managers as decorators: of functions, and of each step of generators and coroutines.

A generator and a coroutine run in steps. Each step enters the context anew, so whoever runs between two
steps, which may be another task, does so as before.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

from minigrad.errors import ArgumentError

Context = Callable[[], AbstractContextManager[Any]]


class Decorating:
    """What makes a context manager a decorator, with the method ``anew``."""

    def anew(self) -> AbstractContextManager[Any]:
        """Return a context manager like this one, not yet entered: a function may call itself.

        Returns
        -------
        context manager
            The new one.
        """
        raise NotImplementedError

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, with this context around what its body does."""
        return decorated(self.anew, function)


def decorated(context: Context, function: Any) -> Callable[..., Any]:
    """Return ``function`` with a context around each stretch that its body runs.

    Parameters
    ----------
    context : callable
        Returns a new context manager.
    function : callable
        A function, generator function, coroutine function or asynchronous generator function.

    Raises
    ------
    ArgumentError
        If ``function`` is a class, or cannot be called.
    """
    if isinstance(function, type) or not callable(function):
        raise ArgumentError(
            f"a context such as no_grad() decorates functions, not {function!r}; decorate the methods "
            "of a class, or write 'with' in front of the context"
        )
    body = function
    while isinstance(body, functools.partial):
        body = body.func
    if not inspect.isroutine(body):
        body = type(body).__call__  # of an object that can be called
    if inspect.isgeneratorfunction(body):

        def of_generator(*args: Any, **kwargs: Any) -> Any:
            return (yield from _in_steps(context, function(*args, **kwargs)))

        wrapper: Any = of_generator
    elif inspect.isasyncgenfunction(body):

        async def of_async_generator(*args: Any, **kwargs: Any) -> Any:
            inner = function(*args, **kwargs)
            step: Any = inner.asend
            given: Any = None
            while True:
                try:
                    made = await _awaited(context, step(given))
                except StopAsyncIteration:
                    return
                try:
                    given = yield made
                    step = inner.asend
                except GeneratorExit:
                    await _awaited(context, inner.aclose())
                    raise
                except BaseException as error:
                    step, given = inner.athrow, error

        wrapper = of_async_generator
    elif inspect.iscoroutinefunction(body):

        async def of_coroutine(*args: Any, **kwargs: Any) -> Any:
            return await _awaited(context, function(*args, **kwargs))

        wrapper = of_coroutine
    else:

        def of_function(*args: Any, **kwargs: Any) -> Any:
            with context():
                return function(*args, **kwargs)

        wrapper = of_function
    return functools.wraps(function)(wrapper)


def _in_steps(context: Context, inner: Any) -> Generator[Any, Any, Any]:
    """Pass on what ``inner`` yields and is sent; it runs inside the context only."""
    step: Any = inner.send
    given: Any = None
    while True:
        try:
            with context():
                made = step(given)
        except StopIteration as end:
            return end.value
        try:
            given = yield made
            step = inner.send
        except GeneratorExit:
            with context():
                inner.close()
            raise
        except BaseException as error:
            step, given = inner.throw, error


_awaited = types.coroutine(_in_steps)
