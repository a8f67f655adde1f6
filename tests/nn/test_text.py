"""Reading text, its tokens, and the vocabulary that numbers them."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, FileFormatError
from minigrad.nn.text import (
    Vocabulary,
    characters,
    english_text,
    package_file,
    read_text,
    sentence,
    words,
)

# vocabulary


def test_a_vocabulary_numbers_the_characters():
    vocabulary = Vocabulary("hello, dünya 🙂")
    assert "".join(vocabulary.tokens) == " ,adehlnoyü🙂"
    assert len(vocabulary) == 12
    codes = vocabulary.encode("lady 🙂")
    assert codes.tolist() == [6, 2, 3, 9, 0, 11]
    assert codes.dtype == np.int64
    assert vocabulary.decode(codes) == "lady 🙂"


@given(st.text(st.characters(), min_size=1))
def test_decoding_undoes_encoding(text):
    vocabulary = Vocabulary(text)
    codes = vocabulary.encode(text)
    assert codes.tolist() == [sorted(set(text)).index(character) for character in text]
    assert vocabulary.decode(codes) == text
    assert vocabulary.decode(iter(codes.tolist())) == text


@pytest.mark.parametrize("unknown", ["z", "\0", "🚀", "b\nz", "\udc80"])
def test_unknown_characters_are_refused(unknown):
    with pytest.raises(ArgumentError, match="does not occur in the text that the vocabulary"):
        Vocabulary("abc\n").encode(f"ab{unknown}")


def test_the_first_unknown_character_is_named():
    with pytest.raises(ArgumentError, match="the character 'z' does not occur"):
        Vocabulary("abc").encode("azy")
    assert Vocabulary("abc").encode("").tolist() == []


@pytest.mark.parametrize("number", [-1, 3, 1000])
def test_numbers_of_no_character_are_refused(number):
    with pytest.raises(ArgumentError, match=f"decode: {number} stands for no character; .* 0 to 2"):
        Vocabulary("abc").decode([0, number])


ROW, ONE = "decode: codes must be a row of integers, not ", "decode: each code must be an integer, "


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([0.7], f"{ONE}not 0.7"),
        (np.array([0.0, 1.0]), ONE),
        (mg.tensor([1.0]), ONE),
        ([True], f"{ONE}not True"),
        (np.array([True]), ONE),
        (mg.tensor([True]), ONE),
        ([None], f"{ONE}not None"),
        (["1"], f"{ONE}not '1'"),
        ([[0, 1]], f"{ONE}not "),
        (np.array([[0, 1]]), ONE),
        (None, f"{ROW}None"),
        (1, f"{ROW}1"),
        ("abc", f"{ROW}'abc'"),
        (b"\0\1", ROW),
    ],
)
def test_what_is_no_row_of_numbers_is_not_decoded(codes, message):
    with pytest.raises(ArgumentError, match=message):
        Vocabulary("abc").decode(codes)


@pytest.mark.parametrize("kind", [list, np.array, mg.tensor, np.uint8, iter])
def test_numbers_of_any_integer_kind_are_decoded(kind):
    assert Vocabulary("abc").decode(kind([0, 2])) == "ac"


@pytest.mark.parametrize("text", [b"", b"abc", None, 3, bytearray(b"a"), {"a": 1}])
def test_what_is_no_text_is_refused(text):
    vocabulary = Vocabulary("abc")
    for use, name in ((vocabulary.encode, "encode"), (Vocabulary, "Vocabulary")):
        kind = type(text).__name__
        with pytest.raises(
            ArgumentError,
            match=f"{name}: the text must be a str or a list of tokens, not a {kind};",
        ):
            use(text)


def test_an_empty_text_has_no_vocabulary():
    with pytest.raises(ArgumentError, match="Vocabulary: the text is empty"):
        Vocabulary("")


def test_the_state_of_a_vocabulary_fits_the_same_characters_only():
    vocabulary = Vocabulary("abc")
    state = vocabulary.state_dict()
    Vocabulary("cabbage"[:4]).load_state_dict(state)
    with pytest.raises(ArgumentError, match="the text has other characters than the one that"):
        Vocabulary("abd").load_state_dict(state)
    with pytest.raises(ArgumentError, match="the state has no 'tokens'; pass what state_dict"):
        vocabulary.load_state_dict({})


WORDS = "b a c a b a".split()
FOUR = ("<unk>", "<eos>", "<pad>", "<bos>")


def test_words_are_numbered_behind_the_specials():
    vocabulary = Vocabulary(WORDS, specials=FOUR)
    assert vocabulary.tokens == (*FOUR, "a", "b", "c")
    assert vocabulary.counts == dict.fromkeys(FOUR, 0) | {"a": 3, "b": 2, "c": 1}
    numbers = vocabulary.unk, vocabulary.eos, vocabulary.pad, vocabulary.bos
    assert numbers == (0, 1, 2, 3)
    codes = vocabulary.encode(["c", "a", "z", "<eos>"])
    assert (codes.tolist(), codes.dtype) == ([6, 4, 0, 1], np.int64)
    assert vocabulary.decode(codes) == ["c", "a", "<unk>", "<eos>"]
    assert vocabulary.decode(mg.tensor(codes), specials=False) == ["c", "a"]
    assert ("a" in vocabulary, "z" in vocabulary, 3 in vocabulary) == (True, False, False)
    bare = Vocabulary(WORDS)
    assert (bare.unk, bare.eos, bare.pad, bare.bos) == (None,) * 4


@given(
    st.lists(st.text(max_size=3), min_size=1),
    st.lists(st.sampled_from(FOUR), unique=True),
    st.integers(1, 4),
    st.none() | st.integers(5, 9),
)
def test_what_is_kept_is_counted_as_by_hand(tokens, specials, least, most):
    specials = ["<unk>", *(name for name in specials if name != "<unk>")]
    vocabulary = Vocabulary(tokens, specials=specials, min_count=least, max_size=most)
    often = sorted(
        {t for t in tokens if tokens.count(t) >= least}, key=lambda t: (-tokens.count(t), t)
    )
    often = sorted(often if most is None else often[: most - len(specials)])
    assert vocabulary.tokens == (*specials, *often)
    assert sum(vocabulary.counts.values()) == len(tokens)
    codes = vocabulary.encode(tokens).tolist()
    assert [codes.count(n) for n in range(len(vocabulary))] == list(vocabulary.counts.values())
    assert vocabulary.decode(codes) == [t if t in often else "<unk>" for t in tokens]


def test_a_list_of_sequences_is_the_text_of_all_and_a_special_in_it_is_no_word():
    nested = Vocabulary([["b", "a", "<eos>"], [], ("a", "<eos>")], specials=["<eos>"])
    assert nested.counts == {"<eos>": 2, "a": 2, "b": 1}
    assert Vocabulary(["<unk>", "a"], specials=["<unk>"], min_count=2).counts == {"<unk>": 2}
    assert Vocabulary(iter(["x y", "z"])).tokens == ("x y", "z")
    assert {type(token) for token in Vocabulary(np.array(["a", "b"])).tokens} == {str}


def test_characters_with_specials():
    vocabulary = Vocabulary("abba", specials=["<pad>", "<unk>"], max_size=3)
    assert vocabulary.encode("abc").tolist() == [2, 1, 1]
    assert vocabulary.encode(["a", "<pad>"]).tolist() == [2, 0]
    assert vocabulary.decode([2, 0, 1]) == "a<pad><unk>"
    assert vocabulary.decode([2, 0, 1], specials=False) == "a"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Vocabulary([]), "the text is empty"),
        (lambda: Vocabulary([[]]), "the text is empty"),
        (lambda: Vocabulary(["a", 3]), "Vocabulary: sequence 1 must be a str or a list of tokens, not a"),
        (lambda: Vocabulary([["a", None]]), "sequence 0 must hold str, but token 1 is None"),
        (lambda: Vocabulary(WORDS, specials="<unk>"), "the specials must be a list of tokens"),
        (lambda: Vocabulary(WORDS, specials=FOUR + FOUR), "the special '<unk>' is named twice"),
        (lambda: Vocabulary(WORDS, min_count=2), "1 tokens of the text would be left out, and nothing"),
        (lambda: Vocabulary(WORDS, max_size=2), "add '<unk>' to the specials"),
        (lambda: Vocabulary(WORDS, specials=FOUR, max_size=4), "max_size is 4, and the specials take 4"),
        (lambda: Vocabulary(WORDS, min_count=0), "min_count must be a positive integer, not 0"),
        (lambda: Vocabulary(WORDS, max_size=2.5), "max_size must be a positive integer, not 2.5"),
        (lambda: Vocabulary(WORDS).encode(["z"]), "the token 'z' does not occur in the text that the"),
        (lambda: Vocabulary(WORDS).encode("abc"), "the vocabulary is one of tokens, and 'abc' is a str"),
        (lambda: Vocabulary(WORDS, specials=FOUR).encode([1]), "encode: the text must hold str, but"),
        (lambda: Vocabulary(WORDS).decode([3]), "decode: 3 stands for no token; .* 0 to 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_numbered(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


@given(st.text(min_size=1) | st.lists(st.text(), min_size=1), st.sampled_from([(), FOUR]))
def test_a_saved_vocabulary_is_loaded_as_it_was(tmp_path_factory, tokens, specials):
    path = tmp_path_factory.mktemp("saved") / "vocabulary.json"
    vocabulary = Vocabulary(tokens, specials=specials)
    vocabulary.save(path)
    loaded = Vocabulary.load(path)
    assert vars(loaded) == vars(vocabulary)
    loaded.load_state_dict(vocabulary.state_dict())


def test_a_saved_vocabulary_can_be_read_by_people_and_halves_of_characters_are_kept(tmp_path):
    path = tmp_path / "v.json"
    Vocabulary(["dünya", "\udc80"], specials=["<unk>"]).save(path)
    assert '"dünya": 1' in path.read_text(encoding="utf-8").splitlines()[8]
    assert Vocabulary.load(path).tokens == ("<unk>", "dünya", "\udc80")


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", b'{"vocabulary": 2}', b'{"vocabulary": 1, "tokens": []}',
                b'{"vocabulary": 1, "characters": false, "specials": ["x"], "counts": {"a": 1}}']
)  # fmt: skip
def test_what_is_no_vocabulary_is_not_loaded(tmp_path, content):
    path = tmp_path / "v.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"v.json': it holds no vocabulary; give a file that"):
        Vocabulary.load(path)
    with pytest.raises(OSError, match="missing"):
        Vocabulary.load(tmp_path / "missing.json")


def test_the_state_of_words_fits_the_same_words_and_specials_only():
    state = Vocabulary(WORDS, specials=["<unk>"]).state_dict()
    Vocabulary(["c", "b", "a"], specials=["<unk>"]).load_state_dict(state)
    for other in (Vocabulary(["<unk>", *WORDS]), Vocabulary(WORDS), Vocabulary("abc")):
        with pytest.raises(
            ArgumentError, match=r"the text has other (tokens|characters) than the one"
        ):
            other.load_state_dict(state)


# tokens


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello, World!", ["hello", ",", "world", "!"]),
        ("", []),
        (" \n\t", []),
        ("x_1 3.14\u00a0€", ["x_1", "3", ".", "14", "€"]),
        ("Привет, мир", ["привет", ",", "мир"]),
        ("İstanbul", ["i\u0307stanbul"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("cafe\u0301s", ["cafe\u0301s"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("你好，世界", ["你好", "，", "世界"]),
        ("\u0301 a", ["\u0301", "a"]),
    ],
)
def test_words_of_any_alphabet(text, found):
    assert words(text) == found
    assert words(text, punctuation=False) == [w for w in found if w[0].isalnum()]


@given(st.text(st.characters(exclude_categories=("Mn", "Mc", "Me", "Cf"))), st.booleans())
def test_without_combining_marks_the_words_are_those_of_the_pattern(text, lower):
    expected = re.findall(r"\w+|[^\w\s]", text)
    assert words(text, lower=False) == expected
    assert "".join(characters(text)) == text
    kept = characters(text, punctuation=False)
    assert kept == [sign for sign in text if re.match(r"[\w\s]", sign)]
    assert characters(text, lower=True) == list(text.lower())


@pytest.mark.parametrize(
    "text",
    ["don't panic (yet)!", "a, b; c: d.", 'he said: "no" and left.', "$5 [or 7%]", "well-known"],
)
def test_a_sentence_is_put_together_from_its_words(text):
    assert sentence(words(text)) == text
    assert sentence(iter(words(text))) == text
    assert sentence([]) == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: words(b"a"), "words: the text must be a str, not a bytes; decode bytes with"),
        (lambda: characters(["a"]), "characters: the text must be a str, not a list"),
        (lambda: words("a", 1), "words: punctuation must be True or False, not 1"),
        (lambda: words("a", lower="no"), "words: lower must be True or False, not 'no'"),
        (lambda: sentence("abc"), "sentence: words must be a list of str, not 'abc'"),
        (lambda: sentence([1]), r"sentence: words must be a list of str, not \[1\]"),
    ],
)
def test_what_has_no_tokens(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


# files


def test_the_default_text_is_english():
    text = english_text()
    assert 300_000 < len(text) < 900_000
    assert "statement" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; give a file with text"),
        (b" \n\t\r\n", "is empty"),
        ("\ufeff \n".encode(), "is empty"),
        (b"abc\xff\xfe", "is no UTF-8 text: byte 3 is 0xff; convert it to UTF-8, or give a text"),
        ("Merhaba dünya".encode("latin-1"), "is no UTF-8 text: byte 9 is 0xfc"),
        ("text".encode("utf-16-le"), "is no text: it holds a zero byte; give a text file"),
        (None, "cannot read .*: No such file"),
    ],
)
def test_files_that_are_no_text(tmp_path, content, message):
    path = tmp_path / "file.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArgumentError, match=message):
        read_text(path)


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(ArgumentError, match=r"cannot read .*: Is a directory"):
        read_text(tmp_path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_of_text(tmp_path, mark):
    path = tmp_path / "file.txt"
    path.write_bytes(f"{mark}Merhaba\r\ndünya".encode())
    assert read_text(path) == read_text(str(path)) == "Merhaba\ndünya"


# files of packages


def test_files_of_packages_are_found_and_the_package_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "a_package/texts").mkdir(parents=True)
    (tmp_path / "a_package/__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "a_package/texts/some.txt").write_text("some")
    monkeypatch.syspath_prepend(tmp_path)
    found = package_file("a_package", "texts/some.txt")
    assert (found.read_text(), found.name) == ("some", "some.txt")
    with pytest.raises(ArgumentError, match=r"a_package has no file texts/other\.txt; install a"):
        package_file("a_package", "texts/other.txt")


@pytest.mark.parametrize("name", ["no_such_package", "this"])  # the second is a single file
def test_a_package_that_is_not_there_is_told(name):
    with pytest.raises(ArgumentError, match=f"not installed; install it with: pip install {name}"):
        package_file(name, "any.txt")
    with pytest.raises(ArgumentError, match="'a b' is no name of a package"):
        package_file("a b", "any.txt")
