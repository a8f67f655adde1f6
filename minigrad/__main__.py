"""``python -m minigrad``: what this machine offers, what can be compiled ahead, how large minigrad is."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import NoReturn

from minigrad.commands.info import info
from minigrad.commands.sizes import sizes
from minigrad.commands.warmup import check_cell, warmup
from minigrad.errors import MinigradError


class _Parser(ArgumentParser):
    """Says in one line what is wrong, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        The exit status: 0, or 1 if the command could not do what it is for. A bad argument ends the
        process with 2.
    """
    options = vars(_parser().parse_args(arguments))
    command, run = options.pop("command"), options.pop("run")
    try:
        for line in run(**options):
            print(line, flush=True)
    except MinigradError as error:
        print(f"python -m minigrad {command}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> ArgumentParser:
    parser = _Parser(prog="python -m minigrad", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    text = "tell versions, backends, processor, threads, cache and the speed of products"
    commands.add_parser("info", help=text, description=text).set_defaults(run=info)
    text = (
        "count the lines of source in each folder; in a checkout, those of tests and examples too"
    )
    commands.add_parser("sizes", help=text, description=text).set_defaults(run=sizes)
    text = (
        "compile what is needed once per machine, and the loops of cells, so that the first training "
        "need not wait; widths that are multiples of 16 share one text, others another"
    )
    warm = commands.add_parser("warmup", help=text, description=text)
    warm.set_defaults(run=warmup)
    warm.add_argument("--cells", nargs="+", type=_cell, metavar="NAME", help="default: all")
    warm.add_argument("--input-size", type=_size, default=128, metavar="D", help="default: 128")
    warm.add_argument("--hidden-size", type=_size, default=128, metavar="H", help="default: 128")
    warm.add_argument("--float64", action="store_true", help="compile for float64 too")
    return parser


def _cell(name: str) -> str:
    try:
        check_cell(name)
    except MinigradError as error:
        raise ArgumentTypeError(str(error)) from None
    return name


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no positive integer")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
