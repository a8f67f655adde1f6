"""Mistakes on a command line are answered with one line; other errors keep their traceback."""

import argparse
import shlex
import subprocess
import sys

import pytest

from minigrad import errors
from minigrad.nn.training.parser import Parser, number


@pytest.fixture
def parser():
    parser = Parser(prog="program")
    parser.add_argument("--count", type=number(int, 1, 100), default=3)
    parser.add_argument("--rate", type=number(float, 1e-9, 1))
    parser.add_argument("--cell", choices=("gru", "lstm"))
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--crf", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--prompt", default="")
    return parser


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "argument --count: '0' is not a whole number from 1 to 100"),
        (["--count", "101"], "argument --count: '101' is not a whole number from 1 to 100"),
        (["--count", "2.5"], "argument --count: '2.5' is not a whole number from 1 to 100"),
        (["--count", "many"], "argument --count: 'many' is not a whole number from 1 to 100"),
        (["--count", ""], "argument --count: '' is not a whole number from 1 to 100"),
        (["--count", "9" * 5000], "9' is not a whole number from 1 to 100"),
        (["--count"], "argument --count: expected one argument"),
        (["--rate", "nan"], "argument --rate: 'nan' is not a number from 1e-09 to 1"),
        (["--rate", "inf"], "argument --rate: 'inf' is not a number from 1e-09 to 1"),
        (["--rate", "1e999"], "argument --rate: '1e999' is not a number from 1e-09 to 1"),
        (["--rate", "0,5"], "argument --rate: '0,5' is not a number from 1e-09 to 1"),
        (["--cell", "rnn"], "argument --cell: invalid choice: 'rnn' (choose from"),
        (["--wrong"], "unrecognized arguments: --wrong"),
        (["--qiuck=3"], "unrecognized arguments: --qiuck=3; did you mean '--quick'?"),
        (["--wro\nng"], "unrecognized arguments: --wro ng"),
    ],
)
def test_mistakes_are_one_line_and_status_2(parser, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(arguments)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("program: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_numbers_within_their_bounds(parser):
    read = number(int, -3, 3)
    assert [read("-3"), read("0"), read("3")] == [-3, 0, 3]
    assert number(float, 0, 1)("1e-3") == 0.001
    options = parser.parse_args(["--count", "100", "--rate", "1"])
    assert (options.count, options.rate) == (100, 1.0)
    assert isinstance(options.count, int)


# running


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_the_status_is_what_the_program_returns(parser, capsys, returned, status):
    assert parser.run(lambda: returned) == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.ArgumentError("two\n  lines; do this"), "two lines; do this"),
        (errors.FileFormatError("a bad file"), "a bad file"),
        (errors.BackendError("no GPU"), "no GPU"),
        (
            MemoryError("Unable to allocate 3 TiB"),
            "out of memory: Unable to allocate 3 TiB; choose",
        ),
        (MemoryError(), "out of memory; choose smaller sizes"),
        (FileNotFoundError(2, "No such file; check the path", "a/b"), "a/b: No such file; check"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (OSError("broken"), "broken"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(parser, capsys, error, message):
    def program():
        raise error

    with pytest.raises(SystemExit) as ended:
        parser.run(program)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"program: {message}")
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_an_interrupt_is_status_130(parser, capsys):
    def program():
        raise KeyboardInterrupt

    assert parser.run(program) == 130
    assert capsys.readouterr() == ("", "stopped\n")


@pytest.mark.parametrize(
    "error", [ValueError("mine"), KeyError(1), ZeroDivisionError(), SystemExit(5)]
)
def test_other_errors_pass(parser, error):
    def program():
        raise error

    with pytest.raises(type(error)) as caught:
        parser.run(program)
    assert caught.value is error


# commands


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"count": 3},
        {"count": 4, "rate": 0.25, "cell": "lstm", "top_k": 5, "quick": True, "crf": False},
        {"prompt": 'it\'s\n a "test" $HOME `ls` *'},
        {"prompt": "--count"},
        {"prompt": "-1"},
    ],
)
def test_a_command_gives_the_options_again(parser, monkeypatch, options):
    monkeypatch.setattr(sys, "argv", ["the program.py", "--something"])
    usual = vars(parser.parse_args([]))
    command = parser.command(**usual | options)
    done = subprocess.run(  # what a shell makes of it
        f'python() {{ printf "%s\\0" "$@"; }}; python {command}',
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    interpreter, program, *arguments = done.stdout.split("\0")[:-1]
    assert (interpreter, program) == (sys.executable, "the program.py")
    assert vars(parser.parse_args(arguments)) == usual | options
    given = {name: value for name, value in options.items() if value != usual[name]}
    assert len(arguments) == len(given)
    assert shlex.split(command) == [interpreter, program, *arguments]


def test_a_command_leaves_out_what_is_usual(parser, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program.py"])
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert (
        parser.command(count=3, rate=None, quick=False, prompt="") == "/usr/bin/python3 program.py"
    )
    assert parser.command(top_k=2, quick=True) == "/usr/bin/python3 program.py --top-k=2 --quick"


def test_an_option_that_is_absent_by_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program.py"])
    parser = Parser()
    parser.add_argument("--seed", type=int, default=argparse.SUPPRESS)
    assert parser.command(seed=0).endswith("program.py --seed=0")
