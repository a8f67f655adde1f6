"""What cannot be compiled is refused with the line of the step that it stands in."""

import importlib
import inspect
from pathlib import Path

import numba
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import GradientError, KernelError, TraceError
from minigrad.kernels import cell, explain, scan
from minigrad.kernels.passes.legalize import INTERNAL
from minigrad.kernels.runtime import programs as compile
from minigrad.kernels.runtime.specialization import interpreted
from minigrad.kernels.runtime.switch import switch
from minigrad.kernels.targets import frames
from minigrad.op import Domain, Op

running_back = Op(
    "running_back",
    lambda m, x: m.tanh(x),
    (lambda m, g, y, x: m.cumulative_sum(g * y, axis=-1),),
    domain=Domain(),
    elementwise=True,
)
cardinal_sine = Op(
    "cardinal_sine", lambda m, x: m.sinc(x), (None,), domain=Domain(), elementwise=True
)
asks_for_dtype = Op(
    "asks_for_dtype",
    lambda m, x: x * x.dtype.itemsize,
    (None,),
    domain=Domain(),
    elementwise=True,
)


def of_an_op(x, h):
    h = h + x
    h = mg.cumulative_sum(h, axis=-1)  # here
    return mg.tanh(h)


def of_an_axis(x, h):
    total = mg.sum(h, axis=-1)  # here
    return x + mg.expand_dims(total, 1)


def of_columns(x, h):
    return mg.concat(
        [
            h[:, ::3],  # here
            x[:, 1:],
        ],
        axis=-1,
    )


def of_a_helper(x, h):
    return halves(h) + x


def halves(h):
    first, second = mg.split(h[:, :2], 2, axis=-1)
    return mg.cumulative_sum(h, axis=-1) * first / second  # here


def of_the_backward_pass(x, h):
    h = mg.tanh(h)
    h = running_back(h)  # here
    return h + x


def of_the_number_of_rows(x, h):
    h = h + x
    return h / x.shape[0]  # here


def of_a_function_without_a_text(x, h):
    h = mg.tanh(h)
    return cardinal_sine(h) + x  # here


def of_a_formula_that_fails(x, h):
    return asks_for_dtype(h) + x  # here


REASONS = {
    of_an_op: "cumulative_sum has no place in a compiled loop",
    of_an_axis: "only the last axis, with keepdims=True, is compiled",
    of_columns: "only neighbouring columns, x[:, a:b], are compiled",
    of_a_helper: "cumulative_sum has no place in a compiled loop",
    of_the_backward_pass: "in its backward pass, cumulative_sum has no place in a compiled loop",
    of_the_number_of_rows: "it computes something else for another number of rows",
    of_a_function_without_a_text: "sinc has no place in a sweep over rows",
    of_a_formula_that_fails: "the formula of asks_for_dtype cannot be written for single elements: "
    "'Symbol' object has no attribute 'dtype'",
}


def marked(function):
    """Return file, number and text of the line of a function that ends with ``# here``."""
    lines, first = inspect.getsourcelines(function)
    (offset,) = (i for i, line in enumerate(lines) if line.endswith("# here\n"))
    return f"{Path(__file__).name}:{first + offset}: {lines[offset].strip()}"


def refused(step, differentiated=True, **params):
    x, h = mg.ones((2, 2, 3)), mg.ones((2, 3), requires_grad=differentiated)
    with pytest.raises(KernelError) as found:
        scan(step, x, h, params, compile="require")
    return str(found.value)


@pytest.mark.parametrize("step", REASONS, ids=lambda step: step.__name__)
def test_the_line_of_the_step_is_named(step):
    place = marked(halves if step is of_a_helper else step)
    told = refused(step, differentiated=step is of_the_backward_pass)
    assert told.endswith(f"{REASONS[step]}, at {place}; use compile='auto'")
    assert refused(step, differentiated=step is of_the_backward_pass) == told


def test_a_value_that_does_not_lie_in_a_row_of_numbers():
    def step(x, h, *, flags):
        h = h + x
        return mg.where(flags, h, x)  # here

    told = refused(step, flags=mg.ones(3) > 0)
    assert "parameters in elementwise operations must be vectors" in told
    assert f", at {marked(step)};" in told


@pytest.mark.parametrize("kind", ["bool", "float64"])
def test_a_state_keeps_a_dtype_that_is_not_that_of_the_first(kind):
    def step(x, h, other):
        return h + x, other

    x, state = mg.ones((2, 2, 3)), (mg.ones((2, 3)), mg.ones((2, 3), dtype=kind))
    reason = f"its states are of several dtypes: other:{kind}.* beside float32"
    with pytest.raises(KernelError, match=reason):
        scan(step, x, state, compile="require")
    with pytest.warns(match=reason):
        _, (_, other) = scan(step, x, state)
    assert other.dtype == mg.dtypes.as_dtype(kind)


def test_equal_steps_in_two_places_name_their_own_lines(monkeypatch):
    made = []
    original = compile.make_program
    monkeypatch.setattr(compile, "make_program", lambda *a: made.append(1) or original(*a))

    def one(x, h):
        return mg.cumulative_sum(h - x * 3, axis=-1)  # here

    def other(x, h):
        h = h - x * 3
        return mg.cumulative_sum(h, axis=-1)  # here

    for _ in range(2):
        for step in (one, other):
            assert f", at {marked(step)};" in refused(step)
    assert len(made) == 2


def test_the_line_of_an_error_with_other_rows_is_that_of_the_step_at_hand():
    def one(x, h, *, w):
        return mg.tanh(h + x * w)  # here

    def other(x, h, *, w):
        h = h + x * w  # here
        return mg.tanh(h)

    for step in (one, other, one):
        assert f" at {marked(step)}" in refused(step, w=mg.ones((2, 3)))


def test_without_a_source_there_is_no_line():
    step = eval("lambda x, h: mg.cumulative_sum(h - x, axis=-1)", {"mg": mg})
    assert refused(step).endswith("in a compiled loop; use compile='auto'")


def test_a_gradient_that_does_not_exist_is_named_with_its_line():
    def step(x, h):
        h = h + x
        return cardinal_sine(h)  # here

    x, h = mg.ones((2, 2, 3)), mg.ones((2, 3), requires_grad=True)
    with pytest.raises(GradientError) as found:
        scan(step, x, h)
    told, place = (" ".join(text.split()) for text in (str(found.value), marked(step)))
    assert told.endswith(f"is differentiated, at {place}")


def test_explain_names_it_too():
    step = cell(state="h", params=lambda width, hidden: {})(of_an_op)
    assert explain(step, 3, 3).endswith(f"because {REASONS[of_an_op]}, at {marked(of_an_op)}")


def of_an_image(x, h, *, w):
    """A convolutional cell, whose values have four axes."""
    reset, new = mg.split(mg.conv2d(mg.concat([x, h], axis=1), w, padding=1), 2, axis=1)
    return mg.tanh(mg.sigmoid(reset) * h + new)


def of_a_reduction(x, h):
    return mg.tanh(h + x) * mg.expand_dims(mg.logsumexp(h, axis=-1), 1)


def of_copies_for_each_row(x, h, *, w):
    """A sum over as many copies as there are rows."""
    return mg.tanh(h + x * mg.sum(mg.broadcast_to(w, x.shape), axis=0))


def of_numbers_of_rows(x, h):
    return mg.tanh(h + x * mg.cumulative_sum(x * 0 + 0.1, axis=0))


def of_no_columns(x, h):
    return mg.tanh(h + x) + mg.sum(h[:, :0], axis=-1, keepdims=True)


def of_rows_that_mix(x, h):
    """One row mixes with no other."""
    return mg.tanh(h + mg.mean(x, axis=0))


def ran(step, x, h, params, compile):
    """Return outputs and gradients."""
    outputs, _ = scan(step, x, h, params, compile=compile)
    arguments = [x, h, *params.values()]
    return [outputs, *mg.grad(mg.sum(mg.sin(outputs)), arguments)]


@pytest.mark.parametrize(
    ("step", "x", "h", "w"),
    [
        (of_an_image, (3, 2, 1, 4, 4), (2, 2, 4, 4), (4, 3, 3, 3)),
        (of_a_reduction, (3, 2, 5), (2, 5), None),
        (of_no_columns, (3, 2, 5), (2, 5), None),
        (of_numbers_of_rows, (3, 2, 5), (2, 5), None),
        (of_copies_for_each_row, (3, 2, 5), (2, 5), (5,)),
        (of_rows_that_mix, (3, 1, 5), (1, 5), None),
        (lambda x, h: mg.tanh(x + h), (3, 2, 0), (2, 0), None),
        (lambda x, h: mg.tanh(x[:, 0] + h), (3, 2, 5), (2,), None),
        (lambda x, h: mg.tanh(x + h), (3, 2, 4, 5), (2, 4, 5), None),
    ],
)
def test_what_is_refused_is_interpreted(step, x, h, w, told_anew):
    x, h, *given = (mg.randn(s, dtype="float64", requires_grad=True) for s in (x, h, w) if s)
    params = dict(zip("w", given, strict=False))
    with pytest.warns(match=r"(?s)cannot be compiled: .*, at test_refusals.py:\d+: .* interpreted"):
        found = ran(step, x, h, params, "auto")
    for a, b in zip(found, ran(step, x, h, params, "never"), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_rows_that_mix_are_refused_also_after_a_single_one(told_anew):
    with pytest.warns(match="mixes rows"):
        scan(of_rows_that_mix, mg.ones((3, 1, 5)), mg.ones((1, 5)))
    with pytest.raises(TraceError, match="mixes rows"):
        scan(of_rows_that_mix, mg.ones((3, 2, 5)), mg.ones((2, 5)))


@pytest.mark.parametrize(
    ("place", "name", "factor"),
    [
        ("passes.legalize", "_written", 5),
        ("plan.schedule", "_check_formula", 6),
        ("runtime.programs", "numba_source", 7),
    ],
)
def test_what_the_compiler_raises_is_a_refusal(place, name, factor, monkeypatch, told_anew):
    """With the line of the step; only here, since each failure is a fault of ours."""

    def fail(*_):
        raise IndexError("a fault")

    monkeypatch.setattr(importlib.import_module(f"minigrad.kernels.{place}"), name, fail)

    def step(x, h):
        return mg.tanh(h * factor + x)

    pattern = rf"{INTERNAL} \(IndexError: a fault\), at test_refusals.py:\d+: .* interpreted"
    with pytest.warns(match=pattern):
        outputs, _ = scan(step, mg.ones((2, 2, 3)), mg.zeros((2, 3)))
    np.testing.assert_allclose(outputs.numpy()[0], np.tanh(1), rtol=1e-6)
    with pytest.raises(KernelError, match="a fault"):
        scan(step, mg.ones((2, 2, 3)), mg.zeros((2, 3)), compile="require")


def test_with_the_compiler_off_nothing_can_be_required(monkeypatch):
    monkeypatch.setattr(switch, "is_off", True)
    monkeypatch.setattr(switch, "reason", "MINIGRAD_COMPILE=0")
    for steps in (0, 2):
        reason = r"cannot be compiled: the compiler is switched off \(MINIGRAD_COMPILE=0\); use"
        with pytest.raises(KernelError, match=reason):
            scan(of_an_op, mg.ones((steps, 2, 3)), mg.ones((2, 3)), compile="require")


def test_steps_that_differ_in_a_shape_alone_are_two():
    """A number of copies that is read from outside is no number of rows."""
    for copies in (2, 3):

        def step(x, h, *, b):
            return h + x * mg.sum(mg.broadcast_to(b, (copies, 3)), axis=0)  # noqa: B023

        given = mg.ones((1, 2, 3)), mg.zeros((2, 3)), {"b": mg.ones(3)}
        assert mg.all(scan(step, *given)[0] == copies)


@pytest.fixture
def told_anew(monkeypatch):
    """Each reason is told once in a process; forget what other tests were told."""
    module = importlib.import_module("minigrad.kernels.runtime.specialization")
    monkeypatch.setattr(module, "_told", set())


@cell(state="h", params=lambda input_size, hidden_size: {"weight": (hidden_size, input_size)})
def running(x, h, *, weight):
    return mg.cumulative_sum(h, axis=-1) + mg.linear(x, weight)


def loop():
    return scan(of_an_op, mg.ones((2, 2, 3)), mg.ones((2, 3)))  # here


def layer():
    return nn.Recurrent(running, 3, 4)(mg.ones((2, 2, 3)))  # here


def network():
    return nn.Sequential(nn.Linear(3, 3), nn.Recurrent(running, 3, 4))(mg.ones((2, 2, 3)))  # here


@pytest.mark.parametrize("call", [loop, layer, network], ids=lambda call: call.__name__)
def test_the_warning_stands_at_the_line_that_called(call, told_anew):
    with pytest.warns(match="cannot be compiled: .* it is interpreted instead") as told:
        call()
    (warning,) = told
    assert marked(call).startswith(f"{Path(warning.filename).name}:{warning.lineno}: ")


def test_a_step_that_is_marked_as_interpreted_is_not_warned_of(told_anew):
    def step(x, h):
        return mg.cumulative_sum(h, axis=-1) + x

    given = mg.ones((2, 2, 3)), mg.zeros((2, 3))
    assert mg.all(scan(interpreted(step), *given)[0][-1] == mg.tensor([2.0, 3.0, 4.0]))
    with pytest.raises(KernelError, match="cumulative_sum has no place"):
        scan(step, *given, compile="require")


def test_what_numba_does_not_compile_is_no_mistake_of_the_user(monkeypatch):
    monkeypatch.setattr(frames, "load_source", lambda *_: numba.njit("int64()")(lambda: unknown))  # noqa: F821
    layer = nn.RNN(13, 29)  # no other test has these sizes, so that its loop is not known
    with pytest.raises(KernelError, match=r"does not compile .*unknown.* MINIGRAD_COMPILE=0"):
        layer(mg.ones((2, 1, 13)))
