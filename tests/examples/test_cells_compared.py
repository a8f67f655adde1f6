"""The comparison of cells: the table and the picture, cells of any kind, mistakes."""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn.text import NGram, Vocabulary, english_text

SMALL = "--hidden 8 --batch 4 --seq-len 8 --epochs 2 --limit 900".split()
SCORE = "bits per character, held out"
OWN = """
import minigrad as mg
from minigrad import nn
from minigrad.kernels import cell

@cell(state="h", params=lambda inputs, hidden: {"w": (hidden, inputs)})
def leaky(x, h, *, w):
    return 0.5 * h + mg.tanh(mg.linear(x, w))
"""


def table(out):
    """Return the rows of the table: name, bits, weights, milliseconds."""
    rows = re.findall(r"(?m)^(\w+) +([\d.]+) +([\d,]+) +([\d.]+)$", out)
    return {name: (float(bits), weights, float(time)) for name, bits, weights, time in rows}


@pytest.mark.full
def test_a_quick_run_beats_what_is_known_without_memory(run_example):
    done = run_example("cells_compared", "--quick", apart=True)
    assert (done.status, done.err) == (0, "")
    scores = done.scores[SCORE]
    assert list(scores) == ["rnn", "gru", "fast_grnn", "bigram model", next(reversed(scores))]
    assert max(scores[name] for name in ("rnn", "gru", "fast_grnn")) < scores["bigram model"] - 0.1
    rows = table(done.out)
    assert [round(scores[name], 3) for name in rows] == [bits for bits, _, _ in rows.values()]
    assert rows["gru"][1] == f"{(done.results / 'cells.png').exists() * weights_of_gru():,}"
    assert all(time > 0 for _, _, time in rows.values())


def weights_of_gru():
    characters = len(Vocabulary(english_text()[:40_000]))
    return characters * 64 + 3 * 64 * (64 + 64 + 2) + characters * 65


@pytest.mark.full
def test_the_baselines_are_counted_on_the_training_part(run_example, tmp_path):
    text = "banana bandana " * 60 + "cabana " * 15
    (tmp_path / "text.txt").write_text(text)
    done = run_example("cells_compared", "--data", "text.txt", *SMALL[:-2], "--cell", "rnn")
    codes = np.unique(list(text), return_inverse=True)[1]
    cut = len(text) * 9 // 10
    bits = [NGram(codes[:cut], 6, order).bits(codes[cut:]) for order in range(1, 9)]
    _, bigram, best = done.scores[SCORE].values()
    assert (bigram, best) == (bits[1], min(bits))


@pytest.mark.full
def test_a_text_in_another_alphabet_and_cells_of_any_kind(run_example, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "text.txt").write_text("быть или не быть, вот в чём вопрос " * 40)
    cells = "mgu, own:leaky"
    done = run_example("cells_compared", "--data", "text.txt", *SMALL, "--cell", cells)
    assert (done.status, done.err) == (0, "")
    assert list(table(done.out)) == ["mgu", "leaky"]
    alone = run_example("cells_compared", "--data", "text.txt", *SMALL, "--cell", "own.py:leaky")
    assert alone.scores[SCORE]["leaky"] == done.scores[SCORE]["leaky"]  # whatever stands beside it


@pytest.mark.full
def test_a_run_goes_on_where_it_was_stopped(run_example, monkeypatch):
    whole = run_example("cells_compared", *SMALL, "--cell", "rnn,gru")
    step, stop = mg.nn.optim.Adam.step, iter(range(1000))

    def interrupted(self):
        if next(stop) == 80:  # in the second epoch of the GRU
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(mg.nn.optim.Adam, "step", interrupted)
        cut = run_example(
            "cells_compared", *SMALL, "--cell", "rnn,gru", "--save", "run.safetensors"
        )
    assert cut.status == 130
    done = run_example("cells_compared", "--resume", "run.safetensors")
    assert done.scores == whole.scores


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell", "rnn,lsmt"], "'lsmt' is no cell; did you mean 'lstm'?"),
        (["--cell", "custom_cell:slow"], "custom_cell has no 'slow'"),
        (["--cell", "a.py:cell,b.py:cell"], "cannot read a.py: No such file"),
        (
            ["--cell", "custom_cell:fast_grnn,custom_cell.py:fast_grnn"],
            "cannot read custom_cell.py",
        ),
        (["--data", "missing.txt"], "cannot read missing.txt"),
        (["--batch", "0"], "'0' is not a whole number from 1 to"),
        (["--limit", "100"], "the text has 100 characters, and --batch 32 takes 330"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_answered_in_one_line(run_example, arguments, message):
    run_example("cells_compared", *arguments).says(message)


def test_two_cells_of_one_name(run_example, tmp_path):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(OWN)
    done = run_example("cells_compared", "--cell", "one.py:leaky,two.py:leaky")
    done.says("two cells are called 'leaky'; rename one")
