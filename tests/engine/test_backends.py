# ruff: noqa: E501  programs in strings
"""The choice of array library and device, and CuPy's backend on a stand-in that is as strict as CuPy."""

import os
import pathlib
import subprocess
import sys
import textwrap
import threading

import numpy
import pytest

import minigrad as mg
from minigrad.backends import backend_named, backend_of, parse_device
from minigrad.errors import BackendError

STAND_INS = pathlib.Path(__file__).parent / "stand_ins"


def run(program, *paths, **environment):
    """Run a program in a process of its own, with ``paths`` searched first, and return what it prints."""
    kept = {k: v for k, v in os.environ.items() if k not in ("MINIGRAD_BACKEND", "PYTHONPATH")}
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**kept, **environment, "PYTHONPATH": os.pathsep.join(map(str, paths))},
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def on_stand_in(program, gpus=2):
    return run(program, STAND_INS, STAND_IN_GPUS=str(gpus))


# the choice


def test_numpy_is_the_default():
    assert mg.get_default_backend() == "numpy"
    assert mg.ones(2).device == "cpu"


def test_importing_minigrad_imports_no_cupy():
    assert run("import sys, minigrad; print('cupy' in sys.modules)", STAND_INS) == "False"


def test_cpu_work_never_imports_cupy():
    program = """
        import sys
        import minigrad as mg, numpy
        x = mg.randn(3, requires_grad=True)
        mg.tanh(x * numpy.ones(3)).sum().backward()
        x.to("cpu"), mg.from_dlpack(numpy.ones(3)), mg.asarray([1.0]), repr(x)
        print("cupy" in sys.modules)
    """
    assert run(program, STAND_INS) == "False"


def test_an_unknown_backend_is_refused_and_changes_nothing():
    with pytest.raises(BackendError, match="there is no backend 'nunpy'; did you mean 'numpy'"):
        mg.use_backend("nunpy")
    assert mg.get_default_backend() == "numpy"


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", ("numpy", 0)),
        ("cuda", ("cupy", 0)),
        ("cuda:0", ("cupy", 0)),
        ("cuda:12", ("cupy", 12)),
        (None, ("numpy", 0)),
    ],
)
def test_device_strings(device, expected):
    assert parse_device(device) == expected


@pytest.mark.parametrize(
    "device",
    ["gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1.0", "cuda1", "cpu:0", "", 0, ("cuda", 0)],
)
def test_wrong_device_strings(device):
    with pytest.raises(BackendError) as caught:
        mg.ones(1, device=device) if device is not None else None
    assert str(caught.value) == f'unknown device {device!r}; write "cpu", "cuda" or "cuda:1"'


def test_the_environment_chooses():
    program = "import minigrad as mg; print(mg.get_default_backend(), mg.ones(1).device)"
    assert run(program, STAND_INS, MINIGRAD_BACKEND="cupy") == "cupy cuda:0"
    assert run(program, STAND_INS, MINIGRAD_BACKEND="numpy") == "numpy cpu"
    assert run(program, STAND_INS, MINIGRAD_BACKEND="") == "numpy cpu"


def test_a_wrong_value_in_the_environment_is_named():
    program = """
        import minigrad as mg
        try:
            mg.ones(1)
        except mg.errors.BackendError as error:
            print(error)
    """
    assert run(program, MINIGRAD_BACKEND="coopy") == (
        "MINIGRAD_BACKEND is 'coopy'; did you mean 'cupy'?; set it to one of numpy, cupy, or unset it"
    )


def test_use_backend_as_a_call_and_as_a_block():
    program = """
        import minigrad as mg
        d = lambda: mg.ones(1).device
        seen = [d()]
        with mg.use_backend("cupy"):
            seen.append(d())
            with mg.use_backend("numpy"):
                seen.append(d())
            seen.append(d())
            try:
                with mg.use_backend("numpy"):
                    raise ValueError
            except ValueError:
                seen.append(d())
        seen.append(d())
        mg.use_backend("cupy")
        seen.append(d())
        with mg.use_backend("numpy"):
            seen.append(d())
        seen += [d(), mg.tensor([1.0], device="cpu").device, mg.randn(2).device, mg.arange(3).device]
        @mg.use_backend("numpy")
        def steps():
            yield d()
            yield d()
        seen.append("and")
        for device in steps():
            seen += [device, d()]
        print(*seen)
    """
    assert (
        on_stand_in(program)
        == "cpu cuda:0 cpu cuda:0 cuda:0 cpu cuda:0 cpu cuda:0 cpu cuda:0 cuda:0 "
        "and cpu cuda:0 cpu cuda:0"
    )


def test_a_block_holds_for_its_thread_and_a_call_for_all():
    program = """
        import threading
        import minigrad as mg

        def elsewhere():
            seen = []
            thread = threading.Thread(target=lambda: seen.append(mg.ones(1).device))
            thread.start()
            thread.join()
            return seen[0]

        with mg.use_backend("cupy"):
            print(elsewhere(), end=" ")
        mg.use_backend("cupy")
        print(elsewhere())
    """
    assert on_stand_in(program) == "cpu cuda:0"


def test_threads_do_not_disturb_each_other():
    errors = []

    def work():
        try:
            for _ in range(100):
                with mg.use_backend("numpy"):
                    assert mg.ones(1).device == "cpu"
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert mg.get_default_backend() == "numpy"


def test_a_backend_is_found_by_the_type_of_an_array():
    assert backend_of(numpy.ones(2)) is backend_named("numpy")
    assert backend_of([1.0]) is None

    class Sub(numpy.ndarray):
        pass

    assert backend_of(numpy.ones(2).view(Sub)) is backend_named("numpy")
    assert type(mg.tensor(numpy.ones(2).view(Sub)).numpy()) is numpy.ndarray


# CuPy that is not there, or broken

ASK = """
    import minigrad as mg
    for ask in (
        lambda: mg.use_backend("cupy"),
        lambda: mg.ones(2, device="cuda"),
        lambda: mg.ones(2).cuda(),
        lambda: mg.tensor([1.0], device="cuda:1"),
    ):
        try:
            ask()
        except mg.errors.BackendError as error:
            print(str(error).partition("): ")[2] or error)
    assert mg.get_default_backend() == "numpy"
    x = mg.ones(2, requires_grad=True)
    (x * x).sum().backward()  # the CPU works as before
    assert x.grad.tolist() == [2, 2]
"""
INSTALL = "pip install 'cupy-cuda12x[ctk]>=14' (or 'cupy-cuda13x[ctk]>=14', for CUDA 13)"
STAY = "or stay on the CPU with minigrad.use_backend('numpy')"


def test_missing_cupy():
    missing = "import sys\nsys.modules['cupy'] = None\n" + textwrap.dedent(ASK)
    assert set(run(missing).splitlines()) == {f"CuPy is not installed; run {INSTALL}, {STAY}"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "raise ImportError('\\n====\\n  libcublas.so.12: cannot open\\n')",
            "ImportError: libcublas.so.12: cannot open",
        ),
        (
            "import a_module_that_is_not_there",
            "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
        ),
        ("raise RuntimeError", "RuntimeError: no message"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_broken_cupy(tmp_path, source, reason):
    (tmp_path / "cupy.py").write_text(source)
    assert set(run(ASK, tmp_path).splitlines()) == {
        (
            f"CuPy is installed but cannot be imported ({reason}); run "
            f"pip uninstall cupy cupy-cuda12x cupy-cuda13x, then {INSTALL}, {STAY}"
        )
    }


def test_no_gpu():
    assert set(run(ASK, STAND_INS, STAND_IN_GPUS="0").splitlines()) == {
        (
            "CuPy is installed but finds no GPU (RuntimeError: cudaErrorNoDevice: no CUDA-capable device "
            f"is detected); check the driver with nvidia-smi, {STAY}"
        )
    }


def test_no_gpu_that_may_be_used(tmp_path):
    source = (
        "class runtime: getDeviceCount = staticmethod(lambda: 0)\nclass cuda: runtime = runtime\n"
    )
    (tmp_path / "cupy.py").write_text(source)
    assert set(run(ASK, tmp_path).splitlines()) == {
        (
            "CuPy is installed but this machine has no GPU that it may use; check nvidia-smi and "
            f"CUDA_VISIBLE_DEVICES, {STAY}"
        )
    }


@pytest.mark.parametrize("function", ["ones", "__add__", "__matmul__", "__eq__", "all"])
def test_a_gpu_without_the_libraries_of_cuda(function):
    told = run(ASK, STAND_INS, STAND_IN_WITHOUT=function)
    assert set(told.splitlines()) == {
        (
            f"CuPy finds a GPU but cannot compute on it (ImportError: lib{function}.so.12: cannot open "
            f"shared object file); its wheels come without the libraries of CUDA: run {INSTALL}, {STAY}"
        )
    }


def test_a_gpu_that_computes_wrong_numbers():
    program = """
        import cupy
        cupy.ndarray.__matmul__ = lambda self, other: self + other
    """
    told = run(textwrap.dedent(program) + textwrap.dedent(ASK), STAND_INS)
    assert (
        "cannot compute on it (ArithmeticError: (1 + 1) * 1 + (1 + 1) * 1 is not 4 there)" in told
    )


@pytest.mark.parametrize(("gpus", "known"), [(1, "only cuda:0"), (2, "cuda:0 to cuda:1")])
def test_a_device_that_is_not_there(gpus, known):
    program = """
        import minigrad as mg
        for ask in (lambda: mg.ones(2, device="cuda:9"), lambda: mg.tensor(1.0).cuda(9)):
            try:
                ask()
            except mg.errors.BackendError as error:
                print(str(error).rpartition("): ")[2])
    """
    message = f'there is no device "cuda:9"; this machine has {known}'
    assert on_stand_in(program, gpus).splitlines() == [message, message]


# work on a device, on the stand-in


def test_mixed_devices_are_named():
    program = """
        import minigrad as mg
        a, b, c = (mg.ones(2, device=d) for d in ("cpu", "cuda:0", "cuda:1"))
        for ask in (lambda: a + b, lambda: mg.concat([b, c]), lambda: (b * b.requires_grad_()).backward(a)):
            try:
                ask()
            except mg.errors.BackendError as error:
                print(error)
    """
    assert on_stand_in(program).splitlines() == [
        'add: its tensors are on different devices, cpu and cuda:0; move them to one with .to("cpu")',
        'concat(float32[2], float32[2]): its tensors are on different devices, cuda:0 and cuda:1; move them to one with .to("cuda:0")',
        'the cotangent is on cpu, but the output is on cuda:0; move it with .to("cuda:0")',
    ]


def test_tensors_are_made_moved_copied_and_shown():
    on_stand_in("""
        import copy, pickle
        import cupy, numpy
        import minigrad as mg

        for device in ("cuda:0", "cuda:1"):
            t = mg.tensor([[1.0, 2.0]], device=device)
            made = [t, mg.zeros((1, 2), device=device), mg.ones_like(t), mg.full((1, 2), 3, device=device),
                    mg.arange(3, device=device), mg.linspace(0, 1, 3, device=device), mg.eye(2, device=device),
                    mg.randn(2, device=device), mg.randint(0, 3, 2, device=device), t.clone(), t.detach(), t.T,
                    copy.copy(t), copy.deepcopy(t), pickle.loads(pickle.dumps(t)), t + numpy.ones(2), t * 2.0,
                    mg.asarray(t), mg.tensor(t), mg.from_dlpack(t), t[0, :1], t[mg.tensor([0], device=device)]]
            assert {m.device for m in made} == {device}
            assert f"device='{device}'" in repr(t)
            assert t.tolist() == t.cpu().tolist() == t.cpu().cuda(1).to("cuda:0").tolist() == [[1.0, 2.0]]
            assert t.to(device) is t
            assert mg.ones(2).to(t).device == device
            assert t[0, 1].item() == 2.0 and float(t[0, 0]) == 1.0 and bool(t[0, 0])
        assert mg.tensor(cupy.ones(2)).device == "cuda:0"
        assert mg.add(cupy.ones(2), 1.0).device == "cuda:0"
        with cupy.cuda.Device(1):
            array = cupy.ones(2)
        assert mg.tensor(array).device == mg.from_dlpack(array).device == "cuda:1"
        for refuse in (t.numpy, t.__array__):
            try:
                refuse()
            except mg.errors.BackendError as error:
                assert str(error) == "this tensor is on cuda:1 and NumPy works on the CPU; call .cpu().numpy()"
            else:
                raise AssertionError
    """)


def test_gradients_flow_on_and_between_devices():
    on_stand_in("""
        import minigrad as mg

        def loss(x, w):
            h = mg.tanh(x @ w) * mg.softplus(w[0]) + mg.exp(x[:, :1])
            a, b = mg.split(mg.concat([h, h * 2.0]), 2)
            return (a * b).sum() + a.max() + mg.logsumexp(b)

        def gradients(where, *moves):
            x = mg.tensor([[0.3, -0.2], [1.0, 0.5]], device=where, requires_grad=True)
            w = mg.tensor([[1.0, 2.0], [0.0, -1.0]], device=where, requires_grad=True)

            def moved_loss():
                moved = [x, w]
                for move in moves:
                    moved = [t.to(move) for t in moved]
                return loss(*moved)

            y = moved_loss()
            y.backward(create_graph=True)
            assert {x.grad.device, w.grad.device} == {where}
            (second,) = mg.grad((x.grad * x.grad).sum(), w)
            assert second.device == where
            result = x.grad.tolist(), w.grad.tolist(), second.tolist()
            x.grad = w.grad = None
            first = mg.grad(moved_loss(), [x, w])
            assert [g.tolist() for g in first] == list(result[:2])
            return result

        expected = gradients("cpu")
        assert gradients("cuda:0") == gradients("cuda:1") == expected
        assert gradients("cpu", "cuda:0") == gradients("cuda:1", "cpu") == expected
        assert gradients("cuda:1", "cuda:0", "cpu", "cuda:1") == expected

        x = mg.tensor([1.0, 2.0], device="cuda:1", requires_grad=True)
        y = x * 2.0  # used here and on two other devices
        total = (y * y).sum() + (y.cpu() ** 2).sum().to("cuda:1") + (y.to("cuda:0") ** 2).sum().to("cuda:1")
        (g,) = mg.grad(total, x)
        assert g.device == "cuda:1" and g.tolist() == [24.0, 48.0]
        (g,) = mg.grad(mg.checkpoint(lambda x: x * mg.randn(2, device="cuda:1") * 0.0 + x, x).sum(), x)
        assert g.tolist() == [1.0, 1.0]
        with mg.anomaly():
            assert mg.grad((x * x).cpu().sum(), x)[0].tolist() == [2.0, 4.0]
            assert mg.grad((mg.ones(2, requires_grad=True).to("cuda:1") * x).sum(), x)[0].tolist() == [1.0, 1.0]
    """)


def test_a_tensor_stays_on_its_device_whatever_the_default_is():
    on_stand_in("""
        import numpy
        import minigrad as mg
        from minigrad import nn

        for default, other in (("cupy", "cpu"), ("numpy", "cuda:1")):
            mg.use_backend(default)
            there, row = mg.ones((2, 3), device=other), numpy.ones(3, "float32")
            copies = [mg.tensor(there), mg.asarray(there), mg.tensor(there, dtype="float64"),
                      nn.Parameter(there), nn.Buffer(there), nn.Embedding.from_pretrained(there).weight,
                      there + row, there * 2.0, mg.where(there > 0, there, row), there.at[0].set(row)]
            assert [t.device for t in copies] == [other] * len(copies)
            for make in (nn.Linear, nn.Embedding, nn.LSTM, nn.GRUCell):
                layer = make(3, 4, device=other)
                assert {p.device for p in layer.parameters()} == {other}
                assert {p.device for p in make(3, 4).to(other).parameters()} == {other}
            for make in (nn.LayerNorm, nn.PReLU, nn.BatchNorm1d):
                layer = make(3, device=other)
                assert {t.device for t in (*layer.parameters(), *layer.buffers())} == {other}
    """)


def test_a_silently_wrong_gradient_is_impossible_there_too():
    on_stand_in("""
        import cupy
        import minigrad as mg

        x = mg.tensor([1.0, 2.0, 3.0], device="cuda:1", requires_grad=True)

        def refused(y):
            try:
                y.sum().backward()
            except mg.errors.GradientError as error:
                assert "was written in place after the forward pass" in str(error)
            else:
                raise AssertionError

        y = x * x
        x.data[0] = 5.0
        refused(y)
        y = x.T[::2] * x.T[::2]
        x.data = x.data * 2.0
        refused(y)
        y, before = x * x, x.tolist()
        array = cupy.from_dlpack(x.detach())
        with cupy.cuda.Device(1):
            array[0] = 100.0
        assert x.tolist() == before
        y.sum().backward()
        x.grad[0] = 7.0
        try:
            mg.broadcast_to(x.detach(), (2, 3))[0, 0] = 1.0
        except mg.errors.GradientError as error:
            assert "share memory" in str(error)
        else:
            raise AssertionError
    """)


def test_the_differences_from_numpy_are_handled():
    on_stand_in("""
        import numpy
        import minigrad as mg

        on = lambda data, **options: mg.tensor(data, device="cuda:1", **options)
        x = on([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0]], requires_grad=True)

        # an index out of bounds
        for ask in (lambda: x[on([0, 2])], lambda: x[:, on([-4])], lambda: mg.take(x, on([3]), axis=1),
                    lambda: mg.gather(x, on([[9]]), axis=1), lambda: x.at[on([2])].add(1.0),
                    lambda: x.at[..., on([3])].set(1.0), lambda: x.data.__setitem__(on([5]), 1.0),
                    lambda: mg.scatter_add(x, on([[3]]), on([[1.0]]), axis=1)):
            try:
                ask()
            except mg.errors.IndexingError as error:
                assert "out of bounds for axis" in str(error), error
            else:
                raise AssertionError
        assert x[on([-1, 1])].tolist() == [[1.0, 1.0, 0.0]] * 2
        assert x[..., on([], dtype="int64")].shape == (2, 0)

        # places named twice: the last write stays, and the gradient goes there; additions all count
        z, v = on([0.0] * 4, requires_grad=True), on([1.0, 2.0, 3.0, 4.0], requires_grad=True)
        twice = on([1, 0, 1, 1])
        written = z.at[twice].set(v)
        assert written.tolist() == [2.0, 4.0, 0.0, 0.0]
        gz, gv = mg.grad(written.sum(), [z, v])
        assert gz.tolist() == [0.0, 0.0, 1.0, 1.0] and gv.tolist() == [0.0, 1.0, 0.0, 1.0]
        assert z.at[twice].add(v).tolist() == [2.0, 8.0, 0.0, 0.0]
        assert on([0, 0, 0]).at[on([1, 1])].add(on([2, -5])).tolist() == [0, -3, 0]  # 64-bit integers
        z.data[twice] = v.detach()
        assert z.tolist() == [2.0, 4.0, 0.0, 0.0]

        # argsort without stable=, no linalg.diagonal, results of shape ()
        assert mg.argsort(x, axis=1).tolist() == [[1, 2, 0], [2, 0, 1]]
        assert mg.argsort(x, axis=1, descending=True).tolist() == [[0, 2, 1], [0, 1, 2]]
        numpy.testing.assert_allclose(mg.var(x, correction=1.0).item(), numpy.var([3, 1, 2, 1, 1, 0], ddof=1), rtol=1e-6)
        numpy.testing.assert_allclose(mg.std(x, axis=1).tolist(), numpy.std([[3, 1, 2], [1, 1, 0]], axis=1), rtol=1e-6)
        assert mg.diagonal(x, offset=1).tolist() == [1.0, 0.0]
        assert mg.sum(x).shape == () and mg.grad(x.sum() * x[0, 0], x)[0].tolist() == [[11.0, 3.0, 3.0], [3.0] * 3]
        assert mg.einsum("ij,kj->ik", x, x).tolist() == [[14.0, 4.0], [4.0, 2.0]]
        assert x[x > 1.0].tolist() == [3.0, 2.0]
    """)


def test_division_rounds_as_in_numpy():
    on_stand_in("""
        import cupy, numpy
        import minigrad as mg

        edges = [0.0, -0.0, 0.1, -0.1, 0.3, 1.0, -1.0, 2.5, 7.0, -7.0, 1e30, -1e-30, numpy.inf, -numpy.inf, numpy.nan]
        a, b = (part.ravel() for part in numpy.meshgrid(edges, edges))
        assert cupy.floor_divide(cupy.array([1.0]), 0.1).get() == 10.0  # CuPy's own: NumPy's is 9
        for dtype in ("float64", "float32", "float16"):
            for name in ("floor_divide", "remainder"):
                function, by_numpy = getattr(mg, name), getattr(numpy, name)
                with numpy.errstate(all="ignore"):
                    x, y = a.astype(dtype), b.astype(dtype)
                    wide = numpy.promote_types(dtype, "float32").type  # a number is not rounded to a half
                    expected = by_numpy(x, y), by_numpy(x, wide(0.1)), by_numpy(wide(1), y)
                xs, ys = (mg.tensor(part, device="cuda:1") for part in (x, y))
                for found, right in zip((function(xs, ys), function(xs, 0.1), function(1.0, ys)), expected):
                    assert found.dtype.name == dtype
                    found = found.cpu().numpy()
                    right = right.astype(dtype)
                    numpy.testing.assert_array_equal(found, right)
                    shown = ~numpy.isnan(right)  # of a NaN the sign says nothing
                    numpy.testing.assert_array_equal(numpy.signbit(found[shown]), numpy.signbit(right[shown]))
        for dtype in ("int8", "uint8", "int64"):
            whole = numpy.array([7, 0, 100, 3], dtype), numpy.array([2, 3, 7, 1], dtype)
            there = [mg.tensor(part, device="cuda:1") for part in whole]
            for name in ("floor_divide", "remainder"):
                found = getattr(mg, name)(*there)
                assert found.dtype.name == dtype
                assert found.tolist() == getattr(numpy, name)(*whole).tolist()
    """)


TABLE = """
    import os

    import hypothesis, numpy
    import minigrad as mg
    from minigrad.backends import backend_named
    from minigrad.testing.routes import call, listed
    from minigrad.testing.strategies import arguments

    ELSEWHERE = {"transfer"}  # names a device itself
    cpu, gpu = backend_named("numpy"), backend_named("cupy")
    settings = hypothesis.settings(
        max_examples=8, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    def outcome(row, args, attrs, device):
        floats = lambda a: isinstance(a, numpy.ndarray) and a.dtype.kind == "f"
        place = lambda a: (
            mg.tensor(a, device=device, requires_grad=floats(a)) if isinstance(a, numpy.ndarray) else a
        )
        given = [
            [place(i) for i in a] if isinstance(a, (list, tuple)) and any(map(floats, a)) else place(a)
            for a in args
        ]
        outs = listed(call(row, given, attrs))
        assert {o.device for o in outs} <= {device}
        leaves = [t for a in given for t in (a if isinstance(a, list) else [a]) if getattr(t, "requires_grad", False)]
        tracked = [o for o in outs if o.requires_grad]
        gs = ()
        if tracked and leaves:
            ones = [mg.ones_like(o) for o in tracked]
            gs = mg.grad(tracked, leaves, ones, allow_unused=True)
            assert {g.device for g in gs if g is not None} <= {device}
        return [None if t is None else t.detach().cpu().numpy() for t in (*outs, *gs)]

    tried = 0
    for row in (*mg.OPS.values(), *mg.COMPOSITES.values()):
        if row.name in ELSEWHERE:
            continue

        @settings
        @hypothesis.given(arguments(row))
        def check(case):
            with numpy.errstate(all="ignore"):
                expected = outcome(row, *case, "cpu")
                found = outcome(row, *case, os.environ["DEVICE"])
            for a, b in zip(found, expected, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    assert a.dtype == b.dtype
                    tolerance = float(os.environ["TOLERANCE"])
                    numpy.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)

        try:
            check()
        except Exception as error:
            raise AssertionError(row.name) from error
        tried += 1
    print(tried == len(mg.OPS) + len(mg.COMPOSITES) - len(ELSEWHERE))
"""


def test_the_whole_table_runs_as_on_numpy(backend_name):
    if backend_name == "cupy":
        found = run(TABLE, DEVICE="cuda:0", TOLERANCE="1e-9")
    else:
        found = run(TABLE, STAND_INS, STAND_IN_GPUS="2", DEVICE="cuda:1", TOLERANCE="0")
    assert found == "True"


def test_a_backend_shows_its_name_and_not_its_library():
    assert repr(backend_named("numpy")) == "<backend numpy>"


def test_files_are_written_from_a_gpu_and_read_to_one(tmp_path):
    on_stand_in(f"""
        import cupy, numpy
        import minigrad as mg

        path = {str(tmp_path / "state.safetensors")!r}
        rows = numpy.arange(6, dtype="int16").reshape(2, 3)
        mg.save(path, [mg.tensor(rows, device="cuda:1").mT, cupy.asarray(rows), mg.tensor(rows)])
        for device, expected in [(None, "cpu"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]:
            found = mg.load(path, device)
            assert [t.device for t in found] == [expected] * 3
            assert [t.tolist() for t in found] == [rows.T.tolist(), rows.tolist(), rows.tolist()]
            assert {{t.dtype.name for t in found}} == {{"int16"}}
        with mg.use_backend("cupy"):
            assert mg.load(path)[0].device == "cuda:0"
        try:
            mg.load(path, "cuda:7")
        except mg.errors.BackendError as error:
            assert "cuda:7" in str(error), error
        else:
            raise AssertionError
    """)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "float16"])
@pytest.mark.parametrize(
    ("a", "b"),
    [((4, 1), (1, 3)), ((2, 4, 1), (2, 1, 3)), ((2, 1, 4, 1), (1, 3)), ((4, 1), (5, 1, 3)),
     ((0, 1), (1, 3)), ((1, 1), (1, 1)), ((4, 1), (1, 0))],
)  # fmt: skip
def test_outer_products_are_those_of_numpy(a, b, dtype):
    rng = numpy.random.default_rng(0)
    for turned in (False, True):
        x, y = (rng.integers(-3, 4, s[::-1] if turned else s).astype(dtype) for s in (a, b))
        x, y = (z.T if turned else z for z in (x, y))
        product = numpy.matmul(x, y)
        found = (mg.tensor(x) @ mg.tensor(y)).numpy()
        assert found.dtype == product.dtype
        assert found.flags.c_contiguous
        numpy.testing.assert_array_equal(found, product)
