"""Taggers that only count, against counts by hand and a search that tries everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.errors import ArgumentError
from minigrad.nn.metrics import entities
from minigrad.nn.text import DictionaryTagger, WindowTagger


def test_a_window_has_its_most_frequent_tag_and_else_a_smaller_one_counts():
    texts = ["abc", "abc", "abd", "xbd", "b"]
    tags = [["1", "2", "3"], ["1", "2", "3"], ["1", "4", "3"], ["1", "5", "3"], ["6"]]
    tagger = WindowTagger(texts, tags, reach=1)
    assert tagger("abc") == ["1", "2", "3"]
    assert tagger("xbd")[1] == "5"
    assert tagger("b") == ["6"]  # nothing stands beside it
    assert tagger("zbz") == ["1", "2", "1"]  # of "b" 2 is the most frequent, of all 1, seen first
    assert tagger("") == []
    assert WindowTagger(["ab"], [["1", "2"]], reach=1)("ab") == ["1", "2"]  # of the same two tokens
    assert WindowTagger(texts, tags, reach=0)("b") == ["2"]
    assert WindowTagger([["a", "bc"]], [["x", "y"]])(["bc", "a"]) == ["y", "x"]


def test_a_dictionary_marks_the_longest_and_leaves_out_what_is_mostly_no_name():
    texts = ["New York", "York", "a New Yorker", "may", "may", "May may", "may"]
    marked = [["B-place", *["I-place"] * 7], ["B-place", *["I-place"] * 3], ["O"] * 12]
    marked += [["B-month", "I-month", "I-month"], ["O"] * 3, ["O"] * 7, ["O"] * 3]
    tagger = DictionaryTagger(texts, marked)
    assert entities(tagger("in New Yorkshire, may")) == [("place", 3, 11)]
    assert entities(tagger("York York")) == [("place", 0, 4), ("place", 5, 9)]
    assert tagger("") == []
    assert DictionaryTagger([["a"]], [["O"]])(["a", "b"]) == ["O", "O"]
    words = DictionaryTagger([["New", "York"]], [["B-place", "I-place"]])
    assert words(["in", "New", "York"]) == ["O", "B-place", "I-place"]


@given(st.lists(st.text("ab", min_size=1, max_size=3), min_size=1), st.text("abc"))
def test_what_is_found_is_known_and_nothing_longer_is(known, text):
    tagger = DictionaryTagger(known, [["B-x", *["I-x"] * (len(name) - 1)] for name in known])
    place = 0
    for _, start, stop in entities(tagger(text)):
        assert not any(text.startswith(name, p) for p in range(place, start) for name in known)
        assert stop - start == max(len(name) for name in known if text.startswith(name, start))
        place = stop
    assert not any(text.startswith(name, p) for p in range(place, len(text)) for name in known)


@pytest.mark.parametrize("tagger", [WindowTagger, DictionaryTagger])
@pytest.mark.parametrize(
    ("texts", "tags"), [([], []), (["ab"], [["O"]]), (["a"], []), ([""], [[]])]
)
def test_tokens_without_tags_are_refused(tagger, texts, tags):
    with pytest.raises(ArgumentError, match="give sequences of tokens, and a tag for each"):
        tagger(texts, tags)
