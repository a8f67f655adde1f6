"""Tracing a step, refusing what cannot be a graph, and the graphs that come of it."""

from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.backends import backend_named
from minigrad.errors import GradientError, ShapeError, TraceError
from minigrad.evaluate import evaluate
from minigrad.graph import Var
from minigrad.kernels import scan
from minigrad.kernels.differentiate import differentiate
from minigrad.kernels.trace import trace
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


def detaches(x, h):
    return h + x.detach()  # here


def wrong_op(x, h):
    return h @ x  # here


BROKEN = {
    branches: (TraceError, "the step branches on a value", "use minigrad.where(condition, a, b)"),
    reads_number: (TraceError, "turns a value into a Python number", "keep it a tensor"),
    makes_ones: (TraceError, "asks for a device, as ones_like", "a number such as 1.0 broadcasts"),
    detaches: (TraceError, "the step detaches a value", "pass the detached tensor to the step"),
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
