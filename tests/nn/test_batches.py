"""Padding, and batches: what is seen, in which order, and going on exactly where a run stopped."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, GradientError, ShapeError
from minigrad.nn.data import Padded, batches, pad_sequence

# padding

KINDS = ["float32", "float64", "int64", "int8", "uint8", "bool"]


@st.composite
def ragged(draw, low=1):
    """Return arrays of unequal length (also 0) and equal sizes behind it."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    inner = draw(st.sampled_from([(), (1,), (3,), (2, 0), (2, 3)]))
    lengths = draw(st.lists(st.integers(0, 5), min_size=low, max_size=9))
    kind = draw(st.sampled_from(KINDS))
    return [rng.integers(0, 100, (length, *inner)).astype(kind) for length in lengths]


@given(ragged(), st.booleans(), st.sampled_from([0, 1]))
def test_padding_keeps_every_value_and_fills_the_rest(sequences, batch_first, value):
    values, lengths = pad_sequence(sequences, batch_first=batch_first, padding_value=value)
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [len(sequence) for sequence in sequences]
    rows = values.numpy() if batch_first else values.numpy().swapaxes(0, 1)
    assert rows.shape[1] == max(lengths.tolist())
    for row, sequence in zip(rows, sequences, strict=True):
        assert row.dtype == sequence.dtype
        np.testing.assert_array_equal(row[: len(sequence)], sequence)
        assert (row[len(sequence) :] == value).all()


@pytest.mark.parametrize(
    ("sequences", "dtype", "values"),
    [
        ([[1, 2], [3]], "int64", [[1, 3], [2, 0]]),
        ([[1, 2], [0.5]], "float32", [[1, 0.5], [2, 0]]),
        ([[True], []], "bool", [[True, False]]),
        ([[], [1, 2]], "int64", [[0, 1], [0, 2]]),
        ([[], []], "float32", []),
        ([np.float64([1.0]), [0.5]], "float64", [[1.0, 0.5]]),
        ([np.int8([1]), np.float32([0.5])], "float32", [[1.0, 0.5]]),
        ([np.ones((1, 2)), []], "float64", [[[1, 1], [0, 0]]]),
        (([n] * n for n in (1, 2)), "int64", [[1, 2], [0, 2]]),
        ([range(2), iter([5])], "int64", [[0, 5], [1, 0]]),
        ((mg.tensor([1, 2]), mg.tensor([3])), "int64", [[1, 3], [2, 0]]),
        (np.array([[1, 2], [3, 4]]), "int64", [[1, 3], [2, 4]]),
        (mg.tensor([[1, 2], [3, 4]]), "int64", [[1, 3], [2, 4]]),
    ],
)
def test_what_may_be_padded(sequences, dtype, values):
    padded = pad_sequence(sequences)
    assert isinstance(padded, Padded)
    assert str(padded.values.dtype) == dtype
    assert padded.values.tolist() == values


def test_a_dtype_may_be_asked_for():
    assert str(pad_sequence([[1]], dtype="float64").values.dtype) == "float64"
    with pytest.raises(DtypeError, match="sequence 1: 300 at position 1 does not fit uint8"):
        pad_sequence([[1], [1, 300]], dtype="uint8")


@pytest.mark.parametrize(
    ("sequences", "error", "message"),
    [
        ([], ArgumentError, "there is no sequence; give at least one"),
        ("text", ArgumentError, "the sequences must hold numbers, and 'text' is text; encode it"),
        (["ab", "c"], ArgumentError, "sequence 0: it must hold numbers, and 'ab' is text; encode"),
        ([[1], ["a"]], DtypeError, "sequence 1: cannot make a tensor of text"),
        ([1, 2], ArgumentError, "sequence 0: it must be a list or an array, not 1; give"),
        ([np.array(1)], ArgumentError, "sequence 0: it is the single number"),
        (np.array(1), ArgumentError, "the single number"),
        (3, ArgumentError, "the sequences must be a list or an array, not 3"),
        ({1: [2]}, ArgumentError, "the sequences must be a list or an array, not {1"),
        ([[1], None], ArgumentError, "sequence 1: it must be a list or an array, not None"),
        ([[[1, 2]], [[1]]], ShapeError, r"sequence 1 holds values of shape \(1,\), and sequence 0"),
        ([[1], [[1]]], ShapeError, "only lengths may differ"),
        ([[[1, 2], [3]]], ShapeError, "sequence 0: nested lists have different lengths"),
        ([mg.ones(2, requires_grad=True)], GradientError, "would lose it"),
        ([np.ma.masked_equal([1, 2], 2)], DtypeError, "the mask of a masked array would be lost"),
        ([[1 + 2j]], DtypeError, "complex numbers"),
    ],
)
def test_what_cannot_be_padded(sequences, error, message):
    with pytest.raises(error, match=message):
        pad_sequence(sequences)


@pytest.mark.parametrize("value", [0.5, 300, -1, None, "0", float("nan")])
def test_a_padding_that_does_not_fit(value):
    for call in (
        lambda: pad_sequence([np.uint8([1]), np.uint8([])], padding_value=value),
        lambda: batches([np.uint8([1]), np.uint8([])], 2, pad=value),
    ):
        with pytest.raises((ArgumentError, DtypeError), match="the padding"):
            call()


# batches


def seen(source):
    """Return what one iteration yields, as plain data."""
    return [plain(batch) for batch in source]


def plain(batch):
    if isinstance(batch, Padded):
        rows = batch.values.numpy().swapaxes(0, 1)
        return [row[:n].tolist() for row, n in zip(rows, batch.lengths.tolist(), strict=True)]
    if isinstance(batch, tuple):
        return tuple(plain(entry) for entry in batch)
    return batch.tolist()


CUTS = st.fixed_dictionaries(
    {
        "bucket": st.sampled_from([None, 1, 2, 5]),
        "drop_last": st.booleans(),
        "seed": st.none() | st.integers(0, 9),
    }
)  # fmt: skip


def cut(data, size, cuts):
    """Return batches with a generator of their own."""
    seed = cuts["seed"]
    shuffle = None if seed is None else mg.Generator(seed)
    options = {name: cuts[name] for name in ("bucket", "drop_last")}
    return batches(data, size, shuffle=shuffle, **options)


@given(st.lists(st.integers(0, 6), max_size=20), st.integers(1, 7), CUTS)
def test_each_example_is_seen_once_whatever_the_cut(lengths, size, cuts):
    words = [list(range(n, n + length)) for n, length in enumerate(lengths)]
    source = cut((words, np.arange(len(words))), size, cuts)
    for _ in range(2):
        found = seen(source)
        assert len(found) == len(source)
        numbers = [number for _, batch in found for number in batch]
        if cuts["drop_last"]:
            assert len(numbers) == len(words) // size * size
            assert Counter(numbers) <= Counter(range(len(words)))
            assert all(len(batch) == size for _, batch in found)
        else:
            assert sorted(numbers) == list(range(len(words)))
        for batch, numbers in found:
            assert batch == [words[number] for number in numbers] or (not words and batch == [])


@given(st.integers(0, 12), st.integers(1, 4), CUTS, st.data())
def test_a_run_goes_on_exactly_from_every_position(examples, size, cuts, data):
    words = [[n] * (n * 7 % 5) for n in range(examples)]
    first = cut(words, size, cuts)
    list(first)  # an epoch, so that the generator has moved
    stop = data.draw(st.integers(0, len(first)))
    chunks = iter(first)
    before = [plain(next(chunks)) for _ in range(stop)]
    state = json.loads(json.dumps(first.state_dict()))
    second = cut(words, size, cuts | ({"seed": 77} if cuts["seed"] is not None else {}))
    second.load_state_dict(state)
    assert second.position == stop
    rest = seen(second)
    assert rest == [plain(batch) for batch in chunks]
    reference = cut(words, size, cuts)
    list(reference)
    assert before + rest == seen(reference)
    assert seen(second) == seen(first) == seen(reference)  # the epoch after it


def test_the_same_seed_gives_the_same_batches_and_each_epoch_another_order():
    data = list(range(40))
    one, other = (batches(data, 8, shuffle=mg.Generator(3)) for _ in range(2))
    epochs = [seen(one) for _ in range(3)]
    assert epochs == [seen(other) for _ in range(3)]
    assert len({str(epoch) for epoch in epochs}) == 3
    assert seen(batches(data, 8, shuffle=mg.Generator(4))) != epochs[0]
    assert seen(batches(data, 8)) == [data[start : start + 8] for start in range(0, 40, 8)]


def test_a_generator_that_others_draw_from_changes_no_epoch_that_has_begun():
    generator = mg.Generator(0)
    source, same = batches(list(range(9)), 2, shuffle=generator), mg.Generator(0)
    chunks = iter(source)
    found = [plain(next(chunks))]
    generator.normal((5,))
    state = source.state_dict()
    again = batches(list(range(9)), 2, shuffle=mg.Generator(1))
    again.load_state_dict(state)
    assert seen(again) == [plain(batch) for batch in chunks]
    found += seen(batches(list(range(9)), 2, shuffle=same))[:1]
    assert found[0] == found[1]


def test_buckets_hold_sequences_of_similar_length():
    rng = np.random.default_rng(0)
    words = [[1] * int(n) for n in rng.integers(1, 50, 400)]

    def padded(**options):
        source = batches(words, 20, shuffle=mg.Generator(0), **options)
        return sum(batch.values.size for batch in source)

    own = sum(map(len, words))
    assert padded(bucket=20) < own * 1.1 < own * 1.6 < padded()
    lengths = [n for batch in batches(words, 20, bucket=20) for n in batch.lengths.tolist()]
    assert lengths == sorted(map(len, words))  # without a generator, not shuffled
    lengths = [
        max(b.lengths.tolist()) for b in batches(words, 20, bucket=20, shuffle=mg.Generator(0))
    ]
    assert lengths != sorted(lengths)


def test_of_sequences_as_long_the_second_field_decides():
    source = [[1], [1, 1], [1], [1, 1]], [[9] * 4, [9] * 3, [9] * 2, [9] * 1]
    found = seen(batches(source, 1, bucket=4))
    assert [tuple(len(words[0]) for words in batch) for batch in found] == [
        (1, 2),
        (1, 4),
        (2, 1),
        (2, 3),
    ]


def test_what_is_left_out_is_drawn_not_the_longest():
    words = [[0] * n for n in range(1, 8)]
    source = batches(words, 3, bucket=2, drop_last=True, shuffle=mg.Generator(0))
    left = {
        (set(range(1, 8)) - {len(w) for batch in seen(source) for w in batch}).pop()
        for _ in range(60)
    }
    assert left == set(range(1, 8))


@pytest.mark.parametrize(
    ("data", "batch"),
    [
        ([[1, 2], [3, 4]], Padded),
        (([1, 2] for _ in range(2)), Padded),
        ([np.ones(2), np.ones(2)], Padded),
        (Padded(mg.ones((3, 2)), mg.tensor([1, 3])), Padded),
        (np.ones((2, 2)), mg.Tensor),
        (mg.ones((2, 2)), mg.Tensor),
        ([1, 0], mg.Tensor),
        ([True, False], mg.Tensor),
        ([mg.tensor(1.0), mg.tensor(2.0)], mg.Tensor),
        ([np.float32(1), 2], mg.Tensor),
        (range(2), mg.Tensor),
    ],
)
def test_which_data_is_padded(data, batch):
    (found,) = batches(data, 2)
    assert isinstance(found, batch)


def test_a_padded_field_is_cut_into_its_sequences():
    padded = pad_sequence([[1, 2, 3], [4], []])
    assert seen(batches(padded, 2)) == [[[1, 2, 3], [4]], [[]]]
    assert seen(batches((padded, [0, 1, 2]), 3)) == [([[1, 2, 3], [4], []], [0, 1, 2])]


def test_dtypes_and_paddings_are_those_of_the_whole_field():
    text, target = [[], [], [1, 2], [3]], [[], [], [0.5], [1, 2]]
    first, second = batches((text, target), 2, pad=(7, -100))
    for batch in (first, second):
        assert [str(entry.values.dtype) for entry in batch] == ["int64", "float32"]
    assert first[0].values.shape == (0, 2)
    assert second[0].values.tolist() == [[1, 3], [2, 7]]
    assert second[1].values.tolist() == [[0.5, 1], [-100, 2]]


def test_a_tuple_of_one_field_gives_tuples_of_one_entry():
    assert seen(batches(([1, 2],), 2)) == [([1, 2],)]


def test_arrays_keep_their_dtype_and_are_not_copied():
    rows = np.zeros((3, 1), "float64")
    source = batches(rows, 2)
    rows[2] = 5
    found = list(source)
    assert str(found[0].dtype) == "float64"
    assert found[1].tolist() == [[5.0]]


WORDS = [[1, 2], [3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: batches(WORDS, 0), ArgumentError, "batches: size must be a positive integer, not 0"),
        (lambda: batches(WORDS, 2.0), ArgumentError, "size must be a positive integer, not 2.0"),
        (lambda: batches(WORDS, 2, bucket=0), ArgumentError, "bucket must be a positive integer"),
        (lambda: batches(WORDS, 2, shuffle=True), ArgumentError, "must be a generator or None, not T"),
        (lambda: batches(WORDS, 2, drop_last=1), ArgumentError, "drop_last must be True or False"),
        (lambda: batches((), 2), ArgumentError, "the tuple has no fields"),
        (lambda: batches((WORDS, [0, 1]), 2), ArgumentError, "field 1 has 2 examples, and field 0 has 3"),
        (lambda: batches((WORDS, [0, 1, 2]), 2, pad=(0,)), ArgumentError, "1 paddings for 2 fields"),
        (lambda: batches((WORDS, 3), 2), ArgumentError, "field 1: the data must be a list or an array"),
        (lambda: batches((WORDS, "abc"), 2), ArgumentError, "field 1: the data must hold numbers"),
        (lambda: batches(["ab", "c"], 2), ArgumentError, "sequence 0: it must hold numbers, and 'ab'"),
        (lambda: batches({"a": [1]}, 2), ArgumentError, "must be a list or an array, not {'a'"),
        (lambda: batches(np.array(3), 2), ShapeError, "is a single number"),
        (lambda: batches(np.array(["a"]), 2), DtypeError, "encode text with a nn.text.Voc"),
        (lambda: batches([0, 1], 2, bucket=2), ArgumentError, "no field is a list of sequences"),
        (lambda: batches([([1, 2], 0)], 2), ArgumentError, "an example is a tuple; give the fields in"),
        (lambda: batches([([1, 2], [0, 1])], 2), ArgumentError, "an example is a tuple"),
        (lambda: batches([[[1, 2], 0]], 2), ShapeError, "different lengths"),
        (lambda: batches(np.array([[1], [1, 2]], object), 2), DtypeError, "in a list"),
        (lambda: batches([1, [2]], 2), ArgumentError, r"it holds numbers, and example 1 is \[2\]; give"),
        (lambda: batches(([[1], [2]], [0, None]), 2), ArgumentError,
         "field 1: it holds numbers, and example 1 is None; give a number for each, or leave"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_into_batches(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": 3}, "the position must be an integer from 0 to 2, not 3"),
        ({"data": "x"}, "this is not the data that the position belongs to"),
        ({"size": 3}, "saved with size=3, and here it is size=2"),
        ({"bucket": 2}, "saved with bucket=2, and here it is bucket=None"),
        ({"drop_last": True}, "saved with drop_last=True"),
        ({"shuffle": False}, "saved with shuffle=False"),
        ({"order": "a"}, "the order must be a non-negative integer or None, not 'a'"),
        ({"generator": {}}, "this is not the state of a generator"),
        ({"generator": None}, "this is not the state of a generator"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    source = batches(WORDS, 2, shuffle=mg.Generator(0))
    next(iter(source))
    before = source.state_dict()
    with pytest.raises(ArgumentError, match=message):
        source.load_state_dict(before | change)
    assert source.state_dict() == before
    with pytest.raises(ArgumentError, match="the state has no"):
        source.load_state_dict({})


@pytest.mark.parametrize(
    "other",
    [
        [[1, 2], [3], [4, 5, 7]],
        [[1, 2], [3, 4], [5, 6]],
        [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]],
        np.array([[1, 2], [3, 4], [5, 6]]),
    ],
)
def test_other_data_is_told_from_the_own(other):
    with pytest.raises(ArgumentError, match="this is not the data"):
        batches(other, 2).load_state_dict(batches(WORDS, 2).state_dict())


def test_the_same_bytes_of_another_kind_are_other_data():
    rows = np.arange(12, dtype="float32").reshape(3, 4)
    state = batches(rows, 2).state_dict()
    batches(np.asfortranarray(rows.astype(">f4")), 2).load_state_dict(state)
    for other in (rows.view("int32"), rows.reshape(3, 2, 2)):
        with pytest.raises(ArgumentError, match="this is not the data"):
            batches(other, 2).load_state_dict(state)


def test_a_checkpoint_holds_batches(tmp_path):
    source = batches(WORDS, 1, shuffle=mg.Generator(0))
    next(iter(source))
    nn.save_checkpoint(tmp_path / "run.safetensors", batches=source)
    again = batches(WORDS, 1, shuffle=mg.Generator(5))
    nn.Checkpoint(tmp_path / "run.safetensors").restore(batches=again)
    assert seen(again) == seen(source)


PADDED = pad_sequence([[0, 1], [1]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.Embedding(3, 4)(PADDED),
        lambda: nn.GRU(3, 4)(PADDED),
        lambda: nn.CrossEntropyLoss()(mg.zeros((2, 2, 3)), PADDED),
        lambda: nn.MSELoss()(mg.zeros((2, 2)), PADDED),
        lambda: mg.tanh(PADDED),
    ],
)
def test_what_takes_no_padded_batch_says_how_to_take_it_apart(call):
    advice = r"give one of its parts, \.values or \.lengths \(layers take lengths=\.\.\., nn\.Seq"
    with pytest.raises(TypeError, match=advice):
        call()
