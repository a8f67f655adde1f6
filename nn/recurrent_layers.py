"""PyTorch's recurrent layers, and its layers of one step: ours with its arguments, from one table."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any, ClassVar, TypeVar

from minigrad.docstring import document
from minigrad.errors import check_choice
from minigrad.kernels import CellFunction
from minigrad.nn import cells
from minigrad.nn.cell_layer import CellLayer
from minigrad.nn.one_step import OneStep
from minigrad.nn.options import Option, option
from minigrad.nn.recurrent import Recurrent

_C = TypeVar("_C", bound=type)


_ARGUMENTS: dict[str, Option] = {
    "input_size": option("The size of the last axis of the input.", kind="int"),
    "hidden_size": option("The width of a state.", kind="int"),
    "num_layers": option(
        "Each further layer reads the outputs of the one before.", kind="int", default=1
    ),
    "nonlinearity": option(
        "The function of the new state.", kind='{"tanh", "relu"}', default="tanh"
    ),
    "bias": option(
        "Whether there are biases: two, as PyTorch has them.", kind="bool", default=True
    ),
    "batch_first": option(
        "Whether inputs, outputs, ``mask`` and ``reset`` are (N, T, ...) instead of (T, N, ...).",
        kind="bool",
        default=False,
    ),
    "dropout": option(
        "Probability that an output of a layer, other than the last, is dropped in training.",
        kind="float",
        default=0.0,
    ),
    "bidirectional": option(
        "Whether each layer also has a cell that runs backwards in time. Its outputs stand behind the\n"
        "    others on the last axis.",
        kind="bool",
        default=False,
    ),
    "proj_size": option(
        "If not 0, the width that h is projected to: smaller than ``hidden_size``.",
        kind="int",
        default=0,
    ),
    "device": option(
        'Where the parameters are, "cpu" or "cuda:N".', kind="str, optional", default=None
    ),
    "dtype": option(
        "The dtype of the parameters; by default the default dtype, float32.",
        kind="dtype or str, optional",
        default=None,
    ),
}
_RAISES = """ArgumentError
    If a size is not positive, ``bias`` or another flag is no bool, or an option has a value that makes
    no sense."""
_RNN = {"tanh": cells.rnn_tanh, "relu": cells.rnn_relu}


def _constructor(
    base: Any, cell: CellFunction | dict[str, CellFunction], names: str
) -> Callable[..., None]:
    """Return an ``__init__`` with PyTorch's arguments of these names, beside sizes, device and dtype.

    It is that of ``base`` with this cell, or with the one that the argument ``nonlinearity`` names. What
    ``base`` does not know are options of the cell; they become attributes of the layer, too.
    """
    listed = ["input_size", "hidden_size", *names.split(), "device", "dtype"]
    own = [name for name in listed if name not in inspect.signature(base.__init__).parameters]
    itself = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    signature = Signature(
        [itself, *(_ARGUMENTS[name].parameter(name) for name in listed)],
        return_annotation=None,
    )

    def __init__(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        self, attributes = given.pop("self"), {name: given[name] for name in own}
        chosen = cell
        if isinstance(chosen, dict):
            nonlinearity = given.pop("nonlinearity")
            check_choice(type(self).__name__, chosen, nonlinearity=nonlinearity)
            chosen = chosen[nonlinearity]
        base.__init__(self, chosen, **given)
        for name, value in attributes.items():
            setattr(self, name, value)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _documented(cls: _C) -> _C:
    """Write what the arguments mean into the docstring of a class."""
    told = [_ARGUMENTS[name].entry(name) for name in inspect.signature(cls).parameters]
    document(cls, "\n".join(told), _RAISES)
    return cls


@_documented
class RNN(Recurrent):
    """Simple recurrent layers: ``h = tanh(weight_ih @ x + bias_ih + weight_hh @ h + bias_hh)``.

    See `Recurrent` for how to call it.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 : Parameter
        Of layer 0: shapes (hidden, input), (hidden, hidden) and twice (hidden,).

    Examples
    --------
    >>> layer = nn.RNN(3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape, h.shape
    ((7, 2, 4), (1, 2, 4))
    """

    nonlinearity: str
    bias: bool
    _shows_cell: ClassVar[bool] = False
    __init__ = _constructor(
        Recurrent, _RNN, "num_layers nonlinearity bias batch_first dropout bidirectional"
    )


@_documented
class LSTM(Recurrent):
    """Layers of long short-term memory, see `minigrad.nn.cells.lstm`.

    See `Recurrent` for how to call it. The states are h and c.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 : Parameter
        Of layer 0: shapes (4 hidden, input), (4 hidden, width of h) and twice (4 hidden,). The four
        parts are the gates i, f, g and o.
    weight_hr_l0 : Parameter
        Only with ``proj_size``: shape (proj_size, hidden).

    Examples
    --------
    >>> layer = nn.LSTM(3, 4)
    >>> output, (h, c) = layer(mg.zeros((7, 2, 3)))
    >>> output.shape, c.shape
    ((7, 2, 4), (1, 2, 4))
    """

    bias: bool
    proj_size: int
    _shows_cell: ClassVar[bool] = False
    __init__ = _constructor(
        Recurrent, cells.lstm, "num_layers bias batch_first dropout bidirectional proj_size"
    )


@_documented
class GRU(Recurrent):
    """Layers of gated recurrent units, see `minigrad.nn.cells.gru`.

    See `Recurrent` for how to call it.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 : Parameter
        Of layer 0: shapes (3 hidden, input), (3 hidden, hidden) and twice (3 hidden,). The three parts
        are the gates r, z and n.

    Examples
    --------
    >>> layer = nn.GRU(3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape, h.shape
    ((7, 2, 4), (1, 2, 4))
    """

    bias: bool
    _shows_cell: ClassVar[bool] = False
    __init__ = _constructor(
        Recurrent, cells.gru, "num_layers bias batch_first dropout bidirectional"
    )


class _SingleStep(OneStep, CellLayer):
    """One step of a cell that is a function. Its subclasses are named after their cells."""

    bias: bool

    def __init__(
        self,
        cell: CellFunction,
        input_size: int,
        hidden_size: int,
        *,
        device: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(cell, input_size, hidden_size, options)
        self._make("", self.input_size, device, dtype)

    def step(self, x: Any, *states: Any) -> Any:
        """Take one step without checks, also inside of the step of an `nn.Cell`.

        Parameters
        ----------
        x : Tensor
            Shape (N, input_size).
        *states : Tensor
            All of them, each of shape (N, hidden_size).

        Returns
        -------
        Tensor or tuple of Tensor
            The new state or states, of the same shapes.
        """
        new = self._one_step("", x, states)
        return new if len(new) > 1 else new[0]

    def _in_a_step(self) -> str:
        states = ", ".join(self.cell.states)
        return f"in an nn.Cell that holds it call step(x, {states}); else {super()._in_a_step()}"


@_documented
class RNNCell(_SingleStep):
    """One step of a simple recurrent network, see `RNN`.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter
        Shapes (hidden, input), (hidden, hidden) and twice (hidden,).

    Examples
    --------
    >>> nn.RNNCell(3, 4)(mg.zeros((2, 3))).shape
    (2, 4)
    """

    nonlinearity: str
    __init__ = _constructor(_SingleStep, _RNN, "bias nonlinearity")

    def extra_repr(self) -> str:
        usual = self.nonlinearity == "tanh"
        return super().extra_repr() + ("" if usual else f", nonlinearity={self.nonlinearity}")


@_documented
class LSTMCell(_SingleStep):
    """One step of long short-term memory, see `LSTM`. The states are h and c.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter
        Shapes (4 hidden, input), (4 hidden, hidden) and twice (4 hidden,), gates in the order i, f, g, o.

    Examples
    --------
    >>> h, c = nn.LSTMCell(3, 4)(mg.zeros((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    __init__ = _constructor(_SingleStep, cells.lstm, "bias")


@_documented
class GRUCell(_SingleStep):
    """One step of a gated recurrent unit, see `GRU`.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter
        Shapes (3 hidden, input), (3 hidden, hidden) and twice (3 hidden,), gates in the order r, z, n.

    Examples
    --------
    >>> nn.GRUCell(3, 4)(mg.zeros((2, 3))).shape
    (2, 4)
    """

    __init__ = _constructor(_SingleStep, cells.gru, "bias")
