"""Where generated sources and what is compiled from them are kept."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

NOWHERE = Path("<minigrad>")
"""Stands for the folder of what can be kept nowhere."""

_warned = False


def in_cache_folder(use: Callable[[Path], Result]) -> Result | None:
    """Return ``use(folder)`` for the first of `cache_folders` with which it raises no ``OSError``.

    Warns, once in a process, if that is not the first of all. Returns None if there is none.
    """
    failures: list[OSError] = []
    try:
        for folder in cache_folders():
            try:
                result = use(folder)
            except OSError as failure:
                failures.append(failure)
                continue
            if failures:
                _warn(failures[0], f"using {folder}, which may be emptied at any time")
            return result
    except OSError:  # not even a folder for temporary files
        pass
    _warn(failures[0], "each process compiles anew")
    return None


def _warn(failure: OSError, instead: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"the cache of compiled loops cannot be written ({failure}); {instead}; "
            "set MINIGRAD_CACHE_DIR to a folder that can be written",
            stacklevel=2,
        )


def obstacle(folder: Path) -> OSError | None:
    """Return why nothing can be written into a folder, which is made if need be; None if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error


def usable(folder: Path) -> Path:
    """Return a folder that holds something already, or can be written.

    Raises
    ------
    OSError
        If it does and can not.
    """
    if (error := obstacle(folder)) is not None and not any(folder.iterdir()):
        raise error
    return folder


def cache_folders() -> Iterator[Path]:
    """Yield the folders to try, best first; they need not exist.

    The first is ``MINIGRAD_CACHE_DIR`` if it is set, else ``minigrad`` in the user's cache folder.
    The last are folders for temporary files that belong to this user alone: compiled code is loaded
    from them.
    """
    chosen = os.environ.get("MINIGRAD_CACHE_DIR")
    if chosen:
        yield Path(chosen).expanduser().absolute()
    elif (user := _user_cache_folder()) is not None:
        yield user / "minigrad"
    if (shared := _private(Path(tempfile.gettempdir()) / f"minigrad-{os.getuid()}")) is not None:
        yield shared
    yield Path(tempfile.mkdtemp(prefix="minigrad-"))


def _user_cache_folder() -> Path | None:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():  # the XDG specification: ignore the others
        return given
    try:
        home = Path.home()
    except RuntimeError:  # a user without an entry, as in some containers
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _private(folder: Path) -> Path | None:
    """Make the folder. Return it if nobody else can have put anything there."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    # A link grants rights to everybody, so it is refused too.
    is_private = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if is_private else None
