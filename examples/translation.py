"""Train an encoder and a decoder with attention to translate interface sentences from English.

By default these are messages of Django, Sphinx and Wagtail in Turkish or French, if they are installed;
placeholders and HTML are made equal. So few pairs teach a network templates rather than words, so it
chooses among its own translation and those of the most similar training sentences, by weights that suit
the validation part. Beside its BLEU and chrF, with intervals by resampling, stand those of this memory.
"""

import gettext
import os
import re
import sys
from collections import Counter
from importlib.util import find_spec

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import numpy as np
from date_translation import Translator

import minigrad as mg
from minigrad import nn
from minigrad.nn.data import split
from minigrad.nn.text import NearestText, package_file, read_parallel
from minigrad.nn.training import Program, Setting, evaluating, number

COUNT, SHARE = number(int, 1, 10**6), number(float, 0, 0.95)
PROGRAM = Program(
    "translation",
    __doc__,
    data="lines with a sentence, a tab and its translation (default: messages of packages)",
    cell="gru",
    duration="about 4 minutes on 2 cores",
    settings={
        "language": Setting(["tr", "fr"], "tr", "Turkish or French"),
        "packages": Setting(str, "django sphinx wagtail", "whose messages, as far as installed"),
        "longest": Setting(COUNT, 150, "pairs with more characters on a side are left out"),
        "whole": Setting(COUNT, 2, "words that occur less often are spelled"),
        "hidden": Setting(number(int, 1, 4096), 192, "width of decoder, and of encoder each way"),
        "dropout": Setting(SHARE, 0.3, "share that is left out in training"),
        "smoothing": Setting(SHARE, 0.0, "label smoothing"),
        "batch": Setting(COUNT, 32, "sentences between two updates"),
        "epochs": Setting(COUNT, 30, "passes over the training sentences"),
        "lr": Setting(number(float, 1e-9, 1), 0.004, "learning rate at the start; it falls to zero"),
    },
    quick={"packages": "sphinx django", "longest": 60, "hidden": 96, "epochs": 5, "lr": 0.01},
    options={
        "beams": Setting(COUNT, 4, "beginnings that beam search keeps"),
        "translate": Setting(str, None, "translate this sentence, too (default: none)"),
    },
)  # fmt: skip
PLACEHOLDER = re.compile(r"%\(\w+\)\w|%[-.\d]*[a-zA-Z]|\{+[^{}]*\}+|</?[a-zA-Z][^<>]*>|&#?\w+;")


def cleaned(text):
    """Return a text with each placeholder, tag and entity as {}, and with single spaces."""
    return " ".join(PLACEHOLDER.sub("{}", text).split())


def messages(packages, language):
    """Yield English messages of installed packages and their translations."""
    missing, names = [], packages.split()
    for package in names:
        try:
            root = package_file(package, "__init__.py").parent
        except mg.errors.ArgumentError:
            missing.append(package)
            continue
        for path in sorted(root.glob(f"**/locale/{language}/LC_MESSAGES/*.mo")):
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
            for key, translation in catalogue.items():
                message, plural = key if isinstance(key, tuple) else (key, 0)
                if message and not plural:  # the first one, of several forms
                    yield message.split("\x04")[-1], translation  # without its context
    if missing:
        told = f"without {', '.join(missing)}: pip install --no-deps {' '.join(missing)}"
        if len(missing) == len(names):
            raise mg.errors.ArgumentError(f"--packages: there are no messages {told}")
        print(f"messages {told}, for more of them")


def known_pairs(given):
    """Return a dict of clean sentences and their translations."""
    found = zip(*read_parallel(given.data), strict=True) if given.data else None
    pairs = {}
    for pair in found or messages(given.packages, given.language):
        source, target = map(cleaned, pair)
        if source and target and max(len(source), len(target)) <= given.longest:
            pairs.setdefault(source, target)
    return pairs


def pieces(text):
    """Yield words with the space before them, capitalised ones in small letters behind an arrow."""
    for piece in re.findall(r" ?\{\}| ?\w+| ?[^\w\s]", f" {text}"):
        small = piece.lower()
        if piece != small and small.strip().capitalize() == piece.strip():
            yield "↑"
            piece = small
        yield piece


class SentenceTranslator(Translator):
    """A translator of words, of which rare ones are spelled."""

    attend = nn.GeneralAttention  # for long sentences, the quicker one

    def __init__(self, pairs, given):
        counts = Counter(piece for pair in pairs for text in pair for piece in pieces(text))
        self.whole = {piece for piece, count in counts.items() if count >= given.whole} | {"↑"}
        super().__init__(pairs, given)
        nn.init.uniform_(self.decoder.embedding.weight, -0.5, 0.5)
        self.decoder.readout = nn.TiedLinear(self.decoder.embedding, given.hidden)

    def cut(self, text):
        """Return a text as tokens."""
        return [t for piece in pieces(text) for t in ([piece] if piece in self.whole else piece)]

    def likelihood(self, pairs):
        """Return the mean log-probability of a token of each target after its source."""
        loss, found = nn.SequenceLoss(per="sequence", reduction="none"), []
        with evaluating(self):
            for text, before, after in self.batches(pairs, 200):
                found.append(-(loss(self(text, before), after) / after.lengths).cpu().numpy())
        return np.concatenate(found)

    def join(self, tokens):
        """Return tokens as a text again."""
        return re.sub("↑( ?)(.?)", lambda found: found[0][1:].upper(), "".join(tokens)).strip()


class Proposals:
    """Translations of the most similar known sentences, and at last the network's own one."""

    def __init__(self, model, pairs, texts, beams):
        nearest = NearestText(source.lower() for source, _ in pairs)
        similarity = np.array([nearest.similarity(text.lower()) for text in texts])
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :8]
        self.own = model.translate(texts, beams=beams, length_penalty=1.0)
        recalled = [[pairs[place][1] for place in places] for places in best]
        self.written = [[*row, own] for row, own in zip(recalled, self.own, strict=True)]
        self.similarity = np.pad(np.take_along_axis(similarity, best, 1), ((0, 0), (0, 1)))
        both = [(text, new) for text, row in zip(texts, self.written, strict=True) for new in row]
        self.likelihood = model.likelihood(both).reshape(self.similarity.shape)

    def best(self, trust, bonus):
        """Return the best ones: similar, likely to the network as far as that is trusted, or its own."""
        scores = self.similarity + trust * self.likelihood
        scores[:, -1] += bonus
        return [row[place] for row, place in zip(self.written, scores.argmax(axis=1), strict=True)]


def main(given):
    """Train, translate what is held out: the network, the memory, and both together."""
    if find_spec("sacrebleu") is None:
        raise mg.errors.ArgumentError("sacrebleu computes the scores; pip install sacrebleu")
    pairs, order = known_pairs(given), mg.Generator(given.seed)
    training, validation, test = split([*pairs.items()], (0.8, 0.1, 0.1), generator=order)
    print(f"{len(pairs)} pairs: {len(training)} to train on, {len(test)} held out")
    model = SentenceTranslator(training, given).to(given.device)
    train = model.batches(training, given.batch, shuffle=order, bucket=10)
    optimizer = nn.optim.Adam(model.parameters(), given.lr)
    given.fit(
        model, train, nn.SequenceLoss(label_smoothing=given.smoothing), optimizer,
        epochs=given.epochs, validation=model.batches(validation, 100), monitor="train_loss",
        scheduler=nn.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, given.epochs * len(train)),
        clip_norm=1.0, parts={"sources": model.sources, "targets": model.targets},
    )  # fmt: skip
    (known, wanted), (sources, targets) = (zip(*part, strict=True) for part in (validation, test))
    propose = lambda texts: Proposals(model, training, texts, given.beams)
    tried, found = propose(known), propose(sources)
    weights = [
        (trust, bonus) for trust in (0, 0.03, 0.1, 0.3, 1) for bonus in np.linspace(0, 1, 11)
    ]
    chosen = max(weights, key=lambda pair: nn.metrics.chrf(tried.best(*pair), wanted).value)
    print("trust in the network {:.2f}, bonus for its own translation {:.2f}".format(*chosen))
    answers = {f"{given.cell} and memory": found.best(*chosen), given.cell: found.own}
    answers["translation memory"] = found.best(0, 0)
    for source, target, *row in [*zip(sources, targets, *answers.values(), strict=True)][:8]:
        told = [f"{who}: {text}" for who, text in zip(answers, row, strict=True)]
        print(source, f"reference: {target}", *told, sep="\n  ")
    if given.translate:
        print(given.translate, *propose([cleaned(given.translate)]).best(*chosen), sep="\n  ")
    source, target = max(test, key=lambda pair: min(len(model.cut(pair[0])), 12))
    picture, attention = given.path("attention.png"), model.attention(source, target)
    nn.training.plot_attention(picture, attention, model.cut(source), model.cut(target))
    print(f"picture: {picture}\ncheckpoint: {given.checkpoint}")
    for name, metric in (("BLEU", nn.metrics.bleu), ("chrF", nn.metrics.chrf)):
        scores = {who: metric(texts, targets, bootstrap=1000) for who, texts in answers.items()}
        for who, (_, mean, margin) in scores.items():
            print(
                f"{name}, 95 of 100 resampled sets: {who} {mean - margin:.1f} to {mean + margin:.1f}"
            )
        given.report(f"{name}, held out", {who: float(score) for who, score in scores.items()})


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
