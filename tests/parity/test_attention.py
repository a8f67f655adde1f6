"""Multi-head attention beside PyTorch's: its parameters, results, weights and gradients."""

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

pytestmark = pytest.mark.parity
RNG = np.random.default_rng(2)
L, S, N, E, HEADS = 4, 5, 3, 6, 2
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "other sizes": {"kdim": 3, "vdim": 5},
    "other sizes, no bias": {"kdim": 3, "bias": False},
    "batch first": {"batch_first": True},
}


def pair(**options):
    """Return PyTorch's layer, and ours with its parameters."""
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(E, HEADS, dtype=torch.float64, **options)
    ours = nn.MultiheadAttention(E, HEADS, dtype="float64", **options)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    state = {name: t.detach().numpy() for name, t in theirs.state_dict().items()}
    ours.load_state_dict({name: mg.tensor(array) for name, array in state.items()})
    assert list(ours.state_dict()) == list(state)
    return theirs, ours


def inputs(batch_first=False, kdim=E, vdim=E, **_):
    shapes = (L, N, E), (S, N, kdim), (S, N, vdim)
    arrays = [RNG.standard_normal(shape) for shape in shapes]
    return [a.swapaxes(0, 1).copy() for a in arrays] if batch_first else arrays


def compare(theirs, ours, arrays, **given):
    """Compare output, weights, and gradients of inputs and parameters."""
    xs = [torch.tensor(a, requires_grad=True) for a in arrays]
    ys = [mg.tensor(a, requires_grad=True) for a in arrays]
    their_output, their_weights = theirs(
        *xs, **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
    )
    output, weights = ours(
        *ys, **{k: mg.tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
    )
    close(output, their_output)
    assert (weights is None) == (their_weights is None)
    loss, their_loss = mg.sum(output**2), (their_output**2).sum()
    if weights is not None:
        close(weights, their_weights)
        loss, their_loss = loss + mg.sum(weights**3), their_loss + (their_weights**3).sum()
    loss.backward()
    their_loss.backward()
    for a, b in zip(ys, xs, strict=True):
        close(a.grad, b.grad)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(p.grad, q.grad, name)


def close(ours, theirs, name=""):
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-11, err_msg=name
    )


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_results_and_gradients(options):
    theirs, ours = pair(**options)
    compare(theirs, ours, inputs(**options))
    alone = [a[0] if options.get("batch_first") else a[:, 0] for a in inputs(**options)]
    compare(*pair(**options), alone)


PADDING = np.arange(S) >= np.array([[5], [3], [1]])
FORBIDDEN = np.triu(np.ones((L, S), dtype=bool), 1)


@pytest.mark.parametrize(
    "given",
    [
        {"key_padding_mask": PADDING},
        {"key_padding_mask": np.where(PADDING, -np.inf, 0.3)},
        {"attn_mask": FORBIDDEN},
        {"attn_mask": RNG.standard_normal((L, S))},
        {"attn_mask": RNG.standard_normal((N * HEADS, L, S))},
        {"attn_mask": FORBIDDEN, "is_causal": True},
        {"attn_mask": FORBIDDEN, "key_padding_mask": PADDING},
        {"need_weights": False},
        {"average_attn_weights": False},
    ],
    ids=", ".join,
)
@pytest.mark.parametrize("options", [{}, {"batch_first": True, "kdim": 4}], ids=["", "batch first"])
def test_masks_and_weights(given, options):
    compare(*pair(**options), inputs(**options), **given)


def test_parameters_begin_as_those_of_pytorch():
    for options in ({}, {"kdim": 3}):
        layer = nn.MultiheadAttention(200, 4, **options)
        for name, p in layer.named_parameters():
            theirs = dict(torch.nn.MultiheadAttention(200, 4, **options).named_parameters())[name]
            low, high = p.detach().numpy().min(), p.detach().numpy().max()
            assert low == pytest.approx(theirs.min().item(), rel=0.01, abs=1e-12)
            assert high == pytest.approx(theirs.max().item(), rel=0.01, abs=1e-12)


def test_scores_of_luong_and_of_vaswani_are_pytorchs_function():
    """Attention layers are time first, and their masks are true where a position is real."""
    query, memory = RNG.standard_normal((L, N, E)), RNG.standard_normal((S, N, E))
    q, m = torch.tensor(query).transpose(0, 1), torch.tensor(memory).transpose(0, 1)
    for layer, scale in ((nn.DotAttention(E), 1.0), (nn.ScaledDotAttention(E), None)):
        context, _ = layer(mg.tensor(query), mg.tensor(memory), mask=~PADDING.T)
        mask = torch.tensor(~PADDING)[:, None]
        theirs = torch.nn.functional.scaled_dot_product_attention(q, m, m, mask, scale=scale)
        close(context, theirs.transpose(0, 1))


def test_what_is_padding_is_never_read_and_nothing_left_is_zero():
    _, layer = pair(bias=False)
    padding, found = PADDING.copy(), []
    padding[2] = True
    for garbage in (0.0, np.nan):
        query, key, value = (a.copy() for a in ARRAYS)
        key[padding.T], value[padding.T] = garbage, garbage
        xs = [mg.tensor(a, requires_grad=True) for a in (query, key, value)]
        output, weights = layer(*xs, key_padding_mask=mg.tensor(padding))
        slopes = mg.grad(mg.sum(output**2) + mg.sum(weights**2), [*xs, *layer.parameters()])
        found.append([output.detach().numpy(), *(g.numpy() for g in slopes)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)
    assert (found[0][0][:, 2] == 0).all()


ARRAYS = inputs()
