"""What modules that are called with an input and states check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from minigrad.backends.base import by_type
from minigrad.dtypes import is_floating
from minigrad.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    ShapeError,
    TraceError,
    user_line,
)
from minigrad.graph import Var
from minigrad.kernels import CellFunction
from minigrad.nn.checks import checked_tensor
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor, make


class Stateful(Module):
    """A module around a cell, which says what inputs and states it takes.

    Attributes
    ----------
    cell : CellFunction
        What is computed in one step.
    input_size, hidden_size : int
    options : dict
        What the cell's ``params`` takes beside the sizes.
    """

    cell: CellFunction
    options: Mapping[str, Any] = MappingProxyType({})
    input_size: int
    hidden_size: int
    _widths: tuple[int, ...]

    def _weights(self) -> Iterable[Parameter]:
        """Yield the parameters, whose dtype that of the input must be."""
        return self.parameters()

    def _in_a_step(self) -> str:
        """Say what to call inside of a step instead of this module."""
        return f"call its cell {self.cell.__name__!r} there, and pass the parameters to scan"

    def _checked_input(self, x: Any, order: Sequence[str]) -> Any:
        """Return the input, a batch of rows (or a single one) of numbers of the right dtype."""
        name = type(self).__name__
        if isinstance(x, Var):
            raise TraceError(
                f"{name} is called inside of a traced step, at {user_line()}\n  {self._in_a_step()}"
            )
        if not isinstance(x, Tensor):  # the weights are asked for their device only then
            x = checked_tensor(name, x, next(iter(self._weights()), None))
        if x.ndim not in (len(order), len(order) + 1) or x.shape[-1] != self.input_size:
            batch = ", ".join([*order, str(self.input_size)])
            raise ShapeError(
                f"{name}: the input has shape {x.shape}; it must be ({batch}), or the same without N"
            )
        if not is_floating(x.dtype):
            raise DtypeError(
                f"{name}: the input has dtype {x.dtype}; convert it with .astype('float32'), or give "
                "numbers of words to an Embedding first"
            )
        kind = x._array.dtype
        for parameter in self._weights():
            if parameter._array.dtype is not kind and parameter.dtype != x.dtype:
                raise DtypeError(
                    f"{name}: the input has dtype {x.dtype} and the weights {parameter.dtype}; "
                    f"convert the input with .astype('{parameter.dtype}'), or the layer with "
                    f".to('{x.dtype}')"
                )
            if parameter.device != x.device:
                raise BackendError(
                    f"{name}: the input is on {x.device} and the weights on {parameter.device}; move the "
                    f"input with .to('{parameter.device}'), or the layer with .to('{x.device}')"
                )
        return x

    def _checked_states(self, hx: Any, x: Tensor, leading: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Return the initial states, of shapes ``leading`` and a width: those given, or zeros."""
        name, names = type(self).__name__, self.cell.states
        shapes = [(*leading, width) for width in self._widths]
        if hx is None:
            backend, kind = by_type[type(x._array)], x._array.dtype
            with backend.place(x._array):
                return tuple(
                    make(backend.namespace.zeros(shape, dtype=kind), None) for shape in shapes
                )
        states = self._listed_states(hx)
        if states is None or len(states) != len(names):
            found = f"a {type(hx).__name__}" if states is None else f"{len(states)} of them"
            raise ArgumentError(
                f"{name}: hx must be a tuple of {len(names)} states, {', '.join(names)}, not {found}"
            )
        given = [
            value
            if isinstance(value, Tensor)
            else checked_tensor(name, value, x, f"state {state} of shape {shape}")
            for state, value, shape in zip(names, states, shapes, strict=True)
        ]
        for state, value, shape in zip(names, given, shapes, strict=True):
            if value.shape != shape:
                raise ShapeError(
                    f"{name}: state {state} has shape {value.shape}; it must be {shape}"
                )
            if value.dtype != x.dtype:
                raise DtypeError(
                    f"{name}: state {state} has dtype {value.dtype} and the input {x.dtype}; convert "
                    f"the state with .astype('{x.dtype}')"
                )
            if value.device != x.device:
                raise BackendError(
                    f"{name}: state {state} is on {value.device} and the input on {x.device}; move the "
                    f"state with .to('{x.device}')"
                )
        return tuple(given)

    def _listed_states(self, hx: Any) -> Sequence[Any] | None:
        """Return the states that are given as ``hx``; None if it should be a tuple and is not."""
        if len(self.cell.states) == 1:
            return (hx,)
        return hx if isinstance(hx, (tuple, list)) else None
