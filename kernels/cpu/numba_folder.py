"""A folder for what Numba compiles of this package, where Numba finds none by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numba

from minigrad.kernels.cache_folder import in_cache_folder


def ensure_numba_folder() -> None:
    """Choose Numba's cache folder if the package and the home are both read-only.

    Numba refuses ``cache=True`` there, for our functions and for those of the user alike.
    """
    try:
        numba.njit(cache=True)(_nothing)
    except RuntimeError:  # "no locator available"
        numba.config.CACHE_DIR = str(in_cache_folder(_numba_folder))


def _nothing() -> None:
    pass


def _numba_folder(cache: Path) -> Path:
    folder = cache / "numba"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # it can be written
        return folder
