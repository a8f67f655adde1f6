"""Interpolated Kneser-Ney against counts by hand, and against the paper's formulas in dictionaries."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.errors import ArgumentError
from minigrad.nn.text import NGram, english_text


class Slow:
    """The formulas of Chen & Goodman (1998), section 3, gram by gram."""

    def __init__(self, text, size, order, discount=None):
        self.size, self.order = size, order
        self.counts = {}
        for n in range(1, order + 1):
            self.counts[n] = Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))
        for n in range(1, order):  # how many different codes stand before each gram
            before = defaultdict(set)
            for gram in self.counts[n + 1]:
                before[gram[1:]].add(gram[0])
            self.counts[n] = {gram: len(codes) for gram, codes in before.items()}
        self.discounts = {n: self.estimated(n, discount) for n in self.counts}

    def estimated(self, n, discount):
        of = Counter(self.counts[n].values())
        y = discount or (of[1] / (of[1] + 2 * of[2]) if of[1] else 0.5)
        if discount is None and of[1] and of[2] and of[3] and of[4]:
            several = [
                1 - 2 * y * of[2] / of[1],
                2 - 3 * y * of[3] / of[2],
                3 - 4 * y * of[4] / of[3],
            ]
            if all(0 < d <= i for i, d in enumerate(several, 1)):
                return several
        return [y, y, y]

    def probability(self, code, context):
        context = tuple(context)[-self.order + 1 :] if self.order > 1 else ()
        return self.interpolated(code, context)

    def interpolated(self, code, context):
        n = len(context) + 1
        lower = self.interpolated(code, context[1:]) if context else 1 / self.size
        after = {gram[-1]: c for gram, c in self.counts[n].items() if gram[:-1] == context}
        total = sum(after.values())
        if not total:
            return lower
        discount = lambda c: self.discounts[n][min(c, 3) - 1]
        own = after[code] - discount(after[code]) if code in after else 0
        return (own + sum(map(discount, after.values())) * lower) / total


def test_a_bigram_by_hand():
    # a b a b a c: grams ab 2, ba 2, ac 1; before a stands b, before b and c stands a: 1 each
    model = NGram(np.array([0, 1, 0, 1, 0, 2]), 4, order=2, discount=0.5)
    once = 0.5 / 3 + 1.5 / 3 / 4  # of three grams of one code each: a, b and c are alike
    never = 1.5 / 3 / 4
    after_a = [once / 3, 1.5 / 3 + once / 3, 0.5 / 3 + once / 3, never / 3]  # held: 2 * 0.5 of 3
    np.testing.assert_allclose(model.probabilities([0]), after_a)
    np.testing.assert_allclose(model.probabilities([]), [once, once, once, never])
    np.testing.assert_allclose(model.probabilities([2]), [once, once, once, never])  # ends the text
    np.testing.assert_allclose(model.probabilities([3]), [once, once, once, never])  # never seen
    logarithms = model.log_probabilities([1, 2, 0], context=[3, 0])  # of b's 2 are 0.5 held
    np.testing.assert_allclose(logarithms, np.log([after_a[1], 0.25 * once, once]))


def test_discounts_by_hand():
    # grams of count 1, 2, 3, 4: five, three, two and one: Y = 5/11
    counts = [1] * 5 + [2] * 3 + [3] * 2 + [4]
    model = NGram(np.repeat(np.arange(11), counts), 12, order=1)
    y = 5 / 11
    taken = [1 - 2 * y * 3 / 5, 2 - 3 * y * 2 / 3, 3 - 4 * y * 1 / 2]
    held = 5 * taken[0] + 3 * taken[1] + 3 * taken[2]
    expected = [c - taken[min(c, 3) - 1] + held / 12 for c in counts] + [held / 12]
    np.testing.assert_allclose(model.probabilities([]), np.array(expected) / sum(counts))


@st.composite
def texts(draw):
    size = draw(st.integers(1, 6))
    text = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=80))
    held_out = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=12))
    order = draw(st.integers(1, min(8, len(text))))
    discount = draw(st.none() | st.floats(0.05, 1))
    return text, size, order, discount, held_out


@given(texts(), st.sampled_from(["int8", "uint16", "int64"]), st.integers(0, 12))
def test_the_probabilities_are_those_of_the_paper(case, dtype, cut):
    text, size, order, discount, held_out = case
    model, slow = NGram(np.array(text, dtype), size, order, discount), Slow(*case[:4])
    context, rest = held_out[:cut], held_out[cut:]
    for code, p in enumerate(model.probabilities(np.array(context, dtype))):
        assert p == pytest.approx(slow.probability(code, context), rel=1e-9)
    if rest:
        expected = [
            math.log(slow.probability(code, held_out[: cut + i])) for i, code in enumerate(rest)
        ]
        got = model.log_probabilities(np.array(rest, dtype), context)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
        bits = -sum(expected) / len(expected) / math.log(2)
        assert model.bits(rest, context) == pytest.approx(bits, abs=1e-9)


@given(texts())
def test_the_probabilities_add_up_to_one_and_none_is_zero(case):
    text, size, order, discount, context = case
    model = NGram(text, size + 2, order, discount)  # two that never occur
    for before in (context, context + text, [*context, size + 1], []):
        probabilities = model.probabilities(before)
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)
        assert (probabilities > 0).all()


def test_scores_of_a_real_text():
    """The figures are those of issue 15 for Python 3.11; the text of other versions differs a little."""
    text = english_text()
    codes = np.unique(np.frombuffer(text.encode("utf-32-le"), "<u4"), return_inverse=True)[1]
    cut, size = len(codes) * 9 // 10, int(codes.max()) + 1
    five = NGram(codes[:cut], size, 5, discount=0.75).bits(codes[cut:])
    assert five == pytest.approx(1.759, abs=0.05)
    assert NGram(codes[:cut], size, 8).bits(codes[cut:]) < five - 0.1


def test_small_integers_do_not_overflow():
    codes = np.random.default_rng(1).integers(0, 200, 3000)
    wide, narrow = NGram(codes, 200), NGram(codes.astype(np.uint8), 200)
    assert narrow.bits(codes.astype(np.uint8)) == wide.bits(codes)


ROW = "NGram: codes must be a row of at least 2 integers, not"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], 2), rf"{ROW} int64 of shape \(1,\); encode a text with a Vocabulary"),
        (([[0, 1]], 2), rf"{ROW} int64 of shape \(1, 2\)"),
        (([], 2), rf"{ROW} float64 of shape \(0,\)"),
        (([0.5, 1.0], 2), f"{ROW} float64"),
        (([True, False], 2), f"{ROW} bool"),
        (("ab", 2), f"{ROW} <U2"),
        (([0, 2], 2), "codes go from 0 to 1, and these from 0 to 2; give the size of the vocabul"),
        (([-1, 1], 2), "codes go from 0 to 1, and these from -1 to 1"),
        (([0, 1], 0), "NGram: size must be a positive integer, not 0"),
        (([0, 1], 2, 0), "NGram: order must be a positive integer, not 0"),
        (([0, 1], 2**62), "NGram: size 4611686018427387904 is too large"),
        (([0, 1], 2, 2, 0.0), "NGram: discount must be a number above 0 and at most 1, not 0.0"),
        (([0, 1], 2, 2, 1.5), "discount must be a number above 0 and at most 1, not 1.5"),
        (([0, 1], 2, 2, math.nan), "discount must be a number above 0 and at most 1, not nan"),
        (([0, 1], 2, 2, "1"), "discount must be a number above 0 and at most 1, not '1'"),
    ],
)
def test_what_cannot_be_counted(arguments, message):
    codes, size, order, *discount = (*arguments, 2)[:4] if len(arguments) < 3 else arguments
    with pytest.raises(ArgumentError, match=message):
        NGram(codes if isinstance(codes, str) else np.array(codes), size, order, *discount)


def test_what_cannot_be_scored():
    model = NGram(np.array([0, 1, 0]), 2)
    for score in (model.bits, model.log_probabilities):
        with pytest.raises(ArgumentError, match="these from -1 to -1"):
            score(np.array([-1]))
        with pytest.raises(ArgumentError, match="these from 0 to 2"):
            score([0], context=np.array([0, 2]))
        with pytest.raises(ArgumentError, match="a row of at least 1 integers"):
            score(np.array([], dtype=int))
    with pytest.raises(ArgumentError, match="these from 0 to 2"):
        model.probabilities([0, 2])
