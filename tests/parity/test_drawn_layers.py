"""Layers with all options drawn equal PyTorch's: results, gradients, states; or both refuse the input."""

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import MinigradError

TOLERANCE = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture(autouse=True)
def float64():
    """Compute in float64 in both libraries."""
    mg.set_default_dtype("float64")
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    mg.set_default_dtype("float32")


def drawn(rng, shape):
    return np.asarray(rng.normal(size=shape) * 2 + 1)


def outcome(layer, *args):
    """Return the result of a call, or None if it is refused."""
    try:
        return layer(*args)
    except (MinigradError, RuntimeError, ValueError):
        return None


def same(found, expected):
    if expected is None or found is None:
        assert found is expected
        return
    assert tuple(found.shape) == tuple(expected.shape)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), **TOLERANCE)


def compare(name, options, shapes, seed, *more, training=True):
    """Call both layers on several inputs in turn; compare results, gradients and states after each."""
    rng = np.random.default_rng(seed)
    layer, peer = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert repr(layer) == repr(peer)
    state = {key: drawn(rng, tuple(t.shape)) ** 2 for key, t in peer.state_dict().items()
             if t.dtype.is_floating_point}  # fmt: skip
    layer.load_state_dict(state, strict=False)
    peer.load_state_dict({key: torch.tensor(t) for key, t in state.items()}, strict=False)
    layer.train(training)
    peer.train(training)
    for shape in shapes:
        x = drawn(rng, shape)
        ours, theirs = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        found, expected = outcome(layer, ours, *more), outcome(peer, theirs, *more)
        same(found, expected)
        if expected is None:  # PyTorch has counted this batch
            return
        weight = rng.normal(size=tuple(expected.shape))
        found.backward(mg.tensor(weight))
        expected.backward(torch.tensor(weight))
        same(ours.grad, theirs.grad)
        for key, parameter in peer.named_parameters():
            same(dict(layer.named_parameters())[key].grad, parameter.grad)
        states = layer.state_dict()
        assert [*states] == [*peer.state_dict()]
        for key, value in peer.state_dict().items():
            same(states[key], value)


SEEDS = st.integers(0, 2**16)


@st.composite
def transposed(draw, rank):
    def each(low, high):
        numbers = st.integers(low, high)
        return draw(st.one_of(numbers, st.tuples(*[numbers] * rank)))

    groups = draw(st.integers(1, 3))
    options = {
        "in_channels": groups * draw(st.integers(1, 2)), "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": each(1, 3), "stride": each(1, 3), "padding": each(0, 2), "groups": groups,
        "dilation": each(1, 3), "bias": draw(st.booleans()),
    }  # fmt: skip
    steps = (options["stride"], options["dilation"])
    pairs = [s if isinstance(s, tuple) else (s,) * rank for s in steps]
    options["output_padding"] = tuple(
        draw(st.integers(0, max(n) - 1)) for n in zip(*pairs, strict=True)
    )
    size = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    batch = draw(st.sampled_from([(), (0,), (1,), (3,)]))
    if batch == (0,):  # PyTorch then takes what leaves nothing of the result
        options["padding"] = 0
    return options, (*batch, options["in_channels"], *size)


@pytest.mark.parametrize("rank", [1, 2])
@hypothesis.given(st.data(), SEEDS)
def test_transposed_convolutions(rank, data, seed):
    options, shape = data.draw(transposed(rank))
    compare(f"ConvTranspose{rank}d", options, [shape] * 2, seed)
    size = [data.draw(st.integers(1, 12)) for _ in range(rank)]
    more = data.draw(st.sampled_from([[], [*shape[: len(shape) - rank]]]))
    compare(f"ConvTranspose{rank}d", options, [shape], seed, more + size)


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("training", [True, False])
@hypothesis.given(st.data(), SEEDS)
def test_batch_normalisation(rank, training, data, seed):
    draw, flags = data.draw, st.booleans()
    options = {
        "num_features": draw(st.integers(1, 3)), "eps": draw(st.sampled_from([1e-5, 0.1])),
        "momentum": draw(st.sampled_from([None, 0.0, 0.1, 0.5, 1.0])), "affine": draw(flags),
        "track_running_stats": draw(flags), "bias": draw(flags),
    }  # fmt: skip
    shapes = [
        (draw(st.integers(1, 3)), options["num_features"], *(draw(st.integers(1, 3)),) * rank)
        for _ in range(3)
    ]
    compare(f"BatchNorm{max(rank, 1)}d", options, shapes, seed, training=training)


@hypothesis.given(st.data(), SEEDS)
def test_group_normalisation(data, seed):
    draw, groups = data.draw, data.draw(st.integers(1, 3))
    options = {
        "num_groups": groups, "num_channels": groups * draw(st.integers(1, 3)),
        "eps": draw(st.sampled_from([1e-5, 0.1])),
        "affine": draw(st.booleans()), "bias": draw(st.booleans()),
    }  # fmt: skip
    rest = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 3)))]
    compare(
        "GroupNorm", options, [(draw(st.integers(0, 3)), options["num_channels"], *rest)] * 2, seed
    )


@pytest.mark.parametrize("rank", [1, 2])
@hypothesis.given(st.data(), SEEDS)
def test_adaptive_pools(rank, data, seed):
    draw, number = data.draw, st.integers(1, 6)  # nothing has no gradient in PyTorch
    keeping = st.tuples(*[st.one_of(number, st.none())] * rank)
    size = draw(st.one_of(number, keeping) if rank == 2 else number)
    sizes = [
        (
            *draw(st.sampled_from([(), (0,), (2,)])),
            3,
            *(draw(st.integers(1, 7)) for _ in range(rank)),
        )
        for _ in range(2)
    ]
    compare(f"AdaptiveAvgPool{rank}d", {"output_size": size}, sizes, seed)
