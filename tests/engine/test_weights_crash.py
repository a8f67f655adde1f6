"""Saving is all or nothing: killed, interrupted or out of space, it leaves the last good file."""

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import FileFormatError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def names(folder):
    return sorted(os.listdir(folder))


def run(script, *arguments):
    """Run a script in a process of its own; return what it prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# A child saves step after step, and says so before ("b") and after ("e") each; its parent kills it.
KILLED_AT_RANDOM = """
import json, os, random, signal, sys, time
import minigrad as mg

path, tries = sys.argv[1], int(sys.argv[2])
moments = random.Random(5)

def state(step):
    return {"step": step, "w": mg.full((300, 500), step), "b": [mg.full((7,), step), float(step)]}

def is_whole(found):
    step = found["step"]
    return (
        (found["w"] == step).all().item() and found["w"].shape == (300, 500)
        and (found["b"][0] == step).all().item() and found["b"][1] == step
    )

mg.save(path, state(0))
last, inside, left = 0, 0, 0
for _ in range(tries):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        while True:
            os.write(writing, b"b")
            last += 1
            mg.save(path, state(last))
            os.write(writing, b"e")
    os.read(reading, 1)
    time.sleep(moments.uniform(0.0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writing)
    said = b"b" + os.read(reading, 1 << 16)
    os.close(reading)
    begun, ended = said.count(b"b"), said.count(b"e")
    found = mg.load(path)
    assert is_whole(found), found
    assert last + ended <= found["step"] <= last + begun, (last, said, found["step"])
    last = found["step"]
    inside += begun > ended
    for name in os.listdir(os.path.dirname(path)):
        if name.endswith(".tmp"):
            left += 1
            os.unlink(os.path.join(os.path.dirname(path), name))
print(json.dumps([inside, left, last]))
"""


def test_a_hundred_kills_leave_the_last_good_checkpoint(path):
    inside, left, last = run(KILLED_AT_RANDOM, path, 100)
    assert inside >= 50  # else the moments were chosen badly, and this test says little
    assert left >= 5
    assert last >= 20
    assert names(path.parent) == [path.name]


# When the process dies, and the step that the file then holds.
MOMENTS = [
    ("before", "open", 1),
    ("after", "open", 1),
    ("inside", "write", 1),
    ("before", "fsync", 1),
    ("after", "fsync", 1),
    ("before", "replace", 1),
    ("after", "replace", 2),
    ("before", "fsync of the folder", 2),
]

KILLED_AT_A_CALL = """
import io, json, os, signal, sys
import minigrad as mg

path, moment, call = sys.argv[1:]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class HalfWritten(io.BufferedWriter):
    def writelines(self, parts):
        super().write(next(iter(parts)))
        self.flush()
        die()

def dying(original, calls_before):
    calls = []
    def called(*arguments):
        calls.append(arguments)
        if len(calls) <= calls_before:
            return original(*arguments)
        if moment == "after":
            original(*arguments)
        die()
    return called

mg.save(path, [1, mg.full((100_000,), 1)])
child = os.fork()
if not child:
    if moment == "inside":
        mg.files.open = lambda opened, mode: HalfWritten(io.FileIO(opened, mode))
    else:
        name, *second = call.split(" ", 1)
        setattr(os, name, dying(getattr(os, name), len(second)))
    mg.save(path, [2, mg.full((100_000,), 2)])
    os._exit(0)
_, status = os.waitpid(child, 0)
step, w = mg.load(path)
print(json.dumps([os.WTERMSIG(status), step, (w == step).all().item()]))
"""


@pytest.mark.parametrize(("moment", "call", "step"), MOMENTS)
def test_a_process_killed_at_any_call_leaves_a_whole_file(moment, call, step, path):
    assert run(KILLED_AT_A_CALL, path, moment, call) == [signal.SIGKILL, step, True]


@pytest.mark.parametrize("count", [0, 1, 1000, 1_000_000])
def test_the_content_is_on_the_disk_before_it_gets_its_name(count, path, monkeypatch):
    mg.save(path, 1)
    calls = []

    def noted(name):
        original = getattr(os, name)

        def called(place, *arguments):
            found = os.stat(place)
            calls.append((name, "folder" if stat.S_ISDIR(found.st_mode) else found.st_size))
            return original(place, *arguments)

        monkeypatch.setattr(os, name, called)

    noted("fsync")
    noted("replace")
    mg.save(path, [2, mg.ones(count)])
    size = path.stat().st_size
    assert calls == [("fsync", size), ("replace", size), ("fsync", "folder")]


# errors on the way


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(), MemoryError(), OSError(5, "x")]
)
@pytest.mark.parametrize("call", ["open", "fsync", "replace", "fchmod"])
def test_an_interrupted_save_leaves_nothing_behind(call, error, path, monkeypatch):
    mg.save(path, [1, mg.ones(3)])
    before = path.read_bytes()

    def interrupted(*arguments):
        raise error

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(type(error)):
        mg.save(path, [2, mg.ones(3)])
    monkeypatch.undo()
    assert names(path.parent) == [path.name]
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_old_file(path):
    mg.save(path, 1)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large; choose another place") as caught:
            mg.save(path, mg.ones(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert names(path.parent) == [path.name]
    assert mg.load(path) == 1


def test_the_text_for_a_full_disk(path, monkeypatch):
    def full(opened):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        mg.save(path, 1)
    assert str(caught.value) == (
        "[Errno 28] save(): No space left on device; free some space; a file that was there is as it "
        f"was: {str(path)!r}"
    )
    assert names(path.parent) == []


def test_a_folder_that_cannot_be_flushed_is_no_error(path, monkeypatch):
    original = os.fsync

    def fsync(opened):
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        original(opened)

    monkeypatch.setattr(os, "fsync", fsync)
    mg.save(path, 1)
    assert mg.load(path) == 1


# modes and links


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0])
def test_a_new_file_gets_the_usual_mode(mask, path):
    before = os.umask(mask)
    try:
        mg.save(path, 1)
        (path.parent / "usual").write_bytes(b"")
    finally:
        os.umask(before)
    assert mode(path) == mode(path.parent / "usual") == 0o666 & ~mask


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o666, 0o755])
def test_a_replaced_file_keeps_its_mode(kept, path):
    mg.save(path, 1)
    path.chmod(kept)
    mg.save(path, 2)
    assert (mode(path), mg.load(path)) == (kept, 2)


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    target, link = tmp_path / "a" / "target", tmp_path / "b" / "link"
    link.symlink_to(os.path.join("..", "a", "target"))
    for step in (1, 2):  # the link points at nothing, then at a file
        mg.save(link, step)
        assert link.is_symlink()
        assert (mg.load(target), mg.load(link)) == (step, step)
    assert (names(tmp_path / "a"), names(tmp_path / "b")) == (["target"], ["link"])


def test_a_link_to_itself_is_refused(path):
    path.symlink_to(path.name)
    for attempt in (mg.load, lambda path: mg.save(path, 1)):
        with pytest.raises(OSError, match="Too many levels of symbolic links") as caught:
            attempt(path)
        assert caught.value.errno == errno.ELOOP
    assert path.is_symlink()


def test_a_device_or_a_pipe_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name in (str(pipe), "/dev/null"):
        with pytest.raises(FileFormatError) as caught:
            mg.save(name, 1)
        assert str(caught.value) == f"save(): {name!r} is a device or a pipe; name a file"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_is_not_replaced(end, tmp_path):
    with pytest.raises(IsADirectoryError, match=r"save\(\): Is a directory; name a file in it"):
        mg.save(str(tmp_path) + end, 1)
    assert names(tmp_path) == []


def test_a_name_that_ends_like_a_folder_makes_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        mg.save(str(tmp_path / "new") + "/", 1)
    assert names(tmp_path) == []


def test_a_name_without_a_folder_is_saved_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mg.save("here", 1)
    assert (names(tmp_path), mg.load("here")) == (["here"], 1)


def test_of_two_savers_at_once_one_wins_and_the_file_is_whole(path):
    errors = []

    def saver(number):
        try:
            for _ in range(20):
                mg.save(path, [number, mg.full((2000,), number)])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=saver, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            number, w = mg.load(path)
            assert w.numpy().tolist() == np.full(2000, number).tolist()
    assert errors == []
    assert names(path.parent) == [path.name]
