"""Generated sources on disk: imported from there, so that Numba keeps what it compiles beside them.

One source is one folder, ``<cache>/<sha256>/kernel.py``. The hash covers everything that what is
compiled depends on, so nothing in the cache is ever out of date and nothing has to be removed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from uuid import uuid4

from minigrad.kernels.jit.cache_folder import NOWHERE, in_cache_folder
from minigrad.versions import version_of

sources: set[Path] = set()
"""The files of generated sources: cpu/numba_cache.py knows them by it."""

_modules: dict[str, ModuleType] = {}
_loading = threading.RLock()


def load_source(text: str, name: str) -> ModuleType:
    """Import generated source text from the cache, writing it there first if need be.

    What lies in the cache is compared with ``text``, so a damaged or edited file never runs.
    Safe in several threads and in several processes at once. What lies in a cache that cannot be
    written is taken from there; for the rest a folder for temporary files is used, with one warning,
    or if there is none, nothing is kept.

    Parameters
    ----------
    text
        A Python module. Functions with Numba's ``cache=True`` are cached beside it.
    name
        What the module's name says, for tracebacks and profilers.

    Returns
    -------
    module
        The same object each time that the process asks for this text.
    """
    key = _key(text)
    with _loading:
        if key not in _modules:
            label = re.sub(r"\W", "_", name)
            _modules[key] = _import(text, _install(text, key), f"minigrad_{label}_{key[:16]}")
        return _modules[key]


def _key(text: str) -> str:
    return hashlib.sha256(f"{_surroundings()}\n{text}".encode()).hexdigest()


@cache
def _surroundings() -> str:
    """Describe what compiled code depends on apart from its source."""
    from minigrad.kernels.cpu.processor import processor

    versions = [f"{package} {version_of(package)}" for package in ("minigrad", "numba", "llvmlite")]
    return "\n".join([*versions, f"Python {sys.version}", processor(), library_digest()])


def library_digest() -> str:
    """Hash what generated code calls. It is inlined there, and Numba does not look for changes."""
    digest = hashlib.sha256()
    for path in _sources(files("minigrad.kernels.cpu")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(folder: Traversable) -> Iterator[Traversable]:
    """Yield the sources in a folder and below, always in one order; also those in a zip archive."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.is_dir():
            yield from _sources(path)
        elif path.name.endswith(".py"):
            yield path


def _install(text: str, key: str) -> Path:
    """Return the path of a file that holds the text, in the best folder that there is.

    If there is none, nothing lies at the path.
    """

    def put(folder: Path) -> Path:
        path = folder / key / "kernel.py"
        _put(text.encode(), path)
        return path

    return in_cache_folder(put) or NOWHERE / key / "kernel.py"


def _put(content: bytes, path: Path) -> None:
    """Make ``path`` hold ``content``; whoever reads it meanwhile sees the old or the new file."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile's: others may read a cache that was filled for them
    temporary = path.with_suffix(f".{uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _import(text: str, path: Path, name: str) -> ModuleType:
    """Run the text as the module that lies at ``path``.

    The text and not the file, so that nothing that was put there in the meantime can run.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sources.add(path)
    code = compile(text, path, "exec")
    try:
        try:
            exec(code, module.__dict__)
        except (EOFError, pickle.UnpicklingError):  # Numba's files were cut off, by a full disk say
            kept = path.parent / "__pycache__"
            shutil.rmtree(kept, ignore_errors=True)
            if kept.exists():  # it cannot be written
                path = NOWHERE / path.parent.name / path.name
                sources.add(path)
            exec(compile(text, path, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _start_anew() -> None:
    """In a forked child no other thread is loading any more."""
    global _loading
    _loading = threading.RLock()


os.register_at_fork(after_in_child=_start_anew)
