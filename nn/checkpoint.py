"""Everything that a training run needs to go on, in one file: also the random numbers.

A run that is stopped between two updates and restored goes on bit for bit as if it had not been stopped.
"""

from __future__ import annotations

import os
from typing import Any

from minigrad import random
from minigrad.errors import ArgumentError, FileFormatError
from minigrad.random import Generator
from minigrad.weights import load, save

_VERSION = 1
_RANDOM = "random"


def save_checkpoint(path: str | os.PathLike[str], progress: Any = None, **parts: Any) -> None:
    """Write the state of ``parts`` and of the global random generator to a file.

    A crash or a full disk while it is written leaves the file that was there before.

    Parameters
    ----------
    path : str or path-like
        Usually ends in ``.safetensors``.
    progress : tree, optional
        What else the program needs to go on, such as the epoch and the position in the data: tensors
        and plain data, as for `minigrad.save`.
    **parts
        Modules, optimisers, schedules and generators, by any name.

    Raises
    ------
    ArgumentError
        If a part has no state, or ``progress`` cannot be saved.
    OSError
        If the file cannot be written.
    """
    state = {name: _state_of(name, part) for name, part in _with_random(parts).items()}
    save(path, {"checkpoint": _VERSION, "parts": state, "progress": progress})


class Checkpoint:
    """What `save_checkpoint` wrote.

    Parameters
    ----------
    path : str or path-like
    device : str, optional
        Where tensors go, as for `minigrad.load`.

    Attributes
    ----------
    progress : tree
        What the program had stored.

    Raises
    ------
    FileFormatError
        If the file is damaged, or is no checkpoint.
    OSError
        If the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], device: str | None = None) -> None:
        self.path = os.fspath(path)
        tree = load(path, device)
        if not isinstance(tree, dict) or tree.get("checkpoint") != _VERSION:
            raise FileFormatError(
                f"{self.path!r} is no checkpoint of a training run; give a file that "
                "save_checkpoint() wrote (read others with minigrad.load())"
            )
        self.progress = tree["progress"]
        self._parts: dict[str, Any] = tree["parts"]

    def restore(self, **parts: Any) -> None:
        """Put the saved state into parts of the same names, and into the global random generator.

        Raises
        ------
        ArgumentError
            If the names are not those that were saved, or a state does not fit its part. Then all
            parts are as they were.
        """
        parts = _with_random(parts)
        wrong = [f"missing here: {name}" for name in self._parts if name not in parts]
        wrong += [f"not in the file: {name}" for name in parts if name not in self._parts]
        if wrong:
            raise ArgumentError(f"restoring {self.path!r}: {'; '.join(wrong)}")
        before = {name: _state_of(name, part) for name, part in parts.items()}
        try:
            for name, part in parts.items():
                _set_state(part, self._parts[name])
        except Exception:
            for name, part in parts.items():
                _set_state(part, before[name])
            raise


def _with_random(parts: dict[str, Any]) -> dict[str, Any]:
    if _RANDOM in parts:
        raise ArgumentError(
            f"the name {_RANDOM!r} stands for the global random generator; give the part another one"
        )
    return {**parts, _RANDOM: random.default_generator}


def _state_of(name: str, part: Any) -> Any:
    if isinstance(part, Generator):
        return part.get_state()
    if not hasattr(part, "state_dict") or not hasattr(part, "load_state_dict"):
        raise ArgumentError(
            f"a checkpoint cannot hold {name}, of type {type(part).__name__}: it has no state_dict() "
            "and load_state_dict(); put plain data and tensors into progress"
        )
    return part.state_dict()


def _set_state(part: Any, state: Any) -> None:
    if isinstance(part, Generator):
        part.set_state(state)
    else:
        part.load_state_dict(state)
