"""The step of a module as a function of its parameters and buffers, so that it can be traced."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from minigrad.errors import ArgumentError, TraceError
from minigrad.kernels import CellFunction
from minigrad.kernels.frontend.guards import LIBRARIES, Surroundings, surroundings_of
from minigrad.nn.module import Module
from minigrad.nn.substitution import Substitution, contents
from minigrad.tensor import Tensor


class ModuleStep(CellFunction):
    """The method ``step`` of a module, as a cell that takes the module's tensors by their names.

    The step runs on a copy of the module that has the given tensors, or variables, in their places. So
    it can be traced while other threads use the module.

    Parameters
    ----------
    module : Module
        With the attributes ``input_size`` and ``hidden_size``.
    states : sequence of str
        The last arguments of its ``step``.
    widths : dict of int or tuple of int
        Of those states that are not ``hidden_size`` wide; or their whole shape behind N.
    """

    def __init__(self, module: Any, states: Sequence[str], widths: Mapping[str, Any]) -> None:
        super().__init__(module.step, states, widths=lambda hidden_size: widths)
        self.__name__ = self.__qualname__ = type(module).__name__
        self._made_of = module, tuple(states), dict(widths)

    def tensors(self) -> dict[str, Tensor]:
        """Return the parameters and buffers of the module, by name."""
        module, *_ = self._made_of
        return {**dict(module.named_parameters()), **dict(module.named_buffers())}

    def __call__(self, /, *args: Any, **parameters: Any) -> Any:
        module, *_ = self._made_of
        given = {id(t): parameters[name] for name, t in self.tensors().items()}
        replaced = Substitution(module, given)
        found = replaced.module.step(*args)
        for one, name, _ in replaced.changes():
            raise TraceError(
                f"step of {self.__name__} changes {name!r} of a {type(one).__name__}, which would be "
                "lost; make it a state: an argument of the step, and a value that it returns"
            )
        return found

    def initial_parameters(
        self, input_size: int, hidden_size: int, **options: Any
    ) -> dict[str, tuple[int, ...] | Tensor]:
        """Return the parameters and buffers that the module has; the options were used to make it.

        Raises
        ------
        ArgumentError
            If the sizes are not those of the module.
        """
        module, *_ = self._made_of
        sizes, own = (input_size, hidden_size), (module.input_size, module.hidden_size)
        if sizes != own:
            raise ArgumentError(
                f"cell {self.__name__!r} was made with the sizes {own}, and cannot have {sizes}; make "
                f"another one: {self.__name__}({input_size}, {hidden_size})"
            )
        return {name: t.detach() for name, t in self.tensors().items()}

    def surroundings(self, above: tuple[Any, ...] = ()) -> Surroundings | None:
        """Return what of the module a trace depends on, beside its tensors."""
        module, *_ = self._made_of
        names = {id(t): name for name, t in self.tensors().items()}
        return _seen(module, names, (*above, self))

    def _for_copies(self, copied: Callable[[Any], Any]) -> None:
        """Become the step of the module's copy."""
        module, *rest = self._made_of
        module = copied(module)
        self._made_of = module, *rest
        self.step = module.step

    def __reduce__(self) -> tuple[Any, ...]:  # type: ignore[override]  # a cell of a function has a name
        return type(self), self._made_of


# what else a trace depends on


def _seen(value: Any, names: Mapping[int, str], above: tuple[Any, ...]) -> Surroundings | None:
    """Return `surroundings_of` a value, also of modules, of their classes, and of what holds them."""
    if id(value) in names:
        return (names[id(value)],)  # a tensor: an argument of the step
    if not isinstance(value, (Module, list, tuple, dict, type)):
        return surroundings_of(value, above)
    if any(value is outer for outer in above):
        return ()
    above = (*above, value)
    kind = value if isinstance(value, type) else type(value)
    found: list[Any] = [kind]
    parts: Iterable[tuple[Any, Any]] = () if kind is value else contents(value).items()
    if kind is value or isinstance(value, Module):
        parts = chain(parts, *(_written_for(base) for base in kind.__mro__))
    for name, part in parts:
        seen = _seen(part, names, above)
        if seen is None:
            return None
        found.append((name, seen))
    return tuple(found)


def _written_for(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the methods and other attributes of a class; none if it is of a library."""
    root = kind.__module__.partition(".")[0]
    if root in LIBRARIES or root in sys.stdlib_module_names:  # bases of containers, say
        return
    for name, value in vars(kind).items():
        if name == "__init__":
            continue
        if isinstance(value, (staticmethod, classmethod)):
            yield name, value.__func__
        elif isinstance(value, property):
            yield name, value.fget
        elif inspect.isfunction(value) or not name.startswith("__"):
            yield name, value
