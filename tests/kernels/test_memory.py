"""Memory that is used again: aligned, never by two at once, and no more than was needed at once."""

import gc
import os
import signal
import threading
import warnings

import numpy as np
import pytest

from minigrad.kernels.cpu import memory

DOUBLE = np.dtype("float64")


@pytest.fixture
def pool():
    return memory._Pool()


@pytest.mark.parametrize("size", [0, 1, 63, 64, 4095, 4096, 4097, 100_000, 1_234_567])
def test_a_piece_begins_on_a_cache_line_and_is_hardly_larger(pool, size):
    piece = pool.borrow(size)
    start = piece.memory.ctypes.data
    assert piece.address % 64 == 0
    assert start <= piece.address
    assert piece.address + piece.size <= start + piece.memory.nbytes
    assert size <= piece.size <= size + max(4096, size / 8 + 1)


def test_what_was_given_back_is_used_again(pool):
    first = pool.borrow(10_000)
    second = pool.borrow(10_000)
    assert first.address != second.address
    pool.give_back(first)
    assert pool.borrow(9_999).address == first.address, "of a size a little smaller, too"
    pool.give_back(second)
    assert pool.borrow(1_000_000).address not in (first.address, second.address)


def kept_bytes(pool):
    return sum(piece.size for pieces in pool.free.values() for piece in pieces)


def test_no_more_is_kept_than_was_in_use_at_once(pool):
    rng = np.random.default_rng(0)
    held, most = [], 0
    for _ in range(300):
        if held and rng.random() < 0.5:
            pool.give_back(held.pop(rng.integers(len(held))))
        else:
            held.append(pool.borrow(int(rng.integers(1, 200_000))))
        most = max(most, sum(piece.size for piece in held))
        assert pool.in_use == sum(piece.size for piece in held)
        assert pool.kept == kept_bytes(pool) <= most


def test_of_what_is_kept_the_oldest_size_goes_first(pool):
    for size in (100_000, 50_000, 90_000):
        pool.give_back(pool.borrow(size))
    sizes = [size for size, pieces in pool.free.items() if pieces]
    assert sizes[-1] >= 90_000
    assert not any(100_000 <= size < 110_000 for size in sizes)


def test_a_view_keeps_its_memory():
    whole, address = memory.borrowed_array(5_000, DOUBLE)
    assert whole.ctypes.data == address
    assert (whole.shape, whole.dtype) == ((5_000,), DOUBLE)
    view = whole[1_000:].reshape(2, -1)[1:]
    view[...] = 7
    del whole
    gc.collect()
    others = [memory.borrowed_array(5_000, DOUBLE)[0] for _ in range(3)]
    for other in others:
        assert not np.shares_memory(view, other)
        other[...] = 0
    assert (view == 7).all()
    at = view.ctypes.data - 8 * 3_000
    del view, other, others
    gc.collect()
    again = [memory.borrowed_array(5_000, DOUBLE) for _ in range(4)]
    assert at in [start for _, start in again]


def test_threads_never_get_the_same_memory():
    wrong = []

    def work(number):
        rng = np.random.default_rng(number)
        held = []
        for step in range(300):
            array, _ = memory.borrowed_array(int(rng.integers(1, 3_000)), DOUBLE)
            array[...] = mark = number * 1_000 + step
            held.append((array, mark))
            if len(held) > 5:
                old, its = held.pop(rng.integers(len(held)))
                if (old != its).any():
                    wrong.append(its)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_child_can_borrow_whatever_another_thread_did():
    held, done = threading.Event(), threading.Event()

    def hold():
        with memory._pool.lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
        child = os.fork()
    if not child:
        signal.alarm(2)
        memory.give_back(memory.borrow(10_000))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0
