"""The CUDA text: compiled by g++, run on a stand-in for a GPU, and equal to the loop of tensors."""

import ctypes
import inspect
import math
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.backends import backend_named
from minigrad.dispatch import interpreting
from minigrad.graph import Recorder, Var, ops
from minigrad.kernels import Cell, scan
from minigrad.kernels.emit.cuda_functions import REALS
from minigrad.kernels.emit.cuda_source import Argument, cuda_source
from minigrad.kernels.plan import plan_loop
from minigrad.kernels.program import make_program
from minigrad.kernels.scalar import FUNCTIONS
from minigrad.kernels.trace import trace
from minigrad.op import OPS
from minigrad.testing.steps import random_steps

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
M = backend_named("numpy").namespace
DTYPES = ("float32", "float64")
SCAN = sys.modules["minigrad.kernels.scan"]  # the function of that name hides the module

compiled_here = pytest.mark.skipif(
    shutil.which("g++") is None or sys.platform != "linux",
    reason="g++ on Linux compiles the CUDA text for the CPU; without it the text is not run",
)
compiled_by_nvcc = pytest.mark.skipif(
    shutil.which("nvcc") is None, reason="nvcc, of the CUDA toolkit, is not installed"
)


# compiling and running


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Compile texts; return what launches their kernels."""
    folder = tmp_path_factory.mktemp("cuda")

    @cache
    def library(text, kernels):
        calls = []
        for kernel in kernels:
            arguments = ", ".join(f"p[{i}]" for i in range(len(kernel.arguments)))
            calls.append(
                f'extern "C" bool launch_{kernel.name}(unsigned blocks, unsigned threads, '
                "long long rows, const bool *flags, real **p)\n"
                f"{{ return shim::walk(blocks, threads, [=] {{ {kernel.name}(rows, flags, {arguments});"
                " }); }\n"
            )
        source = folder / f"{len(list(folder.iterdir()))}.cpp"
        source.write_text((HERE / "cuda_shim.hpp").read_text() + text + "\n".join(calls))
        flags = ["-std=c++17", "-O1", "-fPIC", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
        command = ["g++", *flags, "-shared", "-o", source.with_suffix(".so"), source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return ctypes.CDLL(str(source.with_suffix(".so")))

    def compile_source(source):
        kernels = (source.refresh, *sum(source.phases, ()), source.carry, source.release)
        made = library(source.text, kernels)

        def launch(kernel, rows, flags, arrays):
            used = [arrays[argument] for argument in kernel.arguments]
            assert all(a.flags.c_contiguous for a in used)
            function = getattr(made, f"launch_{kernel.name}")
            function.restype = ctypes.c_bool
            addresses = (ctypes.c_void_p * len(used))(*(a.ctypes.data for a in used))
            given = None if flags is None else flags.ctypes.data_as(ctypes.c_void_p)
            numbers = (kernel.blocks(rows), kernel.threads, ctypes.c_longlong(rows))
            assert function(*numbers, given, addresses), (
                f"{kernel.name}: a barrier for some threads"
            )

        return launch

    return compile_source


def columns(array, offset, width):
    return np.atleast_2d(array)[:, offset : offset + width]


def loop_on(compiled):
    """Return what runs the loop of a plan: the sweeps on kernels, the products by NumPy."""

    def run_loop(plan, steps, read, fixed, initial, *, reverse, backward, rows):
        source = cuda_source(plan)
        launch = compiled(source)
        count, dtype = initial[0].shape[0], plan.dtype
        stored = {
            v: np.full((steps, count, b.width), np.nan, dtype) for v, b in plan.stored.items()
        }
        read = {v: np.ascontiguousarray(a, dtype) for v, a in read.items()}
        arrays = {Argument(b): np.full((count, b.width), np.nan, dtype) for b in plan.scratch}
        for v, b in plan.fixed.items():
            shape = np.shape(fixed[v]) if b.kind == "matrix" else (-1,)
            arrays[Argument(b)] = np.ascontiguousarray(np.reshape(fixed[v], shape), dtype)
        for b, start in zip(plan.states, initial, strict=True):
            arrays[Argument(b)] = np.array(start, dtype)
            first = np.zeros_like(start) if backward else np.array(start, dtype)
            arrays[Argument(b, "first")] = first
        for t in range(steps)[:: -1 if reverse else 1]:
            present = None if rows is None else np.ascontiguousarray(rows.present[t])
            fresh = None if rows is None else np.ascontiguousarray(rows.fresh[t])
            arrays.update((Argument(b), read[v][t]) for v, b in plan.read.items())
            arrays.update((Argument(b), stored[v][t]) for v, b in plan.stored.items())
            for b in plan.states:
                arrays[Argument(b, "next")] = np.full((count, b.width), np.nan, dtype)
            if rows is not None and not backward:
                launch(source.refresh, count, fresh, arrays)
            for phase, kernels in zip(plan.phases, source.phases, strict=True):
                for p in phase.products:
                    left, target = (
                        columns(
                            arrays[Argument(at.buffer, "next" if at.next else "")], at.offset, w
                        )
                        for at, w in ((p.source, p.inner), (p.target, p.width))
                    )
                    target[...] = left @ arrays[Argument(p.matrix)]
                    if p.start is not None:
                        start = arrays[Argument(p.start.buffer)]
                        target += columns(start, p.start.offset, p.width)
                for kernel in kernels:
                    launch(kernel, count, present, arrays)
            if rows is not None:
                launch(source.carry, count, present, arrays)
                if backward:
                    launch(source.release, count, fresh, arrays)
            for b in plan.states:
                arrays[Argument(b)] = arrays[Argument(b, "next")]
        finals = [arrays[Argument(b)] for b in plan.states]
        return finals, [arrays[Argument(b, "first")] for b in plan.states], stored

    return run_loop


@pytest.fixture
def on_kernels(compiled, monkeypatch):
    """Let compiled loops run on the kernels."""
    target = SimpleNamespace(NAMESPACE=M, run_loop=loop_on(compiled))
    monkeypatch.setattr(SCAN, "_numba", lambda: target)


# whole loops

TOLERANCE = {
    "float64": {"rtol": 1e-9, "atol": 1e-10},
    "float32": {"rtol": 2e-4, "atol": 2e-5},
}


def compare(
    step, inputs, states, parameters, steps, rows, *, dtype="float64", reverse=False, masked=False
):
    """Compare a loop on kernels with the loop of tensors, values and gradients."""
    rng = np.random.default_rng(0)
    options = {"reverse": reverse}
    if masked:
        options["lengths"] = rng.integers(0, steps + 1, size=rows)
        options["mask"] = rng.random((steps, rows)) < 0.8
        options["reset"] = rng.random((steps, rows)) < 0.3

    def draw(*shape):
        return mg.tensor(rng.uniform(-1, 1, shape), dtype=dtype, requires_grad=True)

    xs = [draw(steps, rows, width) for width in inputs]
    state = [draw(rows, width) for width in states]
    params = {name: draw(*shape) for name, shape in parameters.items()}
    found = []
    for compile in ("require", "never"):
        outputs, final = scan(step, xs, state, params, compile=compile, **options)
        results = [r for r in (outputs, *final) if r.requires_grad]
        cotangents = [mg.cos(mg.reshape(mg.arange(r.size, dtype=dtype), r.shape)) for r in results]
        arguments = [*xs, *state, *params.values()]
        gradients = mg.grad(results, arguments, cotangents, allow_unused=True) if results else []
        all_results = (outputs, *final, *(mg.zeros(()) if g is None else g for g in gradients))
        found.append([r.detach().numpy() for r in all_results])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, **TOLERANCE[dtype])


CELLS = {name: c for name, c in vars(nn.cells).items() if isinstance(c, Cell)}


@compiled_here
@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CELLS)
def test_cells(name, dtype):
    cell = CELLS[name]
    starts = cell.initial_parameters(3, 5)
    shapes = {n: s.shape if isinstance(s, mg.Tensor) else s for n, s in starts.items()}
    inputs = [3] * len(cell.inputs)
    for masked, reverse in [(False, True), (True, False), (True, True)]:
        options = {"dtype": dtype, "reverse": reverse, "masked": masked}
        compare(cell, inputs, cell.state_widths(5), shapes, 4, 3, **options)


def with_sums(x, h, *, w, gain):
    """Sums, largest and smallest elements over more columns than a block has threads; a choice."""
    wide = mg.tanh(h @ w)
    centred = wide - mg.mean(wide, axis=-1, keepdims=True)
    largest = mg.max(wide - 2, axis=-1, keepdims=True)  # negative, and a positive smallest one
    smallest = mg.min(wide + 2, axis=-1, keepdims=True)
    chosen = mg.where(mg.logical_xor(centred > 0, wide > 0.3), largest * gain, smallest)
    return mg.softmax(h, axis=-1) * mg.sum(chosen * centred, axis=-1, keepdims=True) + x


@compiled_here
@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("width", [1, 33, 300, 600])
def test_sums_over_a_row(width):
    parameters = {"w": (5, width), "gain": (width,)}
    compare(with_sums, [5], [5], parameters, 3, 4, masked=True)


@compiled_here
@settings(max_examples=max(10, settings.default.max_examples // 3))  # each compiles two texts
@given(
    step=random_steps(),
    steps=st.integers(1, 4),
    rows=st.integers(1, 3),
    reverse=st.booleans(),
    masked=st.booleans(),
)
def test_random_steps(compiled, step, steps, rows, reverse, masked):
    with pytest.MonkeyPatch.context() as patch:
        target = SimpleNamespace(NAMESPACE=M, run_loop=loop_on(compiled))
        patch.setattr(SCAN, "_numba", lambda: target)
        sizes = (step.inputs, step.states, step.parameters, steps, rows)
        compare(step, *sizes, reverse=reverse, masked=masked)


# functions

# Rounded correctly by C, so equal to NumPy's to the last bit.
EXACT = frozenset(
    """
    add subtract multiply divide negative positive remainder floor_divide square reciprocal sqrt abs sign
    floor ceil round trunc maximum minimum where zeros_like equal not_equal less less_equal greater
    greater_equal isnan isinf isfinite logical_and logical_or logical_xor logical_not
    """.split()
)
ULPS = 4  # NumPy's own vector functions are that far off; those of the C library less
LOGICAL = frozenset({"logical_and", "logical_or", "logical_xor", "logical_not"})


def arity(name):
    return len(inspect.signature(OPS[name].fn).parameters) - 1


def arguments_of(name, x, y):
    """Return what a function is called with; truth values where it needs them."""
    given = [x, y][: arity(name)]
    if name == "where":
        return [x > 0, x, y]
    return [a > 0 for a in given] if name in LOGICAL else given


@cache
def plan_of_functions(dtype):
    """Plan a step that computes every function of two states."""
    x, y = (Var((7919, 1), np.dtype(dtype), name) for name in "xy")
    with interpreting(Recorder()) as recorder:
        results = {n: getattr(ops, n)(*arguments_of(n, x, y)) for n in sorted(FUNCTIONS)}
    return plan_loop(recorder.nodes, (x, y), (x, y), tuple(results.values()), set()), results


def values(dtype):
    """All pairs of some numbers, with the edges of the type among them."""
    limits = np.finfo(dtype)
    edges = [0.0, 1.0, 0.5, 2.0, 3.0, 7.0, 0.1, 1.5, 2.5, math.pi, 20.0, 88.0, 100.0, 709.0, 1e7]
    edges += [
        limits.tiny,
        limits.smallest_subnormal,
        3 * limits.smallest_subnormal,
        limits.tiny / 3,
    ]
    edges += [limits.eps, 1 - limits.epsneg, 1 + limits.eps, limits.max, limits.max / 2, math.inf]
    random = np.random.default_rng(0)
    edges += [*random.uniform(0, 4, 6), *10 ** random.uniform(-30, 30, 6)]
    some = np.array([*edges, *(-e for e in edges), math.nan], dtype)
    return (a.reshape(-1, 1).copy() for a in np.meshgrid(some, some))


@pytest.fixture(scope="session", params=DTYPES)
def functions(compiled, request):
    """Return arguments and what the kernels make of them."""
    plan, results = plan_of_functions(request.param)
    state = list(values(request.param))
    never = {"reverse": False, "backward": False, "rows": None}
    *_, stored = loop_on(compiled)(plan, 1, {}, {}, state, **never)
    return state, {name: stored[var][0] for name, var in results.items()}


@compiled_here
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions(functions, name):
    (x, y), results = functions
    found = results[name]
    wide = x.dtype if name in EXACT else np.float64
    with np.errstate(all="ignore"):
        arguments = arguments_of(name, x.astype(wide), y.astype(wide))
        expected = np.asarray(OPS[name].fn(M, *arguments)).astype(x.dtype)
        size = np.abs(expected)
        if name == "logaddexp":  # of two terms that may cancel
            size = np.maximum(size, np.maximum(np.abs(x), np.abs(y)))
        error = np.abs(found - expected) / np.spacing(size)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    wrong = ~same & ~(error <= (0 if name in EXACT else ULPS))
    assert not wrong.any(), np.hstack([x, y, found, expected])[wrong[:, 0]][:5].tolist()
    if name in EXACT - {"maximum", "minimum"}:  # which zero is the larger one is left open
        zero = (expected == 0) & same
        assert (np.signbit(found) == np.signbit(expected))[zero].all()


def test_numbers():
    float32, float64 = REALS["float32"], REALS["float64"]
    assert float32.number(2.0) == "2.0f"
    assert float32.number(-0.0) == "(-0.0f)"
    assert float32.number(1e300) == float32.infinity == "__int_as_float(0x7f800000)"
    assert float32.number(-1e300) == f"(-{float32.infinity})"
    assert float32.number(1e-300) == "0.0f"
    assert float64.number(-1e300) == "(-1e+300)"
    assert float64.number(math.nan) == float64.nan


# the text


def sources():
    """Return the text of both loops of a cell with 3 inputs and 21 units, in float32."""
    cell, kind = nn.cells.gru, np.dtype("float32")
    shapes = cell.initial_parameters(3, 21)
    parameters = {name: Var(tuple(shape), kind, name) for name, shape in shapes.items()}
    graph = trace(cell, [Var((7, 3), kind, "x")], [Var((7, 21), kind, "h")], parameters)
    program = make_program(graph, 1, 1, [0, *range(2, len(graph.inputs))])
    loops = {"forward": program.loop, "backward": program.backward.loop}
    return {f"gru_{name}_cuda.txt": cuda_source(loop).text for name, loop in loops.items()}


def test_the_text_is_the_one_that_is_kept():
    for file, text in sources().items():
        kept = (GOLDEN / file).read_text(encoding="utf-8")
        assert text == kept, f"{file} changed; if it should, run python {Path(__file__).name}"


@compiled_by_nvcc
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_the_text_compiles_for_a_gpu(tmp_path, architecture):
    plans = [plan_of_functions(dtype)[0] for dtype in DTYPES]
    texts = [*(cuda_source(plan).text for plan in plans), *sources().values()]
    for i, text in enumerate(texts):
        file = tmp_path / f"{i}.cu"
        file.write_text(text)
        options = [f"-arch={architecture}", "-Werror", "all-warnings", "-cubin"]
        command = ["nvcc", *options, "-o", file.with_suffix(".cubin"), file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    for file_name, content in sources().items():
        (GOLDEN / file_name).write_text(content, encoding="utf-8")
