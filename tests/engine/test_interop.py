"""NumPy, DLPack, pickling and copying, einops, and what a tensor looks like."""

import copy
import operator
import pickle
import subprocess
import sys
import textwrap

import numpy
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, GradientError, TraceError


@pytest.fixture
def x():
    return mg.tensor([1.0, 2.0, 3.0], requires_grad=True)


# NumPy


def test_numpy_is_refused_while_gradients_are_tracked(x):
    for t in (x, x * 2):
        for ask in (t.numpy, lambda t=t: numpy.asarray(t), lambda t=t: numpy.array([t, t])):
            with pytest.raises(GradientError) as caught:
                ask()
            assert str(caught.value) == (
                "this tensor requires a gradient, which NumPy would lose; call .detach().numpy()"
            )
    assert numpy.asarray(x.detach()).tolist() == [1, 2, 3]


def test_array_takes_a_dtype():
    t = mg.tensor([1.5, 2.5])
    assert numpy.asarray(t).dtype == numpy.float32
    assert numpy.asarray(t, dtype="float64").dtype == numpy.float64
    assert numpy.array(t, dtype=int).tolist() == [1, 2]
    assert numpy.array(t, copy=True).tolist() == [1.5, 2.5]
    assert t.__array__().dtype == numpy.float32
    with pytest.raises(ArgumentError, match="memory is never shared"):
        t.__array__(copy=False)


def test_numpy_functions_take_tensors():
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    numpy.testing.assert_allclose(numpy.linalg.inv(t) @ numpy.asarray(t), numpy.eye(2), atol=1e-6)
    assert numpy.concatenate([t, t]).shape == (4, 2)
    assert numpy.isclose(numpy.asarray(t), t.numpy()).all()


OPERATORS = (
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.matmul, operator.eq, operator.ne, operator.lt, operator.le, operator.gt,
    operator.ge,
)  # fmt: skip


@pytest.mark.parametrize("operation", OPERATORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("flip", [False, True], ids=["tensor first", "array first"])
def test_an_array_and_a_tensor_meet_in_us(operation, flip):
    array, t = (
        numpy.array([[2.0, 3.0], [1.0, 2.0]]),
        mg.tensor(numpy.array([[1.0, 2.0], [3.0, 2.0]])),
    )
    found = operation(array, t) if flip else operation(t, array)
    expected = operation(array, t.numpy()) if flip else operation(t.numpy(), array)
    assert type(found) is mg.Tensor
    assert found.dtype == expected.dtype
    numpy.testing.assert_allclose(found.numpy(), expected)


@pytest.mark.parametrize(
    "scalar", [numpy.float64(2), numpy.float32(2), numpy.int16(2), numpy.array(2.0)]
)
@pytest.mark.parametrize("operation", OPERATORS[:7], ids=lambda f: f.__name__)
def test_a_numpy_scalar_and_a_tensor_meet_in_us_and_the_gradient_flows(operation, scalar):
    x = mg.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    for found in (operation(scalar, x), operation(x, scalar)):
        assert type(found) is mg.Tensor
        assert found.requires_grad or operation is operator.floordiv  # steps have no slope
    (g,) = mg.grad((scalar * x).sum(), x)
    assert g.tolist() == [2, 2]


def test_augmented_assignment_to_an_array_does_not_lose_a_gradient(x):
    array = numpy.ones(3, "float32")
    array += x.detach().numpy()
    assert array.tolist() == [2, 3, 4]
    with pytest.raises(TypeError):  # NumPy would have to write a gradient away
        array += x


def test_ufuncs_refuse_tensors(x):
    with pytest.raises(TypeError, match="does not support ufuncs"):
        numpy.exp(x)


def test_python_numbers():
    t = mg.tensor([2.5])
    assert (float(t), int(t), bool(t), t.item()) == (2.5, 2, True, 2.5)
    assert type(t.item()) is float
    assert type(mg.tensor(3).item()) is int
    assert type(mg.tensor(True).item()) is bool
    assert [10, 20, 30][mg.tensor(1)] == 20
    assert list(range(mg.tensor(2))) == [0, 1]
    assert f"{mg.tensor(2.5):.3f}" == "2.500"
    assert f"{mg.tensor([1.0])}" == "tensor([1.])"
    assert sum(mg.tensor([1.0, 2.0])).item() == 3
    assert [row.tolist() for row in mg.eye(2)] == [[1, 0], [0, 1]]
    assert round(float(mg.tensor(2.567)), 1) == 2.6
    a, b = mg.tensor([1.0, 2.0])
    assert (a.item(), b.item()) == (1, 2)


def test_a_tensor_can_be_a_key_by_identity():
    a, b = mg.ones(2), mg.ones(2)
    table = {a: 1, b: 2}
    assert table[a] == 1
    assert table[b] == 2


# DLPack


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool", "float16"])
def test_dlpack_to_numpy_and_back(dtype):
    t = mg.tensor([[1, 0], [2, 3]], dtype=dtype)
    for source in (t, t.T, t[::-1], t[:0]):
        there = numpy.from_dlpack(source)
        numpy.testing.assert_array_equal(there, source.numpy())
        back = mg.from_dlpack(there)
        assert back.dtype == source.dtype
        assert back.tolist() == source.tolist()
    assert mg.from_dlpack(t).tolist() == t.tolist()


def test_dlpack_of_a_read_only_array():
    array = numpy.arange(3.0)
    array.flags.writeable = False
    assert mg.from_dlpack(array).tolist() == [0, 1, 2]


def test_dlpack_is_refused_while_gradients_are_tracked(x):
    with pytest.raises(GradientError, match="which another library would lose; call"):
        numpy.from_dlpack(x)
    assert x.__dlpack_device__() == (1, 0)


def test_tensor_reads_an_object_that_speaks_dlpack_only():
    class Foreign:
        def __dlpack__(self, **options):
            return numpy.array([1.0, 2.0]).__dlpack__(**options)

        def __dlpack_device__(self):
            return (1, 0)

    for make in (mg.tensor, mg.from_dlpack, mg.asarray):
        t = make(Foreign())
        assert t.tolist() == [1, 2]
        assert t.dtype == mg.float64


def test_tensor_reads_an_object_that_becomes_an_array():
    class Foreign:
        def __array__(self, dtype=None, copy=None):
            return numpy.array([1.0, 2.0], dtype=dtype)

    assert mg.tensor(Foreign()).tolist() == [1, 2]


# pickling and copying


def round_trips():
    return {
        "pickle": lambda t: pickle.loads(pickle.dumps(t)),
        "old pickle": lambda t: pickle.loads(pickle.dumps(t, protocol=2)),
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
    }


@pytest.mark.parametrize("name", round_trips())
@pytest.mark.parametrize(
    "make",
    [
        lambda: mg.tensor(1.5),
        lambda: mg.tensor([[1.0, 2.0]], requires_grad=True),
        lambda: mg.tensor([True, False]),
        lambda: mg.zeros((0, 3), dtype="int8"),
        lambda: mg.tensor(numpy.arange(6.0).reshape(2, 3)).T,
        lambda: mg.broadcast_to(mg.ones(3), (2, 3)),
    ],
)
def test_a_tensor_goes_round(name, make):
    t = make()
    back = round_trips()[name](t)
    assert type(back) is mg.Tensor
    assert back is not t
    assert (back.dtype, back.shape, back.requires_grad) == (t.dtype, t.shape, t.requires_grad)
    assert back.tolist() == t.tolist()
    assert back.is_leaf


def test_a_deepcopy_of_a_structure_keeps_what_is_shared():
    t = mg.ones(2, requires_grad=True)
    first, second = copy.deepcopy([t, t])
    assert first is second
    assert first is not t


def test_a_tensor_with_a_history_is_not_copied(x):
    y = x * 2
    for name, go in round_trips().items():
        with pytest.raises(
            GradientError, match=r"with its history; (copy|pickle) detach\(\) of it"
        ):
            go(y)
        assert go(y.detach()).tolist() == [2, 4, 6], name


def test_ops_and_functions_are_pickled_by_name():
    for name, op in mg.OPS.items():
        assert pickle.loads(pickle.dumps(op)) is op, name
        assert copy.deepcopy(op) is op
    assert pickle.loads(pickle.dumps(mg.take)) is mg.take


# einops

EINOPS = """
    import sys
    {first}
    {second}
    import numpy as np

    def same(call, *arrays):
        tensors = [mg.tensor(a, requires_grad=True) for a in arrays]
        out = call(*tensors)
        np.testing.assert_allclose(out.detach().numpy(), call(*arrays), rtol=1e-12)
        return mg.grad(out.sum(), tensors)

    a, b = np.arange(24.0).reshape(2, 3, 4), np.arange(12.0).reshape(4, 3)
    same(lambda a: einops.rearrange(a, "a b c -> (a c) b"), a)
    same(lambda a: einops.rearrange(a, "a b (c d) -> a d b c 1", c=2), a)
    same(lambda a: einops.rearrange([a, a], "n a b c -> a n b c"), a)
    for how in ("sum", "mean", "max", "min", "prod"):
        same(lambda a: einops.reduce(a, "a b c -> a c", how), a + 1.0)
    same(lambda a: einops.repeat(a, "a b c -> a (b k) c", k=3), a)
    (ga, gb) = same(lambda a, b: einops.einsum(a, b, "i j k, k l -> i j l"), a, b)
    assert ga.shape == a.shape and gb.shape == b.shape
    packed, shapes = einops.pack([mg.tensor(a), mg.tensor(a)], "a * c")
    assert packed.shape == (2, 6, 4)
    assert [t.shape for t in einops.unpack(packed, shapes, "a * c")] == [(2, 3, 4)] * 2
    assert einops.parse_shape(mg.tensor(a), "a _ c") == {{"a": 2, "c": 4}}
    assert einops.asnumpy(mg.tensor(a)).shape == a.shape
    try:
        einops.reduce(mg.tensor([1, 2]), "a -> ", "mean")
    except NotImplementedError as error:
        assert "not available" in str(error)
    assert not [f for f in sys.meta_path if type(f).__module__.startswith("minigrad")]
    assert "minigrad" not in type(einops._backends.__spec__.loader).__module__
    print("done")
"""
HERE = "import minigrad as mg; assert 'einops' not in sys.modules"


@pytest.mark.parametrize(
    "order", [(HERE, "import einops"), ("import einops", "import minigrad as mg")]
)
def test_einops_whichever_is_imported_first(order):
    pytest.importorskip("einops")
    program = textwrap.dedent(EINOPS).format(first=order[0], second=order[1])
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert found.stdout.strip() == "done", found.stderr


def test_without_einops_nothing_is_imported_and_its_error_is_pythons(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['einops'] = None")
    program = """
        import minigrad, sys
        try:
            import einops
        except ImportError as error:
            print(type(error).__name__)
        try:
            import einops._backends
        except ImportError as error:
            print(type(error).__name__)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, check=False, timeout=120, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert found.stdout.split() == ["ModuleNotFoundError"] * 2, found.stderr


# repr


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: mg.tensor(1.5), "tensor(1.5)"),
        (lambda: mg.tensor(3), "tensor(3)"),
        (lambda: mg.tensor([True, False]), "tensor([ True, False])"),
        (lambda: mg.tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (lambda: mg.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: mg.tensor([1.0], dtype="float64"), "tensor([1.], dtype=float64)"),
        (lambda: mg.tensor([1], dtype="int8"), "tensor([1], dtype=int8)"),
        (lambda: mg.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: mg.tensor([1.0], requires_grad=True) * 2, "tensor([2.], from multiply)"),
        (lambda: mg.split(mg.ones(2, requires_grad=True), 2)[1], "tensor([1.], from split)"),
        (lambda: mg.zeros((0, 3)), "tensor([], dtype=float32, shape=(0, 3))"),
        (lambda: mg.tensor([numpy.nan, numpy.inf, -1e-20]), "tensor([    nan,     inf, -1.e-20])"),
        (lambda: mg.zeros(2000), "tensor([0., 0., 0., ..., 0., 0., 0.])"),
    ],
)
def test_repr(make, shown):
    t = make()
    assert repr(t) == shown
    assert str(t) == shown


def test_repr_of_a_large_tensor_is_short():
    lines = repr(mg.randn(200, 300, requires_grad=True)).splitlines()
    assert len(lines) == 7
    assert lines[-1].endswith("requires_grad=True)")


# functions of NumPy

OF_NUMPY = {
    "mean": lambda np, t: np.mean(t),
    "sum": lambda np, t: np.sum(t, axis=0),
    "sum without axes": lambda np, t: np.sum(t, axis=0, keepdims=True),
    "std": lambda np, t: np.std(t, ddof=1),
    "max": lambda np, t: np.max(t, axis=1),
    "argmax": lambda np, t: np.argmax(t),
    "any": lambda np, t: np.any(t),
    "reshape": lambda np, t: np.reshape(t, (4,)),
    "transpose": lambda np, t: np.transpose(t),
    "concatenate": lambda np, t: np.concatenate([t, t], axis=1),
    "stack": lambda np, t: np.stack((t, t)),
    "where": lambda np, t: np.where(np.asarray(t) > 1, t, 0),
    "clip": lambda np, t: np.clip(t, 1, 2),
    "linalg.norm": lambda np, t: np.linalg.norm(t),
}


@pytest.mark.parametrize("name", OF_NUMPY)
def test_functions_of_numpy_work_on_the_content(name):
    t = mg.tensor([[1.0, -2.0], [3.0, 0.0]])
    found, expected = OF_NUMPY[name](numpy, t), OF_NUMPY[name](numpy, t.numpy())
    assert type(found) is type(expected)
    numpy.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", OF_NUMPY)
def test_functions_of_numpy_lose_no_gradient(name):
    x = mg.ones((2, 2), requires_grad=True)
    with pytest.raises(GradientError, match=r"call \.detach\(\)\.numpy\(\)"):
        OF_NUMPY[name](numpy, x)
    with pytest.raises(TraceError, match="turns a value into a NumPy array"):
        numpy.mean(mg.graph.Var((2,), mg.float32))
