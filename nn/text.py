"""Text as numbers: reading it, a vocabulary of characters, and streams to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.nn.sizes import check_sizes
from minigrad.tensor import Tensor, tensor

Codes = np.ndarray[Any, Any]


def english_text() -> str:
    """Return about 465 000 characters of English: the language reference that Python carries."""
    from pydoc_data.topics import topics  # large, so it is read only when asked for

    return "\n".join(topics[name] for name in sorted(topics))


def read_text(path: str | Path) -> str:
    """Return the content of a UTF-8 text file.

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
    if not text.strip():
        raise ArgumentError(f"{path} is empty; give a file with text")
    return text


class Vocabulary:
    """The characters of a text, numbered in the order of their code points.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    characters : str
    """

    def __init__(self, text: str) -> None:
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

    def decode(self, codes: Any) -> str:
        """Return the text of these numbers."""
        return "".join(self.characters[code] for code in codes)


def _points(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


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
        The step that the next chunk begins at.

    Raises
    ------
    ArgumentError
        If ``batch`` is not positive, or the text has no character and its successor for each stretch.
    """

    def __init__(self, codes: Codes, batch: int) -> None:
        check_sizes("Streams", batch=batch)
        length = (len(codes) - 1) // batch
        if length < 1:
            raise ArgumentError(
                f"a text of {len(codes)} characters is too short for {batch} streams side by side; "
                "give a longer text or a smaller batch"
            )
        self.inputs = codes[: length * batch].reshape(batch, length).T
        self.targets = codes[1 : length * batch + 1].reshape(batch, length).T
        self.position = 0

    def __len__(self) -> int:
        """Return T, the number of steps."""
        return len(self.inputs)

    @property
    def size(self) -> int:
        """How many characters are read in one pass."""
        return int(self.inputs.size)

    def chunks(self, length: int, device: str | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets of the next ``length`` steps, from ``position`` to the end.

        The last chunk may be shorter; after it the position is 0 again.

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
        check_sizes("chunks", length=length)
        while self.position < len(self):
            part = slice(self.position, self.position + length)
            self.position += length
            yield (
                tensor(self.inputs[part], device=device),
                tensor(self.targets[part], device=device),
            )
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the position, and what tells this text from others."""
        return {"position": self.position, "text": self._digest()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position in the same text.

        Raises
        ------
        ArgumentError
            If it is another text, or another number of streams.
        """
        if state["text"] != self._digest():
            raise ArgumentError(
                "this is not the text that the position belongs to (or it is cut into another number "
                "of streams); give the text that the run began with"
            )
        self.position = state["position"]

    def _digest(self) -> str:
        return hashlib.sha256(np.asarray(self.inputs, "<i8").tobytes()).hexdigest()
