"""Where Numba keeps what it compiles of this folder: beside the generated sources, by content.

Numba takes a compiled function from its cache if the file of the function is what it was. It does not
look at the files of other functions that were inlined. Here one digest of all files names the folder, so
that what was compiled of other sources is never taken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

from minigrad.kernels.cache import library_digest
from minigrad.kernels.cache_folder import in_cache_folder

_HERE = Path(__file__).parent


def keep_by_content() -> None:
    """Let Numba keep the functions of this folder by content; those of others stay where they are."""
    caching.CacheImpl._locator_classes = [_Locator, *caching.CacheImpl._locator_classes]


class _Locator(caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """Tells Numba the folder for one function."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file = file
        self._lineno = function.__code__.co_firstlineno
        self._cache_path = str(_folder(numba.config.CACHE_DIR))

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator | None:
        return cls(function, file) if Path(file).parent == _HERE else None


@cache
def _folder(chosen: str) -> Path:
    """Return a folder that can be written: in Numba's own, if the user chose one."""
    return _made(Path(chosen)) if chosen else in_cache_folder(_made)


def _made(root: Path) -> Path:
    folder = root / f"cpu-{library_digest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # it can be written
        return folder
