"""Train a recurrent network to predict the next character of a text, and let it write.

By default it reads the language reference that comes with Python, about 465 000 characters of English.
Its score is bits per character on a part of the text that it was not trained on; beside it stand the
scores of models that only count. Ctrl-C saves the run, and --resume goes on as if nothing had happened.
"""

import argparse
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

from tqdm import tqdm

import minigrad as mg
from minigrad import nn
from minigrad.nn.data import Streams
from minigrad.nn.text import NGram, Vocabulary, english_text, generate, read_text
from minigrad.nn.text.language import bits_per_character, next_loss
from minigrad.nn.training import Parser, number, plot_curves

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
COUNT = number(int, 1, 10**6)
TEMPERATURE = number(float, 0.01, 100)
SETTINGS = {  # what makes a run the run it is, and stays with its checkpoint
    "text": (str, None, "a UTF-8 text (default: Python's language reference)"),
    "cell": (LAYERS, "lstm", "what the network is made of"),
    "layers": (number(int, 1, 16), 1, "recurrent layers, one above the other"),
    "hidden": (number(int, 1, 4096), 256, "width of a layer"),
    "seq_len": (COUNT, 64, "steps between two updates"),
    "batch": (COUNT, 32, "streams of text side by side"),
    "epochs": (COUNT, 12, "passes over the text"),
    "lr": (number(float, 1e-9, 1), 0.004, "learning rate at the start; it falls to zero"),
    "seed": (number(int, 0, 2**63), 0, "where random numbers begin"),
    "limit": (number(int, 100, 10**9), None, "read only so many characters (default: all)"),
}
PROGRESS = ("epoch", "seen", "state", "curve", "scores")
PARTS = ("vocabulary", "training", "held_out", "model", "optimizer", "schedule", "generator")
QUICK = {"hidden": 96, "batch": 8, "seq_len": 32, "epochs": 3, "limit": 60_000}


class CharacterModel(nn.Module):
    """Characters in, scores for the next character out."""

    def __init__(self, characters, cell, hidden, layers):
        self.embedding = nn.Embedding(characters, 64)
        self.recurrent = LAYERS[cell](64, hidden, num_layers=layers)
        self.readout = nn.Linear(hidden, characters)

    def forward(self, codes, state=None):
        """Map codes (T, N) and a state to scores (T, N, characters) and the new state."""
        outputs, state = self.recurrent(self.embedding(codes), state)
        return self.readout(outputs), state


class Run:
    """A training run: its data, its model, and how far it has come."""

    def __init__(self, settings, device):
        self.settings, self.device = settings, device
        text = read_text(settings["text"]) if settings["text"] else english_text()
        text = text[: settings["limit"]]
        self.vocabulary, self.first = Vocabulary(text), text[:1]
        codes, batch = self.vocabulary.encode(text), settings["batch"]
        if len(codes) < (least := 10 * (batch + 1)):
            found = f"the text has {len(codes)} characters, and --batch {batch} takes {least}"
            raise mg.errors.ArgumentError(f"{found}; give a longer text or a smaller batch")
        cut = len(codes) * 9 // 10
        self.training, self.held_out = (
            Streams(part, batch, settings["seq_len"], device) for part in (codes[:cut], codes[cut:])
        )
        counted = [NGram(codes[:cut], len(self.vocabulary), n) for n in (1, 2)]
        self.unigram, self.bigram = [model.bits(codes[cut:]) for model in counted]

        mg.manual_seed(settings["seed"])
        self.generator = mg.Generator(settings["seed"])  # writing does not change training
        sizes = {name: settings[name] for name in ("cell", "hidden", "layers")}
        self.model = CharacterModel(len(self.vocabulary), **sizes).to(device)
        self.optimizer = nn.optim.Adam(self.model.parameters(), lr=settings["lr"])
        updates = settings["epochs"] * len(self.training)
        self.schedule = nn.optim.lr_scheduler.LinearLR(self.optimizer, 1.0, 0.0, updates)
        self.parts = {name: getattr(self, name) for name in PARTS}
        self.epoch, self.seen, self.state = 0, 0, None
        self.curve, self.scores = [], []  # characters seen, bits per character

    def save(self, path):
        """Write all that the run needs to go on."""
        progress = {name: getattr(self, name) for name in ("settings", *PROGRESS)}
        nn.save_checkpoint(path, progress, **self.parts)

    def train_epoch(self, bar, interrupt):
        """Train to the end of the epoch; return whether no interrupt came first."""
        for codes, targets in self.training:
            loss, self.state = next_loss(self.model, codes, targets, self.state)
            self.optimizer.zero_grad()
            loss.backward()
            nn.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            bits = loss.item() / math.log(2)
            smooth = 0.95 * self.curve[-1][1] + 0.05 * bits if self.curve else bits
            self.seen += codes.size
            self.curve.append((self.seen, smooth))
            bar.set_postfix_str(f"loss {loss.item():.3f}, {smooth:.2f} bits/char", refresh=False)
            bar.update(codes.size)
            if interrupt:
                return False
        self.epoch, self.state = self.epoch + 1, None
        score = bits_per_character(self.model, self.held_out)
        self.scores.append((self.seen, score))
        return True

    def write(self, length, prompt, **choice):
        """Return text that the model makes up."""
        start = prompt or self.first
        choice |= {"generator": self.generator, "device": self.device}
        drawn = generate(self.model, self.vocabulary.encode(start), length, **choice)
        return start + self.vocabulary.decode(drawn)


def parse(arguments):
    """Read the command line; settings that were not given are absent."""
    parser = Parser(prog="char_lm", description=__doc__.split("\n", maxsplit=1)[0])
    for name, (kind, default, meaning) in SETTINGS.items():
        read = {"choices": kind} if isinstance(kind, dict) else {"type": kind}
        usual = "" if default is None else f" (default: {default})"
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, **read, default=argparse.SUPPRESS, help=meaning + usual)
    quick = ", ".join(f"--{name.replace('_', '-')} {value}" for name, value in QUICK.items())
    parser.add_argument("--quick", action="store_true", help=f"a small model; means {quick}")

    def option(flag, default, meaning, **read):
        told = meaning if default in (None, "") else f"{meaning} (default: {default})"
        parser.add_argument(flag, default=default, help=told, **read)

    option("--device", "cpu", "cpu, cuda or cuda:1")
    option(
        "--resume", None, "go on from this checkpoint (default: begin)", type=Path, metavar="FILE"
    )
    option("--save", None, "checkpoint (default: in --out)", type=Path, metavar="FILE")
    option("--out", Path("runs/char_lm"), "folder for results", type=Path)
    option("--prompt", "", "text that the samples go on from (default: one character)")
    option("--temperature", 0.7, "below 1 likely characters come more often", type=TEMPERATURE)
    option(
        "--top-k", None, "draw from so many of the likeliest characters (default: all)", type=COUNT
    )
    return parser, parser.parse_args(arguments)


def begin(parser, options):
    """Return a new run, or the one that the checkpoint holds."""
    given = {name: value for name, value in vars(options).items() if name in SETTINGS}
    if not options.resume:
        usual = {name: default for name, (_, default, _) in SETTINGS.items()}
        return Run(usual | (QUICK if options.quick else {}) | given, options.device)
    if given or options.quick:
        parser.error("with --resume the settings are those of the checkpoint; leave out the others")
    checkpoint = nn.Checkpoint(options.resume, options.device)
    match checkpoint.progress:
        case {"settings": dict(settings), **rest} if [*settings, *rest] == [*SETTINGS, *PROGRESS]:
            run = Run(settings, options.device)
            checkpoint.restore(**run.parts)
            vars(run).update(rest)
            return run
    return parser.error(f"{options.resume} is the checkpoint of another program; give one of this")


def main(parser, options):
    """Train, score, write samples, draw the curves."""
    run = begin(parser, options)
    epochs = run.settings["epochs"]
    sampling = {name: getattr(options, name) for name in ("prompt", "temperature", "top_k")}
    run.vocabulary.encode(options.prompt)  # to refuse it now, not after the training
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.save or options.resume or options.out / "checkpoint.safetensors"
    if path != options.resume or run.epoch < epochs:
        run.save(path)  # likewise
    weights, total = sum(p.size for p in run.model.parameters()), epochs * run.training.size
    print(f"{len(run.vocabulary)} different characters; {weights:,} weights\n{run.model}")
    bar = tqdm(initial=run.seen, total=total, unit="char", unit_scale=True, disable=None)
    with bar, nn.noting_interrupts() as interrupt:
        while run.epoch < epochs:
            bar.set_description(f"epoch {run.epoch + 1}/{epochs}")
            if run.train_epoch(bar, interrupt):
                score = f"{run.curve[-1][1]:.3f} bits/char, validation {run.scores[-1][1]:.3f}"
                bar.write(f"epoch {run.epoch}/{epochs}: {score}\n  {run.write(150, **sampling)!r}")
            run.save(path)
            if interrupt:
                again = {"resume": path, "device": options.device, "out": options.out, **sampling}
                bar.write(f"stopped and saved; to go on:\n{parser.command(**again)}")
                return 130
    print(f"\n--- a sample ---\n{run.write(500, **sampling)}\n----------------\n")
    curves, picture = {"training": run.curve, "validation": run.scores}, options.out / "loss.png"
    levels = {"bigram model, validation": run.bigram}
    plot_curves(picture, curves, "characters seen", "bits per character", levels)
    score = f"{run.scores[-1][1]:.3f}, bigram {run.bigram:.3f}, unigram {run.unigram:.3f}"
    print(f"bits per character in validation: {run.settings['cell']} {score}")
    print(f"loss curve: {picture}\ncheckpoint: {path}")
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # pipes, old terminals
    parser, options = parse(sys.argv[1:])
    sys.exit(parser.run(lambda: main(parser, options)))
