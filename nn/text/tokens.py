r"""Text to tokens and back: characters, or words by the pattern ``\w+|[^\w\s]``, in any alphabet.

To Python's patterns a combining mark is no part of a word, although Hindi, Arabic and the lower case of
the Turkish İ are written with them. Here marks, and the joiners of Persian, belong to their word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from minigrad.checks import check_flag
from minigrad.errors import ArgumentError

_CLOSING = frozenset(".,;:!?%)]}…»”、。，！？；：）」』")
_OPENING = frozenset("([{«“„¿¡（「『#$€£@")
_JOINING = frozenset("'’-/_")


def words(text: str, punctuation: bool = True, lower: bool = True) -> list[str]:
    """Return the words of a text: runs of letters, digits and underscores, and each other sign alone.

    Parameters
    ----------
    text : str
        The text.
    punctuation : bool
        Whether other signs are kept.
    lower : bool
        Whether letters are made small.

    Returns
    -------
    list of str
        The words, without white space.

    Raises
    ------
    ArgumentError
        If ``text`` is no str.

    Examples
    --------
    >>> nn.text.words("Don't panic!")
    ['don', "'", 't', 'panic', '!']
    >>> nn.text.words("Don't panic!", punctuation=False, lower=False)
    ['Don', 't', 'panic']
    """
    text = _prepared("words", text, punctuation, lower)
    return _pattern(bool(punctuation)).findall(text)


def characters(text: str, punctuation: bool = True, lower: bool = False) -> list[str]:
    """Return the characters of a text: its code points, white space among them.

    Parameters
    ----------
    text : str
        The text.
    punctuation : bool
        Whether signs other than letters, digits, underscores and white space are kept.
    lower : bool
        Whether letters are made small.

    Returns
    -------
    list of str
        The characters.

    Raises
    ------
    ArgumentError
        If ``text`` is no str.

    Examples
    --------
    >>> nn.text.characters("Hi, you", punctuation=False)
    ['H', 'i', ' ', 'y', 'o', 'u']
    """
    text = _prepared("characters", text, punctuation, lower)
    if punctuation:
        return list(text)
    return [sign for run in re.findall(rf"{_pattern(False).pattern}|\s", text) for sign in run]


def sentence(words: Iterable[str]) -> str:
    """Return words as a text again, with spaces where English and its relatives put them.

    What `words` forgets, capitals and spaces around signs that join or part words, is only guessed.

    Parameters
    ----------
    words : iterable of str
        The words and signs.

    Returns
    -------
    str
        The text.

    Raises
    ------
    ArgumentError
        If ``words`` is a str, or holds something else than str.

    Examples
    --------
    >>> nn.text.sentence(["don", "'", "t", "panic", "(", "yet", ")", "!"])
    "don't panic (yet)!"
    """
    given = [words] if isinstance(words, str) else list(words)
    if isinstance(words, str) or not all(isinstance(word, str) for word in given):
        raise ArgumentError(f"sentence: words must be a list of str, not {words!r}")
    parts, glued, quoted = [], True, False
    for word in given:
        quote = word == '"'
        joined = glued or word in _CLOSING or word in _JOINING or (quote and quoted)
        parts.append(word if joined else f" {word}")
        quoted ^= quote
        glued = word in _OPENING or word in _JOINING or (quote and quoted)
    return "".join(parts)


@cache
def _pattern(punctuation: bool) -> re.Pattern[str]:
    marks = [chr(n) for n in (*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0))]
    inner = "".join(mark for mark in marks if unicodedata.category(mark)[0] == "M")
    word = rf"\w[\w{inner}\u200c\u200d]*"
    return re.compile(rf"{word}|[^\w\s]" if punctuation else word)


def _prepared(of: str, text: str, punctuation: bool, lower: bool) -> str:
    check_flag(of, "punctuation", punctuation)
    if not isinstance(text, str):
        raise ArgumentError(
            f"{of}: the text must be a str, not a {type(text).__name__}; decode bytes with "
            ".decode('utf-8')"
        )
    return text.lower() if check_flag(of, "lower", lower) else text
