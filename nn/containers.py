"""Modules that hold modules or parameters: in a list, in a dict, or one after the other."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import groupby
from typing import Any, Generic, Self, TypeVar, overload

from minigrad.errors import ArgumentError, IndexingError, suggestion
from minigrad.nn.module import Module, check_name, describe
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor

_T = TypeVar("_T")


class _Container(Module, Generic[_T]):
    """Modules or parameters by name, beside the attributes that every module may have."""

    _items: dict[str, _T]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        made = super().__new__(cls)
        made._items = {}
        return made

    def _members(self) -> Iterator[tuple[str, Any]]:
        yield from tuple(self._items.items())
        for name, member in super()._members():
            if not name.startswith("_items."):
                yield name, member

    def _accepted(self, name: str, item: Any) -> Any:
        """Return what is to be held under ``name``, or refuse it."""
        if not isinstance(item, Module):
            raise ArgumentError(
                f"{type(self).__name__}: item {name!r} must be a module, not {describe(item)}"
            )
        return item

    def __len__(self) -> int:
        return len(self._items)


class _Parameters(_Container[Parameter]):
    """Parameters by name; other tensors become parameters."""

    def _accepted(self, name: str, item: Any) -> Parameter:
        if isinstance(item, Tensor):
            return item if isinstance(item, Parameter) else Parameter(item)
        raise ArgumentError(
            f"{type(self).__name__}: item {name!r} must be a tensor, not {describe(item)}"
        )

    def _inner_reprs(self) -> Iterator[str]:
        for name, p in self._items.items():
            size = "x".join(map(str, p.shape))
            place = "" if p.device == "cpu" else f" ({p.device})"
            yield f"  ({name}): Parameter containing: [{p.dtype} of size {size}{place}]"


class _List(_Container[_T], Sequence[_T]):
    """What is held by position. The names are "0", "1" and so on."""

    def __init__(self, items: Iterable[_T] | None = None) -> None:
        self.extend(() if items is None else items)

    def __iter__(self) -> Iterator[_T]:
        return iter(tuple(self._items.values()))

    def _name_at(self, index: int) -> str:
        position, size = operator.index(index), len(self)
        if not -size <= position < size:
            raise IndexingError(
                f"{type(self).__name__}: index {index} is out of range; there are {size} items"
            )
        return list(self._items)[position]

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._part(list(self._items.items())[index])
        return self._items[self._name_at(index)]

    def _part(self, named: list[tuple[str, _T]]) -> Any:
        raise NotImplementedError

    def __setitem__(self, index: int, item: _T) -> None:
        name = self._name_at(index)
        self._items[name] = self._accepted(name, item)

    def __delitem__(self, index: int | slice) -> None:
        gone = list(self._items)[index] if isinstance(index, slice) else [self._name_at(index)]
        self._number(item for name, item in self._items.items() if name not in gone)

    def _number(self, items: Iterable[_T]) -> None:
        self._items = {str(i): item for i, item in enumerate(items)}

    def insert(self, index: int, item: _T) -> Self:
        """Put ``item`` before the one at ``index``, name all by their positions, and return this.

        Parameters
        ----------
        index : int
            The position; a negative one counts from the end.
        item : Module or Parameter
            What to put there; a tensor becomes a parameter.

        Returns
        -------
        Self
            This container.

        Raises
        ------
        IndexingError
            If there is no such position.
        ArgumentError
            If ``item`` is of another kind.
        """
        size = len(self)
        if not -size <= index <= size:
            raise IndexingError(
                f"{type(self).__name__}.insert: index {index} is out of range; there are {size} items"
            )
        held = list(self)
        held.insert(index, self._accepted(str(index), item))
        self._number(held)
        return self

    def append(self, item: _T) -> Self:
        """Put ``item`` at the end, and return this.

        Parameters
        ----------
        item : Module or Parameter
            What to put there; a tensor becomes a parameter.

        Returns
        -------
        Self
            This container.

        Raises
        ------
        ArgumentError
            If ``item`` is of another kind.
        """
        return self.extend([item])

    def extend(self, items: Iterable[_T]) -> Self:
        """Put all of ``items`` at the end, and return this. If one is refused, none is there.

        Parameters
        ----------
        items : iterable of Module or of Parameter
            What to put there; tensors become parameters.

        Returns
        -------
        Self
            This container.

        Raises
        ------
        ArgumentError
            If they are no iterable of the right things.
        """
        if isinstance(items, (Tensor, Mapping)) or not isinstance(items, Iterable):
            raise ArgumentError(
                f"{type(self).__name__}: the items must be in a list, for instance, not in "
                f"{describe(items)}"
            )
        new = {
            str(i): self._accepted(str(i), item) for i, item in enumerate(items, start=len(self))
        }
        if new.keys() & self._items.keys():  # a part of a Sequential has the names of the whole
            self._number(self)
        self._items.update(new)
        return self

    def pop(self, index: int | slice = -1) -> Any:
        """Take out and return the item at ``index``.

        Parameters
        ----------
        index : int or slice
            The position, by default the last.

        Returns
        -------
        Module, Parameter, or container
            The item, or a container of several.

        Raises
        ------
        IndexingError
            If there is no such position.
        """
        item = self[index]
        del self[index]
        return item

    def __add__(self, other: Iterable[_T]) -> Self:
        return self._part([]).extend(self).extend(other)  # type: ignore[no-any-return]

    def __iadd__(self, other: Iterable[_T]) -> Self:
        return self.extend(other)


class Sequential(_List[Module]):
    """Modules that run one after the other: each reads what the one before has returned.

    Parameters
    ----------
    *modules : Module or OrderedDict
        The modules, or one OrderedDict of modules by name. The other names are "0", "1" and so on.
        A part, ``model[1:]``, keeps the names; after an insertion or a deletion all are numbered anew.

    Raises
    ------
    ArgumentError
        If one is no module, or a name is empty or has a dot.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> model(mg.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        match modules:
            case [OrderedDict() as named]:
                for name in named:
                    check_name(type(self).__name__, name)
                self._items = {name: self._accepted(name, m) for name, m in named.items()}
            case _:
                self.extend(modules)  # type: ignore[arg-type]

    def _part(self, named: list[tuple[str, Module]]) -> Sequential:
        return Sequential(OrderedDict(named))

    def forward(self, input: Any) -> Any:
        """Give ``input`` to the first module, its result to the second, and so on.

        Parameters
        ----------
        input : Any
            What the first module takes.

        Returns
        -------
        Any
            What the last module returns; ``input`` if there is none.
        """
        for module in self:
            input = module(input)
        return input


class ModuleList(_List[Module]):
    """Modules in a list.

    Parameters
    ----------
    modules : iterable of Module, optional
        What it holds at first.

    Raises
    ------
    ArgumentError
        If one is no module.

    Examples
    --------
    >>> layers = nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 2)])
    >>> [name for name, _ in layers.named_parameters()]
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__(modules)

    def _part(self, named: list[tuple[str, Module]]) -> ModuleList:
        return ModuleList(module for _, module in named)

    def _inner_reprs(self) -> Iterator[str]:
        position = 0
        for text, same in groupby(map(repr, self)):
            count = len(list(same))
            many = f"({position}-{position + count - 1}): {count} x {text}"
            yield many if count > 1 else f"({position}): {text}"
            position += count


class ParameterList(_Parameters, _List[Parameter]):
    """Parameters in a list; other tensors become parameters.

    Parameters
    ----------
    values : iterable of Tensor, optional
        What it holds at first; tensors of any shapes.

    Raises
    ------
    ArgumentError
        If one is no tensor.

    Examples
    --------
    >>> scales = nn.ParameterList([mg.ones(2), mg.ones(3)])
    >>> scales[1].shape
    (3,)
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__(values)

    def _part(self, named: list[tuple[str, Parameter]]) -> ParameterList:
        return ParameterList(parameter for _, parameter in named)


class _Dict(_Container[_T], MutableMapping[str, _T]):
    """What is held by name, in the order of insertion."""

    __eq__ = object.__eq__  # a module equals itself alone, and can be a key
    __hash__ = object.__hash__

    def __init__(self, items: Any = None) -> None:
        self.update(() if items is None else items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __getitem__(self, name: str) -> _T:
        if name not in self._items:
            raise KeyError(
                f"{type(self).__name__} has no item {name!r}{suggestion(str(name), self._items)}"
            )
        return self._items[name]

    def __setitem__(self, name: str, item: _T) -> None:
        check_name(type(self).__name__, name)
        self._items[name] = self._accepted(name, item)

    def __delitem__(self, name: str) -> None:
        self.__getitem__(name)
        del self._items[name]


class ModuleDict(_Dict[Module]):
    """Modules by name.

    Parameters
    ----------
    modules : mapping or iterable of pairs, optional
        Names and modules that it holds at first.

    Raises
    ------
    ArgumentError
        If one is no module, or a name is no string, empty or has a dot.

    Examples
    --------
    >>> heads = nn.ModuleDict({"words": nn.Linear(3, 4), "tags": nn.Linear(3, 2)})
    >>> heads["tags"](mg.ones(3)).shape
    (2,)
    """

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__(modules)


class ParameterDict(_Parameters, _Dict[Parameter]):
    """Parameters by name; other tensors become parameters. Those of a plain dict are sorted by name.

    Parameters
    ----------
    parameters : mapping or iterable of pairs, optional
        Names and tensors that it holds at first; any shapes.

    Raises
    ------
    ArgumentError
        If one is no tensor, or a name is no string, empty or has a dot.

    Examples
    --------
    >>> scales = nn.ParameterDict({"first": mg.ones(2)})
    >>> scales["first"].shape
    (2,)
    """

    def __init__(
        self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None
    ) -> None:
        super().__init__(parameters)

    def update(self, parameters: Any = (), /, **named: Any) -> None:
        """Add parameters by name; those of a plain dict are sorted by name, as PyTorch does.

        Parameters
        ----------
        parameters : mapping or iterable of pairs
            Names and tensors, of any shapes.
        **named : Tensor
            More of them, of any shapes.

        Raises
        ------
        ArgumentError
            If one is no tensor, or a name is no string, empty or has a dot.
        """
        if type(parameters) is dict:
            parameters = sorted(parameters.items())
        super().update(parameters, **named)
