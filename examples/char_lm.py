"""Train a recurrent network to predict the next character of a text, and let it write.

By default it reads the language reference that comes with Python, about 465 000 characters of English.
Its score is bits per character on the last tenth of the text, which it was not trained on; beside it
stand the scores of models that only count. Ctrl-C saves the run, and --resume goes on as if nothing had
happened.
"""

import math
import os
import platform
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import minigrad as mg
from minigrad import nn
from minigrad.nn.data import Streams
from minigrad.nn.optim.lr_scheduler import CosineAnnealingLR, LinearLR
from minigrad.nn.text import NGram, Vocabulary, english_text, read_text
from minigrad.nn.training import Callback, Program, Setting, evaluating, number, plot_curves, say

COUNT, SHARE = number(int, 1, 10**6), number(float, 0, 0.99)
SCHEDULES = {"linear": lambda opt, n: LinearLR(opt, 1.0, 0.0, n), "cosine": CosineAnnealingLR}
PROGRAM = Program(
    "char_lm",
    __doc__,
    data="a UTF-8 text (default: Python's language reference)",
    duration="about 8 minutes",
    settings={
        "layers": Setting(number(int, 1, 16), 1, "recurrent layers, one above the other"),
        "hidden": Setting(number(int, 1, 4096), 384, "width of a layer"),
        "dropout": Setting(SHARE, 0.5, "share of the outputs of a layer that is dropped"),
        "weight_decay": Setting(number(float, 0, 10), 0.0, "decay of the weights (AdamW)"),
        "seq_len": Setting(COUNT, 100, "steps between two updates"),
        "batch": Setting(COUNT, 32, "streams of text side by side"),
        "epochs": Setting(COUNT, 16, "passes over the text"),
        "lr": Setting(number(float, 1e-9, 1), 0.004, "learning rate at the start"),
        "schedule": Setting([*SCHEDULES], "linear", "how it falls to zero"),
        "limit": Setting(number(int, 100, 10**9), None, "so many characters (default: all)"),
    },
    quick={"hidden": 96, "dropout": 0.0, "batch": 8, "seq_len": 32, "epochs": 3, "limit": 60_000},
    options={
        "prompt": Setting(str, "", "text that the samples go on from (default: one character)"),
        "temperature": Setting(number(float, 0.01, 100), 0.7, "below 1 likely ones come oftener"),
        "top_k": Setting(COUNT, None, "draw from so many likeliest characters (default: all)"),
    },
)


class CharacterModel(nn.Module):
    """Characters in, scores for the next character out."""

    def __init__(self, characters, cell, hidden, layers, dropout):
        self.embedding = nn.Embedding(characters, 128)
        options = {"num_layers": layers, "dropout": dropout if layers > 1 else 0.0}
        self.recurrent = nn.training.recurrent_layer(cell, 128, hidden, **options)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, characters)

    def forward(self, codes, state=None):
        """Map codes (T, N) and a state to scores (T, N, characters) and the new state."""
        outputs, state = self.recurrent(self.embedding(codes), state)
        return self.readout(self.dropout(outputs)), state

    def step(self, tokens, state=None):
        """Map one character of each stream, (N,), to scores (N, characters) and the new state."""
        outputs, state = self.recurrent.step(self.embedding(tokens), state)
        return self.readout(self.dropout(outputs)), state


def bits(scores, targets):
    """Return the mean number of bits that the model needs for a character."""
    rows = scores.reshape(-1, scores.shape[-1])
    return mg.cross_entropy(rows, targets.reshape(-1)) / math.log(2)


class Writer(Callback):
    """Lets the model write after each epoch."""

    def __init__(self, given, model, vocabulary, start):
        self.given, self.model, self.vocabulary, self.start = given, model, vocabulary, start
        self.generator = mg.Generator(given.seed)  # writing does not change training

    def write(self, length):
        """Return text that the model makes up."""
        choice = {"temperature": self.given.temperature, "top_k": self.given.top_k}
        choice |= {"generator": self.generator, "length": length}
        with evaluating(self.model):
            drawn = nn.decoding.generate(self.model, self.vocabulary.encode(self.start), **choice)
            return self.start + self.vocabulary.decode(drawn)

    def on_epoch(self, run):
        say(f"epoch {run.epoch} writes {self.write(150)!r}")


def main(given):
    """Train, score, write a sample, draw the curves."""
    text = (read_text(given.data) if given.data else english_text())[: given.limit]
    vocabulary, cut = Vocabulary(text), len(text) * 9 // 10
    if len(text) < (least := 10 * (given.batch + 1)):
        found = f"the text has {len(text)} characters, and --batch {given.batch} takes {least}"
        raise mg.errors.ArgumentError(f"{found}; give a longer text or a smaller batch")
    vocabulary.encode(given.prompt)  # to refuse it now, not after the training
    codes, size = vocabulary.encode(text), len(vocabulary)
    parts, cuts = (codes[:cut], codes[cut:]), (given.batch, given.seq_len, given.device)
    training, held_out = (Streams(part, *cuts) for part in parts)
    model = CharacterModel(size, given.cell, given.hidden, given.layers, given.dropout)
    writer = Writer(given, model.to(given.device), vocabulary, given.prompt or text[0])
    optimizer = nn.optim.AdamW(model.parameters(), given.lr, weight_decay=given.weight_decay)
    falling = SCHEDULES[given.schedule](optimizer, given.epochs * len(training))
    kept = {"vocabulary": vocabulary, "generator": writer.generator}
    run = given.fit(
        model, training, bits, optimizer, epochs=given.epochs, validation=held_out,
        monitor="train_loss",  # the held-out text chooses nothing
        scheduler=falling, clip_norm=1.5, carry_state=True, callbacks=[writer], parts=kept,
    )  # fmt: skip
    print(f"\n--- a sample ---\n{writer.write(500)}\n----------------\n")
    levels = {}
    for name, discount in (("Kneser-Ney", 0.75), ("modified Kneser-Ney", None)):
        models = {n: NGram(codes[:cut], size, n, discount=discount) for n in range(1, 9)}
        counted = {n: model.bits(codes[cut:]) for n, model in models.items()}
        levels[f"{name} {min(counted, key=counted.get)}-gram"] = min(counted.values())
    levels |= {"bigram": counted[2], "unigram": counted[1]}
    curves = {"training": run.curve("train_loss"), "validation": run.curve("loss")}
    plot_curves(given.path("loss.png"), curves, "epochs", "bits per character", levels)
    of = given.data or f"Python {platform.python_version()}"  # the text differs
    scores = {given.cell: run.best["loss"], **levels}
    given.report(f"bits per character, held out ({of})", scores)


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
