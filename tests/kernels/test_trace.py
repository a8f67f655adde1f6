"""Tracing a step, refusing what cannot be a graph, and the graphs that come of it."""

import copy
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.backends import backend_named
from minigrad.errors import GradientError, ShapeError, TraceError
from minigrad.evaluate import evaluate
from minigrad.graph import Var
from minigrad.kernels import scan
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.passes.differentiate import differentiate
from minigrad.op import Domain, Op

NUMPY = backend_named("numpy").namespace
outside = mg.tensor([1.0])


def var(name, *shape, dtype="float32"):
    return Var(shape, np.dtype(dtype), name)


leaked = var("old", 2, 1)

# each step below breaks one rule; the comment marks the line that the message must name


def branches(x, h):
    if h.sum() > 0:  # here
        return h
    return x


def reads_number(x, h):
    return h * float(x[0, 0])  # here


def uses_numpy(x, h):
    return np.tanh(h)  # here


def uses_outside_tensor(x, h):
    return h + outside  # here


def draws_tensor(x, h):
    return h + mg.rand(2, 1)  # here


def draws_number(x, h):  # here
    return h * mg.rand(1).item()


def returns_nothing(x, h):  # here
    mg.tanh(h)


def returns_number(x, h):  # here
    return 1.0


def returns_tensor(x, h):  # here
    return outside


def returns_too_many(x, h):  # here
    return h, x


def changes_shape(x, h):  # here
    return mg.concat([h, x], axis=-1)


def changes_dtype(x, h):  # here
    return mg.astype(h, "float64")


def misspells(x, h):
    return mg.tanh(x).tanh2()  # here


def leaks(x, h):  # here
    return leaked + h


def switches_gradients(x, h):
    with mg.no_grad():  # here
        return h + x


def makes_ones(x, h):
    return h + mg.ones_like(x)  # here


def uses_an_array(x, h):
    return h + np.ones(1, "float32")  # here


def wrong_op(x, h):
    return h @ x  # here


BROKEN = {
    branches: (TraceError, "the step branches on a value", "use minigrad.where(condition, a, b)"),
    reads_number: (TraceError, "turns a value into a Python number", "keep it a tensor"),
    makes_ones: (TraceError, "asks for a device, as ones_like", "a number such as 1.0 broadcasts"),
    uses_an_array: (
        TraceError,
        "add in a traced step uses a ndarray that the step was not given",
        "pass minigrad.tensor(...) of it to the step as an input or a parameter",
    ),
    uses_numpy: (TraceError, "TypeError: ", "__array_ufunc__"),
    uses_outside_tensor: (
        TraceError,
        "add in a traced step uses a Tensor that the step was not given",
        "pass it to the step as an input or a parameter",
    ),
    draws_tensor: (TraceError, "was not given", "draw random numbers before the loop"),
    draws_number: (
        TraceError,
        "it computes something else each time it is called (multiply with #1, 0.",
        "draw random numbers and count calls outside of the step",
    ),
    returns_nothing: (TraceError, "it returns None", "return the new value of h"),
    returns_number: (TraceError, "it returns a float, which was not computed", "new value of h"),
    returns_tensor: (TraceError, "it returns a Tensor, which was not computed", "new value of h"),
    returns_too_many: (
        TraceError,
        "it returns 2 values, but it was given 1 state (h)",
        "return the new value of each state, in the same order",
    ),
    changes_shape: (
        TraceError,
        "state 'h' comes in as float32[2, 1] and goes out as float32[2, 2]",
        "give the initial state",
    ),
    changes_dtype: (TraceError, "goes out as float64[2, 1]", "the dtype that the step keeps"),
    misspells: (TraceError, "AttributeError: 'Var' object has no attribute 'tanh2'", ""),
    leaks: (TraceError, "it uses old:float32[2, 1], a value of another trace", "not store them"),
    switches_gradients: (TraceError, "a traced step cannot switch gradients", "out of the step"),
    wrong_op: (
        TraceError,
        "matmul(h:float32[2, 1], x:float32[2, 1])",
        "inner sizes differ: 1 and 2",
    ),
}


def source_line_marked_here(step):
    code = step.__code__
    lines = Path(code.co_filename).read_text(encoding="utf-8").splitlines()
    return next(
        f"test_trace.py:{number}: {lines[number - 1].strip()}"
        for number in range(code.co_firstlineno, len(lines))
        if lines[number - 1].endswith("# here")
    )


@pytest.mark.parametrize("step", BROKEN, ids=lambda step: step.__name__)
def test_what_cannot_be_a_graph_is_refused_with_the_line(step):
    kind, found, advice = BROKEN[step]
    with pytest.raises(kind) as caught:
        scan(step, mg.zeros((3, 2, 1)), mg.zeros((2, 1)))
    message = str(caught.value)
    assert message.startswith(f"in step {step.__name__!r}")
    assert found in message
    assert advice in message
    assert source_line_marked_here(step) in message
    # the interpreter is back in place, and a good step still works
    assert scan(lambda x, h: h + x, mg.ones((3, 2, 1)), mg.zeros((2, 1)))[1].tolist() == [[3.0]] * 2


# what tensors can do, a value of a step can, or says why not

DONE_IN_A_STEP = {
    "astype": lambda x, h: (h > 0).astype(h.dtype) + x.astype("float64").astype(x.dtype),
    "to": lambda x, h: (h > 0).to(h) + x.to("float32"),
    "clone": lambda x, h: h.clone() + mg.tanh(x.clone()),
    "detach": lambda x, h: h.detach() * x + (h > 0).detach(),
    "data": lambda x, h: h.data * x,
    "iteration": lambda x, h: mg.stack([mg.tanh(row) for row in h]) + x * len(h),
    "nbytes": lambda x, h: h * x.nbytes + x.ndim + h.size,
    "T": lambda x, h: mg.tanh(h.T.T) + x.mT.mT,
    "at": lambda x, h: h.at[:, 0].set(1.0) + x,
    "reductions": lambda x, h: h * x.sum(1, True) + h.mean(-1, True) + (h > x).any(1, True) * h,
}


@pytest.mark.parametrize("name", DONE_IN_A_STEP)
def test_methods_of_values_mean_what_they_do_on_tensors(name, interpreted):
    step, found = DONE_IN_A_STEP[name], []
    x, h = mg.randn(3, 2, 4, requires_grad=True), mg.randn(2, 4, requires_grad=True)
    for way in ("auto", "never"):
        outputs, _ = scan(step, x, h, compile=way)
        found.append([outputs, *mg.grad(mg.sum(mg.sin(outputs)), [x, h], allow_unused=True)])
    for a, b in zip(*found, strict=True):
        if a is None or b is None:  # nothing flows
            assert not any(g is not None and mg.any(g != 0) for g in (a, b))
        else:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5)


def test_gradients_end_at_detach_in_a_compiled_loop():
    def step(x, h):
        return mg.tanh(h.detach() * x + 0.5 * h)

    x, h = mg.randn(3, 2, 4, dtype="float64"), mg.randn(2, 4, dtype="float64", requires_grad=True)
    found = [
        mg.grad(mg.sum(scan(step, x, h, compile=way)[0]), [h])[0].numpy()
        for way in ("require", "never")
    ]
    np.testing.assert_allclose(*found, rtol=1e-12)


REFUSED_IN_A_STEP = {
    "item": lambda h: h[0, 0].item(),
    "numpy": lambda h: h.numpy(),
    "tolist": lambda h: h.tolist(),
    "__array__": np.asarray,
    "__dlpack__": np.from_dlpack,
    "__copy__": copy.copy,
    "__deepcopy__": copy.deepcopy,
    "cpu": lambda h: h.cpu(),
    "cuda": lambda h: h.cuda(),
    "to": lambda h: h.to("cpu"),
    "device": lambda h: h.device,
    "copy_": lambda h: h.copy_(0.0),
    "__setitem__": lambda h: h.__setitem__(0, 0.0),
    "backward": lambda h: h.backward(),
    "register_hook": lambda h: h.register_hook(print),
    "requires_grad_": lambda h: h.requires_grad_(),
    "retain_grad": lambda h: h.retain_grad(),
    "grad": lambda h: h.grad,
    "is_leaf": lambda h: h.is_leaf,
    "requires_grad": lambda h: h.requires_grad,
}


@pytest.mark.parametrize("name", REFUSED_IN_A_STEP)
def test_what_a_value_cannot_do_is_refused_with_the_reason(name):
    def step(x, h):
        REFUSED_IN_A_STEP[name](h)
        return h + x

    match = (
        rf"(?s)in step 'step': the step .* not known while tracing, at {Path(__file__).name}.*\n  "
    )
    with pytest.raises(TraceError, match=match):
        scan(step, mg.ones((3, 2, 4)), mg.ones((2, 4)))


def test_values_of_a_step_have_the_attributes_of_tensors():
    value = var("h", 2, 4)
    given = {name for name in dir(mg.Tensor) if name.startswith("__") or not name.startswith("_")}
    assert given - {"__slots__", "__weakref__"} <= set(dir(value)) | {"__reduce__"}


def test_an_error_of_minigrad_keeps_its_kind():
    def step(x, h, *, w):
        return mg.linear(h, w)

    with pytest.raises(
        ShapeError, match=r"in step 'step': linear: x has shape \(2, 1\) and weight"
    ):
        scan(step, mg.zeros((3, 2, 1)), mg.zeros((2, 1)), {"w": mg.zeros((3, 3))})


def test_parameters_must_be_those_of_the_step():
    def step(x, h, *, w):
        return h * w

    with pytest.raises(TraceError, match="unexpected keyword argument 'v'"):
        scan(step, mg.zeros((3, 2, 1)), mg.zeros((2, 1)), {"v": mg.zeros(1)})


# graphs as text


def gated(x, h, *, w):
    unused = mg.exp(x)
    del unused
    return mg.sigmoid(x + w) * h


def text(graph):
    """Return the graph with its unnamed variables numbered from a."""
    names = {}
    for node in graph.nodes:
        for output in node.outputs:
            names.setdefault(output.name, chr(ord("a") + len(names)))
    written = str(graph)
    for name, short in sorted(names.items(), key=lambda pair: -len(pair[0])):
        written = written.replace(name, short)
    return written


def test_a_step_updates_places_as_a_tensor_does():
    graph = trace(
        lambda x, h: h.at[:, 0].add(x[:, 0]).at[:, 1:].set(x),
        [var("x", 2, 1)],
        [var("h", 2, 2)],
        {},
    )
    x, h = np.float32([[5], [6]]), np.float32([[1, 2], [3, 4]])
    np.testing.assert_array_equal(evaluate(graph, (x, h), NUMPY)[0], [[6, 5], [9, 6]])


def test_a_graph_has_no_dead_code():
    graph = trace(gated, [var("x", 2, 3)], [var("h", 2, 3)], {"w": var("w", 3)})
    assert text(graph) == (
        "in  x:float32[2, 3], h:float32[2, 3], w:float32[3]\n"
        "a = add(x, w)\n"
        "b = sigmoid(a)\n"
        "c = multiply(b, h)\n"
        "out c"
    )


def test_a_backward_graph_computes_what_is_wanted_and_reads_what_it_needs():
    x, h, w = var("x", 2, 3), var("h", 2, 3), var("w", 3)
    graph = trace(gated, [x], [h], {"w": w})
    sigmoid = graph.nodes[1].outputs[0]
    only_h = differentiate(graph, [h])
    assert [node.op.name for node in only_h.nodes] == ["multiply"]
    assert only_h.inputs[1:] == (sigmoid,) or list(map(id, only_h.inputs[1:])) == [id(sigmoid)]
    only_w = differentiate(graph, [w])
    assert [node.op.name for node in only_w.nodes] == [
        "multiply", "subtract", "multiply", "multiply", "sum_to",
    ]  # fmt: skip
    assert {id(v) for v in only_w.inputs[1:]} == {id(h), id(sigmoid)}


def test_a_backward_graph_has_no_dead_code():
    both = Op(
        "both", lambda m, a, b: a * b, lambda m, g, y, a, b: (g * b, g * a),
        domain=Domain(), joint=True,
    )  # fmt: skip
    h = var("h", 2, 3)
    graph = trace(both, [var("x", 2, 3)], [h], {})
    assert [node.op.name for node in differentiate(graph, [h]).nodes] == ["multiply"]


def test_what_no_output_depends_on_gets_no_cotangent():
    h, w = var("h", 2, 3), var("w", 3)
    graph = trace(lambda x, h, *, w: h + x, [var("x", 2, 3)], [h], {"w": w})
    backward = differentiate(graph, [h, w])
    assert backward.outputs[0] is backward.inputs[0]
    assert backward.outputs[1] is None


def test_a_path_without_a_derivative_is_refused(interpreted):
    half = Op(
        "half", lambda m, a, b: a + b, (lambda m, g, y, a, b: g, None), domain=Domain()
    )  # fmt: skip
    x, h = mg.zeros((1, 2, 3)), mg.zeros((2, 3))
    outputs, _ = scan(lambda x, h: half(h, x), x, h.requires_grad_())
    mg.sum(outputs).backward()
    with pytest.raises(GradientError, match=r"half in a step has no derivative .* argument 2, x:"):
        scan(lambda x, h: half(h, x), x.requires_grad_(), h)


def test_evaluating_a_graph_and_its_backward_graph():
    rng = np.random.default_rng(0)
    x, h, w = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=3)
    given = [var(n, *a.shape, dtype="float64") for n, a in {"x": x, "h": h, "w": w}.items()]
    graph = trace(gated, given[:1], given[1:2], {"w": given[2]})
    (result,) = evaluate(graph, [x, h, w], NUMPY)
    gate = 1 / (1 + np.exp(-(x + w)))
    np.testing.assert_allclose(result, gate * h, rtol=1e-12)
    backward = differentiate(graph, given)
    known = {"x": x, "h": h, "w": w}
    g = rng.normal(size=(2, 3))
    arrays = [g] + [known.get(v.name, gate) for v in backward.inputs[1:]]
    slope = g * h * gate * (1 - gate)
    for found, expected in zip(
        evaluate(backward, arrays, NUMPY), (slope, g * gate, slope.sum(0)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (lambda x, h: h - mg.mean(h, axis=0), "h"),
        (lambda x, h: mg.tanh(h + mg.flip(x, axis=0)), "h"),
        (lambda x, h: h + mg.max(x, axis=0, keepdims=True), "h"),
        (lambda x, h: mg.softmax(x, axis=0) * h, "h"),
        (lambda x, h: mg.where(x > 0, h, mg.sum(x)), "h"),
        (lambda x, h: h + mg.roll(mg.sign(x), 1, axis=0), "h"),
        (lambda x, h: h + x[-1:], "h"),
        (lambda x, h: h + x[1:2], "h"),
        (lambda x, h: mg.flip(mg.cumulative_sum(mg.flip(x + h, axis=0), axis=0), axis=0), "h"),
    ],
)
def test_a_step_must_not_mix_rows(step, state):
    with pytest.raises(
        TraceError, match=rf"it mixes rows of the batch: the new state '{state}' of"
    ):
        scan(step, mg.ones((2, 3, 4)), mg.ones((3, 4)))
    assert scan(step, mg.ones((2, 3, 4)), mg.ones((3, 4)), compile="never")[0].shape == (2, 3, 4)


def test_rows_of_integers_must_not_mix_either():
    def step(tokens, h, *, table):
        return h + mg.embedding(mg.max(tokens, axis=0, keepdims=True) - tokens, table)

    tokens = mg.ones((2, 3), dtype="int64")
    with pytest.raises(TraceError, match="it mixes rows of the batch: the new state 'h' of"):
        scan(step, tokens, mg.zeros((3, 4)), {"table": mg.rand(2, 4)})


def test_rows_may_be_turned_to_columns_and_back(interpreted):
    def step(x, h, *, w):
        return mg.tanh((w @ (x + h).T).T)

    w = mg.rand(4, 4)
    outputs, _ = scan(step, mg.ones((2, 3, 4)), mg.ones((3, 4)), {"w": w})
    assert outputs.shape == (2, 3, 4)


def test_a_step_that_made_up_numbers_do_not_suit_is_not_refused():
    def step(tokens, h, *, table):
        return h + mg.embedding(tokens - 1, table)

    tokens = mg.ones((2, 3), dtype="int64")
    outputs, _ = scan(step, tokens, mg.zeros((3, 4)), {"table": mg.rand(2, 4)})
    assert outputs.shape == (2, 3, 4)
