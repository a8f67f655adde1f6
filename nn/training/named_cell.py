"""A recurrent cell by its name on a command line: of the table of cells, or of a user's own file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from minigrad.errors import ArgumentError, suggestion, type_name
from minigrad.kernels import CellFunction
from minigrad.nn.cell import Cell
from minigrad.nn.cells import CELLS, gru, lstm, rnn_tanh
from minigrad.nn.recurrent import Recurrent
from minigrad.nn.recurrent_layers import GRU, LSTM, RNN

_LAYERS: dict[str, tuple[Any, CellFunction]] = {
    "rnn": (RNN, rnn_tanh),
    "lstm": (LSTM, lstm),
    "gru": (GRU, gru),
}


def find_cell(name: str) -> CellFunction | type[Cell]:
    """Return the cell of this name.

    Parameters
    ----------
    name : str
        A name of `nn.cells.CELLS`, "rnn" for the simple one, or ``"module:cell"`` or ``"file.py:cell"``
        for one of your own: a function under ``@minigrad.kernels.cell``, or a subclass of `nn.Cell`.

    Returns
    -------
    CellFunction or type
        What `nn.Recurrent` takes.

    Raises
    ------
    ArgumentError
        If there is none of this name, or its module cannot be imported.

    Examples
    --------
    >>> nn.training.find_cell("mgu") is nn.cells.mgu
    True
    """
    if name in _LAYERS:
        return _LAYERS[name][1]
    if name in CELLS:
        return CELLS[name]
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        known = dict.fromkeys([*_LAYERS, *CELLS])
        raise ArgumentError(
            f"{name!r} is no cell{suggestion(name, known)}; give {', '.join(known)}, or module:cell or "
            "file.py:cell for one of your own"
        )
    module = _imported(place)
    if attribute not in vars(module):
        cells = [key for key, value in vars(module).items() if _is_cell(value)]
        raise ArgumentError(
            f"{place} has no {attribute!r}{suggestion(attribute, cells)}; its cells are "
            f"{', '.join(cells) or 'none'}"
        )
    found = vars(module)[attribute]
    if not _is_cell(found):
        raise ArgumentError(
            f"{name!r} is a {type_name(found)} and no cell; write @minigrad.kernels.cell(state=..., "
            "params=...) above a function, or a subclass of minigrad.nn.Cell"
        )
    return found  # type: ignore[no-any-return]


def recurrent_layer(name: str, input_size: int, hidden_size: int, **options: Any) -> Recurrent:
    """Return a layer of the cell of this name: `nn.RNN`, `nn.LSTM`, `nn.GRU`, or `nn.Recurrent`.

    Parameters
    ----------
    name : str
        See `find_cell`.
    input_size, hidden_size : int
        The widths of the input and of a state.
    **options : Any
        As the layer takes them: ``num_layers``, ``bidirectional``, ``dropout`` and so on.

    Returns
    -------
    Recurrent
        The layer.

    Raises
    ------
    ArgumentError
        If there is no such cell, or an option cannot be used.

    Examples
    --------
    >>> nn.training.recurrent_layer("lstm", 3, 4, num_layers=2)
    LSTM(3, 4, num_layers=2)
    >>> nn.training.recurrent_layer("mgu", 3, 4)
    Recurrent(mgu, 3, 4)
    """
    if name in _LAYERS:
        layer: Recurrent = _LAYERS[name][0](input_size, hidden_size, **options)
        return layer
    return Recurrent(find_cell(name), input_size, hidden_size, **options)


def _is_cell(value: Any) -> bool:
    return isinstance(value, CellFunction) or (inspect.isclass(value) and issubclass(value, Cell))


def _imported(place: str) -> ModuleType:
    """Return a module by its name, or by its file."""
    try:
        if place.endswith(".py"):
            path = Path(place).resolve()
            return _of_file(path, path.stat().st_mtime_ns)
        with _here_on_the_path():
            return importlib.import_module(place)
    except OSError as error:
        raise ArgumentError(f"cannot read {place}: {error.strerror or error}") from None
    except Exception as error:  # a file of the user may raise anything
        raise ArgumentError(
            f"cannot import {place} for its cell: {type_name(error)}: {error}"
        ) from error


@lru_cache
def _of_file(path: Path, _changed: int) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no file of Python code")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _here_on_the_path() -> Iterator[None]:
    """Find modules in the working folder, too, as ``python -m`` does."""
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before
