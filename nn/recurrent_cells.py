"""Layers that take one step of a cell, as PyTorch has them."""

from __future__ import annotations

from typing import Any

from minigrad.kernels import CellFunction
from minigrad.nn import cells
from minigrad.nn.cell_layer import CellLayer
from minigrad.nn.recurrent_layers import rnn_cell
from minigrad.tensor import Tensor


class OneStep(CellLayer):
    """One step of a cell. Its subclasses are named after their cells."""

    def __init__(
        self,
        cell: CellFunction,
        input_size: int,
        hidden_size: int,
        bias: bool,
        device: str | None,
        dtype: Any,
    ) -> None:
        super().__init__(cell, input_size, hidden_size, {"bias": bias})
        self._make("", self.input_size, device, dtype)
        self.bias = bias

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """Take one step.

        Parameters
        ----------
        input : Tensor
            Shape (N, input_size), or (input_size,) of a single row.
        hx : Tensor or tuple of Tensor, optional
            The state, or all of them if the cell has several: shape (N, hidden_size), of a single row
            (hidden_size,). Zeros by default.

        Returns
        -------
        Tensor or tuple of Tensor
            The new state or states, in the shape of ``hx``.

        Raises
        ------
        ShapeError
            If ``input`` or a state has another shape.
        DtypeError
            If ``input`` holds integers, or its dtype is not that of the weights and states.
        BackendError
            If ``input``, the states and the weights are on different devices.
        ArgumentError
            If there are more or fewer states than the cell has.
        """
        input = self._checked_input(input, ("N",))
        return self.step(input, *self._checked_states(hx, input, input.shape[:-1]))

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


class RNNCell(OneStep):
    """One step of a simple recurrent network, see `RNN`.

    Parameters
    ----------
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    bias : bool
        Whether there are biases: two, as PyTorch has them.
    nonlinearity : {"tanh", "relu"}
        The function of the new state.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter
        Shapes (hidden, input), (hidden, hidden) and twice (hidden,).

    Raises
    ------
    ArgumentError
        If an argument has a value that makes no sense.

    Examples
    --------
    >>> nn.RNNCell(3, 4)(mg.zeros((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        cell = rnn_cell(type(self).__name__, nonlinearity)
        super().__init__(cell, input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        usual = self.nonlinearity == "tanh"
        return super().extra_repr() + ("" if usual else f", nonlinearity={self.nonlinearity}")


class LSTMCell(OneStep):
    """One step of long short-term memory, see `LSTM`. The states are h and c.

    Parameters
    ----------
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    bias : bool
        Whether there are biases: two, as PyTorch has them.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter
        Shapes (4 hidden, input), (4 hidden, hidden) and twice (4 hidden,), gates in the order i, f, g, o.

    Raises
    ------
    ArgumentError
        If a size is not positive, or ``bias`` is no bool.

    Examples
    --------
    >>> h, c = nn.LSTMCell(3, 4)(mg.zeros((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(cells.lstm, input_size, hidden_size, bias, device, dtype)


class GRUCell(OneStep):
    """One step of a gated recurrent unit, see `GRU`.

    Parameters
    ----------
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    bias : bool
        Whether there are biases: two, as PyTorch has them.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter
        Shapes (3 hidden, input), (3 hidden, hidden) and twice (3 hidden,), gates in the order r, z, n.

    Raises
    ------
    ArgumentError
        If a size is not positive, or ``bias`` is no bool.

    Examples
    --------
    >>> nn.GRUCell(3, 4)(mg.zeros((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(cells.gru, input_size, hidden_size, bias, device, dtype)
