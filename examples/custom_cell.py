"""Write a published recurrent cell in ten lines; see it certified, explained, trained and timed.

The cell is FastGRNN [Kusupati 2018, arXiv:1901.02358]. Its gate and its candidate share their products,
so it has about a quarter of the weights of an LSTM. It is trained next to an LSTM to predict the next
character of the language reference that comes with Python, and timed next to the same cell as a loop in
PyTorch, if PyTorch is there.
"""

import argparse
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
from minigrad.nn.text import Vocabulary, english_text, read_text
from minigrad.nn.training import Parser, evaluate, fit, number

COUNT = number(int, 1, 10**6)
SETTINGS = {  # what it is, by default, with --quick
    "text": (str, None, None, "a UTF-8 text (default: Python's language reference)"),
    "hidden": (number(int, 1, 4096), 256, 64, "width of a layer"),
    "seq_len": (COUNT, 64, 32, "steps between two updates"),
    "batch": (COUNT, 32, 8, "streams of text side by side"),
    "epochs": (COUNT, 3, 1, "passes over the text"),
    "lr": (number(float, 1e-9, 1), 0.004, 0.01, "learning rate"),
    "limit": (number(int, 100, 10**9), None, 20_000, "read only so many characters (default: all)"),
    "cases": (COUNT, 20, 4, "random cases for each property that is certified"),
    "rounds": (COUNT, 7, 2, "measurements of a training step"),
    "seed": (number(int, 0, 2**63), 0, 0, "where random numbers begin"),
}


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


def bits(scores, targets):
    """Return the mean number of bits that the model needs for a character."""
    rows = scores.reshape(-1, scores.shape[-1])
    return mg.cross_entropy(rows, targets.reshape(-1)) / math.log(2)


def train(model, training, settings):
    """Train a model; return how many characters it reads in a second."""
    optimizer = nn.optim.Adam(model.parameters(), lr=settings.lr)
    options = {"epochs": settings.epochs, "clip_norm": 1.5, "carry_state": True, "progress": False}
    start = perf_counter()
    fit(model, training, bits, optimizer, **options)
    return settings.epochs * training.size / (perf_counter() - start)


def streams(settings):
    """Return how many characters the text has, and its two parts: to train on, and held out."""
    text = read_text(settings.text) if settings.text else english_text()
    vocabulary = Vocabulary(text[: settings.limit])
    codes = vocabulary.encode(text[: settings.limit])
    cut = len(codes) * 9 // 10
    cuts = settings.batch, settings.seq_len
    return len(vocabulary), *(Streams(part, *cuts) for part in (codes[:cut], codes[cut:]))


def train_side_by_side(settings, characters, training, held_out):
    """Train the cell and an LSTM on a text; print their scores."""
    print(f"\n{'':<12}{'weights':>10}{'bits per character':>22}{'characters/second':>20}")
    for name, make in {"FastGRNN": fast_grnn_layer, "LSTM": nn.LSTM}.items():
        mg.manual_seed(settings.seed)
        model = CharacterModel(characters, make(64, settings.hidden))
        weights, speed = sum(p.size for p in model.parameters()), train(model, training, settings)
        score = evaluate(model, held_out, bits, carry_state=True)["loss"]
        print(f"{name:<12}{weights:>10,}{score:>22.3f}{speed:>20,.0f}")


def fast_grnn_layer(input_size, hidden_size):
    """Return the layer of our cell, as `nn.LSTM` is that of the LSTM."""
    return nn.Recurrent(fast_grnn, input_size, hidden_size)


# the same cell as a loop in PyTorch


def our_step(layer, x):
    """Return a function that runs the layer forwards and backwards, and returns what it computed."""

    def run():
        layer.zero_grad()
        outputs, _ = layer(x)
        outputs.sum().backward()
        return [outputs.detach().numpy(), *(p.grad.numpy() for p in layer.parameters())]

    return run


def pytorch_step(layer, x):
    """Return a function that does the same with PyTorch."""
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


def time_side_by_side(settings):
    """Time a training step of the cell in minigrad and in PyTorch, one after the other."""
    mg.manual_seed(settings.seed)
    layer = fast_grnn_layer(64, settings.hidden)
    x = mg.randn(settings.seq_len, settings.batch, 64)
    runs = {"minigrad": our_step(layer, x)}
    if importlib.util.find_spec("torch") is None:
        print("\nPyTorch is not installed, so there is no loop of PyTorch to compare with")
    else:
        runs["PyTorch loop"] = pytorch_step(layer, x)
        for ours, theirs in zip(*(run() for run in runs.values()), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3 * abs(theirs).max())
    times = {name: [] for name in runs}
    for _ in range(settings.rounds + 1):  # the first round warms up
        for name, run in runs.items():
            start = perf_counter()
            run()
            times[name].append(perf_counter() - start)
    threads = mg.get_num_threads()
    print(f"\ntraining step of FastGRNN, x{list(x.shape)}, float32, {threads} threads, median:")
    for name, taken in times.items():
        print(f"  {name:<14}{1000 * median(taken[1:]):9.2f} ms")


def parse(arguments):
    """Read the command line."""
    parser = Parser(prog="custom_cell", description=__doc__.split("\n", maxsplit=1)[0])
    for name, (kind, usual, _, meaning) in SETTINGS.items():
        shown = "" if usual is None else f" (default: {usual})"
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=kind, default=argparse.SUPPRESS, help=meaning + shown)
    small = {name: quick for name, (_, usual, quick, _) in SETTINGS.items() if quick != usual}
    quick = ", ".join(f"--{name.replace('_', '-')} {value}" for name, value in small.items())
    parser.add_argument("--quick", action="store_true", help=f"a small run; means {quick}")
    given = vars(parser.parse_args(arguments))
    choice = 2 if given.pop("quick") else 1
    usual = {name: setting[choice] for name, setting in SETTINGS.items()}
    return parser, argparse.Namespace(**(usual | given))


def main(settings):
    """Certify, explain, train, time."""
    text = streams(settings)
    certificate = certify(fast_grnn, cases=settings.cases, seed=settings.seed)
    print(certificate)
    certificate.check()
    print(f"\n{explain(fast_grnn, 64, settings.hidden)}")
    train_side_by_side(settings, *text)
    time_side_by_side(settings)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    parser, settings = parse(sys.argv[1:])
    sys.exit(parser.run(lambda: main(settings)))
