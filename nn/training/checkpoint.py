"""Everything that a training run needs to go on, in one file: also the random numbers.

A run that is stopped between two updates and restored goes on bit for bit as if it had not been stopped.
"""

from __future__ import annotations

import os
from typing import Any

from minigrad import random
from minigrad.errors import ArgumentError, FileFormatError, MinigradError
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
    **parts : Any
        Modules, optimisers, schedules, streams and generators, by any name: what has ``state_dict()``
        and ``load_state_dict()``, or is a `minigrad.Generator`.

    Raises
    ------
    ArgumentError
        If a part has no state, or ``progress`` cannot be saved.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> nn.save_checkpoint("run.safetensors", {"epoch": 7}, model=model)
    >>> checkpoint = nn.Checkpoint("run.safetensors")
    >>> checkpoint.progress
    {'epoch': 7}
    >>> checkpoint.restore(model=model)
    """
    state = {name: _state_of(name, part) for name, part in _with_random(parts).items()}
    save(path, {"checkpoint": _VERSION, "parts": state, "progress": progress})


class Checkpoint:
    """What `save_checkpoint` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.
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

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> nn.save_checkpoint("run.safetensors", {"epoch": 7}, model=model)
    >>> checkpoint = nn.Checkpoint("run.safetensors")
    >>> checkpoint.progress
    {'epoch': 7}
    >>> checkpoint.restore(model=model)
    """

    def __init__(self, path: str | os.PathLike[str], device: str | None = None) -> None:
        self.path = os.fspath(path)
        match load(path, device):
            case {"checkpoint": int(version)} if version != _VERSION:
                raise FileFormatError(
                    f"{self.path!r} is a checkpoint of another version of minigrad; load it with the "
                    "one that wrote it"
                )
            case {"checkpoint": int(), "parts": dict(parts), "progress": progress}:
                self.progress: Any = progress
                self.parts: dict[str, Any] = parts
            case _:
                raise FileFormatError(
                    f"{self.path!r} is no checkpoint of a training run; give a file that "
                    "save_checkpoint() wrote (read others with minigrad.load())"
                )

    def restore(self, **parts: Any) -> None:
        """Put the saved state into parts of the same names, and into the global random generator.

        Parameters
        ----------
        **parts : Any
            What was given to `save_checkpoint`, by the same names.

        Raises
        ------
        ArgumentError
            If the names are not those that were saved, or a state does not fit its part. Whatever
            goes wrong, all parts are then as they were.
        """
        parts, doing = _with_random(parts), f"restoring {self.path!r}"
        wrong = [f"missing here: {name}" for name in self.parts if name not in parts]
        wrong += [f"not in the file: {name}" for name in parts if name not in self.parts]
        if wrong:
            raise ArgumentError(f"{doing}: {'; '.join(wrong)}; give the parts that were saved")
        before = {name: _state_of(name, part) for name, part in parts.items()}
        try:
            for name, part in parts.items():
                _set_state(part, self.parts[name])
        except BaseException as error:
            for other, part in parts.items():
                _set_state(part, before[other])
            if isinstance(error, MinigradError):
                raise ArgumentError(f"{doing}: {name}: {error}") from error
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
