"""Train recurrent cells on the same text with the same budget, and put their scores side by side.

Each cell predicts the next character of the language reference that comes with Python, from the same
batches in the same number of updates; one of them is a user's own, of custom_cell.py. Beside them stand
what can be known without memory (a bigram model) and the best model that counts longer stretches.
"""

import argparse
import math
import os
import sys
from statistics import median
from time import perf_counter

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import minigrad as mg
from minigrad import nn
from minigrad.nn.data import Streams
from minigrad.nn.text import NGram, Vocabulary, english_text, read_text
from minigrad.nn.training import (
    Callback,
    Program,
    Setting,
    find_cell,
    number,
    plot_curves,
    recurrent_layer,
)


def cells(text):
    """Return names of cells with commas between them, once each is known to be one."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    try:
        for name in names:
            find_cell(name)
    except mg.errors.MinigradError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    labels = [label(name) for name in names]
    for name in labels:
        if labels.count(name) > 1:
            raise argparse.ArgumentTypeError(f"two cells are called {name!r}; rename one")
    return ",".join(names)


def label(cell):
    """Return the name of a cell without the file that it is in."""
    return cell.rpartition(":")[2]


COUNT = number(int, 1, 10**6)
PROGRAM = Program(
    "cells_compared",
    __doc__,
    data="a UTF-8 text (default: Python's language reference)",
    cell=None,
    duration="about 5 minutes",
    settings={
        "cell": Setting(
            cells,
            "rnn,lstm,gru,mingru,custom_cell:fast_grnn",
            "cells with commas between them: rnn, gru, lstm, those of nn.cells.CELLS, and your own as "
            "module:cell or file.py:cell",
        ),
        "hidden": Setting(number(int, 1, 4096), 256, "width of the layer"),
        "seq_len": Setting(COUNT, 64, "steps between two updates"),
        "batch": Setting(COUNT, 32, "streams of text side by side"),
        "epochs": Setting(COUNT, 8, "passes over the text"),
        "lr": Setting(number(float, 1e-9, 1), 0.004, "learning rate; it falls to zero"),
        "limit": Setting(number(int, 100, 10**9), None, "characters to read (default: all)"),
    },
    quick={
        "cell": "rnn,gru,custom_cell:fast_grnn",
        "hidden": 64,
        "seq_len": 32,
        "batch": 8,
        "epochs": 3,
        "lr": 0.01,
        "limit": 40_000,
    },
)


class CharacterModel(nn.Module):
    """Characters in, scores for the next character out."""

    def __init__(self, characters, cell, hidden):
        self.embedding = nn.Embedding(characters, 64)
        self.recurrent = recurrent_layer(cell, 64, hidden)
        self.readout = nn.Linear(hidden, characters)

    def forward(self, codes, state=None):
        """Map codes (T, N) and a state to scores (T, N, characters) and the new state."""
        outputs, state = self.recurrent(self.embedding(codes), state)
        return self.readout(outputs), state


class Stopwatch(Callback):
    """Add to the scores of an epoch how long an update takes; half of them take longer."""

    def on_start(self, run):
        """Begin to measure."""
        self.taken, self.before = [], perf_counter()

    def on_update(self, run):
        """Note how long it took."""
        now = perf_counter()
        self.taken.append(now - self.before)
        self.before = now

    def on_epoch(self, run):
        """Add the median, and leave out the time of the validation."""
        run.scores["milliseconds"] = 1000 * median(self.taken)
        self.on_start(run)


def read(given):
    """Return how many different characters the text has, and its parts: to train on, and held out."""
    text = (read_text(given.data) if given.data else english_text())[: given.limit]
    if len(text) < (least := 10 * (given.batch + 1)):
        found = f"the text has {len(text)} characters, and --batch {given.batch} takes {least}"
        raise mg.errors.ArgumentError(f"{found}; give a longer text or a smaller batch")
    vocabulary = Vocabulary(text)
    codes, cut = vocabulary.encode(text), len(text) * 9 // 10
    return len(vocabulary), codes[:cut], codes[cut:]


def train(given, cell, characters, *parts):
    """Train a model of this cell; return the run."""
    mg.manual_seed(given.seed)  # whichever cells were trained before
    model = CharacterModel(characters, cell, given.hidden).to(given.device)
    training, held_out = (Streams(p, given.batch, given.seq_len, given.device) for p in parts)
    optimizer = nn.optim.Adam(model.parameters(), lr=given.lr)
    updates = given.epochs * len(training)
    return given.fit(
        model, training, nn.SequenceLoss(), optimizer,
        run=label(cell), epochs=given.epochs, validation=held_out, carry_state=True,
        monitor="train_loss", clip_norm=1.0, callbacks=[Stopwatch()],
        scheduler=nn.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, updates),
    )  # fmt: skip


def main(given):
    """Train one cell after the other; print the table, draw the curves."""
    characters, *parts = read(given)
    training, held_out = parts
    counted = {n: NGram(training, characters, n).bits(held_out) for n in range(1, 9)}
    best = min(counted, key=counted.get)
    scores, curves, table = {}, {}, []
    for cell in given.cell.split(","):
        name = label(cell)
        print(f"--- {name} ---")
        run = train(given, cell, characters, *parts)
        weights = sum(p.size for p in run.model.parameters())
        scores[name] = run.history[-1]["loss"] / math.log(2)
        taken = median(row["milliseconds"] for row in run.history)
        table.append(f"{name:<16}{scores[name]:>10.3f}{weights:>12,}{taken:>16.1f}")
        curves[f"{name}, {weights:,} weights"] = [
            (row["updates"] * taken / 1000, row["loss"] / math.log(2)) for row in run.history
        ]
    print(f"\n{'cell':<16}{'bits/char':>10}{'weights':>12}{'ms per update':>16}", *table, sep="\n")
    levels = {"bigram model": counted[2], f"Kneser-Ney {best}-gram": counted[best]}
    picture = given.path("cells.png")
    plot_curves(picture, curves, "seconds of training", "bits per character, held out", levels)
    given.report("bits per character, held out", scores | levels)
    print(f"picture: {picture}")


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
