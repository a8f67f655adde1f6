"""The OpenBLAS inside of NumPy: which of its kernels it took for this processor, and its threads."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

# What comes before and after the names of its functions, in the wheels of NumPy and in others.
_NAMES = (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", ""))


@dataclass(frozen=True)
class OpenBlas:
    """A library that is loaded.

    Attributes
    ----------
    kernel : str
        As OpenBLAS names it, after a processor.
    """

    kernel: str
    _library: Any
    _name: str

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Compute with one thread inside of the block."""
        before = self._function("get_num_threads")()
        self._function("set_num_threads")(1)
        try:
            yield
        finally:
            self._function("set_num_threads")(before)

    def _function(self, name: str) -> Any:
        return getattr(self._library, self._name.format(name))


def openblas() -> OpenBlas | None:
    """Return the OpenBLAS that came with NumPy; None if it brought none."""
    package = Path(numpy.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))
            for before, behind in _NAMES:
                name = f"{before}openblas_{{}}{behind}"
                function = getattr(library, name.format("get_corename"), None)
                if function is not None:
                    function.restype = ctypes.c_char_p
                    return OpenBlas(function().decode(), library, name)
    return None
