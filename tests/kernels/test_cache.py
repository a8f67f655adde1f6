"""Generated sources on disk: what is written, what is run, and what may go wrong."""

import inspect
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
import zipfile
from pathlib import Path

import pytest

import minigrad.nn
from minigrad.kernels.cpu import processor
from minigrad.kernels.jit import cache_folder
from minigrad.kernels.jit import source_cache as cache
from minigrad.kernels.jit.source_cache import load_source

TEXT = '''"""Twice."""
from numba import njit


@njit("int64(int64)", cache=True)
def twice(x):
    return 2 * x
'''
PLAIN = "def answer():\n    return 42\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache, in memory too. Nothing has been warned about."""
    chosen = tmp_path / "cache"
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(chosen))
    monkeypatch.setattr(cache, "_modules", {})
    monkeypatch.setattr(cache_folder, "_warned", False)
    before = set(sys.modules)
    yield chosen
    for name in set(sys.modules) - before:
        if name.startswith("minigrad_"):
            del sys.modules[name]


def in_a_new_process():
    """Forget the modules in memory."""
    cache._modules.clear()


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def run(script, **environment):
    """Run a program; its warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    environment = {**os.environ, **environment}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


USE = f"""
from minigrad.kernels.jit.source_cache import load_source
module = load_source({TEXT!r}, "twice")
assert module.twice(21) == 42
"""


def test_the_text_lies_in_a_folder_named_by_a_hash_with_what_numba_compiled(folder):
    module = load_source(TEXT, "twice")
    assert module.twice(21) == 42
    (key,) = (path.name for path in folder.iterdir())
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert module.__file__ == str(folder / key / "kernel.py")
    assert (folder / key / "kernel.py").read_text() == TEXT
    kinds = [name.rpartition(".")[2] for name in files(folder)]
    assert kinds == ["nbc", "nbi", "py"]


def test_another_process_compiles_nothing(folder):
    load_source(TEXT, "twice")
    hits = run(USE + "print(sum(module.twice.stats.cache_hits.values()))")
    assert hits == "1"


def test_a_second_call_returns_the_same_module():
    assert load_source(PLAIN, "answer") is load_source(PLAIN, "answer")
    assert load_source(PLAIN, "answer") is not load_source(PLAIN + "\n", "answer")


def test_the_module_is_named_and_registered():
    module = load_source(PLAIN, "<lambda> of é")
    assert re.fullmatch("minigrad__lambda__of_é_[0-9a-f]{16}", module.__name__)
    assert sys.modules[module.__name__] is module


def test_tracebacks_and_sources_show_the_lines():
    module = load_source("def divide(x):\n    return 1 / x  # by what is given\n", "divide")
    assert (
        inspect.getsource(module.divide) == "def divide(x):\n    return 1 / x  # by what is given\n"
    )
    with pytest.raises(ZeroDivisionError) as caught:
        module.divide(0)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == (module.__file__, 2)
    assert last.line == "return 1 / x  # by what is given"


def test_text_that_fails_leaves_no_module():
    with pytest.raises(ZeroDivisionError):
        load_source("1 / 0", "failing")
    assert not [name for name in sys.modules if name.startswith("minigrad_failing")]
    with pytest.raises(ZeroDivisionError):
        load_source("1 / 0", "failing")


@pytest.mark.parametrize("damage", ["", PLAIN[:10], PLAIN.replace("42", "43"), "\xff"])
def test_a_damaged_or_edited_file_is_rewritten_and_never_run(damage):
    path = Path(load_source(PLAIN, "answer").__file__)
    path.write_bytes(damage.encode("latin-1"))
    in_a_new_process()
    assert load_source(PLAIN, "answer").answer() == 42
    assert path.read_text() == PLAIN


@pytest.mark.parametrize(("kind", "size"), [("nbi", 0), ("nbi", 60), ("nbc", 0), ("nbc", 60)])
def test_what_numba_keeps_may_be_cut_off(kind, size, folder):
    load_source(TEXT, "twice")
    (path,) = folder.rglob(f"*.{kind}")
    os.truncate(path, size)
    in_a_new_process()
    module = load_source(TEXT, "twice")
    assert module.twice(21) == 42
    assert sum(module.twice.stats.cache_misses.values()) == 1
    assert path.stat().st_size > 60


def test_line_ends_are_kept():
    text = "value = '''a\r\nb'''\n"
    path = Path(load_source(text, "ends").__file__)
    assert path.read_bytes() == text.encode()


@pytest.mark.parametrize(
    "change",
    [
        (cache, "version_of", lambda package: "0"),
        (sys, "version", "3.99"),
        (processor, "processor", lambda: "another machine"),
        (cache, "library_digest", lambda: "0"),
    ],
    ids=["versions", "Python", "processor", "library"],
)
def test_the_key_covers_what_compiled_code_depends_on(change, monkeypatch):
    before = cache._key(PLAIN)
    assert cache._key(PLAIN) == before
    monkeypatch.setattr(*change)
    cache._surroundings.cache_clear()
    try:
        assert cache._key(PLAIN) != before
    finally:
        cache._surroundings.cache_clear()


def test_the_processor_is_the_one_that_numba_was_told():
    script = "from minigrad.kernels.cpu.processor import processor; print(processor())"
    told = run(script, NUMBA_CPU_NAME="x86-64-v3", NUMBA_CPU_FEATURES="+avx2")
    assert told.split()[1:] == ["x86-64-v3", "+avx2"]


def test_the_digest_changes_with_any_file_of_the_library(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "files", lambda package: tmp_path)
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    digests = [cache.library_digest()]
    for name, text in [("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("deep/deeper/a.py", "1")]:
        (tmp_path / name).write_text(text)
        digests.append(cache.library_digest())
    assert len(set(digests)) == 5


def test_the_digest_is_that_of_an_archive_too(tmp_path):
    sources = {}  # an installed package has the others in its folder, a checkout beside it
    for package in (minigrad, minigrad.nn, minigrad.kernels):
        root = Path(package.__file__).parent
        for path in root.rglob("*.py"):
            sources[Path(*package.__name__.split(".")) / path.relative_to(root)] = path
    with zipfile.ZipFile(tmp_path / "packages.zip", "w") as archive:
        for name, path in sources.items():
            archive.write(path, name)
    script = """
    from minigrad.kernels.jit.source_cache import __file__, library_digest
    print(__file__, library_digest())
    """
    environment = {"PYTHONPATH": str(tmp_path / "packages.zip"), "PYTHONSAFEPATH": "1"}
    place, digest = run(script, **environment).split()
    assert place == str(tmp_path / "packages.zip/minigrad/kernels/jit/source_cache.py")
    assert digest == cache.library_digest()


def test_processes_that_write_at_once_all_succeed(folder):
    racers = [subprocess.Popen([sys.executable, "-W", "error", "-c", USE]) for _ in range(3)]
    assert [racer.wait(300) for racer in racers] == [0, 0, 0]
    names = [name for name in files(folder) if not name.endswith(("nbc", "nbi"))]
    assert [name.partition("/")[2] for name in names] == ["kernel.py"]
    assert run(USE + "print(sum(module.twice.stats.cache_hits.values()))") == "1"


def test_threads_that_load_at_once_get_one_module():
    modules = []
    threads = [
        threading.Thread(target=lambda: modules.append(load_source(TEXT, "twice")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(modules) == 4
    assert len(set(modules)) == 1


def test_the_same_file_runs_without_the_compiler(folder):
    script = USE + "print(type(module.twice).__name__, module.__file__)"
    kind, path = run(script, NUMBA_DISABLE_JIT="1").split()
    assert kind == "function"
    assert Path(path).is_relative_to(folder)


def test_a_forked_child_can_load_while_a_thread_of_the_parent_did():
    script = """
    import os, threading
    from minigrad.kernels.jit import source_cache as cache
    taken, done = threading.Event(), threading.Event()

    def hold():
        with cache._loading:
            taken.set()
            done.wait()

    threading.Thread(target=hold).start()
    taken.wait()
    child = os.fork()
    if child == 0:
        os._exit(cache.load_source("value = 0", "value").value)
    print(os.waitpid(child, 0)[1])
    done.set()
    """
    ignoring = "import warnings\nwarnings.filterwarnings('ignore', '.*multi-threaded')\n"
    assert run(ignoring + textwrap.dedent(script)) == "0"


# Where the cache lies.


def first_folder():
    return next(cache_folder.cache_folders())


def test_the_variable_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", "~/mine")
    assert first_folder() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", "here")
    assert first_folder() == tmp_path / "here"


@pytest.mark.parametrize(
    ("platform", "xdg", "expected"),
    [
        ("linux", "", "home/.cache/minigrad"),
        ("linux", "{}/xdg", "xdg/minigrad"),
        ("linux", "relative", "home/.cache/minigrad"),
        ("darwin", "", "home/Library/Caches/minigrad"),
        ("darwin", "{}/xdg", "xdg/minigrad"),
    ],
)
def test_the_users_cache_comes_next(platform, xdg, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", xdg.format(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert first_folder() == tmp_path / expected


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files."""
    chosen = tmp_path / "temporary"
    chosen.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(chosen))
    return chosen


def test_a_user_without_a_home_has_a_temporary_cache(monkeypatch, temporary):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MINIGRAD_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", fail)
    assert first_folder() == temporary / f"minigrad-{os.getuid()}"


def test_the_temporary_cache_belongs_to_the_user_alone(temporary):
    shared = temporary / f"minigrad-{os.getuid()}"
    assert list(cache_folder.cache_folders())[1] == shared
    assert shared.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["open to others", "a link", "a file", "of another user"])
def test_a_temporary_cache_that_others_may_have_filled_is_not_used(trap, temporary, monkeypatch):
    shared = temporary / f"minigrad-{os.getuid()}"
    if trap == "a link":
        (temporary / "elsewhere").mkdir(mode=0o700)
        shared.symlink_to(temporary / "elsewhere")
    elif trap == "a file":
        shared.touch()
    else:
        shared.mkdir(mode=0o700)
    if trap == "open to others":
        shared.chmod(0o770)
    if trap == "of another user":
        other = os.getuid() + 1
        shared.rename(temporary / f"minigrad-{other}")
        monkeypatch.setattr(os, "getuid", lambda: other)
    _, private = cache_folder.cache_folders()
    assert private.parent == temporary
    assert private.name != f"minigrad-{os.getuid()}"
    assert private.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_cannot_be_written_is_replaced_with_one_warning(folder, temporary):
    folder.write_text("a file where the folder would be")
    with pytest.warns(UserWarning, match="cannot be written") as caught:
        module = load_source(PLAIN, "answer")
    assert module.answer() == 42
    used = temporary / f"minigrad-{os.getuid()}"
    assert Path(module.__file__).is_relative_to(used)
    (warning,) = caught
    assert re.fullmatch(
        rf"the cache of compiled loops cannot be written \(.*{folder}.*\); using {used}, "
        r"which may be emptied at any time; set MINIGRAD_CACHE_DIR to a folder that can be written",
        str(warning.message),
    )
    assert load_source(TEXT, "twice").twice(2) == 4


@pytest.fixture
def full(folder, temporary, monkeypatch):
    """No folder can be written."""

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    monkeypatch.setattr(tempfile, "TemporaryFile", fail)


@pytest.mark.usefixtures("full")
def test_where_nothing_can_be_written_nothing_is_kept_with_one_warning(folder, temporary):
    with pytest.warns(UserWarning, match="cannot be written") as caught:
        module = load_source(TEXT, "twice")
    assert module.twice(21) == 42
    (warning,) = caught
    assert str(warning.message) == (
        "the cache of compiled loops cannot be written ([Errno 28] No space left on device); each "
        "process compiles anew; set MINIGRAD_CACHE_DIR to a folder that can be written"
    )
    assert files(folder) == files(temporary) == []
    assert load_source(PLAIN, "answer").answer() == 42


def test_a_write_that_fails_leaves_no_rest(folder, temporary, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.warns(UserWarning, match="cannot be written"):
        load_source(PLAIN, "answer")
    assert files(folder) == []
    assert files(temporary) == []


READING = f"""
import ctypes, os, tempfile, warnings
tempfile.tempdir = os.environ["TMPDIR"]  # no other
if os.getuid() == 0:  # from here on even root needs the right to write
    ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from minigrad.kernels.jit.source_cache import load_source
    from minigrad.kernels.cpu.threads.barrier import barrier
    twice = load_source({TEXT!r}, "twice").twice
    assert twice(21) == 42
    load_source({PLAIN!r}, "answer")
hits = sum(len(function.stats.cache_hits) for function in (barrier, twice))
print("taken", hits, *(str(warning.message).partition("; ")[2] for warning in caught))
"""


@pytest.fixture
def read(folder, temporary):
    """Run a program that needs the cache, at first freely, then where HOME cannot be written."""
    locked = []

    def run_there(*read_only, **environment):
        for root in (*read_only, folder.parent / "home"):
            root.mkdir(exist_ok=True)
            for path in (root, *root.rglob("*")):
                locked.append(path)
                path.chmod(0o555 if path.is_dir() else 0o444)
        before = [path for root in read_only for path in files(root)]
        found = run(
            READING,
            HOME=str(folder.parent / "home"),
            XDG_CACHE_HOME="",
            TMPDIR=str(temporary),
            **{"NUMBA_CACHE_DIR": "", **environment},
        )
        assert [path for root in read_only for path in files(root)] == before
        return found

    yield run_there
    for path in locked:
        path.chmod(0o755)


@pytest.mark.full
def test_a_full_cache_that_cannot_be_written_is_used_as_it_is(read, folder, temporary):
    assert read() == "taken 0"
    assert read(folder, temporary) == "taken 2"
    (kept,) = folder.rglob("*twice*.nbc")
    folder.chmod(0o755)
    for part in (kept.parent, kept):
        part.chmod(0o755)
    os.truncate(kept, 60)  # by a full disk, say
    assert read(folder, temporary) == "taken 1"


@pytest.mark.full
def test_the_same_for_the_folder_of_numba(read, folder, tmp_path):
    chosen = tmp_path / "chosen"
    assert read(NUMBA_CACHE_DIR=str(chosen)) == "taken 0"
    assert read(chosen, folder, NUMBA_CACHE_DIR=str(chosen)) == "taken 2"


@pytest.mark.full
def test_an_empty_folder_of_numba_that_cannot_be_written_is_not_used(read, tmp_path):
    for taken in (0, 2):
        found = read(tmp_path / "chosen", NUMBA_CACHE_DIR=str(tmp_path / "chosen"))
        assert found == f"taken {taken}"


@pytest.mark.full
def test_an_empty_cache_that_cannot_be_written_warns_once(read, folder, temporary):
    advice = "set MINIGRAD_CACHE_DIR to a folder that can be written"
    assert read(folder, temporary) == f"taken 0 each process compiles anew; {advice}"
    used = f"using {temporary}/minigrad-{os.getuid()}, which may be emptied at any time"
    temporary.chmod(0o755)
    for taken in (0, 2):
        assert read(folder) == f"taken {taken} {used}; {advice}"


def test_others_may_read_a_cache_that_was_filled_for_them(folder):
    path = Path(load_source(PLAIN, "answer").__file__)
    other = folder / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


COMPILED = """
from numba import config, njit
from minigrad.kernels.cpu.threads.barrier import barrier
print(config.CACHE_DIR, barrier.stats.cache_path)
"""


def test_what_numba_compiles_of_the_library_is_kept_by_content(folder, tmp_path):
    name = f"cpu-{cache.library_digest()[:16]}"
    assert run(COMPILED, NUMBA_CACHE_DIR="") == str(folder / name)
    chosen = tmp_path / "chosen"
    assert run(COMPILED, NUMBA_CACHE_DIR=str(chosen)) == f"{chosen} {chosen / name}"


def test_what_others_compile_stays_where_numba_keeps_it(folder, tmp_path):
    (tmp_path / "theirs.py").write_text(
        "from numba import njit\n\n\n@njit(cache=True)\ndef twice(x):\n    return 2 * x\n"
    )
    script = """
    import minigrad.kernels.cpu
    from theirs import twice
    print(twice(2), twice.stats.cache_path)
    """
    found = run(script, NUMBA_CACHE_DIR="", PYTHONPATH=str(tmp_path))
    assert found == f"4 {tmp_path / '__pycache__'}"


def test_a_cache_that_cannot_be_written_is_replaced_for_numba_too(temporary, folder):
    folder.write_text("a file where the folder would be")
    script = "import warnings\nwarnings.simplefilter('ignore')" + COMPILED
    found = run(script, NUMBA_CACHE_DIR="", TMPDIR=str(temporary))
    assert Path(found).is_relative_to(temporary / f"minigrad-{os.getuid()}")
