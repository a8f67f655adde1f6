"""A module with other tensors in the places of its own: a copy of it, and of all modules inside.

The module itself is not touched, so that other threads may use it meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from types import MethodType
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary, ref

from minigrad.nn.module import Module

_originals: WeakKeyDictionary[Module, ref[Module]] = WeakKeyDictionary()
_M = TypeVar("_M", bound=Module)
_MISSING: Any = object()


def original_of(module: _M) -> _M:
    """Return the module that this one is a copy of, with other tensors; itself if it is none."""
    found = _originals.get(module)
    return cast(_M, (found and found()) or module)


class Substitution:
    """A copy of a module in which tensors are replaced wherever they are, and what is done to it.

    Parameters
    ----------
    module : Module
    given : mapping
        From the id of a tensor to what takes its place.

    Attributes
    ----------
    module : Module
        The copy.
    """

    def __init__(self, module: Module, given: Mapping[int, Any]) -> None:
        self._given = given
        self._copies: dict[int, Any] = {}
        self._pairs: list[tuple[Any, Any]] = []
        self.module = self._copied(module)
        self._before = [contents(made) for _, made in self._pairs]

    def _copied(self, value: Any) -> Any:
        if id(value) in self._given:
            return self._given[id(value)]
        if id(value) in self._copies:
            return self._copies[id(value)]
        if isinstance(value, tuple):
            items = [self._copied(inside) for inside in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        if isinstance(value, MethodType) and isinstance(value.__self__, Module):
            return MethodType(value.__func__, self._copied(value.__self__))
        made: Any
        if isinstance(value, Module):
            made = object.__new__(type(value))
            target = vars(made)
            _originals[made] = ref(original_of(value))
        elif isinstance(value, (list, dict)):
            made = target = copy.copy(value)
        elif hasattr(type(value), "_for_copies"):  # it belongs to a module
            made = self._copies[id(value)] = copy.copy(value)
            made._for_copies(self._copied)
            return made
        else:
            return value
        self._copies[id(value)] = made
        self._pairs.append((value, made))
        for name, inside in contents(value).items():
            target[name] = self._copied(inside)
        return made

    def changes(self) -> Iterator[tuple[Any, Any, Any]]:
        """Yield what has been changed since: the original of a module, list or dict, a name, a value.

        The value is `_MISSING` if the name is there no more.
        """
        for (value, made), old in zip(self._pairs, self._before, strict=True):
            new = contents(made)
            for name in [*old, *(name for name in new if name not in old)]:
                if new.get(name, _MISSING) is not old.get(name, _MISSING):
                    yield value, name, new.get(name, _MISSING)

    def carry_over(self) -> None:
        """Do to the originals what has been done to the copies, but not to the tensors given."""
        originals = {id(made): value for value, made in self._pairs}
        for value, name, new in list(self.changes()):
            if id(contents(value).get(name)) in self._given:
                continue
            new = originals.get(id(new), new)
            if isinstance(value, list):
                _put_into_list(value, name, new)
            else:
                target = vars(value) if isinstance(value, Module) else value
                if new is _MISSING:
                    target.pop(name, None)
                else:
                    target[name] = new


def _put_into_list(target: list[Any], position: int, new: Any) -> None:
    if new is _MISSING:
        del target[position:]
    elif position < len(target):
        target[position] = new
    else:
        target.append(new)


def contents(value: Any) -> dict[Any, Any]:
    """Return what a module, a list or a dict holds, by its place."""
    if isinstance(value, Module):
        return dict(vars(value))
    return dict(value) if isinstance(value, dict) else dict(enumerate(value))
