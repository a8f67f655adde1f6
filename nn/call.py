"""``functional_call``: a module as a function of its parameters, to differentiate by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError, DtypeError, ShapeError, suggestion, type_name
from minigrad.graph import Var
from minigrad.nn.checks import checked_tensor
from minigrad.nn.module import Module
from minigrad.nn.parameter import Buffer, Parameter, become
from minigrad.nn.substitution import Substitution
from minigrad.ops.shape import reshape
from minigrad.tensor import Tensor


def functional_call(
    module: Module,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Call a module with the tensors given in the places of its own, for this call only.

    Gradients flow to the tensors given. The module keeps its own, also if the call raises; what the call
    writes in place, such as running statistics, it writes into the tensors given. Other threads may use
    the module meanwhile.

    Parameters
    ----------
    module : Module
        It is called as usual, with its hooks.
    parameters : mapping, or sequence of mappings
        From names of parameters and buffers, as `Module.named_parameters` gives them, to tensors of the
        same shapes. What is not named is the module's own; what is shared goes to all its places.
    args : tuple, or a single value
        What the module is called with.
    kwargs : mapping, optional
        Likewise, by name.

    Returns
    -------
    Any
        What the module returns.

    Raises
    ------
    ArgumentError
        If there is no parameter or buffer of a name, one is given twice, or tensors that are one in the
        module are given as two.
    ShapeError
        If a tensor has another shape than the one whose place it takes.
    DtypeError
        If integers are given for floating-point numbers, or the other way round.
    TypeError
        If ``module`` is no module, or what is given is no tensor.

    Examples
    --------
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> def loss(weight):
    ...     return nn.functional_call(layer, {"weight": weight}, mg.tensor([[2.0, 3.0]])).sum()
    >>> mg.value_and_grad(loss)(mg.ones((1, 2)))
    (tensor(5.), tensor([[2., 3.]]))
    """
    if not isinstance(module, Module):
        raise TypeError(f"functional_call: module must be a Module, not a {type_name(module)}")
    places = dict(
        chain(
            module.named_parameters(remove_duplicate=False),
            module.named_buffers(remove_duplicate=False),
        )
    )
    given: dict[int, Any] = {}
    names: dict[int, tuple[str, Any]] = {}
    for name, value in _named(parameters):
        if name not in places:
            raise ArgumentError(
                f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}"
                f"{suggestion(str(name), places)}"
            )
        place = places[name]
        other, same = names.setdefault(id(place), (name, value))
        if same is not value:
            raise ArgumentError(
                f"functional_call: {name!r} and {other!r} are one tensor in {type(module).__name__}; "
                "give one of them, or the same tensor for both"
            )
        given[id(place)] = _in_place_of(name, place, value)
    replaced = Substitution(module, given)
    result = replaced.module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    replaced.carry_over()
    return result


def _named(parameters: Any) -> list[tuple[str, Any]]:
    """Return the names and values of one mapping or several."""
    several = [parameters] if isinstance(parameters, Mapping) else parameters
    if not isinstance(several, Sequence) or not all(isinstance(one, Mapping) for one in several):
        raise TypeError(
            "functional_call: parameters must map names to tensors, or be a sequence of such mappings, "
            f"not a {type_name(parameters)}"
        )
    pairs = [pair for one in several for pair in one.items()]
    names = [name for name, _ in pairs]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ArgumentError(f"functional_call: {twice[0]!r} is given twice; give it once")
    return pairs


def _in_place_of(name: str, place: Tensor, value: Any) -> Any:
    """Return a tensor as the kind of thing that it takes the place of."""
    value = checked_tensor("functional_call", value, place, repr(name))
    if tuple(value.shape) != place.shape:
        raise ShapeError(
            f"functional_call: {name!r} has shape {tuple(value.shape)}; it must be {place.shape}"
        )
    if is_floating(value.dtype) != is_floating(place.dtype):
        raise DtypeError(
            f"functional_call: {name!r} has dtype {value.dtype}, and the module's own {place.dtype}; "
            f"convert it with .astype('{place.dtype}')"
        )
    kind = Parameter if isinstance(place, Parameter) else Buffer
    if isinstance(value, (Var, kind)):
        return value
    if value.requires_grad and value._node is None:
        value = reshape(value, value.shape)  # the gradient goes to the leaf that was given
    made = object.__new__(kind)
    become(made, value)
    if isinstance(made, Buffer):
        made.persistent = getattr(place, "persistent", True)
    return made
