"""Dates from one form to another: what is learned, facts about the data, own files, mistakes."""

import random
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

SCORE = "read rightly, held out"
SMALL = "--hidden 8 --batch 16 --epochs 2 --dates 150 --beams 2".split()
OWN = """
import minigrad as mg
from minigrad.kernels import cell

@cell(state="h", params=lambda inputs, hidden: {"w": (hidden, inputs), "u": (hidden, hidden)})
def leaky(x, h, *, w, u):
    return 0.5 * h + 0.5 * mg.tanh(mg.linear(x, w) + mg.linear(h, u))
"""


@pytest.mark.full
def test_a_quick_run_reads_unseen_dates_and_looks_where_they_stand(run_example, monkeypatch):
    done = run_example("date_translation", "--quick", apart=True)
    assert (done.status, done.err) == (0, "")
    network, memory, rule = done.scores[SCORE].values()
    assert network >= 0.98
    assert network > memory > rule > 0.2
    assert (done.results / "attention.png").read_bytes().startswith(b"\x89PNG")
    drawn = []
    monkeypatch.setattr(nn.training, "plot_attention", lambda *given: drawn.append(given))
    checkpoint = done.results / "checkpoint.safetensors"
    again = run_example("date_translation", "--resume", checkpoint, "--translate", "5. März 1975")
    assert again.scores == done.scores
    assert "5. März 1975 -> 1975-03-05" in again.out
    ((_, weights, source, written),) = drawn
    assert weights.shape == (len(written), len(source))
    assert weights.sum(axis=1) == pytest.approx(np.ones(10), abs=1e-5)
    looked = weights @ np.arange(len(source))  # where it looks on average
    assert np.corrcoef(looked, np.arange(10))[0, 1] > 0.9  # ever further to the right


def test_dates_are_what_they_look_like(load_example):
    example = load_example("date_translation")
    mg.manual_seed(3)
    pairs = list(example.dates("en en_GB de", 3000))
    assert len(pairs) == 3000
    kinds = {
        r"<en> (?P<m>\d+)/(?P<d>\d+)/(?P<y>\d\d)": 1 / 12,
        r"<en_GB> (?P<d>\d\d)/(?P<m>\d\d)/(?P<y>\d{4})": 1 / 12,
        r"<de> (?P<d>\d\d)\.(?P<m>\d\d)\.(?P<y>\d\d)": 1 / 12,
        r"(?P<d>\d\d)\.(?P<m>\d\d)\.(?P<y>\d{4})": 1 / 12,
        r"(\w+day, )?(?P<name>[A-Z][a-z]+) (?P<d>\d+), (?P<y>\d{4})": 3 / 12,
        r"(\w+day, )?(?P<d>\d+) (?P<name>[A-Z][a-z]+) (?P<y>\d{4})": 3 / 12,
        r"(\w+, )?(?P<d>\d+)\. (?P<name>\w+) (?P<y>\d{4})": 2 / 12,
    }
    names = "jan feb mar apr may jun jul aug sep oct nov dec".split()
    german = {"mär": "mar", "mai": "may", "okt": "oct", "dez": "dec"}
    counts = dict.fromkeys(kinds, 0)
    for text, iso in pairs:
        (kind,) = [kind for kind in kinds if re.fullmatch(kind, text)]
        counts[kind] += 1
        found = re.fullmatch(kind, text).groupdict()
        if "name" in found:
            name = found["name"][:3].lower()
            found["m"] = names.index(german.get(name, name)) + 1
        year = int(found["y"])
        year += (1900 if year >= 50 else 2000) if year < 100 else 0
        assert iso == f"{year}-{int(found['m']):02}-{int(found['d']):02}"
        assert 1950 <= year < 2050
    for kind, share in kinds.items():
        assert counts[kind] == pytest.approx(3000 * share, abs=100), kind


@pytest.mark.full
def test_no_text_can_be_read_in_two_ways(load_example):
    example = load_example("date_translation")
    assert len(example.LOCALES.split()) == 50
    mg.manual_seed(0)
    readings = set(example.dates(example.LOCALES, 20_000))
    assert len(readings) == len(dict(readings)) > 19_000


@pytest.mark.full
@pytest.mark.parametrize("own", [False, True])
def test_what_is_held_out_is_never_seen(run_example, load_example, monkeypatch, tmp_path, own):
    parts, whole = [], nn.data.split

    def split(*given, **options):
        parts.extend(whole(*given, **options))
        return parts

    monkeypatch.setattr(nn.data, "split", split)  # an example takes it from there
    pairs = [(f"{a} и {b}", str(a + b)) for a in range(12) for b in range(12)]
    (tmp_path / "pairs.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in [*pairs, *pairs]))
    given = ["--data", "pairs.tsv"] if own else ["--locales", "de fr"]
    assert run_example("date_translation", *SMALL, *given).status == 0
    sources, targets = ([{pair[i] for pair in part} for part in parts] for i in (0, 1))
    for sets in (sources, targets):
        assert sum(map(len, sets)) == len(set.union(*sets))
    total = sum(map(len, parts))
    assert total == (144 if own else len(set.union(*sources)))
    assert len(parts[2]) == pytest.approx(total / 10, abs=12)


def test_a_memory_puts_our_numbers_where_it_has_its_own(load_example):
    memory = load_example("date_translation").memory(
        [("3. Mai 2003", "2003-05-03"), ("12. Juni 1999", "1999-06-12"), ("7.8.51", "1951-08-07")]
    )
    assert memory("21. Mai 1980") == "1980-05-21"  # of known words
    assert memory("1. Juli 1980") == "1980-06-01"  # "Juni" is nearer, and wrong
    assert memory("11.9.49") == "2049-09-11"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("Saturday, February 1, 2003", "2003-02-01"),
        ("01.12.1970", "1970-12-01"),
        ("<en> 12/1/03", "2003-01-12"),  # wrong, but it is only a rule
        ("03/03/03", "2003-03-03"),
        ("1 lutego 2003", "2003-00-01"),
        ("", "0000-00-00"),
    ],
)
def test_a_rule_knows_english_months(load_example, text, date):
    assert load_example("date_translation").rule(text) == date


@pytest.mark.full
def test_pairs_of_another_kind_in_another_alphabet(run_example, tmp_path):
    draw = random.Random(0)
    texts = {"".join(draw.choices("αβγδε", k=draw.randint(2, 4))) for _ in range(900)}
    lines = [f"{text}\t{text.upper()[::-1]}\n" for text in sorted(texts)]
    (tmp_path / "pairs.tsv").write_text("".join(lines), encoding="utf-8")
    given = "--data pairs.tsv --hidden 32 --batch 16 --epochs 5 --lr 0.02 --cell lstm".split()
    done = run_example("date_translation", *given, "--translate", "αβ7")
    assert (done.status, done.err) == (0, "")
    network, memory = done.scores[SCORE].values()
    assert network - 0.7 > 0.1 > memory  # known texts do not help
    assert re.search("αβ7 -> .?ΒΑ", done.out)


@pytest.mark.full
def test_a_cell_of_ones_own(run_example, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    done = run_example("date_translation", *SMALL, "--locales", "en", "--cell", "own:leaky")
    assert (done.status, done.err) == (0, "")
    assert list(done.scores[SCORE]) == ["own:leaky", "translation memory", "rule"]


@pytest.mark.full
def test_a_run_goes_on_where_it_was_stopped(run_example, monkeypatch):
    given = [*SMALL, "--locales", "en tr"]
    whole = run_example("date_translation", *given)
    step, stop = mg.nn.optim.Adam.step, iter(range(1000))

    def interrupted(self):
        if next(stop) == 11:  # of 8 in an epoch
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(mg.nn.optim.Adam, "step", interrupted)
        assert run_example("date_translation", *given, "--save", "run.safetensors").status == 130
    done = run_example("date_translation", "--resume", "run.safetensors")
    answers = [line for line in whole.out.splitlines() if " -> " in line]
    assert len(answers) == 8
    assert [line for line in done.out.splitlines() if " -> " in line] == answers
    assert done.scores == whole.scores


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell", "lsmt"], "'lsmt' is no cell; did you mean 'lstm'?"),
        (["--locales", "de xx"], "--locales: unknown locale 'xx'; write them as 'de en_GB'"),
        (["--locales", ""], "--locales: unknown locale 'none'"),
        (["--data", "missing.tsv"], "cannot read missing.tsv"),
        (["--data", "lacks.tsv"], "lacks.tsv, line 2: the translation is missing"),
        (["--data", "few.tsv"], "would be empty; give more examples"),
        (["--dates", "0"], "'0' is not a whole number from 100 to"),
        (["--beams", "many"], "'many' is not a whole number from 1 to"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_answered_in_one_line(run_example, tmp_path, arguments, message):
    (tmp_path / "lacks.tsv").write_text("a\tb\nc\n")
    (tmp_path / "few.tsv").write_text("a\tb\nc\td\n")
    run_example("date_translation", *arguments).says(message)
