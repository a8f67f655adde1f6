"""The base of all layers, and the tensors that are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minigrad.errors import ShapeError
from minigrad.tensor import Tensor, tensor


class Parameter(Tensor):
    """A tensor to be trained: a leaf that requires a gradient.

    Parameters
    ----------
    data : array_like
        Is copied.
    dtype : dtype, optional
    """

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None) -> None:
        source = tensor(data, dtype=dtype, requires_grad=True)
        for name in Tensor.__slots__:
            if name != "__weakref__":
                setattr(self, name, getattr(source, name))


class Module:
    """A layer: parameters and other layers as attributes, and a method ``forward``.

    What is assigned to an attribute belongs to the module, also in lists and tuples. Calling the
    module calls ``forward``.

    Attributes
    ----------
    training : bool
        Whether the module is being trained; see `train` and `eval`.
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result of the layer; every layer defines its own."""
        raise NotImplementedError(f"{type(self).__name__} has no method forward; define it")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # what it is made of

    def _members(self) -> Iterator[tuple[str, Any]]:
        """Yield the parameters and modules right inside this one, with their names."""

        def members(name: str, value: Any) -> Iterator[tuple[str, Any]]:
            if isinstance(value, (Parameter, Module)):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for i, item in enumerate(value):
                    yield from members(f"{name}.{i}", item)

        for name, value in vars(self).items():
            yield from members(name, value)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and those inside, with their names: "", "lstm", "layers.0"."""
        yield prefix, self
        for name, member in self._members():
            if isinstance(member, Module):
                yield from member.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """Yield this module and those inside."""
        return (module for _, module in self.named_modules())

    def _named_places(self) -> Iterator[tuple[str, Parameter]]:
        """Yield each parameter under every name it has."""
        for prefix, module in self.named_modules():
            for name, member in module._members():
                if isinstance(member, Parameter):
                    yield f"{prefix}.{name}" if prefix else name, member

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their names, a shared one only once."""
        seen: set[int] = set()
        for name, parameter in self._named_places():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters, a shared one only once."""
        return (parameter for _, parameter in self.named_parameters())

    # weights in and out

    def state_dict(self) -> dict[str, Tensor]:
        """Return a copy of each parameter by name; training goes on without changing it."""
        return {name: parameter.detach().clone() for name, parameter in self._named_places()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write tensors or arrays into the parameters of the same names.

        Parameters
        ----------
        state : mapping
            From the names that `state_dict` gives to tensors or arrays.

        Raises
        ------
        ShapeError
            If names are missing or unknown, or shapes differ. The message lists them all, and nothing
            has changed.
        """
        places = dict(self._named_places())
        wrong = [f"missing: {name}" for name in places if name not in state]
        wrong += [f"not in this module: {name}" for name in state if name not in places]
        values = {
            name: (value if isinstance(value, Tensor) else tensor(value)).detach()
            for name, value in state.items()
            if name in places
        }
        wrong += [
            f"{name}: shape {value.shape} does not fit {places[name].shape}"
            for name, value in values.items()
            if value.shape != places[name].shape
        ]
        if wrong:
            listed = "\n  ".join(wrong)
            raise ShapeError(f"load_state_dict into {type(self).__name__}:\n  {listed}")
        for name, parameter in places.items():
            parameter.copy_(values[name])

    # modes

    def train(self, mode: bool = True) -> Module:
        """Set ``training`` here and in all modules inside, and return this module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set ``training`` to False here and in all modules inside, and return this module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    # for people

    def extra_repr(self) -> str:
        """Return what stands in the parentheses of this layer's repr."""
        return ""

    def __repr__(self) -> str:
        inside = [(n, repr(m)) for n, m in self._members() if isinstance(m, Module)]
        lines = [f"({name}): {text}".replace("\n", "\n  ") for name, text in inside]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return "\n  ".join([f"{type(self).__name__}({self.extra_repr()}", *lines]) + "\n)"
