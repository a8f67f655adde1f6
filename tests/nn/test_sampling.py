"""What a model that goes on by itself draws, and how often."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn.decoding import generate

PROBABILITIES = np.array([0.1, 0.3, 0.6, 0.0])


class Model:
    """What goes on by a function from tokens and a state to scores and the new state."""

    def __init__(self, step):
        self.step = step


def fixed(scores, dtype="float32"):
    """Return a model that always scores alike."""
    row = mg.tensor(scores, dtype=dtype)
    return Model(lambda tokens, state: (mg.broadcast_to(row, (len(tokens), len(scores))), None))


constant = fixed(np.log([0.1, 0.3, 0.6, 1e-30]), "float64")


def drawn(count=4000, seed=1, model=constant, **options):
    """Return what is drawn for so many sequences side by side."""
    start, generator = np.zeros((1, count), dtype=int), mg.Generator(seed)
    (tokens,) = generate(model, start, length=1, generator=generator, **options)
    return tokens.tolist()


def assert_frequencies(numbers, probabilities):
    """Compare frequencies with probabilities: off by at most four standard deviations."""
    found = np.bincount(numbers, minlength=4) / len(numbers)
    spread = np.sqrt(probabilities * (1 - probabilities) / len(numbers))
    assert (np.abs(found - probabilities) <= 4 * spread).all(), found


def test_generation_continues_the_start():
    calls = []

    def count_up(tokens, state):
        """Score the successor highest, and hand on how many tokens there were."""
        calls.append((tokens.tolist(), state))
        scores = mg.where(mg.arange(10) == (tokens[:, None] + 1) % 10, 50.0, 0.0)
        return scores, (state or 0) + 1

    assert list(generate(Model(count_up), [3, 4], length=8)) == [5, 6, 7, 8, 9, 0, 1, 2]
    assert calls[:3] == [([3], None), ([4], 1), ([5], 2)]
    assert len(calls) == 9
    assert list(generate(Model(count_up), 4, length=9, eos=7)) == [5, 6, 7]
    batch = list(generate(Model(count_up), [[3, 0], [4, 1]], length=9, eos=6))
    assert [tokens.tolist() for tokens in batch] == [[5, 2], [6, 3], [6, 4], [6, 5], [6, 6]]
    assert batch[0].dtype == mg.int64


def test_an_integer_begins_each_row_of_the_state():
    model = Model(lambda tokens, state: (mg.one_hot((tokens + 1) % 9, 9), state))
    for state in (mg.zeros((1, 3, 4)), {"h": (mg.zeros((3, 4)), None)}, [mg.zeros(3)]):
        (tokens,) = generate(model, 4, state, length=1, top_k=1)
        assert tokens.tolist() == [5, 5, 5]
    for state in (None, (), {"memory": None}):
        assert list(generate(model, 4, state, length=2, top_k=1)) == [5, 6]


def test_numbers_are_drawn_with_their_probabilities():
    assert_frequencies(drawn(), PROBABILITIES)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_is_a_power(temperature):
    powers = PROBABILITIES ** (1 / temperature)
    assert_frequencies(drawn(temperature=temperature), powers / powers.sum())


@pytest.mark.parametrize("temperature", [1e-3, 1e-30])
def test_a_low_temperature_takes_the_likeliest(temperature):
    assert set(drawn(50, temperature=temperature)) == {2}


@pytest.mark.parametrize("temperature", [1e-3, 1e-46, 5e-324, np.float32(1e-45)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("large", [1, 60000])
def test_the_limit_of_the_temperature_is_the_likeliest_and_ties_evenly(dtype, large, temperature):
    numbers = drawn(100, model=fixed([-large, large, 0, large], dtype), temperature=temperature)
    assert_frequencies(numbers, np.array([0, 0.5, 0, 0.5]))


def test_differences_of_large_scores_do_not_overflow():
    numbers = drawn(model=fixed([3e38, -3e38, -3e38]), temperature=6e38)
    odds = np.exp([0, -1, -1])
    assert_frequencies(numbers, np.append(odds / odds.sum(), 0))


@pytest.mark.parametrize("top_k", [None, 2])
def test_a_score_of_minus_infinity_forbids_a_number(top_k):
    model = fixed([0.0, -np.inf, -np.inf, 0.0])
    for temperature in (1e-46, 1.0, 1e300):
        numbers = drawn(200, model=model, temperature=temperature, top_k=top_k)
        assert_frequencies(numbers, np.array([0.5, 0, 0, 0.5]))


@pytest.mark.parametrize("top_k", [None, 1, 2])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ([0.0, np.nan, 1.0], "nan"),
        ([np.nan] * 3, "nan"),
        ([0.0, np.inf, 1.0], "inf"),
        ([-np.inf] * 3, "all -inf, which forbids every token"),
    ],
)
def test_scores_of_a_diverged_model_are_refused(scores, found, dtype, top_k):
    numbers = generate(fixed(scores, dtype), [0], length=1, top_k=top_k)
    with pytest.raises(ArgumentError, match=f"returned are {found}; a model that has diverged"):
        next(numbers)


def test_top_k_leaves_only_the_likeliest():
    assert_frequencies(drawn(top_k=2), np.array([0, 0.3, 0.6, 0]) / 0.9)
    assert_frequencies(drawn(top_k=3), PROBABILITIES)
    assert set(drawn(50, top_k=1)) == {2}
    assert drawn(50, top_k=4) == drawn(50, top_k=1000) == drawn(50)


def test_top_k_and_temperature_together():
    assert_frequencies(drawn(top_k=2, temperature=0.5), np.array([0, 0.09, 0.36, 0]) / 0.45)


def test_a_seed_repeats_what_is_drawn():
    assert drawn(100) == drawn(100)
    assert drawn(100) != drawn(100, seed=2)


def test_without_a_generator_the_global_one_is_used():
    def from_the_global_one(seed):
        mg.manual_seed(seed)
        return list(generate(constant, [0], length=50))

    assert from_the_global_one(1) == from_the_global_one(1) != from_the_global_one(2)


def test_own_generator_leaves_the_global_one_alone():
    before = mg.random.get_state()
    drawn(10)
    assert mg.random.get_state() == before


def test_each_number_is_drawn_when_it_is_asked_for():
    generator = mg.Generator(1)
    numbers = generate(constant, [0], length=10**9, generator=generator)
    assert generator.get_state() == mg.Generator(1).get_state()
    assert list(itertools.islice(numbers, 20)) == drawn(20)


def test_no_gradient_is_kept_and_the_mode_outside_is_left_alone():
    weight = mg.zeros(3, requires_grad=True)

    def step(tokens, state):
        scores = weight + mg.zeros((len(tokens), 3))
        assert not scores.requires_grad
        return scores, scores

    for _ in generate(Model(step), [0, 1], length=2):
        assert mg.is_grad_enabled()


class Language(nn.Module):
    """A small model of language: whole stretches, or one step."""

    def __init__(self, size=5):
        self.embedding, self.recurrent = nn.Embedding(size, 8), nn.GRU(8, 8)
        self.readout = nn.Linear(8, size)

    def forward(self, codes, state=None):
        outputs, state = self.recurrent(self.embedding(codes), state)
        return self.readout(outputs), state

    def step(self, tokens, state=None):
        output, state = self.recurrent.step(self.embedding(tokens), state)
        return self.readout(output), state


def test_generation_is_what_the_whole_text_gives_anew_for_each_token():
    mg.manual_seed(3)
    model, prompt = Language(), [1, 2, 3]
    found = list(generate(model, prompt, length=12, top_k=1))
    with mg.no_grad():
        for _ in range(12):
            scores, _ = model(mg.tensor(prompt)[:, None])
            prompt.append(int(np.argmax(scores[-1, 0].numpy())))
    assert found == prompt[3:]


def test_a_batch_is_each_sequence_alone():
    mg.manual_seed(3)
    model, starts = Language(), np.array([[1, 2, 3], [0, 4, 1]])
    batch = list(generate(model, starts, length=9, eos=2, top_k=1))
    for n in range(3):
        alone = list(generate(model, starts[:, n], length=9, eos=2, top_k=1))
        assert [int(tokens[n]) for tokens in batch][: len(alone)] == alone
    assert next(generate(model, starts[:, :0], length=9)).shape == (0,)


# top_p


def kept_by(top_p, probabilities):
    """Return the nucleus by its definition: the fewest likeliest that add up to top_p."""
    order = np.argsort(-probabilities, kind="stable")
    count = next(
        k for k in range(1, 1 + len(order)) if probabilities[order[:k]].sum() > top_p - 1e-9
    )
    kept = np.zeros_like(probabilities)
    kept[order[:count]] = probabilities[order[:count]]
    return kept / kept.sum()


@pytest.mark.parametrize("top_p", [1e-9, 0.55, 0.65, 0.85, 0.95, 1.0])
def test_top_p_leaves_the_nucleus(top_p):
    assert_frequencies(drawn(top_p=top_p), kept_by(top_p, PROBABILITIES))


def test_top_p_acts_after_the_temperature_and_after_top_k():
    powers = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    assert_frequencies(drawn(top_p=0.8, temperature=0.5), kept_by(0.8, powers))
    two = np.array([0, 1 / 3, 2 / 3, 0])
    assert_frequencies(drawn(top_p=0.6, top_k=2), kept_by(0.6, two))
    assert_frequencies(drawn(top_p=0.7, top_k=2), two)
    assert drawn(50, top_p=1) == drawn(50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": np.array([], dtype=int)}, r"the start has shape \(0,\); give one token or more"),
        ({"start": np.ones((1, 1, 1), dtype=int)}, r"the start has shape \(1, 1, 1\); give one"),
        ({"start": [0.7]}, "the start must hold integers, not float64"),
        ({"start": np.array([True])}, "the start must hold integers, not bool"),
        ({"model": nn.Linear(2, 2)}, r"a Linear, which has no method step\(tokens, state\)"),
        ({"model": None}, "the model is a NoneType, which has no method step"),
        ({"eos": -1}, "generate: eos must be a non-negative integer, not -1"),
        ({"top_p": 0}, "generate: top_p must be a number above 0, at most 1, not 0"),
        ({"top_p": 1.5}, "generate: top_p must be a number from -inf to 1, not 1.5"),
        ({"length": -1}, "generate: length must be a non-negative integer, not -1"),
        ({"length": 1.5}, "generate: length must be a non-negative integer, not 1.5"),
        ({"temperature": 0}, "generate: temperature must be a number above 0, not 0"),
        ({"temperature": float("nan")}, "generate: temperature must be a number, not nan"),
        ({"temperature": float("inf")}, "generate: temperature must be a number above 0, not inf"),
        ({"temperature": 10**400}, "generate: temperature must be a number above 0, not 1000"),
        ({"top_k": 0}, "generate: top_k must be a positive integer, not 0"),
        ({"top_k": 2.0}, "generate: top_k must be a positive integer, not 2.0"),
    ],
)
def test_mistakes_are_found_before_anything_is_drawn(options, message):
    options = {"model": constant, "start": [0], "length": 1, **options}
    with pytest.raises((ArgumentError, DtypeError, ShapeError), match=message):
        generate(**options)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            (mg.zeros((4, 3)), None),
            r"shape \(4, 3\) for tokens of shape \(1,\); they must be \(1, size\)",
        ),
        ((mg.zeros((1, 0)), None), r"shape \(1, 0\) for tokens of shape"),
        (
            mg.zeros((1, 3)),
            "returned a Tensor; it must return the scores of the next tokens and the new",
        ),
        ((np.zeros((1, 3)), None), "returned a tuple; it must return the scores"),
    ],
)
def test_what_step_must_return(found, message):
    with pytest.raises(ArgumentError, match=message):
        next(generate(Model(lambda tokens, state: found), [0, 1], length=1))
