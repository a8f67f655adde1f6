"""Reading text, and the vocabulary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError
from minigrad.nn.text import Vocabulary, english_text, read_text

# vocabulary


def test_a_vocabulary_numbers_the_characters():
    vocabulary = Vocabulary("hello, dünya 🙂")
    assert vocabulary.characters == " ,adehlnoyü🙂"
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


@pytest.mark.parametrize("text", [b"", b"abc", None, 3, ["a"], bytearray(b"a")])
def test_what_is_no_text_is_refused(text):
    vocabulary = Vocabulary("abc")
    for use, name in ((vocabulary.encode, "encode"), (Vocabulary, "Vocabulary")):
        kind = type(text).__name__
        with pytest.raises(ArgumentError, match=f"{name}: the text must be a str, not a {kind};"):
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
    with pytest.raises(ArgumentError, match="the state has no 'characters'; pass what state_dict"):
        vocabulary.load_state_dict({})


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
