"""Compiled catalogues of GNU gettext: the messages of a program, and what they are in a language."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from minigrad.errors import ArgumentError, FileFormatError


def read_catalogue(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yield each message that is translated, and its translation: of plural forms the first ones.

    White space around them is left out.

    Raises
    ------
    ArgumentError
        If the file cannot be read.
    FileFormatError
        If it is no catalogue.
    ImportError
        If Babel, which reads it, is not installed.
    """
    try:
        from babel.messages.mofile import read_mo
    except ImportError:
        raise ImportError(
            f"Babel reads {path}, a catalogue; install it with: pip install babel"
        ) from None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        catalogue = read_mo(BytesIO(content))
    except (OSError, struct.error, ValueError, LookupError, TypeError):
        raise FileFormatError(
            f"{path} is no compiled catalogue; give the .mo file that msgfmt writes, or a text file of "
            "another name"
        ) from None
    for message in catalogue:
        source, target = map(_first, (message.id, message.string))
        if source and target:
            yield source, target


def _first(forms: Any) -> str:
    text: str = forms if isinstance(forms, str) else forms[0]
    return text.strip()
