"""Where generated sources and what is compiled from them are kept."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from minigrad.errors import KernelError

Result = TypeVar("Result")

_warned = False


def in_cache_folder(use: Callable[[Path], Result]) -> Result:
    """Return ``use(folder)`` for the first of `cache_folders` with which it raises no ``OSError``.

    Warns, once in a process, if that is not the first of all.

    Raises
    ------
    KernelError
        If no folder can be used.
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
                _warn(failures[0], folder)
            return result
    except OSError as failure:  # not even a folder for temporary files
        failures.append(failure)
    raise KernelError(
        "a compiled loop needs a folder for its generated source, and none can be written: "
        f"{'; '.join(map(str, failures))}; "
        "set MINIGRAD_CACHE_DIR to a folder that can be written"
    )


def _warn(failure: OSError, folder: Path) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"the cache of compiled loops cannot be written ({failure}); using {folder}, "
            "which may be emptied at any time; "
            "set MINIGRAD_CACHE_DIR to a folder that can be written",
            stacklevel=2,
        )


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
