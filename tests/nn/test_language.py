"""The loss of a prediction and the score of a text, against the formula in NumPy."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.data import Streams
from minigrad.nn.text.language import bits_per_character, next_loss


class Model(nn.Module):
    """A small language model in float64."""

    def __init__(self):
        self.embedding = nn.Embedding(7, 4, dtype="float64")
        self.dropout = nn.Dropout(0.5)
        self.recurrent = nn.GRU(4, 5, dtype="float64")
        self.readout = nn.Linear(5, 7, dtype="float64")

    def forward(self, codes, state=None):
        outputs, state = self.recurrent(self.dropout(self.embedding(codes)), state)
        return self.readout(outputs), state


@pytest.fixture
def model():
    mg.manual_seed(0)
    return Model()


TEXT = np.random.default_rng(0).integers(0, 7, 44)


def nats(model, inputs, targets):
    """Return -log p of each target, by NumPy, from one run over the whole text."""
    model.eval()
    with mg.no_grad():
        scores = model(mg.tensor(inputs))[0].numpy()
    model.train()
    scores = scores - scores.max(-1, keepdims=True)
    logarithms = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return -np.take_along_axis(logarithms, targets[..., None], -1)[..., 0]


@pytest.mark.parametrize("length", [1, 4, 5, 14, 100])
def test_the_score_is_the_mean_of_all_characters(model, length):
    streams = Streams(TEXT, 3, length)
    expected = nats(model, streams.inputs, streams.targets).mean() / np.log(2)
    assert bits_per_character(model, streams) == pytest.approx(expected, rel=1e-12)


def test_a_model_that_knows_nothing_needs_the_logarithm_of_the_size():
    streams = Streams(TEXT, 2, 5)
    scores = bits_per_character(Uniform(), streams)
    assert scores == pytest.approx(np.log2(8))


class Uniform(nn.Module):
    def forward(self, codes, state=None):
        return mg.zeros((*codes.shape, 8)), state


def test_scoring_leaves_no_trace(model):
    streams = Streams(TEXT, 3, 4)
    next(iter(streams))
    model.dropout.eval()  # one module does not train already
    modes = [module.training for module in model.modules()]
    random_state = mg.random.get_state()
    expected = bits_per_character(model, Streams(TEXT, 3, 4))
    assert bits_per_character(model, streams) == expected  # from the beginning all the same
    assert streams.position == 1
    assert [module.training for module in model.modules()] == modes
    assert mg.random.get_state() == random_state
    assert all(p.grad is None for p in model.parameters())


def test_modes_are_put_back_after_an_error(model):
    streams = Streams(TEXT + 1, 3, 4)  # the model has no character 7
    with pytest.raises(mg.errors.MinigradError):
        bits_per_character(model, streams)
    assert all(module.training for module in model.modules())


def test_the_loss_of_a_chunk_and_the_state_to_go_on_from(model):
    model.dropout.eval()
    streams = Streams(TEXT, 3, 5)
    expected = nats(model, streams.inputs, streams.targets)
    model.dropout.eval()
    state = None
    for start, (codes, targets) in zip(range(0, 14, 5), streams, strict=True):
        loss, state = next_loss(model, codes, targets, state)
        assert loss.item() == pytest.approx(expected[start : start + 5].mean(), rel=1e-12)
        assert loss.requires_grad
        assert not state.requires_grad


def test_the_gradient_of_the_loss(model):
    model.dropout.eval()
    codes, targets = next(iter(Streams(TEXT, 3, 5)))
    bias = model.readout.bias
    loss, _ = next_loss(model, codes, targets)
    loss.backward()
    step = 1e-6
    for place in range(7):
        direction = np.eye(7)[place] * step
        losses = []
        for sign in (1, -1):
            moved = Model()
            moved.load_state_dict(model.state_dict())
            moved.dropout.eval()
            moved.readout.bias.copy_(bias.detach() + mg.tensor(sign * direction))
            losses.append(next_loss(moved, codes, targets)[0].item())
        slope = (losses[0] - losses[1]) / (2 * step)
        assert bias.grad[place].item() == pytest.approx(slope, abs=1e-8)
