"""The switch that turns the compiler of loops off, for a process."""

from __future__ import annotations

import os


class Switch:
    """Whether every loop is interpreted.

    It is read from the environment once: to look there takes a tenth of a step of a stream.
    """

    def __init__(self) -> None:
        self.is_off = os.environ.get("MINIGRAD_COMPILE") == "0"


switch = Switch()
