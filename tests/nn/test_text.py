"""Reading text, the vocabulary, and the streams that training reads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError
from minigrad.nn.text import Streams, Vocabulary, english_text, read_text

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


# streams


def test_streams_are_contiguous_and_targets_one_ahead():
    streams = Streams(np.arange(11), 3)
    assert len(streams) == 3
    assert streams.size == 9
    assert streams.inputs.T.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert streams.targets.T.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    (_, _), (inputs, targets) = streams.chunks(2)
    assert inputs.tolist() == [[2, 5, 8]]
    assert targets.tolist() == [[3, 6, 9]]


@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 12))
def test_chunks_cover_each_stretch_in_order(characters, batch, length):
    stretch = (characters - 1) // batch
    if stretch == 0:
        with pytest.raises(ArgumentError, match="too short"):
            Streams(np.arange(characters), batch)
        return
    streams = Streams(np.arange(characters), batch)
    inputs, targets = zip(*streams.chunks(length), strict=True)
    assert [len(chunk) for chunk in inputs[:-1]] == [length] * (len(inputs) - 1)
    assert 1 <= len(inputs[-1]) <= length
    whole = np.concatenate([chunk.numpy() for chunk in inputs])
    assert whole.T.reshape(-1).tolist() == list(range(stretch * batch))
    np.testing.assert_array_equal(np.concatenate([chunk.numpy() for chunk in targets]), whole + 1)


def test_all_chunks_begin_at_the_beginning_and_the_remaining_ones_at_the_position():
    streams = Streams(np.arange(21), 2)

    def first_column(chunks):
        return [inputs[:, 0].tolist() for inputs, _ in chunks]

    everything = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert first_column(streams.chunks(3)) == everything
    for stop, position in enumerate([3, 6, 9, 10]):
        streams.position = 0
        remaining = streams.remaining(3)
        for _ in range(stop + 1):
            next(remaining)
        assert streams.position == position
        assert first_column(streams.chunks(3)) == everything
        assert streams.position == position
        assert first_column(streams.remaining(3)) == everything[stop + 1 :]
        assert streams.position == 0
    assert first_column(streams.remaining(3)) == everything


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_streams_go_on_where_another_one_stopped(stop):
    codes = np.random.default_rng(0).integers(0, 9, 21)
    first, second = Streams(codes, 2), Streams(codes.astype(np.int32), 2)
    parts = first.remaining(3)
    seen = [next(parts) for _ in range(stop)]
    second.load_state_dict(first.state_dict())
    seen += second.remaining(3)
    for found, expected in zip(seen, second.chunks(3), strict=True):
        assert [t.tolist() for t in found] == [t.tolist() for t in expected]


def edited(codes, place, value):
    codes = codes.copy()
    codes[place] = value
    return codes


CODES = np.arange(22) % 7


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Streams(edited(CODES, 0, 3), 3),
            "this is not the text that the position belongs to; give",
        ),
        (Streams(edited(CODES, 21, 3), 3), "this is not the text"),  # also where none is read
        (Streams(CODES[:-1], 3), "this is not the text"),
        (Streams(CODES, 2), "the position belongs to 3 streams side by side, and here are 2; cut"),
    ],
)
def test_the_position_in_another_text_is_refused(other, message):
    streams = Streams(CODES, 3)
    next(streams.remaining(2))
    with pytest.raises(ArgumentError, match=message):
        other.load_state_dict(streams.state_dict())
    assert other.position == 0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "the state has no 'position'; pass what state_dict"),
        (None, "the state has no 'position'"),
        ({"position": 1}, "the state has no 'batch'"),
        ({"position": 1, "batch": 3}, "the state has no 'text'"),
        ({"position": -1}, "the position must be an integer from 0 to 7, not -1"),
        ({"position": 8}, "the position must be an integer from 0 to 7, not 8"),
        ({"position": "1"}, "the position must be an integer from 0 to 7, not '1'"),
    ],
)
def test_what_is_no_position_is_refused(state, message):
    streams = Streams(CODES, 3)
    if "from 0" in message:
        state = streams.state_dict() | state
    with pytest.raises(ArgumentError, match=message):
        streams.load_state_dict(state)
    assert streams.position == 0


@pytest.mark.parametrize(
    ("codes", "batch", "message"),
    [
        (np.arange(3), 3, "a text of 3 characters is too short for 3 streams side by side; give a"),
        (np.arange(0), 1, "a text of 0 characters is too short"),
        (np.arange(3), 0, "Streams: batch must be a positive integer, not 0"),
        (np.arange(3.0), 1, r"must be a row of integers, not float64 of shape \(3,\); encode it"),
        (np.ones((2, 2), int), 1, r"must be a row of integers, not int64 of shape \(2, 2\)"),
        ("text", 1, "must be a row of integers, not <U4"),
    ],
)
def test_what_cannot_be_cut_into_streams(codes, batch, message):
    with pytest.raises(ArgumentError, match=message):
        Streams(codes, batch)


def test_lengths_that_are_none():
    streams = Streams(np.arange(9), 2)
    with pytest.raises(ArgumentError, match="chunks: length must be a positive integer, not 0"):
        streams.chunks(0)
    with pytest.raises(
        ArgumentError, match=r"remaining: length must be a positive integer, not 1.5"
    ):
        streams.remaining(1.5)


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
