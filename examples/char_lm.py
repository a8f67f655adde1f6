"""Train an LSTM to predict the next character of a text, and let it write.

By default it reads the language reference that comes with Python, about 465 000 characters of English.
Its score is bits per character on a part of the text that it was not trained on; beside it stands the
score of a model that only counts pairs of characters.
"""

import argparse
import math
import os
import sys
from pathlib import Path
from typing import NoReturn

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

from tqdm import tqdm

import minigrad as mg
from minigrad import nn
from minigrad.nn.text import NGram, Vocabulary, chunks, english_text, generate, read_text, streams


class CharacterModel(nn.Module):
    """Characters in, scores for the next character out."""

    def __init__(self, characters: int, hidden: int, layers: int) -> None:
        width = min(characters, 64)
        self.embedding = nn.Embedding(characters, width)
        self.lstm = nn.LSTM(width, hidden, num_layers=layers)
        self.readout = nn.Linear(hidden, characters)

    def forward(self, codes, state=None):
        """Map codes (T, N) and a state to scores (T, N, characters) and the new state."""
        outputs, state = self.lstm(self.embedding(codes), state)
        return self.readout(outputs), state


def loss_of(model, codes, targets, state):
    """Return the mean cross-entropy in nats, and the state to go on from."""
    scores, state = model(codes, state)
    loss = mg.cross_entropy(scores.reshape(-1, scores.shape[-1]), targets.reshape(-1))
    return loss, tuple(part.detach() for part in state)


def evaluate(model, data, seq_len):
    """Return the mean bits per character on streams of text."""
    total, state = 0.0, None
    with mg.no_grad():
        for codes, targets in chunks(*data, seq_len):
            loss, state = loss_of(model, codes, targets, state)
            total += loss.item() * codes.size
    return total / data[0].size / math.log(2)


def train(model, data, validation, options):
    """Train the model; return the curves: (characters seen, bits per character) of both parts."""
    optimizer = nn.optim.Adam(model.parameters(), lr=options.lr)
    total = options.epochs * data[0].size
    curve, checks, seen, smooth = [], [], 0, None
    with tqdm(total=total, unit="char", unit_scale=True, dynamic_ncols=True, disable=None) as bar:
        for epoch in range(1, options.epochs + 1):
            bar.set_description(f"epoch {epoch}/{options.epochs}")
            state = None
            for codes, targets in chunks(*data, options.seq_len):
                loss, state = loss_of(model, codes, targets, state)
                model.zero_grad()
                loss.backward()
                nn.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.lr = options.lr * (1 - seen / total)
                optimizer.step()
                seen += codes.size
                smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
                bits = smooth / math.log(2)
                curve.append((seen, bits))
                bar.set_postfix_str(f"loss {smooth:.3f}, {bits:.2f} bits/char", refresh=False)
                bar.update(codes.size)
            checks.append((seen, evaluate(model, validation, options.seq_len)))
            scores = f"{bits:.3f} bits per character in training, {checks[-1][1]:.3f} in validation"
            bar.write(f"epoch {epoch}/{options.epochs}: {scores}")
    return curve, checks


def plot(curve, checks, bigram, path):
    """Draw the curves of training and validation beside the bigram's score."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*curve, strict=True), color="tab:blue", alpha=0.6, label="training")
    axes.plot(*zip(*checks, strict=True), "o-", color="tab:orange", label="validation")
    axes.axhline(bigram, color="tab:gray", linestyle="--", label="bigram model, validation")
    axes.set(xlabel="characters seen", ylabel="bits per character")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g} M")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


class Parser(argparse.ArgumentParser):
    """A parser that answers wrong arguments with one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def number(kind, low, high):
    """Return a function that reads a number of this kind between ``low`` and ``high``."""

    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is not a {what} from {low} to {high}")
        return value

    return read


def parse(arguments):
    """Read the command line."""
    size = number(int, 1, 10**6)
    parser = Parser(prog="char_lm", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--text", metavar="FILE", help="a UTF-8 text (default: Python's reference)")
    parser.add_argument(
        "--hidden", type=number(int, 1, 4096), default=256, help="width of the LSTM"
    )
    parser.add_argument(
        "--layers", type=number(int, 1, 16), default=1, help="LSTM layers, one above the other"
    )
    parser.add_argument("--seq-len", type=size, default=64, help="steps between two updates")
    parser.add_argument("--batch", type=size, default=32, help="streams of text side by side")
    parser.add_argument("--epochs", type=size, default=12, help="passes over the text")
    parser.add_argument(
        "--lr", type=number(float, 1e-9, 1), default=0.004, help="learning rate; it falls to zero"
    )
    parser.add_argument(
        "--seed", type=number(int, 0, 2**63), default=0, help="where random numbers begin"
    )
    parser.add_argument("--quick", action="store_true", help="a small model on 60 000 characters")
    parser.add_argument("--out", type=Path, default=Path("runs/char_lm"), help="folder for results")
    options = parser.parse_args(arguments)
    if options.quick:
        options.hidden, options.batch, options.seq_len, options.epochs = 96, 8, 32, 3
    return parser, options


def run(options):
    """Train, score, write a sample, draw the curves."""
    options.out.mkdir(parents=True, exist_ok=True)
    text = read_text(options.text) if options.text else english_text()
    if options.quick:
        text = text[:60_000]
    vocabulary = Vocabulary(text)
    codes = vocabulary.encode(text)
    cut = len(codes) * 9 // 10
    data, validation = (streams(part, options.batch) for part in (codes[:cut], codes[cut:]))
    counted = NGram(codes[:cut], len(vocabulary))
    bigram = counted.bigram_bits(*validation)

    mg.manual_seed(options.seed)
    model = CharacterModel(len(vocabulary), options.hidden, options.layers)
    weights = sum(p.size for p in model.parameters())
    print(f"{len(codes):,} characters, {len(vocabulary)} different ones; {weights:,} weights")
    print(model)
    curve, checks = train(model, data, validation, options)

    sample = generate(model, vocabulary.encode(text[:1]), 500, temperature=0.7)
    print(f"\n--- a sample ---\n{vocabulary.decode(sample)}\n----------------\n")
    path = options.out / "loss.png"
    plot(curve, checks, bigram, path)
    others = f"bigram {bigram:.3f}, unigram {counted.unigram_bits(validation[1]):.3f}"
    print(f"validation: LSTM {checks[-1][1]:.3f} bits per character, {others}\nloss curve: {path}")


def main(arguments=None) -> int:
    """Run the program; return its exit status."""
    parser, options = parse(arguments)
    try:
        run(options)
    except OSError as error:
        parser.error(f"cannot write to {options.out}: {error.strerror}")
    except (mg.errors.MinigradError, MemoryError) as error:
        parser.error(" ".join(str(error).split()) or "out of memory")
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
