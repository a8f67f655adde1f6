"""The checks of minigrad.testing pass what is right, catch what is wrong, and say what they found."""

import subprocess
import sys

import hypothesis
import numpy
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError
from minigrad.op import Domain, Op
from minigrad.testing import (
    GradcheckError,
    KinkError,
    check_adjoint,
    check_op,
    gradcheck,
    gradgradcheck,
    taylor_slope,
)
from minigrad.testing.strategies import HypothesisDraw, arguments


def points(*shape, seed=0):
    return mg.tensor(numpy.random.default_rng(seed).uniform(0.4, 1.6, shape))


def cube(m, x):
    return x * x * x


def cubic(rule, fn=cube, **options):
    """An op of one array that is not in the table."""
    return Op("cubic", fn, (rule,), domain=Domain(sharp="complex"), elementwise=True, **options)


RIGHT = cubic(lambda m, g, y, x: g * 3 * x * x)
WRONG = {
    "wrong sign": cubic(lambda m, g, y, x: -(g * 3 * x * x)),
    "missing factor": cubic(lambda m, g, y, x: g * x * x),
    "tiny error": cubic(lambda m, g, y, x: g * 3.0001 * x * x),
    "cotangent ignored": cubic(lambda m, g, y, x: 3 * x * x),
    "zero": cubic(lambda m, g, y, x: m.zeros_like(g)),
}
ALL_METHODS = ("differences", "complex", "taylor")


def test_right_gradients_pass_every_method():
    x = points(2, 3)
    check_op(RIGHT, (x.numpy(),), methods=ALL_METHODS)
    gradcheck(lambda x: (x * mg.sin(x), mg.exp(x)), x, methods=ALL_METHODS)
    gradcheck(lambda a, b: a @ b, points(2, 3), points(3, 2), methods=("linear", "complex"))
    gradgradcheck(lambda x: mg.tanh(x * x), x, methods=("differences", "taylor"))
    gradgradcheck(mg.matmul, points(2, 3), points(3), methods=("linear",))


def test_an_adjoint_of_any_origin_is_checked_by_the_names_of_its_arguments():
    def forward(values):
        return (values[0] * numpy.sin(values[1]),)

    def pull_back(factor):
        return lambda values, gs: (
            gs[0] * numpy.sin(values[1]),
            factor * gs[0] * values[0] * numpy.cos(values[1]),
        )

    point = {"gain": numpy.full(3, 0.5), "angle": numpy.linspace(0.1, 1, 3)}
    for method, bound in {"differences": 1e-7, "complex": 1e-13}.items():
        found = check_adjoint("wave", forward, pull_back(1), point, methods=[method])
        assert 0 <= found < bound
        with pytest.raises(
            GradcheckError, match=r"gradcheck of wave.*\n.*angle, element"
        ) as caught:
            check_adjoint("wave", forward, pull_back(1.001), point, methods=[method])
        assert "gain" not in str(caught.value)
    assert 1e-9 < check_adjoint("wave", forward, pull_back(1 + 1e-8), point) < 1e-7
    with pytest.raises(GradcheckError, match=r"gives [^\n]*$"):
        check_adjoint("wave", forward, pull_back(2), point, most_elements=0)


# the Taylor remainder shows an error only once its quadratic part is smaller than it
CAUGHT = [(n, m) for n in WRONG for m in ALL_METHODS if (n, m) != ("tiny error", "taylor")]


@pytest.mark.parametrize(("name", "method"), CAUGHT)
def test_a_wrong_rule_is_caught(name, method):
    with pytest.raises(GradcheckError, match="the gradient is wrong"):
        check_op(WRONG[name], (points(2, 3).numpy(),), methods=(method,))


def test_a_step_of_one_catches_a_wrong_linear_rule():
    rules = (lambda m, g, y, a, b: g * b, lambda m, g, y, a, b: g * b)
    op = Op("product", lambda m, a, b: a * b, rules, domain=Domain(sharp="linear"))
    with pytest.raises(GradcheckError, match=r"argument 1 \(b\)"):
        check_op(op, (points(3).numpy(), points(3, seed=1).numpy()), methods=("linear",))


def test_a_wrong_broadcast_is_caught():
    # repeats the first row where the rows should be added up
    rule = lambda m, g, y, a, b: m.broadcast_to(g[:1], shape=b.shape)
    op = Op("plus", lambda m, a, b: a + b, (lambda m, g, y, a, b: g, rule), domain=Domain())
    with pytest.raises(GradcheckError, match=r"argument 1 \(b\), element \(0, 0\)"):
        check_op(op, (points(2, 3).numpy(), points(1, 3).numpy()))


def test_a_gradient_of_the_wrong_shape_is_reported():
    with pytest.raises(GradcheckError, match=r"has shape \(\), but the argument has shape \(3,\)"):
        check_adjoint(
            "total", lambda xs: (xs[0].sum(),), lambda xs, gs: tuple(gs), {"x": points(3).numpy()}
        )


def test_a_wrong_second_order_is_caught():
    # right as a number, but the detached factor hides x from the second derivative
    def rule(m, g, y, x):
        return g * 3 * x * (x.detach() if isinstance(x, mg.Tensor) else x)

    op = cubic(rule)
    x = points(4)
    check_op(op, (x.numpy(),))
    gradcheck(op, x)
    with pytest.raises(GradcheckError, match="gradcheck of the gradient of cubic"):
        gradgradcheck(op, x)


def test_the_report_names_argument_element_and_both_numbers():
    def rule(m, g, y, a, b):
        return g * a * numpy.array([1.0, 1.0, 2.0])

    rules = (lambda m, g, y, a, b: g * b, rule)
    op = Op("product", lambda m, a, b: a * b, rules, domain=Domain())
    with pytest.raises(GradcheckError) as caught:
        check_op(op, (numpy.array([0.5, 1.0, 2.0]), numpy.array([1.0, 2.0, 3.0])), seed=4)
    text = str(caught.value)
    assert "gradcheck of product: the gradient is wrong: along a random direction the rules" in text
    assert text.count("argument") == 1
    assert "argument 1 (b), element (2,): the rule gives " in text
    rule_gives, found = _two_numbers(text)
    assert rule_gives == pytest.approx(2 * found)


def _two_numbers(text):
    detail = text.splitlines()[1]
    first = detail.split("the rule gives ")[1].split(",")[0]
    return float(first), float(detail.split()[-1])


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (mg.abs, 0.0),
        (mg.relu, 0.0),
        (mg.floor, 2.0),
        (lambda x: mg.maximum(x, 1.0), 1.0),
        (mg.hard_tanh, -1.0),
        (mg.sqrt, 0.0),
    ],
)
def test_a_kink_is_rejected_and_not_failed(function, at):
    with pytest.raises(KinkError, match="has a kink or a jump"):
        gradcheck(function, mg.tensor([0.3, at], dtype="float64"))


@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4, 1e-5])
def test_next_to_a_kink_the_steps_get_smaller(distance):
    gradcheck(lambda x: mg.abs(x) * x + mg.relu(-x), mg.tensor([distance, -distance], "float64"))


def test_a_kink_does_not_hide_a_wrong_gradient_nearby():
    op = Op("abs", lambda m, x: abs(x), (lambda m, g, y, x: g,), domain=Domain())
    with pytest.raises(GradcheckError):
        check_op(op, (numpy.array([-1e-5]),))


def test_the_taylor_remainder_falls_quadratically_only_for_the_right_gradient():
    x = points(3)
    assert taylor_slope(RIGHT, x) == pytest.approx(2, abs=0.05)
    assert taylor_slope(WRONG["missing factor"], x) == pytest.approx(1, abs=0.05)
    assert taylor_slope(lambda x: 3 * x, x) == numpy.inf


def test_only_inputs_that_require_gradients_are_checked():
    wrong_in_b = Op(
        "product",
        lambda m, a, b: a * b,
        (lambda m, g, y, a, b: g * b, lambda m, g, y, a, b: g),
        domain=Domain(),
    )
    a, b = points(2), points(2, seed=1)
    gradcheck(wrong_in_b, a.requires_grad_(), b)
    with pytest.raises(GradcheckError):
        gradcheck(wrong_in_b, a.detach(), b)


def test_outputs_that_do_not_depend_on_the_inputs_have_a_zero_gradient():
    gradcheck(lambda x: (mg.ones(2, dtype="float64"), x), points(3))
    gradcheck(lambda x, y: x * 2, points(3), points(2))
    gradgradcheck(lambda x, y: x * 2, points(3), points(2))
    gradcheck(lambda x: (mg.argmax(x), mg.max(x)), points(3))


def test_empty_and_zero_dimensional_inputs():
    gradcheck(mg.sin, points(0, 3), methods=ALL_METHODS)
    gradcheck(mg.sin, points(), methods=ALL_METHODS)


def test_bad_calls_say_what_to_do():
    with pytest.raises(DtypeError, match=r'input 0 is float32.*\.astype\("float64"\)'):
        gradcheck(mg.sin, mg.ones(2))
    with pytest.raises(ArgumentError, match="'difference'; did you mean 'differences'"):
        gradcheck(mg.sin, points(2), methods=("difference",))
    with pytest.raises(ArgumentError, match="nothing to check"):
        gradcheck(mg.sin, mg.tensor([1, 2]))
    for methods in ((), "taylor"):
        with pytest.raises(ArgumentError, match="methods must be a list or tuple of at least one"):
            gradcheck(mg.sin, points(2), methods=methods)
    with pytest.raises(ArgumentError, match="directions must be"):
        gradcheck(mg.sin, points(2), directions=0)
    with pytest.raises(ArgumentError, match='gradgradcheck has no method "complex"'):
        gradgradcheck(mg.sin, points(2), methods=("complex",))


@hypothesis.given(st.data())
def test_elementwise_arguments_broadcast(data):
    args, attrs = data.draw(arguments(mg.add))
    assert attrs == {}
    numpy.broadcast_shapes(*(numpy.shape(a) for a in args))


def test_elementwise_arguments_reach_every_kind_of_shape():
    kinds = {
        "empty": lambda a, b: 0 in numpy.broadcast_shapes(a.shape, b.shape),
        "zero-dimensional": lambda a, b: a.shape == b.shape == (),
        "stretched": lambda a, b: a.shape != b.shape and a.ndim == b.ndim,
        "fewer axes": lambda a, b: a.ndim < b.ndim,
    }
    for wanted in kinds.values():
        arrays = arguments(mg.add).filter(lambda case: all(hasattr(a, "shape") for a in case[0]))
        hypothesis.find(arrays, lambda case, wanted=wanted: wanted(*case[0]))
    hypothesis.find(arguments(mg.add), lambda case: isinstance(case[0][0], float))


@hypothesis.given(st.data())
def test_draws_keep_their_promises(data):
    draw = HypothesisDraw(data.draw, Domain(0.5, 1.5))
    shape = draw.shape(min_dims=1, max_dims=2, min_side=1)
    assert 1 <= len(shape) <= 2
    assert all(1 <= n <= 4 for n in shape)
    values = draw.array(*shape)
    assert values.shape == shape
    assert ((values > 0.5) & (values < 1.5)).all()
    assert (draw.array(2, low=-3, high=-2) < -2).all()
    distinct = draw.distinct(*shape)
    assert len(set(distinct.ravel())) == distinct.size
    assert draw.integers(3, low=-1, high=1).dtype == numpy.int64
    assert draw.booleans(2).dtype == numpy.bool_
    assert sorted(draw.permutation(3)) == [0, 1, 2]
    assert draw.choice("ab") in "ab"


def test_a_structured_op_must_say_what_to_draw():
    op = Op("total", lambda m, x: m.sum(x), None, domain=Domain())
    with pytest.raises(TypeError, match="does not say how to draw arguments"):
        hypothesis.find(arguments(op), lambda case: True)


def test_only_the_strategies_import_hypothesis():
    code = "import sys, minigrad.testing; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
def test_a_gradient_that_is_not_finite_is_caught(value, method):
    for places in ([True, True, True], [False, True, False]):
        wild = numpy.where(places, value, 0.0)
        op = cubic(lambda m, g, y, x, wild=wild: g * 3 * x * x + wild)
        with pytest.raises(GradcheckError, match="the gradient is wrong"):
            check_op(op, (points(3).numpy(),), methods=(method,))


@pytest.mark.parametrize("method", [*ALL_METHODS, "linear"])
def test_a_small_part_is_compared_on_its_own_scale(method):
    def function(wrong_in):
        def rule(position, factor):
            wrong = numpy.where(numpy.arange(3) == wrong_in[1], 1.5, 1.0)
            return lambda m, g, y, a, b: g * factor * (wrong if wrong_in[0] == position else 1.0)

        sizes = numpy.array([1e7, 1.0, 0.1])
        rules = (rule(0, sizes), rule(1, 1e-2))
        return Op("mixed", lambda m, a, b: sizes * a + 1e-2 * b, rules, domain=Domain())

    at = points(3).numpy(), points(3, seed=1).numpy()
    check_op(function((2, 0)), at, methods=(method,))
    for wrong_in in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 2)):
        with pytest.raises(GradcheckError, match="the gradient is wrong"):
            check_op(function(wrong_in), at, methods=(method,))


def test_a_part_that_is_wrongly_zero_is_caught_beside_large_ones():
    rule = lambda m, g, y, x: g * numpy.array([1e8, 0.0])
    op = Op("lost", lambda m, x: x * numpy.array([1e8, 1e-2]), (rule,), domain=Domain())
    for method in ALL_METHODS:
        with pytest.raises(GradcheckError, match="the gradient is wrong"):
            check_op(op, (points(2).numpy(),), methods=(method,))


CHECKS = [gradcheck, gradgradcheck, taylor_slope]


@pytest.mark.parametrize("check", CHECKS)
def test_a_function_returns_tensors(check):
    x = points(2)
    for result, found in {
        None: "NoneType",
        (): "an empty tuple",
        1.0: "float",
        (x, None): "Tensor, NoneType",
    }.items():
        with pytest.raises(ArgumentError, match=f"must return a tensor or several, not {found}"):
            check(lambda x, result=result: result, x)
    with pytest.raises(ArgumentError, match="returns no floating-point numbers"):
        gradcheck(mg.argmax, x)
    with pytest.raises(DtypeError, match=r"output 1 is float32.*compute in float64"):
        check(lambda x: (x, x.astype("float32")), x)


@pytest.mark.parametrize("check", CHECKS)
def test_inputs_may_come_as_one_list(check):
    a, b = points(2, 3), points(3, 2)
    check(mg.matmul, [a, b])
    check(mg.matmul, (a, b))
    check(lambda a, b: mg.concat([a, b.mT]), [a, b])
    check(lambda x, axis: mg.softmax(x, axis=axis), a, (0, 1))
    with pytest.raises(ArgumentError, match=r"input 1 is a list with tensors in it.*one by one"):
        check(lambda a, b: a @ b[0], a, [b])
    with pytest.raises(ArgumentError, match="input 0 is a dict with tensors in it"):
        check(lambda d: d["x"], {"x": a})
    with pytest.raises(ArgumentError, match="nothing to check"):
        check(mg.matmul, [])


def test_a_wrong_rule_is_caught_also_in_a_list():
    op = WRONG["missing factor"]
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: mg.dispatch.apply(op, (x,), {}), [points(3)])


def test_a_function_that_is_random_or_remembers_is_refused():
    calls = []

    def counted(x):
        calls.append(x)
        return x * len(calls)

    for function in (counted, lambda x: mg.dropout(x, mg.rand(x.shape) > 0.5)):
        with pytest.raises(ArgumentError, match="called again it returned something else"):
            gradcheck(function, points(64))


@pytest.mark.parametrize("method", ALL_METHODS)
def test_a_result_that_is_not_finite_cannot_be_checked(method):
    for function in (mg.log, lambda x: mg.sqrt(x - 2), lambda x: mg.exp(1000 + x), lambda x: x / 0):
        with pytest.raises(KinkError, match="output 0 is not finite"):
            gradcheck(function, mg.tensor([0.0, 1.0], "float64"), methods=(method,))


def test_a_detached_function_is_caught_by_every_method():
    for method in ("differences", "taylor"):
        with pytest.raises(GradcheckError, match="the gradient is wrong"):
            gradcheck(lambda x: x.detach() * 2, points(3), methods=(method,))
