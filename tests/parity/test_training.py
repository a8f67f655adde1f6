"""A training run equals PyTorch's: layers, loss, clipping, optimiser and schedule work together."""

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

OPTIMISERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "AdamW": {"lr": 0.01},
}
WORDS, STEPS, ROWS = 7, 5, 3


def model(library):
    """Return an embedding, a recurrent layer of two layers and directions, and a linear layer."""
    return library.ModuleDict(
        {
            "embedding": library.Embedding(WORDS, 4, padding_idx=0),
            "recurrent": library.GRU(4, 5, num_layers=2, bidirectional=True),
            "norm": library.LayerNorm(10),
            "readout": library.Linear(10, WORDS),
        }
    )


def scores(layers, words):
    outputs, _ = layers["recurrent"](layers["embedding"](words))
    return layers["readout"](layers["norm"](outputs)).reshape(-1, WORDS)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_thirty_updates(name):
    torch.manual_seed(0)
    theirs = model(torch.nn).double()
    ours = model(nn).double()
    ours.load_state_dict(theirs.state_dict())
    start = {key: value.numpy().copy() for key, value in theirs.state_dict().items()}
    optimizers, schedules, losses = [], [], []
    for library, layers in ((nn.optim, ours), (torch.optim, theirs)):
        optimizers.append(getattr(library, name)(layers.parameters(), **OPTIMISERS[name]))
        schedules.append(library.lr_scheduler.CosineAnnealingLR(optimizers[-1], T_max=30))
    rng = np.random.default_rng(0)
    for _ in range(30):
        words, targets = rng.integers(0, WORDS, size=(2, STEPS, ROWS))
        found = nn.CrossEntropyLoss()(scores(ours, mg.tensor(words)), mg.tensor(targets.ravel()))
        expected = torch.nn.CrossEntropyLoss()(
            scores(theirs, torch.tensor(words)), torch.tensor(targets.ravel())
        )
        losses.append((found.item(), expected.item()))
        for loss, optimizer in zip((found, expected), optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
        norm = nn.clip_grad_norm_(ours.parameters(), 0.2)
        peers_norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.2)
        np.testing.assert_allclose(norm.item(), peers_norm.item(), rtol=1e-9)
        for each in (*optimizers, *schedules):
            each.step()
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-12)
    for key, wanted in theirs.state_dict().items():
        np.testing.assert_allclose(
            ours.state_dict()[key].numpy(), wanted.numpy(), rtol=1e-9, atol=1e-11, err_msg=key
        )
    assert any(
        np.abs(value.numpy() - start[key]).max() > 0.05
        for key, value in theirs.state_dict().items()
    )
