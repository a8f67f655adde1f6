"""Files of the field's formats: labelled texts, columns of CoNLL, parallel sentences."""

import csv
import io
import sys

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from hypothesis import assume, given
from hypothesis import strategies as st

from minigrad.errors import ArgumentError, FileFormatError
from minigrad.nn.text import read_conll, read_labelled, read_parallel


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def written(content, name="file.tsv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


PAIR = (["I like it.", "Je l'aime, oui"], ["good", "bad"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "text\tlabel\nI like it.\tgood\nJe l'aime, oui\tbad\n"),
        ("a.tsv", "label\ttext\ngood\tI like it.\nbad\tJe l'aime, oui"),
        ("a.tsv", "id\tLabel\t Text \n1\tgood\tI like it.\n2\tbad\tJe l'aime, oui"),
        ("a.tsv", "I like it.\tgood\nJe l'aime, oui\tbad\n"),
        ("a.txt", "\n \ngood\tI like it.\n\n \nbad\tJe l'aime, oui\n\n"),
        ("a.csv", 'good,I like it.\nbad,"Je l\'aime, oui"\n'),
        ("a.CSV", '\ufefftext,label\r\nI like it.,good\r\n"Je l\'aime, oui",bad\r\n'),
        ("a.csv", "good;I like it.\nbad;Je l'aime, oui\n"),
        ("a.csv", "text;label\nI like it.;good\nJe l'aime, oui;bad\n"),
        ("a.csv", "good\tI like it.\nbad\tJe l'aime, oui\n"),
    ],
)
def test_texts_and_their_labels(write, name, content):
    assert read_labelled(write(content, name)) == PAIR


def test_columns_may_be_named_or_counted(write):
    path = write("1\tgood\tI like it.\n2\tbad\tJe l'aime, oui\n")
    assert read_labelled(path, text=2, label=1) == read_labelled(path, -1, -2) == PAIR
    path = write('Review,Stars,label\nI like it.,good,x\n"Je l\'aime, oui",bad,y\n', "a.csv")
    assert read_labelled(path, text="review", label="stars") == PAIR
    assert read_labelled(path, "review") == (PAIR[0], ["x", "y"])


def test_a_first_line_of_names_that_nobody_told_of_is_seen(write):
    lines = [f"a long text {n}\t{label}" for n, label in enumerate("xyxyx")]
    for begin in ([], ["review\tsentiment"]):
        texts, labels = read_labelled(write("\n".join([*begin, *lines])))
        assert labels == list("xyxyx")
        assert texts[0] == "a long text 0"
    first = ["once\tz", *lines, "again\tz"]  # a label like others
    assert read_labelled(write("\n".join(first)))[1] == list("zxyxyxz")


def test_quotes_and_lines_inside_of_a_text(write):
    content = 'text,label\n"He said ""no"",\nand left",bad\n"",good\n'
    with pytest.raises(FileFormatError, match=r"a\.csv, line 4: the text is missing; fill"):
        read_labelled(write(content, "a.csv"))
    texts, labels = read_labelled(write(content.replace('"",good', "fine,good"), "a.csv"))
    assert (texts, labels) == (['He said "no",\nand left', "fine"], ["bad", "good"])
    assert read_labelled(write('"quoted" is\tx\n"so\ty\n'))[0] == ['"quoted" is', '"so']


TEXT = st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)), min_size=1)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1), st.sampled_from([",", ";"]))
def test_what_the_csv_module_writes_is_read(tmp_path_factory, rows, delimiter):
    rows = [(text.strip(), label.strip()) for text, label in rows]
    assume(all(text and label for text, label in rows))
    content = io.StringIO()
    csv.writer(content, delimiter=delimiter).writerows([("text", "label"), *rows])
    path = tmp_path_factory.mktemp("table") / "a.csv"
    path.write_bytes(content.getvalue().encode())
    texts, labels = read_labelled(path)
    assert list(zip(texts, labels, strict=True)) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good\tfine\nbad\t\nbad\tno\n\t\nbad\t\n", r"tsv, line 2: the text is missing \(and on 1 more"),
        ("a text\tgood\nmore\t \nthe end\tgood\n", "line 2: the label is missing; fill it in, or"),
        ("a text\tgood\nmore\nthe end\tgood\n", "line 2: it has 1 column, and line 1 has 2; fill in wh"),
        ("a text\tgood\n\nmore\tx\ty\n", "line 3: it has 3 columns, and line 1 has 2; quote the text"),
        ("text\tlabel\n", "names columns and holds no text"),
        ("one\ntwo\n", "has a single column; separate texts and labels by a tab or a comma"),
        ("a\tb\tc\nd\te\tf\n", "which of its 3 columns hold the text and the label"),
        ("a\tb\nc\td\n", "which column holds the labels. Both have 2 different values"),
        ("", "is empty"),
        (b"\xff", "is no UTF-8 text"),
    ],
)  # fmt: skip
def test_tables_that_lack_something(write, content, message):
    with pytest.raises((FileFormatError, ArgumentError), match=message) as caught:
        read_labelled(write(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "review"}, "no column is called 'review'; line 1 has label, text; name one of"),
        ({"label": 2}, "there is no column 2; line 1 has 2, from 0 to 1"),
        ({"label": 1.5}, "there is no column 1.5"),
    ],
)
def test_columns_that_are_not_there(write, options, message):
    with pytest.raises(ArgumentError, match=message):
        read_labelled(write("label\ttext\na\tb\n"), **options)


def test_a_quote_that_is_not_closed(write):
    with pytest.raises(FileFormatError, match=r"line 2: .*; inside of quotes, write a quote twice"):
        read_labelled(write('text,label\n"no end,good\nmore,bad\n', "a.csv"))


# CoNLL

SENTENCES = ([["Ada", "Løvlace", "singt"], ["#", "你好"]], [["B-PER", "I-PER", "O"], ["O", "O"]])


@pytest.mark.parametrize(
    "content",
    [
        "Ada B-PER\nLøvlace I-PER\nsingt O\n\n# O\n你好 O\n",
        "\ufeff\n\nAda B-PER\r\nLøvlace I-PER\r\nsingt O\r\n\r\n \r\n# O\r\n你好 O\r\n\r\n",
        "-DOCSTART- O\n\nAda B-PER\nLøvlace I-PER\nsingt O\n\n-DOCSTART- O\n\n# O\n你好 O",
        "# text = Ada\nAda\tB-PER\nLøvlace\tI-PER\nsingt\tO\n\n# 4\n#\tO\n你好\tO",
        "Ada NNP x B-PER\nLøvlace NNP y I-PER\nsingt VB z O\n\n# $ z O\n你好 NN x O\n",
    ],
)
def test_sentences_and_their_tags(write, content):
    assert read_conll(write(content)) == SENTENCES


def test_other_columns_and_words_with_spaces(write):
    path = write("1\tNew York\tB-LOC\tx\n2\t.\tO\ty\n")
    assert read_conll(path, word=1, tag=2) == ([["New York", "."]], [["B-LOC", "O"]])
    assert read_conll(path, 1)[1] == [["x", "y"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Ada B-PER\n\nsings\n", "file.tsv, line 3: it has 1 column, and line 1 has 2; fill in"),
        ("Ada B-PER x\nsings O\n", "line 2: it has 2 columns, and line 1 has 3"),
        ("Ada\tB-PER\nsings\t \n", "line 2: the tag is missing; fill it in"),
        ("Ada\tB-PER\n\tO\n", "line 2: the word is missing"),
        ("-DOCSTART- O\n", "holds no words; give lines of a word and its tag"),
        ("", "is empty"),
    ],
)
def test_columns_that_lack_something(write, content, message):
    with pytest.raises((FileFormatError, ArgumentError), match=message):
        read_conll(write(content))
    with pytest.raises(ArgumentError, match="there is no column 5; line 1 has 2, from 0 to 1"):
        read_conll(write("Ada O\n"), word=5)


# parallel text


def test_pairs_of_sentences(write):
    pairs = (["Go.", "Run, now!"], ["Haydi!", "Şimdi koş!"])
    assert read_parallel(write("Go.\tHaydi!\nRun, now!\tŞimdi koş!\n")) == pairs
    content = "\ufeffGo.\tHaydi!\tCC-BY\r\n\r\nRun, now!\t Şimdi koş! \r\n\t\r\n"
    assert read_parallel(write(content)) == pairs
    source, target = write("Go.\n\nRun, now!\n", "a.en"), write("Haydi!\n\nŞimdi koş!", "a.tr")
    assert read_parallel(source, target) == pairs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "Go.\tHaydi!\nRun!\n",
            "file.tsv, line 2: the translation is missing; write it behind a tab",
        ),
        ("Go.\tHaydi!\nRun!\t \n", "line 2: the translation is missing"),
        ("Go.\tHaydi!\n\tRun!\n", "line 2: the sentence is missing; write it, or delete the line"),
    ],
)
def test_sentences_without_a_translation(write, content, message):
    with pytest.raises(FileFormatError, match=message):
        read_parallel(write(content))


def test_a_catalogue_of_messages(tmp_path):
    catalogue = Catalog(locale="tr")
    for message, translation in [
        ("Go.", "Haydi!"),
        (("%(n)d day", "%(n)d days"), ("%(n)d gün", "%(n)d günler")),
        ("Untold", ""),
        ("  Run ", " Koş "),
    ]:
        catalogue.add(message, translation)
    catalogue.add("May", "Mayıs", context="month")
    path = tmp_path / "django.MO"
    with path.open("wb") as file:
        write_mo(file, catalogue)
    sources, targets = read_parallel(path)
    assert sorted(zip(sources, targets, strict=True)) == [
        ("%(n)d day", "%(n)d gün"),
        ("Go.", "Haydi!"),
        ("May", "Mayıs"),
        ("Run", "Koş"),
    ]
    content = path.read_bytes()
    for wrong in (
        b"",
        b"Go.\tHaydi!\n",
        content[:100],
        content[:4] + bytes(200)[:10],
        b"\xff" * 99,
    ):
        path.write_bytes(wrong)
        with pytest.raises(
            FileFormatError, match=r"MO is no compiled catalogue; give the \.mo file"
        ):
            read_parallel(path)
    with pytest.raises(ArgumentError, match=r"cannot read .*missing\.mo: No such file"):
        read_parallel(tmp_path / "missing.mo")


def test_a_catalogue_needs_babel(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "babel.messages.mofile", None)
    with pytest.raises(
        ImportError, match=r"a\.mo, a catalogue; install it with: pip install babel"
    ):
        read_parallel(tmp_path / "a.mo")


def test_files_that_are_not_parallel(write):
    first, second = write("a\nb\nc", "a.en"), write("x\ny\n", "a.tr")
    with pytest.raises(FileFormatError, match=r"a.en has 3 lines, and .*a.tr has 2; give a transl"):
        read_parallel(first, second)
    second = write("x\n\nz", "a.tr")
    with pytest.raises(
        FileFormatError, match=r"a.en, line 2: the translation is missing; write it on"
    ):
        read_parallel(first, second)
    with pytest.raises(ArgumentError, match=r"cannot read .*missing"):
        read_parallel(first, first.parent / "missing")
