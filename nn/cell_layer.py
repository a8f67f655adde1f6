"""What layers around a cell have in common: they make its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from minigrad.creation import zeros
from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError, suggestion
from minigrad.kernels import CellFunction
from minigrad.nn.cell import Cell
from minigrad.nn.checks import check_counts
from minigrad.nn.init import uniform_, width_bound
from minigrad.nn.module_step import ModuleStep
from minigrad.nn.parameter import Buffer, Parameter
from minigrad.nn.stateful import Stateful
from minigrad.tensor import Tensor

# what a repr leaves out, in the order of PyTorch's
_USUAL = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0,
          "bidirectional": False}  # fmt: skip


class CellLayer(Stateful):
    """A layer that makes the parameters of a cell, once or several times.

    Attributes
    ----------
    cell : CellFunction
        What the layer computes in one step; of a subclass of `nn.Cell` the first one that was made.
    input_size, hidden_size : int
    options : dict
        What the cell's ``params``, or the subclass, was called with, beside the sizes.
    """

    _kind: type[Cell] | None = None

    def __init__(
        self,
        cell: CellFunction | type[Cell],
        input_size: int,
        hidden_size: int,
        options: Mapping[str, Any],
    ) -> None:
        self.input_size, self.hidden_size = input_size, hidden_size = check_counts(
            type(self).__name__, input_size=input_size, hidden_size=hidden_size
        )
        self.options = dict(options)
        self._inputs: dict[str, int] = {}
        if isinstance(cell, CellFunction):
            self.cell = cell
            if cell.params is not None:
                self._check_options(cell.__name__, cell.options)
            self._names: dict[str, dict[str, str]] = {}  # by the ending, those of attributes
            self._widths = cell.state_widths(hidden_size, **options)
        elif isinstance(cell, type) and issubclass(cell, Cell):
            self._kind = cell
            _, _, *rest = inspect.signature(cell).parameters.values()
            if not any(p.kind is p.VAR_KEYWORD for p in rest):
                self._check_options(cell.__name__, [p.name for p in rest])
        else:
            self._refuse_cell(cell)

    def _refuse_cell(self, cell: Any) -> NoReturn:
        if isinstance(cell, Cell):
            kind = type(cell).__name__
            advice = f"give the class, so that each layer makes its own: {kind}, not {kind}(...)"
        else:
            advice = (
                "give one of minigrad.nn.cells, such as nn.cells.lstm, or make one of a step function "
                "with @minigrad.kernels.cell(state=..., params=...), or give a subclass of "
                "minigrad.nn.Cell"
            )
        raise ArgumentError(f"{type(self).__name__}: the cell is a {type(cell).__name__}; {advice}")

    def _check_options(self, cell: str, known: Sequence[str]) -> None:
        for option in self.options:
            if option not in known:
                raise ArgumentError(
                    f"{type(self).__name__}: cell {cell!r} takes no option {option!r}; it takes "
                    f"{', '.join(known) or 'none'}{suggestion(option, (*known, *_USUAL))}"
                )

    # parameters

    def _make(self, ending: str, width: int, device: str | None, dtype: Any) -> None:
        """Make the cell's parameters for inputs of a width; ``ending`` is that of their names."""
        self._inputs[ending] = width
        if self._kind is not None:
            made = self._new_cell(width).to(device=device, dtype=dtype)
            setattr(self, ending.removeprefix("_"), made)
            if len(self._inputs) == 1:
                self.cell, self._widths = made.cell, made._widths
            return
        starts = self._initial_parameters(width)
        self._names[ending] = {name: name + ending for name in starts}
        for name, start in starts.items():
            setattr(self, name + ending, _first(start, device, dtype))
        self._reset(ending, width)

    def _new_cell(self, width: int) -> Cell:
        assert self._kind is not None  # only layers of a subclass of nn.Cell make cells
        made = self._kind(width, self.hidden_size, **self.options)
        given, found = vars(made), (width, self.hidden_size)
        if (given.get("input_size"), given.get("hidden_size")) != found:
            raise ArgumentError(
                f"{type(self).__name__}: {self._kind.__name__}{found} does not have these sizes; call "
                "super().__init__(input_size, hidden_size) at the beginning of its __init__"
            )
        return made

    def _initial_parameters(self, width: int) -> dict[str, tuple[int, ...] | Tensor]:
        return self.cell.initial_parameters(width, self.hidden_size, **self.options)

    def reset_parameters(self) -> None:
        """Give all parameters new first values.

        They are drawn evenly between plus and minus ``1 / sqrt(hidden_size)``, as PyTorch does, unless
        the cell says otherwise.
        """
        for ending, width in self._inputs.items():
            self._reset(ending, width)

    def _reset(self, ending: str, width: int) -> None:
        if self._kind is not None:
            place = getattr(self, ending.removeprefix("_"))
            place.load_state_dict(self._new_cell(width).state_dict())
            return
        bound = width_bound(self.hidden_size)
        for name, start in self._initial_parameters(width).items():
            parameter = getattr(self, name + ending)
            if isinstance(start, Tensor):
                parameter.copy_(start)
            else:
                uniform_(parameter, -bound, bound)

    def _run_of(self, ending: str) -> tuple[CellFunction, dict[str, Any]]:
        """Return the cell with this ending, and its parameters by the names that it uses."""
        if self._kind is not None:
            step: ModuleStep = getattr(self, ending.removeprefix("_")).cell
            return step, step.tensors()
        names = self._names[ending]
        return self.cell, {name: getattr(self, attribute) for name, attribute in names.items()}

    def _loops(self) -> dict[str, tuple[CellFunction, int]]:
        """Return the cell and the width of the input of each layer and direction, by name."""
        return {
            ending.removeprefix("_"): (self._run_of(ending)[0], width)
            for ending, width in self._inputs.items()
        }

    def _one_step(self, ending: str, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Take a step of the cell with this ending, and return its new states."""
        if self._kind is not None:
            new = getattr(self, ending.removeprefix("_")).step(x, *states)
        else:
            cell, parameters = self._run_of(ending)
            new = cell(x, *states, **parameters)
        return tuple(new) if isinstance(new, (tuple, list)) else (new,)

    def _weights(self) -> Iterable[Parameter]:
        if self._kind is not None:
            return self.parameters()
        held = (getattr(self, name) for names in self._names.values() for name in names.values())
        return [t for t in held if isinstance(t, Parameter)]

    def extra_repr(self) -> str:
        """Return the sizes, and what differs from the usual, in PyTorch's order.

        Returns
        -------
        str
            The sizes and options, for instance "3, 4, num_layers=2".
        """
        values = {**vars(self), **self.options}
        shown = {name: values.get(name, usual) for name, usual in _USUAL.items()}
        given = {name: value for name, value in shown.items() if value != _USUAL[name]}
        own = {name: value for name, value in self.options.items() if name not in _USUAL}
        options = [f"{name}={value}" for name, value in {**given, **own}.items()]
        return ", ".join([str(self.input_size), str(self.hidden_size), *options])


def _first(start: tuple[int, ...] | Tensor, device: str | None, dtype: Any) -> Parameter | Buffer:
    """Return a parameter, or a buffer for what is not trained, of the shape that is given."""
    if not isinstance(start, Tensor):
        return Parameter(zeros(start, dtype=dtype, device=device))
    floating = is_floating(start.dtype)
    made = zeros(start.shape, dtype=dtype if floating else start.dtype, device=device)
    if floating and not isinstance(start, Buffer):
        return Parameter(made)
    return Buffer(made, persistent=getattr(start, "persistent", True))
