"""Memory for work: for one at a time, used again, and as many pieces as were in use at once."""

import threading
import time

import numpy as np
import pytest

from minigrad.kernels.cpu.threads.barrier import BARRIER_BYTES
from minigrad.kernels.cpu.workspaces import Workspaces, new_workspace


@pytest.fixture
def spaces():
    return Workspaces()


def bytes_of(space):
    """Return an array of all the bytes that can be used."""
    return np.ndarray(space.size, np.uint8, space.memory, space.skipped)


def barrier_of(space):
    at = space.skipped - (space.address - space.meeting)
    return np.ndarray(BARRIER_BYTES, np.uint8, space.memory, at)


@pytest.mark.parametrize("size", [0, 1, 64, 70_000, 1 << 21, (1 << 21) + 1])
def test_a_new_workspace_is_large_enough_on_a_cache_line_and_filled_with_zeros(spaces, size):
    for space in (new_workspace(size), spaces.borrow(size)):
        assert space.size >= size
        assert space.address % 64 == 0
        whole = bytes_of(space)
        assert whole.ctypes.data == space.address
        assert not whole.any()


@pytest.mark.parametrize("size", [100, 70_000])
def test_the_barrier_lies_beside_the_memory(spaces, size):
    """Who works there may write anything; the barrier has to be as the last team left it."""
    space = spaces.borrow(size)
    barrier = barrier_of(space)
    assert barrier.ctypes.data == space.meeting
    assert space.meeting % 64 == 0
    bytes_of(space)[...] = 255
    assert not barrier.any()
    spaces.give_back(space)
    assert spaces.borrow(1).meeting == space.meeting


def test_the_last_one_is_used_again_as_it_was_left(spaces):
    first, second = spaces.borrow(1000), spaces.borrow(1000)
    assert not np.shares_memory(first.memory, second.memory)
    bytes_of(second)[...] = 7
    spaces.give_back(first)
    spaces.give_back(second)
    again = spaces.borrow(900)
    assert again.memory is second.memory
    assert (bytes_of(again) == 7).all()
    assert spaces.borrow(1).memory is first.memory
    assert not spaces.free


def test_similar_sizes_have_the_same_memory(spaces):
    space = spaces.borrow(200_000)
    spaces.give_back(space)
    assert spaces.borrow(240_000).memory is space.memory
    spaces.give_back(space)
    assert spaces.borrow(300_000).memory is not space.memory


def test_no_more_are_kept_than_were_in_use_at_once(spaces):
    for size in (100, 200_000, 50_000, 400_000, 100):
        one, two = spaces.borrow(size), spaces.borrow(2 * size)
        spaces.give_back(one)
        spaces.give_back(two)
        assert len(spaces.free) == 2
    for size in (100_000, 3_000_000, 500):
        spaces.give_back(spaces.borrow(size))
        assert len(spaces.free) <= 2


def test_threads_never_have_the_same_memory(spaces):
    wrong = []

    def work(number):
        for _ in range(100):
            space = spaces.borrow(1000)
            array = bytes_of(space)
            array[...] = number
            time.sleep(1e-6)  # here another thread may borrow, too
            if (array != number).any():
                wrong.append(number)
            spaces.give_back(space)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= len(spaces.free) <= 4
