"""The categorical distribution equals PyTorch's."""

import numpy as np
import pytest
import torch

import minigrad as mg


@pytest.mark.parametrize("name", ["logits", "probs"])
def test_categorical(name):
    rng = np.random.default_rng(0)
    given = rng.uniform(0.1, 2.0, (2, 1, 4))
    value = rng.integers(0, 4, (3, 2, 5))
    x, p = mg.tensor(given, requires_grad=True), torch.tensor(given, requires_grad=True)
    ours = mg.Categorical(**{name: x})
    peer = torch.distributions.Categorical(**{name: p})
    for a, b in (
        (ours.log_prob(mg.tensor(value)), peer.log_prob(torch.tensor(value))),
        (ours.entropy(), peer.entropy()),
        (ours.probs, peer.probs),
        (ours.logits, peer.logits),
    ):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)
        cotangent = rng.normal(size=a.shape)
        (found,) = mg.grad(a, x, mg.tensor(cotangent), retain_graph=True)
        (wanted,) = torch.autograd.grad(b, p, torch.tensor(cotangent), retain_graph=True)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-10, atol=1e-12)
    assert ours.sample((6, 7)).shape == tuple(peer.sample((6, 7)).shape)
