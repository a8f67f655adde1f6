"""The recurrent layers that PyTorch has: `Recurrent` with one of our cells."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.errors import check_choice
from minigrad.kernels import CellFunction
from minigrad.nn import cells
from minigrad.nn.recurrent import Recurrent

_RNN_CELLS = {"tanh": cells.rnn_tanh, "relu": cells.rnn_relu}


def rnn_cell(of: str, nonlinearity: str) -> CellFunction:
    """Return the cell of the simple recurrent network with this nonlinearity.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    check_choice(of, _RNN_CELLS, nonlinearity=nonlinearity)
    return _RNN_CELLS[nonlinearity]


class RNN(Recurrent):
    """Simple recurrent layers: ``h = tanh(weight_ih @ x + bias_ih + weight_hh @ h + bias_hh)``.

    See `Recurrent` for how to call it.

    Parameters
    ----------
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    num_layers : int
        Each further layer reads the outputs of the one before.
    nonlinearity : {"tanh", "relu"}
        The function of the new state.
    bias : bool
        Whether there are biases: two, as PyTorch has them.
    batch_first : bool
        Whether inputs, outputs, ``mask`` and ``reset`` are (N, T, ...) instead of (T, N, ...).
    dropout : float
        Probability that an output of a layer, other than the last, is dropped in training.
    bidirectional : bool
        Whether each layer also has a cell that runs backwards in time. Its outputs stand behind the
        others on the last axis.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 : Parameter
        Of layer 0: shapes (hidden, input), (hidden, hidden) and twice (hidden,).

    Raises
    ------
    ArgumentError
        If an argument has a value that makes no sense.

    Examples
    --------
    >>> layer = nn.RNN(3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape, h.shape
    ((7, 2, 4), (1, 2, 4))
    """

    _shows_cell: ClassVar[bool] = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            rnn_cell(type(self).__name__, nonlinearity), input_size, hidden_size, num_layers,
            batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            device=device, dtype=dtype, bias=bias,
        )  # fmt: skip
        self.nonlinearity, self.bias = nonlinearity, bias


class LSTM(Recurrent):
    """Layers of long short-term memory, see `minigrad.nn.cells.lstm`.

    See `Recurrent` for how to call it. The states are h and c.

    Parameters
    ----------
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    num_layers : int
        Each further layer reads the outputs of the one before.
    bias : bool
        Whether there are biases: two, as PyTorch has them.
    batch_first : bool
        Whether inputs, outputs, ``mask`` and ``reset`` are (N, T, ...) instead of (T, N, ...).
    dropout : float
        Probability that an output of a layer, other than the last, is dropped in training.
    bidirectional : bool
        Whether each layer also has a cell that runs backwards in time. Its outputs stand behind the
        others on the last axis.
    proj_size : int
        If not 0, the width that h is projected to: smaller than ``hidden_size``.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 : Parameter
        Of layer 0: shapes (4 hidden, input), (4 hidden, width of h) and twice (4 hidden,). The four
        parts are the gates i, f, g and o.
    weight_hr_l0 : Parameter
        Only with ``proj_size``: shape (proj_size, hidden).

    Raises
    ------
    ArgumentError
        If an argument has a value that makes no sense.

    Examples
    --------
    >>> layer = nn.LSTM(3, 4)
    >>> output, (h, c) = layer(mg.zeros((7, 2, 3)))
    >>> output.shape, c.shape
    ((7, 2, 4), (1, 2, 4))
    """

    _shows_cell: ClassVar[bool] = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            cells.lstm, input_size, hidden_size, num_layers,
            batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            device=device, dtype=dtype, bias=bias, proj_size=proj_size,
        )  # fmt: skip
        self.bias, self.proj_size = bias, proj_size


class GRU(Recurrent):
    """Layers of gated recurrent units, see `minigrad.nn.cells.gru`.

    See `Recurrent` for how to call it.

    Parameters
    ----------
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    num_layers : int
        Each further layer reads the outputs of the one before.
    bias : bool
        Whether there are biases: two, as PyTorch has them.
    batch_first : bool
        Whether inputs, outputs, ``mask`` and ``reset`` are (N, T, ...) instead of (T, N, ...).
    dropout : float
        Probability that an output of a layer, other than the last, is dropped in training.
    bidirectional : bool
        Whether each layer also has a cell that runs backwards in time. Its outputs stand behind the
        others on the last axis.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 : Parameter
        Of layer 0: shapes (3 hidden, input), (3 hidden, hidden) and twice (3 hidden,). The three parts
        are the gates r, z and n.

    Raises
    ------
    ArgumentError
        If an argument has a value that makes no sense.

    Examples
    --------
    >>> layer = nn.GRU(3, 4)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape, h.shape
    ((7, 2, 4), (1, 2, 4))
    """

    _shows_cell: ClassVar[bool] = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            cells.gru, input_size, hidden_size, num_layers,
            batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            device=device, dtype=dtype, bias=bias,
        )  # fmt: skip
        self.bias = bias
