"""Characters per second of the network of examples/char_lm.py at its defaults.

Compiled, on the reference loop, and the same network in PyTorch: each in a process of its own, in turn.
One update is what the example does: forward, backward, clipping, Adam, the schedule of its rate.
"""

import argparse
import functools
import importlib.metadata
import importlib.util
import math
import os
import sys

from measuring import ROOT, say
from racing import prepared, race, typical
from workers import processes

COMPILED, REFERENCE, PYTORCH = "compiled", "reference", "PyTorch"
UPDATES = 3  # until the losses are compared
PAUSE = 0.07


class Ours:
    """The network of the example, trained as the example trains it."""

    def __init__(self):
        import minigrad as mg
        from minigrad import nn
        from minigrad.nn.training.loop import Loop

        self.mg, self.example = mg, _example()
        program = self.example.PROGRAM.settings
        self.settings = s = {name: setting.default for name, setting in program.items()}
        text = nn.text.english_text()
        vocabulary = nn.text.Vocabulary(text)
        codes = vocabulary.encode(text[: len(text) * 9 // 10])
        self.training = nn.data.Streams(codes, s["batch"], s["seq_len"])
        mg.manual_seed(s["seed"])
        sizes = [s[name] for name in ("cell", "hidden", "layers", "dropout")]
        self.model = self.example.CharacterModel(len(vocabulary), *sizes)
        decay = s["weight_decay"]
        optimizer = nn.optim.AdamW(self.model.parameters(), s["lr"], weight_decay=decay)
        updates = s["epochs"] * len(self.training)
        self.loop = Loop(
            nn.training.Run(self.model, optimizer, self.training, s["epochs"]),
            self.example.bits,
            scheduler=self.example.SCHEDULES[s["schedule"]](optimizer, updates),
            clip_norm=1.5,
            carry_state=True,
        )

    def weights(self):
        return {name: value.numpy() for name, value in self.model.state_dict().items()}

    def update(self):
        self.loop.train(interrupt=True)  # stops after one update

    def loss(self):
        """Return the loss on the first characters."""
        codes, targets = self.first()
        return self.example.bits(self.model(codes)[0], targets).item()

    def first(self):
        length, training = self.settings["seq_len"], self.training
        return self.mg.tensor(training.inputs[:length]), self.mg.tensor(training.targets[:length])


class Theirs:
    """The same network, the same text and the same weights in PyTorch."""

    def __init__(self, threads):
        import torch

        torch.set_num_threads(threads)
        self.torch, self.ours = torch, Ours()
        settings = self.ours.settings
        self.model = torch.nn.Module()
        shapes = {name: value.shape for name, value in self.ours.weights().items()}
        characters, width = shapes["embedding.weight"]
        self.model.embedding = torch.nn.Embedding(characters, width)
        self.model.recurrent = torch.nn.LSTM(width, settings["hidden"], settings["layers"])
        self.model.readout = torch.nn.Linear(settings["hidden"], characters)
        weights = {name: torch.tensor(value) for name, value in self.ours.weights().items()}
        self.model.load_state_dict(weights)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"]
        )
        updates = settings["epochs"] * len(self.ours.training)
        schedule = torch.optim.lr_scheduler.LinearLR
        self.schedule = schedule(self.optimizer, 1.0, 0.0, updates)
        self.state, self.chunks = None, iter(())

    def update(self):
        chunk = next(self.chunks, None)
        if chunk is None:
            self.state, self.chunks = None, iter(self.ours.training)
            chunk = next(self.chunks)
        loss, state = self._loss(*chunk, self.state)
        self.state = tuple(part.detach() for part in state)
        self.optimizer.zero_grad()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.5)
        self.optimizer.step()
        self.schedule.step()
        loss.item()

    def loss(self):
        return self._loss(*self.ours.first(), None)[0].item()

    def _loss(self, codes, targets, state):
        codes, targets = (self.torch.tensor(part.numpy()) for part in (codes, targets))
        outputs, state = self.model.recurrent(self.model.embedding(codes), state)
        scores = self.model.readout(outputs)
        entropy = self.torch.nn.functional.cross_entropy
        return entropy(scores.flatten(0, 1), targets.flatten()) / math.log(2), state


def _example():
    where = importlib.util.spec_from_file_location("example", ROOT / "examples" / "char_lm.py")
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


def library(threads, name):
    """Return what answers the orders for one of the three."""
    os.environ["MINIGRAD_COMPILE"] = "1" if name == COMPILED else "0"
    if name == PYTORCH:
        model, settings = (theirs := Theirs(threads)), theirs.ours.settings
    else:
        model = Ours()
        settings = model.settings

    def answer(task):
        if task == "prepare":
            before = model.loss()
            told, _ = prepared(model.update, lambda _: [], UPDATES)
            return told, [[before], [model.loss()]]
        if task == "size":
            return settings["batch"] * settings["seq_len"]
        return typical(model.update)

    return answer


def measure(threads, rounds):
    """Return how many characters an update reads, and the figures of the three."""
    say("examples/char_lm.py")
    names, missing = [COMPILED, REFERENCE], {}
    try:
        importlib.metadata.version("torch")
        names.append(PYTORCH)
    except importlib.metadata.PackageNotFoundError:
        missing[PYTORCH] = {"failed": "torch is not installed; make bench installs it"}
    start = functools.partial(library, threads)
    usual = {"OPENBLAS_NUM_THREADS": "1"}  # as the example sets it
    with processes(start, names, threads=threads, pause=PAUSE, environment=usual) as ask:
        contenders = {
            name: (functools.partial(ask, name, "prepare"), functools.partial(ask, name, "time"))
            for name in names
        }
        found = race(contenders, rounds)
        return {"characters": ask(COMPILED, "size"), "figures": found | missing}


def lines(report):
    """Return a Markdown table: characters per second, and how many times the compiled loop does."""
    found = ["| | characters per second | compiled ÷ this |", "|:--|--:|--:|"]
    for name, figure in report["figures"].items():
        if "failed" in figure:
            found.append(f"| {name} | {figure['failed']} | |")
        else:
            rate = report["characters"] / figure["median"]
            ratio = f"{figure['ratio']:.2f}x" if "ratio" in figure else ""
            found.append(f"| {name} | {rate:,.0f} | {ratio} |")
    return found


def main():
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    print(*lines(measure(chosen.threads, 2 if chosen.quick else 5)), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
