"""Each example starts, takes some steps, and its loss falls; bad input ends it with status 2.

That its network beats what it is compared with is in the test file of the example, for `make full`.
"""

import random
from pathlib import Path

import pytest

from minigrad.nn.training.invocation import Invocation

pytestmark = pytest.mark.usefixtures("both_loops")

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "examples").glob("*.py"))
WORDS = "banana bandana cabana canna".split()
TEXT = "--data text.txt --hidden 8 --batch 4 --seq-len 8 --epochs 2 --lr 0.02 --limit 900"
PAIRS = "--data pairs.tsv --hidden 8 --batch 16 --epochs 2 --lr 0.02 --beams 2"
SMALL = {
    "cells_compared": f"{TEXT} --cell lstm",
    "char_lm": TEXT,
    "custom_cell": f"{TEXT} --cases 1 --rounds 1",
    "date_translation": PAIRS,
    "sentiment": "--data texts.tsv --hidden 8 --batch 8 --epochs 2 --lr 0.02",
    "tagging": "--data text.conll --hidden 8 --batch 8 --epochs 2 --lr 0.02",
    "translation": PAIRS,
    "word_lm": TEXT,
}


@pytest.fixture
def losses(monkeypatch):
    """Return a list that gets, for each network that is trained, the losses of its epochs."""
    found, fit = [], Invocation.fit

    def watched(self, *arguments, **options):
        run = fit(self, *arguments, **options)
        found.append([row["train_loss"] for row in run.history])
        return run

    monkeypatch.setattr(Invocation, "fit", watched)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls(run_example, losses, tmp_path, name):
    draw = random.Random(0)
    drawn = [draw.choices(WORDS, k=3) for _ in range(150)]
    (tmp_path / "text.txt").write_text(" ".join(" ".join(words) + "." for words in drawn))
    distinct = {f"{' '.join(words)} {n}": words for n, words in enumerate(drawn)}
    tables = {
        "pairs.tsv": "".join(
            f"{text}\t{words[0].upper()} {text[-2:]}\n" for text, words in distinct.items()
        ),
        "texts.tsv": "".join(f"{words[0]}\t{text}\n" for text, words in distinct.items()),
        "text.conll": "\n".join(
            "".join(f"{word} {word[:3]}\n" for word in words) for words in drawn
        ),
    }
    for file, table in tables.items():
        (tmp_path / file).write_text(table)
    done = run_example(name, *SMALL[name].split())
    assert (done.status, done.err) == (0, "")
    assert losses
    assert all(len(epochs) == 2 and epochs[1] < epochs[0] for epochs in losses), losses


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_ends_it(run_example, name):
    run_example(name, "--hiden", "8").says("unrecognized arguments: --hiden 8")
    run_example(name, "--data", "missing.txt").says("cannot read missing.txt: No such file")
