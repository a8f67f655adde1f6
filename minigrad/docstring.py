"""A descriptor for docstrings that are written when they are read, of objects that are no functions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any


class Docstring:
    """The ``__doc__`` of a class whose instances have docstrings of their own.

    Parameters
    ----------
    of_the_class : str or None
        The docstring of the class.
    write : callable
        Takes an instance, and returns its docstring.
    """

    def __init__(self, of_the_class: str | None, write: Callable[[Any], str]) -> None:
        self._of_the_class = of_the_class
        self._write = write

    def __get__(self, instance: object | None, owner: type) -> str | None:
        return self._of_the_class if instance is None else self._write(instance)


def section(title: str, text: str) -> str:
    """Return a section of a NumPy-style docstring; nothing if the text is empty."""
    return f"\n\n{title}\n{'-' * len(title)}\n{text}" if text else ""


def document(cls: type, parameters: str, raises: str) -> None:
    """Write what arguments mean, and what is raised unless it is told, into the docstring of a class."""
    if cls.__doc__:  # Python leaves docstrings out when it is told to
        parts = re.split(
            r"\n\n(?=(?:Attributes|Raises|Examples)\n-)", inspect.cleandoc(cls.__doc__)
        )
        parts[0] += section("Parameters", parameters)
        if not any(part.startswith("Raises") for part in parts):
            parts[max(len(parts) - 2, 0)] += section("Raises", raises)
        cls.__doc__ = "\n\n".join(parts)
