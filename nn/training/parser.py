"""A parser of command lines that answers mistakes with one line and exit status 2."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from minigrad.errors import MinigradError, suggestion


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line: the name of the program, and what is wrong.

    Examples
    --------
    >>> parser = nn.training.Parser(prog="train")
    >>> action = parser.add_argument("--epochs", type=int, default=3)
    >>> parser.parse_args(["--epochs", "5"]).epochs
    5
    """

    def error(self, message: str) -> NoReturn:
        """End the program with exit status 2.

        Parameters
        ----------
        message : str
            What is wrong.

        Returns
        -------
        NoReturn
            Never.

        Raises
        ------
        SystemExit
            Always.
        """
        if message.startswith("unrecognized arguments: "):
            flag = message.split()[2].partition("=")[0]
            message += suggestion(flag, list(self._option_string_actions))
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")

    def command(self, **options: Any) -> str:
        """Return a shell command that starts this program with these options.

        Options that are None or False, or have their usual value, are left out.

        Parameters
        ----------
        **options : Any
            Values by the names that ``parse_args`` gives them.

        Returns
        -------
        str
            The command.
        """
        words = [sys.executable, sys.argv[0]]
        for name, value in options.items():
            usual = self.get_default(name)
            if value is not None and value != (False if usual is None else usual):
                flag = name.replace("_", "-")
                given = (
                    {True: f"--{flag}", False: f"--no-{flag}"} if isinstance(value, bool) else {}
                )
                words.append(given.get(value, f"--{flag}={value}"))
        return shlex.join(words)

    def run(self, program: Callable[[], int | None]) -> int:
        """Call ``program`` and return the exit status.

        What minigrad refuses, files that cannot be read or written, and a lack of memory end the
        program with one line and status 2; Ctrl-C ends it with status 130. Other errors are mistakes
        of the program and keep their traceback.

        Parameters
        ----------
        program : callable
            Returns an exit status, or None for 0.

        Returns
        -------
        int
            The exit status.
        """
        try:
            return program() or 0
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130
        except MinigradError as error:
            self.error(str(error))
        except MemoryError as error:
            reason = f": {error}" if str(error) else ""
            self.error(f"out of memory{reason}; choose smaller sizes")
        except OSError as error:
            self.error(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def number(kind: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    """Return a ``type=`` for arguments: numbers from ``low`` to ``high``, both included.

    Parameters
    ----------
    kind : {int, float}
        What the text becomes.
    low : float
        The smallest number.
    high : float
        The largest number.

    Returns
    -------
    callable
        From a text to a number.

    Examples
    --------
    >>> nn.training.number(int, 1, 10)("7")
    7
    """

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is not a {what} from {low} to {high}")
        return value

    return read
