"""The characters of a text as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.checks import as_integer
from minigrad.errors import ArgumentError
from minigrad.nn.checks import entry_of

Codes = np.ndarray[Any, Any]


class Vocabulary:
    """The characters of a text, numbered in the order of their code points.

    Parameters
    ----------
    text : str
        Any text that is not empty.

    Attributes
    ----------
    characters : str
        Its position is the number of a character.

    Raises
    ------
    ArgumentError
        If the text is no str, or empty.

    Examples
    --------
    >>> vocabulary = nn.text.Vocabulary("hello")
    >>> vocabulary.characters
    'ehlo'
    >>> vocabulary.decode(vocabulary.encode("hole"))
    'hole'
    """

    def __init__(self, text: str) -> None:
        _check_text("Vocabulary", text)
        if not text:
            raise ArgumentError("Vocabulary: the text is empty; give one with characters")
        self.characters = "".join(sorted(set(text)))
        self._points = _points(self.characters)

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Codes:
        """Return the number of each character, int64.

        Parameters
        ----------
        text : str
            Any text of these characters.

        Returns
        -------
        array of int64
            Shape (len(text),).

        Raises
        ------
        ArgumentError
            If ``text`` is no str, or a character is not in the vocabulary.
        """
        _check_text("encode", text)
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

        Parameters
        ----------
        codes : iterable of int
            Numbers that `encode` gives.

        Returns
        -------
        str
            One character for each number.

        Raises
        ------
        ArgumentError
            If ``codes`` is no row of integers, or a number stands for no character.
        """
        if isinstance(codes, (str, bytes, bytearray)) or not isinstance(codes, Iterable):
            raise ArgumentError(
                f"decode: codes must be a row of integers, not {codes!r}; encode() makes one"
            )
        numbers = [_integer(code) for code in codes]
        for number in numbers:
            if not 0 <= number < len(self):
                raise ArgumentError(
                    f"decode: {number} stands for no character; the numbers go from 0 to "
                    f"{len(self) - 1}"
                )
        return "".join(self.characters[number] for number in numbers)

    def state_dict(self) -> dict[str, Any]:
        """Return the characters.

        Returns
        -------
        dict
            Plain data, which `load_state_dict` takes.
        """
        return {"characters": self.characters}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Refuse the characters of another text.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned.

        Raises
        ------
        ArgumentError
            If the characters are others.
        """
        if entry_of(state, "characters") != self.characters:
            raise ArgumentError(
                "the text has other characters than the one that the state belongs to; give the text "
                "that the run began with"
            )


def _check_text(of: str, text: Any) -> None:
    if not isinstance(text, str):
        raise ArgumentError(
            f"{of}: the text must be a str, not a {type(text).__name__}; decode bytes with "
            ".decode('utf-8')"
        )


def _integer(code: Any) -> int:
    number = as_integer(code)
    if number is None:
        raise ArgumentError(f"decode: each code must be an integer, not {code!r}")
    return number


def _points(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
