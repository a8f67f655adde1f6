"""Greedy decoding, beam search and scores, beside a search through all sequences."""

import itertools
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.decoding import beam_search, greedy, log_probability, select_rows


class Random:
    """A model whose scores depend, in a wild way, on all tokens so far: its state is their hash."""

    def __init__(self, size, seed=0, forbidden=0.0):
        self.size, self.seed, self.forbidden, self.calls = size, seed, forbidden, []

    def begin(self, count):
        return (mg.tensor(np.arange(count)), {"h": mg.zeros((2, count, 1))})

    def step(self, tokens, state):
        self.calls.append(len(tokens))
        before, rest = state
        after = (before * 31 + tokens + 7) % 100_003
        scores = [self.scores(int(key)) for key in after]
        return mg.tensor(np.array(scores).reshape(-1, self.size)), (after, rest)

    def scores(self, key):
        rng = np.random.default_rng([self.seed, key])
        found = rng.normal(0, 2, self.size)
        found[rng.random(self.size) < self.forbidden] = -np.inf
        return found


def log_softmax(scores):
    allowed = scores > -np.inf
    return scores - (np.logaddexp.reduce(scores[allowed]) if allowed.any() else 0.0)


def all_sequences(model, row, first, length, eos):
    """Return (tokens, log-probability, number of tokens, ended) of everything that the model may say."""
    found = []

    def visit(key, tokens, total):
        if len(tokens) == length:
            found.append((tokens, total, length, False))
            return
        for token, value in enumerate(log_softmax(model.scores(key))):
            if value == -np.inf:
                continue
            if token == eos:
                found.append((tokens, total + value, len(tokens) + 1, True))
            else:
                visit((key * 31 + token + 7) % 100_003, [*tokens, token], total + value)

    visit((row * 31 + first + 7) % 100_003, [], 0.0)
    return found


@hypothesis.given(
    st.integers(2, 4), st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([None, 0, 1]),
    st.sampled_from([0.0, 0.6, 1.0, 3.0, -1.0]), st.integers(1, 5), st.sampled_from([0.0, 0.2]),
)  # fmt: skip
@hypothesis.settings(max_examples=40, deadline=None)
def test_enough_beams_find_the_best_of_all_sequences(
    size, length, seed, eos, penalty, n_best, forbidden
):
    model = Random(size, seed, forbidden)
    every = [all_sequences(model, row, 1, length, eos) for row in range(2)]
    hypothesis.assume(all(every))
    found = beam_search(
        model, 1, model.begin(2), beams=2 * size**length + n_best, length=length, eos=eos,
        length_penalty=penalty, n_best=n_best,
    )  # fmt: skip
    for row in range(2):
        scored = sorted(
            (
                (total / ((5 + n) / 6) ** penalty, tokens, ended)
                for tokens, total, n, ended in every[row]
            ),
            key=lambda item: -item[0],
        )[:n_best]
        assert len(found[row]) == len(scored)
        for ours, (score, tokens, ended) in zip(found[row], scored, strict=True):
            assert ours.score == pytest.approx(score, rel=1e-12)
            assert (ours.tokens, ours.ended) == (tokens, ended)


@hypothesis.given(st.integers(0, 10**6), st.sampled_from([0.0, 1.0]), st.integers(0, 6))
@hypothesis.settings(max_examples=20, deadline=None)
def test_one_beam_is_greedy(seed, penalty, length):
    model = Random(4, seed)
    tokens, lengths = greedy(model, 1, model.begin(3), length=length, eos=0)
    found = beam_search(
        model, 1, model.begin(3), beams=1, length=length, eos=0, length_penalty=penalty
    )
    for row, (best,) in enumerate(found):
        assert best.tokens == tokens[: int(lengths[row]), row].tolist()
        assert best.ended == (len(best.tokens) < length)


@hypothesis.given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.7, 2.0, -2.0]),
    st.integers(1, 4),
)
@hypothesis.settings(max_examples=30, deadline=None)
def test_to_stop_early_changes_nothing(seed, beams, penalty, n_best):
    model = Random(4, seed)
    options = {"beams": max(beams, n_best), "length": 6, "eos": 0, "length_penalty": penalty}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.decoding.beam._Search, "_is_over", lambda search: not search.live)
        to_the_end = beam_search(model, 1, model.begin(2), n_best=n_best, **options)
    assert beam_search(model, 1, model.begin(2), n_best=n_best, **options) == to_the_end


def test_the_search_stops_as_soon_as_nothing_better_can_follow():
    class Ends:
        calls = 0

        def step(self, tokens, state):
            self.calls += 1
            return mg.log(mg.tensor([[0.9, 0.1]] * len(tokens))), state

    model = Ends()
    (best,) = beam_search(model, 0, beams=2, length=50, eos=0)
    assert (best.tokens, best.ended, model.calls) == ([], True, 1)
    assert best.log_probability == pytest.approx(math.log(0.9))


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_is_each_sequence_alone(beams):
    model = Random(5, 3)
    options = {"beams": beams, "length": 6, "eos": 2, "n_best": beams}
    together = beam_search(model, 4, model.begin(3), **options)
    for row in range(3):
        state = (mg.tensor([row]), {"h": mg.zeros((2, 1, 1))})
        assert beam_search(model, 4, state, **options) == [together[row]]
    single = beam_search(model, [4], (mg.tensor([0]), {}), **options)
    assert single == together[0]


def test_scores_are_those_of_the_sequences():
    model = Random(5, 3)
    for row, hypotheses in enumerate(
        beam_search(model, 4, model.begin(3), beams=4, length=5, eos=2, n_best=4)
    ):
        for found in hypotheses:
            tokens = [*found.tokens, *([2] if found.ended else [])]
            state = (mg.tensor([row]), {})
            total = log_probability(model, [4], tokens, state).item()
            assert found.log_probability == pytest.approx(total, rel=1e-12)


def test_only_what_is_left_is_computed():
    model = Random(6, 1)
    beam_search(model, 4, model.begin(2), beams=3, length=4, eos=None)
    assert model.calls == [2, 6, 6, 6]
    model = Random(6, 1)
    beam_search(model, 4, model.begin(2), beams=3, length=40, eos=2, n_best=3)
    assert model.calls[0] == 2
    assert model.calls == sorted(model.calls[:2]) + sorted(model.calls[2:], reverse=True)


def test_nothing_to_decode():
    model = Random(5, 3)
    tokens, lengths = greedy(model, 4, model.begin(3), length=0)
    assert (tokens.shape, lengths.tolist()) == ((0, 3), [0, 0, 0])
    assert greedy(model, [4], (mg.tensor([0]), {}), length=0) == []
    (found,) = beam_search(model, [4], (mg.tensor([0]), {}), beams=2, length=0, length_penalty=1.0)
    assert (found.tokens, found.score, found.ended) == ([], 0.0, False)
    none = np.zeros((1, 0), dtype=int)
    assert beam_search(model, none, model.begin(0), beams=2, length=3) == []
    assert greedy(model, none, model.begin(0), length=3).lengths.shape == (0,)
    assert (
        log_probability(model, 4, np.zeros((0, 3), dtype=int), model.begin(3)).tolist() == [0] * 3
    )


def test_padding_does_not_count():
    model, sequence = Random(5, 3), np.array([[1, 3, 0], [2, 4, -100], [0, -1, 99]])
    found = log_probability(
        model, 4, nn.data.Padded(mg.tensor(sequence), [3, 2, 1]), model.begin(3)
    )
    for row, length in enumerate([3, 2, 1]):
        alone = log_probability(model, [4], sequence[:length, row], (mg.tensor([row]), {}))
        assert found[row].item() == alone.item()
    again = log_probability(model, 4, sequence, model.begin(3), lengths=[3, 2, 1])
    assert mg.all(found == again)


def test_probabilities_have_gradients():
    logits = mg.tensor([0.1, 0.5, -0.3], dtype="float64", requires_grad=True)

    class Constant:
        def step(self, tokens, state):
            return mg.stack([logits] * len(tokens)), state

    log_probability(Constant(), [0], [1, 1, 2]).backward()
    chances = np.exp(log_softmax(logits.detach().numpy()))
    np.testing.assert_allclose(logits.grad.numpy(), np.array([0, 2, 1]) - 3 * chances, rtol=1e-12)


# with a decoder


def translator():
    mg.manual_seed(1)
    return nn.Decoder(nn.cells.lstm, 3, 4, 6, attention=nn.AdditiveAttention(4, 5)).to("float64")


def test_a_decoder_with_attention_is_searched():
    """All beams of a sequence look at its own memory: the best sequence is that of all there are."""
    decoder, memory = translator(), mg.tensor(np.random.default_rng(0).normal(0, 3, (4, 2, 5)))
    state = decoder.start(memory=memory, memory_lengths=[4, 2])
    found = beam_search(decoder, 1, state, beams=6**3, length=3, eos=0)
    every = np.array(list(itertools.product(range(1, 6), repeat=3))).T
    for row in range(2):
        options = {"memory": memory[:, [row] * every.shape[1]]}
        options["memory_lengths"] = [[4, 2][row]] * every.shape[1]
        with mg.no_grad():
            scores = log_probability(decoder, 1, every, decoder.start(**options)).numpy()
        best = found[row][0]
        if not best.ended:
            assert best.tokens == every[:, scores.argmax()].tolist()
        assert best.log_probability >= scores.max() - 1e-12
    tokens, lengths = greedy(decoder, 1, state, length=7, eos=0)
    assert tokens.shape[0] == int(lengths.max())


def test_rows_of_states():
    memory = nn.DotAttention(2).prepare(mg.reshape(mg.arange(12.0), (2, 3, 2)))
    state = {"h": (mg.reshape(mg.arange(6.0), (1, 3, 2)), [mg.arange(3)]), "m": memory, "n": None}
    chosen = select_rows(state, [2, 0, 0])
    assert chosen["h"][0].tolist() == [[[4, 5], [0, 1], [0, 1]]]
    assert chosen["h"][1][0].tolist() == [2, 0, 0]
    assert type(chosen["m"]) is nn.attention.Memory
    assert chosen["m"].keys.tolist() == memory.keys[[2, 0, 0]].tolist()
    assert chosen["n"] is None


def test_a_model_may_choose_rows_itself():
    class Own(Random):
        def select_rows(self, state, rows):
            self.chosen = True
            return select_rows(state, rows)

    model, plain = Own(5, 3), Random(5, 3)
    options = {"beams": 3, "length": 4}
    assert beam_search(model, 1, model.begin(2), **options) == beam_search(
        plain, 1, plain.begin(2), **options
    )
    assert model.chosen


MODEL = Random(5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: greedy(nn.Linear(1, 1), 0, length=1), ArgumentError,
         r"greedy: the model is a Linear, which has no method step\(tokens, state\)"),
        (lambda: beam_search(MODEL, [0], MODEL.begin(1), beams=2, length=3, eos=5), ArgumentError,
         "beam_search: eos is 5, and the model scores the tokens 0 to 4, so that no sequence would end"),
        (lambda: greedy(MODEL, [0], MODEL.begin(1), length=3, eos=5), ArgumentError,
         "greedy: eos is 5, and the model scores the tokens 0 to 4"),
        (lambda: beam_search(MODEL, 0, beams=0, length=1), ArgumentError,
         "beams must be a positive integer, not 0"),
        (lambda: beam_search(MODEL, 0, beams=2, n_best=3, length=1), ArgumentError,
         "n_best is 3, and 2 beams find no more; use more beams"),
        (lambda: beam_search(MODEL, 0, beams=2, length=1, length_penalty=math.nan), ArgumentError,
         "length_penalty must be a number from -10 to 10, not nan"),
        (lambda: beam_search(Random(5, 0, 1.0), [0], MODEL.begin(1), beams=2, length=1), ArgumentError,
         "forbid every continuation; let them allow one"),
        (lambda: greedy(Random(5, 0, 1.0), [0], MODEL.begin(1), length=1), ArgumentError,
         "all -inf, which forbids every token"),
        (lambda: log_probability(MODEL, [0], [[1]], MODEL.begin(1)), ShapeError,
         r"the sequence has shape \(1, 1\); behind this start it must be \(L,\)"),
        (lambda: log_probability(MODEL, 0, [[1, 2]], MODEL.begin(3)), ShapeError,
         r"behind this start it must be \(L, 3\)"),
        (lambda: select_rows({"h": 3}, [0]), ArgumentError, "not of a int; give the model, or that"),
        (lambda: select_rows(mg.tensor(3), [0]), ArgumentError, "has no axis, and so no rows"),
    ],
)  # fmt: skip
def test_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
