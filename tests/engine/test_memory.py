"""No route leads to a silently wrong gradient: memory is closed, or a write is noticed."""

import copy
import ctypes
import gc
import pickle
import tracemalloc

import numpy
import pytest

import minigrad as mg
from minigrad import memory
from minigrad.errors import GradientError, IndexingError, ShapeError

OVERWRITTEN = "was written in place after the forward pass, so the gradient would be wrong"


def leaf(*values):
    return mg.tensor(list(values), requires_grad=True)


@pytest.fixture
def x():
    return leaf(1.0, 2.0, 3.0)


def assert_slope_of_square(y, x, values=(2.0, 4.0, 6.0)):
    (g,) = mg.grad(y.sum(), x)
    assert g.tolist() == list(values)


# route 1: in place


def test_augmented_assignment_makes_a_new_tensor(x):
    y = x * x
    before = x
    for change in ("+=", "-=", "*=", "/=", "**=", "//=", "%="):
        names = {"x": x}
        exec(f"x {change} 2.0", names)
        assert names["x"] is not before
    assert_slope_of_square(y, before)


def test_item_assignment_to_a_tracked_tensor_is_refused(x):
    y = x * x
    for tensor in (x, y):
        with pytest.raises(GradientError) as caught:
            tensor[0] = 5.0
        assert "x = x.at[i].set(v)" in str(caught.value)
    assert_slope_of_square(y, x)


def test_item_assignment_of_a_tracked_value_is_refused(x):
    buffer = mg.zeros(3)
    with pytest.raises(
        GradientError, match="carries a gradient, which a write in place would lose"
    ):
        buffer[0] = x[1]
    with pytest.raises(GradientError, match="copy_: the value carries a gradient"):
        buffer.copy_(x)
    buffer[0] = x[1].detach()
    with mg.no_grad():
        buffer[1] = x[2]
    assert buffer.tolist() == [2, 3, 0]


def test_item_assignment_to_a_constant_is_noticed(x):
    c = mg.tensor([1.0, 1.0, 1.0])
    y = x * c
    c[0] = 5.0
    with pytest.raises(GradientError, match=OVERWRITTEN):
        y.sum().backward()
    assert x.grad is None


def test_numpy_cannot_write_into_a_tensor(x):
    y = x * x
    t = x.detach()
    numpy.add(1.0, 1.0, out=t.numpy())
    numpy.copyto(t.numpy(), 9.0)
    with pytest.raises(TypeError):
        numpy.add(1.0, 1.0, out=t)
    with pytest.raises(TypeError):
        numpy.copyto(t, 9.0)
    with pytest.raises(TypeError, match=r"numpy\.put would write into a tensor"):
        numpy.put(t, [0], 9.0)
    with pytest.raises(TypeError):
        numpy.concatenate([t, t], out=mg.zeros(6))
    numpy.reshape(t, (1, 3))[0, 0] = 9.0
    assert_slope_of_square(y, x)


# route 2: .data


def writes():
    def assign(t):
        t.data = t.data * 2

    def item(t):
        t.data[0] = 5.0

    def mask(t):
        t.data[t.data > 1] = 5.0

    def copy_(t):
        t.copy_(mg.zeros(3))

    def below_no_grad(t):
        with mg.no_grad():
            t.copy_(t - 0.1)

    def view(t):
        t.detach()[1:].copy_(7.0)

    def view_of_view(t):
        mg.flip(mg.expand_dims(t.data, axis=0), axis=1)[0, 2] = 7.0

    def shallow_copy(t):
        copy.copy(t).copy_(0.0)

    return [assign, item, mask, copy_, below_no_grad, view, view_of_view, shallow_copy]


@pytest.mark.parametrize("write", writes(), ids=lambda f: f.__name__)
def test_a_write_after_the_forward_pass_is_noticed(x, write):
    y = x * x
    write(x)
    with pytest.raises(GradientError) as caught:
        y.sum().backward()
    assert str(caught.value) == (
        "backward through multiply: one of its arrays (float32[3]) was written in place after the "
        "forward pass, so the gradient would be wrong; call backward() before you update parameters "
        "or tensors, or update a clone()"
    )
    assert x.grad is None


@pytest.mark.parametrize("write", writes(), ids=lambda f: f.__name__)
def test_a_write_before_the_forward_pass_is_fine(x, write):
    write(x)
    assert_slope_of_square(x * x, x, [2 * v for v in x.tolist()])


@pytest.mark.parametrize("write", writes(), ids=lambda f: f.__name__)
def test_what_is_not_needed_raises_no_false_alarm(x, write):
    for y in (
        x + x,
        -x,
        x - 1.0,
        mg.reshape(x, (3, 1)),
        mg.concat([x, x]),
        x.sum(),
        x[1:],
        x * 2.0,
    ):
        if y.ndim:
            y = y.sum()
        write(x)
        mg.grad(y, x)


VIEWS = {
    "transpose": lambda w: w.T,
    "matrix transpose": lambda w: w.mT,
    "reshape": lambda w: mg.reshape(w, (2, 6)),
    "flatten": mg.flatten,
    "slice": lambda w: w[1:, ::-1],
    "row": lambda w: w[0],
    "broadcast": lambda w: mg.broadcast_to(w, (2, 3, 4)),
    "expand": lambda w: mg.expand_dims(w, axis=1),
    "squeeze": lambda w: mg.squeeze(mg.expand_dims(w, axis=1), axis=1),
    "diagonal": mg.diagonal,
    "split": lambda w: mg.split(w, 2, axis=1)[1],
    "unstack": lambda w: mg.unstack(w)[2],
    "swap": lambda w: mg.swapaxes(w, 0, 1),
    "flip": mg.flip,
    "long": lambda w: mg.squeeze(mg.permute_dims(w[None, 1:], (2, 0, 1))[::2], axis=1),
    "itself": lambda w: w,
}


@pytest.mark.parametrize("name", VIEWS)
def test_an_optimiser_step_between_forward_and_backward_is_noticed_through_a_view(name):
    w = mg.randn(3, 4, requires_grad=True)
    v = VIEWS[name](w)
    x = mg.ones(v.shape, requires_grad=True)
    y = (v * x).sum()  # the gradient of x reads the view of w
    w.data = w.data - 0.1
    with pytest.raises(GradientError, match=OVERWRITTEN):
        mg.grad(y, x)


def test_an_addition_saves_nothing_after_one_of_a_number(x):
    mg.OPS["add"].saving.clear()
    x + 1.0
    constant = mg.ones(3)
    y = x + constant
    constant.copy_(mg.zeros(3))
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_another_tensor_raises_no_false_alarm(name):
    w, other = mg.randn(3, 4, requires_grad=True), mg.randn(3, 4, requires_grad=True)
    v = VIEWS[name](w)
    y = (v * 2.0 * v).sum()
    other.data = other.data - 0.1
    mg.grad(y, w)


def test_an_optimiser_step_between_two_backward_passes_is_noticed():
    w = mg.randn(4, 4, requires_grad=True)
    y = mg.tanh(mg.ones((2, 4)) @ w @ w).sum()
    y.backward(retain_graph=True)
    w.data = w.data - 0.1 * w.grad
    with pytest.raises(GradientError, match=OVERWRITTEN):
        y.backward()


def test_the_update_that_reads_no_saved_array_is_allowed_as_in_an_accumulated_loss():
    w = leaf(1.0)
    total = w + 1.0
    w.data = w.data - 0.5
    total = total + w
    assert_slope_of_square(total, w, [2.0])


def test_a_written_result_is_noticed(x):
    y = mg.exp(x)  # its rule reads its result
    y.data[0] = 3.0
    with pytest.raises(GradientError, match="backward through exp"):
        y.sum().backward()


def test_a_written_result_of_several_is_noticed(x):
    a, b = mg.split(mg.exp(mg.concat([x, x[:1]])), 2)
    b.data[0] = 3.0
    with pytest.raises(GradientError, match="backward through exp"):
        (a * 1.0).sum().backward()


def test_a_write_is_noticed_in_the_second_backward_pass_too(x):
    (g,) = mg.grad((x * x * x).sum(), x, create_graph=True)
    x.data[0] = 9.0
    with pytest.raises(GradientError, match=OVERWRITTEN):
        mg.grad(g.sum(), x)


def test_a_failed_write_still_counts_and_leaves_all_usable(x):
    y = x * x
    with pytest.raises(
        ShapeError, match=r"writing to a tensor of shape \(3,\): could not broadcast"
    ):
        x.copy_(mg.ones(2))
    with pytest.raises(
        IndexingError, match=r"writing to a tensor of shape \(3,\): index 7 is out of"
    ):
        x.data[7] = 1.0
    assert x.tolist() == [1, 2, 3]
    assert_slope_of_square(x * x, x)
    del y


# route 3: what NumPy and others see


def test_numpy_gets_a_copy(x):
    y = x * x
    t = x.detach()
    for array in (
        t.numpy(),
        numpy.asarray(t),
        numpy.array(t),
        numpy.from_dlpack(t),
        t.data.numpy(),
    ):
        array[0] = 100.0
        if isinstance(array.base, numpy.ndarray):
            array.base.flags.writeable = True
            array.base[...] = 100.0
        memoryview(array).cast("B")[:4] = b"\x00\x00\x00\x00"
        ctypes.memset(array.ctypes.data, 0, array.nbytes)
        numpy.frombuffer(array, dtype="float32")[1] = 5.0
        numpy.lib.stride_tricks.as_strided(array, writeable=True)[2] = 5.0
    assert x.tolist() == [1, 2, 3]
    assert_slope_of_square(y, x)


def test_what_numpy_got_does_not_follow_later_writes(x):
    history = [x.detach().numpy()]
    x.data = x.data * 2
    history.append(x.detach().numpy())
    assert [h.tolist() for h in history] == [[1, 2, 3], [2, 4, 6]]


def test_a_copy_cannot_be_avoided():
    t = mg.ones(2)
    for ask in (
        lambda: numpy.asarray(t, copy=False),
        lambda: numpy.from_dlpack(t, copy=False),
        lambda: t.__array__(copy=False),
        lambda: t.__dlpack__(copy=False),
    ):
        with pytest.raises(ValueError, match="a tensor's memory is never shared"):
            ask()


# route 4: the source array


@pytest.mark.parametrize("make", [mg.tensor, mg.asarray, mg.from_dlpack], ids=lambda f: f.__name__)
def test_the_source_array_is_copied(make):
    source = numpy.array([1.0, 2.0, 3.0])
    view = source[::-1]
    t, v = make(source), make(view)
    source[:] = 100.0
    assert t.tolist() == [1, 2, 3]
    assert v.tolist() == [3, 2, 1]


def test_a_tensor_from_another_is_a_copy():
    t = mg.tensor([1.0, 2.0])
    u, lists = mg.tensor(t), mg.tensor([t, t])
    t[0] = 5.0
    assert u.tolist() == [1, 2]
    assert lists.tolist() == [[1, 2], [1, 2]]
    assert mg.asarray(t) is t


def test_a_buffer_is_copied():
    source = bytearray(b"\x01\x02")
    t = mg.tensor(memoryview(source))
    source[0] = 9
    assert t.tolist() == [1, 2]


def test_a_raw_array_in_an_op_is_copied(x):
    x = mg.tensor(x.detach(), dtype="float64").requires_grad_()
    array = numpy.array([1.0, 2.0, 3.0])
    index, mask = numpy.array([0, 1]), numpy.array([True, False, True])
    products = [x * array, array * x, mg.multiply(x, array), x[index], x[mask]]
    array[:] = index[:] = 100
    mask[:] = False
    slopes = [mg.grad(y.sum(), x)[0].tolist() for y in products]
    assert slopes == [[1, 2, 3]] * 3 + [[1, 1, 0], [1, 0, 1]]


def test_a_list_given_as_an_attribute_can_change_later():
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    axes, shape, widths, steps = [1, 0], [4], [[1, 0], [0, 1]], [1]
    results = [
        mg.permute_dims(x, axes),
        mg.reshape(x, shape),
        mg.pad(x, widths),
        mg.roll(x, steps, axis=[0]),
        mg.flip(x, axis=steps),
    ]
    weights = [mg.tensor(numpy.arange(y.size, dtype="float32").reshape(y.shape)) for y in results]
    expected = [
        mg.grad(y, x, w, retain_graph=True)[0].tolist()
        for y, w in zip(results, weights, strict=True)
    ]
    axes[:], shape[:], widths[:], steps[:] = [0, 1], [2, 2], [[0, 1], [1, 0]], [0]
    found = [mg.grad(y, x, w)[0].tolist() for y, w in zip(results, weights, strict=True)]
    assert found == expected


# copies


def test_deepcopy_and_pickle_are_independent():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    twins = [copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.clone().detach()]
    y = x * x
    for twin in twins:
        twin.copy_(0.0)
    assert_slope_of_square(y, x, [2, 4])
    x.copy_(9.0)
    assert all(twin.tolist() == [0, 0] for twin in twins)
    assert twins[0].grad.tolist() == [2, 4]
    twins[0].grad[0] = 7.0
    assert x.grad.tolist() == [2, 4]


def test_detach_shares_memory_and_clone_does_not():
    x = leaf(1.0, 2.0)
    shared, own = x.detach(), x.clone().detach()
    x.copy_(5.0)
    assert shared.tolist() == [5, 5]
    assert own.tolist() == [1, 2]


# broadcasting leaves one element in many places


@pytest.mark.parametrize(
    "wide",
    [
        lambda: mg.broadcast_to(mg.zeros(3), (2, 3)),
        lambda: mg.broadcast_to(mg.zeros((2, 1)), (2, 3)).T,
    ],
)
def test_a_broadcast_tensor_cannot_be_written(wide):
    t = wide()
    with pytest.raises(GradientError) as caught:
        t[0, 0] = 1.0
    assert str(caught.value) == (
        f"elements of this tensor of shape {t.shape} share memory, as broadcasting leaves them, and a "
        "write to one would change others; write to clone()"
    )
    own = t.clone()
    own[0, 0] = 1.0
    assert own.tolist()[0][0] == 1
    assert own.sum().item() == 1


def test_one_row_of_a_broadcast_tensor_can_be_written():
    source = mg.zeros(3)
    mg.broadcast_to(source, (2, 3))[1][0] = 4.0
    assert source.tolist() == [4, 0, 0]


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3), (), (1, 1), (3, 1, 2)])
def test_any_plain_tensor_can_be_written(shape):
    t = mg.zeros(shape)
    t.copy_(2.0)
    assert t.sum().item() == 2 * t.size


def test_a_window_that_overlaps_is_recognised():
    array = numpy.zeros(6)
    windows = numpy.lib.stride_tricks.sliding_window_view(array, 3, writeable=True)
    with pytest.raises(GradientError, match="share memory"):
        memory.writing(windows)
    memory.writing(windows[::3])
    assert memory.owner(windows) is array


# the clock itself


def test_the_table_of_writes_forgets_arrays_that_died():
    gc.collect()
    before = len(memory._writes)
    for _ in range(100):
        t = mg.zeros(3)
        t[0] = 1.0
        t[1] = 2.0
    del t
    assert len(memory._writes) == before


def test_a_write_is_later_than_the_records_before_it_and_earlier_than_those_after():
    t = mg.zeros(3)
    before = memory.tick()
    t[0] = 1.0
    after = memory.tick()
    assert memory.written_after(t._array, before)
    assert not memory.written_after(t._array, after)
    assert memory.written_after(t[1:].T._array, before)
    assert not memory.written_after(mg.zeros(3)._array, before)


def test_the_gradient_of_a_weight_is_computed_once_and_never_copied():
    weight = mg.tensor(numpy.ones((500, 500), dtype="float32"), requires_grad=True)
    loss = mg.linear(mg.ones((2, 500)), weight).sum()
    tracemalloc.start()
    try:
        loss.backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert weight.nbytes <= peak < 1.2 * weight.nbytes
