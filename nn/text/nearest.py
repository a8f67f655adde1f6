"""The most similar of known texts by character n-grams: what a model that reads texts has to beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minigrad.checks import check_integer
from minigrad.errors import ArgumentError


class NearestText:
    """Find the most similar of known texts, as a translation memory does.

    Likeness is the Dice coefficient of character n-grams, each as often as it occurs: twice those in
    common, divided by all of both. Spaces stand for what is before and after a text.

    Parameters
    ----------
    texts : iterable of str
        The known texts.
    order : int
        The length of an n-gram.

    Raises
    ------
    ArgumentError
        If there are no texts, or ``order`` is not positive.

    Examples
    --------
    >>> nearest = nn.text.NearestText(["add a page", "delete a page", "delete a user"])
    >>> nearest("delete the user")
    2
    """

    def __init__(self, texts: Iterable[str], order: int = 3) -> None:
        self._order = check_integer("NearestText", "order", order, low=1)
        known = [texts] if isinstance(texts, str) else list(texts)
        if isinstance(texts, str) or not known or not all(isinstance(text, str) for text in known):
            raise ArgumentError(f"NearestText: texts must be a list of str, not {texts!r}")
        places = defaultdict(list)
        for place, text in enumerate(known):
            for gram in self._grams(text):
                places[gram].append(place)
        self._places = {gram: np.array(found) for gram, found in places.items()}
        self._sizes = np.array([len(list(self._grams(text))) for text in known])

    def __call__(self, text: str) -> int:
        """Return which of the known texts is the most similar: the first one, of several.

        Parameters
        ----------
        text : str
            What to find.

        Returns
        -------
        int
            Its place; 0 if nothing is similar.
        """
        return int(np.argmax(self.similarity(text)))

    def similarity(self, text: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return how similar each of the known texts is.

        Parameters
        ----------
        text : str
            What to compare them with.

        Returns
        -------
        numpy.ndarray
            From 0 to 1, float64, one for each known text.
        """
        grams = list(self._grams(text))
        common = np.zeros(len(self._sizes))
        for gram in grams:
            common[self._places.get(gram, [])] += 1  # a text has each gram once
        found: np.ndarray[Any, np.dtype[np.float64]] = common / np.maximum(
            len(grams) + self._sizes, 1
        )
        return 2 * found

    def _grams(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield the n-grams, each with the number of those like it before."""
        around, seen = " " * (self._order - 1), Counter[str]()
        padded = f"{around}{text}{around}"
        for start in range(len(padded) - self._order + 1):
            gram = padded[start : start + self._order]
            yield gram, seen[gram]
            seen[gram] += 1
