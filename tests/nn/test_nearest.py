"""The nearest text, against counts by hand and a search through all texts."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.errors import ArgumentError
from minigrad.nn.text import NearestText


def test_the_most_similar_text_by_hand():
    # of "abab": 2 ab, 1 ba and the edges " a", "b "; of "ab": 1 ab and the edges
    nearest = NearestText(["ab", "aabb", "abab"], order=2)
    assert nearest("abab") == 2  # 5 of 5 and 5; a set of n-grams would not tell
    assert nearest("ababab") == 2  # 2 * 5 / (7 + 5) against 2 * 3 / (7 + 3)
    assert nearest("ab ") == 0
    assert nearest("xyz") == 0  # nothing alike
    assert NearestText(["xb", "bx"], order=1)("xb") == 0  # equal ones: the first
    assert NearestText(["", "a"])("") == 0
    assert NearestText(["", "a"], order=1)("") == 0
    assert NearestText(iter(["былa", "日本語"]))("日本") == 1


@given(
    st.lists(st.text("ab ", max_size=6), min_size=1), st.text("abc ", max_size=6), st.integers(1, 4)
)
def test_no_other_text_is_likelier(known, text, order):
    def grams(text):
        padded = " " * (order - 1) + text + " " * (order - 1)
        return Counter(padded[i : i + order] for i in range(len(padded) - order + 1))

    def similarity(one, other):
        total = grams(one).total() + grams(other).total()
        return 2 * (grams(one) & grams(other)).total() / total if total else 0.0

    scores = [similarity(text, other) for other in known]
    nearest = NearestText(known, order)
    assert nearest.similarity(text).tolist() == scores
    assert nearest(text) == scores.index(max(scores))


@pytest.mark.parametrize(
    ("texts", "order", "message"),
    [
        ([], 3, "must be a list of str, not \\[\\]"),
        ("text", 3, "must be a list of str, not 'text'"),
        ([1], 3, "must be a list of str, not \\[1\\]"),
        (["a"], 0, "order must be a positive integer, not 0"),
    ],
)
def test_other_texts_are_refused(texts, order, message):
    with pytest.raises(ArgumentError, match=message):
        NearestText(texts, order)
