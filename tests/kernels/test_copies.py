"""Rows of arrays, copied by the team: to where a loop has them and back, or side by side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.kernels.cpu.ragged import copies as rows
from minigrad.kernels.cpu.threads.team import run_team
from minigrad.kernels.runtime.layout import taken
from minigrad.kernels.targets import numba_cpu

kinds = st.sampled_from(["float16", "float32", "float64"])
widths = st.one_of(st.integers(0, 40), st.just(131))


@pytest.fixture(scope="module", autouse=True)
def three_threads():
    patch, before = pytest.MonkeyPatch(), mg.get_num_threads()
    patch.setattr(rows, "threads_for", lambda operations: mg.get_num_threads())
    mg.set_num_threads(3)
    yield
    patch.undo()
    mg.set_num_threads(before)


def test_an_index_below_zero_gives_zeros():
    given = np.array([[1.0, 2.0], [3.0, np.nan]])
    expected = [[3.0, np.nan], [0.0, 0.0], [1.0, 2.0]]
    np.testing.assert_array_equal(taken(given, np.array([1, -1, 0])), expected)
    np.testing.assert_array_equal(rows.take_rows(given, np.array([1, -1, 0])), expected)


@given(kinds, st.integers(1, 60), widths, st.integers(0, 90), st.integers(0, 999))
def test_rows_are_taken(kind, count, width, wanted, seed):
    rng = np.random.default_rng(seed)
    given = rng.normal(size=(count, width)).astype(kind)
    index = rng.integers(-count, count, size=wanted)
    found = rows.take_rows(given, index)
    np.testing.assert_array_equal(found, taken(given, index))
    assert not np.shares_memory(found, given)


@given(kinds, st.integers(0, 5), st.integers(0, 30), st.lists(widths, min_size=1, max_size=3))
def test_arrays_are_joined_side_by_side(kind, steps, count, columns):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(steps, count, width)).astype(kind) for width in columns]
    np.testing.assert_array_equal(rows.joined_rows(parts), np.concatenate(parts, axis=-1))


def test_the_engine_joins_large_arrays_on_the_team(monkeypatch):
    assert numba_cpu.joined_rows is rows.joined_rows  # which it is from the first loop on
    calls = []
    monkeypatch.setattr(rows, "run_team", lambda *given: calls.append(run_team(*given)))
    a, b = (mg.randn(300, 7, width, requires_grad=True) for width in (128, 64))
    joined = mg.concat([a, b], axis=-1)
    assert len(calls) == 1
    expected = np.concatenate([a.detach().numpy(), b.detach().numpy()], axis=-1)
    np.testing.assert_array_equal(joined.detach().numpy(), expected)
    weight = mg.randn(*joined.shape)
    (joined * weight).sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), weight.numpy()[..., :128])
    np.testing.assert_array_equal(b.grad.numpy(), weight.numpy()[..., 128:])


def test_rows_that_do_not_lie_in_one_piece():
    given, index = np.arange(60.0).reshape(6, 10), np.array([5, -1, 0])
    np.testing.assert_array_equal(rows.take_rows(given[::2], np.array([2, 0])), given[[4, 0]])
    np.testing.assert_array_equal(rows.take_rows(given.T, index[:2]), taken(given.T, index[:2]))
    joined = rows.joined_rows([given[:, ::2], given[:, 1::2]])
    np.testing.assert_array_equal(joined, np.concatenate([given[:, ::2], given[:, 1::2]], axis=1))
