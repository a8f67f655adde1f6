"""What models of text need besides layers: characters as numbers, streams, a baseline, sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import random
from minigrad.errors import ArgumentError
from minigrad.ops.network import softmax
from minigrad.tape import no_grad
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


def streams(codes: Codes, batch: int) -> tuple[Codes, Codes]:
    """Cut a text into ``batch`` stretches of equal length and lay them side by side.

    Parameters
    ----------
    codes : array of int
        The text; up to ``batch`` characters at its end are left over.
    batch : int

    Returns
    -------
    inputs, targets : array of int
        Shape (T, batch): each column is one stretch, and its targets are one character ahead.

    Raises
    ------
    ArgumentError
        If the text has no character and its successor for each stretch.
    """
    length = (len(codes) - 1) // batch
    if length < 1:
        raise ArgumentError(
            f"a text of {len(codes)} characters is too short for {batch} streams side by side; "
            "give a longer text or a smaller batch"
        )
    inputs = codes[: length * batch].reshape(batch, length).T
    targets = codes[1 : length * batch + 1].reshape(batch, length).T
    return inputs, targets


def chunks(inputs: Codes, targets: Codes, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield tensors with ``length`` steps of the streams at a time; the last may be shorter."""
    for start in range(0, len(inputs), length):
        yield tensor(inputs[start : start + length]), tensor(targets[start : start + length])


class NGram:
    """Models that only count: how often a character occurs, and how often after another one.

    Parameters
    ----------
    codes : array of int
        The text to count.
    size : int
        How many characters there are.
    """

    STRENGTH = 5.0
    """How many characters the unigram counts for where the bigram is estimated."""

    def __init__(self, codes: Codes, size: int) -> None:
        self._size = size
        self._single = (np.bincount(codes, minlength=size) + 1) / (len(codes) + size)
        self._first = np.bincount(codes[:-1], minlength=size)
        self._pairs, self._counts = np.unique(codes[:-1] * size + codes[1:], return_counts=True)

    def unigram_bits(self, targets: Codes) -> float:
        """Return bits per character of a model that knows how frequent characters are."""
        return float(-np.log2(self._single[targets]).mean())

    def bigram_bits(self, inputs: Codes, targets: Codes) -> float:
        """Return bits per character of a model that knows the character before.

        Its probabilities are smoothed by a Dirichlet prior around the unigram [MacKay & Peto 1995].
        """
        pairs = inputs * self._size + targets
        found = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        counts = np.where(self._pairs[found] == pairs, self._counts[found], 0)
        smoothed = counts + self.STRENGTH * self._single[targets]
        return float(-np.log2(smoothed / (self._first[inputs] + self.STRENGTH)).mean())


def generate(
    predict: Callable[[Tensor, Any], tuple[Tensor, Any]],
    prompt: Codes,
    length: int,
    *,
    temperature: float = 1.0,
    generator: random.Generator | None = None,
) -> Iterator[int]:
    """Yield ``length`` numbers that continue ``prompt``, drawn one by one.

    Parameters
    ----------
    predict : callable
        ``predict(codes, state)`` takes codes of shape (T, 1) and a state (at first None); it returns
        scores of shape (T, 1, size) for the next character, and the new state.
    prompt : array of int
        At least one number.
    length : int
    temperature : float
        Scores are divided by it: below 1 likely characters are drawn even more often.
    generator : Generator, optional
        By default the global one.

    Raises
    ------
    ArgumentError
        If the prompt is empty or the temperature is not positive.
    """
    if len(prompt) == 0 or not temperature > 0:
        raise ArgumentError(
            f"generate: it needs a prompt and a temperature above 0, not {len(prompt)} characters "
            f"and {temperature}"
        )
    drawn, state = generator or random.default_generator, None
    codes = tensor(prompt)
    for _ in range(length):
        with no_grad():
            scores, state = predict(codes[:, None], state)
            codes = drawn.categorical(softmax(scores[-1] / temperature, axis=-1))
        yield int(codes)
