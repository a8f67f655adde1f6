"""Where generated sources and what is compiled from them are kept."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


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
    is_private = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if is_private and not folder.is_symlink() else None
