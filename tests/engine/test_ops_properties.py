"""What must hold for every op and every composite function of the tables, on arguments drawn for it."""

import inspect
import itertools
from collections import defaultdict

import hypothesis
import numpy
import pytest

import minigrad as mg
from minigrad.backends import backend_named
from minigrad.dispatch import apply, interpreting
from minigrad.dtypes import as_dtype
from minigrad.evaluate import evaluate
from minigrad.graph import Graph, Recorder, Var, infer, needs, ops
from minigrad.op import Composite, Domain, Op
from minigrad.promotion import promoted
from minigrad.testing import (
    GradcheckError,
    KinkError,
    check_op,
    gradcheck,
    gradgradcheck,
)
from minigrad.testing.routes import (
    adjoint,
    bound,
    call,
    is_array,
    is_differentiable,
    listed,
    trace,
)
from minigrad.testing.strategies import arguments

NUMPY = backend_named("numpy")
ROWS = [*mg.OPS.values(), *mg.COMPOSITES.values()]

INTERNAL = {
    "binary_log_loss": "what binary_cross_entropy comes down to",
    "contract": "what einsum comes down to",
    "convolution": "what conv1d and conv2d come down to",
    "convolution_input": "the adjoint of convolution in its input",
    "convolution_weight": "the adjoint of convolution in its weight",
    "getitem": "x[key] is its syntax",
    "index_add": "x.at[key].add(values) is its syntax",
    "index_set": "x.at[key].set(values) is its syntax",
    "matmul_transposed": "what linear comes down to",
    "pick_class": "the picking in cross_entropy and nll_loss",
    "put_along_axis": "the adjoint of gather; scatter_add is built on it",
    "put_class": "the adjoint of pick_class",
    "put_diagonal": "the adjoint of diagonal",
    "put_zeros": "the adjoint of getitem",
    "put_windows": "the adjoint of windows",
    "sum_to": "the un-broadcast of the engine",
    "transfer": "tensor.to(device)",
    "windows": "what pooling reads",
    "written_last": "part of the adjoint of index_set",
    "zeros_like": "in rules; minigrad.zeros_like is the creation function, which takes a dtype too",
}


def differentiable(row):
    return isinstance(row, Composite) or row.rules is not None


def holds(check, row):
    """Check a property on drawn arguments; points at kinks do not count."""

    @hypothesis.given(arguments(row))
    def run(case):
        try:
            check(row, *case)
        except KinkError:
            hypothesis.reject()

    run()


def as_function(row, args, attrs, which=is_differentiable):
    """Return ``row`` as a function of some of its arguments, and these arguments."""
    places = [i for i, a in enumerate(args) if which(a)]

    def function(*xs):
        given = [mg.tensor(a) if is_array(a) and i not in places else a for i, a in enumerate(args)]
        for i, x in zip(places, xs, strict=True):
            given[i] = x
        return call(row, given, attrs)

    function.__name__ = row.name
    return function, [args[i] for i in places]


class Run:
    """One call of the formula of an op, and of its rules for a random cotangent."""

    def __init__(self, op, args, attrs):
        self.op = op
        self.args, self.attrs = bound(op, args, attrs)
        with numpy.errstate(all="ignore"):
            outs = promoted(op, self.args).fn(NUMPY.namespace, *self.args, **self.attrs)
        self.several = isinstance(outs, (tuple, list))
        self.ys = tuple(map(numpy.asarray, listed(outs)))
        rng = numpy.random.default_rng(0)
        self.gs = tuple(
            rng.standard_normal(y.shape).astype(y.dtype if is_differentiable(y) else float)
            for y in self.ys
        )

    def parts(self, m=NUMPY.formulas, gs=None, ys=None, args=None, mask=-1):
        """Return the cotangents of the arguments by position; some inputs may be exchanged."""
        gs, ys = self.gs if gs is None else gs, self.ys if ys is None else ys
        g, y = (gs, ys) if self.several else (gs[0], ys[0])
        with numpy.errstate(all="ignore"):
            args = self.args if args is None else args
            return adjoint(self.op, m, g, y, args, self.attrs, mask)


def assert_same(found, expected, rtol=1e-13, atol=1e-13):
    found, expected = list(map(numpy.asarray, found)), list(map(numpy.asarray, expected))
    assert [a.dtype for a in found] == [a.dtype for a in expected]
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=rtol, atol=atol, strict=True)


# the properties: functions of a row of a table, and of arguments and attributes drawn for it


def gradient_is_right(row, args, attrs):
    if not any(map(is_differentiable, args)):
        return
    methods = ("differences", *([row.domain.sharp] if row.domain.sharp else []))
    if isinstance(row, Op):
        check_op(row, args, attrs, methods=methods)
    else:
        function, xs = as_function(row, args, attrs, which=is_array)
        gradcheck(function, *map(mg.tensor, xs), methods=methods)


def second_order_is_right(row, args, attrs):
    function, xs = as_function(row, args, attrs)
    if xs:
        gradgradcheck(function, *map(mg.tensor, xs))


def tape_gives_what_the_rules_give(op, args, attrs):
    run = Run(op, args, attrs)
    function, xs = as_function(op, run.args, run.attrs)
    if not xs:
        return
    xs = [mg.tensor(x, requires_grad=True) for x in xs]
    ys = listed(function(*xs))
    assert_same([y.detach().numpy() for y in ys], run.ys, rtol=0, atol=0)
    pairs = [(y, mg.tensor(g)) for y, g in zip(ys, run.gs, strict=True) if y.requires_grad]
    if pairs:
        found = mg.grad([y for y, _ in pairs], xs, [g for _, g in pairs])
        assert_same([g.numpy() for g in found], run.parts().values())


def shapes_and_dtypes_are_inferred(op, args, attrs):
    args, attrs = bound(op, args, attrs)
    floats = [i for i, a in enumerate(args) if is_differentiable(a)]
    mixed = (
        ["float64"], ["float32"], ["float32", "float64"], ["int32", "float32"], ["int64"],
        ["float16"], ["bfloat16", "float32"], ["bfloat16", "int8"],
    )  # fmt: skip
    for dtypes in mixed:
        given = list(args)
        for k, i in enumerate(floats):
            given[i] = args[i].astype(as_dtype(dtypes[k % len(dtypes)]))
        variables = [Var(a.shape, a.dtype) if is_array(a) else a for a in given]
        try:
            run = Run(op, given, attrs)
        except Exception as error:
            if not dtypes[0].startswith("int"):
                raise
            with pytest.raises(type(error)):
                infer(op, variables, attrs)
            continue
        assert infer(op, variables, attrs) == (
            tuple((y.shape, y.dtype) for y in run.ys),
            run.several,
        )
        tensors = [mg.tensor(a) if is_array(a) else a for a in given]
        assert [y.dtype for y in listed(apply(op, tuple(tensors), attrs))] == [
            y.dtype for y in run.ys
        ]


def elementwise_ops_broadcast_and_promote_as_numpy(op, args, attrs):
    if not op.elementwise:
        return
    for dtypes in (["float64"], ["float32"], ["float32", "float64"], ["float64", "float32"]):
        floats = iter(dtypes * len(args))
        given = [a.astype(next(floats)) if is_differentiable(a) else a for a in args]
        run = Run(op, given, attrs)
        numbers = [a for a in run.args if a is not None]
        assert run.ys[0].shape == numpy.broadcast_shapes(*map(numpy.shape, numbers))
        if op.rules is not None:
            # arrays and Python numbers, without the condition of where
            promoted = [a for a in numbers if not (is_array(a) and a.dtype == bool)]
            assert run.ys[0].dtype == numpy.result_type(*promoted)


def float32_stays_float32(row, args, attrs):
    narrow = [a.astype("float32") if is_differentiable(a) else a for a in args]
    attrs = {k: "float32" if k == "dtype" else v for k, v in attrs.items()}
    function, xs = as_function(row, narrow, attrs)
    if not xs:
        return
    ys = listed(function(*map(mg.tensor, xs)))
    assert all(y.dtype == mg.float32 for y in ys if is_differentiable(y))
    if isinstance(row, Op) and row.rules is not None and not row.joint:
        run = Run(row, narrow, attrs)
        g, y = (run.gs, run.ys) if run.several else (run.gs[0], run.ys[0])
        for i, x in enumerate(run.args):
            if is_differentiable(x):
                part = row.rules[i](NUMPY.formulas, g, y, *run.args, **run.attrs)
                assert part.dtype == mg.float32, f"the rule of argument {i} gives {part.dtype}"


def inputs_are_not_changed(row, args, attrs):
    locked = [a.copy() if is_array(a) else a for a in args]
    for a in locked:
        if is_array(a):
            a.setflags(write=False)
    if isinstance(row, Op):
        run = Run(row, locked, attrs)
        if row.rules is not None:
            for a in (*run.gs, *run.ys):
                a.setflags(write=False)
            run.parts()
    else:
        function, xs = as_function(row, args, attrs)
        tensors = [mg.tensor(x, requires_grad=True) for x in xs]
        ys = [y for y in listed(function(*tensors)) if y.requires_grad]
        gs = [mg.ones(y.shape, dtype=y.dtype) for y in ys]
        if ys:
            mg.grad(ys, tensors, gs, allow_unused=True)
        assert_same([x.detach().numpy() for x in tensors], xs, rtol=0, atol=0)
        assert_same([g.numpy() for g in gs], [numpy.ones(g.shape) for g in gs], rtol=0, atol=0)


def graph_gives_what_the_call_gives(row, args, attrs):
    function, arrays = as_function(row, args, attrs, which=is_array)
    expected = [y.numpy() for y in listed(function(*map(mg.tensor, arrays)))]
    found = evaluate(trace(function, *arrays), arrays, NUMPY.namespace)
    assert_same(found, expected, rtol=0, atol=0)


def rules_run_on_variables(op, args, attrs):
    run = Run(op, args, attrs)
    expected = run.parts()

    def stand_in(a):
        return Var(a.shape, a.dtype) if is_array(a) else a

    gs, ys, xs = (tuple(map(stand_in, values)) for values in (run.gs, run.ys, run.args))
    with interpreting(Recorder()) as recorder:
        parts = run.parts(ops, gs, ys, xs)
    inputs = (*gs, *ys, *(x for x in xs if isinstance(x, Var)))
    graph = Graph(inputs, tuple(recorder.nodes), tuple(parts.values()))
    arrays = [*run.gs, *run.ys, *(a for a in run.args if is_array(a))]
    found = evaluate(graph, arrays, NUMPY.namespace)
    assert list(parts) == list(expected)
    assert_same(found, expected.values())


def memory_layout_does_not_matter(op, args, attrs):
    run = Run(op, args, attrs)
    expected = run.parts() if op.rules is not None else {}
    for layout in (negative_strides, every_second, column_major):
        strided = [layout(a) if is_array(a) else a for a in run.args]
        assert_same(Run(op, strided, run.attrs).ys, run.ys)
        if op.rules is not None:
            gs, ys = (tuple(map(layout, arrays)) for arrays in (run.gs, run.ys))
            assert_same(run.parts(gs=gs, ys=ys, args=strided).values(), expected.values())


def negative_strides(a):
    back = (slice(None, None, -1),) * a.ndim
    return a[back].copy()[back]


def every_second(a):
    wide = numpy.zeros(tuple(2 * n for n in a.shape), dtype=a.dtype)
    wide[(slice(None, None, 2),) * a.ndim] = a
    return wide[(slice(None, None, 2),) * a.ndim]


def column_major(a):
    return numpy.asfortranarray(a) if a.ndim else a


# what is saved for the backward pass


def poisons(a):
    """Return arrays in place of ``a`` that lead elsewhere if anybody reads them."""
    if a.dtype == bool:
        return [~a]
    if is_differentiable(a):
        return [numpy.full_like(a, value) for value in (numpy.nan, 10.0, -10.0)]
    return [numpy.full_like(a, 10**6), numpy.zeros_like(a)]


def changes(run, mask, expected, **exchanged):
    """Say whether the cotangents of the arguments in ``mask`` are others now, or cannot be found."""
    try:
        found = run.parts(mask=mask, **exchanged)
    except (IndexError, ValueError):
        return True
    return not all(numpy.array_equal(found[i], expected[i], equal_nan=True) for i in expected)


def reads_argument(run, mask, i):
    expected = run.parts(mask=mask)
    before, after = run.args[:i], run.args[i + 1 :]
    return any(
        changes(run, mask, expected, args=(*before, poison, *after))
        for poison in poisons(run.args[i])
    )


def reads_output(run, mask):
    expected = run.parts(mask=mask)
    return any(
        changes(run, mask, expected, ys=ys) for ys in zip(*map(poisons, run.ys), strict=False)
    )


def check_saving(op):
    """What is dropped is not read, what is kept is read in some case, and one plan fits all calls."""
    kept, read, plans = set(), set(), defaultdict(list)

    # the same cases each time: whether all that is kept is read somewhere must not depend on luck
    @hypothesis.settings(
        max_examples=max(50, 4 * hypothesis.settings().max_examples),
        derandomize=True,
        database=None,
    )
    @hypothesis.given(arguments(op))
    def run_case(case):
        run = Run(op, *case)
        arrays = {i for i, a in enumerate(run.args) if is_array(a)}
        numbers = [i for i, a in enumerate(run.args) if isinstance(a, float)]
        tracked = list(run.parts())
        for mask in {sum(1 << i for i in tracked), *(1 << i for i in tracked)} - {0}:
            droppable, keep_output = needs(op, run.args, run.ys, run.several, run.attrs, mask)
            plans[mask, len(run.args) * op.variadic].append((arrays, set(droppable), keep_output))
            for i in arrays:
                if reads_argument(run, mask, i):
                    assert i not in droppable, f"argument {i} is dropped but read"
                    read.add((mask, i))
            if reads_output(run, mask):
                assert keep_output, "the output is dropped but read"
                read.add((mask, "output"))
            if all(g.size for g in run.gs):  # else there is nothing to see of what was read
                kept.update((mask, i) for i in arrays.difference(droppable) if run.args[i].size)
                kept.update([(mask, "output")] * keep_output)
            for i, special in itertools.product(numbers, (0, 1, 2, -1.0, numpy.inf)):
                args = (*run.args[:i], special, *run.args[i + 1 :])
                other = needs(op, args, run.ys, run.several, run.attrs, mask)
                assert other == (droppable, keep_output), f"{special} changes what is saved"

    run_case()
    assert kept <= read, f"kept but never read: {sorted(map(str, kept - read))}"
    for (mask, _), found in plans.items():
        ever_dropped = set().union(*(droppable for _, droppable, _ in found))
        for arrays, droppable, keep_output in found:
            assert ever_dropped & arrays == droppable, (
                f"for gradients {mask:b}, arguments {sorted(ever_dropped)} are dropped in one call "
                f"and only {sorted(droppable)} in another: the plan depends on more than the mask"
            )
            assert keep_output == found[0][2]


# the tables against the properties

OF_ALL_ROWS = [float32_stays_float32, inputs_are_not_changed, graph_gives_what_the_call_gives]
OF_OPS = [
    shapes_and_dtypes_are_inferred,
    elementwise_ops_broadcast_and_promote_as_numpy,
]
OF_DIFFERENTIABLE_ROWS = [gradient_is_right, second_order_is_right]
OF_DIFFERENTIABLE_OPS = [tape_gives_what_the_rules_give, rules_run_on_variables]


def properties_of(row):
    """Return the properties that must hold for a row of a table."""
    is_op = isinstance(row, Op)
    return [
        *OF_ALL_ROWS,
        *([*OF_OPS, memory_layout_does_not_matter] if is_op else []),
        *(OF_DIFFERENTIABLE_ROWS if differentiable(row) else []),
        *(OF_DIFFERENTIABLE_OPS if is_op and differentiable(row) else []),
    ]


CASES = [
    pytest.param(row, check, id=f"{row.name}-{check.__name__}")
    for row in ROWS
    for check in properties_of(row)
]


ONCE = [
    f"{row.name}-{gradient_is_right.__name__}"
    if differentiable(row)
    else f"{row.name}-{graph_gives_what_the_call_gives.__name__}"
    for row in ROWS
]


@pytest.mark.hypothesis
@pytest.mark.quick(only=ONCE)
@pytest.mark.parametrize(("row", "check"), CASES)
def test_property(row, check):
    holds(check, row)


@pytest.mark.full(but=["multiply", "matmul", "where", "sum"])
@pytest.mark.parametrize(
    "op", [op for op in mg.OPS.values() if differentiable(op)], ids=lambda op: op.name
)
def test_saving_is_sufficient_minimal_and_the_same_for_all_calls(op):
    check_saving(op)


def test_more_than_fifty_rows_have_a_sharp_check():
    sharp = [row.name for row in ROWS if row.domain.sharp and differentiable(row)]
    assert len(sharp) > 50
    assert {row.domain.sharp for row in ROWS} == {None, "complex", "linear"}


SHAPES = [(), (0,), (2, 0, 3), (1, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "op",
    [op for op in mg.OPS.values() if op.elementwise and op.domain.arguments is None],
    ids=lambda op: op.name,
)
def test_elementwise_ops_on_empty_and_zero_dimensional_tensors(op, shape):
    middle = (op.domain.low + 2 * op.domain.high) / 3
    xs = [mg.full(shape, middle, requires_grad=op.rules is not None) for _ in range(op.arity)]
    y = op(*xs)
    assert y.shape == shape
    if op.rules is not None:
        for g in mg.grad(y, xs, mg.ones(shape)):
            assert g.shape == shape
            assert numpy.isfinite(g.numpy()).all()


# what users see


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_a_domain_and_a_sentence_of_documentation(row):
    assert isinstance(row.domain, Domain)
    text = inspect.getdoc(row if isinstance(row, Op) else row.function)
    assert text, f"{row.name} has no docstring"
    assert text.split("\n\n")[0].endswith("."), (
        f"the docstring of {row.name} opens with no sentence"
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_exported_or_named_as_internal(row):
    exported = getattr(mg, row.name, None)
    here = row if isinstance(row, Op) else row.function
    if row.name in INTERNAL:
        assert exported is not here, f"minigrad.{row.name} is exported: take it out of INTERNAL"
    else:
        assert exported is here, f"export {row.name} in minigrad/__init__.py, or give a reason here"


def test_internal_names_are_in_the_tables():
    assert set(INTERNAL) <= {row.name for row in ROWS}


# the checks themselves can fail


def broken(rules, fn=lambda m, a, b: a * b, arguments=None):
    domain = Domain(0.5, 1.5, arguments=arguments)
    return Op("broken", fn, rules, domain=domain, elementwise=True)


def two_vectors(draw):
    return (draw.array(2), draw.array(2)), {}


BROKEN = {
    "wrong sign": (
        gradient_is_right,
        broken((lambda m, g, y, a, b: -(g * b), lambda m, g, y, a, b: g * a)),
        "the gradient is wrong",
    ),
    "missing factor": (
        gradient_is_right,
        broken((lambda m, g, y, a, b: g * b, lambda m, g, y, a, b: g)),
        r"argument 1 \(b\)",
    ),
    "wrong broadcasting": (
        gradient_is_right,
        broken((lambda m, g, y, a, b: g * b, lambda m, g, y, a, b: m.mean(g * a) + 0 * b)),
        r"argument 1 \(b\)",
    ),
    "wrong second order": (
        second_order_is_right,
        broken(
            (
                lambda m, g, y, a, b: g * (b.detach() if isinstance(b, mg.Tensor) else b),
                lambda m, g, y, a, b: g * a,
            )
        ),
        "gradcheck of the gradient of broken",
    ),
    "wrong dtype": (
        float32_stays_float32,
        broken((lambda m, g, y, a, b: g * b * numpy.float64(1), lambda m, g, y, a, b: g * a)),
        "the rule of argument 0 gives float64",
    ),
    "a rule that looks at values": (
        rules_run_on_variables,
        broken((lambda m, g, y, a, b: g * b if m.all(b > 0) else g, lambda m, g, y, a, b: g * a)),
        "branches on a value",
    ),
    "a formula that writes": (
        inputs_are_not_changed,
        broken(
            (lambda m, g, y, a, b: g * b, lambda m, g, y, a, b: g * a),
            fn=lambda m, a, b: m.multiply(a, b, out=a),
            arguments=two_vectors,
        ),
        "read-only",
    ),
    "needless upcast": (
        elementwise_ops_broadcast_and_promote_as_numpy,
        broken(
            (lambda m, g, y, a, b: g * b, lambda m, g, y, a, b: g * a),
            fn=lambda m, a, b: a * b * numpy.float64(1),
        ),
        "float64",
    ),
    "a formula that depends on the layout": (
        memory_layout_does_not_matter,
        broken(
            (lambda m, g, y, a, b: g * b, lambda m, g, y, a, b: g * a),
            fn=lambda m, a, b: a * b * (1 if numpy.asarray(a).flags.c_contiguous else 2),
            arguments=two_vectors,
        ),
        "Not equal to tolerance",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_op_is_caught(name):
    check, op, message = BROKEN[name]
    with pytest.raises(Exception, match=message) as caught:
        holds(check, op)
    assert not isinstance(caught.value, hypothesis.errors.Unsatisfiable)
    if check in OF_DIFFERENTIABLE_ROWS:
        assert isinstance(caught.value, GradcheckError)


def test_saving_too_much_is_caught():
    rules = (lambda m, g, y, a, b: g * b + 0 * m.zeros_like(a), lambda m, g, y, a, b: g * a)
    with pytest.raises(AssertionError, match="kept but never read"):
        check_saving(broken(rules))


def test_a_plan_that_depends_on_attributes_is_caught():
    def rule(m, g, y, x, power):
        return g if power == 1 else g * 2 * x

    def draw(source):
        return (source.array(2),), {"power": source.choice([1, 2])}

    op = Op("power", lambda m, x, /, power: x**power, (rule,), domain=Domain(arguments=draw))
    with pytest.raises(AssertionError, match="the plan depends on more than the mask"):
        check_saving(op)


# ops of users


@pytest.fixture
def user_op():
    """An op that a user adds to the table: the logarithm of a sum of squares."""
    op = mg.define_op(
        "log_energy",
        lambda m, a, b: m.log(a * a + b * b),
        (
            lambda m, g, y, a, b: g * 2 * a / m.exp(y),
            lambda m, g, y, a, b: g * 2 * b * m.exp(-y),
        ),
        domain=Domain(0.5, 2.0, sharp="complex"),
        elementwise=True,
        doc="Logarithm of a sum of squares.",
    )
    yield op
    del mg.OPS["log_energy"]


def test_ops_of_users_get_the_same_checks(user_op):
    for check in properties_of(user_op):
        holds(check, user_op)
    check_saving(user_op)
    x = mg.tensor([3.0, 4.0], requires_grad=True)
    user_op(x, 0.0).sum().backward()
    numpy.testing.assert_allclose(x.grad.numpy(), [2 / 3, 1 / 2], rtol=1e-6)
