"""The models that only count, against counts by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.errors import ArgumentError
from minigrad.nn.text.ngram import NGram


def test_counting_models_know_what_they_counted():
    codes = np.array([0, 1] * 500)
    model = NGram(codes, 2)
    assert abs(model.unigram_bits(codes) - 1.0) < 1e-9
    assert model.bigram_bits(codes[:-1], codes[1:]) < 0.02
    never_seen = model.bigram_bits(np.array([0]), np.array([0]))
    assert 6 < never_seen < math.inf


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.data())
def test_the_scores_are_those_of_the_formulas(text, data):
    size, strength = 6, NGram.STRENGTH
    model = NGram(
        np.array(text, dtype=data.draw(st.sampled_from(["int8", "uint16", "int64"]))), size
    )
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))

    def unigram(second):
        return (text.count(second) + 1) / (len(text) + size)

    def bigram(first, second):
        followers = [b for a, b in itertools.pairwise(text) if a == first]
        seen = followers.count(second) + strength * unigram(second)
        return seen / (len(followers) + strength)

    inputs, targets = np.array(pairs).T
    expected = sum(-math.log2(unigram(second)) for _, second in pairs) / len(pairs)
    assert math.isclose(model.unigram_bits(targets), expected)
    expected = sum(-math.log2(bigram(*pair)) for pair in pairs) / len(pairs)
    assert math.isclose(model.bigram_bits(inputs, targets), expected)
    assert math.isclose(model.bigram_bits(inputs[:, None], targets[:, None]), expected)


def test_the_probabilities_add_up_to_one():
    rng = np.random.default_rng(0)
    model = NGram(rng.integers(0, 6, 40), 7)
    for first in range(7):
        bits = [model.bigram_bits(np.array([first]), np.array([second])) for second in range(7)]
        np.testing.assert_allclose(sum(2.0**-b for b in bits), 1.0)
    bits = [model.unigram_bits(np.array([code])) for code in range(7)]
    np.testing.assert_allclose(sum(2.0**-b for b in bits), 1.0)


def test_small_integers_do_not_overflow():
    codes = np.random.default_rng(1).integers(0, 200, 3000)
    wide, narrow = NGram(codes, 200), NGram(codes.astype(np.uint8), 200)
    small = codes.astype(np.uint8)
    assert narrow.bigram_bits(small[:-1], small[1:]) == wide.bigram_bits(codes[:-1], codes[1:])


@pytest.mark.parametrize(
    ("codes", "size", "message"),
    [
        ([0], 2, r"NGram: codes of shape \(1,\) hold no text to count; give a row of two or more"),
        ([[0, 1]], 2, r"NGram: codes of shape \(1, 2\) hold no text to count"),
        ([], 2, r"codes must be integers, and not none, but are float64 of shape \(0,\); encode"),
        ([0.5, 1.0], 2, "codes must be integers, and not none, but are float64"),
        ([0, 2], 2, "codes go from 0 to 1, and these from 0 to 2; give the size of the vocabulary"),
        ([-1, 1], 2, "codes go from 0 to 1, and these from -1 to 1"),
        ([0, 1], 0, "NGram: size must be a positive integer, not 0"),
    ],
)
def test_what_cannot_be_counted(codes, size, message):
    with pytest.raises(ArgumentError, match=message):
        NGram(np.array(codes), size)


def test_what_cannot_be_scored():
    model = NGram(np.array([0, 1, 0]), 2)
    with pytest.raises(ArgumentError, match="these from -1 to -1"):
        model.unigram_bits(np.array([-1]))
    with pytest.raises(ArgumentError, match="these from 0 to 2"):
        model.bigram_bits(np.array([0, 2]), np.array([0, 1]))
    with pytest.raises(ArgumentError, match="and not none"):
        model.unigram_bits(np.array([], dtype=int))
    with pytest.raises(ArgumentError, match=r"inputs of shape \(1,\) for targets of shape \(2,\)"):
        model.bigram_bits(np.array([0]), np.array([0, 1]))
