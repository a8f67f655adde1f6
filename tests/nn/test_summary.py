"""The table of a module's layers, and that making it leaves no trace."""

import pickle

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError


class Model(nn.Module):
    """Layers, a state, a buffer, randomness."""

    def __init__(self, fail=False):
        self.embedding = nn.Embedding(10, 4)
        self.lstm = nn.LSTM(4, 5, 2)
        self.readout = nn.Linear(5, 10)
        self.unused = nn.Linear(5, 5)
        self.dropout = nn.Dropout(0.5)
        self.steps = nn.Buffer(mg.tensor(0))
        self.mean = nn.Buffer(mg.zeros(5))
        self.state = None
        self.fail = fail
        self.seen = []

    def forward(self, codes, scale=1.0):
        x, self.state = self.lstm(self.embedding(codes))
        self.steps = self.steps + 1
        self.mean.copy_(x.detach().mean((0, 1)))
        self.fresh = mg.rand(2)
        self.seen.append((self.training, self.dropout.training, mg.is_grad_enabled()))
        if self.fail:
            raise ValueError("stop here")
        return self.readout(self.dropout(x) * scale), self.state


CODES = [[1, 2], [3, 4], [5, 6]]


def test_the_table():
    model = Model()
    model.embedding.requires_grad_(False)
    found = nn.summary(model, mg.tensor(CODES))
    sizes = {
        "": 0,
        "embedding": 10 * 4,
        "lstm": 4 * 5 * (4 + 5 + 2) + 4 * 5 * (5 + 5 + 2),
        "readout": 5 * 10 + 10,
        "unused": 30,
        "dropout": 0,
    }
    assert {layer.name: layer.parameters for layer in found.layers} == sizes
    assert found.trainable == sum(sizes.values()) - 40
    assert (found.frozen, found.buffers) == (40, 6)
    assert found.nbytes == 4 * sum(sizes.values()) + 8 + 4 * 5
    assert str(found) == (
        "name       type       output                                parameters\n"
        "----------------------------------------------------------------------\n"
        "(itself)   Model      [(3, 2, 10), [(2, 2, 5), (2, 2, 5)]]           0\n"
        "embedding  Embedding  (3, 2, 4)                                     40\n"
        "lstm       LSTM       [(3, 2, 5), [(2, 2, 5), (2, 2, 5)]]          460\n"
        "readout    Linear     (3, 2, 10)                                    60\n"
        "unused     Linear     -                                             30\n"
        "dropout    Dropout    (3, 2, 5)                                      0\n"
        "----------------------------------------------------------------------\n"
        "parameters: 550 trainable, 40 frozen; buffers: 6; 2,388 bytes"
    )


def test_without_inputs_nothing_is_called():
    assert str(nn.summary(nn.Sequential(nn.Linear(1000, 2), nn.Tanh()))) == (
        "name      type        parameters\n"
        "--------------------------------\n"
        "(itself)  Sequential           0\n"
        "0         Linear           2,002\n"
        "1         Tanh                 0\n"
        "--------------------------------\n"
        "parameters: 2,002 trainable, 0 frozen; buffers: 0; 8,008 bytes"
    )


def test_what_is_shared_is_counted_once():
    one = nn.Linear(3, 3)
    tied = nn.Linear(3, 3)
    tied.weight = one.weight
    found = nn.summary(nn.ModuleList([one, tied, one]))
    assert [(layer.name, layer.parameters) for layer in found.layers] == [
        ("", 0), ("0", 12), ("1", 3),
    ]  # fmt: skip
    assert (found.trainable, found.nbytes) == (15, 60)


@pytest.mark.parametrize("fail", [False, True])
def test_no_trace_is_left(fail):
    model = Model(fail)
    model.lstm.eval()
    model.register_forward_hook(lambda module, args, output: None)
    loss = (model.unused(model.mean + 1.0) * model.mean).sum()
    attributes = {id(m): dict(vars(m)) for m in model.modules()}
    before = {name: t.tolist() for name, t in model.named_buffers()}
    random_state, hooks = mg.random.get_state(), len(model._hooks.after)
    if fail:
        with pytest.raises(ValueError, match="stop here"):
            nn.summary(model, mg.tensor(CODES))
    else:
        nn.summary(model, mg.tensor(CODES), scale=2.0)
    assert model.seen == [(False, False, False)]
    assert mg.random.get_state() == random_state
    assert mg.is_grad_enabled()
    assert {name: t.tolist() for name, t in model.named_buffers()} == before
    for module in model.modules():
        now = vars(module)
        assert list(now) == list(attributes[id(module)])
        assert all(now[name] is value for name, value in attributes[id(module)].items())
    assert (model.training, model.lstm.training, model.state) == (True, False, None)
    assert len(model._hooks.after) == hooks
    loss.backward()  # what it reads was not written


def test_a_model_without_buffers_can_still_be_differentiated():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    loss = (model(mg.ones((1, 2))) ** 2).sum()
    before = pickle.dumps(model)
    nn.summary(model, mg.ones((1, 2)))
    assert pickle.dumps(model) == before
    loss.backward()


def test_outputs_of_other_kinds():
    class Odd(nn.Module):
        def forward(self, x):
            return {"a": [x, x.shape], "n": None, "f": 2.0}

    assert nn.summary(Odd(), mg.ones((2, 3))).layers[0].output == (
        "{a: [(2, 3), [int, int]], n: NoneType, f: float}"
    )


def test_mistakes():
    with pytest.raises(ArgumentError) as caught:
        nn.summary(nn.Linear)
    assert str(caught.value) == (
        "summary: the first argument must be a module, not the class Linear; write Linear(...)"
    )
