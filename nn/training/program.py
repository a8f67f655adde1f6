"""The command line that training programs share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

from minigrad import random
from minigrad.creation import zeros
from minigrad.errors import ArgumentError, MinigradError
from minigrad.nn.training.checkpoint import Checkpoint
from minigrad.nn.training.invocation import Invocation
from minigrad.nn.training.named_cell import find_cell
from minigrad.nn.training.parser import Parser, number


class Setting(NamedTuple):
    """One flag of a `Program`.

    Attributes
    ----------
    kind : callable or sequence of str
        What makes a value of the text, `number` for instance; or the choices; or ``bool`` for a flag
        without a value.
    default : Any
        The value if it is not given: plain data.
    meaning : str
        What ``--help`` says.

    Examples
    --------
    >>> from minigrad.nn.training import Setting, number
    >>> width = Setting(number(int, 1, 4096), 256, "width of a layer")
    """

    kind: Any
    default: Any
    meaning: str


def _cell_name(text: str) -> str:
    try:
        find_cell(text)
    except MinigradError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


class Program:
    """A training program with the flags ``--data --cell --seed --quick --device --out --save --resume``.

    Mistakes of its user are answered with one line and exit status 2. Ctrl-C saves the run, prints the
    command that goes on, and ends the program with status 130. Settings are kept in the checkpoint, and
    ``--resume`` takes them from there.

    Parameters
    ----------
    name : str
        Its name: results go to the folder ``runs/name``.
    description : str
        What ``--help`` begins with, for instance ``__doc__``, of which the first line is shown.
    settings : mapping, optional
        What makes a run the run it is, beside data, cell and seed: from names to `Setting`.
    quick : mapping, optional
        The settings that ``--quick`` stands for.
    options : mapping, optional
        Further flags, of what may change when a run goes on: from names to `Setting`.
    data : str
        What ``--data`` is, and what is read without it.
    cell : str, optional
        The default of ``--cell``; None for a program without that flag.
    duration : str, optional
        How long a run at the defaults takes, said when it begins.

    Raises
    ------
    ArgumentError
        If a name is taken, or ``quick`` names no setting.

    Examples
    --------
    >>> program = nn.training.Program("lines", "Fit a line.", data="a CSV file", cell=None)
    >>> program.run(lambda given: print(given.seed, given.device), ["--seed", "3"])
    3 cpu
    0
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        settings: Mapping[str, Setting] | None = None,
        quick: Mapping[str, Any] | None = None,
        options: Mapping[str, Setting] | None = None,
        data: str,
        cell: str | None = "lstm",
        duration: str | None = None,
    ) -> None:
        self.name, self.description, self.duration = (
            name,
            description.strip().split("\n")[0],
            duration,
        )
        self.settings = {"data": Setting(str, None, data)}
        if cell is not None:
            meaning = "of nn.cells.CELLS, or your own: module:cell or file.py:cell"
            self.settings["cell"] = Setting(
                _cell_name, cell, f"recurrent cell: rnn, gru, lstm, {meaning}"
            )
        self.settings["seed"] = Setting(number(int, 0, 2**63), 0, "where random numbers begin")
        self.options = {
            "device": Setting(str, "cpu", "cpu, cuda or cuda:1"),
            "out": Setting(Path, Path("runs", name), "folder for results"),
            "save": Setting(Path, None, "checkpoint (default: in --out)"),
            "resume": Setting(Path, None, "go on from this checkpoint (default: begin)"),
        }
        for kind, given in ((self.settings, settings or {}), (self.options, options or {})):
            for key, setting in given.items():
                taken = {*self.settings, *self.options, "name", "settings", "options", "quick"}
                if key in taken or hasattr(Invocation, key):
                    raise ArgumentError(f"Program: the name {key!r} is taken; choose another one")
                kind[key] = Setting(*setting)
        self.quick = dict(quick or {})
        for key in self.quick:
            if key not in self.settings:
                raise ArgumentError(f"Program: quick has {key!r}, which is none of the settings")

    def run(
        self, main: Callable[[Invocation], int | None], arguments: Sequence[str] | None = None
    ) -> int:
        """Read the command line, seed the global generator, and call ``main``.

        Parameters
        ----------
        main : callable
            Takes an `Invocation`, and returns an exit status, or None for 0.
        arguments : sequence of str, optional
            The command line, by default that of the process.

        Returns
        -------
        int
            The exit status.

        Raises
        ------
        SystemExit
            With status 2 after a mistake of the user, with status 130 after Ctrl-C.
        """
        if arguments is None and isinstance(sys.stdout, TextIOWrapper):  # pipes, old terminals
            sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        parser = self._parser()
        given = vars(parser.parse_args(arguments))

        def start() -> int | None:
            invocation = self._invocation(parser, given)
            zeros(1, device=invocation.device)  # refuses one that is not there
            random.manual_seed(invocation.seed)
            return main(invocation)

        return parser.run(start)

    def _parser(self) -> Parser:
        parser = Parser(prog=self.name, description=self.description)
        for name, setting in self.settings.items():
            _add(parser, name, setting, argparse.SUPPRESS)
        if self.quick:
            told = ", ".join(f"--{_dashed(name)} {value}" for name, value in self.quick.items())
            parser.add_argument("--quick", action="store_true", help=f"a small run; means {told}")
        for name, setting in self.options.items():
            _add(parser, name, setting, setting.default)
        return parser

    def _invocation(self, parser: Parser, given: dict[str, Any]) -> Invocation:
        options = {name: given[name] for name in self.options}
        chosen = {name: given[name] for name in self.settings if name in given}
        quick = given.get("quick", False)
        if options["resume"] is None:
            usual = {name: setting.default for name, setting in self.settings.items()}
            settings = {**usual, **(self.quick if quick else {}), **chosen}
        elif chosen or quick:
            parser.error(
                "with --resume the settings are those of the checkpoint; leave out the others"
            )
        else:
            match Checkpoint(options["resume"]).parts.get("settings"):
                case {"program": self.name, "settings": dict(settings)} if (
                    settings.keys() == self.settings.keys()
                ):
                    pass
                case _:
                    parser.error(
                        f"{options['resume']} is the checkpoint of another program; give one of this"
                    )
        says = self.duration if options["resume"] is None and not quick else None
        return Invocation(self.name, settings, options, parser.command, says)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _add(parser: Parser, name: str, setting: Setting, default: Any) -> None:
    kind, usual, meaning = setting
    flag, told = f"--{_dashed(name)}", meaning.replace("%", "%%")
    if kind is bool:
        told += f" (default: {'yes' if usual else 'no'})"
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=told)
        return
    if usual not in (None, "") and "(default" not in meaning:
        told += f" (default: {usual})"
    if callable(kind):
        parser.add_argument(flag, type=kind, default=default, help=told, metavar=name.upper())
    else:
        parser.add_argument(flag, choices=list(kind), default=default, help=told)
