"""Train a recurrent network to predict the next word; ask it how probable a sentence is; let it write.

By default it reads the language reference that comes with Python, about 119 000 words and signs, each
sentence closed by <eos>; words seen once in training are <unk>. Input and output share one table (tied
softmax). The score is the perplexity of the last tenth of the text, beside Kneser-Ney models of the same
words. (Without <eos> and with one discount of 0.75 trigrams are at 12.65 and 4-grams at 11.78.)

--score FILE ranks the lines of a file by their probability: "pair" against "pear". --rescore FILE puts
n-best lists of a recogniser or translator into a new order; its lines hold the name of a list, a score
(a log-probability) and a sentence, with tabs between them.
"""

import math
import os
import re
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn.data import Streams
from minigrad.nn.text import NGram, Vocabulary, english_text, read_text, sentence, words
from minigrad.nn.training import Program, Setting, evaluating, number, plot_curves, recurrent_layer

COUNT = number(int, 1, 10**6)
PROGRAM = Program(
    "word_lm",
    __doc__,
    data="a UTF-8 text (default: Python's language reference)",
    duration="about 7 minutes",
    settings={
        "layers": Setting(number(int, 1, 16), 1, "recurrent layers, one above the other"),
        "hidden": Setting(number(int, 1, 4096), 256, "width of a layer and of the table of words"),
        "seq_len": Setting(COUNT, 32, "steps between two updates"),
        "batch": Setting(COUNT, 16, "streams of text side by side"),
        "epochs": Setting(COUNT, 24, "passes over the text"),
        "lr": Setting(
            number(float, 1e-9, 1), 0.005, "learning rate at the start; it falls to zero"
        ),
        "dropout": Setting(number(float, 0, 0.95), 0.5, "share that is left out in training"),
        "weight_decay": Setting(number(float, 0, 10), 0.02, "decay of the weights (AdamW)"),
        "limit": Setting(number(int, 100, 10**9), None, "characters to read (default: all)"),
    },
    quick={"hidden": 128, "batch": 8, "seq_len": 24, "epochs": 12, "dropout": 0.4, "limit": 60_000},
    options={
        "prompt": Setting(str, "", "what the samples begin with (default: nothing)"),
        "temperature": Setting(
            number(float, 0.01, 100), 0.8, "below 1 likely words come more often"
        ),
        "top_k": Setting(COUNT, None, "draw from so many of the likeliest words (default: all)"),
        "score": Setting(str, None, "rank the lines of this file by probability (default: none)"),
        "rescore": Setting(
            str, None, "n-best lists: name, score, sentence in a line (default: none)"
        ),
        "weight": Setting(number(float, 0, 1000), 1.0, "of our log-probability in --rescore"),
    },
)


class WordModel(nn.Module):
    """Words in, scores for the next word out."""

    def __init__(self, size, given):
        self.embedding, self.dropout = nn.Embedding(size, given.hidden), nn.Dropout(given.dropout)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        options = {"num_layers": given.layers, "dropout": given.dropout * (given.layers > 1)}
        self.recurrent = recurrent_layer(given.cell, given.hidden, given.hidden, **options)
        self.readout = nn.TiedLinear(self.embedding)

    def forward(self, codes, state=None):
        """Map codes (T, N) and a state to scores (T, N, words) and the new state."""
        outputs, state = self.recurrent(self.dropout(self.embedding(codes)), state)
        return self.readout(self.dropout(outputs)), state

    def step(self, tokens, state=None):
        """Map one word of each text, (N,), to scores (N, words) and the new state."""
        outputs, state = self.recurrent.step(self.dropout(self.embedding(tokens)), state)
        return self.readout(self.dropout(outputs)), state


class Language:
    """A text as numbers, and a model of its language."""

    def __init__(self, given):
        text = (read_text(given.data) if given.data else english_text())[: given.limit]
        ends = r"(?<=[.!?…])\s+|(?<=[。！？])|\n\s*\n"
        parts = [words(part) for part in re.split(ends, text)]
        tokens = [token for part in parts if part for token in (*part, "<eos>")]
        if len(tokens) < (least := 10 * (given.batch + 1)):
            found = f"the text has {len(tokens)} words, and --batch {given.batch} takes {least}"
            raise mg.errors.ArgumentError(f"{found}; give a longer text or a smaller batch")
        cut = len(tokens) * 9 // 10
        self.vocabulary = Vocabulary(tokens[:cut], specials=["<unk>", "<eos>"], min_count=2)
        self.training, self.held_out = map(self.vocabulary.encode, (tokens[:cut], tokens[cut:]))
        self.model = WordModel(len(self.vocabulary), given).to(given.device)
        self.device = given.device

    def log_probabilities(self, codes):
        """Return that of each code after those before it; the first one is given."""
        loss, state, found = nn.SequenceLoss(reduction="none"), None, []
        with evaluating(self.model):
            for inputs, targets in Streams(codes, 1, 1000, self.device):
                scores, state = self.model(inputs, state)
                found.append(-loss(scores, targets).numpy()[:, 0])
        return np.concatenate(found).astype(np.float64)

    def log_probability(self, line):
        """Return that of a sentence; unknown words share that of <unk> with those seen once."""
        codes = self.vocabulary.encode(["<eos>", *words(line), "<eos>"])
        share = -math.log(max(1, self.vocabulary.counts["<unk>"]))
        return self.log_probabilities(codes).sum() + share * sum(codes == self.vocabulary.unk)

    def write(self, length, prompt, **choice):
        """Return sentences that the model makes up."""
        start = self.vocabulary.encode(["<eos>", *words(prompt)])
        with evaluating(self.model):
            drawn = nn.decoding.generate(self.model, start, length=length, **choice)
            text = sentence([*words(prompt), *self.vocabulary.decode(drawn)])
        return re.sub(" ?<eos> ?", "\n", text).rstrip()


def n_best(path):
    """Return the lines of a file as names of lists, scores and sentences."""
    found = []
    for place, line in enumerate(read_text(path).splitlines(), 1):
        try:
            name, score, text = line.split("\t")
            found.append((name, float(score), text))
        except ValueError:
            expected = "it must be a list's name, a number and a sentence, with tabs between them"
            raise mg.errors.ArgumentError(f"{path}, line {place}: {expected}") from None
    return found


def rank(language, lines):
    """Print lines in the order of their probability."""
    scored = [(language.log_probability(line), line) for line in lines if line.strip()]
    print("log-probability, perplexity, line:")
    for score, line in sorted(scored, reverse=True):
        print(f"{score:10.2f}{math.exp(-score / (len(words(line)) + 1)):12.1f}  {line}")


def rescore(language, hypotheses, weight, path):
    """Write n-best lists with new scores in a new order, and say how many have another best."""
    lists = {}
    for name, score, text in hypotheses:
        lists.setdefault(name, []).append((score, text))
    changed = 0
    with path.open("w", encoding="utf-8") as file:
        for name, given in lists.items():
            total = [(s + weight * language.log_probability(text), text) for s, text in given]
            order = sorted(total, key=lambda pair: -pair[0])
            changed += order[0][1] != max(given, key=lambda pair: pair[0])[1]
            file.writelines(f"{name}\t{score:.4f}\t{text}\n" for score, text in order)
    print(f"n-best lists: {path}; {changed} of {len(lists)} have another best sentence")


def main(given):
    """Train, score beside models that count, write, rank."""
    lines = read_text(given.score).splitlines() if given.score else []
    hypotheses = n_best(given.rescore) if given.rescore else []
    language = Language(given)
    model, training, held_out = language.model, language.training, language.held_out
    size, sizes = len(language.vocabulary), (given.batch, given.seq_len, given.device)
    source, validation = Streams(training, *sizes), Streams(held_out, *sizes)
    optimizer = nn.optim.AdamW(model.parameters(), given.lr, weight_decay=given.weight_decay)
    run = given.fit(
        model, source, nn.SequenceLoss(), optimizer,
        epochs=given.epochs, validation=validation,
        monitor="train_loss", carry_state=True, clip_norm=1.0,  # the held-out text chooses nothing
        scheduler=nn.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, given.epochs * len(source)),
    )  # fmt: skip
    first, rest = held_out[:1], held_out[1:]
    logs = {n: NGram(training, size, n).log_probabilities(rest, first) for n in range(1, 9)}
    best = max(logs, key=lambda n: logs[n].mean())
    levels = {f"Kneser-Ney {n}-gram": math.exp(-logs[n].mean()) for n in sorted({3, 4, best})}
    own = language.log_probabilities(held_out)
    both = np.logaddexp(own, logs[best]) - math.log(2)
    perplexities = {given.cell: math.exp(-own.mean()), **levels}
    perplexities[f"mean of {given.cell} and {best}-gram"] = math.exp(-both.mean())
    curves = {name: [(x, math.exp(y)) for x, y in run.curve(key)]
              for name, key in (("training", "train_loss"), ("held out", "loss"))}  # fmt: skip
    plot_curves(given.path("perplexity.png"), curves, "epoch", "perplexity", levels)
    choice = {"temperature": given.temperature, "top_k": given.top_k}
    text = language.write(80, given.prompt, generator=mg.Generator(given.seed), **choice)
    print(f"--- a sample ---\n{text}\n----------------")
    if lines:
        rank(language, lines)
    if hypotheses:
        rescore(language, hypotheses, given.weight, given.path("rescored.tsv"))
    given.report("perplexity, held out", perplexities)
    print(f"picture: {given.path('perplexity.png')}\ncheckpoint: {given.checkpoint}")


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
