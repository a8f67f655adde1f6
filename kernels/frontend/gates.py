"""The weights of a cell's gates, bound with their biases: in the step stand the equations alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature, signature
from typing import Any

from minigrad.checks import check_flag, check_integer
from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops.linalg import linear

_SIZES = "input_size", "hidden_size"
# by the name in the step, a weight and its bias as PyTorch calls them
_BOUND = {"W": ("weight_ih", "bias_ih"), "U": ("weight_hh", "bias_hh")}
_ORDER = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of PyTorch's state dicts


class Affine:
    """A weight with one block of rows for each gate, and its bias: ``W(x)`` is ``W x + b``.

    ``W[:2]`` and ``W[2]`` have the rows of the first two gates, and of the third one. A step has them as
    ``W`` and ``U``, see `cell`.

    Parameters
    ----------
    weight : Tensor
        Shape (gates * width, inner).
    bias : Tensor or None
        Shape (gates * width,).
    gates : int
        The number of the blocks.

    Attributes
    ----------
    weight, bias : Tensor
        What it was made of.
    gates : int

    Raises
    ------
    ArgumentError
        If a gate is asked for that is not there.
    ShapeError
        Then, too, if the weight has no rows for so many gates.

    Examples
    --------
    >>> from minigrad import kernels
    >>> W = kernels.Affine(mg.ones((6, 3)), mg.ones(6), gates=2)
    >>> W(mg.ones((5, 3))).shape, W[0](mg.ones((5, 3))).shape
    ((5, 6), (5, 3))
    """

    def __init__(self, weight: Any, bias: Any, gates: int) -> None:
        self.weight, self.bias, self.gates = weight, bias, gates

    def __call__(self, x: Any) -> Any:
        return linear(x, self.weight, self.bias)

    def __getitem__(self, index: int | slice) -> Affine:
        try:
            found = range(self.gates)[index]
        except (IndexError, TypeError):
            found = range(0)
        chosen = range(found, found + 1) if isinstance(found, int) else found
        if not chosen or chosen.step != 1:
            raise ArgumentError(
                f"gates {index!r} of a weight that has {self.gates}: give the number of a gate, from 0 "
                "on, or a slice of neighbours, such as [:2]"
            )
        size, left = divmod(self.weight.shape[0], self.gates)
        if left:
            raise ShapeError(
                f"a weight of shape {self.weight.shape} has no {self.gates} gates of one width; give it "
                f"{self.gates} * width rows"
            )
        rows = slice(chosen.start * size, chosen.stop * size)
        bias = None if self.bias is None else self.bias[rows]
        return Affine(self.weight[rows], bias, len(chosen))


class Gates:
    """How many gates a step has, and which weights it takes of them.

    Parameters
    ----------
    count : int
    name : str
        Of the step.
    step : Signature
        With ``W`` or ``U``, or both, among the keyword-only parameters.

    Raises
    ------
    ArgumentError
        If ``count`` is not positive, or the step takes neither.
    """

    def __init__(self, count: int, name: str, step: Signature) -> None:
        self.count, self._name = check_integer("cell", "gates", count, low=1), name
        own = step.parameters
        keywords = [p.name for p in own.values() if p.kind is p.KEYWORD_ONLY]
        self._bound = {key: names for key, names in _BOUND.items() if key in keywords}
        if not self._bound:
            raise ArgumentError(
                f"cell: {name} has gates={count!r} and takes neither W nor U; write "
                f"{name}(x, h, *, W, U), where W(x) + U(h) are the sums of all gates, or leave out gates"
            )
        twice = [n for names in self._bound.values() for n in names if n in own]
        if twice:
            raise ArgumentError(
                f"cell: {name} has gates={count!r} and takes {twice[0]!r} itself; it is part of W or U: "
                "W.weight and W.bias, U.weight and U.bias"
            )
        kind = Parameter.KEYWORD_ONLY
        weights = [Parameter(weight, kind) for weight, _ in self._bound.values()]
        biases = [Parameter(bias, kind, default=None) for _, bias in self._bound.values()]
        rest = [p for p in own.values() if p.name not in self._bound]
        self.signature = step.replace(  # what needs no value stands behind what does
            parameters=sorted(
                [*weights, *biases, *rest], key=lambda p: (p.kind, p.default is not p.empty)
            )
        )

    def call(
        self, step: Callable[..., Any], args: Sequence[Any], parameters: Mapping[str, Any]
    ) -> Any:
        """Call the step with its weights bound.

        Raises
        ------
        TypeError
            If a weight is missing.
        """
        rest, bound = dict(parameters), {}
        for name, (weight, bias) in self._bound.items():
            if weight not in rest:
                raise TypeError(f"{self._name}() lacks the keyword-only argument {weight!r}")
            bound[name] = Affine(rest.pop(weight), rest.pop(bias, None), self.count)
        return step(*args, **rest, **bound)

    def params(
        self, own: Callable[..., Mapping[str, Any]] | None, width: Callable[..., int]
    ) -> Callable[..., Mapping[str, Any]]:
        """Return the ``params`` of the cell: the shapes of its gates, and what its own ones return.

        Parameters
        ----------
        own : callable, optional
            The ``params`` that `cell` was given.
        width : callable
            Returns the width of the state that ``U`` multiplies.
        """
        own = own or _nothing
        taken = tuple(signature(own).parameters.values())
        gets_bias = "bias" in [p.name for p in taken]

        def params(input_size: int, hidden_size: int, *, bias: bool = True, **options: Any) -> Any:
            check_flag(self._name, "bias", bias, "; pass what follows the sizes by name")
            given: Any = own(
                input_size, hidden_size, **options, **{"bias": bias} if gets_bias else {}
            )
            if not isinstance(given, Mapping):
                return given  # the cell refuses it
            rows, inner = self.count * hidden_size, {"W": input_size}
            inner["U"] = width(hidden_size, **options)
            starts: dict[str, Any] = {}
            for name, (weight, bias_of) in self._bound.items():
                starts |= {weight: (rows, inner[name])} | ({bias_of: (rows,)} if bias else {})
            starts |= given
            return {name: starts[name] for name in (*_ORDER, *starts) if name in starts}

        options = [p.name for p in taken[2:] if p.name != "bias"]
        params.__signature__ = Signature(  # type: ignore[attr-defined]
            [
                *(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in _SIZES),
                *(Parameter(name, Parameter.KEYWORD_ONLY) for name in ("bias", *options)),
            ]
        )
        return params


def _nothing(input_size: int, hidden_size: int) -> Mapping[str, Any]:
    return {}
