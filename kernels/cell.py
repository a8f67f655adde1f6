"""A cell: a plain function of one time step, its states, and what its parameters look like."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from minigrad.checks import as_integer
from minigrad.docstring import Docstring
from minigrad.errors import ArgumentError, suggestion
from minigrad.kernels.frontend.cell_docstring import docstring
from minigrad.kernels.frontend.gates import Gates
from minigrad.kernels.frontend.guards import Surroundings, surroundings_of
from minigrad.tensor import Tensor, tensor

# what a cell takes over from its step; its docstring says more
_NAMES = tuple(name for name in functools.WRAPPER_ASSIGNMENTS if name != "__doc__")

Step = Callable[..., Any]
Params = Callable[..., Mapping[str, Any]]
Widths = Callable[..., Mapping[str, int]]


class CellFunction:
    """A step function that knows which of its arguments are states. Make one with `cell`.

    Parameters
    ----------
    step : callable
        A function of inputs, states, and parameters that are keyword-only.
    states : sequence of str
        The names of its states.
    params : callable, optional
        What returns the shapes of its parameters; see `cell`.
    widths : callable, optional
        What returns the widths of its states; see `cell`.
    gates : int, optional
        How many gates it has, if it takes their weights as ``W`` and ``U``; see `cell`.

    Attributes
    ----------
    step : callable
        The function itself; calling the cell calls it, with ``W`` and ``U`` made of the parameters.
    inputs, states, parameters, needed : tuple of str
        The names of its inputs, its states and its keyword-only parameters; ``needed`` are those of the
        parameters that have no default.
    params, widths : callable or None
        What returns the shapes of all parameters, and what `cell` was given.

    Raises
    ------
    ArgumentError
        If the function does not have these arguments.

    Examples
    --------
    >>> nn.cells.lstm.states
    ('h', 'c')
    >>> nn.cells.lstm.inputs
    ('x',)
    """

    __doc__ = Docstring(__doc__, docstring)
    __name__: str
    __qualname__: str

    def __init__(
        self,
        step: Step,
        states: Sequence[str],
        params: Params | None = None,
        widths: Widths | None = None,
        gates: int | None = None,
    ) -> None:
        self.step = step
        self.states = tuple(states)
        self.params = params
        self.widths = widths
        self._check_functions()
        signature = inspect.signature(step)
        self._gates = None if gates is None else Gates(gates, step.__name__, signature)
        if self._gates:
            signature = self._gates.signature
            self.params = self._gates.params(params, lambda *a, **o: self.state_widths(*a, **o)[0])
        given = signature.parameters.values()
        positional = tuple(p.name for p in given if p.kind is p.POSITIONAL_OR_KEYWORD)
        first = len(positional) - len(self.states)
        if not self.states or first < 1 or positional[first:] != self.states:
            raise ArgumentError(
                f"cell: {step.__name__}({', '.join(positional)}) does not end with its states "
                f"{', '.join(self.states) or '(none)'}; write its inputs first, then the states in "
                "this order, and the parameters after a *"
            )
        self.inputs = positional[:first]
        keywords = [p for p in given if p.kind is p.KEYWORD_ONLY]
        self.parameters = tuple(p.name for p in keywords)
        self.needed = tuple(p.name for p in keywords if p.default is p.empty)
        functools.update_wrapper(self, step, _NAMES)
        self.__signature__ = signature

    def _check_functions(self) -> None:
        """Refuse what was given for ``params`` or ``widths`` and cannot be called."""
        for name, takes in (("params", "input_size, hidden_size"), ("widths", "hidden_size")):
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise ArgumentError(
                    f"cell: {name} must be a function of {takes}, not a {type(given).__name__}; write "
                    f"{name}=lambda {takes}: {given!r}"
                )

    def __call__(self, *args: Any, **parameters: Any) -> Any:
        if self._gates:
            return self._gates.call(self.step, args, parameters)
        return self.step(*args, **parameters)

    def __repr__(self) -> str:
        shown = [p.replace(annotation=p.empty) for p in self.__signature__.parameters.values()]
        return f"<cell {self.__name__}{inspect.Signature(shown)}>"

    def __reduce__(self) -> str:
        """Copy and pickle a cell as the function that it is: by its name."""
        return self.__qualname__

    def surroundings(self, above: tuple[Any, ...] = ()) -> Surroundings | None:
        """Return what else a trace of this cell depends on, see `surroundings_of`.

        Parameters
        ----------
        above : tuple
            The functions that lead to this one.

        Returns
        -------
        Surroundings or None
            None if nothing can be said of it.
        """
        return surroundings_of(self.step, above)

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options that ``params`` takes."""
        return _names(self.params)[2:] if self.params else ()

    def initial_parameters(
        self, input_size: int, hidden_size: int, **options: Any
    ) -> dict[str, tuple[int, ...] | Tensor]:
        """Return how the parameters begin: by name a shape, or a tensor of the values.

        Parameters
        ----------
        input_size : int
            The width of the input.
        hidden_size : int
            The width of a state.
        **options : Any
            What ``params`` takes besides.

        Returns
        -------
        dict
            From names to shapes or tensors.

        Raises
        ------
        ArgumentError
            If the cell was made without ``params``, or they do not fit the step.
        """
        name = self.__name__
        if self.params is None:
            raise ArgumentError(
                f"cell {name!r} does not say what its parameters look like; make it with "
                "@cell(state=..., params=...), where params(input_size, hidden_size) returns their shapes"
            )
        given = self.params(input_size, hidden_size, **options)
        if not isinstance(given, Mapping):
            raise ArgumentError(
                f"cell {name!r}: params returns a {type(given).__name__}; it must return a dict from "
                "the name of each parameter to its shape, or to its first values"
            )
        for parameter in given:
            if parameter not in self.parameters:
                raise ArgumentError(
                    f"cell {name!r}: params give {parameter!r}, which the step does not take; it takes "
                    f"{_listed(self.parameters)}{suggestion(str(parameter), self.parameters)}"
                )
        found = {parameter: self._start(parameter, start) for parameter, start in given.items()}
        missing = [needed for needed in self.needed if needed not in found]
        if missing:
            raise ArgumentError(
                f"cell {name!r}: params give no {_listed(missing)}, which the step needs; add it to "
                "what params returns, or give it a default in the step"
            )
        return found

    def _start(self, parameter: str, given: Any) -> tuple[int, ...] | Tensor:
        """Return a shape as a tuple, and first values as a tensor without gradients."""
        if isinstance(given, Tensor):  # a buffer stays one
            return given.detach() if given.requires_grad else given
        if isinstance(given, (float, numpy.ndarray, numpy.floating, numpy.bool_)):
            return tensor(given)
        sizes = given if isinstance(given, (tuple, list)) else (given,)
        shape = [as_integer(n) for n in sizes]
        if all(n is not None and n >= 0 for n in shape):
            return tuple(n for n in shape if n is not None)
        raise ArgumentError(
            f"cell {self.__name__!r}: params give {given!r} for {parameter!r}; give a shape, such as "
            "(hidden_size, input_size), or its first values: a tensor, an array or a float"
        )

    def state_widths(self, hidden_size: int, **options: Any) -> tuple[int, ...]:
        """Return the width of each state: ``hidden_size``, unless ``widths`` says something else.

        Parameters
        ----------
        hidden_size : int
            The usual width.
        **options : Any
            What ``params`` takes besides.

        Returns
        -------
        tuple of int
            One for each state.

        Raises
        ------
        ArgumentError
            If ``widths`` names a state that the cell does not have.
        """
        if self.widths is None:
            return (hidden_size,) * len(self.states)
        taken = _names(self.widths)
        given = {name: value for name, value in options.items() if name in taken}
        special = self.widths(hidden_size, **given)
        for name in special:
            if name not in self.states:
                raise ArgumentError(
                    f"cell {self.__name__!r}: widths name a state {name!r}, but the states are "
                    f"{_listed(self.states)}{suggestion(name, self.states)}"
                )
        return tuple(special.get(state, hidden_size) for state in self.states)


def cell(
    *without_brackets: Any,
    state: Sequence[str] | None = None,
    params: Params | None = None,
    widths: Widths | None = None,
    gates: int | None = None,
) -> Callable[[Step], CellFunction]:
    """Make a cell of the function below: ``@cell(state=("h", "c"))``.

    The function takes its inputs, then its states, and its parameters as keyword-only arguments. It
    returns the new states in the same order; the first one is the output.

    Parameters
    ----------
    *without_brackets : Any
        Nothing: ``@cell`` above a function, without brackets, is refused.
    state : sequence of str
        The names of the states: the last positional arguments of the function.
    params : callable, optional
        What a layer needs to make the parameters: ``params(input_size, hidden_size, **options)``
        returns a dict from the name of each to its shape (the values are then drawn evenly between
        plus and minus ``1 / sqrt(hidden_size)``), or to its first values: a tensor, an array or a
        float. An `nn.Buffer`, integers and truth values become buffers of the layer.
    widths : callable, optional
        ``widths(hidden_size, **options)`` returns the widths of those states that are not
        ``hidden_size`` wide, by name. It gets the options of ``params`` that it has arguments for.
    gates : int, optional
        How many gates and candidates for its state the cell has. Its function then takes ``W`` or ``U``,
        or both, as keyword-only arguments: ``W(x) + U(h)`` are all gates before their functions, beside
        each other, and ``W[:2]`` is the part of the first two (see `Affine`). They hold the parameters
        ``weight_ih`` and ``bias_ih``, and ``weight_hh`` and ``bias_hh`` for the first state, which
        ``params`` need not return. The layer gets the option ``bias``.

    Returns
    -------
    callable
        Takes the function and returns a `CellFunction`.

    Raises
    ------
    ArgumentError
        If the function does not have these arguments, ``state`` is missing, ``params`` or ``widths``
        are no functions, or ``gates`` is no positive integer.

    Examples
    --------
    >>> from minigrad.kernels import cell
    >>> @cell(state="h", params=lambda input_size, hidden_size: {"w": (hidden_size, input_size)})
    ... def smooth(x, h, *, w):
    ...     return 0.9 * h + 0.1 * mg.linear(x, w)
    >>> output, h = nn.Recurrent(smooth, 3, 4)(mg.zeros((7, 2, 3)))
    >>> output.shape
    (7, 2, 4)

    The same with a gate:

    >>> @cell(state="h", gates=2)
    ... def gated(x, h, *, W, U):
    ...     z, n = mg.split(W(x) + U(h), 2)
    ...     z = mg.sigmoid(z)
    ...     return z * h + (1 - z) * mg.tanh(n)
    >>> nn.Recurrent(gated, 3, 4, bias=False)
    Recurrent(gated, 3, 4, bias=False)
    """
    if without_brackets or state is None:
        raise ArgumentError(
            'cell: it takes options by name, and state is needed; write @cell(state="h"), or '
            '@cell(state=("h", "c"), params=...), above the function'
        )
    states = (state,) if isinstance(state, str) else state
    return lambda step: CellFunction(step, states, params, widths, gates)


def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
