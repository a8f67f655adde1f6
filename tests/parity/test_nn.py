"""Layers and optimisers equal PyTorch's: results, gradients, and weights that load unchanged."""

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(autouse=True)
def float64():
    """Compute in float64 in both libraries."""
    mg.set_default_dtype("float64")
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)
    mg.set_default_dtype("float32")


def assert_close(found, expected):
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), **TOLERANCE)


def assert_same_gradients(layer, peer):
    for name, expected in peer.named_parameters():
        assert_close(dict(layer.named_parameters())[name].grad, expected.grad)


def copied(peer):
    return {name: t.detach().numpy().copy() for name, t in peer.state_dict().items()}


@pytest.mark.parametrize("bias", [True, False])
def test_linear_and_embedding(bias):
    peer, layer = torch.nn.Linear(4, 3, bias=bias), nn.Linear(4, 3, bias=bias)
    layer.load_state_dict(copied(peer))
    x = torch.randn(2, 5, 4)
    result, expected = layer(mg.tensor(x.numpy())), peer(x)
    assert_close(result, expected)
    (result**2).sum().backward()
    (expected**2).sum().backward()
    assert_same_gradients(layer, peer)

    table, peer_table = nn.Embedding(6, 3), torch.nn.Embedding(6, 3)
    table.load_state_dict(copied(peer_table))
    codes = torch.tensor([[0, 5, 5], [2, 1, 0]])
    (table(mg.tensor(codes.numpy())) ** 2).sum().backward()
    (peer_table(codes) ** 2).sum().backward()
    assert_same_gradients(table, peer_table)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", {}),
        ("Adam", {"lr": 0.1, "betas": (0.5, 0.99), "eps": 1e-4}),
        ("Adam", {"betas": (0.0, 0.0)}),
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
        ("SGD", {"lr": 0.1, "momentum": 0.9}),
        ("SGD", {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ],
)
def test_a_hundred_steps_of_an_optimiser_with_clipping(name, options):
    peer, layer = torch.nn.LSTM(3, 4), nn.LSTM(3, 4)
    layer.load_state_dict(copied(peer))
    theirs = getattr(torch.optim, name)(peer.parameters(), **options)
    ours = getattr(nn.optim, name)(layer.parameters(), **options)
    for _ in range(100):
        x = torch.randn(3, 2, 3)
        theirs.zero_grad()
        ours.zero_grad()
        (peer(x)[0] ** 2).sum().backward()
        (layer(mg.tensor(x.numpy()))[0] ** 2).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(peer.parameters(), 0.2)
        np.testing.assert_allclose(nn.clip_grad_norm_(layer.parameters(), 0.2), norm, rtol=1e-8)
        theirs.step()
        ours.step()
    for key, expected in peer.named_parameters():
        found = dict(layer.named_parameters())[key].detach().numpy()
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-8, atol=1e-10)


def test_default_initialisation_has_the_same_spread():
    pairs = [
        (nn.Linear(300, 200), torch.nn.Linear(300, 200)),
        (nn.Embedding(300, 64), torch.nn.Embedding(300, 64)),
    ]
    for layer, peer in pairs:
        expected = copied(peer)
        assert [*layer.state_dict()] == [*expected]
        for name, value in layer.state_dict().items():
            np.testing.assert_allclose(value.numpy().std(), expected[name].std(), rtol=0.15)
            assert abs(value.numpy().mean()) < 0.15 * expected[name].std()
