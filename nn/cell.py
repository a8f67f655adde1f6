"""The base of cells that are modules."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_counts
from minigrad.nn.module_step import ModuleStep
from minigrad.nn.one_step import OneStep


class Cell(OneStep):
    """A recurrent cell with parameters of its own, and a method ``step``.

    A subclass makes parameters, buffers and modules in ``__init__``, and defines
    ``step(self, x, h, c, ...)``: the input of one time step, then the states by their names. It returns
    the new states in the same order; the first one is the output. ``nn.Recurrent(Mine, input_size,
    hidden_size)`` makes layers of it, one ``Mine(input_size, hidden_size)`` for each layer and
    direction, and runs it over sequences. Calling the cell takes one step.

    In a loop, a step is traced: it computes with the ops of minigrad, and does not assign attributes.
    What it reads of ``self`` may change at any time. It is traced again if numbers change, and each
    time if it reads objects that are no numbers, strings, modules, or lists of these.

    Parameters
    ----------
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    widths : dict of int, optional
        The widths of those states that are not ``hidden_size`` wide, by name.

    Raises
    ------
    ArgumentError
        If a size is not positive, or ``widths`` names a state that ``step`` does not have; when the
        class is defined, if ``step`` takes anything else than an input and states.

    Examples
    --------
    >>> class Average(nn.Cell):
    ...     def __init__(self, input_size, hidden_size):
    ...         super().__init__(input_size, hidden_size)
    ...         self.inner = nn.Linear(input_size, hidden_size)
    ...     def step(self, x, h):
    ...         return 0.9 * h + 0.1 * self.inner(x)
    >>> output, h = nn.Recurrent(Average, 3, 4)(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)
    """

    _states: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in vars(cls):
            cls._states = _states_of(cls)

    def __init__(
        self, input_size: int, hidden_size: int, *, widths: Mapping[str, int] | None = None
    ) -> None:
        name, widths = type(self).__name__, dict(widths or {})
        self.input_size, self.hidden_size, *sizes = check_counts(
            name, input_size=input_size, hidden_size=hidden_size, **widths
        )
        if not self._states:
            self.step()  # says that it is missing
        self._step = ModuleStep(self, self._states, dict(zip(widths, sizes, strict=True)))
        self._widths = self.cell.state_widths(self.hidden_size)

    @property
    def cell(self) -> ModuleStep:  # type: ignore[override]  # a subclass must not replace it
        """The step as a function of the parameters and buffers, for `minigrad.kernels.scan`."""
        return self._step

    def _in_a_step(self) -> str:
        return "call its method step there"

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


def _states_of(kind: type[Cell]) -> tuple[str, ...]:
    _, *given = inspect.signature(kind.step).parameters.values()
    plain = all(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in given)
    if len(given) < 2 or not plain:
        raise ArgumentError(
            f"{kind.__name__}.step(self, {', '.join(map(str, given))}): a step takes its input, then one "
            "state or more, and nothing else; write step(self, x, h), and read the rest from self"
        )
    return tuple(p.name for p in given[1:])
