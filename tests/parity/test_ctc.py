"""The CTC loss equals PyTorch's: results and gradients, of both forms of targets."""

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn


def joined(targets, lengths):
    return np.concatenate([row[:length] for row, length in zip(targets, lengths, strict=True)])


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("form", [lambda targets, lengths: targets, joined])
def test_losses_and_gradients(blank, reduction, form):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 5, 4))
    targets = rng.choice([c for c in range(4) if c != blank], (5, 5))
    lengths = {"input_lengths": [12, 9, 11, 3, 0], "target_lengths": [5, 3, 0, 5, 0]}
    for zero_infinity in (False, True):
        options = {"blank": blank, "reduction": reduction, "zero_infinity": zero_infinity}
        given = form(targets, lengths["target_lengths"])
        x = mg.tensor(values, requires_grad=True)
        loss = nn.CTCLoss(**options)(
            mg.log_softmax(x, axis=-1), mg.tensor(given), *lengths.values()
        )
        p = torch.tensor(values, requires_grad=True)
        peer = torch.nn.CTCLoss(**options)(
            p.log_softmax(-1), torch.tensor(given), *map(torch.tensor, lengths.values())
        )
        np.testing.assert_allclose(loss.detach().numpy(), peer.detach().numpy(), rtol=1e-12)
        cotangent = rng.normal(size=loss.shape)
        loss.backward(mg.tensor(cotangent))
        peer.backward(torch.tensor(cotangent))
        possible = [
            n for n in range(5) if zero_infinity or n != 3
        ]  # PyTorch's gradient there is NaN
        np.testing.assert_allclose(
            x.grad.numpy()[:, possible], p.grad.numpy()[:, possible], atol=1e-12
        )
        assert not x.grad[:, 3].any()


def test_a_single_sequence():
    values = np.random.default_rng(0).normal(size=(6, 4))
    options = {"reduction": "none"}
    loss = nn.CTCLoss(**options)(
        mg.tensor(values), mg.tensor([1, 1, 3]), mg.tensor(6), mg.tensor(3)
    )
    peer = torch.nn.CTCLoss(**options)(
        torch.tensor(values), torch.tensor([1, 1, 3]), torch.tensor(6), torch.tensor(3)
    )
    assert loss.shape == tuple(peer.shape)
    assert loss.item() == pytest.approx(peer.item(), rel=1e-12)
