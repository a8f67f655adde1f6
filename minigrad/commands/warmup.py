"""``python -m minigrad warmup``: compile ahead of the first training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

from minigrad.commands.cache import cache_folder
from minigrad.creation import rand, zeros
from minigrad.errors import ArgumentError, KernelError, suggestion
from minigrad.ops.elementwise import tanh
from minigrad.ops.reduce import sum
from minigrad.tape import no_grad
from minigrad.tensor import Tensor

_STEPS, _ROWS = 4, 64  # so many rows that large products take the way that they take in a training
_LARGE = (4096, 64), (64, 64)  # of a product that the engine computes with our kernels


def check_cell(name: str) -> None:
    """Refuse what is not the name of a built-in cell.

    Raises
    ------
    ArgumentError
    """
    from minigrad.nn.cells import CELLS

    if name not in CELLS:
        raise ArgumentError(
            f"there is no cell {name!r}{suggestion(name, CELLS)}; the cells are {', '.join(CELLS)}"
        )


def warmup(
    cells: Sequence[str] | None = None,
    input_size: int = 128,
    hidden_size: int = 128,
    float64: bool = False,
) -> Iterator[str]:
    """Compile the loops of cells, for training and inference; yield a line for each.

    Parameters
    ----------
    cells : sequence of str, optional
        By default all that are built in.
    input_size, hidden_size : int
    float64 : bool
        Whether to compile for float64 beside float32.

    Raises
    ------
    KernelError
        If the cache cannot be written.
    """
    from minigrad.kernels import cell
    from minigrad.kernels.jit.cache_folder import obstacle
    from minigrad.nn.cells import CELLS

    folder = cache_folder()
    error = obstacle(folder)
    if error is not None:
        raise KernelError(
            f"the cache cannot be written: {error}; set MINIGRAD_CACHE_DIR to a folder that can be "
            "written"
        )
    smallest = cell(state="h", params=lambda d, h: {"weight": (d, h)})(_smallest)
    began = perf_counter()
    for dtype in ("float32", "float64")[: 1 + float64]:
        start = perf_counter()
        a, b = (_parameter(size, dtype) for size in _LARGE)
        sum(a @ b).backward()
        _train(smallest, input_size, hidden_size, dtype)
        yield f"{_since(start)}  {dtype}: what all loops share, and large products"
        for name in CELLS if cells is None else cells:
            start = perf_counter()
            _train(CELLS[name], input_size, hidden_size, dtype)
            yield f"{_since(start)}  {dtype}: {name}, {input_size} inputs, {hidden_size} units"
    yield f"compiled in {perf_counter() - began:.1f} s, kept in {folder}"


def _smallest(x: Any, h: Any, *, weight: Any) -> Any:
    return tanh(x @ weight + h)


def _train(cell: Any, input_size: int, hidden_size: int, dtype: str) -> None:
    """Take the gradient of a loop and run it without gradients, as layers do.

    With whole sequences and with shorter ones; with an input that needs a gradient, as after an
    Embedding or another layer, and with one that does not. Both directions run the same code.
    """
    from minigrad.kernels import scan

    x = rand(_STEPS, _ROWS, input_size, dtype=dtype)
    state = [zeros((_ROWS, w), dtype=dtype) for w in cell.state_widths(hidden_size)]
    parameters = {
        name: _parameter(value, dtype)
        for name, value in cell.initial_parameters(input_size, hidden_size).items()
    }
    for lengths in (None, [1] * _ROWS):
        for given in (x, x.clone().requires_grad_()):
            outputs, _ = scan(cell, given, state, parameters, lengths=lengths, compile="require")
            sum(outputs).backward()
        with no_grad():
            scan(cell, x, state, parameters, lengths=lengths, compile="require")


def _since(start: float) -> str:
    return f"{perf_counter() - start:6.1f} s"


def _parameter(start: Any, dtype: str) -> Tensor:
    value = start.detach() if isinstance(start, Tensor) else rand(*start) * 0.1
    parameter: Tensor = value.astype(dtype).requires_grad_()
    return parameter
