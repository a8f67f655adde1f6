"""Random numbers: seeded, the same in every process, split into independent streams, stored exactly."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading

import numpy
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, ShapeError
from minigrad.random import Generator, noting_draws, repeating_draws

DIGEST = "4753035734edbd372b3d0b30bc654348dc4120747a1b1e249b6e8283ac147c1e"

# drawn once, and written down: these must not change from one version to the next
PROGRAM = """
import minigrad as mg
g = mg.Generator(7)
a, b = g.split()
print(repr([
    g.normal((3,), dtype="float64").tolist(),
    g.uniform((2,), dtype="float64").tolist(),
    g.integers(0, 1000, (4,)).tolist(),
    g.permutation(6).tolist(),
    g.bernoulli(0.5, (6,)).tolist(),
    a.integers(0, 1000, (4,)).tolist(),
    b.integers(0, 1000, (4,)).tolist(),
    a.split()[1].integers(0, 1000, (4,)).tolist(),
]))
"""
EXPECTED = [
    [-1.4035643350339762, 0.8484195143593849, 1.3086802652913172],
    [0.23735390900821418, 0.1387354645954474],
    [962, 511, 912, 302],
    [1, 4, 0, 2, 5, 3],
    [False, True, True, True, True, False],
    [140, 48, 893, 822],
    [195, 274, 8, 890],
    [507, 165, 460, 734],
]


def run_program(**environment):
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120,
        env=environment or None,
    )  # fmt: skip
    return eval(found.stdout)


def test_the_numbers_are_those_written_down(capsys):
    exec(PROGRAM)
    assert eval(capsys.readouterr().out) == EXPECTED


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_every_process_draws_the_same_numbers(hash_seed):
    assert run_program(PYTHONHASHSEED=hash_seed) == EXPECTED


def numbers(generator, count=5):
    return generator.normal((count,)).tolist()


def test_equal_seeds_give_equal_numbers_and_others_others():
    assert numbers(Generator(3)) == numbers(Generator(3))
    assert numbers(Generator(3)) != numbers(Generator(4))
    assert numbers(Generator(2**200)) == numbers(Generator(2**200))


UNSEEDED = """
import os, sys
import minigrad as mg
from minigrad.random import noting_draws, repeating_draws

def draw():
    return mg.rand(2).tolist(), own.normal(2).tolist(), child.normal(2).tolist()

def forks():
    for _ in range(2):
        read, write = os.pipe()
        if not os.fork():
            os.write(write, repr(draw()).encode())
            os._exit(0)
        os.wait()
        yield os.read(read, 1000).decode()

own = mg.Generator()
(child,) = own.split(1)
if sys.argv[1] == "seed":
    mg.manual_seed(3), own.set_state(mg.Generator(4).get_state())
    (child,) = own.split(1)
elif sys.argv[1] == "draw":
    with noting_draws() as noted:
        draw()
    with repeating_draws(noted), mg.random.seeded(0):
        draw()
for numbers in (*forks(), repr(draw())):
    print(numbers)
"""


def draws_of(how):
    done = subprocess.run(
        [sys.executable, "-c", UNSEEDED, how], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
def test_without_a_seed_every_process_draws_other_numbers():
    found = [eval(line) for how in ("not", "not", "draw") for line in draws_of(how)]
    for generator in range(3):
        assert len({tuple(numbers[generator]) for numbers in found}) == 9
    with_seed = draws_of("seed") + draws_of("seed")
    assert len(set(with_seed)) == 1
    assert eval(with_seed[0])[1] == numbers(Generator(4), 2)


def test_without_a_seed_generators_differ():
    assert numbers(Generator()) != numbers(Generator())
    with mg.random.seeded(7):
        first = mg.rand(3).tolist()
    before = mg.random.get_state()
    with mg.random.seeded(7):
        assert mg.rand(3).tolist() == first
    assert mg.random.get_state() == before
    with pytest.raises(ArgumentError, match="seed must be a non-negative integer"):
        mg.random.seeded(-1).__enter__()


def test_the_global_generator():
    assert mg.manual_seed(5) is mg.random.default_generator
    first = [mg.rand(2), mg.randn(2, 2), mg.randint(0, 9, (3,)), mg.rand((2,))]
    mg.manual_seed(5)
    again = [mg.rand(2), mg.randn(2, 2), mg.randint(0, 9, (3,)), mg.rand((2,))]
    assert [t.tolist() for t in first] == [t.tolist() for t in again]
    own = Generator(5)
    assert own.uniform((2,)).tolist() == first[0].tolist()


# state


def draws(generator):
    """Draw something of every kind; the 32-bit draws leave half a word in the state."""
    return [
        generator.normal((3,)).tolist(),
        generator.uniform((1,)).tolist(),
        generator.integers(0, 5, (3,)).tolist(),
        generator.permutation(5).tolist(),
        generator.bernoulli(0.3, (3,)).tolist(),
        generator.categorical(mg.tensor([[0.1, 0.9], [0.5, 0.5]])).tolist(),
        [numbers(child) for child in generator.split(2)],
    ]


@pytest.mark.parametrize("before", range(7))
def test_the_state_goes_through_json_and_on_exactly(before):
    generator = Generator(11).split()[1]
    for step, _ in zip(range(before), itertools.count(), strict=False):
        generator.integers(0, 2**31 - 1, (step,))
        generator.normal((1,))
    state = json.loads(json.dumps(generator.get_state()))
    expected = draws(generator)
    other = Generator(99)
    other.set_state(state)
    assert draws(other) == expected
    assert other.get_state() == generator.get_state()
    generator.set_state(state)
    assert draws(generator) == expected


def test_the_state_of_the_global_generator():
    mg.rand(3)
    state = mg.random.get_state()
    expected = mg.rand(3).tolist()
    mg.random.set_state(state)
    assert mg.rand(3).tolist() == expected


@pytest.mark.parametrize("wrong", [None, 3, {}, {"seed": 1}, "state"])
def test_something_else_than_a_state_is_refused_and_changes_nothing(wrong):
    generator = Generator(1)
    before = generator.get_state()
    with pytest.raises(ArgumentError, match="this is not the state of a generator"):
        generator.set_state(wrong)
    assert generator.get_state() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", "one"),
        ("path", ["x"]),
        ("path", None),
        ("children", "none"),
        ("children", -1),
        ("counter", [1]),
        ("counter", [-1, 0, 0, 0]),
        ("key", [1, 2, 3]),
        ("buffer", [1]),
        ("buffer_pos", "first"),
        ("uinteger", None),
    ],
)
def test_a_state_with_a_wrong_entry_is_refused_and_changes_nothing(name, value):
    generator = Generator(1)
    before = generator.get_state()
    wrong = {**Generator(2).get_state(), name: value}
    with pytest.raises(ArgumentError, match="this is not the state of a generator"):
        generator.set_state(wrong)
    assert generator.get_state() == before


# splitting


def test_splitting_does_not_change_what_the_parent_draws():
    a, b = Generator(1), Generator(1)
    a.split(3)
    assert numbers(a) == numbers(b)


def test_every_child_is_new_and_a_function_of_its_path():
    parent = Generator(1)
    children = [*parent.split(2), *parent.split(1)]
    grandchildren = [g for child in children for g in child.split(2)]
    streams = [numbers(g) for g in (parent, *children, *grandchildren)]
    assert len({str(s) for s in streams}) == len(streams)
    assert numbers(Generator(1).split(3)[2]) == streams[3]


def test_streams_are_not_correlated():
    streams = [g.normal((20_000,), dtype="float64").numpy() for g in Generator(1).split(6)]
    streams += [Generator(n).normal((20_000,), dtype="float64").numpy() for n in range(3)]
    correlation = numpy.corrcoef(streams) - numpy.eye(len(streams))
    assert abs(correlation).max() < 5 / 20_000**0.5


# distributions


N = 100_000


@pytest.mark.parametrize(
    ("draw", "mean", "variance"),
    [
        (lambda g: g.normal((N,)), 0, 1),
        (lambda g: g.normal((N,), mean=3.0, std=0.5), 3, 0.25),
        (lambda g: g.uniform((N,)), 0.5, 1 / 12),
        (lambda g: g.uniform((N,), low=-2.0, high=4.0), 1, 3),
        (lambda g: g.integers(-1, 3, (N,)), 0.5, 1.25),
        (lambda g: g.bernoulli(0.2, (N,)), 0.2, 0.16),
    ],
)
def test_moments(draw, mean, variance):
    values = draw(Generator(2)).numpy().astype("float64")
    spread = (variance / N) ** 0.5
    assert abs(values.mean() - mean) < 5 * spread
    assert values.var() == pytest.approx(variance, rel=0.03)
    lag = numpy.corrcoef(values[:-1], values[1:])[0, 1]
    assert abs(lag) < 5 / N**0.5


def test_uniform_numbers_stay_below_the_end_in_every_dtype():
    for dtype in ("float16", "float32", "float64"):  # rounding up could reach it
        values = Generator(0).uniform((300_000,), dtype=dtype).numpy()
        assert values.min() >= 0
        assert values.max() < 1


def test_categorical_draws_in_proportion():
    p = mg.tensor([[1.0, 0.0, 3.0], [0.25, 0.5, 0.25]])
    generator = Generator(3)
    found = numpy.zeros((2, 3))
    wide = mg.broadcast_to(p, (20_000, 2, 3))
    for row in range(2):
        found[row] = numpy.bincount(generator.categorical(wide).numpy()[:, row], minlength=3)
    numpy.testing.assert_allclose(found / 20_000, [[0.25, 0, 0.75], [0.25, 0.5, 0.25]], atol=0.02)
    assert found[0, 1] == 0


def test_a_permutation_holds_each_number_once():
    assert sorted(Generator(0).permutation(50).tolist()) == list(range(50))
    assert Generator(0).permutation(0).shape == (0,)


def test_shapes_dtypes_and_gradients():
    g = Generator(0)
    assert g.normal().shape == ()
    assert g.normal(3).shape == (3,)
    assert g.normal((2, 0)).shape == (2, 0)
    assert g.uniform((2,), dtype="float16").dtype == mg.float16
    assert g.bernoulli(0.5, 2).dtype == mg.bool_
    assert g.categorical(mg.ones((4, 5, 3))).shape == (4, 5)
    assert mg.randn(2, requires_grad=True).requires_grad
    assert mg.rand(2, requires_grad=True).is_leaf
    assert mg.randint(0, 3, 4).shape == (4,)


def test_bernoulli_at_its_ends():
    assert not Generator(0).bernoulli(0.0, (100,)).any().item()
    assert Generator(0).bernoulli(1.0, (100,)).all().item()


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
def test_a_seed_is_a_non_negative_integer(seed):
    with pytest.raises(ArgumentError, match="seed must be a non-negative integer, not"):
        Generator(seed)


def test_a_bad_request_draws_nothing():
    generator = Generator(0)
    before = generator.get_state()
    for error, ask in (
        (ShapeError, lambda: generator.normal((2, -1))),
        (ArgumentError, lambda: generator.permutation(-1)),
        (ArgumentError, lambda: generator.split(-1)),
        (ArgumentError, lambda: generator.normal((2,), std=-1.0)),
        (ArgumentError, lambda: generator.integers(3, 3)),
        (ArgumentError, lambda: generator.bernoulli(-0.1)),
        (ArgumentError, lambda: generator.categorical(mg.tensor([-1.0, 2.0]))),
        (ArgumentError, lambda: generator.categorical(mg.tensor([numpy.inf, 2.0]))),
    ):
        with pytest.raises(error):
            ask()
    assert generator.get_state() == before


# drawing again


def test_draws_are_noted_and_repeated():
    a, b, idle = Generator(1), Generator(2), Generator(3)
    with noting_draws() as noted:
        first = numbers(a), numbers(b), numbers(a)
    assert set(noted) == {a, b}
    expected = numbers(a)
    a.set_state(Generator(1).get_state())
    for _ in range(3):
        numbers(a)
    state = a.get_state()
    with repeating_draws(noted):
        assert (numbers(a), numbers(b), numbers(a)) == first
        assert numbers(a) == expected
    assert a.get_state() == state
    assert idle not in noted


def test_threads_may_draw_from_one_generator():
    generator, parts = Generator(0), []

    def work():
        parts.append([generator.integers(0, 2**62).item() for _ in range(200)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = sorted(itertools.chain(*parts))
    alone = Generator(0)
    assert together == sorted(alone.integers(0, 2**62).item() for _ in range(800))


def test_many_numbers_are_those_written_down():
    drawn = Generator(123).normal((10_000,), dtype="float64").numpy()
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == DIGEST


def test_a_generator_shows_where_its_numbers_come_from():
    first, second = Generator(7).split()
    assert repr(second) == "<generator 7.1>"
    assert repr(first.split()[0]) == "<generator 7.0.0>"


def test_draws_are_repeated_in_their_thread_alone():
    generator, found = Generator(3), []
    with noting_draws() as noted:
        first = numbers(generator)
    expected = Generator(3)
    numbers(expected)  # gone
    thread = threading.Thread(target=lambda: found.append(numbers(generator)))
    with repeating_draws(noted):
        thread.start()
        thread.join()
        assert numbers(generator) == first
        with noting_draws() as inner:
            more = numbers(generator)
        with repeating_draws(inner):
            assert numbers(generator) == more
        generator.set_state(Generator(9).get_state())
        assert numbers(generator) == numbers(Generator(9))
    assert found == [numbers(expected)]
    assert numbers(generator) == numbers(expected)
