"""The word model: it beats counting, knows a pair from a pear, writes, goes on exactly, says mistakes."""

import math
import random
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn.text import NGram

SMALL = "--hidden 8 --batch 4 --seq-len 8 --epochs 2".split()
SCORE = "perplexity, held out"
FRUIT = ["the list stores a key and a value pair.", "she ate a ripe pear.", "he ate a green apple."]
OWN = """
import minigrad as mg
from minigrad.kernels import cell

@cell(state="h", params=lambda inputs, hidden: {"w": (hidden, inputs)})
def leaky(x, h, *, w):
    return 0.5 * h + mg.tanh(mg.linear(x, w))
"""


@pytest.fixture
def word_lm(run_example, tmp_path):
    """Return a function that runs the example on sentences drawn from a list."""

    def run(*arguments, sentences=FRUIT, count=300, **options):
        drawn = random.Random(0).choices(sentences, k=count)
        (tmp_path / "text.txt").write_text(" ".join(drawn), encoding="utf-8")
        given = () if "--resume" in arguments else ("--data", "text.txt")
        return run_example("word_lm", *given, *arguments, **options)

    return run


def sample(out):
    return out.split("--- a sample ---\n")[1].split("\n------")[0]


def ranked(out):
    """Return lines of a file as they were ranked, with their log-probabilities."""
    rows = re.findall(r"(?m)^ +(-[\d.]+) +[\d.]+  (.*)$", out)
    return {line: float(score) for score, line in rows}


@pytest.mark.full
def test_a_quick_run_beats_the_models_that_count(run_example):
    done = run_example("word_lm", "--quick", apart=True)
    assert (done.status, done.err) == (0, "")
    scores = done.scores[SCORE]
    network, *counted, both = scores.values()
    assert both < network < min(counted)
    assert list(scores)[1:3] == ["Kneser-Ney 3-gram", "Kneser-Ney 4-gram"]
    assert (done.results / "perplexity.png").stat().st_size > 10_000


@pytest.mark.full
def test_the_models_that_count_see_the_same_words(word_lm, tmp_path):
    done = word_lm(*SMALL)
    text = (tmp_path / "text.txt").read_text()
    tokens = re.findall(r"\w+|<eos>|\.", text.replace(".", ". <eos>"))
    cut = len(tokens) * 9 // 10
    codes = np.unique(tokens, return_inverse=True)[1]
    size = int(codes.max()) + 2  # and <unk>
    for order, perplexity in zip((3, 4), list(done.scores[SCORE].values())[1:3], strict=True):
        logarithms = NGram(codes[:cut], size, order).log_probabilities(codes[cut:])
        assert perplexity == pytest.approx(np.exp(-logarithms[1:].mean()), rel=0.01)


LEARNT = "--hidden 32 --batch 4 --seq-len 16 --epochs 8 --lr 0.01 --dropout 0.1".split()


@pytest.mark.full
def test_pair_and_pear(word_lm, tmp_path):
    lines = ["the list stores a key and a value pear.", FRUIT[0], "she ate a ripe pair.", FRUIT[1]]
    (tmp_path / "lines.txt").write_text("\n".join([*lines, "", "the zebra stores a key."]))
    done = word_lm(*LEARNT, "--score", "lines.txt")
    scores = ranked(done.out)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert len(scores) == 5
    assert scores[FRUIT[0]] > scores[lines[0]] + 2
    assert scores[FRUIT[1]] > scores[lines[2]] + 2
    again = word_lm("--resume", "out/checkpoint.safetensors", "--score", "lines.txt")
    assert ranked(again.out) == scores
    assert again.scores == done.scores


@pytest.mark.full
def test_n_best_lists_are_put_into_a_new_order(word_lm, tmp_path):
    lists = [
        ("one", -1.0, "she ate a ripe pair."),
        ("two", -3.0, "he ate a green apple."),
        ("one", -1.5, "she ate a ripe pear."),
        ("two", -2.0, "he ate a green list."),
    ]
    text = "".join(f"{name}\t{score}\t{line}\n" for name, score, line in lists)
    (tmp_path / "lists.tsv").write_text(text)
    (tmp_path / "lines.txt").write_text("\n".join(line for _, _, line in lists))
    both = ("--rescore", "lists.tsv", "--score", "lines.txt")
    done = word_lm(*LEARNT, *both, "--weight", "0.5")
    scores = ranked(done.out)
    rows = [line.split("\t") for line in (done.results / "rescored.tsv").read_text().splitlines()]
    assert [(name, line) for name, _, line in rows] == [
        ("one", lists[2][2]), ("one", lists[0][2]), ("two", lists[1][2]), ("two", lists[3][2])
    ]  # fmt: skip
    for _, total, line in rows:
        before = next(score for _, score, other in lists if other == line)
        assert float(total) == pytest.approx(before + 0.5 * scores[line], abs=0.01)
    assert "2 of 2 have another best sentence" in done.out
    as_it_was = word_lm("--resume", "out/checkpoint.safetensors", *both, "--weight", "0")
    assert "0 of 2 have another best sentence" in as_it_was.out


def test_a_sentence_has_the_probability_of_its_words(run_example, monkeypatch, tmp_path):
    """With a model of fixed scores, by hand; a word that is unknown shares <unk> with those seen once."""
    tokens = ["a"] * 30 + ["b"] * 20 + ["c", "d", "e"]  # c, d and e are seen once: <unk>
    random.Random(1).shuffle(tokens)
    (tmp_path / "text.txt").write_text(" ".join([*tokens, "a"] + ["b"] * 6))
    (tmp_path / "lines.txt").write_text("a b\nzebra")
    scores = np.array([0.5, -1.0, 2.0, 1.0], np.float32)  # <unk> <eos> a b
    logs = scores - np.log(np.exp(scores).sum())
    forward = mg.nn.TiedLinear.forward
    fixed = lambda self, x: 0 * forward(self, x) + mg.tensor(scores)
    monkeypatch.setattr(mg.nn.TiedLinear, "forward", fixed)
    done = run_example("word_lm", "--data", "text.txt", *SMALL[:2], "--batch", "2", "--epochs", "1",
                       "--score", "lines.txt")  # fmt: skip
    expected = {"a b": logs[2] + logs[3] + logs[1], "zebra": logs[0] - math.log(3) + logs[1]}
    assert ranked(done.out) == pytest.approx(expected, abs=0.006)


@pytest.mark.full
def test_what_it_writes(word_lm):
    done = word_lm(*LEARNT, "--prompt", "The list stores", "--top-k", "1")
    assert sample(done.out).startswith(f"{FRUIT[0]}\n")
    resumed = ("--resume", "out/checkpoint.safetensors")
    one, again = (sample(word_lm(*resumed, "--temperature", "2").out) for _ in range(2))
    assert one == again
    other = sample(word_lm(*resumed, "--temperature", "1.5").out)
    assert other != one


@pytest.mark.full
def test_a_run_goes_on_exactly_where_it_was_stopped(word_lm, monkeypatch):
    whole = word_lm(*SMALL)
    step, count = mg.nn.optim.AdamW.step, iter(range(1000))

    def interrupted(self):
        if next(count) == 60:  # in the second epoch
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(mg.nn.optim.AdamW, "step", interrupted)
        assert word_lm(*SMALL, "--save", "run.safetensors").status == 130
    done = word_lm("--resume", "run.safetensors")
    assert (done.scores, sample(done.out)) == (whole.scores, sample(whole.out))


@pytest.mark.full
def test_a_text_in_another_alphabet(word_lm, tmp_path):
    sentences = ["мама мыла раму.", "кошка ест рыбу!", "где моя кошка?"]
    (tmp_path / "lines.txt").write_text("кошка ест раму!\nКошка ест рыбу!", encoding="utf-8")
    done = word_lm(*LEARNT, "--score", "lines.txt", "--prompt", "мама", sentences=sentences)
    assert (done.status, done.err) == (0, "")
    assert list(ranked(done.out)) == ["Кошка ест рыбу!", "кошка ест раму!"]
    assert sample(done.out).startswith("мама мыла")


@pytest.mark.full
@pytest.mark.parametrize("cell", ["gru", "mgu", "own:leaky", "own.py:leaky"])
def test_cells_by_name_and_of_the_users_own(word_lm, tmp_path, cell):
    (tmp_path / "own.py").write_text(OWN)
    done = word_lm(*SMALL, "--cell", cell, "--layers", "2", count=60)
    assert (done.status, done.err) == (0, "")
    assert cell in done.scores[SCORE]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "missing.txt"], "cannot read missing.txt: No such file"),
        (["--cell", "lsmt"], "'lsmt' is no cell; did you mean 'lstm'?"),
        (["--cell", "text.txt:lstm"], "cannot import text.txt for its cell"),
        (["--dropout", "1"], "'1' is not a number from 0 to 0.95"),
        (["--batch", "500"], "the text has 2464 words, and --batch 500 takes 5010; give a longer"),
        (["--score", "missing.txt"], "cannot read missing.txt"),
        (["--rescore", "lists.tsv"], "lists.tsv, line 2: it must be a list's name, a number and a"),
        (["--resume", "text.txt"], "text.txt"),
        (["--resume", "missing.safetensors"], "missing.safetensors"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_answered_in_one_line(word_lm, tmp_path, arguments, message):
    (tmp_path / "lists.tsv").write_text("one\t-1\tfine\none\tfine\t-1\n")
    word_lm(*arguments).says(message)
