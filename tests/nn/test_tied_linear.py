"""A readout that shares the weight of an embedding: one parameter at two places."""

import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError


class Model(nn.Module):
    def __init__(self, width=3):
        self.embedding = nn.Embedding(7, 3, dtype="float64")
        self.hidden = nn.Linear(3, width, dtype="float64")
        self.head = nn.TiedLinear(self.embedding, width)

    def forward(self, codes):
        return self.head(self.hidden(self.embedding(codes)))


CODES = np.array([[0, 3], [6, 3], [1, 1]])


@pytest.mark.parametrize("width", [3, 5])
def test_the_gradient_is_the_sum_of_both_uses(width):
    model = Model(width)
    nn.SequenceLoss()(model(CODES), CODES).backward()
    uses = [mg.tensor(model.embedding.weight.detach(), requires_grad=True) for _ in range(2)]
    hidden = model.hidden(mg.embedding(mg.tensor(CODES), uses[0]))
    hidden = hidden if width == 3 else mg.linear(hidden, model.head.projection.weight)
    nn.SequenceLoss()(mg.linear(hidden, uses[1], model.head.bias), CODES).backward()
    expected = uses[0].grad.numpy() + uses[1].grad.numpy()
    np.testing.assert_allclose(model.head.weight.grad.numpy(), expected, rtol=1e-12)
    assert uses[0].grad.any()
    assert uses[1].grad.any()


def test_the_weight_stays_one_parameter(tmp_path):
    model = Model(5)
    names = [name for name, _ in model.named_parameters()]
    assert "embedding.weight" in names
    assert "head.weight" not in names
    assert {"embedding.weight", "head.weight"} <= model.state_dict().keys()
    optimizer = nn.optim.Adam(model.parameters(), lr=0.1)
    nn.SequenceLoss()(model(CODES), CODES).backward()
    optimizer.step()
    nn.save_checkpoint(tmp_path / "run.safetensors", model=model, optimizer=optimizer)
    other = Model(5)
    parts = {"model": other, "optimizer": nn.optim.Adam(other.parameters(), lr=0.1)}
    nn.Checkpoint(tmp_path / "run.safetensors").restore(**parts)
    for same in (model, other, copy.deepcopy(model), Model(5).to("float32")):
        assert same.head.weight is same.embedding.weight
    assert (other(CODES) == model(CODES)).all()
    state = model.state_dict()
    with pytest.raises(ArgumentError, match=r"one tensor with embedding\.weight"):
        model.load_state_dict(state | {"head.weight": state["head.weight"] + 1})
    with pytest.raises(ArgumentError, match="twice"):
        nn.optim.SGD([*model.embedding.parameters(), *model.head.parameters()], lr=1.0)


def test_one_step_moves_a_shared_weight_once():
    embedding = nn.Embedding(4, 2)
    model = nn.ModuleList([embedding, nn.TiedLinear(embedding, bias=False)])
    before = embedding.weight.detach().numpy()
    mg.sum(model[1](mg.ones((1, 2)))).backward()
    nn.optim.SGD(model.parameters(), lr=0.5).step()
    np.testing.assert_allclose(embedding.weight.detach().numpy(), before - 0.5, rtol=1e-6)


def test_mistakes_are_told():
    embedding = nn.Embedding(4, 2)
    with pytest.raises(ArgumentError, match="must be the Embedding"):
        nn.TiedLinear(embedding.weight)
    with pytest.raises(ArgumentError, match="in_features"):
        nn.TiedLinear(embedding, 0)
    with pytest.raises(ArgumentError, match="bias"):
        nn.TiedLinear(embedding, 2, 3)
    with pytest.raises(ShapeError, match="in_features=5"):
        nn.TiedLinear(embedding, 5)(mg.ones((3, 2)))
    with pytest.raises(DtypeError, match="floating-point"):
        nn.TiedLinear(embedding)(mg.ones((3, 2), dtype="int64"))
