"""Which versions of packages are there, also where a bundle has left their metadata out."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version


def version_of(package: str) -> str:
    """Return the version of an installed package, or what its module says, or "unknown".

    Raises
    ------
    ImportError
        If there is no such package.
    """
    try:
        return version(package)
    except PackageNotFoundError:
        module = sys.modules.get(package) or import_module(package)
        return str(vars(module).get("__version__", "unknown"))
