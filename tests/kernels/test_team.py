"""The team of threads: who becomes a member, what a barrier promises, and what may go wrong."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import numba
import numpy as np
import pytest
from numba import cfunc

from minigrad.kernels.cpu.threads import team
from minigrad.kernels.cpu.threads.atomics import (
    atomic_add,
    atomic_load,
    atomic_replace,
    atomic_store,
)
from minigrad.kernels.cpu.threads.barrier import BARRIER_BYTES, barrier
from minigrad.kernels.cpu.threads.team import run_team

ENTRY = "void(int64, int64, CPointer(int64))"
MOST = 64
ROUNDS = 20


@cfunc(ENTRY)
def note(thread, threads, arguments):
    """Count the calls of each member, and tell the size of the team."""
    atomic_add(arguments[0] + 8 * thread, 1)
    arguments[1 + thread] = threads


def noted(asked):
    """Run ``note`` and return the size of the team, after looking at what each member noted."""
    calls = np.zeros(MOST, np.int64)
    arguments = np.zeros(1 + MOST, np.int64)
    arguments[0] = calls.ctypes.data
    run_team(note.address, asked, arguments)
    size = int(arguments[1])
    assert 1 <= size <= max(asked, 1)
    np.testing.assert_array_equal(calls, np.arange(MOST) < size)
    np.testing.assert_array_equal(arguments[1:], np.where(np.arange(MOST) < size, size, 0))
    return size


@cfunc(ENTRY)
def meet(thread, threads, arguments):
    """Write a number, meet the others, and count the members whose number is not the same."""
    sync, slots, wrong, rounds = arguments[0], arguments[1], arguments[2], arguments[3]
    for number in range(1, rounds + 1):
        atomic_store(slots + 8 * thread, number)
        barrier(sync, threads)
        for member in range(threads):
            if atomic_load(slots + 8 * member) != number:
                atomic_add(wrong, 1)
        barrier(sync, threads)
    if thread == 0:
        arguments[4] = threads


class Meeting:
    """Memory for ``meet``, used again and again by teams of all sizes."""

    def __init__(self):
        self.sync = np.zeros(BARRIER_BYTES // 8, np.int64)
        self.slots = np.zeros(MOST, np.int64)
        self.wrong = np.zeros(1, np.int64)

    def run(self, asked, rounds=ROUNDS):
        memory = [part.ctypes.data for part in (self.sync, self.slots, self.wrong)]
        arguments = np.array([*memory, rounds, 0], np.int64)
        run_team(meet.address, asked, arguments)
        assert self.wrong[0] == 0
        return int(arguments[4])


def until(condition, wanted):
    """Call ``condition`` until it returns ``wanted``: the cores may be busy with other tests."""
    end = time.monotonic() + 60
    while (found := condition()) != wanted:
        assert time.monotonic() < end, f"found {found}, never {wanted}"


@pytest.mark.parametrize("asked", [-1, 0, 1])
def test_one_thread_needs_no_team(asked):
    assert noted(asked) == 1


@pytest.mark.parametrize("asked", [2, 3])
def test_a_team_forms(asked):
    until(lambda: noted(asked), asked)


@pytest.mark.parametrize("asked", [2, 3, MOST])
def test_every_member_is_called_once_in_every_region(asked):
    for _ in range(100):
        noted(asked)


def test_a_thread_that_slept_joins_again():
    until(lambda: noted(2), 2)

    def after_a_sleep():
        time.sleep(0.01)
        return noted(2)

    until(after_a_sleep, 2)


def test_numbas_own_threads_do_not_matter():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        until(lambda: noted(2), 2)
    finally:
        numba.set_num_threads(before)


def test_threads_that_cannot_start_are_done_without(monkeypatch):
    monkeypatch.setattr(team, "_pool", None)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    noted(4)
    monkeypatch.setattr(team, "_lead", None)  # it would wait for them
    assert [noted(4), Meeting().run(4)] == [1, 1]


@pytest.mark.parametrize("asked", [2, 3])
def test_a_barrier_holds_every_member_back(asked):
    meeting = Meeting()
    until(lambda: meeting.run(asked), asked)
    for _ in range(20):
        meeting.run(asked)


def test_a_barrier_of_one_does_not_wait():
    assert Meeting().run(1) == 1


def test_a_barrier_serves_teams_of_all_sizes():
    meeting = Meeting()
    for asked in [2, 3, 1, 4, 2, 3] * 4:
        meeting.run(asked)


def test_several_python_threads_at_once():
    sizes = []

    def work():
        meeting = Meeting()
        sizes.extend(meeting.run(3) for _ in range(100))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sizes) == 400
    assert set(sizes) <= {1, 2, 3}


@cfunc(ENTRY)
def linger(thread, threads, arguments):
    """Say that the region runs, and stay in it until told to go; a member may come after that."""
    atomic_replace(arguments[0], 0, 1)
    while atomic_load(arguments[0]) != 2:
        pass


def test_who_finds_a_region_running_runs_alone_at_once():
    word = np.zeros(1, np.int64)
    arguments = np.array([word.ctypes.data], np.int64)
    other = threading.Thread(target=run_team, args=(linger.address, 2, arguments))
    other.start()
    try:
        until(lambda: word[0], 1)
        assert noted(2) == 1
    finally:
        word[0] = 2
        other.join()
    until(lambda: noted(2), 2)


@numba.njit
def use_atomics(address):
    return (
        atomic_load(address),
        atomic_add(address, 5),
        atomic_replace(address, 12, 3),
        atomic_load(address),
        atomic_replace(address, 12, 4),
        atomic_load(address),
    )


def test_atomic_operations():
    word = np.array([7], np.int64)
    assert use_atomics(word.ctypes.data) == (7, 7, True, 3, False, 3)


def run_script(script, directory):
    """Run a program that has the functions of this file; its warnings are errors."""
    path = directory / "program.py"
    here = "import sys\nsys.path.insert(0, {!r})\nfrom test_team import *\n"
    path.write_text(here.format(__file__.rpartition("/")[0]) + textwrap.dedent(script))
    command = [sys.executable, "-W", "error", "-W", "ignore:.*multi-threaded", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_forked_child_has_a_team_of_its_own(tmp_path):
    script = """
    import os
    word = np.zeros(1, np.int64)
    arguments = np.array([word.ctypes.data], np.int64)
    until(lambda: noted(2), 2)
    threading.Thread(target=run_team, args=(linger.address, 2, arguments)).start()
    until(lambda: word[0], 1)  # the fork happens while a region is running
    child = os.fork()
    if child == 0:
        until(lambda: noted(2), 2)
        until(lambda: Meeting().run(3), 3)
        print("child", flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    word[0] = 2
    until(lambda: noted(2), 2)
    print("parent")
    """
    assert run_script(script, tmp_path) == ["child", "parent"]


@pytest.mark.full
def test_spawned_workers_and_busy_cores(tmp_path):
    script = """
    import multiprocessing
    import os

    def work(number):
        sizes = {Meeting().run(4) for _ in range(20)}
        return sizes <= {1, 2, 3, 4}

    def burn():
        while True:
            pass

    if __name__ == "__main__":
        context = multiprocessing.get_context("spawn")
        burners = [context.Process(target=burn, daemon=True) for _ in range(os.cpu_count())]
        for burner in burners:
            burner.start()
        with context.Pool(2) as pool:
            print(*pool.map(work, range(2)), work(2))
        for burner in burners:
            burner.kill()
            burner.join()
    """
    assert run_script(script, tmp_path) == ["True", "True", "True"]


PINNED = """
    import os
    from minigrad.kernels.cpu.threads.atomics import PAUSES_BEFORE_YIELD, wait_a_moment

    @numba.njit(nogil=True)
    def play(word, mine, turns):
        \"\"\"Change the word when it is my turn; return how many moments that took.\"\"\"
        moments = 0
        for _ in range(turns):
            count = 0
            while atomic_load(word) % 2 != mine:
                wait_a_moment(count)
                count += 1
            atomic_add(word, 1)
            moments += count
        return moments

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    word = np.zeros(1, np.int64)
    moments = [play(word.ctypes.data, 0, 0)]
    other = threading.Thread(target=lambda: moments.append(play(word.ctypes.data, 1, 200)))
    other.start()
    moments.append(play(word.ctypes.data, 0, 200))
    other.join()
    print(sum(moments) < 400 * 10 * PAUSES_BEFORE_YIELD, sum(moments))
"""


@pytest.mark.full
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_who_waits_gives_the_core_away(tmp_path):
    """Two threads that share one core and wait for each other need no time slice for each turn."""
    is_few, _ = run_script(PINNED, tmp_path)
    assert is_few == "True"


@pytest.mark.full(but=["pass"])
@pytest.mark.parametrize("ending", ["pass", "time.sleep(0.01)"])
def test_a_program_with_a_team_ends(ending, tmp_path):
    run_script(f"until(lambda: noted(3), 3)\n{ending}", tmp_path)


def test_a_program_ends_while_a_region_runs(tmp_path):
    script = """
    word = np.zeros(1, np.int64)
    arguments = np.array([word.ctypes.data], np.int64)
    other = threading.Thread(target=run_team, args=(linger.address, 2, arguments), daemon=True)
    other.start()
    until(lambda: word[0], 1)
    """
    run_script(script, tmp_path)
