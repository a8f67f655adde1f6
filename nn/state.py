"""State dicts out and in: all tensors to be loaded are checked before the first one is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy

from minigrad.errors import ArgumentError, suggestion
from minigrad.ops.elementwise import equal, isfinite
from minigrad.tensor import Tensor, tensor


class IncompatibleKeys(NamedTuple):
    """The names that were left out by ``load_state_dict(..., strict=False)``."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def copying(doing: str, arrays: Any) -> Callable[[Tensor], Any]:
    """Return the function that copies a tensor into a state dict.

    Parameters
    ----------
    doing : str
    arrays : bool or callable
        Whether the copy is a NumPy array; or what makes it of a tensor, ``torch.from_dlpack`` for
        instance.

    Raises
    ------
    ArgumentError
    """
    if isinstance(arrays, bool):
        return _as_numpy if arrays else _as_tensor
    if not callable(arrays):
        raise ArgumentError(
            f"{doing}: arrays must be True (NumPy arrays), False (tensors) or a function of a tensor, "
            f"torch.from_dlpack for instance, not {arrays!r}"
        )
    return lambda t: arrays(_as_tensor(t))


def _as_tensor(t: Tensor) -> Tensor:
    return t.detach().clone()


def _as_numpy(t: Tensor) -> numpy.ndarray[Any, Any]:
    return t.detach().cpu().numpy()


def load(owner: str, places: Mapping[str, Tensor], state: Any, strict: bool) -> IncompatibleKeys:
    """Write the tensors or arrays of ``state`` into the tensors of the same names.

    Raises
    ------
    ArgumentError
        If anything does not fit. The message lists all of it, and nothing has changed.
    """
    doing = f"load_state_dict into {owner}"
    if not isinstance(state, Mapping):
        raise ArgumentError(
            f"{doing}: the state is a {type(state).__name__}; pass what state_dict() returned"
        )
    names = IncompatibleKeys(
        [name for name in places if name not in state],
        [name for name in state if name not in places],
    )
    wrong = list(_wrong_names(names, state)) if strict else []
    values: dict[str, Tensor] = {}
    for name, place in places.items():
        if name in state:
            try:
                values[name] = _fitting(state[name], place)
            except ArgumentError as error:
                wrong.append(f"{name}: {error}")
    wrong += _contradictions(places, values)
    if wrong:
        listed = "\n  ".join(wrong)
        raise ArgumentError(f"{doing}; nothing was changed:\n  {listed}")
    for name, value in values.items():
        places[name].copy_(value)
    return names


def _wrong_names(names: IncompatibleKeys, state: Mapping[Any, Any]) -> Iterator[str]:
    for name in names.missing_keys:
        yield f"missing: {name}"
    for name in names.unexpected_keys:
        inside = state[name]
        if isinstance(inside, Mapping) and set(names.missing_keys) & inside.keys():
            hint = f"; it holds names of this module: pass state[{name!r}]"
        else:
            hint = suggestion(str(name), names.missing_keys)
        yield f"not in this module: {name}{hint}"


def _fitting(given: Any, place: Tensor) -> Tensor:
    """Return ``given`` as a tensor of the dtype and on the device of ``place``.

    Raises
    ------
    ArgumentError
        With the reason alone, if that is impossible or would change numbers beyond rounding.
    """
    try:
        value = _read(given)
    except Exception as error:  # whatever a foreign array raises
        raise ArgumentError(
            f"a {type(given).__name__} cannot be read as an array: {error}"
        ) from None
    if value.shape != place.shape:
        raise ArgumentError(f"shape {value.shape} does not fit {place.shape}")
    if _rank(value) > _rank(place):
        raise ArgumentError(f"dtype {value.dtype} does not fit {place.dtype}")
    with numpy.errstate(all="ignore"):  # what overflows is found below
        converted = value.to(place.dtype)
    same = equal(isfinite(converted), isfinite(value))
    if _rank(place) < 2:
        same = equal(converted, value)
    if not same.all():
        raise ArgumentError(f"some of its {value.dtype} numbers are too large for {place.dtype}")
    return converted.to(place.device)


def _read(given: Any) -> Tensor:
    """Return ``given`` as a tensor; PyTorch's are first cut off from their graph and their device."""
    if isinstance(given, Tensor):
        return given.detach()
    for step in ("detach", "cpu"):
        given = getattr(given, step, lambda given=given: given)()
    return tensor(given)


def _rank(t: Tensor) -> int:
    """Return 0 for bool, 1 for integers, 2 for floating-point numbers."""
    return {"b": 0, "i": 1, "u": 1}.get(t.dtype.kind, 2)


def _contradictions(places: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield the names of shared tensors that ``values`` gives different contents."""
    first: dict[int, str] = {}
    for name, value in values.items():
        other = first.setdefault(id(places[name]), name)
        if other != name and _bytes(value) != _bytes(values[other]):
            yield f"{name}: is one tensor with {other} here, but differs from it in the state"


def _bytes(t: Tensor) -> bytes:
    return t.cpu().numpy().tobytes()
