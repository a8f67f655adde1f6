"""Train an encoder and a decoder with attention to read dates of 50 locales and write them in ISO 8601.

By default Babel writes days from 1950 to 2049: medium, long and full forms, and short ones behind the
name of their locale, since 01/02/03 could mean anything. No day that is tested occurs in training, in any
locale. Beside the share of dates that beam search gets right stand that of a translation memory, which
puts our numbers into the most similar training date, and of a rule, which reads English months.
"""

import calendar
import datetime
import os
import re
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn.data import batches, split
from minigrad.nn.decoding import beam_search
from minigrad.nn.text import NearestText, Vocabulary, read_parallel
from minigrad.nn.training import Program, Setting, evaluating, number

LOCALES = (
    "af ar az bg bn ca cs da de el en en_GB es et eu fa fi fr he hi hr hu hy id is it ja ka kk ko "
    "lt lv mn nl pl pt ro ru sk sr sv sw ta th tr uk ur vi zh zh_Hant"
)
FORMS, FIRST, DAYS = ("short", "medium", "long", "full"), datetime.date(1950, 1, 1), 36_525
COUNT = number(int, 1, 10**6)
PROGRAM = Program(
    "date_translation",
    __doc__,
    data="lines with a text, a tab and what to write for it (default: dates by Babel)",
    cell="gru",
    duration="about 2 minutes",
    settings={
        "locales": Setting(str, LOCALES, "those whose dates Babel writes"),
        "dates": Setting(number(int, 100, 10**6), 30_000, "how many; a tenth of them is held out"),
        "hidden": Setting(number(int, 1, 4096), 96, "width of the decoder, and of the encoder each way"),
        "dropout": Setting(number(float, 0, 0.95), 0.1, "share that is left out in training"),
        "batch": Setting(COUNT, 64, "texts between two updates"),
        "epochs": Setting(COUNT, 5, "passes over the training texts"),
        "lr": Setting(number(float, 1e-9, 1), 0.006, "learning rate at the start; it falls to zero"),
    },
    quick={"locales": "de en en_GB fr hu ja ru tr", "dates": 5000, "hidden": 64, "lr": 0.01},
    options={
        "beams": Setting(COUNT, 4, "beginnings that beam search keeps"),
        "translate": Setting(str, None, "read this, too: '<fr> 01/02/2003', say (default: no)"),
    },
)  # fmt: skip


class Translator(nn.Module):
    """A bidirectional encoder, and a decoder that looks at what was read."""

    attend = nn.AdditiveAttention

    def __init__(self, pairs, given):
        sources, targets = zip(*pairs, strict=True)
        self.sources = Vocabulary(map(self.cut, sources), specials=["<unk>"])
        self.targets = Vocabulary(map(self.cut, targets), specials=["<unk>", "<bos>", "<eos>"])
        self.longest, self.device = 2 * max(map(len, targets)), given.device
        size, width = given.hidden // 2 + 1, given.hidden
        self.embedding = nn.Embedding(len(self.sources), size)
        self.dropout = nn.Dropout(given.dropout)
        self.encoder = nn.training.recurrent_layer(given.cell, size, width, bidirectional=True)
        attention = self.attend(width, 2 * width)
        self.decoder = nn.Decoder(
            nn.training.find_cell(given.cell), size, width, len(self.targets), attention=attention,
            input_feeding=False, vector_size=2 * width, dropout=given.dropout,
        )  # fmt: skip

    def cut(self, text):
        """Return a text as tokens: characters, and the name of a locale in front, such as <fr>."""
        return re.findall(r"^<\w+>|.", text, re.DOTALL)

    def batches(self, pairs, size, **options):
        """Return batches of pairs of texts as `forward` and the loss take them."""
        read = [self.sources.encode(self.cut(source)) for source, _ in pairs]
        before = [self.targets.encode(["<bos>", *self.cut(target)]) for _, target in pairs]
        after = [self.targets.encode([*self.cut(target), "<eos>"]) for _, target in pairs]
        return batches((read, before, after), size, device=self.device, **options)

    def read(self, text):
        """Return where the decoder begins: with all that was read to look at, and a summary."""
        tokens, lengths = text
        memory, _ = self.encoder(self.dropout(self.embedding(tokens)), lengths=lengths)
        return self.decoder.start(memory=memory, memory_lengths=lengths, vector=memory[0])

    def forward(self, text, before):
        """Map a text, and the token before each one to write, to scores (T, N, tokens)."""
        return self.decoder(before.values, self.read(text), lengths=before.lengths)[0]

    def join(self, tokens):
        """Return tokens as a text again."""
        return "".join(tokens)

    def translate(self, texts, **options):
        """Return what beam search writes for each text."""
        found, options = [], options | {"length": self.longest, "eos": self.targets.eos}
        with evaluating(self):
            for text, *_ in self.batches([(text, "") for text in texts], 100):
                found += beam_search(self.decoder, self.targets.bos, self.read(text), **options)
        return [self.join(self.targets.decode(best.tokens)) for best, *_ in found]

    def attention(self, source, target):
        """Return the weight of each token read (S) for each token written (T), shape (T, S)."""
        ((text, before, _),) = self.batches([(source, target)], 1)
        with evaluating(self):
            weights = self.decoder.alignments(before.values, self.read(text))
        return weights[:-1, 0].cpu().numpy()  # without <eos>


def dates(names, count):
    """Yield dates as locales write them, with what they are in ISO 8601."""
    try:
        from babel import Locale, UnknownLocaleError
        from babel.dates import format_date
    except ImportError:
        raise mg.errors.ArgumentError("Babel writes the dates; pip install babel") from None
    try:
        locales = {name: Locale.parse(name) for name in names.split() or ["none"]}
    except (ValueError, UnknownLocaleError) as error:
        raise mg.errors.ArgumentError(f"--locales: {error}; write them as 'de en_GB'") from None
    drawn = [mg.randint(0, n, (count,)).tolist() for n in (len(locales), len(FORMS), DAYS)]
    for place, form, day in zip(*drawn, strict=True):
        name, date = list(locales)[place], FIRST + datetime.timedelta(day)
        text = format_date(date, FORMS[form], locales[name])
        yield f"<{name}> {text}" if FORMS[form] == "short" else text, date.isoformat()


def value(digits, places):
    """Return a number with so many places; a year of two digits is one from 1950 to 2049."""
    century = (1900 if int(digits) >= 50 else 2000) * ((len(digits), places) == (2, 4))
    return f"{century + int(digits):0{places}}"


def memory(pairs):
    """Return what makes of a text what the most similar known one is, with our numbers for its own."""
    numbers, masked = re.compile(r"\d+").findall, lambda text: re.sub(r"\d+", "0", text)
    clear = sorted(pairs, key=lambda pair: len({int(n) % 100 for n in numbers(pair[1])}))
    known = list({masked(pair[0]): pair for pair in clear}.values())  # of equal ones the clearest
    nearest = NearestText(masked(source) for source, _ in known)

    def translate(text):
        source, target = known[nearest(masked(text))]
        both = [*zip(numbers(source), numbers(text), strict=False)]
        lengths = set(map(len, numbers(target)))
        ours = {value(own, n): value(new, n) for n in lengths for own, new in both}
        return re.sub(r"\d+", lambda found: ours.get(found[0], found[0]), target)

    return translate


def rule(text):
    """Return the date that somebody guesses who knows English months."""
    numbers = re.findall(r"\d+", re.sub(r"^<\w+>", "", text)) or ["0"]
    numbers.remove(year := max(reversed(numbers), key=len))
    months = [m for m, name in enumerate(calendar.month_abbr) if m and name.lower() in text.lower()]
    day, month, *_ = (*numbers, *map(str, months), "0", "0")
    return "-".join((value(year, 4), value(month, 2), value(day, 2)))


def main(given):
    """Train, read what is held out, draw what the decoder looks at."""
    own = zip(*read_parallel(given.data), strict=True) if given.data else None
    known = dict(own or dates(given.locales, given.dates))  # each text once
    order, shares, groups = mg.Generator(given.seed), (0.8, 0.1, 0.1), known.values()
    training, validation, test = split([*known.items()], shares, generator=order, groups=groups)
    model = Translator(training, given).to(given.device)
    train = model.batches(training, given.batch, shuffle=order, bucket=20)
    optimizer = nn.optim.Adam(model.parameters(), given.lr)
    given.fit(
        model, train, nn.SequenceLoss(), optimizer, epochs=given.epochs,
        validation=model.batches(validation, 500), metrics={"right": nn.metrics.exact_match},
        scheduler=nn.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, given.epochs * len(train)),
        clip_norm=1.0, parts={"sources": model.sources, "targets": model.targets},
    )  # fmt: skip
    sources, targets = zip(*test, strict=True)
    answers = {given.cell: model.translate(sources, beams=given.beams)}
    answers["translation memory"] = [*map(memory(training), sources)]
    answers |= {} if given.data else {"rule": [*map(rule, sources)]}
    for source, target, answer in [*zip(sources, targets, answers[given.cell], strict=True)][:8]:
        print(f"{source} -> {answer}{'' if answer == target else f', but it is {target}'}")
    if given.translate:
        print(f"{given.translate} -> {model.translate([given.translate], beams=given.beams)[0]}")
    easy = [(s, t) for s, t in test if s.startswith(t[:4]) and max(s) < "\u0250"]  # Latin
    source, target = max(easy or test[:1], key=lambda pair: len(pair[0]))
    picture, weights = given.path("attention.png"), model.attention(source, target)
    nn.training.plot_attention(picture, weights, model.cut(source), model.cut(target))
    print(f"picture: {picture}\ncheckpoint: {given.checkpoint}")
    scores = {name: np.mean(np.equal(found, targets)) for name, found in answers.items()}
    given.report("read rightly, held out", scores)


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
