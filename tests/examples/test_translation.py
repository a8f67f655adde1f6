"""Interface sentences in another language: facts about the data, own files, cells, mistakes."""

import math
import random

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo

import minigrad as mg
from minigrad import nn

SMALL = "--hidden 8 --batch 16 --epochs 2 --beams 2 --packages shop".split()
OWN = """
import minigrad as mg
from minigrad.kernels import cell

@cell(state="h", params=lambda inputs, hidden: {"w": (hidden, inputs), "u": (hidden, hidden)})
def leaky(x, h, *, w, u):
    return 0.5 * h + 0.5 * mg.tanh(mg.linear(x, w) + mg.linear(h, u))
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return a function that writes the catalogue of a package called shop."""
    package = tmp_path / "packages" / "shop"
    monkeypatch.syspath_prepend(package.parent)

    def write(messages, language="tr"):
        folder = package / "part" / "locale" / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
        catalogue = Catalog(locale=language)
        for message, translation, *context in messages:
            catalogue.add(message, translation, context=context[0] if context else None)
        with (folder / "django.mo").open("wb") as file:
            write_mo(file, catalogue)

    return write


def sentences(count):
    """Return made-up pairs: what is done, and to what."""
    verbs = {"Add": "ekle", "Delete": "sil", "Move": "taşı", "Open": "aç", "Close": "kapat"}
    draw, pairs = random.Random(0), {}
    while len(pairs) < count:
        verb, page = draw.choice(list(verbs)), draw.randint(1, 99)
        pairs[f"{verb} page {page} of {{total}}"] = (
            f"{{total}} sayfadan {page}. sayfayı {verbs[verb]}"
        )
    return list(pairs.items())


def test_messages_by_hand(load_example, shop):
    messages = [
        ("Save", "Kaydet"),
        ("May", "May.", "short name"),
        ("May", "Mayıs", "name"),
        (("%(count)d page", "%(count)d pages"), ("%(count)d sayfa", "%(count)d sayfalar")),
        ("Hello <b>%s</b>,\n  {name}&nbsp;!", "Merhaba <b>%s</b>, {{ name }}!"),
        ("Not translated", ""),
        ("A" * 41, "long"),
    ]
    shop(messages)
    shop([("Save", "Enregistrer")], language="fr")
    example = load_example("translation")
    given = type("Given", (), {"data": None, "packages": "shop nothing", "longest": 40})
    given.language = "tr"
    found = example.known_pairs(given)
    assert found.pop("May") in {"May.", "Mayıs"}
    assert found == {
        "Save": "Kaydet",
        "{} page": "{} sayfa",
        "Hello {}{}{}, {}{}!": "Merhaba {}{}{}, {}!",
    }
    given.language = "fr"
    assert example.known_pairs(given) == {"Save": "Enregistrer"}


@pytest.mark.full
def test_the_messages_of_django(load_example):
    example = load_example("translation")
    for language, known in {"tr": ("Yes", "Evet"), "fr": ("Yes", "Oui")}.items():
        given = type("Given", (), {"data": None, "packages": "django", "longest": 150})
        given.language = language
        pairs = example.known_pairs(given)
        assert 700 < len(pairs) < 1000
        assert known in pairs.items()
        assert not any("%(" in text for pair in pairs.items() for text in pair)


def test_a_sentence_is_words_and_rare_ones_are_spelled(load_example):
    example = load_example("translation")
    given = type("Given", (), {"hidden": 8, "dropout": 0.0, "cell": "gru"})
    given.device = "cpu"
    pairs = [("Delete {}", "{} sil"), ("Delete it", "Onu sil"), ("İptal: it", "ok")]
    model = example.Translator(pairs, given)
    cut = model.cut("Delete it")
    assert cut == ["↑", " delete", " it"]
    assert model.cut("delete İt {}") == [" delete", " ", "İ", "t", " {}"]
    for text in ["Delete it", "(Delete: IT!)", "iPhone “İptal” ßa", "{} {}{}.", "日本 है"]:
        assert model.join(model.cut(text)) == text


@pytest.mark.full
def test_what_is_held_out_is_never_seen(run_example, shop, monkeypatch):
    parts, whole = [], nn.data.split

    def split(*given, **options):
        parts.extend(whole(*given, **options))
        return parts

    monkeypatch.setattr(nn.data, "split", split)  # the example takes it from there
    pairs = sentences(150)
    shop(pairs)
    assert run_example("translation", *SMALL).status == 0
    sources = [{source for source, _ in part} for part in parts]
    assert [len(part) for part in parts] == [120, 15, 15]
    assert len(set.union(*sources)) == 150


def test_the_text_of_least_risk_by_hand(load_example):
    example = load_example("translation")
    likeness = {("a", "b"): 50, ("a", "c"): 0, ("b", "c"): 20}
    likeness |= {(other, text): value for (text, other), value in likeness.items()}
    example.LIKENESS = lambda text, other: likeness.get((text, other), 100)
    own, known = {"a": 0.0, "b": math.log(2)}, {"c": 7.0}  # shares 1/3, 2/3 and 1
    assert example.elected(1.0, own, known) == "b"  # 1/3 * 50 + 2/3 * 100, and a: 66.7
    assert example.elected(0.0, own, known) == "c"
    assert example.elected(0.6, own, known) == "b"  # a: 40, b: 58, c: 48
    assert example.elected(0.4, own, known) == "c"  # b: 45.3, c: 65.3


@pytest.mark.full
def test_a_quick_run_beats_its_memory(run_example):
    done = run_example("translation", "--quick", apart=True)
    assert (done.status, done.err) == (0, "")
    assert list(done.scores) == ["BLEU, held out", "chrF, held out"]
    for scores in done.scores.values():
        together, network, memory = scores.values()
        assert together > memory > network > 0
    assert (done.results / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert done.out.count("95 of 100 resampled sets") == 6


@pytest.mark.full
def test_own_sentences_in_another_alphabet(run_example, tmp_path):
    words = dict(
        zip("один два три четыре пять шесть семь восемь".split(), "一二三四五六七八", strict=True)
    )
    draw = random.Random(0)
    texts = {" ".join(draw.choices(list(words), k=draw.randint(2, 5))) for _ in range(700)}
    lines = [f"{text}\t{''.join(map(words.get, text.split()))}\n" for text in sorted(texts)]
    (tmp_path / "pairs.tsv").write_text("".join(lines), encoding="utf-8")
    given = "--hidden 48 --batch 16 --epochs 8 --lr 0.01 --cell lstm".split()
    done = run_example("translation", "--data", "pairs.tsv", *given, "--translate", "два семь пять")
    assert (done.status, done.err) == (0, "")
    together, network, memory = done.scores["chrF, held out"].values()
    assert network > memory + 10
    assert together > memory + 10
    assert "два семь пять\n  二七五\n" in done.out


@pytest.mark.full
def test_a_cell_of_ones_own(run_example, shop, tmp_path):
    shop(sentences(100), language="fr")
    (tmp_path / "own.py").write_text(OWN)
    done = run_example("translation", *SMALL, "--cell", "own.py:leaky", "--language", "fr")
    assert (done.status, done.err) == (0, "")
    assert "own.py:leaky" in done.scores["BLEU, held out"]


@pytest.mark.full
def test_a_run_goes_on_where_it_was_stopped(run_example, shop, monkeypatch):
    shop(sentences(150))
    whole = run_example("translation", *SMALL)
    step, stop = mg.nn.optim.Adam.step, iter(range(1000))

    def interrupted(self):
        if next(stop) == 11:  # of 8 in an epoch
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(mg.nn.optim.Adam, "step", interrupted)
        assert run_example("translation", *SMALL, "--save", "run.safetensors").status == 130
    done = run_example("translation", "--resume", "run.safetensors")
    assert done.scores == whole.scores


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell", "lsmt"], "'lsmt' is no cell; did you mean 'lstm'?"),
        (["--language", "de"], "invalid choice: 'de'"),
        (["--packages", "nothing"], "would be empty; give more examples"),
        (
            ["--data", "empty.mo"],
            "empty.mo is no compiled catalogue; give the .mo file that msgfmt",
        ),
        (["--data", "missing.tsv"], "cannot read missing.tsv"),
        (["--data", "lacks.tsv"], "lacks.tsv, line 2: the translation is missing"),
        (["--data", "few.tsv"], "would be empty; give more examples"),
        (["--beams", "0"], "'0' is not a whole number from 1 to"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_answered_in_one_line(run_example, tmp_path, arguments, message):
    (tmp_path / "lacks.tsv").write_text("a\tb\nc\n")
    (tmp_path / "empty.mo").write_bytes(b"")
    (tmp_path / "few.tsv").write_text("a\tb\nc\td\n")
    run_example("translation", *arguments).says(message)
