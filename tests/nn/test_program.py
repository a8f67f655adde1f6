"""The command line of training programs: settings, checkpoints, Ctrl-C, several runs, results."""

import json
import re
import signal
import sys
from pathlib import Path

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn.training import Callback, Program, Setting, number


def batch():
    return mg.tensor([[1.0], [2.0], [3.0]]), mg.tensor([[2.0], [4.0], [6.0]])


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield tmp_path
    signal.signal(signal.SIGINT, before)


def program(**changes):
    settings = {
        "hidden": Setting(number(int, 1, 100), 4, "width of a layer"),
        "wide": Setting(bool, False, "whether 100 % is wide"),
        "kind": Setting(["a", "b"], "a", "of what kind"),
    }
    usual = {
        "settings": settings,
        "quick": {"hidden": 2},
        "options": {"top_k": Setting(number(int, 1, 9), None, "how many (default: all)")},
        "data": "a file (default: none)",
        "duration": "3 seconds",
    }
    return Program("demo", "Train something.\nMore of it.", **usual | changes)


class Pressing(Callback):
    """Presses Ctrl-C after some updates of the whole program."""

    def __init__(self, after):
        self.left = after

    def on_update(self, run):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def training(pressing, *runs):
    """Return a main function that trains once for each of the names."""
    found = {}

    def main(given):
        for name in runs:
            model = nn.Sequential(
                nn.Linear(1, given.hidden), nn.Dropout(0.2), nn.Linear(given.hidden, 1)
            )
            optimizer = nn.optim.Adam(model.parameters(), lr=0.1)
            options = {"epochs": 3, "callbacks": [pressing], "progress": False, "run": name}
            found[name] = given.fit(
                model, [batch(), batch()[::-1]], nn.MSELoss(), optimizer, **options
            )
        given.report("error", {name: run.scores["train_loss"] for name, run in found.items()})

    return main, found


def status(made, main, *arguments):
    try:
        return made.run(main, arguments)
    except SystemExit as ended:
        return ended.code


def test_settings_and_options_are_attributes():
    seen = []
    arguments = ["--hidden", "7", "--wide", "--device=cpu", "--top-k", "3", "--data", "x.txt"]
    assert program().run(seen.append, arguments) == 0
    (given,) = seen
    assert (given.hidden, given.wide, given.kind, given.top_k, given.data) == (
        7,
        True,
        "a",
        3,
        "x.txt",
    )
    assert (given.cell, given.seed, given.out) == ("lstm", 0, Path("runs/demo"))
    assert list(given.settings) == ["data", "cell", "seed", "hidden", "wide", "kind"]
    with pytest.raises(
        AttributeError, match="the program has no setting 'hiden'; it has data, cell"
    ):
        _ = given.hiden
    assert not Path("runs").exists()


def test_quick_stands_for_settings_that_may_be_given_all_the_same():
    seen = []
    for arguments in ([], ["--quick"], ["--quick", "--hidden", "9"]):
        program().run(lambda given: seen.append(given.hidden), arguments)
    assert seen == [4, 2, 9]
    assert "--quick" not in program(quick=None)._parser().format_help()


def test_the_seed_is_set():
    seen = []
    for seed in ("3", "3", "4"):
        program().run(lambda given: seen.append(mg.rand(1).item()), ["--seed", seed])
    assert seen[0] == seen[1] != seen[2]


def test_help_tells_every_default(capsys):
    assert status(program(), print, "--help") == 0
    shown = capsys.readouterr().out.split("options:\n")[1]
    flags = [" ".join(text.split()) for text in re.split(r"\n  (?=-)", shown)[1:]]
    assert len(flags) == 12
    assert [flag for flag in flags if "(default: " not in flag and "--quick" not in flag] == []
    assert "--wide, --no-wide whether 100 % is wide (default: no)" in flags
    assert "--quick a small run; means --hidden 2" in flags


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--hidden 0", "argument --hidden: '0' is not a whole number from 1 to 100"),
        ("--kind c", "argument --kind: invalid choice: 'c' (choose from"),
        ("--cell tree", "argument --cell: 'tree' is no cell; give rnn, lstm, gru, rnn_tanh,"),
        ("--cell lstn", "argument --cell: 'lstn' is no cell; did you mean 'lstm'?; give rnn,"),
        ("--cell none.py:f", "argument --cell: cannot read none.py: No such file or directory"),
        ("--device tpu", "unknown device 'tpu'; write \"cpu\""),
        ("--wrong", "unrecognized arguments: --wrong"),
        ("--resume none", "none: load(): No such file or directory"),
        ("--resume other", "other is the checkpoint of another program; give one of this"),
        ("--resume twin", "twin is the checkpoint of another program; give one of this"),
        ("--resume older", "older is the checkpoint of another program; give one of this"),
        ("--resume other --hidden 3", "with --resume the settings are those of the checkpoint"),
        ("--resume other --no-wide", "with --resume the settings are those of the checkpoint"),
        ("--resume other --quick", "with --resume the settings are those of the checkpoint"),
        ("--out file", "file: File exists"),
        ("--save missing/a", "missing/a: save(): No such file or directory"),
    ],
)
def test_mistakes_are_one_line_and_status_2(arguments, message, capsys):
    Path("file").write_text("words")
    nn.save_checkpoint("other", model=nn.Linear(1, 1))
    Program("twin", "Train.", data="none").run(saving("twin"), [])
    program(settings={}, quick={}).run(saving("older"), [])
    capsys.readouterr()
    assert status(program(), training(Pressing(0), None)[0], *arguments.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"demo: {message}")
    assert err.count("\n") == 1
    assert out == ""


def saving(path):
    """Return a main function that leaves a checkpoint."""

    def main(given):
        model = nn.Linear(1, 1)
        given.options["save"] = path
        given.fit(model, [batch()], nn.MSELoss(), nn.optim.SGD(model.parameters(), 0.1), epochs=1,
                  progress=False)  # fmt: skip

    return main


@pytest.mark.parametrize("names", [(None,), ("first", "second")])
@pytest.mark.parametrize("after", [1, 6, 7, 12])
def test_a_program_that_was_stopped_goes_on(names, after, capsys):
    if after > 6 * len(names):
        return
    main, whole = training(Pressing(0), *names)
    assert program().run(main, ["--seed", "5", "--out", "whole"]) == 0
    main, _ = training(Pressing(after), *names)
    arguments = ["--seed", "5", "--out", "it's here", "--top-k", "2"]
    assert status(program(), main, *arguments) == 130
    out = capsys.readouterr().out
    command = out.rpartition("stopped and saved; to go on:\n")[2]
    kept = Path("it's here", "checkpoint.safetensors")
    assert kept.exists()
    assert "--seed" not in command
    assert "--top-k=2" in command
    main, again = training(Pressing(0), *names)
    assert program().run(main, ["--resume", str(kept), "--out", "it's here"]) == 0
    assert {name: run.history for name, run in again.items()} == {
        name: run.history for name, run in whole.items()
    }
    reports = [
        json.loads(Path(folder, "scores.json").read_text()) for folder in ("whole", "it's here")
    ]
    assert reports[0] == reports[1]


def test_a_run_that_another_one_left_is_not_gone_on_with():
    main, first = training(Pressing(0), "a", "b")
    program().run(main, ["--seed", "1"])  # leaves two finished runs
    main, _ = training(Pressing(2), "a", "b")
    assert status(program(), main, "--seed", "2") == 130
    main, again = training(Pressing(0), "a", "b")
    program().run(main, ["--resume", "runs/demo/checkpoint.safetensors"])
    main, whole = training(Pressing(0), "a", "b")
    program().run(main, ["--seed", "2", "--out", "whole"])
    assert again["b"].history == whole["b"].history != first["b"].history


def test_what_is_said_at_the_beginning(capsys):
    for arguments, said in (([], True), (["--quick"], False)):
        main, _ = training(Pressing(0), None)
        program().run(main, arguments)
        out = capsys.readouterr().out
        assert ("at its defaults this takes 3 seconds\n" in out) == said
        assert f"{7 if not said else 13} weights\nSequential(" in out
    program().run(main, ["--resume", "runs/demo/checkpoint.safetensors"])
    assert "weights" not in capsys.readouterr().out  # nothing is left to train


def test_scores_are_printed_and_kept(capsys):
    def main(given):
        given.report("accuracy, held out", {"gru": 0.98765, "baseline": mg.tensor(0.5)})
        given.report("seconds", {"gru": 1})

    program().run(main, ["--out", "a/b"])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["accuracy, held out: gru 0.988, baseline 0.500", "seconds: gru 1.000"]
    found = json.loads(Path("a/b/scores.json").read_text())
    assert found["program"] == "demo"
    assert found["settings"]["hidden"] == 4
    assert found["scores"] == {
        "accuracy, held out": {"gru": 0.98765, "baseline": 0.5},
        "seconds": {"gru": 1.0},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"out": Setting(str, "", "x")}}, "the name 'out' is taken"),
        ({"settings": {"fit": Setting(str, "", "x")}}, "the name 'fit' is taken"),
        ({"settings": {"data": Setting(str, "", "x")}}, "the name 'data' is taken"),
        ({"options": {"hidden": Setting(str, "", "x")}}, "the name 'hidden' is taken"),
        ({"options": {"quick": Setting(str, "", "x")}}, "the name 'quick' is taken"),
        ({"options": {"settings": Setting(str, "", "x")}}, "the name 'settings' is taken"),
        ({"quick": {"hiden": 3}}, "quick has 'hiden', which is none of the settings"),
    ],
)
def test_programs_that_make_no_sense(changes, message):
    with pytest.raises(ArgumentError, match=message):
        program(**changes)


# cells by name

OWN = """
import minigrad as mg
from minigrad import nn
from minigrad.kernels import cell

@cell(state="h", params=lambda inputs, hidden: {"w": (hidden, inputs), "u": (hidden, hidden)})
def mine(x, h, *, w, u):
    return mg.tanh(mg.linear(x, w) + mg.linear(h, u))

class Averaged(nn.Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.inner = nn.Linear(input_size, hidden_size)

    def step(self, x, h):
        return 0.5 * h + 0.5 * self.inner(x)

number = 3
"""


@pytest.mark.usefixtures("both_loops")
@pytest.mark.parametrize("name", ["rnn", *nn.cells.CELLS])
def test_each_cell_of_the_table_makes_a_layer(name):
    layer = nn.training.recurrent_layer(name, 3, 4, num_layers=2, bidirectional=True)
    kinds = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
    assert type(layer) is kinds.get(name, nn.Recurrent)
    assert layer.cell is nn.training.find_cell(name)
    assert layer(mg.zeros((2, 1, 3)))[0].shape == (2, 1, 8)


@pytest.mark.parametrize("place", ["own.py", "folder/own.py", "own"])
def test_cells_of_a_file_of_ones_own(place, monkeypatch):
    path = Path(place).with_suffix(".py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(OWN)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    layer = nn.training.recurrent_layer(f"{place}:mine", 3, 4)
    assert layer(mg.zeros((2, 1, 3)))[0].shape == (2, 1, 4)
    assert layer.cell is nn.training.find_cell(f"{place}:mine")
    layer = nn.training.recurrent_layer(f"{place}:Averaged", 3, 4)
    assert layer(mg.zeros((2, 1, 3)))[0].shape == (2, 1, 4)
    seen = []
    assert program().run(lambda given: seen.append(given.cell), ["--cell", f"{place}:mine"]) == 0
    assert seen == [f"{place}:mine"]
    monkeypatch.delitem(sys.modules, "own", raising=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own.py:min", "own.py has no 'min'; did you mean 'mine'?; its cells are mine, Averaged"),
        ("own.py:zzzzzz", "own.py has no 'zzzzzz'; its cells are mine, Averaged"),
        ("own.py:number", "'own.py:number' is a int and no cell; write @minigrad.kernels.cell"),
        ("own.py:", "'own.py:' is no cell; give rnn"),
        (":mine", "':mine' is no cell; give rnn"),
        ("broken.py:mine", "cannot import broken.py for its cell: SyntaxError: "),
        ("raising.py:mine", "cannot import raising.py for its cell: ZeroDivisionError: division"),
        (
            "no_module_of_this_name:mine",
            "cannot import no_module_of_this_name for its cell: Module",
        ),
        ("folder.py:mine", "cannot read folder.py: Is a directory"),
    ],
)
def test_names_that_stand_for_no_cell(name, message):
    Path("own.py").write_text(OWN)
    Path("broken.py").write_text("def mine(:\n")
    Path("raising.py").write_text("1 / 0\n")
    Path("folder.py").mkdir()
    with pytest.raises(ArgumentError, match=re.escape(message)):
        nn.training.find_cell(name)
