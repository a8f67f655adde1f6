"""The compiled loop: equal to the reference in values and gradients, with lengths, masks and resets."""

import os
import platform
import subprocess
import sys
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, KernelError
from minigrad.kernels import scan
from minigrad.kernels.cpu import workspaces
from minigrad.kernels.cpu.simd.instruction_set import vector_bytes
from minigrad.kernels.runtime import programs as compile_module
from minigrad.kernels.runtime.switch import Switch, switch
from minigrad.kernels.targets import runs
from minigrad.op import Domain, Op

pytestmark = pytest.mark.filterwarnings("error")


def with_all_segments(x, h, c, *, w, v, gain, peephole, start):
    """Two products, one in the middle; softmax; sums over columns; parts of columns; a mask."""
    joined = mg.concat([x, h], axis=-1) @ w
    gate, candidate, rest = joined[:, :7], joined[:, 7:14], joined[:, 14:]
    gate = mg.sigmoid(gate + peephole * c)
    inner = (gate * c) @ v + start
    centred = inner - mg.mean(inner, axis=-1, keepdims=True)
    normed = centred / mg.sqrt(mg.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * gain
    attention = mg.softmax(rest, axis=-1)
    c = gate * c + (1 - gate) * mg.tanh(candidate + normed)
    chosen = mg.where(c > 0, c, 0.1 * c) + mg.gelu(normed)
    total = mg.max(attention, axis=-1, keepdims=True) + mg.min(c, axis=-1, keepdims=True)
    return mg.concat([chosen, attention], axis=-1) * total, c


def with_two_readers(x, a, b, c, *, p, q):
    """Two products read one value, whose cotangent is the sum of two products, and one more term."""
    a = mg.tanh(a + x)
    return a, mg.tanh(a @ p), mg.tanh(a @ q)


SHAPES = {"w": (13, 17), "v": (7, 7), "gain": (7,), "peephole": (7,), "start": (7,)}
CASES = {
    "lstm-float32": (
        nn.cells.lstm,
        "float32",
        3,
        (21, 21),
        nn.cells.lstm.initial_parameters(3, 21),
    ),
    "gru-float64": (nn.cells.gru, "float64", 3, (21,), nn.cells.gru.initial_parameters(3, 21)),
    "all-float64": (with_all_segments, "float64", 3, (10, 7), SHAPES),
    "readers-float64": (
        with_two_readers,
        "float64",
        2,
        (2, 1, 1),
        {"p": (2, 1), "q": (2, 1)},
    ),
}


def options_for(kind, steps, rows, rng):
    if kind == "whole":
        return {}
    if kind == "reverse":
        return {"reverse": True}
    return {
        "lengths": rng.integers(0, steps + 1, size=rows),
        "mask": rng.random((steps, rows)) < 0.8,
        "reset": rng.random((steps, rows)) < 0.3,
        "reverse": kind == "broken, reverse",
    }


@pytest.mark.full(but=["lstm-float32"])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_reference(name):
    step, dtype, width, widths, shapes = CASES[name]
    rng = np.random.default_rng(0)
    tolerance = (
        {"rtol": 1e-9, "atol": 1e-10} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-5}
    )

    def draw(*shape):
        return mg.tensor(rng.uniform(-0.7, 0.7, shape), dtype=dtype, requires_grad=True)

    params = {key: draw(*shape) for key, shape in shapes.items()}
    kinds = ["whole", "reverse", "broken", "broken, reverse"]
    for kind in kinds:
        for steps, rows in [(5, 6), (1, 1), (3, 19)]:
            x, state = draw(steps, rows, width), tuple(draw(rows, w) for w in widths)
            options = options_for(kind, steps, rows, rng)
            inputs = [x, *state, *params.values()]
            found = []
            for compile in ("require", "never"):
                outputs, final = scan(step, x, state, params, compile=compile, **options)
                results = [outputs, *final]
                loss = sum(mg.sum(mg.sin(r)) for r in results)
                gradients = mg.grad(loss, inputs, allow_unused=True)
                zeros = map(mg.zeros_like, inputs)
                gradients = [z if g is None else g for g, z in zip(gradients, zeros, strict=True)]
                found.append([r.detach().numpy() for r in (*results, *gradients)])
            for a, b in zip(*found, strict=True):
                np.testing.assert_allclose(a, b, **tolerance, err_msg=f"{kind} {steps} {rows}")


def test_results_do_not_depend_on_the_number_of_threads():
    step, dtype, width, widths, shapes = CASES["lstm-float32"]
    params = {
        key: mg.randn(*shape, dtype=dtype, requires_grad=True) for key, shape in shapes.items()
    }
    x, state = (
        mg.randn(5, 7, width, dtype=dtype),
        tuple(mg.randn(7, w, dtype=dtype) for w in widths),
    )
    before, found = mg.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            mg.set_num_threads(number)
            outputs, _ = scan(step, x, state, params, compile="require")
            gradients = mg.grad(mg.sum(outputs), list(params.values()))
            found.append([outputs.tolist(), *(g.tolist() for g in gradients)])
    finally:
        mg.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.full(but=["options0"])
@pytest.mark.parametrize("options", [{}, {"lengths": [4, 9, 0, 7, 2]}, {"reverse": True}])
def test_what_is_read_may_be_a_slice_of_columns(options):
    """So are the gradients of outputs that are concatenated. Here, no slice begins on a cache line."""
    params = {
        name: mg.randn(*shape, dtype="float64", requires_grad=True)
        for name, shape in nn.cells.gru.initial_parameters(3, 21).items()
    }
    whole = mg.randn(9, 5, 8, dtype="float64", requires_grad=True)
    h, weight = mg.randn(5, 21, dtype="float64"), mg.randn(9, 5, 50, dtype="float64")
    found = []
    for way in ("require", "never"):
        one, _ = scan(nn.cells.gru, whole[..., 1:4], h, params, compile=way, **options)
        two, _ = scan(nn.cells.gru, whole[..., 5:], h, params, compile=way, **options)
        joined = mg.concat([whole, one, two], axis=-1)
        gradients = mg.grad(mg.sum(joined * weight), [whole, *params.values()])
        found.append([joined.detach().numpy(), *(g.numpy() for g in gradients)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_results_with_lengths_do_not_depend_on_the_number_of_threads():
    params = {
        name: mg.randn(*shape, dtype="float64", requires_grad=True)
        for name, shape in nn.cells.lstm.initial_parameters(3, 21).items()
    }
    x, h, c = (mg.randn(*shape, dtype="float64") for shape in [(9, 7, 3), (7, 21), (7, 21)])
    before, found = mg.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            mg.set_num_threads(number)
            lengths = [9, 1, 4, 0, 7, 7, 2]
            outputs, _ = scan(nn.cells.lstm, x, (h, c), params, lengths=lengths, compile="require")
            gradients = mg.grad(mg.sum(mg.sin(outputs)), list(params.values()))
            found.append([outputs.tolist(), *(g.tolist() for g in gradients)])
    finally:
        mg.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_what_others_leave_in_a_workspace_disturbs_no_loop(monkeypatch):
    """Products of the engine use the same memory; the barrier of the loops lies beside it."""
    monkeypatch.setattr(runs, "threads_for", lambda operations: mg.get_num_threads())
    layer, x, before = nn.LSTM(3, 21), mg.randn(5, 40, 3), mg.get_num_threads()
    mg.set_num_threads(2)
    try:
        found = []
        for _ in range(3):
            outputs, _ = layer(x)
            found.append(mg.grad(mg.sum(outputs), [layer.weight_hh_l0])[0].numpy())
            workspace = workspaces.borrow(1)
            workspace.memory[workspace.skipped :] = 255
            workspaces.give_back(workspace)
    finally:
        mg.set_num_threads(before)
    assert np.isfinite(found[0]).all()
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="has no AVX2")
@pytest.mark.skipif(vector_bytes() == 32, reason="the other tests have run on AVX2")
def test_loops_compiled_for_avx2_pass_the_same_tests(tmp_path):
    settings = {
        "NUMBA_CPU_NAME": "x86-64-v3",  # with the features that the name implies
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "MINIGRAD_CACHE_DIR": str(tmp_path / "minigrad"),
    }
    chosen = "equals_the_reference or number_of_threads or leave_in_a_workspace"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, __file__],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout


def test_gradients_behind_the_loop_do_not_read_absent_rows():
    def step(x, h):
        parts = mg.reshape(x, (x.shape[0], 2, 3))
        return mg.tanh(h + mg.mean(mg.log(parts), axis=1))

    x = mg.rand(3, 2, 6, dtype="float64", requires_grad=True) + 0.5
    mask = [[True, True], [True, False], [True, True]]
    outputs, _ = scan(step, x, mg.zeros((2, 3), dtype="float64"), mask=mask, compile="require")
    (g,) = mg.grad(mg.sum(outputs), [x])
    assert np.isfinite(g.numpy()).all()


def test_second_derivatives_go_through_the_loop_of_tensors():
    step, dtype, width, widths, shapes = CASES["gru-float64"]
    params = {
        key: mg.rand(*shape, dtype=dtype, requires_grad=True) for key, shape in shapes.items()
    }
    x, h = mg.rand(3, 2, width, dtype=dtype), mg.rand(2, *widths, dtype=dtype)
    found = []
    for compile in ("require", "never"):
        outputs, _ = scan(step, x, h, params, compile=compile)
        (g,) = mg.grad(mg.sum(outputs**2), params["weight_hh"], create_graph=True)
        found.append(mg.grad(mg.sum(g * g), params["weight_hh"])[0].numpy())
    np.testing.assert_allclose(*found, rtol=1e-9)


@pytest.mark.parametrize(
    ("step", "state", "reason"),
    [
        (lambda x, h: mg.cumulative_sum(h, axis=-1), (2, 3), "cumulative_sum has no place in a"),
        (lambda x, h: h / x.shape[0], (2, 3), "something else for another number of rows"),
        (lambda x, h: h * (2.0 if x.shape[0] == 2 else 1.0), (2, 3), "for another number of rows"),
        (lambda x, h: x + mg.sum(h, axis=-1)[:, None], (2, 3), "only the last axis, with keepdims"),
        (lambda x, h: x[:, :2] + h[:, ::2], (2, 2), "only neighbouring columns"),
        (lambda x, h: mg.nextafter(h, x), (2, 3), "nextafter has no place in a"),
        (lambda x, h: h + mg.sum(x, axis=-1, keepdims=True, dtype="int64"), (2, 3), "only truth"),
        (lambda x, h: h * 1.0, (2, 3, 4), r"have the shape \(N, width\)"),
    ],
)
def test_what_cannot_be_compiled_says_why(step, state, reason):
    x, h = mg.ones((2, 2, 3)), mg.ones(state)
    with pytest.raises(
        KernelError, match=f"scan of step '<lambda>' cannot be compiled: .*{reason}"
    ):
        scan(step, x, h, compile="require")


def test_a_parameter_with_a_row_for_each_sequence_is_not_compiled():
    x, h, w = mg.ones((2, 4, 3)), mg.ones((4, 3)), {"w": mg.ones((4, 3))}
    with pytest.raises(KernelError, match="cannot be traced with another number of rows"):
        scan(lambda x, h, *, w: h + x * w, x, h, w, compile="require")


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_a_matrix_of_another_dtype_is_not_compiled(dtype):
    x, h = mg.ones((2, 4, 3), dtype="float64"), mg.ones((4, 3), dtype="float64")
    w = {"w": mg.ones((3, 3), dtype=dtype)}
    for step in (lambda x, h, *, w: h @ w + x, lambda x, h, *, w: (x > 0) @ w + h):
        with pytest.raises(KernelError, match="in the dtype of the first state alone, float64"):
            scan(step, x, h, w, compile="require")


def test_sums_over_rows_in_two_dtypes():
    """A product before the loop, in single precision: its gradient is no sum of double precision."""

    def step(x, h, *, w, v):
        return mg.tanh(h @ v + mg.astype(x @ w, "float64"))

    rng = np.random.default_rng(0)
    x, w = (mg.tensor(rng.normal(size=s), dtype="float32", requires_grad=True)
            for s in [(3, 2, 7), (7, 5)])  # fmt: skip
    h, v = (mg.tensor(rng.normal(size=s), requires_grad=True) for s in [(2, 5), (5, 5)])
    found = []
    for compile in ("require", "never"):
        outputs, _ = scan(step, x, h, {"w": w, "v": v}, compile=compile)
        gradients = mg.grad(mg.sum(mg.sin(outputs)), [x, h, w, v])
        found.append([r.detach().numpy() for r in (outputs, *gradients)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_functions_of_the_array_api_and_sums_of_a_dtype_are_compiled():
    def step(x, h):
        above = mg.sum(h > x, axis=-1, keepdims=True, dtype="float64")
        return (
            mg.copysign(mg.log10(2 + h * h), x)
            + mg.signbit(h)
            + mg.sum(x, axis=-1, keepdims=True, dtype=x.dtype) * above
        )

    x, h = (mg.randn(*s, dtype="float64", requires_grad=True) for s in [(3, 2, 3), (2, 3)])
    found = []
    for compile in ("require", "never"):
        outputs, _ = scan(step, x, h, compile=compile)
        found.append(
            [outputs.detach().numpy(), *(g.numpy() for g in mg.grad(mg.sum(outputs), [x, h]))]
        )
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_nothing_to_compute_is_not_compiled():
    x, h = mg.ones((0, 2, 3)), mg.ones((2, 3))
    outputs, final = scan(lambda x, h: h + x, x, h, compile="require")
    assert outputs.shape == (0, 2, 3)
    assert final.tolist() == h.tolist()
    x, w = mg.full((2, 2, 3), np.nan, requires_grad=True), mg.ones(3, requires_grad=True)
    outputs, final = scan(
        lambda x, h, *, w: h + x * w, x, h, {"w": w}, lengths=[0, 0], compile="require"
    )
    gradients = mg.grad(mg.sum(outputs) + mg.sum(final), [x, w], allow_unused=True)
    assert all(g is None or not g.numpy().any() for g in gradients)


AUTOMATIC = """
import sys, warnings
import minigrad as mg
from minigrad.kernels import scan
assert "numba" not in sys.modules
scan(lambda x, h: mg.tanh(h + x), mg.ones((2, 2, 3)), mg.ones((2, 3)))
assert "numba" in sys.modules
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(2):
        scan(lambda x, h: mg.cumulative_sum(h, axis=-1), mg.ones((2, 2, 3)), mg.ones((2, 3)))
print([str(w.message) for w in told])
"""


def test_numba_is_loaded_when_the_first_loop_is_compiled():
    done = subprocess.run(
        [sys.executable, "-c", AUTOMATIC], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        "[\"scan of step '<lambda>' cannot be compiled: cumulative_sum has no place in a compiled "
        'loop; it is interpreted instead"]'
    )


def test_an_interpreted_loop_warns_of_nothing(interpreted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan(lambda x, h: mg.cumulative_sum(h, axis=-1), mg.ones((2, 2, 3)), mg.ones((2, 3)))


@pytest.mark.full
def test_a_step_may_have_axes_of_all_small_sizes():
    def step(x, h):
        for width in range(2, 45):
            h = h + mg.sum(mg.concat([x] * width, axis=-1)[:, :width], axis=-1, keepdims=True)
        return h

    x, h = mg.rand(2, 2, 3, dtype="float64"), mg.rand(2, 3, dtype="float64")
    found = [scan(step, x, h, compile=way)[1].numpy() for way in ("require", "auto")]
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_what_does_not_depend_on_the_states_may_be_anything():
    """Lookups, and axes that a loop does not know, are computed before it, and differentiated behind."""

    def step(word, image, h, *, table, w):
        found = mg.embedding(word, table)
        pooled = mg.mean(mg.reshape(image, (image.shape[0], 4, 3)) ** 2, axis=1)
        return mg.tanh(found + pooled + h @ w)

    rng = np.random.default_rng(0)
    words = mg.tensor(rng.integers(0, 7, (5, 6)))
    image = mg.tensor(rng.normal(size=(5, 6, 12)), requires_grad=True)
    h = mg.tensor(rng.normal(size=(6, 3)), requires_grad=True)
    params = {
        "table": mg.tensor(rng.normal(size=(7, 3)), requires_grad=True),
        "w": mg.tensor(rng.normal(size=(3, 3)), requires_grad=True),
    }
    for options in ({}, {"lengths": [5, 0, 3, 5, 2, 1], "mask": rng.random((5, 6)) < 0.7}):
        found = []
        for compile in ("require", "never"):
            outputs, final = scan(step, (words, image), h, params, compile=compile, **options)
            loss = mg.sum(mg.sin(outputs)) + mg.sum(final)
            gradients = mg.grad(loss, [image, h, *params.values()])
            found.append([r.detach().numpy() for r in (outputs, final, *gradients)])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_an_op_that_is_not_in_the_table_is_compiled_by_its_formula():
    own = Op("own", lambda m, x: m.tanh(x) * x, (lambda m, g, y, x: g * x,), domain=Domain(),
             elementwise=True)  # fmt: skip
    x, h = mg.rand(3, 2, 5, dtype="float64"), mg.rand(2, 5, dtype="float64", requires_grad=True)
    found = []
    for compile in ("require", "never"):
        outputs, _ = scan(lambda x, h: own(x + h), x, h, compile=compile)
        (g,) = mg.grad(mg.sum(outputs), [h])
        found.append((outputs.detach().numpy(), g.numpy()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_another_number_of_rows_or_an_equal_step_compiles_nothing_new(monkeypatch):
    made = []
    original = compile_module.make_program
    monkeypatch.setattr(compile_module, "make_program", lambda *a: made.append(1) or original(*a))
    factor = 1.25  # what a closure holds may change, so this step is traced each time
    for rows in (2, 5, 2, 3):
        scan(
            lambda x, h: h * factor + x,
            mg.ones((2, rows, 7)),
            mg.ones((rows, 7)),
            compile="require",
        )
    assert len(made) == 1


LAYER = """
import sys, warnings
import minigrad as mg
from minigrad import nn
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    layer = nn.LSTM(3, 4)
    for _ in range(3):
        layer(mg.randn(5, 2, 3))[0].sum().backward()
with mg.no_grad():
    layer.step(mg.randn(2, 3))
print("numba" in sys.modules, *(warning.message for warning in caught))
"""


NUMBA_IS_OFF = (
    "Numba's compiler is turned off (NUMBA_DISABLE_JIT): every loop is interpreted, as with "
    "MINIGRAD_COMPILE=0"
)


@pytest.mark.full(but=["environment0-False"])
@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"MINIGRAD_COMPILE": "0"}, "False"),
        ({"MINIGRAD_COMPILE": "1"}, "True"),
        ({"NUMBA_DISABLE_JIT": "0"}, "True"),
        ({"NUMBA_DISABLE_JIT": "1"}, f"False {NUMBA_IS_OFF}"),
        ({"NUMBA_DISABLE_JIT": "1", "MINIGRAD_COMPILE": "off"}, "False"),
    ],
)
def test_the_environment_turns_the_compiler_off_for_a_process(environment, told):
    done = subprocess.run(
        [sys.executable, "-c", LAYER],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == told


@pytest.mark.parametrize(
    ("value", "is_off"),
    [
        *[(value, True) for value in ("0", "off", "false", "no", "OFF", " No ")],
        *[(value, False) for value in ("1", "on", "true", "yes", "True", "")],
    ],
)
def test_words_turn_the_compiler_on_and_off(value, is_off, monkeypatch):
    monkeypatch.setenv("MINIGRAD_COMPILE", value)
    assert Switch().is_off == is_off


@pytest.mark.parametrize("value", ["never", "2", "-1", "of"])
def test_other_words_are_refused_at_the_first_loop(value, monkeypatch):
    monkeypatch.setenv("MINIGRAD_COMPILE", value)
    monkeypatch.setattr(switch, "__dict__", {})
    refused = f"MINIGRAD_COMPILE must be one of 1, on, true, yes .*, not '{value}'; correct it"
    for _ in range(2):
        with pytest.raises(ArgumentError, match=refused):
            nn.GRU(2, 3)(mg.ones((2, 2, 2)))


def test_numba_may_be_told_while_it_runs(monkeypatch):
    monkeypatch.delenv("MINIGRAD_COMPILE", raising=False)
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    switched = Switch()
    with pytest.warns(UserWarning, match="NUMBA_DISABLE_JIT"):
        assert switched.is_off
    assert switched.is_off  # and says it once
