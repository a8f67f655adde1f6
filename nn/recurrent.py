"""Layers that run a cell over time."""

from __future__ import annotations

from minigrad.creation import zeros
from minigrad.dtypes import is_floating
from minigrad.errors import DtypeError, ShapeError
from minigrad.kernels import scan
from minigrad.nn import cells, init
from minigrad.nn.module import Module, Parameter
from minigrad.nn.sizes import check_sizes
from minigrad.ops.shape import stack, swapaxes
from minigrad.tensor import Tensor

State = tuple[Tensor, Tensor]


class LSTM(Module):
    """Layers of long short-term memory, with PyTorch's parameters and results.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
        Each further layer reads the outputs of the one before.
    bias : bool
        Whether the gates have biases: two, as PyTorch has them.
    batch_first : bool
        Whether inputs and outputs are (N, T, ...) instead of (T, N, ...).

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 : Parameter
        Of layer 0: shapes (4 hidden, input), (4 hidden, hidden) and twice (4 hidden,). The four parts
        are the gates i, f, g and o. In further layers (``weight_ih_l1``) the input is ``hidden_size``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
    ) -> None:
        check_sizes("LSTM", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first = bias, batch_first
        bound = init.width_bound(hidden_size)
        for layer in range(num_layers):
            width = hidden_size if layer else input_size
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (width,),
                "weight_hh": (hidden_size,),
            }
            if bias:
                shapes.update(bias_ih=(), bias_hh=())
            for name, rest in shapes.items():
                value = init.uniform(4 * hidden_size, *rest, bound=bound)
                setattr(self, f"{name}_l{layer}", value)

    def layer_parameters(self, layer: int) -> dict[str, Parameter]:
        """Return the parameters of one layer by the names that the cell uses."""
        ending = f"_l{layer}"
        return {
            name.removesuffix(ending): value
            for name, value in vars(self).items()
            if isinstance(value, Parameter) and name.endswith(ending)
        }

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a sequence.

        Parameters
        ----------
        x : Tensor
            Shape (T, N, input_size), or (N, T, input_size) with ``batch_first``.
        state : pair of Tensor, optional
            Initial h and c, each (num_layers, N, hidden_size); zeros by default.

        Returns
        -------
        output : Tensor
            The h of the last layer at each step: as ``x``, with ``hidden_size`` last.
        state : pair of Tensor
            Final h and c, each (num_layers, N, hidden_size).

        Raises
        ------
        ShapeError
            If ``x`` or ``state`` has another shape.
        DtypeError
            If ``x`` holds integers.
        """
        if x.ndim != 3 or x.shape[-1] != self.input_size:
            order = "N, T" if self.batch_first else "T, N"
            raise ShapeError(
                f"LSTM: the input has shape {x.shape}; it must be ({order}, {self.input_size})"
            )
        if not is_floating(x.dtype):
            raise DtypeError(
                f"LSTM: the input has dtype {x.dtype}; convert it with .astype('float32'), or give "
                "numbers of words to an Embedding first"
            )
        if self.batch_first:
            x = swapaxes(x, 0, 1)
        shape = (self.num_layers, x.shape[1], self.hidden_size)
        if state is None:
            initial = zeros(shape, dtype=x.dtype, device=x.device)
            state = (initial, initial)
        for name, part in zip("hc", state, strict=True):
            if part.shape != shape:
                raise ShapeError(f"LSTM: state {name} has shape {part.shape}; it must be {shape}")
        finals = []
        for layer in range(self.num_layers):
            starts = tuple(part[layer] for part in state)
            x, final = scan(cells.lstm, x, starts, self.layer_parameters(layer))
            finals.append(final)
        h, c = (stack(parts) for parts in zip(*finals, strict=True))
        return swapaxes(x, 0, 1) if self.batch_first else x, (h, c)

    def extra_repr(self) -> str:
        options = {"num_layers": (self.num_layers, 1), "bias": (self.bias, True),
                   "batch_first": (self.batch_first, False)}  # fmt: skip
        given = [f"{name}={value}" for name, (value, usual) in options.items() if value != usual]
        return ", ".join([str(self.input_size), str(self.hidden_size), *given])
