"""One training step of the networks of examples, at the sizes of the examples, as `fit` does it.

Texts are drawn at random. Their lengths are about those of the example's data, and alike in a batch, as
buckets make them.
"""

import importlib.util
import sys
from types import SimpleNamespace

import numpy
from measuring import ROOT

import minigrad as mg
from minigrad import nn
from minigrad.nn.training.loop import Loop

TINY = {"hidden": 8, "batch": 4, "seq_len": 5}  # for the tests of the benchmark


def word_lm(example, given, draw):
    """A language model of words: LSTM, tied softmax, with the state of the step before."""
    size = 50 if given.tiny else 10_000
    codes, targets = (draw.integers(0, size, (given.seq_len, given.batch)) for _ in range(2))
    batch = mg.tensor(codes), mg.tensor(targets)
    return example.WordModel(size, given), batch, nn.SequenceLoss(), f"{size:,} words"


def sentiment(example, given, draw):
    """A classifier of texts: LSTM from both ends, mean of the outputs, and a sum over what occurs."""
    characters, runs = (50, 80) if given.tiny else (3900, 200_000)
    lengths = alike(7 if given.tiny else 70, given.batch, draw)
    read = [draw.integers(1, characters, length) for length in lengths]
    occurring = [draw.integers(1, runs, 3 * length - 3) for length in lengths]
    fields = read, occurring, draw.integers(0, 2, given.batch)
    (batch,) = nn.data.batches(fields, given.batch)
    model = example.Classifier(given, characters, runs, 2)
    return model, batch, nn.CrossEntropyLoss(), f"{characters:,} characters and {runs:,} runs"


def date_translation(example, given, draw):
    """Encoder from both ends and decoder with attention, taught with what is to be written."""
    signs, length = (20, 6) if given.tiny else (550, 16)
    texts = [draw.integers(1000, 1000 + signs, n) for n in alike(length, given.batch, draw)]
    dates = draw.integers(0, 28, given.batch)
    pairs = [
        ("".join(map(chr, text)), f"2026-11-{d + 1:02}")
        for text, d in zip(texts, dates, strict=True)
    ]
    every = "".join(map(chr, range(1000, 1000 + signs))), "-0123456789"
    model = example.Translator([every, *pairs], given)
    (batch,) = model.batches(pairs, given.batch)
    loss = nn.SequenceLoss()
    return model, batch, loss, f"{signs} characters, 11 steps written"


def alike(mean, count, draw):
    """Return lengths that differ by a tenth from their mean, or by one."""
    spread = max(1, mean // 10)
    return draw.integers(mean - spread, mean + spread + 1, count)


CASES = {case.__name__: case for case in (word_lm, sentiment, date_translation)}
CARRIES_STATE = {"word_lm"}


class Ours:
    """The network of an example, with one batch."""

    def __init__(self, name, tiny=False, **changed):
        example = _example(name)
        usual = {key: setting.default for key, setting in example.PROGRAM.settings.items()}
        small = {key: value for key, value in TINY.items() if tiny and key in usual}
        self.given = SimpleNamespace(**usual | small | changed, device="cpu", tiny=tiny)
        mg.manual_seed(0)
        draw = numpy.random.default_rng(0)
        self.model, self.batch, loss, sizes = CASES[name](example, self.given, draw)
        read = self.batch[0]
        steps = len(read.values if isinstance(read, tuple) else read)
        self.shape = f"{steps} steps, batch {self.given.batch}, width {self.given.hidden}, {sizes}"
        self.parameters = dict(self.model.named_parameters())
        optimizer = nn.optim.Adam(self.model.parameters(), lr=self.given.lr)
        run = nn.training.Run(self.model, optimizer, [self.batch], 1)
        self.loop = Loop(run, loss, clip_norm=1.0, carry_state=name in CARRIES_STATE)

    def update(self):
        """Make one update; return the loss before it."""
        self.loop.update([self.batch])
        return self.loop.run.loss

    def gradients(self):
        """Return those of the last update, clipped, by the names of the parameters."""
        return {name: p.grad.numpy() for name, p in self.parameters.items()}

    def shape(self):
        """Return in words how large the network and the batch are."""
        T, N = (
            self.batch[0].values.shape if isinstance(self.batch[0], tuple) else self.batch[0].shape
        )
        return f"{T} steps, {N} sequences, width {self.given.hidden}, {self.sizes}"


def _example(name):
    path = ROOT / "examples" / f"{name}.py"
    where = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(where)
    sys.path.append(str(path.parent))  # as Python does for a script
    where.loader.exec_module(module)
    return module
