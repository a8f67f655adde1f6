"""Tokens as numbers: characters, words, tags, or whatever else is written as a str.

The numbers are those of the special tokens, in the order given, and then of the tokens of a text in the
order of their code points. So they follow from which tokens are kept, and not from where these stand.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.checks import check_flag, check_integer
from minigrad.errors import ArgumentError, FileFormatError
from minigrad.files import file_name, read_file, replace_file
from minigrad.nn.checks import check_counts, entry_of

Codes = np.ndarray[Any, Any]

_UNKNOWN = "<unk>"


class Vocabulary:
    """The tokens of a text, numbered: special ones first, then the others in the order of code points.

    Parameters
    ----------
    tokens : str or iterable
        A str, for its characters; a list of tokens, such as words; or a list of lists of tokens.
    specials : iterable of str
        Tokens that stand for something else than text, such as ``<unk> <eos> <pad> <bos>``. With
        ``<unk>``, a token that is not in the vocabulary is encoded as this one.
    min_count : int
        Tokens that occur less often are left out.
    max_size : int, optional
        How many numbers there are at most, with the specials: the most frequent tokens are kept, of
        equally frequent ones the first in the order of code points.

    Attributes
    ----------
    tokens : tuple of str
        The position of a token is its number.
    specials : tuple of str
        Those that come first.
    counts : dict from str to int
        How often each token occurs in the text, in the order of ``tokens``; ``<unk>`` has the
        occurrences of all that were left out, beside its own.

    Raises
    ------
    ArgumentError
        If there is no token, one is no str, or a special is named twice; if tokens would be left out and
        there is no ``<unk>``; or if a count is not positive.

    Examples
    --------
    >>> characters = nn.text.Vocabulary("hello")
    >>> characters.decode(characters.encode("hole"))
    'hole'
    >>> words = nn.text.Vocabulary(["a", "b", "a", "c"], specials=["<unk>", "<eos>"], max_size=3)
    >>> words.tokens
    ('<unk>', '<eos>', 'a')
    >>> words.decode(words.encode(["a", "b", "<eos>"]))
    ['a', '<unk>', '<eos>']
    """

    def __init__(
        self,
        tokens: str | Iterable[Any],
        *,
        specials: Iterable[str] = (),
        min_count: int = 1,
        max_size: int | None = None,
    ) -> None:
        (least,) = check_counts("Vocabulary", min_count=min_count)
        named = _tokens_of("Vocabulary: the specials", specials)
        found = Counter(tokens if isinstance(tokens, str) else _flat(tokens))
        if twice := [name for name, count in Counter(named).items() if count > 1]:
            raise ArgumentError(
                f"Vocabulary: the special {twice[0]!r} is named twice; name it once"
            )
        if not found:
            raise ArgumentError("Vocabulary: the text is empty; give one with characters or tokens")
        kept = [token for token, n in found.items() if n >= least and token not in named]
        if max_size is not None:
            (most,) = check_counts("Vocabulary", max_size=max_size)
            if most <= len(named):
                raise ArgumentError(
                    f"Vocabulary: max_size is {most}, and the specials take {len(named)}; give more"
                )
            kept = sorted(kept, key=lambda token: (-found[token], token))[: most - len(named)]
        counts = {token: found[token] for token in (*named, *sorted(kept))}
        if left := found.total() - sum(counts.values()):
            if _UNKNOWN not in counts:
                raise ArgumentError(
                    f"Vocabulary: {left} tokens of the text would be left out, and nothing stands for "
                    f"them; add {_UNKNOWN!r} to the specials"
                )
            counts[_UNKNOWN] += left
        self._set(counts, named, isinstance(tokens, str))

    def _set(self, counts: dict[str, int], specials: tuple[str, ...], characters: bool) -> None:
        self.counts, self.specials, self._characters = counts, specials, characters
        self.tokens = tuple(counts)
        self._numbers = {token: number for number, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        """Return how many numbers there are."""
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        """Say whether a token has a number of its own."""
        return token in self._numbers

    def __repr__(self) -> str:
        return f"<vocabulary of {len(self)} {self._kind}>"

    @property
    def _kind(self) -> str:
        return "characters" if self._characters else "tokens"

    @property
    def unk(self) -> int | None:
        """The number of ``<unk>``, which stands for what is not in the vocabulary; None without it."""
        return self._numbers.get(_UNKNOWN)

    @property
    def eos(self) -> int | None:
        """The number of ``<eos>``, the end of a sequence; None without it."""
        return self._numbers.get("<eos>")

    @property
    def pad(self) -> int | None:
        """The number of ``<pad>``, which fills a sequence up; None without it."""
        return self._numbers.get("<pad>")

    @property
    def bos(self) -> int | None:
        """The number of ``<bos>``, the beginning of a sequence; None without it."""
        return self._numbers.get("<bos>")

    def encode(self, tokens: str | Iterable[str]) -> Codes:
        """Return the number of each token.

        Parameters
        ----------
        tokens : str or iterable of str
            One sequence: a list of tokens, or of a vocabulary of characters also a str.

        Returns
        -------
        array of int64
            Shape (number of tokens,).

        Raises
        ------
        ArgumentError
            If a token is no str, or is not in the vocabulary and this has no ``<unk>``; or for a str, if
            the vocabulary is not one of characters.
        """
        if isinstance(tokens, str) and not self._characters:
            raise ArgumentError(
                f"encode: the vocabulary is one of tokens, and {tokens[:20]!r} is a str; cut it into "
                "tokens as the text of the vocabulary was, such as with nn.text.words()"
            )
        given = tuple(tokens) if isinstance(tokens, str) else _tokens_of("encode: the text", tokens)
        usual = -1 if self.unk is None else self.unk
        codes = np.fromiter(
            (self._numbers.get(token, usual) for token in given), np.int64, len(given)
        )
        if self.unk is None and (codes < 0).any():
            raise ArgumentError(
                f"the {self._kind[:-1]} {given[int(np.argmin(codes))]!r} does not occur in the text that "
                f"the vocabulary was made of; leave it out, or make it with {_UNKNOWN!r} as a special"
            )
        return codes

    def decode(self, codes: Iterable[Any], specials: bool = True) -> Any:
        """Return the tokens of these numbers.

        Parameters
        ----------
        codes : iterable of int
            Numbers that `encode` gives.
        specials : bool
            Whether special tokens are kept.

        Returns
        -------
        str or list of str
            One token for each number: of a vocabulary of characters in a str, of others in a list.

        Raises
        ------
        ArgumentError
            If ``codes`` is no row of integers, or a number stands for no token.
        """
        if isinstance(codes, (str, bytes, bytearray)) or not isinstance(codes, Iterable):
            raise ArgumentError(
                f"decode: codes must be a row of integers, not {codes!r}; encode() makes one"
            )
        numbers = [check_integer("decode", "each code", code) for code in codes]
        for number in numbers:
            if not 0 <= number < len(self):
                raise ArgumentError(
                    f"decode: {number} stands for no {self._kind[:-1]}; the numbers go from 0 to "
                    f"{len(self) - 1}"
                )
        first = 0 if check_flag("decode", "specials", specials) else len(self.specials)
        found = [self.tokens[number] for number in numbers if number >= first]
        return "".join(found) if self._characters else found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary to a file of JSON, one token a line, with its count.

        Parameters
        ----------
        path : str or path-like
            Usually ends in ``.json``. A crash while it is written leaves what was there before.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        name = file_name(path, "Vocabulary.save")
        content = {
            "vocabulary": 1,
            "characters": self._characters,
            "specials": self.specials,
            "counts": self.counts,
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        halves = re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)
        replace_file(name, [halves.encode()], f"saving {name!r}")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Return the vocabulary that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        Vocabulary
            Equal to the one that was saved.

        Raises
        ------
        FileFormatError
            If the file holds something else.
        OSError
            If it cannot be read.
        """
        name = file_name(path, "Vocabulary.load")
        content = read_file(name, f"loading {name!r}")
        try:
            found = json.loads(content)
        except ValueError:  # also what is no UTF-8
            found = None
        match found:
            case {
                "vocabulary": 1,
                "characters": bool(characters),
                "specials": list(named),
                "counts": dict(counts),
            } if counts and list(counts)[: len(named)] == named:
                made = cls.__new__(cls)
                made._set(counts, tuple(named), characters)
                return made
        raise FileFormatError(
            f"loading {name!r}: it holds no vocabulary; give a file that Vocabulary.save() wrote"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the tokens.

        Returns
        -------
        dict
            Plain data, which `load_state_dict` takes.
        """
        return {"tokens": list(self.tokens), "specials": len(self.specials)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Refuse the tokens of another text.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned.

        Raises
        ------
        ArgumentError
            If the tokens are others.
        """
        own = self.state_dict()
        if any(entry_of(state, name) != value for name, value in own.items()):
            raise ArgumentError(
                f"the text has other {self._kind} than the one that the state belongs to; give the text "
                "that the run began with"
            )


def _flat(tokens: Any) -> Iterable[str]:
    """Yield the tokens of a list, or of a list of lists."""
    for number, item in enumerate(_items_of("Vocabulary: the text", tokens)):
        if isinstance(item, str):
            yield str(item)  # NumPy's is one, too
        else:
            yield from _tokens_of(f"Vocabulary: sequence {number}", item)


def _tokens_of(of: str, tokens: Any) -> tuple[str, ...]:
    found = tuple(_items_of(of, tokens))
    wrong = next((number for number, token in enumerate(found) if not isinstance(token, str)), None)
    if wrong is not None:
        raise ArgumentError(f"{of} must hold str, but token {wrong} is {found[wrong]!r}")
    return tuple(map(str, found))


def _items_of(of: str, tokens: Any) -> Iterable[Any]:
    if not isinstance(tokens, Iterable) or isinstance(tokens, (str, bytes, bytearray, Mapping)):
        either = "a list of tokens" if isinstance(tokens, str) else "a str or a list of tokens"
        advice = "decode bytes with .decode('utf-8')"
        if isinstance(tokens, Mapping):
            advice = "give each token as often as it occurs"
        raise ArgumentError(f"{of} must be {either}, not a {type(tokens).__name__}; {advice}")
    return tokens
