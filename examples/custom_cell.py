"""Write a published recurrent cell in ten lines; see it certified, explained, trained and timed.

The cell is FastGRNN [Kusupati 2018, arXiv:1901.02358]. Its gate and its candidate share their products,
so it has about a quarter of the weights of an LSTM. It is trained next to the cell of --cell to predict
the next character of the language reference that comes with Python. Then a training step of its loop is
timed next to that cell, and next to the same cell as a loop in PyTorch, if PyTorch is there.
"""

import importlib.util
import math
import os
import sys
from statistics import median
from time import perf_counter

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.kernels import cell, certify, explain
from minigrad.nn.data import Streams
from minigrad.nn.text import NGram, Vocabulary, english_text, read_text
from minigrad.nn.training import Program, Setting, number, plot_curves, recurrent_layer

COUNT = number(int, 1, 10**6)
PROGRAM = Program(
    "custom_cell",
    __doc__,
    data="a UTF-8 text (default: Python's language reference)",
    duration="about 2 minutes",
    settings={
        "hidden": Setting(number(int, 1, 4096), 256, "width of a layer"),
        "seq_len": Setting(COUNT, 64, "steps between two updates"),
        "batch": Setting(COUNT, 32, "streams of text side by side"),
        "epochs": Setting(COUNT, 3, "passes over the text"),
        "lr": Setting(number(float, 1e-9, 1), 0.004, "learning rate"),
        "limit": Setting(number(int, 100, 10**9), None, "characters to read (default: all)"),
        "cases": Setting(COUNT, 20, "random cases for each property that is certified"),
        "rounds": Setting(COUNT, 7, "measurements of a training step"),
    },
    quick={
        "hidden": 64, "seq_len": 32, "batch": 8, "epochs": 2, "lr": 0.01, "limit": 30_000, "cases": 4,
        "rounds": 2,
    },
)  # fmt: skip


def parameters(input_size, hidden_size):
    """Return shapes, and first values where the authors chose them."""
    return {
        "weight": (hidden_size, input_size),
        "recurrent": (hidden_size, hidden_size),
        "gate_bias": mg.ones((hidden_size,)),
        "bias": mg.ones((hidden_size,)),
        "zeta": mg.tensor(1.0),
        "nu": mg.tensor(-4.0),
    }


@cell(state="h", params=parameters)
def fast_grnn(x, h, *, weight, recurrent, gate_bias, bias, zeta, nu):
    """One step of FastGRNN: nothing else is needed."""
    mixed = mg.linear(x, weight) + mg.linear(h, recurrent)
    z = mg.sigmoid(mixed + gate_bias)
    candidate = mg.tanh(mixed + bias)
    return (mg.sigmoid(zeta) * (1 - z) + mg.sigmoid(nu)) * candidate + z * h


class CharacterModel(nn.Module):
    """Characters in, scores for the next character out."""

    def __init__(self, characters, recurrent):
        self.embedding = nn.Embedding(characters, recurrent.input_size)
        self.recurrent = recurrent
        self.readout = nn.Linear(recurrent.hidden_size, characters)

    def forward(self, codes, state=None):
        """Map codes (T, N) and a state to scores (T, N, characters) and the new state."""
        outputs, state = self.recurrent(self.embedding(codes), state)
        return self.readout(outputs), state


def layers(given):
    """Return names and functions that make a layer: of our cell, and of the one beside it."""
    sizes = 64, given.hidden
    return {
        "fast_grnn": lambda: nn.Recurrent(fast_grnn, *sizes),
        given.cell.rpartition(":")[2]: lambda: recurrent_layer(given.cell, *sizes),
    }


def train_side_by_side(given, characters, training, held_out, levels):
    """Train both cells; print and report their scores beside others, draw the curves."""
    score, scores, curves = "bits per character, held out", {}, {}
    for name, make in layers(given).items():
        mg.manual_seed(given.seed)
        model = CharacterModel(characters, make()).to(given.device)
        optimizer = nn.optim.Adam(model.parameters(), lr=given.lr)
        run = given.fit(
            model, training, nn.SequenceLoss(), optimizer, run=name, epochs=given.epochs,
            validation=held_out, monitor="train_loss", clip_norm=1.5, carry_state=True,
        )  # fmt: skip
        weights = sum(p.size for p in model.parameters())
        curves[f"{name}, {weights:,} weights"] = [
            (x, y / math.log(2)) for x, y in run.curve("loss")
        ]
        scores[name] = run.history[-1]["loss"] / math.log(2)
    plot_curves(given.path("loss.png"), curves, "epoch", score, levels)
    given.report(score, scores | levels)


# a training step, in minigrad and as a loop in PyTorch


def our_step(layer, x):
    """Return a function that runs the layer forwards and backwards, and returns what it computed."""

    def run():
        layer.zero_grad()
        outputs, _ = layer(x)
        outputs.sum().backward()
        return [outputs.detach().numpy(), *(p.grad.numpy() for p in layer.parameters())]

    return run


def pytorch_step(layer, x):
    """Return a function that does the same with FastGRNN in PyTorch."""
    import torch

    torch.set_num_threads(mg.get_num_threads())
    own = {name: torch.tensor(p.numpy()) for name, p in layer.state_dict().items()}
    w, u, gate_bias, bias, zeta, nu = (p.requires_grad_() for p in own.values())
    steps = torch.tensor(x.numpy())

    def run():
        for p in own.values():
            p.grad = None
        h, outputs = torch.zeros(x.shape[1], layer.hidden_size), []
        for x_t in steps:
            mixed = x_t @ w.T + h @ u.T
            z, candidate = torch.sigmoid(mixed + gate_bias), torch.tanh(mixed + bias)
            h = (torch.sigmoid(zeta) * (1 - z) + torch.sigmoid(nu)) * candidate + z * h
            outputs.append(h)
        result = torch.stack(outputs)
        result.sum().backward()
        return [result.detach().numpy(), *(p.grad.numpy() for p in own.values())]

    return run


def time_side_by_side(given):
    """Time a training step of both layers and of the loop in PyTorch, one after the other."""
    mg.manual_seed(given.seed)
    x = mg.randn(given.seq_len, given.batch, 64)
    made = {name: make() for name, make in layers(given).items()}
    runs = {name: our_step(layer, x) for name, layer in made.items()}
    if importlib.util.find_spec("torch") is None:
        print("\nPyTorch is not installed, so there is no loop of PyTorch to compare with")
    else:
        runs["PyTorch loop"] = pytorch_step(made["fast_grnn"], x)
        results = runs["fast_grnn"](), runs["PyTorch loop"]()
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3 * abs(theirs).max())
    times = {name: [] for name in runs}
    for _ in range(given.rounds + 1):  # the first round warms up
        for name, run in runs.items():
            start = perf_counter()
            run()
            times[name].append(perf_counter() - start)
    threads = mg.get_num_threads()
    print(f"\ntraining step, x{list(x.shape)}, float32, CPU, {threads} threads, median:")
    for name, taken in times.items():
        print(f"  {name:<16}{1000 * median(taken[1:]):9.2f} ms")


def main(given):
    """Certify, explain, train, time."""
    text = (read_text(given.data) if given.data else english_text())[: given.limit]
    vocabulary, cut = Vocabulary(text), len(text) * 9 // 10
    codes = vocabulary.encode(text)
    sizes = given.batch, given.seq_len, given.device
    streams = [Streams(part, *sizes) for part in (codes[:cut], codes[cut:])]
    certificate = certify(fast_grnn, cases=given.cases, seed=given.seed)
    print(certificate)
    certificate.check()
    print(f"\n{explain(fast_grnn, 64, given.hidden)}\n")
    bigram = NGram(codes[:cut], len(vocabulary), 2).bits(codes[cut:])
    train_side_by_side(given, len(vocabulary), *streams, {"bigram model": bigram})
    time_side_by_side(given)


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
