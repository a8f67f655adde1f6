"""The folder in which compiled code is kept, as a user asks about it."""

from __future__ import annotations

from pathlib import Path


def cache_folder() -> Path:
    """Return the folder that is used if it can be written."""
    from minigrad.kernels.jit.cache_folder import cache_folders

    return next(cache_folders())


def size(folder: Path) -> int:
    """Return how many bytes the files in a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
