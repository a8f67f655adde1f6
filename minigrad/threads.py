"""How many threads a compiled loop may use."""

from __future__ import annotations

import os

from minigrad.checks import check_integer
from minigrad.errors import ArgumentError

_number: int | None = None  # not chosen yet


def get_num_threads() -> int:
    """Return how many threads a compiled loop may use.

    Until `set_num_threads` is called this is the environment variable ``MINIGRAD_NUM_THREADS``,
    or else the number of cores that this process may use.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ArgumentError
        If the environment variable is not a positive integer.

    Examples
    --------
    >>> mg.get_num_threads() >= 1
    True
    """
    if _number is None:
        set_num_threads(_initial_number())
    assert _number is not None
    return _number


def set_num_threads(number: int) -> None:
    """Choose how many threads a compiled loop may use, in the whole process.

    Results do not depend on it, to the last bit. It does not concern the products of NumPy.

    Parameters
    ----------
    number : int
        At least 1.

    Raises
    ------
    ArgumentError
        If ``number`` is not a positive integer.

    Examples
    --------
    >>> before = mg.get_num_threads()
    >>> mg.set_num_threads(2)
    >>> mg.get_num_threads()
    2
    >>> mg.set_num_threads(before)
    """
    global _number
    _number = check_integer("set_num_threads", "the number of threads", number, low=1)


def _initial_number() -> int:
    text = os.environ.get("MINIGRAD_NUM_THREADS", "").strip()
    if not text:
        return _usable_cores()
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentError(
            "get_num_threads: the environment variable MINIGRAD_NUM_THREADS must be a positive "
            f"integer, not {text!r}; correct it, or unset it to use every core"
        )
    return int(text)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
