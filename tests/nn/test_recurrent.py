"""The LSTM layer against a loop in NumPy, and what PyTorch's users expect of it."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import DtypeError, ShapeError


def naive_lstm(x, weights, layers, h, c):
    """The equations, gate by gate: x (T, N, D), h and c (layers, N, H)."""

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    h, c = h.copy(), c.copy()
    for layer in range(layers):
        w, u = weights[f"weight_ih_l{layer}"], weights[f"weight_hh_l{layer}"]
        b = weights.get(f"bias_ih_l{layer}", 0) + weights.get(f"bias_hh_l{layer}", 0)
        outputs = []
        for row in x:
            i, f, g, o = np.split(row @ w.T + h[layer] @ u.T + b, 4, axis=-1)
            c[layer] = sigmoid(f) * c[layer] + sigmoid(i) * np.tanh(g)
            h[layer] = sigmoid(o) * np.tanh(c[layer])
            outputs.append(h[layer].copy())
        x = np.stack(outputs)
    return x, h, c


def numpy_weights(layer):
    return {name: t.numpy() for name, t in layer.state_dict().items()}


@pytest.fixture
def float64():
    mg.set_default_dtype("float64")
    yield
    mg.set_default_dtype("float32")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("given", [True, False])
def test_equals_the_equations(layers, batch_first, bias, given):
    layer = nn.LSTM(3, 4, layers, bias=bias, batch_first=batch_first)
    x, h, c = mg.randn(5, 2, 3), mg.randn(layers, 2, 4), mg.randn(layers, 2, 4)
    if not given:
        h, c = h * 0, c * 0
    inputs = mg.swapaxes(x, 0, 1) if batch_first else x
    output, (hn, cn) = layer(inputs, (h, c)) if given else layer(inputs)
    if batch_first:
        output = mg.swapaxes(output, 0, 1)
    expected = naive_lstm(x.numpy(), numpy_weights(layer), layers, h.numpy(), c.numpy())
    for found, wanted in zip((output, hn, cn), expected, strict=True):
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("float64")
def test_gradients_are_those_of_the_equations():
    layer = nn.LSTM(2, 3, 2)
    arrays = {"x": (4, 2, 2), "h": (2, 2, 3), "c": (2, 2, 3)}
    given = {name: mg.randn(*shape, requires_grad=True) for name, shape in arrays.items()}
    output, (h, c) = layer(given["x"], (given["h"], given["c"]))
    mixed = [mg.randn(*t.shape) for t in (output, h, c)]
    sum((t * m).sum() for t, m in zip((output, h, c), mixed, strict=True)).backward()
    tensors = {**given, **dict(layer.named_parameters())}
    assert len(tensors) == 11
    values = {name: t.detach().numpy() for name, t in tensors.items()}

    def loss(changed):
        results = naive_lstm(changed["x"], changed, 2, changed["h"], changed["c"])
        return sum((r * m.numpy()).sum() for r, m in zip(results, mixed, strict=True))

    for name, t in tensors.items():
        direction = mg.randn(*t.shape).numpy()
        step = 1e-6
        up, down = ({**values, name: values[name] + s * direction} for s in (step, -step))
        slope = (loss(up) - loss(down)) / (2 * step)
        np.testing.assert_allclose((t.grad.numpy() * direction).sum(), slope, rtol=1e-7)


def test_state_carries_over_from_chunk_to_chunk():
    layer, x = nn.LSTM(3, 4, 2), mg.randn(6, 2, 3)
    whole, (h, c) = layer(x)
    first, state = layer(x[:2])
    second, (h2, c2) = layer(x[2:], state)
    for found, wanted in [(mg.concat([first, second], axis=0), whole), (h2, h), (c2, c)]:
        np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize(("steps", "rows"), [(0, 2), (3, 0)])
def test_nothing_to_do(steps, rows):
    layer = nn.LSTM(3, 4)
    output, (h, _) = layer(mg.zeros((steps, rows, 3)))
    assert output.shape == (steps, rows, 4)
    assert h.shape == (1, rows, 4)
    output.sum().backward()
    assert all((p.grad is None) or not p.grad.numpy().any() for p in layer.parameters())


def test_the_names_and_shapes_are_pytorchs():
    assert {name: p.shape for name, p in nn.LSTM(3, 4, 2).named_parameters()} == {
        "weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,),
        "weight_ih_l1": (16, 4), "weight_hh_l1": (16, 4), "bias_ih_l1": (16,), "bias_hh_l1": (16,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("batch_first", "shape", "state", "text"),
    [
        (
            False,
            (5, 4),
            None,
            r"LSTM: the input has shape \(5, 4\); it must be \(T, N, 3\), or the same without N",
        ),
        (True, (5, 2, 4), None, r"shape \(5, 2, 4\); it must be \(N, T, 3\)"),
        (False, (5, 2, 3), (1, 5, 4), r"state h has shape \(1, 5, 4\); it must be \(1, 2, 4\)"),
    ],
)
def test_wrong_shapes(batch_first, shape, state, text):
    layer = nn.LSTM(3, 4, batch_first=batch_first)
    with pytest.raises(ShapeError, match=text):
        layer(mg.zeros(shape), None if state is None else (mg.zeros(state), mg.zeros(state)))


def test_an_input_of_integers_is_refused():
    with pytest.raises(DtypeError, match=r"LSTM: the input has dtype int64; convert it"):
        nn.LSTM(3, 4)(mg.ones((5, 2, 3), dtype="int64"))
