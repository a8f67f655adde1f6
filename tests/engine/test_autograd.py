"""Derivatives of functions against formulas, and against each other."""

import numpy
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, GradientError, ShapeError

A = numpy.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])


def vector(*values, requires_grad=False):
    return mg.tensor(list(values), dtype="float64", requires_grad=requires_grad)


def close(found, expected):
    found = found.detach().numpy() if isinstance(found, mg.Tensor) else found
    numpy.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def linear(x):
    return mg.tensor(A) @ x


def cube(x):
    return (x * x * x).sum()


def mixed(x, y):
    """A scalar of two vectors with all kinds of second derivatives."""
    return (mg.exp(x * y) + mg.sin(x) * (y * y * y)).sum()


def mixed_slopes(x, y):
    e = numpy.exp(x * y)
    return y * e + numpy.cos(x) * y**3, x * e + 3 * numpy.sin(x) * y**2


def mixed_hessian(x, y):
    """Diagonals of the blocks xx, xy and yy."""
    e = numpy.exp(x * y)
    return (
        y * y * e - numpy.sin(x) * y**3,
        e + x * y * e + 3 * numpy.cos(x) * y**2,
        x * x * e + 6 * numpy.sin(x) * y,
    )


POINT = (numpy.array([0.3, -0.7]), numpy.array([0.9, 0.4]))
DIRECTION = (numpy.array([1.0, -2.0]), numpy.array([0.5, 3.0]))


def tensors(arrays):
    return [mg.tensor(a) for a in arrays]


# vjp and jvp


def test_vjp_of_a_linear_map_is_its_transpose():
    y, pull_back = mg.vjp(linear, vector(1.0, 2.0, 3.0))
    close(y, A @ [1, 2, 3])
    for g in ([1.0, 0.0], [0.0, 1.0], [2.0, -3.0]):  # may be called many times
        close(pull_back(vector(*g))[0], A.T @ g)
    assert not y.requires_grad


def test_jvp_of_a_linear_map_is_the_map():
    y, tangent = mg.jvp(linear, [vector(1.0, 2.0, 3.0)], [vector(0.5, -1.0, 2.0)])
    close(y, A @ [1, 2, 3])
    close(tangent, A @ [0.5, -1, 2])
    assert not tangent.requires_grad


def test_vjp_and_jvp_are_adjoint_to_each_other():
    def function(x, y):
        return mg.tanh(x[:, None] * y), mg.exp(x) * y.sum()

    xs, vs = tensors(POINT), tensors(DIRECTION)
    outputs, tangents = mg.jvp(function, xs, vs)
    _, pull_back = mg.vjp(function, *xs)
    cotangents = [mg.randn(*o.shape, dtype="float64") for o in outputs]
    left = sum((c * t).sum().item() for c, t in zip(cotangents, tangents, strict=True))
    right = sum((g * v).sum().item() for g, v in zip(pull_back(*cotangents), vs, strict=True))
    assert left == pytest.approx(right, rel=1e-13)


def test_outputs_that_do_not_depend_on_the_input_have_zero_derivatives():
    x, constant = vector(1.0, 2.0), vector(7.0)

    def function(x):
        return x * 2, constant

    (y, c), (dy, dc) = mg.jvp(function, [x], [vector(1.0, 1.0)])
    close(y, [2, 4])
    close(dy, [2, 2])
    close(c, [7])
    close(dc, [0])
    _, pull_back = mg.vjp(function, x)
    close(pull_back(vector(1.0, 1.0), vector(1.0))[0], [2, 2])
    _, pull_back = mg.vjp(lambda x: constant, x)
    close(pull_back(vector(1.0))[0], [0, 0])
    _, (dz,) = mg.jvp(lambda x: [constant], [x], [vector(1.0, 1.0)])
    close(dz, [0])


def test_an_unused_argument_has_a_zero_derivative():
    _, pull_back = mg.vjp(lambda x, y: x * 2, vector(1.0), vector(1.0, 2.0))
    gx, gy = pull_back(vector(1.0))
    close(gx, [2])
    close(gy, [0, 0])
    _, tangent = mg.jvp(lambda x, y: x * 2, [vector(1.0), vector(5.0)], [vector(1.0), vector(1.0)])
    close(tangent, [2])
    _, (hx, hy) = mg.hvp(
        lambda x, y: cube(x), [vector(1.0), vector(5.0)], [vector(1.0), vector(1.0)]
    )
    close(hx, [6])
    close(hy, [0])


def test_jvp_through_functions_that_are_linear_in_part():
    # the adjoint of a linear part does not depend on x: its cotangent must not get lost
    _, tangent = mg.jvp(lambda x: x[:1] * 2 + mg.sin(x[1:]), [vector(1.0, 0.5)], [vector(3.0, 5.0)])
    close(tangent, [6 + 5 * numpy.cos(0.5)])


@pytest.mark.parametrize("form", [list, tuple])
def test_several_outputs_come_back_as_a_sequence(form):
    outputs, tangents = mg.jvp(lambda x: form([x, x * x]), [vector(3.0)], [vector(1.0)])
    assert isinstance(outputs, (list, tuple))
    assert isinstance(tangents, (list, tuple))
    close(outputs[1], [9])
    close(tangents[1], [6])


def test_derivatives_work_under_no_grad():
    with mg.no_grad():
        _, tangent = mg.jvp(cube, [vector(2.0)], [vector(1.0)])
        close(tangent, 12)
        close(mg.vjp(cube, vector(2.0))[1](mg.tensor(1.0, dtype="float64"))[0], [12])
        close(mg.hvp(cube, [vector(2.0)], [vector(1.0)])[1][0], [12])
        close(mg.value_and_grad(cube)(vector(2.0))[1], [12])


# value_and_grad and hvp


def test_value_and_grad():
    x, y = tensors(POINT)
    value, g = mg.value_and_grad(mixed)(x, y)
    close(value, (numpy.exp(POINT[0] * POINT[1]) + numpy.sin(POINT[0]) * POINT[1] ** 3).sum())
    close(g, mixed_slopes(*POINT)[0])
    assert not value.requires_grad
    assert not g.requires_grad
    _, g = mg.value_and_grad(mixed, argnums=1)(x, y)
    close(g, mixed_slopes(*POINT)[1])
    _, (gy, gx) = mg.value_and_grad(mixed, argnums=(1, 0))(x, y)
    close(gx, mixed_slopes(*POINT)[0])
    close(gy, mixed_slopes(*POINT)[1])


def test_value_and_grad_passes_keyword_arguments_on():
    def power(x, *, exponent):
        return (x**exponent).sum()

    close(mg.value_and_grad(power)(vector(2.0), exponent=3)[1], [12])


def test_derivatives_by_parameters_require_no_gradients():
    p, v = nn.Parameter(vector(2.0, 3.0)), vector(1.0, -1.0)

    def f(p):
        return (p * p * p).sum()

    value, (product,) = mg.hvp(f, [p], [v])
    close(product, [12, -18])
    outputs, tangent = mg.jvp(lambda p: p * p, [p], [v])
    pulled, pull_back = mg.vjp(lambda p: p * p, p)
    found = [value, product, outputs, tangent, pulled, *pull_back(v), *mg.value_and_grad(f)(p)]
    assert not any(t.requires_grad for t in found)
    assert p.requires_grad
    assert p.grad is None
    # a derivative of a derivative sees through the inner one
    close(mg.jvp(lambda p: mg.value_and_grad(f)(p)[1], [p], [v])[1], [12, -18])
    close(
        mg.jvp(lambda p: mg.vjp(f, p)[1](mg.tensor(1.0, dtype="float64"))[0], [p], [v])[1],
        [12, -18],
    )
    close(mg.value_and_grad(lambda p: mg.hvp(f, [p], [v])[1][0].sum())(p)[1], [6, -6])
    # and so does one by a value that was computed from a parameter
    assert mg.hvp(f, [p * 1], [v])[1][0].requires_grad


def test_value_and_grad_of_a_tracked_argument_can_be_differentiated():
    x = vector(2.0, requires_grad=True)
    _, g = mg.value_and_grad(cube)(x)
    (h,) = mg.grad(g.sum(), x)
    close(h, [12])
    assert x.grad is None


def test_hvp_against_the_formula():
    xx, xy, yy = mixed_hessian(*POINT)
    value, (hx, hy) = mg.hvp(mixed, tensors(POINT), tensors(DIRECTION))
    v, w = DIRECTION
    close(hx, xx * v + xy * w)
    close(hy, xy * v + yy * w)
    close(value, mixed(*tensors(POINT)))


def test_hvp_is_the_jvp_of_the_gradient_and_symmetric():
    def gradient(x):
        return mg.value_and_grad(lambda z: (mg.exp(z) * mg.flip(z)).sum())(x)[1]

    function = lambda z: (mg.exp(z) * mg.flip(z)).sum()
    x, v, w = vector(0.3, 0.1, -0.5), vector(1.0, 2.0, -1.0), vector(0.5, 0.0, 4.0)
    (product,) = mg.hvp(function, [x], [v])[1]
    close(product, mg.jvp(gradient, [x], [v])[1].numpy())
    other = mg.hvp(function, [x], [w])[1][0]
    assert (product * w).sum().item() == pytest.approx((other * v).sum().item(), rel=1e-13)


def test_hvp_of_a_linear_function_is_zero():
    close(mg.hvp(lambda x: x.sum() * 3, [vector(1.0, 2.0)], [vector(1.0, 1.0)])[1][0], [0, 0])


# nesting


def test_grad_of_grad_of_grad():
    x = vector(0.7, requires_grad=True)
    y = mg.sin(x) * x
    expected = [
        numpy.sin(0.7) + 0.7 * numpy.cos(0.7),
        2 * numpy.cos(0.7) - 0.7 * numpy.sin(0.7),
        -3 * numpy.sin(0.7) - 0.7 * numpy.cos(0.7),
        -4 * numpy.cos(0.7) + 0.7 * numpy.sin(0.7),
    ]
    for slope in expected:
        (y,) = mg.grad(y.sum(), x, create_graph=True)
        close(y, [slope])


def test_jvp_of_jvp_of_jvp():
    def along(function):
        return lambda x: mg.jvp(function, [x], [mg.ones_like(x)])[1]

    third = along(along(along(lambda x: x**5)))
    close(third(vector(2.0)), [60 * 4])


def test_vjp_inside_jvp_and_the_other_way_round():
    def reverse(x):
        y, pull_back = mg.vjp(mg.sin, x)
        return pull_back(mg.ones_like(y))[0]

    def forward(x):
        return mg.jvp(mg.sin, [x], [mg.ones_like(x)])[1]

    x = vector(0.4)
    close(mg.jvp(reverse, [x], [mg.ones_like(x)])[1], [-numpy.sin(0.4)])
    close(mg.vjp(forward, x)[1](mg.ones_like(x))[0], [-numpy.sin(0.4)])


def test_a_gradient_penalty_reaches_the_parameters():
    w, x = vector(2.0, requires_grad=True), vector(3.0, requires_grad=True)
    (slope,) = mg.grad((w * x * x).sum(), x, create_graph=True)  # 2 w x
    (slope * slope).sum().backward()  # 4 w^2 x^2
    close(w.grad, [8 * 2 * 9])
    close(x.grad, [8 * 4 * 3])


def test_second_derivatives_pass_through_a_given_cotangent():
    x, g = vector(2.0, requires_grad=True), vector(5.0, requires_grad=True)
    (pulled,) = mg.grad(x * x, x, g, create_graph=True)  # 2 x g
    dx, dg = mg.grad(pulled.sum(), [x, g])
    close(dx, [10])
    close(dg, [4])


# backward


def test_backward_of_several_outputs():
    x = vector(2.0, requires_grad=True)
    mg.backward([x * x, x * 3], [vector(1.0), vector(10.0)])
    close(x.grad, [34])


def test_backward_with_create_graph():
    x = vector(2.0, requires_grad=True)
    cube(x).backward(create_graph=True)
    (h,) = mg.grad(x.grad.sum(), x)
    close(h, [12])
    x.grad = None  # breaks the cycle between x and the graph of its gradient


def test_a_sum_of_gradients_under_create_graph_is_recorded():
    x = vector(2.0, requires_grad=True)
    cube(x).backward(create_graph=True)
    cube(x).backward(create_graph=True)
    close(mg.grad(x.grad.sum(), x)[0], [24])
    x.grad = None


# what is refused


def test_wrong_tangents_and_cotangents():
    x = vector(1.0, 2.0)
    with pytest.raises(GradientError) as caught:
        mg.jvp(cube, [x], [vector(1.0)])
    assert str(caught.value) == (
        "jvp: primals have shapes [(2,)] and tangents [(1,)]; they must be equal one by one"
    )
    with pytest.raises(GradientError, match="hvp: primals have shapes"):
        mg.hvp(cube, [x], [x, x])
    with pytest.raises(
        GradientError, match="the function has 1 outputs but 2 cotangents were given"
    ):
        mg.vjp(cube, x)[1](x, x)
    with pytest.raises(TypeError, match="primals must be a tensor or a sequence of tensors, not 3"):
        mg.jvp(cube, [3], [3])
    with pytest.raises(
        TypeError, match="the results of the function must be a tensor or a sequence"
    ):
        mg.vjp(lambda x: 3.0, x)


def test_value_and_grad_of_a_vector_function():
    with pytest.raises(GradientError, match=r"output of shape \(2,\) needs a cotangent"):
        mg.value_and_grad(lambda x: x * 2)(vector(1.0, 2.0))


def test_errors_of_the_function_come_through():
    with pytest.raises(ShapeError, match="could not be broadcast"):
        mg.value_and_grad(lambda x: (x + mg.ones(3)).sum())(vector(1.0, 2.0))
    assert mg.is_grad_enabled()


# an op defined again


@pytest.fixture
def own_op():
    yield
    mg.OPS.pop("own_op", None)


def test_an_op_of_ones_own_is_replaced_everywhere(own_op):
    x = vector(3.0).requires_grad_()

    def define(factor):
        def double_backward(m, g, y, x):
            return m.multiply(g, factor)

        return mg.define_op("own_op", lambda m, x: factor * x, double_backward, replace=True)

    outer = mg.op.Op(
        "outer_op", lambda m, x: x + 0, (lambda m, g, y, x: m.own_op(g),), domain=mg.Domain()
    )
    first = define(2.0)
    y = first(x)
    close(mg.grad(outer(x).sum(), x)[0], [2])
    second = define(3.0)
    assert mg.OPS["own_op"] is second
    close(second(x), [9])
    close(mg.grad(second(x).sum(), x)[0], [3])
    close(mg.grad(outer(x).sum(), x)[0], [3])  # a rule that names the op gets the new one
    (g,) = mg.grad(outer(x).sum(), x, create_graph=True)
    close(g, [3])
    close(mg.grad(y.sum(), x)[0], [2])  # recorded with the first one
    for taken in ("add", "flip"):
        with pytest.raises(ArgumentError, match=r"choose another name$"):
            mg.define_op(taken, lambda m, x: x, replace=True)
    with pytest.raises(ArgumentError, match="or pass replace=True to define it again"):
        mg.define_op("own_op", lambda m, x: x)
