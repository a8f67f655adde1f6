"""``python -m minigrad``: what it says, its status, and that warming up leaves nothing to compile."""

import itertools
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import __main__, errors, nn, threads
from minigrad.commands import info, openblas, products, sizes
from minigrad.commands.products import Rates
from minigrad.kernels.runtime.switch import Switch


def run(*arguments):
    """Run the command in a process of its own; return status, output and errors."""
    command = [sys.executable, "-m", "minigrad", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache for generated sources; what they call is taken from where it is."""
    import minigrad.kernels.targets.numba_cpu  # noqa: F401

    folder = tmp_path / "cache"
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(folder))
    return folder


# arguments


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "python -m minigrad: the following arguments are required: COMMAND"),
        (("fly",), "python -m minigrad: argument COMMAND: invalid choice: 'fly'"),
        (("warmup", "--cells", "lsmt"), "there is no cell 'lsmt'; did you mean 'lstm'?; the cells"),
        (("warmup", "--hidden-size", "0"), "argument --hidden-size: '0' is no positive integer"),
        (("warmup", "--input-size", "many"), "--input-size: 'many' is no positive integer"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(capsys, arguments, problem):
    with pytest.raises(SystemExit) as stopped:
        __main__.main(arguments)
    assert stopped.value.code == 2
    out, told = capsys.readouterr()
    assert out == ""
    assert problem in told
    assert told.endswith("--help\n")
    assert told.count("\n") == 1


def test_it_runs_as_a_program():
    status, out, told = run("info")
    assert (status, told) == (0, "")
    assert re.search(f"^minigrad +{re.escape(version('minigrad'))}$", out, re.MULTILINE)
    assert run("fly")[0] == 2


# info


def told_by_info(capsys):
    assert __main__.main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line[:14].strip(): line[15:] for line in lines}


def test_info(capsys, cache, monkeypatch):
    monkeypatch.setattr(threads, "_number", None)
    monkeypatch.delenv("MINIGRAD_NUM_THREADS", raising=False)
    cache.mkdir()
    (cache / "some").write_bytes(bytes(1_200_000))
    told = told_by_info(capsys)
    assert told["NumPy"] == np.__version__
    assert told["Numba"] == version("numba")
    assert told["llvmlite"] == version("llvmlite")
    assert told["backend numpy"] == "cpu"
    assert "compiled for as" in told["processor"]
    assert re.fullmatch(
        r"(AVX-512|AVX2|NEON|SSE): \d+ registers of (\d+) float32 or \d+ float64", told["vectors"]
    )
    assert told["threads"] == f"{mg.get_num_threads()}, from the cores that this process may use"
    assert told["cache"] == f"{cache}, 1.2 MB, can be written"
    assert told["compiler"] == "on"
    assert re.fullmatch(
        r"\d+ threads?: NumPy \d+, minigrad \d+ GFLOP/s \(float32, 512 x 512 x 512\)",
        told["products"],
    )


def test_info_tells_where_the_number_of_threads_comes_from(capsys, monkeypatch):
    monkeypatch.setattr(threads, "_number", None)
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", "1")
    assert told_by_info(capsys)["threads"] == "1, from MINIGRAD_NUM_THREADS"
    monkeypatch.setattr(threads, "_number", None)
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", "none")
    assert __main__.main(["info"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("python -m minigrad info: get_num_threads: the environment variable")
    assert told.count("\n") == 1


def test_info_tells_whether_loops_are_compiled(capsys, monkeypatch):
    for variable in ("MINIGRAD_COMPILE", "NUMBA_DISABLE_JIT"):
        with monkeypatch.context() as patched:
            patched.setattr("minigrad.kernels.runtime.switch.switch", Switch())
            patched.setenv(variable, "false" if variable == "MINIGRAD_COMPILE" else "1")
            if variable == "NUMBA_DISABLE_JIT":
                patched.setattr("numba.config.DISABLE_JIT", 1)
                with pytest.warns(UserWarning, match="NUMBA_DISABLE_JIT"):
                    told = told_by_info(capsys)
            else:
                told = told_by_info(capsys)
            assert told["compiler"].startswith(f"off, from {variable}")
            assert "products" not in told
    monkeypatch.setattr("minigrad.kernels.runtime.switch.switch", Switch())
    monkeypatch.setenv("MINIGRAD_COMPILE", "perhaps")
    assert __main__.main(["info"]) == 1
    assert "MINIGRAD_COMPILE must be one of" in capsys.readouterr().err


def test_info_tells_of_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path / "file" / "cache"))
    told = info._cache()
    assert told.startswith(f"{tmp_path}/file/cache, cannot be written ([Errno 20] Not a directory")
    assert told.endswith("set MINIGRAD_CACHE_DIR to a folder that can be written")


def test_info_tells_why_there_is_no_gpu_or_which(monkeypatch):
    def missing(name):
        raise errors.BackendError("CuPy is not installed")

    monkeypatch.setattr(info, "backend_named", missing)
    assert info._cupy() == "not usable: CuPy is not installed"
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 2, getDeviceProperties=lambda i: {"name": f"card {i}".encode()}
    )
    cupy = SimpleNamespace(__version__="14.0", cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(info, "backend_named", lambda name: None)
    assert info._cupy() == "14.0, cuda:0 (card 0), cuda:1 (card 1)"


# sizes


FILES = {
    "minigrad/__init__.py": 2,
    "minigrad/ops/shape.py": 1200,
    "minigrad/ops/index.py": 3,
    "nn/linear.py": 4,
    "kernels/scan.py": 0,
}
LIBRARY = """\
   lines  files  folder
       0      1  kernels
       2      1  minigrad
   1,203      2  minigrad/ops
       4      1  nn
   1,209      5  in all
"""


def written(root, files):
    for name, lines in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n" * lines)
    return root


def told_of_sizes(capsys, monkeypatch, **folders):
    where = {package.replace("_", "."): folder for package, folder in folders.items()}
    monkeypatch.setattr(sizes, "_folder", where.__getitem__)
    assert __main__.main(["sizes"]) == 0
    return capsys.readouterr().out


def test_sizes_of_a_checkout(capsys, monkeypatch, tmp_path):
    others = {"tests/nn/test_linear.py": 7, "tests/test_it.py": 8, "pyproject.toml": 9}
    root = written(tmp_path, {**FILES, **others})
    told = told_of_sizes(
        capsys,
        monkeypatch,
        minigrad=root / "minigrad",
        minigrad_kernels=root / "kernels",
        minigrad_nn=root / "nn",
    )
    assert told == f"{LIBRARY}{15:8} {2:6}  tests\n"


def test_sizes_of_an_installed_package_are_those_of_the_library(capsys, monkeypatch, tmp_path):
    moved = {name.replace("minigrad/", ""): lines for name, lines in FILES.items()}
    root = written(tmp_path / "minigrad", moved)
    written(tmp_path, {"tests/of_another_package.py": 5})
    told = told_of_sizes(
        capsys,
        monkeypatch,
        minigrad=root,
        minigrad_kernels=root / "kernels",
        minigrad_nn=root / "nn",
    )
    assert told == LIBRARY


def test_sizes_are_those_of_the_files(capsys):
    assert __main__.main(["sizes"]) == 0
    rows = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    counted = {folder: lines for lines, _, folder in rows[1:] if folder in {"minigrad/ops", "nn"}}
    for module, name in ((mg.ops, "minigrad/ops"), (nn, "nn")):
        texts = [path.read_text("utf-8") for path in Path(module.__file__).parent.glob("*.py")]
        assert counted[name] == f"{sum(len(text.splitlines()) for text in texts):,}"


# products


def test_openblas_can_be_told_to_use_one_thread():
    library = openblas.openblas()
    if library is None:
        pytest.skip("this NumPy brought no OpenBLAS")
    assert library.kernel.isprintable()
    assert library.kernel
    threads_of, set_threads = map(library._function, ("get_num_threads", "set_num_threads"))
    before = threads_of()
    try:
        set_threads(2)
        with library.one_thread():
            assert threads_of() == 1
        assert threads_of() == 2
    finally:
        set_threads(before)


def test_products_are_measured_with_one_thread_and_with_all(monkeypatch):
    monkeypatch.setattr(products, "_TURNS", 2)
    library, before = openblas.openblas(), mg.get_num_threads()
    try:
        mg.set_num_threads(2)
        found = products.measure(library)
        assert mg.get_num_threads() == 2
    finally:
        mg.set_num_threads(before)
    assert [r.threads for r in found] == ["1 thread", "2 threads"][library is None :]
    assert all(r.numpy > 0 and r.own > 0 for r in found)


HASWELL = SimpleNamespace(kernel="Haswell")
SLOW = [Rates("1 thread", 50, 100)]
FAST = [Rates("1 thread", 71, 100)]


@pytest.mark.parametrize(
    ("rates", "library", "vector_bytes", "advice"),
    [
        (FAST, HASWELL, 64, None),
        ([*FAST, Rates("2 threads", 1, 100)], HASWELL, 64, None),
        (
            SLOW,
            HASWELL,
            64,
            "at 50% .* has AVX-512: set .* OPENBLAS_CORETYPE=SkylakeX before NumPy",
        ),
        (SLOW, HASWELL, 32, "kernel for Haswell; the .* OPENBLAS_CORETYPE, .* chooses another"),
        (SLOW, None, 64, "not those of the OpenBLAS .*: try pip install"),
    ],
)
def test_hint(rates, library, vector_bytes, advice):
    found = products.hint(rates, library, vector_bytes)
    assert found is None if advice is None else re.search(advice, found)


# warmup


@pytest.mark.full
def test_after_warming_up_nothing_is_left_to_compile(capsys, cache, monkeypatch):
    sizes = ["--input-size", "3", "--hidden-size", "11"]
    assert __main__.main(["warmup", "--cells", "gru", *sizes]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" *[\d.]+ s  float32: what all loops share, and large products", first)
    assert re.fullmatch(r" *[\d.]+ s  float32: gru, 3 inputs, 11 units", second)
    assert re.fullmatch(rf"compiled in [\d.]+ s, kept in {cache}", last)
    compiled = set(cache.iterdir())
    assert compiled
    words, layers = nn.Embedding(7, 3), [nn.GRU(3, 11), nn.GRU(3, 11, 2, bidirectional=True)]
    mask = np.arange(10).reshape(5, 2) % 3 > 0
    for layer, given in itertools.product(layers, ({}, {"lengths": [5, 2]}, {"mask": mask})):
        for behind in (False, True) * 3:
            x = words(mg.zeros((5, 2), dtype="int64")) if behind else mg.ones((5, 2, 3))
            mg.sum(layer(x, **given)[0]).backward()
            with mg.no_grad():
                layer(x.detach(), **given)
                if not layer.bidirectional:
                    layer.step(x[0].detach())
    mg.sum(nn.Linear(64, 64)(mg.ones((4096, 64), requires_grad=True))).backward()
    assert set(cache.iterdir()) == compiled


def test_a_cache_that_cannot_be_written_is_told_in_one_line(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert __main__.main(["warmup"]) == 1
    out, told = capsys.readouterr()
    assert out == ""
    assert told.startswith(
        "python -m minigrad warmup: the cache cannot be written: [Errno 20] Not a"
    )
    assert told.endswith("; set MINIGRAD_CACHE_DIR to a folder that can be written\n")
    assert told.count("\n") == 1
