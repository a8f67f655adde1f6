"""Windows, walks forward, splits and scaling: nothing of what is tested on is seen in training."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import decomposition, model_selection, preprocessing

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn.data import (
    batches,
    pad_sequence,
    scaled,
    split,
    unscaled,
    walk_forward,
    windows,
)

# windows


@given(
    st.integers(2, 12),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from([(), (1,), (3,), (0,), (2, 3)]),
    st.sampled_from(["float32", "int64", "bool"]),
)
def test_windows_and_what_follows_them(steps, length, horizon, inner, kind):
    assume(steps >= length + horizon)
    series = np.arange(steps * int(np.prod(inner))).reshape(steps, *inner).astype(kind)
    inputs, targets = windows(series, length, horizon)
    count = steps - length - horizon + 1
    assert (inputs.shape, targets.shape) == ((count, length, *inner), (count, horizon, *inner))
    assert inputs.dtype == targets.dtype == kind
    for start in range(count):
        np.testing.assert_array_equal(inputs[start], series[start : start + length])
        end = start + length
        np.testing.assert_array_equal(targets[start], series[end : end + horizon])


def test_windows_of_an_array_are_views():
    series = np.arange(100.0)
    for view in windows(series, 10, 5):
        assert np.shares_memory(view, series)
        assert not view.flags.writeable


@pytest.mark.parametrize("series", [[1.0, 2.0, 3.0], mg.tensor([1.0, 2.0, 3.0]), (1.0, 2.0, 3.0)])
def test_windows_of_other_series(series):
    inputs, targets = windows(series, 1, 1)
    assert (inputs.tolist(), targets.tolist()) == ([[1], [2]], [[2], [3]])
    assert inputs.dtype == np.float32
    (batch,) = batches((inputs, targets), 2)
    assert [entry.shape for entry in batch] == [(2, 1), (2, 1)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: windows([1, 2, 3], 3, 1), ArgumentError, "a window of 3 steps and 1 behind it do not"),
        (lambda: windows([], 1, 1), ArgumentError, "do not fit into a series of 0"),
        (lambda: windows([1, 2], 0, 1), ArgumentError, "length must be a positive integer, not 0"),
        (lambda: windows([1, 2], 1, 1.5), ArgumentError, "horizon must be a positive integer"),
        (lambda: windows(3.0, 1, 1), ShapeError, "is a single number"),
        (lambda: windows(["a", "b"], 1, 1), DtypeError, "cannot make a tensor of text"),
        (lambda: windows([[1], [1, 2]], 1, 1), ShapeError, "different lengths"),
        (lambda: walk_forward(3, 3), ArgumentError, "leave nothing to train on of 3"),
        (lambda: walk_forward(10, 2, gap=4), ArgumentError, "2 tests of 3 steps and a gap of 4"),
        (lambda: walk_forward(10, 0), ArgumentError, "folds must be a positive integer, not 0"),
        (lambda: walk_forward(10, 2, gap=-1), ArgumentError, "gap must be a non-negative integer"),
        (lambda: walk_forward(10, 2, test=0), ArgumentError, "test must be a positive integer"),
        (lambda: walk_forward(10, 2, train=True), ArgumentError, "train must be a positive integer"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut(call, error, message):
    with pytest.raises(error, match=message):
        call()


@given(
    st.integers(1, 40),
    st.integers(2, 6),
    st.none() | st.integers(1, 6),
    st.none() | st.integers(1, 9),
    st.integers(0, 4),
)
def test_a_walk_forward_is_that_of_scikit_learn(count, folds, test, train, gap):
    try:
        found = walk_forward(count, folds, test=test, train=train, gap=gap)
    except ArgumentError:
        size = count // (folds + 1) if test is None else test
        assert size == 0 or count - folds * size - gap < 1
        return
    theirs = model_selection.TimeSeriesSplit(folds, max_train_size=train, test_size=test, gap=gap)
    steps = np.arange(count)
    expected = [(a.tolist(), b.tolist()) for a, b in theirs.split(steps)]
    assert [(steps[a].tolist(), steps[b].tolist()) for a, b in found] == expected
    for before, after in found:
        assert max(steps[before]) + gap < min(steps[after])


# splits

SHARES = st.sampled_from([(1,), (0.5, 0.5), (0.8, 0.2), (0.6, 0.3, 0.1), (0.25,) * 4])


@given(st.integers(0, 30), SHARES, st.none() | st.integers(0, 9))
def test_each_example_is_in_one_part(count, shares, seed):
    generator = None if seed is None else mg.Generator(seed)
    data = np.arange(count), [str(n) for n in range(count)], mg.tensor(np.arange(count) * 2)
    sizes = np.diff(np.round(np.cumsum((0, *shares)) * count)).tolist()
    if 0 in sizes:
        with pytest.raises(ArgumentError, match="would be empty"):
            split(data, shares, generator=generator)
        return
    parts = split(data, shares, generator=generator)
    assert sizes == [len(numbers) for numbers, _, _ in parts]
    numbers = np.concatenate([part[0] for part in parts])
    assert sorted(numbers.tolist()) == list(range(count))
    if seed is None:
        assert numbers.tolist() == list(range(count))
    for rows, texts, doubles in parts:
        assert isinstance(rows, np.ndarray)
        assert texts == [str(n) for n in rows]
        assert doubles.tolist() == (rows * 2).tolist()
        assert sorted(rows.tolist()) == rows.tolist()


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), SHARES, st.none() | st.integers(0, 9))
def test_no_group_falls_on_both_sides(groups, shares, seed):
    generator = None if seed is None else mg.Generator(seed)
    largest = max(map(groups.count, groups))
    groups = [*groups, *range(10, 10 + 20 * largest)]  # small ones, so that no part is empty
    parts = split(list(groups), shares, generator=generator, groups=groups)
    assert sorted(group for part in parts for group in part) == sorted(groups)
    kept = [set(part) for part in parts]
    assert sum(map(len, kept)) == len(set(groups))
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - share * len(groups)) <= largest + 1


@pytest.mark.parametrize(
    "groups",
    [
        ["a", "b", "a", "c"],
        "abac",
        [("x", 1), ("y", 1), ("x", 1), ("z", 1)],
        [["x"], ["y"], ["x"], ["z"]],
        np.array([1, 2, 1, 3]),
        mg.tensor([1, 2, 1, 3]),
        np.array([[1, 0], [2, 0], [1, 0], [3, 0]]),
        [np.array([1]), np.array([2]), np.array([1]), np.array([3])],
        [mg.tensor([1]), mg.tensor([2]), mg.tensor([1]), mg.tensor([3])],
        (c for c in "abac"),
    ],
)
def test_equal_groups_are_one_whatever_they_are(groups):
    assert split([0, 1, 2, 3], (0.5, 0.5), groups=groups) == ([0, 2], [1, 3])


def test_a_group_goes_where_its_middle_falls():
    assert split([1, 1, 1, 2], (0.5, 0.5), groups=[1, 1, 1, 2]) == ([1, 1, 1], [2])
    assert split([1, 2, 2, 2], (0.5, 0.5), groups=[1, 2, 2, 2]) == ([1], [2, 2, 2])


def test_a_split_is_the_same_by_the_same_seed_only():
    data = list(range(50))
    parts = [split(data, (0.5, 0.5), generator=mg.Generator(seed)) for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split([1, 2], (0.5, 0.6)), r"positive and add up to 1, not \(0.5, 0.6\)"),
        (lambda: split([1, 2], (1.5, -0.5)), "a fraction must be a number, 0 or more"),
        (lambda: split([1, 2], (1, 0)), "must be positive"),
        (lambda: split([1, 2], ()), "must be positive"),
        (lambda: split([1, 2], ("a", 1)), "a fraction must be a number"),
        (lambda: split([], (1,)), "the part of 1 of 0 examples in 0 groups would be empty"),
        (lambda: split([1], (0.9, 0.1)), "the part of 0.1 of 1 examples"),
        (lambda: split([1, 1, 1], (0.5, 0.5), groups=[1, 1, 1]), "3 examples in 1 groups"),
        (lambda: split(([1, 2], [1]), (0.5, 0.5)), r"the fields have \[1, 2\] examples"),
        (lambda: split((), (0.5, 0.5)), r"the fields have \[\] examples"),
        (lambda: split("text", (0.5, 0.5)), "field 0 must be a list or an array of examples"),
        (lambda: split({1: 2}, (0.5, 0.5)), "field 0 must be a list or an array of examples"),
        (lambda: split(3, (0.5, 0.5)), "field 0 must be a list or an array of examples"),
        (lambda: split(pad_sequence([[1], [2]]), (0.5, 0.5)), "split them before"),
        (lambda: split([1, 2], (0.5, 0.5), groups=[1]), "there are 1 groups for 2 examples"),
        (lambda: split([1, 2], (0.5, 0.5), groups=[{}, {}]), "the group {} cannot be looked up"),
        (lambda: split([1, 2], (0.5, 0.5), generator=3), "must be a generator or None, not 3"),
    ],
)
def test_what_cannot_be_split(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


# scaling


@pytest.mark.parametrize("shape", [(20, 3), (4, 5, 3), (2, 2, 5, 3), (20,), (20, 1)])
@pytest.mark.parametrize(
    "kind", [preprocessing.StandardScaler, preprocessing.MinMaxScaler, preprocessing.RobustScaler]
)
def test_scaling_is_that_of_scikit_learn_fitted_on_the_training_part(shape, kind):
    rng = np.random.default_rng(0)
    train, test = rng.normal(3, 2, shape), rng.normal(9, 4, shape)
    train.flat[3] = np.nan  # a gap
    scaler, reference = kind(), kind()
    found = scaled(scaler, train, test)
    features = shape[-1] if len(shape) > 1 else 1
    reference.fit(train.reshape(-1, features))
    for part, result in zip((train, test), found, strict=True):
        expected = reference.transform(part.reshape(-1, features)).reshape(shape)
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_allclose(unscaled(scaler, result), part)
    assert np.isnan(found[0]).sum() == 1


def test_what_is_tested_on_changes_no_scale():
    train = np.arange(6.0).reshape(3, 2)
    first, _ = scaled(preprocessing.StandardScaler(), train, train * 100)
    second, _, _ = scaled(preprocessing.StandardScaler(), train, train - 7, np.ones((0, 2)))
    np.testing.assert_array_equal(first, second)


def test_tensors_and_other_dtypes_are_scaled():
    scaler = preprocessing.StandardScaler()
    (found,) = scaled(scaler, mg.tensor([[1.0], [3.0]]))
    assert (found.tolist(), found.dtype) == ([[-1.0], [1.0]], np.float32)
    assert unscaled(scaler, mg.tensor([[[0.0]]])).tolist() == [[[2.0]]]
    (found,) = scaled(preprocessing.StandardScaler(), np.array([1, 3]))
    assert found.tolist() == [-1.0, 1.0]


def test_a_scaler_may_change_the_number_of_features():
    scaler = decomposition.PCA(2)
    train = np.random.default_rng(0).normal(size=(4, 5, 3))
    (found,) = scaled(scaler, train)
    assert found.shape == (4, 5, 2)
    assert unscaled(scaler, found).shape == (4, 5, 3)


class Broken:
    def fit(self, rows):
        pass

    def transform(self, rows):
        return rows[:1]


SCALER = preprocessing.StandardScaler()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: scaled(None, [1.0]), ArgumentError, r"the scaler must have fit\(\), and None is none"),
        (lambda: scaled(preprocessing.StandardScaler, [1.0]), ArgumentError, "must have fit"),
        (lambda: unscaled(Broken(), [1.0]), ArgumentError, r"must have inverse_transform\(\)"),
        (lambda: scaled(Broken(), [1.0, 2.0]), ArgumentError, r"returned shape \(1, 1\) for 2 rows"),
        (lambda: scaled(SCALER, np.ones((2, 3)), np.ones((2, 2))), ShapeError, "part 1 has 2 features"),
        (lambda: scaled(SCALER, np.ones((0, 3))), ShapeError, r"the part to train on is empty, \(0, 3\)"),
        (lambda: scaled(SCALER, 3.0), ShapeError, "single number"),
        (lambda: scaled(SCALER, ["a"]), DtypeError, "text"),
    ],
)  # fmt: skip
def test_what_cannot_be_scaled(call, error, message):
    with pytest.raises(error, match=message):
        call()
