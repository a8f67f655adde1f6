"""Attention layers: their formulas written out, masks, and garbage where a memory is not real."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.kernels import explain, scan
from minigrad.testing import gradcheck, gradgradcheck

RNG = np.random.default_rng(5)
S, N, Q, H, T = 5, 3, 4, 6, 2
KINDS = {
    "additive": lambda: nn.AdditiveAttention(Q, H, 3, dtype="float64"),
    "dot": lambda: nn.DotAttention(H),
    "scaled": lambda: nn.ScaledDotAttention(H),
    "general": lambda: nn.GeneralAttention(Q, H, dtype="float64"),
}
LENGTHS = [5, 2, 0]


def floats(*shape):
    return RNG.standard_normal(shape)


def values(t):
    return t.detach().numpy()


def leaf(array):
    return mg.tensor(np.array(array, dtype="float64"), requires_grad=True)


def made(kind):
    mg.manual_seed(3)
    layer = KINDS[kind]()
    return layer, floats(T, N, layer.query_size), floats(S, N, H)


def scores_of(layer, q, m):
    """Return the score of one query and one position, by the formula of the paper."""
    if isinstance(layer, nn.AdditiveAttention):
        w, u, v = (values(p.weight) for p in (layer.query, layer.key, layer.score))
        return v[0] @ np.tanh(w @ q + u @ m)
    if isinstance(layer, nn.GeneralAttention):
        return q @ (values(layer.key.weight) @ m)
    return q @ m / (math.sqrt(H) if isinstance(layer, nn.ScaledDotAttention) else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_contexts_are_those_of_the_formula(kind):
    layer, query, memory = made(kind)
    context, weights = layer(mg.tensor(query), mg.tensor(memory), LENGTHS)
    assert context.shape == (T, N, H)
    assert weights.shape == (T, N, S)
    expected = np.zeros((T, N, S))
    for t in range(T):
        for n, length in enumerate(LENGTHS):
            scores = [scores_of(layer, query[t, n], memory[s, n]) for s in range(length)]
            expected[t, n, :length] = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(values(weights), expected, rtol=1e-12)
    np.testing.assert_allclose(
        values(context), np.einsum("tns,snh->tnh", expected, memory), rtol=1e-12, atol=1e-14
    )
    for t in range(T):  # one query at a time
        one = layer(mg.tensor(query[t]), mg.tensor(memory), LENGTHS)
        for a, b in zip(one, (context[t], weights[t]), strict=True):
            np.testing.assert_allclose(values(a), values(b), rtol=1e-12, atol=1e-15)
    flags = np.arange(S)[:, None] < np.array(LENGTHS)
    masked = layer(mg.tensor(query), mg.tensor(memory), mask=flags)
    assert mg.all(masked[0] == context)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_real_changes_neither_results_nor_gradients(kind):
    layer, query, memory = made(kind)
    cotangent, found = floats(N, H), []
    real = np.arange(S + 3)[:, None] < np.array(LENGTHS)
    for garbage, more in ((0.0, 0), (np.nan, 0), (np.inf, 3), (1e300, 1)):
        wide = np.concatenate([memory, np.zeros((more, N, H))])
        wide[~real[: S + more]] = garbage
        given = [leaf(query[0]), leaf(wide)]
        context, _ = layer(*given, LENGTHS)
        slopes = mg.grad(context, [*given, *layer.parameters()], mg.tensor(cotangent))
        assert mg.all(slopes[1][S:] == 0)
        slopes = [slopes[0], slopes[1][:S], *slopes[2:]]
        found.append([values(context), *(g.numpy() for g in slopes)])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_differences(kind):
    layer, query, memory = made(kind)
    gradcheck(lambda q, m: layer(q, m, LENGTHS)[0], [leaf(query), leaf(memory)])
    cotangent = floats(T, N, H)

    def loss():
        context, _ = layer(mg.tensor(query), mg.tensor(memory), LENGTHS)
        return mg.sum(context * mg.tensor(cotangent))

    for parameter in layer.parameters():
        (slope,) = mg.grad(loss(), parameter)
        place = tuple(RNG.integers(n) for n in parameter.shape)
        ends = []
        for shift in (1e-6, -2e-6):
            moved = values(parameter)
            moved[place] += shift
            parameter.copy_(mg.tensor(moved))
            ends.append(loss().item())
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope[place].item(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_each_sequence_alone_and_may_be_empty(kind):
    layer, query, memory = made(kind)
    together = layer(mg.tensor(query), mg.tensor(memory), LENGTHS)[0].detach().numpy()
    for n, length in enumerate(LENGTHS):
        one = slice(n, n + 1)
        alone = layer(mg.tensor(query[:, one]), mg.tensor(memory[:length, one]))[0].detach().numpy()
        np.testing.assert_allclose(alone, together[:, one], rtol=1e-12, atol=1e-15)
    context, weights = layer(mg.tensor(query[:, :0]), mg.tensor(memory[:, :0]))
    assert (context.shape, weights.shape) == ((T, 0, H), (T, 0, S))


def test_a_memory_may_be_the_state_of_a_step_of_your_own():
    layer, query, memory = made("general")
    prepared = layer.prepare(mg.tensor(memory), LENGTHS)

    def step(x, output, keys, values, allowed):
        context, _ = layer_free(x, nn.attention.Memory(keys, values, allowed))
        return context, keys, values, allowed

    layer_free = nn.DotAttention(Q).attend  # keys of width Q are at hand, and need no matrix
    keys = prepared._replace(values=prepared.keys)
    outputs, _ = scan(
        step, mg.tensor(query), (mg.zeros((N, Q), dtype="float64"), *keys), compile="never"
    )
    weights = layer(mg.tensor(query), mg.tensor(memory), LENGTHS)[1]
    expected = np.einsum("tns,nsq->tnq", values(weights), values(prepared.keys))
    np.testing.assert_allclose(values(outputs), expected, rtol=1e-12, atol=1e-14)


def test_pooling_is_attention_of_one_query():
    mg.manual_seed(0)
    layer, memory = nn.AttentionPooling(H, dtype="float64"), floats(S, N, H)
    vector, weights = layer(mg.tensor(memory), LENGTHS)
    query = mg.stack([layer.query] * N)
    for a, b in zip(
        (vector, weights), layer.attention(query, mg.tensor(memory), LENGTHS), strict=True
    ):
        assert mg.all(a == b)
    vector.sum().backward()
    assert layer.query.grad.shape == (H,)
    assert mg.any(layer.query.grad != 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.DotAttention(2, 3), ArgumentError, "equal sizes, or GeneralAttention"),
        (lambda: nn.DotAttention(2)(mg.ones((1, 2)), mg.ones((3, 1, 4))), ShapeError,
         r"DotAttention: the memory has shape \(3, 1, 4\); it must be \(S, N, 2\)"),
        (lambda: nn.DotAttention(2)(mg.ones((3, 2)), mg.ones((3, 1, 2))), ShapeError,
         r"query has shape \(3, 2\); for this memory of N=1 it must be \(1, 2\), or"),
        (lambda: nn.DotAttention(2)(mg.ones((1, 2)), mg.ones((3, 1, 2), dtype="float64")), DtypeError,
         "the query has dtype float32 and the memory float64"),
        (lambda: nn.DotAttention(2)(mg.ones((1, 2)), mg.ones((3, 1, 2)), [4]), ArgumentError,
         "DotAttention: the length of row 0 is 4, but the input has 3"),
        (lambda: nn.AttentionPooling(2, nn.DotAttention), ArgumentError,
         "attention is the class DotAttention; give an attention layer"),
        (lambda: nn.AttentionPooling(2, nn.DotAttention(3)), ArgumentError,
         "the attention layer has memory_size=3, and it must be 2 here"),
        (lambda: nn.attention.AttentionRecurrent(nn.cells.gru, 2, 3, nn.DotAttention(2)), ArgumentError,
         "the attention layer has query_size=2, and it must be 3 here"),
        (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True), TypeError,
         "MultiheadAttention has no option 'add_bias_kv': concat a learned position to"),
        (lambda: nn.MultiheadAttention(4, 3), ArgumentError, "cannot be cut into num_heads=3 equal"),
    ],
)  # fmt: skip
def test_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


# a recurrent layer with attention


class Leaky(nn.Cell):
    """A cell of a user, with two states of different widths."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, widths={"c": 2})
        self.inner = nn.Linear(input_size + 2, hidden_size)

    def step(self, x, h, c):
        new = mg.tanh(self.inner(mg.concat([x, c], axis=-1)) + 0.5 * h)
        return new, 0.9 * c + new[:, :2]


CELLS = {**nn.cells.CELLS, "own": Leaky}


def recurrent(cell, num_layers=1, kind=nn.AdditiveAttention):
    mg.manual_seed(1)
    return nn.attention.AttentionRecurrent(CELLS[cell], 3, 4, kind(4, H), num_layers).to("float64")


def run(layer, x, memory, lengths, **options):
    prepared = layer.attention.prepare(memory, LENGTHS)
    return layer(x, prepared, lengths=lengths, **options)


@pytest.mark.parametrize(("cell", "num_layers"), [*((cell, 2) for cell in CELLS), ("lstm", 1)])
def test_the_loop_is_one_step_after_the_other(cell, num_layers, recwarn):
    layer = recurrent(cell, num_layers)
    x, memory, lengths = leaf(floats(7, N, 3)), leaf(floats(S, N, H)), [7, 4, 1]
    outputs, (hidden, context) = run(layer, x, memory, lengths)
    state, by_steps = (None, None), []
    for t in range(7):
        output, new = run(layer, x[t], memory, None, hx=state[0], context=state[1])
        by_steps.append(output)
        state = new
    by_steps = mg.where(
        (np.arange(7)[:, None] < np.array(lengths))[..., None], mg.stack(by_steps), 0.0
    )
    np.testing.assert_allclose(values(outputs), values(by_steps), rtol=1e-12, atol=1e-14)
    ends = values(outputs)[np.array(lengths) - 1, np.arange(N)]
    np.testing.assert_array_equal(values(context), ends[:, 4:])
    top = hidden if isinstance(hidden, mg.Tensor) else hidden[0]
    np.testing.assert_array_equal(values(top[-1]), ends[:, :4])
    g, wanted = mg.tensor(floats(*outputs.shape)), [x, memory, *layer.parameters()]
    for a, b in zip(mg.grad(outputs, wanted, g), mg.grad(by_steps, wanted, g), strict=True):
        np.testing.assert_allclose(values(a), values(b), rtol=1e-10, atol=1e-12)
    assert [str(warning.message) for warning in recwarn] == []


def test_what_is_not_real_is_never_read_by_the_loop():
    layer, lengths, found = recurrent("gru"), [7, 4, 1], []
    x, memory, g = floats(7, N, 3), floats(S, N, H), mg.tensor(floats(7, N, 4 + H))
    for garbage in (0.0, np.nan):
        x[np.arange(7)[:, None] >= np.array(lengths)] = garbage
        memory[np.arange(S)[:, None] >= np.array(LENGTHS)] = garbage
        given = leaf(x), leaf(memory)
        outputs, _ = run(layer, *given, lengths)
        slopes = mg.grad(outputs, [*given, *layer.parameters()], g)
        found.append([values(outputs), *(s.numpy() for s in slopes)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)


def test_second_derivatives_go_through_the_loop():
    layer, x, memory = recurrent("mingru"), leaf(floats(2, N, 3)), leaf(floats(S, N, H))
    gradgradcheck(lambda x, m: run(layer, x, m, None)[0], [x, memory])


@pytest.mark.parametrize("cell", ["lstm", "own"])
def test_a_traced_step_is_known_the_next_time(cell, monkeypatch):
    """Also of a cell of a user: what its class reads is looked at, and not traced again."""
    layer = recurrent(cell)
    before = layer.cell.surroundings()
    assert before is not None
    assert before == layer.cell.surroundings()
    monkeypatch.setattr(Leaky, "step", lambda self, x, h, c: (h, c))
    assert (before == layer.cell.surroundings()) == (cell != "own")


def test_explain_says_how_its_loop_is_run():
    head, reason = explain(recurrent("lstm", 2)).splitlines()
    assert head.startswith(
        "AttentionRecurrent(x[N,3], output[N,10], packed[N,16], keys[N,2,4], values"
    )
    assert reason.startswith(
        "  interpreted, because keys:float64[2, 2, 4]: states of a compiled loop"
    )


@pytest.mark.parametrize("option", ["bidirectional", "batch_first", "dropout"])
@pytest.mark.filterwarnings("ignore:Recurrent. dropout")
def test_what_has_no_place_in_the_loop_is_refused(option):
    value = 0.5 if option == "dropout" else True
    with pytest.raises(ArgumentError, match=f"step by step, with time first.*; leave out {option}"):
        nn.attention.AttentionRecurrent(nn.cells.gru, 3, 4, nn.DotAttention(4), **{option: value})


def test_one_step_and_no_row():
    layer = recurrent("gru")
    prepared = layer.attention.prepare(mg.zeros((S, 0, H), dtype="float64"))
    outputs, (h, context) = layer(mg.zeros((7, 0, 3), dtype="float64"), prepared)
    assert (outputs.shape, h.shape, context.shape) == ((7, 0, 4 + H), (1, 0, 4), (0, H))
    prepared = layer.attention.prepare(mg.zeros((S, N, H), dtype="float64"))
    outputs, (h, _) = layer(mg.zeros((0, N, 3), dtype="float64"), prepared)
    assert (outputs.shape, float(mg.sum(mg.abs(h)))) == ((0, N, 4 + H), 0)
