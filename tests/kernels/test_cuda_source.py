"""The CUDA text: compiled by g++, run on a stand-in for a GPU, and equal to NumPy."""

import ctypes
import inspect
import math
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.backends import backend_named
from minigrad.graph import Var, ops
from minigrad.kernels.cuda.functions import REALS
from minigrad.kernels.cuda.source import Argument, cuda_source
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.plan.program import make_program
from minigrad.kernels.plan.scalar import FUNCTIONS
from minigrad.op import OPS
from minigrad.testing.steps import random_steps

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
M = backend_named("numpy").namespace
DTYPES = ("float32", "float64")
ROWS = 7919  # the size of no other axis in these tests
TOLERANCE = {
    "float64": {"rtol": 1e-9, "atol": 1e-10},
    "float32": {"rtol": 2e-4, "atol": 2e-5},
}

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
        flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off"]
        warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-variable"]  # zeros_like reads none
        command = ["g++", *flags, *warnings, "-o", source.with_suffix(".so"), source]
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


# sweeps


def columns(arrays, place, width):
    """Return the columns of a place; parameters are a row for all."""
    array = np.atleast_2d(arrays[Argument(place.buffer, "next" if place.next else "")])
    return array[:, place.offset : place.offset + width]


def run_by_numpy(sweep, arrays):
    """What a sweep means, for all rows."""
    values = {v: columns(arrays, at, (v.shape or (1,))[-1]) for v, at in sweep.loads.items()}
    values = {v: a != 0 if v.dtype == bool else a for v, a in values.items()}
    for node in sweep.nodes:
        args = [values[i] if isinstance(i, Var) else i for i in node.inputs]
        attributes = dict(node.attributes)
        if node.op.name == "broadcast_to":
            attributes["shape"] = (len(args[0]), *attributes["shape"][1:])
        values[node.outputs[0]] = node.op.fn(M, *args, **attributes)
    for value, place in sweep.stores:
        given = values[value] if isinstance(value, Var) else value
        columns(arrays, place, sweep.width)[...] = given
    for node, place in sweep.reductions:
        columns(arrays, place, 1)[...] = node.op.fn(M, values[node.inputs[0]], **node.attributes)


def random_arrays(kernel, rows, dtype, rng):
    """Return what a kernel reads and writes: small numbers, a third of them zero."""
    arrays = {}
    for argument in kernel.arguments:
        buffer = argument.buffer
        shape = (buffer.width,) if buffer.kind == "vector" else (rows, buffer.width)
        arrays[argument] = (rng.normal(size=shape) * (rng.random(shape) < 0.7)).astype(dtype)
    return arrays


def program_of(step, inputs, states, parameters, dtype, broken=True):
    """Return the program of a step, with gradients for everything."""
    kind = np.dtype(dtype)
    xs = [Var((ROWS, w), kind, f"x{i}") for i, w in enumerate(inputs)]
    hs = [Var((ROWS, w), kind, f"h{i}") for i, w in enumerate(states)]
    ps = {name: Var(tuple(shape), kind, name) for name, shape in parameters.items()}
    graph = trace(step, xs, hs, ps)
    numbers = range(len(graph.inputs))
    wanted = [*numbers[: len(xs)], *numbers[len(xs) + len(hs) :]]
    return make_program(graph, len(xs), len(hs), wanted, broken)


def compare(compiled, step, inputs, states, parameters, rows=3, dtype="float64"):
    """Compare the kernels of a step, forwards and backwards, with NumPy."""
    rng = np.random.default_rng(0)
    program = program_of(step, inputs, states, parameters, dtype)
    for plan in (program.loop, program.backward.loop):
        source = cuda_source(plan)
        launch = compiled(source)
        for phase, kernels in zip(plan.phases, source.phases, strict=True):
            for sweep, kernel in zip(phase.sweeps.values(), kernels, strict=True):
                compare_sweep(launch, kernel, sweep, rows, dtype, rng)


def compare_sweep(launch, kernel, sweep, rows, dtype, rng):
    arrays = random_arrays(kernel, rows, dtype, rng)
    before = {argument: array.copy() for argument, array in arrays.items()}
    whole = {argument: array.copy() for argument, array in arrays.items()}
    with np.errstate(all="ignore"):
        run_by_numpy(sweep, whole)
    present = rng.random(rows) < 0.6
    for flags in (present, None):  # first some rows, then all
        launch(kernel, rows, flags, arrays)
        for argument, array in arrays.items():
            expected = whole[argument]
            if flags is not None and argument.buffer.kind != "vector":
                expected = np.where(present[:, None], expected, before[argument])
            np.testing.assert_allclose(array, expected, **TOLERANCE[dtype], err_msg=argument.name)


CASES = [*((name, "float64") for name in nn.cells.CELLS), ("layer_norm_lstm", "float32")]


@compiled_here
@pytest.mark.full(but=["lstm-float64", "layer_norm_lstm-float32"])
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_cells(compiled, name, dtype):
    cell = nn.cells.CELLS[name]
    starts = cell.initial_parameters(3, 5)
    shapes = {n: s.shape if isinstance(s, mg.Tensor) else s for n, s in starts.items()}
    compare(compiled, cell, [3], cell.state_widths(5), shapes, dtype=dtype)


def with_sums(x, h, *, w, gain):
    """Sums, largest and smallest elements over more columns than a block has threads; a choice."""
    wide = mg.tanh(h @ w)
    centred = wide - mg.mean(wide, axis=-1, keepdims=True)
    largest = mg.max(wide - 2, axis=-1, keepdims=True)  # negative, and a positive smallest one
    smallest = mg.min(wide + 2, axis=-1, keepdims=True)
    chosen = mg.where(mg.logical_xor(centred > 0, wide > 0.3), largest * gain, smallest)
    return mg.softmax(h, axis=-1) * mg.sum(chosen * centred, axis=-1, keepdims=True) + x


@compiled_here
@pytest.mark.full(but=["33"])
@pytest.mark.parametrize("width", [1, 33, 300])
def test_sums_over_a_row(compiled, width):
    compare(compiled, with_sums, [5], [5], {"w": (5, width), "gain": (width,)}, rows=4)


@compiled_here
@settings(max_examples=max(2, settings.default.max_examples // 3))  # each compiles two texts
@given(step=random_steps(), rows=st.integers(1, 3))
def test_random_steps(compiled, step, rows):
    compare(compiled, step, step.inputs, step.states, step.parameters, rows)


@compiled_here
def test_absent_and_fresh_rows(compiled):
    """With more elements than a block has threads, and states of different widths."""
    rows, rng = 30, np.random.default_rng(0)
    step = program_of(
        lambda x, a, b: (mg.tanh(a + x), b[:, :1] * x[:, :5]), [21], [21, 5], {}, "float64"
    )
    for plan in (step.loop, step.backward.loop):
        source = cuda_source(plan)
        launch = compiled(source)
        flags = rng.random(rows) < 0.5
        for kernel in (source.refresh, source.carry, source.release):
            arrays = random_arrays(kernel, rows, plan.dtype, rng)
            expected = {argument: array.copy() for argument, array in arrays.items()}
            for state in plan.states:
                now, following, first = (Argument(state, part) for part in ("", "next", "first"))
                if kernel is source.refresh:
                    expected[now][flags] = expected[first][flags]
                elif kernel is source.carry:
                    expected[following][~flags] = expected[now][~flags]
                else:
                    expected[first][flags] += expected[following][flags]
                    expected[following][flags] = 0
            if kernel is source.carry:
                for stored in plan.stored.values():
                    expected[Argument(stored)][~flags] = 0
            launch(kernel, rows, flags, arrays)
            for argument, array in arrays.items():
                np.testing.assert_array_equal(array, expected[argument], err_msg=argument.name)


# functions

# Rounded correctly by C, so equal to NumPy's to the last bit.
EXACT = frozenset(
    """
    add subtract multiply divide negative positive remainder floor_divide square reciprocal sqrt abs sign
    copysign floor ceil round trunc maximum minimum where zeros_like equal not_equal less less_equal
    greater greater_equal isnan isinf isfinite logical_and logical_or logical_xor logical_not
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


NAMES = sorted(FUNCTIONS)


def every_function(x, y, *_):
    """Return both arguments and what each function makes of them; truth as 1 and 0."""
    results = [getattr(ops, name)(*arguments_of(name, x, y)) for name in NAMES]
    return (x, y, *(ops.astype(r, dtype=x.dtype) for r in results))


@cache
def plan_of_functions(dtype):
    return program_of(every_function, [], [1] * (2 + len(NAMES)), {}, dtype).loop


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
    return [a.reshape(-1, 1).copy() for a in np.meshgrid(some, some)]


@pytest.fixture(scope="session", params=DTYPES)
def functions(compiled, request):
    """Return arguments and what the kernels make of them."""
    plan, (x, y) = plan_of_functions(request.param), values(request.param)
    source = cuda_source(plan)
    launch = compiled(source)
    kernels = sum(source.phases, ())
    arrays = {argument: np.empty_like(x) for kernel in kernels for argument in kernel.arguments}
    arrays.update({Argument(plan.states[0]): x, Argument(plan.states[1]): y})
    for kernel in kernels:
        launch(kernel, len(x), None, arrays)
    results = (arrays[Argument(state, "next")] for state in plan.states[2:])
    return (x, y), dict(zip(NAMES, results, strict=True))


@compiled_here
@pytest.mark.parametrize("name", NAMES)
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
    shapes = nn.cells.gru.initial_parameters(3, 21)
    program = program_of(nn.cells.gru, [3], [21], shapes, "float32", broken=False)
    loops = {"forward": program.loop, "backward": program.backward.loop}
    return {f"gru_{name}_cuda.txt": cuda_source(loop).text for name, loop in loops.items()}


@pytest.mark.quick
def test_the_text_is_the_one_that_is_kept():
    for file, text in sources().items():
        kept = (GOLDEN / file).read_text(encoding="utf-8")
        assert text == kept, f"{file} changed; if it should, run python {Path(__file__).name}"


@compiled_by_nvcc
@pytest.mark.full
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_the_text_compiles_for_a_gpu(tmp_path, architecture):
    width = {"w": (5, 40), "gain": (40,)}
    plans = [plan_of_functions(dtype) for dtype in DTYPES]
    plans += [program_of(with_sums, [5], [5], width, dtype).loop for dtype in DTYPES]
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
