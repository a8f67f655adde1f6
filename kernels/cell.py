"""A cell: a plain function of one time step, and the names of its states."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.errors import ArgumentError

Step = Callable[..., Any]


class Cell:
    """A step function that knows which of its arguments are states. Make one with `cell`.

    Attributes
    ----------
    step : callable
        The function itself; calling the cell calls it.
    inputs, states, parameters : tuple of str
        The names of its inputs, its states and its keyword-only parameters.
    """

    def __init__(self, step: Step, states: Sequence[str]) -> None:
        self.step = step
        self.states = tuple(states)
        given = inspect.signature(step).parameters.values()
        positional = tuple(p.name for p in given if p.kind is p.POSITIONAL_OR_KEYWORD)
        first = len(positional) - len(self.states)
        if not self.states or first < 1 or positional[first:] != self.states:
            raise ArgumentError(
                f"cell: {step.__name__}({', '.join(positional)}) does not end with its states "
                f"{', '.join(self.states) or '(none)'}; write its inputs first, then the states in "
                "this order, and the parameters after a *"
            )
        self.inputs = positional[:first]
        self.parameters = tuple(p.name for p in given if p.kind is p.KEYWORD_ONLY)
        functools.update_wrapper(self, step)

    def __call__(self, *args: Any, **parameters: Any) -> Any:
        return self.step(*args, **parameters)

    def __repr__(self) -> str:
        return f"<cell {self.step.__name__}{inspect.signature(self.step)}>"


def cell(*, state: Sequence[str]) -> Callable[[Step], Cell]:
    """Make a cell of the function below: ``@cell(state=("h", "c"))``.

    The function takes its inputs, then its states, and its parameters as keyword-only arguments. It
    returns the new states in the same order; the first one is the output.

    Parameters
    ----------
    state : sequence of str
        The names of the states: the last positional arguments of the function.

    Raises
    ------
    ArgumentError
        If the function does not have these arguments.
    """
    return lambda step: Cell(step, (state,) if isinstance(state, str) else state)
