"""Shapes with ones and zeros: what was stretched comes back summed, and too little is refused."""

import numpy
import pytest

import minigrad as mg
from minigrad.dispatch import interpreting
from minigrad.graph import Recorder, Var
from minigrad.kernels import scan
from minigrad.op import Domain, Op
from minigrad.testing import check_op, gradcheck

MASK = numpy.array([[True], [False], [True]])
INDICES = numpy.array([[0, 1, 0]])
NONE = numpy.zeros((0, 2), dtype=int)
CLASSES = numpy.array([[0, 1]])

# For each op that is not elementwise, by the name of its record: functions, and shapes of arguments;
# index and condition arrays that a function needs besides come last.
STRUCTURED = {
    "astype": [(lambda x: mg.astype(x, "float64"), (0, 1))],
    "binary_log_loss": [
        (lambda x, t, w: mg.binary_cross_entropy(x / 2, t / 2, w), (3, 2), (3, 2), (1, 2)),
        (
            lambda x, t, w: mg.binary_cross_entropy(x / 2, t / 2, w, reduction="sum"),
            (0, 2),
            (0, 2),
            (1, 1),
        ),
    ],
    "broadcast_to": [
        (lambda x: mg.broadcast_to(x, (0, 3)), (1, 3)),
        (lambda x: mg.broadcast_to(x, (2, 0, 3)), (1, 3)),
        (lambda x: mg.broadcast_to(x, (2, 3)), ()),
    ],
    "concat": [
        (lambda a, b: mg.concat([a, b]), (0, 2), (1, 2)),
        (lambda a, b: mg.concat([a, b], axis=None), (0, 2), (1,)),
    ],
    "contract": [
        (lambda a, b: mg.einsum("i,i->", a, b), (2,), (1,)),
        (lambda a, b: mg.einsum("i,i->", a, b), (0,), (1,)),
        (lambda a, b: mg.einsum("ij,jk->ik", a, b), (2, 1), (3, 2)),
        (lambda a, b: mg.einsum("ij,jk->k", a, b), (2, 3), (1, 1)),
        (lambda a, b: mg.einsum("ii,i->", a, b), (3, 3), (1,)),
        (lambda a, b: mg.einsum("aab,ab->", a, b), (1, 1, 3), (4, 1)),
        (lambda a, b: mg.einsum("...i,...i->", a, b), (2, 1, 3), (4, 1)),
        (lambda a, b: mg.einsum("i...,ij->j...", a, b), (2, 0), (1, 3)),
        (lambda a, b, c: mg.einsum("ij,ij,ij->", a, b, c), (1, 3), (2, 1), (2, 3)),
        (lambda a, b: mg.einsum("i,jk->", a, b), (1,), (2, 0)),
    ],
    "convolution": [
        (mg.conv1d, (0, 2, 4), (1, 2, 2), (1,)),
        (mg.conv1d, (1, 1, 1), (2, 1, 1), (2,)),
        (mg.conv1d, (2, 1, 4), (0, 1, 2)),
    ],
    "cumulative_prod": [
        (lambda x: mg.cumulative_prod(x, axis=0, include_initial=True), (0, 2)),
        (lambda x: mg.cumulative_prod(x, axis=1), (2, 1)),
    ],
    "cumulative_sum": [(lambda x: mg.cumulative_sum(x, axis=0, include_initial=True), (0, 2))],
    "diagonal": [(mg.diagonal, (3, 0)), (mg.diagonal, (1, 3))],
    "dropout": [(mg.dropout, (2,), MASK), (mg.dropout, (1, 2), MASK), (mg.dropout, (), MASK[:0])],
    "embedding": [(lambda w, i: mg.embedding(i, w), (3, 1), NONE)],
    "gather": [
        (mg.gather, (3, 2), INDICES),
        (lambda x, i: mg.take_along_axis(x, i, axis=1), (3, 2), INDICES),
        (lambda x, i: mg.take_along_axis(x, i, axis=1), (1, 2), NONE),
        (lambda x, i: mg.take_along_axis(x, i, axis=0), (2, 1), NONE),
    ],
    "getitem": [(lambda x: x[0:0], (3, 1)), (lambda x, i: x[i], (3, 1), NONE)],
    "index_add": [
        (lambda x, v: x.at[:, 0].add(v), (3, 2), ()),
        (lambda x, v: x.at[:].add(v), (3, 2), (3, 1)),
        (lambda x, v: x.at[0:0].add(v), (3, 2), (1, 2)),
        (lambda x, v, i: x.at[i].add(v), (3, 2), (3, 1), INDICES[0]),
    ],
    "index_set": [
        (lambda x, v: x.at[:, 0].set(v), (3, 2), (1,)),
        (lambda x, v: x.at[:, 0].set(v), (3, 2), (1, 3)),
        (lambda x, v: x.at[0:0].set(v), (3, 2), (1, 2)),
        (lambda x, v, i: x.at[i].set(v), (3, 2), (3, 1), INDICES[0]),
        (lambda x, v, i: x.at[i].set(v), (3, 2), (1, 1, 2), INDICES[0]),
    ],
    "log_softmax": [(mg.log_softmax, (2, 0)), (mg.log_softmax, (2, 1))],
    "logsumexp": [(lambda x: mg.logsumexp(x, axis=0), (1, 0))],
    "matmul": [
        (mg.matmul, (2, 1, 3, 2), (4, 2, 3)),
        (mg.matmul, (4, 0, 2), (1, 2, 3)),
        (mg.matmul, (2,), (3, 2, 1)),
        (mg.matmul, (3, 1, 0), (0,)),
        (mg.matmul, (1, 3, 2), (0, 2, 3)),
    ],
    "matmul_transposed": [
        (mg.linear, (3, 2), (1, 2), (1,)),
        (mg.linear, (2,), (3, 2), (3,)),
        (mg.linear, (2, 0), (3, 0), (3,)),
        (mg.linear, (0, 1, 2), (3, 2), (3,)),
    ],
    "matrix_transpose": [(lambda x: x.mT, (0, 1))],
    "max": [(lambda x: mg.max(x, axis=0), (1, 0)), (lambda x: mg.max(x, axis=()), (2, 1))],
    "mean": [(lambda x: mg.mean(x, axis=1, keepdims=True), (2, 1)), (mg.mean, (1, 1))],
    "min": [(lambda x: mg.min(x, axis=(0, 2)), (2, 0, 1))],
    "pad": [(lambda x: mg.pad(x, ((0, 0), (1, 0))), (0, 2))],
    "permute_dims": [(lambda x: mg.permute_dims(x, (1, 0)), (0, 1))],
    "pick_class": [
        (lambda x, w, i: mg.nll_loss(x, i, w), (1, 3, 2), (3,), CLASSES),
        (lambda x, i: mg.cross_entropy(x, i, reduction="sum"), (0, 3, 2), NONE),
        (lambda x, w, i: mg.cross_entropy(x, i, w), (1, 1, 2), (1,), 0 * CLASSES),
    ],
    "put_along_axis": [
        (lambda x, v, i: mg.scatter_add(x, i, v), (3, 2), (1, 3), INDICES),
        (lambda x, v, i: mg.scatter_add(x, i, v), (3, 2), (1,), INDICES),
        (lambda x, v, i: mg.scatter_add(x, i, v), (3, 2), (), INDICES),
    ],
    "reshape": [(lambda x: mg.reshape(x, (0, 5)), (1, 0))],
    "softmax": [(lambda x: mg.softmax(x, axis=0), (0, 2)), (mg.softmax, (2, 1))],
    "split": [(lambda x: mg.split(x, [0, 2, 1], axis=0), (3, 1))],
    "stack": [(lambda a, b: mg.stack([a, b], axis=1), (0, 1), (0, 1))],
    "std": [(lambda x: mg.std(x, axis=1), (2, 1)), (mg.std, ())],
    "sum": [
        (lambda x: mg.sum(x, axis=0), (0, 2)),
        (lambda x: mg.sum(x, axis=()), (2, 1)),
        (mg.vecdot, (3, 2), (1, 2)),
        (mg.vecdot, (2,), (3, 2)),
        (mg.vecdot, (1, 2), (0, 2)),
    ],
    "tril": [(mg.tril, (0, 2)), (mg.tril, (2, 1, 3))],
    "triu": [(mg.triu, (1, 1))],
    "unstack": [(lambda x: mg.unstack(x, axis=1), (0, 2))],
    "var": [(lambda x: mg.var(x, axis=(0, 2)), (2, 0, 1)), (lambda x: mg.var(x, axis=1), (2, 1))],
    "vector_norm": [(lambda x: mg.vector_norm(x, axis=0), (1, 2))],
    "windows": [
        (lambda x: mg.max_pool1d(x, 2), (0, 1, 4)),
        (lambda x: mg.max_pool1d(x, 1), (1, 3)),
    ],
    # elementwise, but with conditions, bounds or weights of other shapes
    "where": [
        (lambda a, b, c: mg.where(c, a, b), (2,), (), MASK),
        (lambda a, b, c: mg.where(c, a, b), (1, 2), (1,), MASK[:0]),
    ],
    "clip": [(mg.clip, (3, 2), (2,), ()), (mg.clip, (2,), (3, 1), (0, 1, 1))],
    "softplus": [
        (lambda x, w: mg.binary_cross_entropy_with_logits(x, 0 * x, w), (3, 2), (3, 1)),
        (lambda x, w: mg.binary_cross_entropy_with_logits(x, 0 * x + 1, None, w), (3, 2), (1, 2)),
    ],
}
ADJOINTS = {  # run by the rules of others, on cotangents of the right shape
    "convolution_input", "convolution_weight", "put_class", "put_diagonal", "put_windows", "put_zeros",
    "sum_to", "transfer",
}  # fmt: skip
CASES = [
    pytest.param(name, function, given, id=f"{name}-{k}")
    for name, cases in STRUCTURED.items()
    for k, (function, *given) in enumerate(cases)
]


def drawn(given):
    rng = numpy.random.default_rng(0)
    return [mg.tensor(rng.uniform(0.5, 1.5, g) if isinstance(g, tuple) else g) for g in given]


@pytest.mark.parametrize(("name", "function", "given"), CASES)
def test_what_was_stretched_comes_back_summed(name, function, given):
    xs = drawn(given)
    gradcheck(function, *xs)
    with interpreting(Recorder()) as recorder:
        function(*(Var(x.shape, x.dtype) for x in xs))
    assert name in {node.op.name for node in recorder.nodes}


def test_every_structured_op_is_in_the_table():
    structured = {n for n, op in mg.OPS.items() if op.rules is not None and not op.elementwise}
    assert structured == {n for n in STRUCTURED if not mg.OPS[n].elementwise} | ADJOINTS


def test_a_diagonal_of_axes_that_differ_is_refused():
    for shape in ((1, 3), (2, 3), (3, 0)):
        with pytest.raises(mg.errors.ShapeError, match="a diagonal needs equal sizes"):
            mg.einsum("ii->i", mg.ones(shape))


def total(rule, **options):
    def formula(m, x, /):
        return m.sum(x, axis=-1, keepdims=True)

    return Op("total", formula, rule, domain=Domain(), **options)


def alone(op):
    return lambda *xs: mg.dispatch.apply(op, xs, {})


WAYS = {
    "backward": lambda op, x: alone(op)(x).sum().backward(),
    "grad": lambda op, x: mg.grad(alone(op)(x).sum(), x, create_graph=True),
    "gradcheck": lambda op, x: gradcheck(alone(op), x),
    "check_op": lambda op, x: check_op(op, [x.detach().numpy()]),
    "checkpoint": lambda op, x: mg.checkpoint(alone(op), x).sum().backward(),
    **{
        f"scan, compile={mode!r}": lambda op, x, mode=mode: (
            scan(lambda x, h: h + alone(op)(x), x, mg.zeros((2, 3), dtype="float64"), compile=mode)[
                0
            ]
            .sum()
            .backward()
        )
        for mode in ("never", "auto", "require")
    },
}
SMALL = {
    "one that forgets to spread g": (lambda m, g, y, x: g, r"a cotangent of shape \(.*1\), but"),
    "another number of elements": (
        lambda m, g, y, x: m.concat(g, g, axis=-1),
        r"a cotangent of shape \(.*2\), but",
    ),
    "fewer axes": (lambda m, g, y, x: m.sum(g), r"a cotangent of shape \(\), but"),
    "a number": (lambda m, g, y, x: 1.0, "returned 1.0, but"),
    "nothing": (lambda m, g, y, x: None, "returned None, but"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SMALL)
def test_a_cotangent_smaller_than_its_argument_is_refused(name, way):
    rule, message = SMALL[name]
    x = mg.rand((4, 2, 3), dtype="float64", requires_grad=True)
    words = (
        f"the adjoint rule of total for its argument 1 \\(x\\) .*{message} must return.*spread g"
    )
    with pytest.raises(mg.errors.GradientError, match=words):
        WAYS[way](total((rule,)), x)


@pytest.mark.parametrize("way", WAYS)
def test_a_joint_rule_returns_one_cotangent_for_each_argument(way):
    x = mg.rand((4, 2, 3), dtype="float64", requires_grad=True)
    for rule, found in ((lambda m, g, y, x: (), "0 of them"), (lambda m, g, y, x: g * x, "but")):
        with pytest.raises(mg.errors.GradientError, match=f"a tuple of 1 cotangents.*{found}"):
            WAYS[way](total(rule, joint=True), x)


def test_a_dropped_element_does_not_spread_a_small_cotangent():
    summed = Op(
        "summed",
        lambda m, x: x * 2.0,
        (lambda m, g, y, x: m.sum(2.0 * g + 0 * x),),
        domain=Domain(),
        elementwise=True,
    )
    mask = mg.tensor([True, False, True])
    single, several = (mg.ones(shape, requires_grad=True) for shape in ((), (3,)))
    mg.where(mask, alone(summed)(single), 0.0).sum().backward()
    assert single.grad.item() == 4.0
    with pytest.raises(mg.errors.GradientError, match=r"returned a cotangent of shape \(\)"):
        mg.where(mask, alone(summed)(several), 0.0).sum().backward()


def test_an_op_has_one_rule_for_each_array():
    with pytest.raises(
        mg.errors.ArgumentError, match=r"'halves' has 1 adjoint rules for its 2 .*a, b"
    ):
        mg.define_op("halves", lambda m, a, b: (a + b) / 2, lambda m, g, y, a, b: g / 2)
    assert "halves" not in mg.OPS
