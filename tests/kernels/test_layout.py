"""Where rows lie: packed by tables and back, the longest sequences first."""

from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.kernels.cpu.ragged.packed_sequences import packed_rows
from minigrad.kernels.runtime import layout as layouts
from minigrad.kernels.runtime.layout import whole_layout
from minigrad.kernels.runtime.rows import rows_of

sizes = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
seeds = st.integers(0, 999)


def rows_from(steps, count, **options):
    found = rows_of("test", steps, count, "cpu", *map(options.get, ("lengths", "mask", "reset")))
    return found and found.as_arrays()


def layout_of(steps, count, blocks, rows):
    return layouts.layout_of(steps, count, blocks, rows, packed_rows)


def positions(table):
    """Return where the rows of each step of a block or a portion lie."""
    return [range(at, at + n) for at, n in zip(table[1::2], table[2::2], strict=True)]


@given(sizes, seeds)
def test_packed_rows_come_back(sizes, seed):
    steps, count, blocks = sizes
    blocks, rng = min(blocks, count), np.random.default_rng(seed)
    lengths = rng.integers(0, steps + 1, count)
    layout = layout_of(steps, count, blocks, rows_from(steps, count, lengths=lengths))
    array = rng.normal(size=(steps, count, 2))
    inside = np.arange(steps)[:, None] < lengths
    rows = layout.rows_of(array)
    assert rows.shape == (layout.size, 2)
    assert layout.size == inside.sum()
    np.testing.assert_array_equal(layout.over_time(rows), np.where(inside[..., None], array, 0))
    state = rng.normal(size=(count, 3))
    np.testing.assert_array_equal(layout.unordered(layout.ordered(state)), state)


@given(sizes, seeds)
def test_tables_lead_to_the_rows_of_their_sequences(sizes, seed):
    steps, count, blocks = sizes
    blocks, rng = min(blocks, count), np.random.default_rng(seed)
    lengths = rng.integers(0, steps + 1, count)
    layout = layout_of(steps, count, blocks, rows_from(steps, count, lengths=lengths))
    named = np.stack(np.meshgrid(np.arange(steps), np.arange(count), indexing="ij"), axis=-1)
    rows = layout.rows_of(named)
    order = np.arange(count) if layout.order is None else layout.order
    seen = []
    for table in layout.tables:
        for t, there in enumerate(positions(table)):
            seen += there
            expected = [(t, n) for n in order[table[0] : table[0] + len(there)]]
            assert [tuple(row) for row in rows[there.start : there.stop]] == expected
            assert all(lengths[n] > t for _, n in expected)
    assert sorted(seen) == list(range(layout.size))


@given(sizes, seeds)
def test_the_rows_of_a_portion_follow_each_other_whatever_the_blocks(sizes, seed):
    steps, count, blocks = sizes
    lengths = np.random.default_rng(seed).integers(0, steps + 1, count)
    some, one = (
        layout_of(steps, count, number, rows_from(steps, count, lengths=lengths))
        for number in (blocks, 1)
    )
    if some.portions is None:
        return
    np.testing.assert_array_equal(some.portions, one.portions)
    np.testing.assert_array_equal(some.index, one.index)
    assert [n for table in some.portions for there in positions(table) for n in there] == [
        *range(some.size)
    ]
    assert len(some.tables) % len(some.portions) == 0
    parts = some.tables.reshape(len(some.portions), -1, some.tables.shape[1])
    for portion, blocks_of in zip(some.portions, parts, strict=True):
        for t, there in enumerate(positions(portion)):
            found = [n for table in blocks_of for n in positions(table)[t]]
            assert found == [*there]


def test_the_longest_sequence_comes_first():
    layout = layout_of(5, 4, 1, rows_from(5, 4, lengths=[1, 5, 0, 3]))
    assert layout.order.tolist() == [1, 3, 0, 2]
    # the first portion takes 5 + 2 * 5, the other one 4 + 2 * 3
    assert layout.tables.tolist() == [
        [0, 0, 1, 1, 1, 2, 1, 3, 1, 4, 1],
        [1, 5, 2, 7, 1, 8, 1, 9, 0, 9, 0],
    ]
    assert layout.present is None
    assert layout.fresh is None


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(1, 12))
def test_a_chunk_is_as_long_as_its_rows_allow(lengths, limit):
    _, _, portions, bounds, _, _ = packed_rows(np.array(lengths), 9, 2, 2, limit)
    for table, (chunks, *starts) in zip(portions, bounds.tolist(), strict=True):
        starts, rows = starts[: chunks + 1], table[2::2]
        assert starts[0] == 0
        assert starts[-1] == 9
        for first, last in pairwise(starts):
            assert first < last
            assert last - first == 1 or rows[first:last].sum() <= limit
            assert last == 9 or rows[first : last + 1].sum() > limit


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(1, 4))
def test_the_last_portion_and_its_last_block_are_over_as_soon_as_possible(lengths, number):
    """It takes as long as its rows, and two more for each step of its longest sequence.

    And 24 rows of padding take as long as one.
    """
    steps = 6

    def time(longest_first, borders):
        parts = [longest_first[a:b] for a, b in pairwise((0, *borders, len(longest_first)))]
        rows = [sum(part) + 2 * max(part, default=0) for part in parts]
        padding = [sum(steps - length for length in part) for part in parts]
        return max(24 * n + m for n, m in zip(rows, padding, strict=True))

    def shortest(longest_first):
        possible = combinations_with_replacement(range(len(longest_first) + 1), number - 1)
        return min(time(longest_first, borders) for borders in possible)

    longest_first = sorted(lengths, reverse=True)
    order, places, portions, _, blocks, _ = packed_rows(
        np.array(lengths), steps, number, number**2, 256
    )
    assert (order[places] == np.arange(len(lengths))).all()
    assert time(longest_first, portions[1:, 0]) == shortest(longest_first)
    ends = [*portions[1:, 0], len(lengths)]
    for first, last, tables in zip(portions[:, 0], ends, np.split(blocks, number), strict=True):
        inside = longest_first[first:last]
        assert time(inside, tables[1:, 0] - first) == shortest(inside)


def test_holes_are_flagged_and_filled_with_zeros():
    mask = [[True, False], [True, True], [False, True]]
    reset = [[False, False], [False, True], [False, False]]
    layout = layout_of(3, 2, 1, rows_from(3, 2, mask=mask, reset=reset))
    # behind its last present step the first sequence has ended
    assert layout.order.tolist() == [1, 0]
    assert layout.index.tolist() == [1, 3, 5, 0, 2]
    assert layout.present.tolist() == [0, 1, 1, 1, 1]
    assert layout.fresh.tolist() == [0, 1, 0, 0, 0]
    given = np.arange(1.0, 7).reshape(3, 2, 1)
    assert layout.rows_of(given)[:, 0].tolist() == [0, 4, 6, 1, 3]
    assert given.min() == 1, "the array itself is left as it is"


def test_a_reset_behind_the_last_present_step_is_no_end():
    mask = [[True], [False], [False]]
    reset = [[False], [False], [True]]
    layout = layout_of(3, 1, 1, rows_from(3, 1, mask=mask, reset=reset))
    assert layout.size == 3
    assert layout.present.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("count", "blocks", "counts"), [(7, 3, [2, 2, 3]), (3, 3, [1, 1, 1]), (5, 1, [5])]
)
def test_whole_sequences_lie_step_by_step(count, blocks, counts):
    layout = whole_layout(2, count, blocks)
    assert layout.tables[:, 2].tolist() == counts
    assert layout.tables[:, 3].tolist() == (layout.tables[:, 1] + count).tolist()
    ends = layout.tables[:, 1] + layout.tables[:, 2]
    assert (ends == layout.tables[:, 3]).all() == (blocks == 1), "of one block, row follows row"
    array = np.arange(2 * count * 3.0).reshape(2, count, 3)
    assert np.shares_memory(layout.rows_of(array), array)
    assert np.shares_memory(layout.over_time(layout.rows_of(array)), array)


def test_the_same_rows_have_the_same_layout_whatever_the_number_of_blocks():
    """The backward pass reads what the forward pass has stored, also if the threads have changed."""
    rows = rows_from(3, 4, lengths=[1, 2, 3, 0])
    assert layout_of(3, 4, 2, rows) is layout_of(3, 4, 1, rows)
