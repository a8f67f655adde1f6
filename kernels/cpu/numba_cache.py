"""Where Numba keeps what it compiles of this folder and of generated sources: by content.

Numba takes a compiled function from its cache if the file of the function is what it was. It does not
look at the files of other functions that were inlined. Here a digest of all that is compiled names the
folder, so that what was compiled of other sources is never taken. Numba keeps nothing where it cannot
write; here what lies there is read, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

from minigrad.kernels.jit.cache_folder import NOWHERE, in_cache_folder, obstacle, usable
from minigrad.kernels.jit.source_cache import library_digest, sources

_HERE = Path(__file__).parent


def keep_by_content() -> None:
    """Let Numba keep these functions by content; those of others stay where they are."""
    caching.CacheImpl._locator_classes = [_Locator, *caching.CacheImpl._locator_classes]
    caching.FunctionCache._impl_class = _Kept


class _Locator(caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """Tells Numba the folder for one function."""

    def __init__(self, function: Callable[..., Any], file: Path, folder: Path) -> None:
        self._py_file = str(file)
        self._lineno = function.__code__.co_firstlineno
        self._cache_path = str(folder)
        self.is_writable = _is_writable(folder)

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator | None:
        path, chosen = Path(file), numba.config.CACHE_DIR
        if _HERE in path.parents:
            return cls(function, path, _library(chosen))
        if path in sources:
            return cls(function, path, _beside(path, chosen))
        return None

    def get_source_stamp(self) -> str:
        return library_digest()  # what else counts is in the name of the folder

    def get_disambiguator(self) -> str:
        return (
            f"{self._lineno}-{Path(self._py_file).parent.name[:16]}"  # Numba adds the file's name
        )


class _Kept(caching.CompileResultCacheImpl):  # type: ignore[misc]
    """Says to Numba whether what it compiled is to be kept."""

    def check_cachable(self, result: Any) -> bool:
        return getattr(self.locator, "is_writable", True) and bool(super().check_cachable(result))


@cache
def _library(chosen: str) -> Path:
    """Return the folder for the functions of this one: in Numba's own, if the user chose one."""
    name = f"cpu-{library_digest()[:16]}"
    found = _used(Path(chosen) / name) if chosen else None
    return found or in_cache_folder(lambda root: usable(root / name)) or NOWHERE / name


def _beside(source: Path, chosen: str) -> Path:
    """Return the folder for the functions of a generated source."""
    found = _used(Path(chosen) / source.parent.name) if chosen else None
    return found or source.parent / "__pycache__"


def _used(folder: Path) -> Path | None:
    try:
        return usable(folder)
    except OSError:
        return None


@cache
def _is_writable(folder: Path) -> bool:
    return NOWHERE not in folder.parents and obstacle(folder) is None
