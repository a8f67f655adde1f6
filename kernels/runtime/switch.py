"""The switch that turns the compiler of loops off, for a process."""

from __future__ import annotations

import os
import sys
import warnings
from functools import cached_property

from minigrad.errors import ArgumentError, user_stacklevel

_ON = ("1", "on", "true", "yes", "")
_OFF = ("0", "off", "false", "no")


class Switch:
    """Whether every loop is interpreted.

    The environment is read at the first loop, and once: to look there takes a tenth of a step of a
    stream.
    """

    @cached_property
    def is_off(self) -> bool:
        """Say whether nothing is compiled.

        Raises
        ------
        ArgumentError
            If ``MINIGRAD_COMPILE`` is neither on nor off.
        """
        return self.reason is not None

    @property
    def refusal(self) -> str:
        """Return why nothing is compiled, for messages; an empty string if the compiler is on."""
        return f"the compiler is switched off ({self.reason})" if self.is_off else ""

    @cached_property
    def reason(self) -> str | None:
        """Return the variable that turns the compiler off, and its value; None if it is on."""
        given = os.environ.get("MINIGRAD_COMPILE", "")
        if (choice := given.strip().lower()) not in (*_ON, *_OFF):
            raise ArgumentError(
                f"the environment variable MINIGRAD_COMPILE must be one of {', '.join(_ON[:-1])} (loops "
                f"are compiled) or {', '.join(_OFF)} (they are interpreted), not {given!r}; correct it, "
                "or unset it to compile"
            )
        if choice in _OFF:
            return f"MINIGRAD_COMPILE={given}"
        if _numba_is_off():
            warnings.warn(
                "Numba's compiler is turned off (NUMBA_DISABLE_JIT): every loop is interpreted, as with "
                "MINIGRAD_COMPILE=0",
                stacklevel=user_stacklevel(),
            )
            return "NUMBA_DISABLE_JIT"
        return None


def _numba_is_off() -> bool:
    """Say what Numba was told, or will be: it is not loaded for this."""
    if numba := sys.modules.get("numba"):
        return bool(numba.config.DISABLE_JIT)
    try:
        return int(os.environ.get("NUMBA_DISABLE_JIT", "0")) != 0
    except ValueError:  # Numba warns of it, and compiles
        return False


switch = Switch()
