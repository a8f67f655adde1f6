"""Text as numbers: reading it, a vocabulary of characters, and streams to train on.

A vocabulary and streams can be parts of a checkpoint: they refuse to go on with another text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_counts
from minigrad.tensor import Tensor, tensor

Codes = np.ndarray[Any, Any]


def english_text() -> str:
    """Return about 465 000 characters of English: the language reference that Python carries."""
    from pydoc_data.topics import topics  # large, so it is read only when asked for

    return "\n".join(topics[name] for name in sorted(topics))


def read_text(path: str | Path) -> str:
    """Return the content of a UTF-8 text file, without a byte order mark.

    Raises
    ------
    ArgumentError
        If there is no such file, it is empty, or it does not hold text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"{path} is no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}; "
            "convert it to UTF-8, or give a text file"
        ) from None
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror or error}") from None
    if "\0" in text:
        raise ArgumentError(f"{path} is no text: it holds a zero byte; give a text file")
    if not text.strip("\ufeff \t\r\n"):
        raise ArgumentError(f"{path} is empty; give a file with text")
    return text.removeprefix("\ufeff")


class Vocabulary:
    """The characters of a text, numbered in the order of their code points.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    characters : str
        Its position is the number of a character.

    Raises
    ------
    ArgumentError
        If the text is empty.
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ArgumentError("Vocabulary: the text is empty; give one with characters")
        self.characters = "".join(sorted(set(text)))
        self._points = _points(self.characters)

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Codes:
        """Return the number of each character, int64.

        Raises
        ------
        ArgumentError
            If a character is not in the vocabulary.
        """
        points = _points(text)
        codes = np.searchsorted(self._points, points)
        unknown = self._points[np.minimum(codes, len(self) - 1)] != points
        if unknown.any():
            raise ArgumentError(
                f"the character {chr(points[unknown][0])!r} does not occur in the text that the "
                "vocabulary was made of; leave it out"
            )
        return codes

    def decode(self, codes: Iterable[Any]) -> str:
        """Return the text of these numbers.

        Raises
        ------
        ArgumentError
            If a number stands for no character.
        """
        numbers = [int(code) for code in codes]
        for number in numbers:
            if not 0 <= number < len(self):
                raise ArgumentError(
                    f"decode: {number} stands for no character; the numbers go from 0 to "
                    f"{len(self) - 1}"
                )
        return "".join(self.characters[number] for number in numbers)

    def state_dict(self) -> dict[str, Any]:
        """Return the characters."""
        return {"characters": self.characters}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Refuse the characters of another text.

        Raises
        ------
        ArgumentError
        """
        if _entry(state, "characters") != self.characters:
            raise ArgumentError(
                "the text has other characters than the one that the state belongs to; give the text "
                "that the run began with"
            )


def _points(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _entry(state: Any, name: str) -> Any:
    if not isinstance(state, Mapping) or name not in state:
        raise ArgumentError(
            f"load_state_dict: the state has no {name!r}; pass what state_dict() returned"
        )
    return state[name]


class Streams:
    """A text cut into stretches of equal length that lie side by side, to be read in chunks.

    Parameters
    ----------
    codes : array of int
        The text; up to ``batch`` characters at its end are left over.
    batch : int
        How many stretches.

    Attributes
    ----------
    inputs, targets : array of int
        Shape (T, batch): each column is one stretch, and its targets are one character ahead.
    position : int
        The step that `remaining` goes on from.

    Raises
    ------
    ArgumentError
        If ``batch`` is not positive, ``codes`` is no row of integers, or it does not hold a character
        and its successor for each stretch.
    """

    def __init__(self, codes: Codes, batch: int) -> None:
        check_counts("Streams", batch=batch)
        self._codes = np.asarray(codes)
        if self._codes.ndim != 1 or self._codes.dtype.kind not in "iu":
            raise ArgumentError(
                f"Streams: the text must be a row of integers, not {self._codes.dtype} of shape "
                f"{self._codes.shape}; encode it with a Vocabulary"
            )
        length = (len(codes) - 1) // batch
        if length < 1:
            raise ArgumentError(
                f"a text of {len(codes)} characters is too short for {batch} streams side by side; "
                "give a longer text or a smaller batch"
            )
        self.inputs = self._codes[: length * batch].reshape(batch, length).T
        self.targets = self._codes[1 : length * batch + 1].reshape(batch, length).T
        self.position = 0

    def __len__(self) -> int:
        """Return T, the number of steps."""
        return len(self.inputs)

    @property
    def size(self) -> int:
        """How many characters are read in one pass."""
        return int(self.inputs.size)

    def chunks(self, length: int, device: str | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets of ``length`` steps after ``length`` steps; the last may be fewer.

        Parameters
        ----------
        length : int
        device : str, optional
            Where the tensors go.

        Raises
        ------
        ArgumentError
            If ``length`` is not positive.
        """
        check_counts("chunks", length=length)
        return (self._chunk(start, length, device) for start in range(0, len(self), length))

    def remaining(self, length: int, device: str | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield chunks as `chunks` does, but from ``position`` on, which moves along.

        When a chunk is yielded, ``position`` is already behind it: who stops there, saves the state
        and loads it again goes on with the next chunk. After the last one the position is 0 again.

        Parameters
        ----------
        length : int
        device : str, optional
            Where the tensors go.

        Raises
        ------
        ArgumentError
            If ``length`` is not positive.
        """
        check_counts("remaining", length=length)
        return self._moving(length, device)

    def _moving(self, length: int, device: str | None) -> Iterator[tuple[Tensor, Tensor]]:
        while self.position < len(self):
            start, self.position = self.position, min(self.position + length, len(self))
            yield self._chunk(start, length, device)
        self.position = 0

    def _chunk(self, start: int, length: int, device: str | None) -> tuple[Tensor, Tensor]:
        part = slice(start, start + length)
        return tensor(self.inputs[part], device=device), tensor(self.targets[part], device=device)

    def state_dict(self) -> dict[str, Any]:
        """Return the position, and what tells this text from others."""
        return {"position": self.position, "batch": self.inputs.shape[1], "text": self._digest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a position in the same text.

        Raises
        ------
        ArgumentError
            If it is another text, another number of streams, or no position. Nothing has changed then.
        """
        position, batch = _entry(state, "position"), _entry(state, "batch")
        if _entry(state, "text") != self._digest:
            raise ArgumentError(
                "this is not the text that the position belongs to; give the text that the run began "
                "with"
            )
        if batch != self.inputs.shape[1]:
            raise ArgumentError(
                f"the position belongs to {batch} streams side by side, and here are "
                f"{self.inputs.shape[1]}; cut the text into as many"
            )
        if not isinstance(position, int) or not 0 <= position <= len(self):
            raise ArgumentError(
                f"the position must be an integer from 0 to {len(self)}, not {position!r}; pass what "
                "state_dict() returned"
            )
        self.position = position

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self._codes.astype("<i8").tobytes()).hexdigest()
