"""Where texts come from: a file, or the language reference that every Python carries."""

from __future__ import annotations

from pathlib import Path

from minigrad.errors import ArgumentError
from minigrad.files import file_name


def english_text() -> str:
    """Return about 465 000 characters of English: the language reference that Python carries.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> 'Python' in nn.text.english_text()
    True
    """
    from pydoc_data.topics import topics  # large, so it is read only when asked for

    return "\n".join(topics[name] for name in sorted(topics))


def read_text(path: str | Path) -> str:
    """Return the content of a UTF-8 text file, without a byte order mark.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    str
        The text.

    Raises
    ------
    ArgumentError
        If ``path`` is no path, there is no such file, it is empty, or it does not hold text.

    Examples
    --------
    >>> from pathlib import Path
    >>> written = Path("words.txt").write_text("some words")
    >>> nn.text.read_text("words.txt")
    'some words'
    """
    path = file_name(path, "read_text")
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
