"""The folder in which compiled code is kept, as a user asks about it."""

from __future__ import annotations

import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder that is used if it can be written."""
    from minigrad.kernels.cache_folder import cache_folders

    return next(cache_folders())


def obstacle(folder: Path) -> OSError | None:
    """Return why nothing can be written into a folder, which is made if need be; None if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error


def size(folder: Path) -> int:
    """Return how many bytes the files in a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
