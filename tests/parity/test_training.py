"""A training run equals PyTorch's: layers, loss, clipping, optimiser and schedule work together."""

import re
from pathlib import Path

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


def language_model(library):
    """Return a language model with dropout of nothing between its layers."""

    class Language(library.Module):
        def __init__(self):
            super().__init__()
            self.embedding = library.Embedding(WORDS, 4)
            self.recurrent = library.LSTM(4, 5, num_layers=2)
            self.readout = library.Linear(5, WORDS)

        def forward(self, words, state=None):
            outputs, state = self.recurrent(self.embedding(words), state)
            return self.readout(outputs), state

    return Language()


def test_fit_is_the_loop_that_is_written_by_hand():
    """Accumulation over three chunks of unequal length, carried state, clipping, schedule, validation."""
    torch.manual_seed(0)
    theirs = language_model(torch.nn).double()
    ours = language_model(nn).double()
    ours.load_state_dict(theirs.state_dict())
    text = np.random.default_rng(0).integers(0, WORDS, 200)
    training, held_out = nn.data.Streams(text, 3, 9), nn.data.Streams(text[::-1], 4, 20)
    optimizer = nn.optim.AdamW(ours.parameters(), lr=0.02)
    schedule = nn.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 10)
    losses = []

    class Noting(nn.training.Callback):
        def on_update(self, run):
            losses.append(run.loss)

    def entropy(outputs, targets):
        return mg.cross_entropy(outputs.reshape(-1, WORDS), targets.reshape(-1))

    run = nn.training.fit(
        ours, training, entropy, optimizer, epochs=4, validation=held_out, scheduler=schedule,
        clip_norm=0.2, accumulate=3, carry_state=True, callbacks=[Noting()], progress=False,
    )  # fmt: skip

    peer = torch.optim.AdamW(theirs.parameters(), lr=0.02)
    falling = torch.optim.lr_scheduler.LinearLR(peer, 1.0, 0.1, 10)
    expected, scores, best = [], [], None

    def peers_loss(codes, targets, state):
        outputs, state = theirs(torch.tensor(codes.numpy()), state)
        wanted = torch.tensor(targets.numpy()).flatten()
        entropies = torch.nn.functional.cross_entropy(
            outputs.flatten(0, 1), wanted, reduction="sum"
        )
        return entropies, tuple(part.detach() for part in state), wanted.numel()

    for _ in range(4):
        state, chunks = None, list(training)
        for start in range(0, len(chunks), 3):
            peer.zero_grad()
            group = chunks[start : start + 3]
            count = sum(targets.size for _, targets in group)
            total = 0.0
            for codes, targets in group:
                loss, state, _ = peers_loss(codes, targets, state)
                (loss / count).backward()
                total += loss.item() / count
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.2)
            peer.step()
            falling.step()
            expected.append(total)
        with torch.no_grad():
            state, total, count = None, 0.0, 0
            for codes, targets in held_out:
                loss, state, number = peers_loss(codes, targets, state)
                total, count = total + loss.item(), count + number
        if not scores or total / count < min(scores):
            best = {key: value.numpy().copy() for key, value in theirs.state_dict().items()}
        scores.append(total / count)

    np.testing.assert_allclose(losses, expected, rtol=1e-11)
    np.testing.assert_allclose([row["loss"] for row in run.history], scores, rtol=1e-11)
    for key, value in ours.state_dict().items():
        np.testing.assert_allclose(value.numpy(), best[key], rtol=1e-8, atol=1e-11, err_msg=key)


def network(library, tensors):
    """Return a model with parameters of each kind, and a buffer that follows its input."""

    class Network(library.Module):
        def __init__(self):
            super().__init__()
            self.conv = library.Conv1d(2, 4, 3, padding=1)
            self.recurrent = library.LSTM(4, 5, num_layers=2)
            self.norm = library.LayerNorm(5)
            self.readout = library.Linear(5, 2, bias=False)
            self.seen = library.Buffer(tensors.zeros((2,)))
            self.steps = library.Buffer(tensors.tensor(0))

        def forward(self, x):
            self.seen = self.seen * 0.9 + x.detach().mean((0, 2)) * 0.1
            self.steps = self.steps + 1
            x = self.conv(x - self.seen[:, None])
            return self.readout(self.norm(self.recurrent(x.permute(2, 0, 1))[0]))

    return Network()


@pytest.mark.parametrize("theirs_first", [True, False])
@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW"])
def test_a_training_goes_on_in_the_other_library(name, theirs_first):
    torch.manual_seed(0)
    sides = {}
    for library, tensors, optim in ((nn, mg, nn.optim), (torch.nn, torch, torch.optim)):
        made = network(library, tensors).double()
        options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
        optimizer = getattr(optim, name)(made.parameters(), lr=0.01, **options)
        sides[library] = made, optimizer, tensors
    sides[nn][0].load_state_dict(sides[torch.nn][0].state_dict())
    rng = np.random.default_rng(0)
    batches = rng.normal(size=(6, 3, 2, 4))

    def trained(library, some):
        layers, optimizer, tensors = sides[library]
        losses = []
        for batch in some:
            optimizer.zero_grad()
            loss = (layers(tensors.tensor(batch)) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    first, second = (torch.nn, nn) if theirs_first else (nn, torch.nn)
    before = trained(first, batches[:3])
    arrays = {} if theirs_first else {"arrays": torch.from_dlpack}
    for source, goal in zip(sides[first][:2], sides[second][:2], strict=True):
        goal.load_state_dict(source.state_dict(**arrays))
    expected, found = (trained(library, batches[3:]) for library in (first, second))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert len({*before, *found}) == 6
    ours, theirs = (sides[library][0].state_dict() for library in (nn, torch.nn))
    assert list(ours) == list(theirs)
    for key, wanted in theirs.items():
        np.testing.assert_allclose(ours[key].numpy(), wanted.numpy(), rtol=1e-9, atol=1e-11)
    assert ours["steps"].item() == 6
    assert str(theirs["steps"].dtype) == f"torch.{ours['steps'].dtype}"


def test_the_page_about_pytorch_runs():
    page = Path(__file__).resolve().parents[2] / "docs" / "pytorch.md"
    blocks = re.findall("```python no-run\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    exec("\n".join(blocks), {})
