"""The decoder: teacher forcing is a loop of steps, and what it is fed back is what it put out."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.testing import gradcheck

pytestmark = pytest.mark.usefixtures("both_loops")

RNG = np.random.default_rng(8)
T, N, S, M, V = 6, 3, 4, 5, 7
LENGTHS = [6, 4, 1]
KINDS = {
    "plain": {},
    "two layers": {"num_layers": 2},
    "input feeding": {"attention": (4, M)},
    "attention behind": {"attention": (4, M), "input_feeding": False},
    "from a vector": {"vector_size": 3},
    "vector at each step": {"vector_size": 3, "vector_to": "inputs", "attention": (4, M)},
    "vector twice": {"vector_size": 3, "vector_to": "both", "num_layers": 2},
}


def decoder(kind, cell=nn.cells.lstm, **options):
    mg.manual_seed(4)
    options = {**KINDS[kind], **options}
    if "attention" in options:
        options["attention"] = nn.AdditiveAttention(*options["attention"])
    return nn.Decoder(cell, 3, 4, options.pop("output_size", V), **options).to("float64")


def begin(layer, rows=slice(None), memory=None):
    """Return the state before the first step, for a memory and a vector that are always the same."""
    rng, given = np.random.default_rng(1), {}
    encoded, vector = rng.standard_normal((S, N, M)), rng.standard_normal((N, 3))
    if layer._attention() is not None:
        lengths = np.array([4, 2, 3])[rows]
        given = {"memory": mg.tensor(encoded[:, rows]), "memory_lengths": lengths}
    if layer.vector_size:
        given["vector"] = mg.tensor(vector[rows])
    return layer.start(**given)


def values(t):
    return t.detach().numpy()


def leaves(state):
    if isinstance(state, tuple):
        return [leaf for part in state for leaf in leaves(part)]
    return [] if state is None else [values(state)]


def assert_alike(found, expected, **tolerance):
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 1e-12, "atol": 1e-14, **tolerance})


TOKENS = RNG.integers(0, V, (T, N))


@pytest.mark.parametrize("cell", [nn.cells.lstm, nn.cells.gru], ids=["lstm", "gru"])
@pytest.mark.parametrize("kind", KINDS)
def test_teacher_forcing_is_a_loop_of_steps(kind, cell):
    layer = decoder(kind, cell)
    scores, state = layer(mg.tensor(TOKENS), begin(layer))
    assert scores.shape == (T, N, V)
    at, by_steps = begin(layer), []
    for tokens in mg.tensor(TOKENS):
        output, at = layer.step(tokens, at)
        by_steps.append(output)
    assert_alike((scores, state), (mg.stack(by_steps), at))
    g = mg.tensor(RNG.standard_normal(scores.shape))
    whole, parts = (
        mg.grad(y, list(layer.parameters()), g)
        for y in (layer(mg.tensor(TOKENS), begin(layer))[0], mg.stack(by_steps))
    )
    for a, b, (name, _) in zip(whole, parts, layer.named_parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)
    first, middle = layer(mg.tensor(TOKENS)[:2], begin(layer))
    rest, last = layer(mg.tensor(TOKENS)[2:], middle)
    assert_alike((mg.concat([first, rest]), last), (scores, state))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_each_sequence_alone_and_padding_is_never_read(kind):
    layer = decoder(kind)
    padded = np.where(np.arange(T)[:, None] < np.array(LENGTHS), TOKENS, -100)
    scores, state = layer(mg.tensor(padded), begin(layer), lengths=LENGTHS)
    pair, _ = layer(nn.data.Padded(mg.tensor(padded), mg.tensor(LENGTHS)), begin(layer))
    assert_alike(pair, scores)
    for n, length in enumerate(LENGTHS):
        rows = slice(n, n + 1)
        alone, end = layer(mg.tensor(TOKENS)[:length, rows], begin(layer, rows))
        assert_alike(alone, scores[:length, rows])
        assert_alike(end.hidden, tuple(h[:, rows] for h in state.hidden))


def test_garbage_behind_vectors_reaches_nothing():
    for kind in ("plain", "input feeding", "attention behind"):
        layer, found = decoder(kind, embedding=False, output_size=3), []
        inputs = RNG.standard_normal((T, N, 3))
        for garbage in (0.0, np.nan):
            inputs[np.arange(T)[:, None] >= np.array(LENGTHS)] = garbage
            outputs, _ = layer(mg.tensor(inputs), begin(layer), lengths=LENGTHS)
            slopes = mg.grad(mg.sum(outputs**2), list(layer.parameters()))
            found.append((outputs, *slopes))
        assert_alike(*found)


@pytest.mark.parametrize("kind", KINDS)
def test_unroll_feeds_back_the_likeliest_token(kind):
    layer = decoder(kind)
    scores, state = layer.unroll(mg.tensor(TOKENS)[0], T, begin(layer))
    tokens, at, expected = mg.tensor(TOKENS)[0], begin(layer), []
    for _ in range(T):
        output, at = layer.step(tokens, at)
        tokens = mg.argmax(output, axis=-1)
        expected.append(output)
    assert_alike((scores, state), (mg.stack(expected), at))


def test_outputs_that_are_vectors_are_fed_back_with_their_gradients():
    layer = decoder("from a vector", embedding=False, output_size=3)
    first = mg.tensor(RNG.standard_normal((N, 3)), requires_grad=True)
    gradcheck(lambda x: layer.unroll(x, 4, begin(layer))[0], [first])
    outputs, _ = layer.unroll(first, 4, begin(layer))
    again, _ = layer(mg.concat([first[None], outputs[:-1]]), begin(layer))
    assert_alike(again, outputs)


def test_sampling_feeds_back_its_own_tokens_with_the_probability():
    layer = decoder("input feeding", sampling=1.0, generator=mg.Generator(2))
    scores, _ = layer(mg.tensor(TOKENS), begin(layer))
    generator = mg.Generator(2)
    generator.bernoulli(1.0, (T, N))
    tokens, at, expected = mg.tensor(TOKENS)[0], begin(layer), []
    for _ in range(T):
        output, at = layer.step(tokens, at)
        tokens = generator.categorical(mg.softmax(output))
        expected.append(output)
    assert_alike(scores, mg.stack(expected))

    forced, _ = layer.eval()(mg.tensor(TOKENS), begin(layer))  # not in evaluation
    layer.sampling = 0.0
    assert_alike(forced, layer.train()(mg.tensor(TOKENS), begin(layer))[0])
    layer.sampling, layer.generator = 1e-12, mg.Generator(2)
    assert_alike(forced, layer(mg.tensor(TOKENS), begin(layer))[0])

    seen = []
    layer.sampling, layer.embedding = 0.3, Noting(layer.embedding, seen)
    long = mg.zeros((400, N), dtype="int64")
    layer(long, begin(layer))
    own = np.mean([values(t) != 0 for t in seen[1:]])  # six of seven drawn tokens are not 0
    assert 0.15 < own < 0.35
    assert not seen[0].any()


class Noting(nn.Module):
    """An embedding that notes what it is given."""

    def __init__(self, embedding, seen):
        self.inner, self.seen = embedding, seen

    def forward(self, tokens):
        self.seen.append(tokens)
        return self.inner(tokens)


def test_sampling_and_lengths_keep_states_and_zeros():
    layer = decoder("input feeding", sampling=1e-12)
    scores, state = layer(mg.tensor(TOKENS), begin(layer), lengths=LENGTHS)
    expected, end = layer.eval()(mg.tensor(TOKENS), begin(layer), lengths=LENGTHS)
    present = (np.arange(T)[:, None] < np.array(LENGTHS))[..., None]
    assert_alike(state, end)
    assert_alike(scores, mg.where(mg.tensor(present), expected, 0.0))


@pytest.mark.parametrize("kind", ["input feeding", "attention behind"])
def test_alignments_are_the_weights_of_each_step(kind):
    layer, looked = decoder(kind), []
    weights = layer.alignments(mg.tensor(TOKENS), begin(layer))
    attention = layer._attention()
    attend = attention.attend
    attention.attend = lambda *given: looked.append(attend(*given)) or looked[-1]
    at = begin(layer)
    for tokens in mg.tensor(TOKENS):
        _, at = layer.step(tokens, at)
    del attention.attend
    assert_alike(weights, mg.stack([w for _, w in looked]))
    np.testing.assert_allclose(values(weights).sum(axis=-1), 1, rtol=1e-12)
    padded = mg.where(np.arange(T)[:, None] < np.array(LENGTHS), mg.tensor(TOKENS), -100)
    again = layer.alignments((padded, LENGTHS), begin(layer))
    assert_alike(again[:4, :2], weights[:4, :2])
    assert (values(weights)[:, 1, 2:] == 0).all()


def test_a_decoder_keeps_its_state_dict_through_saving(tmp_path):
    layer = decoder("input feeding")
    assert {n.partition(".")[0] for n in layer.state_dict()} == {
        "embedding", "recurrent", "combine", "readout"
    }  # fmt: skip
    mg.save(tmp_path / "decoder.safetensors", layer.state_dict())
    other = decoder("input feeding", sampling=0.0)
    for p in other.parameters():
        p.copy_(mg.zeros_like(p))
    other.load_state_dict(mg.load(tmp_path / "decoder.safetensors"))
    assert_alike(
        other(mg.tensor(TOKENS), begin(other))[0], layer(mg.tensor(TOKENS), begin(layer))[0]
    )


@pytest.mark.parametrize("again", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_is_a_decoder_of_its_own(again, recwarn):
    layer = decoder("input feeding")
    other, expected = again(layer), layer(mg.tensor(TOKENS), begin(layer))[0]
    for p in layer.parameters():
        p.copy_(mg.zeros_like(p))
    assert_alike(other(mg.tensor(TOKENS), begin(other))[0], expected)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_state_is_detached_and_its_rows_are_selected():
    layer = decoder("vector at each step")
    _, state = layer(mg.tensor(TOKENS), begin(layer))
    detached = nn.detach_state(state)
    assert type(detached) is type(state)
    assert_alike(detached, state)
    assert not any(t.requires_grad for t in (*detached.hidden, detached.context, *detached.memory))
    chosen = nn.decoding.select_rows(state, [2, 0])
    assert type(chosen) is type(state)
    scores, _ = layer.step(mg.tensor(TOKENS)[0][[2, 0]], chosen)
    assert_alike(scores, layer.step(mg.tensor(TOKENS)[0], state)[0][[2, 0]])


def test_a_given_embedding_and_readout_are_used():
    table = nn.Embedding(V, 3)
    layer = decoder("plain", embedding=table, readout=nn.Identity(), output_size=4)
    assert layer.embedding is table
    scores, state = layer(mg.tensor(TOKENS))
    assert_alike(scores[-1], state.hidden[0][-1])
    tied = decoder("input feeding", embedding=table, readout=nn.TiedLinear(table, 4))
    assert tied(mg.tensor(TOKENS), begin(tied))[0].shape == (T, N, V)


def test_dropout_is_of_training_alone():
    layer = decoder("input feeding", dropout=0.5)
    one, two = (layer(mg.tensor(TOKENS), begin(layer))[0] for _ in range(2))
    assert not mg.all(one == two)
    layer.eval()
    one, two = (layer(mg.tensor(TOKENS), begin(layer))[0] for _ in range(2))
    assert mg.all(one == two)


def test_no_row_and_no_step():
    for kind in ("plain", "attention behind"):
        layer = decoder(kind)
        scores, _ = layer(mg.tensor(TOKENS)[:, :0], begin(layer, slice(0)))
        assert scores.shape == (T, 0, V)
        scores, _ = layer(mg.tensor(TOKENS)[:0], begin(layer))
        assert scores.shape == (0, N, V)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: decoder("plain")(mg.tensor(TOKENS), memory=mg.ones((S, N, M))), ArgumentError,
         "Decoder: it has no attention; leave it out"),
        (lambda: decoder("input feeding")(mg.tensor(TOKENS)), ArgumentError,
         "looks at a memory; give memory="),
        (lambda: decoder("from a vector")(mg.tensor(TOKENS)), ArgumentError,
         "needs its vector; give vector="),
        (lambda: decoder("plain")(mg.tensor(TOKENS), vector=mg.ones((N, 3))), ArgumentError,
         "was made without vector_size"),
        (lambda: decoder("from a vector").start(mg.ones((1, N, 4)), vector=mg.ones((N, 3))),
         ArgumentError, "hidden is made from the vector"),
        (lambda: decoder("plain")(mg.tensor(TOKENS)[0]), ShapeError, r"are tokens and must be \(T, N\)"),
        (lambda: decoder("plain").step(mg.tensor(TOKENS)), ShapeError, r"are tokens and must be \(N\)"),
        (lambda: decoder("plain", embedding=False)(mg.ones((T, N, 2))), ShapeError,
         r"are vectors and must be \(T, N, 3\)"),
        (lambda: decoder("plain", embedding=False).unroll(mg.ones((N, 3)), 2), ArgumentError,
         "outputs of width 7 cannot be fed back as inputs of width 3"),
        (lambda: decoder("plain", bidirectional=True), ArgumentError, "leave out bidirectional"),
        (lambda: decoder("plain", sampling=2), ArgumentError, "sampling must be a number from 0 to 1"),
        (lambda: decoder("plain", vector_to="start"), ArgumentError, "vector_to"),
        (lambda: nn.Decoder(nn.cells.gru, 3, 4, V, attention=nn.DotAttention), ArgumentError,
         "attention is the class DotAttention"),
        (lambda: decoder("input feeding")(mg.tensor(TOKENS), nn.decoder.DecoderState()), ArgumentError,
         r"this state is not one of this decoder; make one by start\(\)"),
        (lambda: decoder("input feeding")(mg.tensor(TOKENS), begin(decoder("input feeding")),
                                          memory=mg.ones((S, N, M))),
         ArgumentError, "memory of a sequence that has begun are in its state"),
    ],
)  # fmt: skip
def test_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
