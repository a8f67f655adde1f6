"""What layers around a cell have in common: their parameters, and checks of what they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.creation import zeros
from minigrad.dtypes import is_floating
from minigrad.errors import (
    ArgumentError,
    DtypeError,
    ShapeError,
    TraceError,
    suggestion,
    user_line,
)
from minigrad.graph import Var
from minigrad.kernels import Cell
from minigrad.nn.checks import check_counts
from minigrad.nn.init import uniform_, width_bound
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor

# what a repr leaves out, in the order of PyTorch's
_USUAL = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0,
          "bidirectional": False}  # fmt: skip


class CellLayer(Module):
    """A layer that makes the parameters of a cell, once or several times.

    Attributes
    ----------
    cell : Cell
        What the layer computes in one step.
    input_size, hidden_size : int
    options : dict
        What the cell's ``params`` was called with, beside the sizes.
    """

    def __init__(
        self, cell: Cell, input_size: int, hidden_size: int, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(cell, Cell):
            raise ArgumentError(
                f"{name}: the cell is a {type(cell).__name__}; make one of a step function with "
                "@minigrad.kernels.cell(state=..., params=...)"
            )
        check_counts(name, input_size=input_size, hidden_size=hidden_size)
        for option in options:
            if cell.params is not None and option not in cell.options:
                raise ArgumentError(
                    f"{name}: cell {cell.__name__!r} takes no option {option!r}; it takes "
                    f"{', '.join(cell.options) or 'none'}"
                    f"{suggestion(option, (*cell.options, *_USUAL))}"
                )
        self.cell, self.options = cell, dict(options)
        self.input_size, self.hidden_size = input_size, hidden_size
        self._widths = cell.state_widths(hidden_size, **options)

    # parameters

    def _make_parameters(self, inputs: Mapping[str, int], device: str | None, dtype: Any) -> None:
        """Make the cell's parameters for each ending of their names, with its width of the input."""
        self._inputs = dict(inputs)
        self._names: dict[str, tuple[str, ...]] = {}
        for ending, width in self._inputs.items():
            starts = self._initial_parameters(width)
            self._names[ending] = tuple(starts)
            for name, start in starts.items():
                shape = start.shape if isinstance(start, Tensor) else start
                setattr(self, name + ending, Parameter(zeros(shape, dtype=dtype, device=device)))
        self.reset_parameters()

    def _initial_parameters(self, width: int) -> dict[str, tuple[int, ...] | Tensor]:
        return self.cell.initial_parameters(width, self.hidden_size, **self.options)

    def reset_parameters(self) -> None:
        """Give all parameters new first values.

        They are drawn evenly between plus and minus ``1 / sqrt(hidden_size)``, as PyTorch does, unless
        the cell says otherwise.
        """
        bound = width_bound(self.hidden_size)
        for ending, width in self._inputs.items():
            for name, start in self._initial_parameters(width).items():
                parameter = getattr(self, name + ending)
                if isinstance(start, Tensor):
                    parameter.copy_(start)
                else:
                    uniform_(parameter, -bound, bound)

    def _cell_parameters(self, ending: str = "") -> dict[str, Parameter]:
        """Return the parameters with this ending by the names that the cell uses."""
        return {name: getattr(self, name + ending) for name in self._names[ending]}

    # what is given

    def _check_input(self, x: Any, order: Sequence[str]) -> None:
        """Refuse an input that is no batch of rows (or a single one) of numbers of the right dtype."""
        name = type(self).__name__
        if isinstance(x, Var):
            raise TraceError(
                f"{name} is called inside of a traced step, at {user_line()}\n"
                f"  call its cell {self.cell.__name__!r} there, and pass the parameters to scan"
            )
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{name}: the input must be a tensor, not a {type(x).__name__}; convert it with "
                "minigrad.tensor(...)"
            )
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
        for parameter in self.parameters():
            if parameter.dtype != x.dtype:
                raise DtypeError(
                    f"{name}: the input has dtype {x.dtype} and the weights {parameter.dtype}; "
                    f"convert the input with .astype('{parameter.dtype}'), or the layer with "
                    f".to('{x.dtype}')"
                )

    def _checked_states(self, hx: Any, x: Tensor, leading: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Return the initial states, of shapes ``leading`` and a width: those given, or zeros."""
        name, names = type(self).__name__, self.cell.states
        shapes = [(*leading, width) for width in self._widths]
        if hx is None:
            return tuple(zeros(shape, dtype=x.dtype, device=x.device) for shape in shapes)
        single = len(names) == 1
        states = (hx,) if single else tuple(hx) if isinstance(hx, (tuple, list)) else None
        if states is None or len(states) != len(names):
            found = f"a {type(hx).__name__}" if states is None else f"{len(states)} of them"
            raise ArgumentError(
                f"{name}: hx must be a tuple of {len(names)} states, {', '.join(names)}, not {found}"
            )
        for state, value, shape in zip(names, states, shapes, strict=True):
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"{name}: state {state} is a {type(value).__name__}; it must be a tensor of "
                    f"shape {shape}"
                )
            if value.shape != shape:
                raise ShapeError(
                    f"{name}: state {state} has shape {value.shape}; it must be {shape}"
                )
            if value.dtype != x.dtype:
                raise DtypeError(
                    f"{name}: state {state} has dtype {value.dtype} and the input {x.dtype}; convert "
                    f"the state with .astype('{x.dtype}')"
                )
        return states

    def extra_repr(self) -> str:
        """Return the sizes, and what differs from the usual, in PyTorch's order."""
        values = {**vars(self), **self.options}
        shown = {name: values.get(name, usual) for name, usual in _USUAL.items()}
        given = {name: value for name, value in shown.items() if value != _USUAL[name]}
        own = {name: value for name, value in self.options.items() if name not in _USUAL}
        options = [f"{name}={value}" for name, value in {**given, **own}.items()]
        return ", ".join([str(self.input_size), str(self.hidden_size), *options])
