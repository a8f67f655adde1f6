"""Taggers that only count: what a network that tags sequences has to be better than."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from minigrad.checks import check_integer
from minigrad.errors import ArgumentError
from minigrad.nn.metrics.tagging import Entity, entities, entity_tags


class WindowTagger:
    """Give each token the tag that it had most often between the same neighbours.

    Where these neighbours were not seen, fewer of them count, then only the token, and at last nothing.

    Parameters
    ----------
    sequences : sequence of sequence of str
        Tokens: texts, for their characters, or lists of words.
    tags : sequence of sequence of str
        A tag for each token.
    reach : int
        How many neighbours count on each side.

    Raises
    ------
    ArgumentError
        If there are no tokens, there is not one tag for each, or ``reach`` is negative.

    Examples
    --------
    >>> tagger = nn.text.WindowTagger(["ab", "cb"], [["x", "y"], ["x", "z"]], reach=1)
    >>> tagger("cb"), tagger("bb")
    (['x', 'z'], ['y', 'y'])
    """

    def __init__(
        self, sequences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]], reach: int = 2
    ) -> None:
        self._reach = check_integer("WindowTagger", "reach", reach, low=0)
        counts = Counter(
            (window, tag)
            for tokens, given in _pairs("WindowTagger", sequences, tags)
            for place, tag in enumerate(given)
            for window in self._windows(tokens, place)
        )
        self._best = _most_frequent(counts)

    def _windows(self, tokens: tuple[str, ...], place: int) -> Iterator[Any]:
        for reach in range(self._reach, -1, -1):
            start = max(place - reach, 0)
            yield reach, place - start, tokens[start : place + reach + 1]
        yield None

    def __call__(self, tokens: Sequence[str]) -> list[str]:
        """Return a tag for each token.

        Parameters
        ----------
        tokens : sequence of str
            A text, or a list of words.

        Returns
        -------
        list of str
            The tags.
        """
        kept = tuple(tokens)
        return [
            next(
                self._best[window] for window in self._windows(kept, place) if window in self._best
            )
            for place in range(len(kept))
        ]


class DictionaryTagger:
    """Mark entities that it has seen: from left to right, the longest one at each place.

    What was marked as an entity in fewer than half of the places where it would be found is left out.

    Parameters
    ----------
    sequences : sequence of sequence of str
        Tokens: texts, for their characters, or lists of words.
    tags : sequence of sequence of str
        A tag for each token, as `minigrad.nn.metrics.entities` reads them.

    Raises
    ------
    ArgumentError
        If there are no tokens, there is not one tag for each, or a tag cannot be read.

    Examples
    --------
    >>> tagger = nn.text.DictionaryTagger(["in Rom"], [["O", "O", "O", "B-place", "I-place", "I-place"]])
    >>> tagger("Rome")
    ['B-place', 'I-place', 'I-place', 'O']
    """

    def __init__(self, sequences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> None:
        pairs = _pairs("DictionaryTagger", sequences, tags)
        counts = Counter(
            (tokens[start:stop], kind)
            for tokens, given in pairs
            for kind, start, stop in entities(given)
        )
        self._kinds = _most_frequent(counts)
        self._longest = max(map(len, self._kinds), default=0)
        found = Counter(
            tokens[start:stop] for tokens, _ in pairs for _, start, stop in self._find(tokens)
        )
        self._kinds = {
            name: kind
            for name, kind in self._kinds.items()
            if 2 * counts[name, kind] >= found[name]
        }

    def _find(self, tokens: tuple[str, ...]) -> Iterator[Entity]:
        start = 0
        while start < len(tokens):
            for stop in range(min(start + self._longest, len(tokens)), start, -1):
                kind = self._kinds.get(tokens[start:stop])
                if kind is not None:
                    yield Entity(kind, start, stop)
                    start = stop
                    break
            else:
                start += 1

    def __call__(self, tokens: Sequence[str]) -> list[str]:
        """Return a tag for each token.

        Parameters
        ----------
        tokens : sequence of str
            A text, or a list of words.

        Returns
        -------
        list of str
            ``O``, or ``B`` and ``I`` with the kinds of entities.
        """
        return entity_tags(self._find(tuple(tokens)), len(tokens))


def _pairs(
    of: str, sequences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]
) -> list[tuple[tuple[str, ...], Sequence[str]]]:
    if list(map(len, sequences)) != list(map(len, tags)) or not any(map(len, tags)):
        raise ArgumentError(f"{of}: give sequences of tokens, and a tag for each of their tokens")
    return list(zip(map(tuple, sequences), tags, strict=True))


def _most_frequent(counts: Counter[tuple[Any, str]]) -> dict[Any, str]:
    """Return for each first entry the second one it has most often, of equal ones the first seen."""
    return {given: found for (given, found), _ in reversed(counts.most_common())}
