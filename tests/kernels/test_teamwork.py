"""Packing, products by shares, and sums over rows, as a loop uses them: equal to NumPy in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.kernels.cpu import pack, packing, product, row_sums, team

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
seeds = st.integers(0, 999)
sizes = st.integers(1, 40)


@pytest.fixture
def threads(monkeypatch):
    """Use a team for any piece of work, however small."""
    for module in (packing, row_sums):
        monkeypatch.setattr(module, "threads_for", lambda operations: mg.get_num_threads())
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


def roundings(dtype, terms):
    return (terms + 2) * np.finfo(dtype).eps


@dtypes
@given(sizes, st.integers(1, 30), sizes, st.integers(1, 4), st.integers(1, 3), seeds)
def test_a_product_by_shares_and_parts(dtype, n, inner, width, shares, parts, seed):
    rng = np.random.default_rng(seed)
    columns = width * parts
    a, b, start = (
        rng.normal(size=s).astype(dtype) for s in [(n, inner), (inner, columns), columns]
    )
    turned = np.asfortranarray(b) if seed % 2 else b
    item = b.itemsize
    size = parts * sum(
        pack.packed_size(dtype, inner, pack.share_start(dtype, width, share + 1, shares)
                         - pack.share_start(dtype, width, share, shares))
        for share in range(shares)
    )  # fmt: skip
    packed = np.full(size + 16, 12345, dtype)
    rows, along = (stride // item for stride in turned.strides)
    item_of = (parts, inner, columns, turned.ctypes.data, rows, along, packed.ctypes.data)
    packing.pack_matrices(item, shares, [item_of])
    assert (packed[size:] == 12345).all()
    found = np.full((n, columns), np.nan, dtype)
    for share in range(shares):
        product.shared_product(
            dtype, share, share + 1, shares, parts, n, a.ctypes.data, inner, packed.ctypes.data,
            inner, columns, start.ctypes.data, 0, found.ctypes.data, columns,
        )  # fmt: skip
    exact = a.astype(float) @ b.astype(float) + start
    bound = np.abs(a).astype(float) @ np.abs(b) + np.abs(start)
    assert (np.abs(found - exact) <= roundings(dtype, inner) * bound).all()


@dtypes
def test_sums_over_rows(dtype, threads):
    rng = np.random.default_rng(0)
    for rows in (1, 2, 17, 700):
        wide = rng.normal(size=(rows, 60)).astype(dtype)
        pairs = [
            (wide[:, 3:20], wide[:, 20:53]),
            (wide[:, :1], wide[:, 7:8]),
            (wide, None),
            (wide[:, 5:6], None),
            (wide[::-1], wide[:, :33]),
            (np.broadcast_to(wide[:1], wide.shape), wide),
        ]
        results = []
        for number in (1, 2, 3, 5):
            threads(number)
            results.append(row_sums.row_sums(pairs))
        for (left, right), *found in zip(pairs, *results, strict=True):
            ones = np.ones((rows, 1)) if right is None else right.astype(float)
            exact, bound = left.T.astype(float) @ ones, np.abs(left.T) @ np.abs(ones)
            assert found[0].shape == ((left.shape[1],) if right is None else exact.shape)
            error = np.abs(found[0].reshape(exact.shape) - exact)
            assert (error <= roundings(dtype, rows) * bound).all()
            assert all(np.array_equal(found[0], other) for other in found[1:])


def test_a_team_is_for_what_is_worth_it():
    assert team.threads_for(1) == 1
    assert team.threads_for(1e9) == mg.get_num_threads()
