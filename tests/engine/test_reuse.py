"""Memory that is used again: aligned, never by two at once, and no more than was needed at once."""

import gc
import math
import os
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, reuse
from minigrad.kernels import scan

DOUBLE = np.dtype("float64")
LARGE_PAGE = 1 << 21
SMALL = 1 << 15  # bytes: what is not larger is left to the C library


@pytest.fixture
def allocator():
    return reuse.Allocator()


def address(array):
    return array.__array_interface__["data"][0]


# pieces


@pytest.mark.parametrize("size", [0, 1, 63, 4097, LARGE_PAGE - 1, LARGE_PAGE, LARGE_PAGE + 1])
def test_a_piece_begins_on_a_cache_line_and_is_filled_with_zeros(size):
    piece = reuse.new_piece(size)
    start = address(piece.memory)
    assert piece.address % (64 if size < LARGE_PAGE else LARGE_PAGE) == 0
    assert piece.address == start + piece.skipped
    assert start <= piece.address
    assert piece.address + size <= start + piece.memory.nbytes
    assert piece.size == size
    whole = piece.array(size, np.uint8)
    assert address(whole) == piece.address
    assert not whole.any()


def test_large_pieces_do_without_large_pages(monkeypatch):
    class Region(reuse.mmap.mmap):
        def madvise(self, *_):
            raise OSError("no large pages here")

    monkeypatch.setattr(reuse.mmap, "mmap", Region)
    whole = reuse.new_piece(LARGE_PAGE).array(LARGE_PAGE, np.uint8)
    whole[...] = 7
    assert (whole == 7).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3),
        np.zeros((4, 5))[1:, 2:],
        np.zeros((4, 5)).T,
        np.zeros(0),
        np.broadcast_to(np.zeros(1), (3,)),
        np.frombuffer(b"abcdefgh", DOUBLE),
    ],
    ids=["own", "part", "turned", "empty", "read-only", "bytes"],
)
def test_the_address_is_that_of_the_first_element(array):
    assert reuse.address_of(array) == address(array)


# the allocator


@pytest.mark.parametrize("kind", [np.dtype("float32"), DOUBLE])
@pytest.mark.parametrize("shape", [(), (0, 7), (5,), (4096,), (8193,), (3, 7, 700), (3, 300_000)])
def test_an_array_is_what_was_asked_for(allocator, shape, kind):
    array, start = allocator.array(shape, kind)
    assert (array.shape, array.dtype) == (shape, kind)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert start == address(array)
    size = math.prod(shape) * kind.itemsize
    if size > SMALL:
        assert start % (64 if size < LARGE_PAGE else LARGE_PAGE) == 0
    assert bool(allocator.pieces) == (size > SMALL), "small arrays are left to the C library"
    array[...] = 7
    assert (array == 7).all()


@pytest.mark.parametrize("count", [10_000, 300_000])
def test_what_nobody_looks_at_is_used_again(allocator, count):
    first, one = allocator.array((count,), DOUBLE)
    second, two = allocator.array((count,), DOUBLE)
    assert not np.shares_memory(first, second)
    del first
    assert allocator.array((count - 9,), DOUBLE)[1] == one, "for a size a little smaller, too"
    assert allocator.array((count // 10, 5), np.dtype("float32"))[1] not in (one, two)
    del second
    found = {allocator.array((2, count // 2), DOUBLE)[1] for _ in range(3)}
    assert len(found) == 1
    assert found <= {one, two}


def test_a_size_is_hardly_larger_than_was_asked_for(allocator):
    for size in (SMALL + 1, 40_000, 100_000, 1_234_567, 3 * LARGE_PAGE + 1):
        array, _ = allocator.array((size,), np.dtype("uint8"))
        (kept,) = {
            known for known in allocator.pieces if allocator.pieces[known][0].memory is array.base
        }
        assert size <= kept <= size + size / 8


def test_a_view_keeps_its_memory(allocator):
    whole, start = allocator.array((5_000,), DOUBLE)
    view = whole[1_000:].reshape(2, -1)[1:]
    view[...] = 7
    del whole
    gc.collect()
    others = [allocator.array((5_000,), DOUBLE)[0] for _ in range(3)]
    for other in others:
        assert not np.shares_memory(view, other)
        other[...] = 0
    assert (view == 7).all()
    del view, other, others
    gc.collect()
    again = [allocator.array((5_000,), DOUBLE) for _ in range(4)]
    assert start in [at for _, at in again]


def kept_bytes(allocator):
    return sum(size * len(pieces) for size, pieces in allocator.pieces.items())


def test_hardly_more_is_kept_than_was_in_use_at_once(allocator):
    """One and a half times as much: so that sizes that come in turn do not push each other out."""
    rng = np.random.default_rng(0)
    held, most, let_go = [], 0, 0
    for _ in range(300):
        if held and rng.random() < 0.5:
            del held[rng.integers(len(held))]
            continue
        before = kept_bytes(allocator)
        array, _ = allocator.array((int(rng.integers(SMALL + 1, 10 * SMALL)),), np.dtype("uint8"))
        size = next(
            s for s, pieces in allocator.pieces.items() for p in pieces if p.memory is array.base
        )
        held.append((array, size))
        del array
        most = max(most, sum(size for _, size in held))
        assert kept_bytes(allocator) <= 1.5 * most
        let_go += kept_bytes(allocator) < before
    assert let_go, "else this test could not fail"
    assert all(allocator.pieces.values()), "of sizes that are gone nothing is left"


def test_of_what_is_kept_the_oldest_size_goes_first(allocator):
    kind, sizes = np.dtype("uint8"), [100_000, 50_000, 90_000, 60_000]

    def are_kept():
        return [
            size for size in sizes if any(size <= kept <= size * 9 / 8 for kept in allocator.pieces)
        ]

    held = [allocator.array((size,), kind)[0] for size in sizes]
    del held
    sizes += [130_000, 45_000]
    allocator.array((130_000,), kind)
    assert are_kept() == [100_000, 50_000, 90_000, 60_000, 130_000]
    allocator.array((45_000,), kind)
    assert are_kept() == [50_000, 90_000, 60_000, 130_000, 45_000]


def test_threads_never_get_the_same_memory(allocator, monkeypatch):
    def counted(memory):
        return sys.getrefcount(memory)

    piece = reuse.new_piece(0)
    more = counted(piece.memory) - reuse._UNUSED

    def slowly_counted(memory):
        count = sys.getrefcount(memory)
        del memory
        time.sleep(1e-6)  # here another thread may look, too
        return count - more

    monkeypatch.setattr(reuse, "getrefcount", slowly_counted)
    wrong = []

    def work(number):
        for step in range(100):
            array, _ = allocator.array((5_000,), DOUBLE)
            array[...] = mark = number * 1_000 + step
            time.sleep(0)
            if (array != mark).any():
                wrong.append(mark)
            del array

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert allocator.pieces, "else none of the arrays could be used again"


def test_nobody_waits_for_the_allocator(allocator):
    """Who is interrupted in it, by a signal, say, would wait for itself."""
    found = []
    with allocator.lock:
        thread = threading.Thread(target=lambda: found.append(allocator.array((10_000,), DOUBLE)))
        thread.start()
        thread.join(5)
        assert found, "it waits"
    ((array, start),) = found
    assert array.shape == (10_000,)
    assert start == address(array)
    assert not allocator.pieces


# children


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


def is_true_in_a_child(function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
        child = os.fork()
    if not child:
        signal.alarm(5)
        found = False
        try:
            found = function()
        finally:
            os._exit(0 if found else 1)
    _, status = os.waitpid(child, 0)
    return status == 0


@forks
def test_a_child_gets_arrays_whatever_another_thread_did():
    held, done = threading.Event(), threading.Event()

    def hold():
        with reuse._allocator.lock:
            held.set()
            done.wait()

    def gets_arrays():
        array, start = reuse.reused_array((10_000,), DOUBLE)
        is_reused = type(array.base) is reuse.Memory
        del array
        return is_reused and reuse.reused_array((10_000,), DOUBLE)[1] == start

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    works = is_true_in_a_child(gets_arrays)
    done.set()
    thread.join()
    assert works


@forks
@pytest.mark.parametrize("count", [5 * SMALL, LARGE_PAGE])
def test_a_child_has_memory_of_its_own(count):
    array, _ = reuse.reused_array((count,), np.dtype("uint8"))
    array[...] = 1

    def write():
        array[...] = 2
        return True

    assert is_true_in_a_child(write)
    assert (array == 1).all()


# who is alone


@pytest.mark.parametrize("count", [5, 5_000, 300_000])
def test_an_array_of_the_allocator_is_alone_and_views_are_not(allocator, count):
    array, _ = allocator.array((count, 2), DOUBLE)
    assert reuse.is_alone(array)
    views = [
        array[:],
        array[1:],
        array.T,
        array.reshape(-1),
        array[:, :1],
        np.broadcast_to(array[:1], (3, 2)),
        np.broadcast_to(array, (2, count, 2)),
        np.asarray(memoryview(array)),
    ]
    assert not any(map(reuse.is_alone, views))
    del views
    assert reuse.is_alone(array)


@pytest.mark.parametrize("size", [100, LARGE_PAGE])
def test_two_arrays_of_the_same_memory_are_not_alone(size):
    piece = reuse.new_piece(size)
    first = piece.array((3,), DOUBLE)
    assert reuse.is_alone(first)
    second = piece.array((2, 2), DOUBLE)
    assert not reuse.is_alone(first)
    assert not reuse.is_alone(second)
    del first
    assert reuse.is_alone(second)
    inside = np.ndarray((2,), DOUBLE, piece.memory, piece.skipped + 8)
    assert not reuse.is_alone(second)
    del second
    assert reuse.is_alone(inside)


def test_one_element_in_many_places_is_not_alone():
    piece = reuse.new_piece(100)
    wide = np.ndarray((2, 3), DOUBLE, piece.memory, piece.skipped, strides=(0, 8))
    assert not reuse.is_alone(wide)


def test_memory_of_others_is_not_alone():
    assert not reuse.is_alone(np.frombuffer(bytearray(80), DOUBLE))
    assert reuse.is_alone(np.zeros(10))


# gradients


def draw(*shape):
    return mg.randn(*shape, dtype="float64", requires_grad=True)


def own_step(x, h, *, w, u, b, d):
    return mg.tanh(x @ w + h @ u + b + d)


def sum_of_two():
    """The cotangent goes to both as it is."""
    x, y = draw(200, 30), draw(200, 30)
    return [x + y], [x, y], [mg.ones((200, 30), dtype="float64")]


def sum_of_elements():
    x = draw(200, 30)
    return [mg.sum(x)], [x], [mg.tensor(2.0, dtype="float64")]


def views():
    """What comes to ``x`` and ``y`` are views of the cotangents."""
    x, y = draw(200, 30), draw(30, 200)
    cotangents = [mg.ones(6000, dtype="float64"), mg.ones((200, 30), dtype="float64")]
    return [mg.reshape(x, (6000,)), y.T], [x, y], cotangents


def loop():
    """Large arrays, and two biases whose gradient is one sum."""
    shapes = {"w": (70, 80), "u": (80, 80), "b": (80,), "d": (80,)}
    params = {name: draw(*shape) for name, shape in shapes.items()}
    x, h = draw(9, 60, 70), draw(60, 80)
    outputs, final = scan(own_step, x, h, params, compile="require")
    cotangents = [mg.ones((9, 60, 80), dtype="float64"), mg.ones((60, 80), dtype="float64")]
    return [outputs, final], [x, h, *params.values()], cotangents


def wide_loop():
    """The gradient of ``w`` is a sum whose result lies transposed; that of both biases is large."""

    def step(x, h, *, w, b, d):
        return mg.tanh(mg.linear(x, w) + h + b + d)

    params = {"w": draw(5000, 2), "b": draw(5000), "d": draw(5000)}
    x, h = draw(3, 2, 2), draw(2, 5000)
    outputs, _ = scan(step, x, h, params, compile="require")
    return [outputs], [x, h, *params.values()], [mg.ones((3, 2, 5000), dtype="float64")]


def layer():
    lstm = nn.LSTM(20, 64, num_layers=2, dtype="float64")
    x = draw(30, 5, 20)
    outputs, _ = lstm(x)
    return [outputs], [x, *lstm.parameters()], [mg.ones((30, 5, 64), dtype="float64")]


CASES = [sum_of_two, sum_of_elements, views, loop, wide_loop, layer]
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
ways = pytest.mark.parametrize("way", ["grad", "backward"])


def gradients_of(case, way):
    """Return the gradients, and other tensors that they have to leave alone."""
    outputs, inputs, cotangents = case()
    others = [*outputs, *inputs, *cotangents]
    if way == "grad":
        return mg.grad(outputs, inputs, cotangents), others
    mg.backward(outputs, cotangents)
    return [t.grad for t in inputs], others


def contents(tensors):
    return [t.detach().numpy() for t in tensors]


@ways
@cases
def test_gradients_share_memory_with_nothing(case, way):
    gradients, others = gradients_of(case, way)
    for i, gradient in enumerate(gradients):
        for other in (*gradients[i + 1 :], *others):
            assert not np.shares_memory(gradient._array, other._array)
    before = contents(others)
    for i, gradient in enumerate(gradients):
        gradient.copy_(i + 5.0)
    assert all((array == i + 5.0).all() for i, array in enumerate(contents(gradients)))
    for old, now in zip(before, contents(others), strict=True):
        np.testing.assert_array_equal(old, now)


@ways
@cases
def test_memory_of_a_gradient_is_its_own_while_it_lives(case, way):
    kept, _ = gradients_of(case, way)
    before = contents(kept)
    for _ in range(3):
        later, others = gradients_of(case, way)
        for g in later:
            g.copy_(7.0)
        for g in kept:
            assert not any(np.shares_memory(g._array, t._array) for t in (*later, *others))
    held = []
    for g in kept:
        for _ in range(3):
            array, _ = reuse.reused_array(g.shape, DOUBLE)
            array[...] = 7
            held.append(array)
    for old, now in zip(before, contents(kept), strict=True):
        np.testing.assert_array_equal(old, now)


def test_a_gradient_of_a_loop_is_not_copied():
    """To copy it takes as long as to compute it."""
    outputs, inputs, cotangents = loop()
    x, _, w, u, *_ = mg.grad(outputs, inputs, cotangents)
    assert all(type(g._array.base) is reuse.Memory for g in (x, w, u))
