"""Checking the sizes that layers are made with."""

from __future__ import annotations

from minigrad.errors import ArgumentError


def check_sizes(of: str, **sizes: int) -> None:
    """Refuse sizes that are not positive integers, with the name of the layer and of the size.

    Raises
    ------
    ArgumentError
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ArgumentError(f"{of}: {name} must be a positive integer, not {size!r}")
