"""Files that are read whole, and replaced as a whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from minigrad.errors import ArgumentError, FileFormatError

_ADVICE = {
    errno.ENOENT: "check the path, and that its folder exists",
    errno.ENOTDIR: "check the path, of which a part is a file and no folder",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "choose another place, or change the permissions",
    errno.EROFS: "choose another place",
    errno.ENOSPC: "free some space; a file that was there is as it was",
    errno.EDQUOT: "free some space; a file that was there is as it was",
    errno.EFBIG: "choose another place; a file that was there is as it was",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def file_name(path: Any, doing: str) -> str:
    """Return ``path`` as a str.

    Raises
    ------
    ArgumentError
        If it is no path.
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise ArgumentError(
            f"{doing}: the path, which comes first, must be a str or a Path, "
            f"but is a {type(path).__name__}"
        ) from None
    if "\0" in name:
        raise ArgumentError(f"{doing}: the path {name!r} holds a null character; leave it out")
    return name


def read_file(name: str, doing: str) -> bytes:
    """Return the content of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    FileFormatError
        If it is a device or a pipe, which may have no end.
    """
    with _explaining(doing, name):
        _mode(name, doing)
        with open(name, "rb") as file:
            return file.read()


def replace_file(name: str, parts: Iterable[Any], doing: str) -> None:
    """Write ``parts`` to a file, which at any moment holds either all of them or what it held before.

    A new file gets the usual mode, an existing one keeps its own; a link stays, and the file it points
    to is replaced. When a process is killed here, a file ``.minigrad-*.tmp`` may be left in the folder.

    Raises
    ------
    OSError
        If it cannot be written.
    FileFormatError
        If there is a device or a pipe of that name.
    """
    with _explaining(doing, name):
        target = os.path.realpath(name)
        mode = _mode(target, doing, missing_ok=not name.endswith("/"))
        if mode is not None and not os.access(target, os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        folder = os.path.dirname(target)
        beside = os.path.join(folder, f".minigrad-{secrets.token_hex(8)}.tmp")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with open(os.open(beside, flags, 0o666), "wb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)
        with suppress(OSError):  # the file is in place; some file systems cannot flush a folder
            _flush_folder(folder)


def _flush_folder(folder: str) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _mode(name: str, doing: str, missing_ok: bool = False) -> int | None:
    """Return the permissions of a file, or None if there is none."""
    try:
        found = os.stat(name).st_mode
    except FileNotFoundError:
        if missing_ok:
            return None
        raise
    if stat.S_ISDIR(found):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found):
        raise FileFormatError(f"{doing}: {name!r} is a device or a pipe; name a file")
    return stat.S_IMODE(found)


@contextmanager
def _explaining(doing: str, name: str) -> Iterator[None]:
    """Say in an error of the operating system what was being done, and what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "a file that was there is as it was")
        text = f"{doing}: {error.strerror or error}; {advice}"
        raise OSError(error.errno, text, name) from error
