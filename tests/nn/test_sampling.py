"""What a model that goes on by itself draws, and how often."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError
from minigrad.nn.text.sampling import generate

PROBABILITIES = np.array([0.1, 0.3, 0.6, 0.0])


def constant(codes, state):
    """Score the numbers so that they have PROBABILITIES, whatever came before."""
    scores = mg.log(mg.tensor([0.1, 0.3, 0.6, 1e-30], dtype="float64"))
    return mg.broadcast_to(scores, (*codes.shape, 4)), None


def drawn(count=4000, seed=1, **options):
    return list(generate(constant, np.array([0]), count, generator=mg.Generator(seed), **options))


def assert_frequencies(numbers, probabilities):
    """Compare frequencies with probabilities: off by at most four standard deviations."""
    found = np.bincount(numbers, minlength=4) / len(numbers)
    spread = np.sqrt(probabilities * (1 - probabilities) / len(numbers))
    assert (np.abs(found - probabilities) <= 4 * spread).all(), found


def test_generation_continues_the_prompt():
    calls = []

    def count_up(codes, state):
        """Score the successor highest, and hand on how many codes there were."""
        calls.append((codes.tolist(), state))
        scores = mg.where(mg.arange(10) == (codes[..., None] + 1) % 10, 50.0, 0.0)
        return scores, (state or 0) + len(codes)

    assert list(generate(count_up, np.array([3, 4]), 8)) == [5, 6, 7, 8, 9, 0, 1, 2]
    assert calls[:3] == [([[3], [4]], None), ([[5]], 2), ([[6]], 3)]
    assert len(calls) == 8


def test_numbers_are_drawn_with_their_probabilities():
    assert_frequencies(drawn(), PROBABILITIES)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_is_a_power(temperature):
    powers = PROBABILITIES ** (1 / temperature)
    assert_frequencies(drawn(temperature=temperature), powers / powers.sum())


@pytest.mark.parametrize("temperature", [1e-3, 1e-30])
def test_a_low_temperature_takes_the_likeliest(temperature):
    assert set(drawn(50, temperature=temperature)) == {2}


def fixed(scores, dtype="float32"):
    """Return a model that always scores alike."""
    row = mg.tensor(scores, dtype=dtype)
    return lambda codes, state: (mg.broadcast_to(row, (*codes.shape, len(scores))), None)


@pytest.mark.parametrize("temperature", [1e-3, 1e-46, 5e-324, np.float32(1e-45)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("large", [1, 60000])
def test_the_limit_of_the_temperature_is_the_likeliest_and_ties_evenly(dtype, large, temperature):
    predict = fixed([-large, large, 0, large], dtype)
    generator = mg.Generator(1)
    numbers = list(generate(predict, [0], 100, temperature=temperature, generator=generator))
    assert_frequencies(numbers, np.array([0, 0.5, 0, 0.5]))


def test_differences_of_large_scores_do_not_overflow():
    predict = fixed([3e38, -3e38, -3e38])
    numbers = list(generate(predict, [0], 400, temperature=6e38, generator=mg.Generator(1)))
    odds = np.exp([0, -1, -1])
    assert_frequencies(numbers, np.append(odds / odds.sum(), 0))


@pytest.mark.parametrize("top_k", [None, 2])
def test_a_score_of_minus_infinity_forbids_a_number(top_k):
    predict = fixed([0.0, -np.inf, -np.inf, 0.0])
    for temperature in (1e-46, 1.0, 1e300):
        options = {"temperature": temperature, "top_k": top_k, "generator": mg.Generator(1)}
        assert_frequencies(list(generate(predict, [0], 200, **options)), np.array([0.5, 0, 0, 0.5]))


@pytest.mark.parametrize("top_k", [None, 1, 2])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ([0.0, np.nan, 1.0], "nan"),
        ([np.nan] * 3, "nan"),
        ([0.0, np.inf, 1.0], "inf"),
        ([-np.inf] * 3, "all -inf, which forbids every number"),
    ],
)
def test_scores_of_a_diverged_model_are_refused(scores, found, dtype, top_k):
    numbers = generate(fixed(scores, dtype), [0], 1, top_k=top_k)
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
        return list(generate(constant, np.array([0]), 50))

    assert from_the_global_one(1) == from_the_global_one(1) != from_the_global_one(2)


def test_own_generator_leaves_the_global_one_alone():
    before = mg.random.get_state()
    drawn(10)
    assert mg.random.get_state() == before


def test_each_number_is_drawn_when_it_is_asked_for():
    generator = mg.Generator(1)
    numbers = generate(constant, np.array([0]), 10**9, generator=generator)
    assert generator.get_state() == mg.Generator(1).get_state()
    assert list(itertools.islice(numbers, 20)) == drawn(20)


def test_no_gradient_is_kept_and_the_mode_outside_is_left_alone():
    weight = mg.zeros(3, requires_grad=True)

    def predict(codes, state):
        scores = weight + mg.zeros((*codes.shape, 3))
        assert not scores.requires_grad
        return scores, scores

    for _ in generate(predict, np.array([0]), 2):
        assert mg.is_grad_enabled()


def test_the_chunks_of_a_prompt_make_no_difference():
    """A recurrent network that read the prompt goes on as if it had read it number by number."""
    mg.manual_seed(3)
    embedding, recurrent = mg.nn.Embedding(5, 8), mg.nn.GRU(8, 8)
    readout = mg.nn.Linear(8, 5)

    def predict(codes, state):
        outputs, state = recurrent(embedding(codes), state)
        return readout(outputs), state

    prompt = [1, 2, 3]
    found = list(generate(predict, np.array(prompt), 12, top_k=1))
    with mg.no_grad():
        for _ in range(12):  # the whole text anew for each number
            scores, _ = predict(mg.tensor(prompt)[:, None], None)
            prompt.append(int(np.argmax(scores[-1, 0].numpy())))
    assert found == prompt[3:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": np.array([], dtype=int)}, r"the prompt has shape \(0,\); give a row of one"),
        ({"prompt": np.array([[1]])}, r"the prompt has shape \(1, 1\); give a row of one number"),
        ({"prompt": np.array([0.7])}, "the prompt must hold integers, not float64"),
        ({"prompt": np.array([True])}, "the prompt must hold integers, not bool"),
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
    options = {"prompt": np.array([0]), "length": 1, **options}
    with pytest.raises(ArgumentError, match=message):
        generate(constant, **options)


def test_scores_of_another_shape_are_refused():
    numbers = generate(lambda codes, state: (mg.zeros((4, 3)), None), np.array([0, 1]), 1)
    with pytest.raises(
        ArgumentError, match=r"shape \(4, 3\) for 2 steps .* it must be \(2, 1, size"
    ):
        next(numbers)
