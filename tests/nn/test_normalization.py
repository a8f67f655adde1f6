"""Batch normalisation: what it remembers, when, and in which dtype."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ShapeError, TraceError


def drawn(*shape):
    return np.asarray(np.random.default_rng(0).normal(size=shape) * 2 + 1)


def state(layer):
    return {name: t.tolist() for name, t in layer.named_buffers()}


def test_running_statistics_move_by_the_momentum_and_those_of_none_are_means():
    batches = [drawn(4, 2), drawn(3, 2) + 1, drawn(5, 2) * 3]
    for momentum in (0.25, None):
        layer = nn.BatchNorm1d(2, momentum=momentum, dtype="float64")
        mean, var = np.zeros(2), np.ones(2)
        for number, x in enumerate(batches, 1):
            layer(mg.tensor(x))
            share = momentum or 1 / number
            mean = (1 - share) * mean + share * x.mean(0)
            var = (1 - share) * var + share * x.var(0, ddof=1)
            np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-14)
            np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-14)
            assert layer.num_batches_tracked.item() == number
    np.testing.assert_allclose(mean, np.mean([x.mean(0) for x in batches], 0), rtol=1e-14)


def test_buffers_stay_the_same_objects_and_change_in_training_only():
    layer, x = nn.BatchNorm1d(2), mg.tensor(drawn(4, 2), dtype="float32")
    buffers, before = list(layer.buffers()), state(layer)
    layer.eval()(x)
    layer.train().track_running_stats = False
    layer(x)
    assert state(layer) == before
    layer.track_running_stats = True
    with mg.no_grad():
        layer(x)
    assert all(a is b for a, b in zip(layer.buffers(), buffers, strict=True))
    assert all(new != old for new, old in zip(state(layer).values(), before.values(), strict=True))
    layer.reset_running_stats()
    assert state(layer) == before


def test_what_is_refused_or_empty_leaves_the_statistics_alone():
    layer = nn.BatchNorm1d(2)
    before = state(layer)
    with pytest.raises(ShapeError, match="one number for each channel"):
        layer(mg.ones((1, 2)))
    assert state(layer) == before
    for shape in ((0, 2), (3, 2, 0)):
        x = mg.zeros(shape, requires_grad=True)
        layer(x).sum().backward()
        assert x.grad.shape == shape
    assert layer.weight.grad.tolist() == [0.0, 0.0]
    assert state(layer) == {**before, "num_batches_tracked": 2}
    assert layer.eval()(mg.ones((1, 2))).shape == (1, 2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("affine", [True, False])
def test_statistics_of_half_precision_are_those_of_float32_rounded_once(dtype, affine):
    x = mg.tensor(drawn(600, 2) * 40 + 100, dtype=dtype)
    wide, narrow = nn.BatchNorm1d(2, affine=affine), nn.BatchNorm1d(2, affine=affine).to(dtype)
    exact = wide(x.astype("float32"))
    assert narrow(x).dtype == dtype
    np.testing.assert_array_equal(
        narrow(x).detach().astype("float32").numpy(),
        exact.detach().astype(dtype).astype("float32").numpy(),
    )
    layer = nn.BatchNorm1d(2, affine=affine)  # its statistics stay in float32
    assert [layer(x).dtype, layer.eval()(x).dtype] == ["float32"] * 2
    np.testing.assert_array_equal(layer.running_var.numpy(), wide.running_var.numpy())
    rounded = nn.BatchNorm1d(2, affine=affine).to(dtype)
    rounded(x)
    assert rounded.running_var.tolist() == wide.running_var.astype(dtype).tolist()
    assert rounded.num_batches_tracked.dtype == "int64"


def test_without_eps_the_scale_of_the_numbers_does_not_matter():
    x = drawn(4, 2)
    x[:, 1] = 3.0
    found = [
        mg.batch_norm(mg.tensor(x * 2.0**e, dtype="float64"), eps=0.0).numpy()
        for e in (-1000, 0, 1000)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[1])
    assert (found[1][:, 1] == 0).all()
    np.testing.assert_allclose(found[1][:, 0], (x[:, 0] - x[:, 0].mean()) / x[:, 0].std())


def test_a_run_goes_on_with_its_statistics(tmp_path):
    def made():
        mg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 1))
        return model, nn.optim.Adam(model.parameters(), lr=0.1)

    def trained(model, optimizer, batches):
        for x in batches:
            optimizer.zero_grad()
            (model(mg.tensor(x, dtype="float32")) ** 2).mean().backward()
            optimizer.step()

    batches = drawn(6, 5, 3)
    model, optimizer = made()
    trained(model, optimizer, batches[:3])
    path = tmp_path / "run.safetensors"
    nn.save_checkpoint(path, model=model, optimizer=optimizer)
    trained(model, optimizer, batches[3:])
    again, other = made()
    nn.Checkpoint(path).restore(model=again, optimizer=other)
    trained(again, other, batches[3:])
    for name, value in model.state_dict().items():
        assert again.state_dict()[name].tolist() == value.tolist()


class Averaged(nn.Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.norm = nn.BatchNorm1d(input_size)

    def step(self, x, h):
        return h + self.norm(x)


def test_in_the_step_of_a_loop_it_is_fixed():
    layer, x = nn.Recurrent(Averaged, 4, 4), mg.tensor(drawn(5, 3, 4), dtype="float32")
    with pytest.raises(TraceError, match="BatchNorm1d remembers the statistics of its batches"):
        layer(x)
    layer.l0.norm(x[0])
    layer.eval()
    outputs, _ = layer(x)
    expected = np.cumsum([layer.l0.norm(part).detach().numpy() for part in x], 0)
    np.testing.assert_allclose(outputs.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_running_statistics_get_no_gradient_and_pass_none_on():
    layer = nn.BatchNorm1d(2)
    for _ in range(2):
        x = mg.tensor(drawn(4, 2), dtype="float32", requires_grad=True)
        (layer(x) ** 3).sum().backward()
    assert not any(b.requires_grad for b in layer.buffers())
    given = mg.tensor([0.5, 1.0], requires_grad=True)
    mg.batch_norm(mg.ones((3, 2)), given, mg.ones(2)).sum().backward()  # as a function it does
    np.testing.assert_allclose(given.grad.numpy(), [-3.0, -3.0], rtol=1e-4)
