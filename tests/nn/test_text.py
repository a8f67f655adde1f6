"""Vocabulary, streams, the counting baseline, and sampling."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError
from minigrad.nn.text import (
    NGram,
    Vocabulary,
    chunks,
    english_text,
    generate,
    read_text,
    streams,
)


def test_a_vocabulary_numbers_the_characters():
    vocabulary = Vocabulary("hello, dünya 🙂")
    assert vocabulary.characters == " ,adehlnoyü🙂"
    assert len(vocabulary) == 12
    codes = vocabulary.encode("lady 🙂")
    assert codes.tolist() == [6, 2, 3, 9, 0, 11]
    assert vocabulary.decode(codes) == "lady 🙂"
    with pytest.raises(ArgumentError, match="the character 'z' does not occur in the text"):
        vocabulary.encode("haz")
    with pytest.raises(ArgumentError, match="'🚀'"):
        vocabulary.encode("🚀")


def test_the_default_text_is_english():
    text = english_text()
    assert 300_000 < len(text) < 900_000
    assert "statement" in text


def test_streams_are_contiguous_and_targets_one_ahead():
    inputs, targets = streams(np.arange(11), 3)
    assert inputs.T.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert targets.T.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    parts = list(chunks(inputs, targets, 2))
    assert [c.shape for c, _ in parts] == [(2, 3), (1, 3)]
    assert parts[1][0].tolist() == [[2, 5, 8]]
    assert parts[1][1].tolist() == [[3, 6, 9]]
    with pytest.raises(ArgumentError, match="a text of 3 characters is too short for 3 streams"):
        streams(np.arange(3), 3)


def test_counting_models_know_what_they_counted():
    codes = np.array([0, 1] * 500)
    model = NGram(codes, 2)
    assert abs(model.unigram_bits(codes) - 1.0) < 1e-9
    assert model.bigram_bits(codes[:-1], codes[1:]) < 0.02
    assert (
        model.bigram_bits(np.array([0]), np.array([0])) > 6
    )  # was never seen, and is not impossible


def test_the_probabilities_of_the_bigram_add_up_to_one():
    rng = np.random.default_rng(0)
    model = NGram(rng.integers(0, 6, 40), 7)
    for first in range(7):
        bits = [model.bigram_bits(np.array([first]), np.array([second])) for second in range(7)]
        np.testing.assert_allclose(sum(2.0**-b for b in bits), 1.0)


def test_generation_continues_the_prompt():
    def count_up(codes, state):
        """Score the successor highest, and count the calls in the state."""
        scores = mg.where(mg.arange(10) == (codes[..., None] + 1) % 10, 50.0, 0.0)
        return scores, (state or 0) + 1

    assert list(generate(count_up, np.array([3, 4]), 8)) == [5, 6, 7, 8, 9, 0, 1, 2]


def test_temperature_and_seed():
    scores = mg.log(mg.tensor([0.1, 0.3, 0.6]))

    def predict(codes, state):
        return mg.broadcast_to(scores, (*codes.shape, 3)), None

    def drawn(temperature, seed=1):
        generator = mg.Generator(seed)
        codes = generate(predict, np.array([0]), 2000, temperature=temperature, generator=generator)
        return list(codes)

    assert drawn(1.0) == drawn(1.0)
    assert drawn(1.0) != drawn(1.0, seed=2)
    np.testing.assert_allclose(np.bincount(drawn(1.0)) / 2000, [0.1, 0.3, 0.6], atol=0.04)
    sharper = np.array([0.01, 0.09, 0.36]) / 0.46  # squared
    np.testing.assert_allclose(np.bincount(drawn(0.5)) / 2000, sharper, atol=0.04)
    with pytest.raises(ArgumentError, match="a temperature above 0, not 1 characters and 0"):
        drawn(0)
    with pytest.raises(ArgumentError, match="it needs a prompt"):
        list(generate(predict, np.array([], dtype=int), 1))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty; give a file with text"),
        (b" \n\n", "is empty"),
        (b"abc\xff\xfe", "is no UTF-8 text: byte 3 is 0xff"),
        (b"abc\0def", "it holds a zero byte"),
        (None, "cannot read .*: No such file"),
    ],
)
def test_files_that_are_no_text(tmp_path, content, text):
    path = tmp_path / "file.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArgumentError, match=text):
        read_text(path)
    with pytest.raises(ArgumentError, match="cannot read"):
        read_text(tmp_path)


def test_a_file_of_text(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("Merhaba dünya", encoding="utf-8")
    assert read_text(path) == "Merhaba dünya"
