"""A text as streams side by side: what is read, and going on from a position."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.errors import ArgumentError
from minigrad.nn.data import Streams


def test_streams_are_contiguous_and_targets_one_ahead():
    streams = Streams(np.arange(11), 3, 2)
    assert len(streams) == 2
    assert streams.size == 9
    assert streams.inputs.T.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert streams.targets.T.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    (_, _), (inputs, targets) = streams
    assert inputs.tolist() == [[2, 5, 8]]
    assert targets.tolist() == [[3, 6, 9]]


@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 12))
def test_chunks_cover_each_stretch_in_order(characters, batch, length):
    stretch = (characters - 1) // batch
    if stretch == 0:
        with pytest.raises(ArgumentError, match="too short"):
            Streams(np.arange(characters), batch, length)
        return
    streams = Streams(np.arange(characters), batch, length)
    inputs, targets = zip(*streams, strict=True)
    assert len(inputs) == len(streams)
    assert [len(chunk) for chunk in inputs[:-1]] == [length] * (len(inputs) - 1)
    assert 1 <= len(inputs[-1]) <= length
    whole = np.concatenate([chunk.numpy() for chunk in inputs])
    assert whole.T.reshape(-1).tolist() == list(range(stretch * batch))
    np.testing.assert_array_equal(np.concatenate([chunk.numpy() for chunk in targets]), whole + 1)


def test_an_iteration_goes_on_from_the_position_and_the_next_one_from_the_beginning():
    streams = Streams(np.arange(21), 2, 3)

    def first_column(chunks):
        return [inputs[:, 0].tolist() for inputs, _ in chunks]

    everything = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert first_column(streams) == everything
    for stop in range(4):
        streams.position = 0
        chunks = iter(streams)
        for _ in range(stop + 1):
            next(chunks)
        assert streams.position == stop + 1
        assert first_column(streams) == everything[stop + 1 :]
        assert streams.position == 0
    assert first_column(streams) == everything


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 4])
def test_streams_go_on_where_another_one_stopped(stop):
    codes = np.random.default_rng(0).integers(0, 9, 21)
    first, second = Streams(codes, 2, 3), Streams(codes.astype(">i4"), 2, 3)
    parts = iter(first)
    seen = [next(parts) for _ in range(stop)]
    second.load_state_dict(first.state_dict())
    seen += second
    for found, expected in zip(seen, second, strict=True):
        assert [t.tolist() for t in found] == [t.tolist() for t in expected]


def edited(codes, place, value):
    codes = codes.copy()
    codes[place] = value
    return codes


CODES = np.arange(22) % 7


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Streams(edited(CODES, 0, 3), 3, 2), "this is not the data that the position belongs to; giv"),
        (Streams(edited(CODES, 21, 3), 3, 2), "this is not the data"),  # also where none is read
        (Streams(CODES[:-1], 3, 2), "this is not the data"),
        (Streams(CODES, 2, 2), "the position was saved with batch=3, and here it is batch=2; give"),
        (Streams(CODES, 3, 4), "the position was saved with length=2, and here it is length=4; give"),
    ],
)  # fmt: skip
def test_the_position_in_other_streams_is_refused(other, message):
    streams = Streams(CODES, 3, 2)
    next(iter(streams))
    with pytest.raises(ArgumentError, match=message):
        other.load_state_dict(streams.state_dict())
    assert other.position == 0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "the state has no 'position'; pass what state_dict"),
        (None, "the state has no 'position'"),
        ({"position": 1}, "the state has no 'data'"),
        ({"position": -1}, "the position must be an integer from 0 to 4, not -1"),
        ({"position": 5}, "the position must be an integer from 0 to 4, not 5"),
        ({"position": "1"}, "the position must be an integer from 0 to 4, not '1'"),
    ],
)
def test_what_is_no_position_is_refused(state, message):
    streams = Streams(CODES, 3, 2)
    if "from 0" in message:
        state = streams.state_dict() | state
    with pytest.raises(ArgumentError, match=message):
        streams.load_state_dict(state)
    assert streams.position == 0


@pytest.mark.parametrize(
    ("codes", "batch", "length", "message"),
    [
        (
            np.arange(3),
            3,
            1,
            "a text of 3 characters is too short for 3 streams side by side; give",
        ),
        (np.arange(0), 1, 1, "a text of 0 characters is too short"),
        (np.arange(3), 0, 1, "Streams: batch must be a positive integer, not 0"),
        (np.arange(3), 1, 1.5, "Streams: length must be a positive integer, not 1.5"),
        (np.arange(3.0), 1, 1, r"must be a row of integers, not float64 of shape \(3,\); encode"),
        (np.ones((2, 2), int), 1, 1, r"must be a row of integers, not int64 of shape \(2, 2\)"),
        ("text", 1, 1, "must be a row of integers, not <U4"),
    ],
)
def test_what_cannot_be_cut_into_streams(codes, batch, length, message):
    with pytest.raises(ArgumentError, match=message):
        Streams(codes, batch, length)
