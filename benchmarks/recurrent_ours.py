"""minigrad's side of the benchmark of the recurrent layers."""

import functools

from recurrent_cases import STEP, ragged

import minigrad as mg
from minigrad import nn
from minigrad.kernels import cell


def shapes(input_size, hidden_size):
    rows = 4 * hidden_size
    weights = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
    return weights | {"bias_ih": (rows,), "bias_hh": (rows,)}


@cell(state=("h", "c"), params=shapes)
def custom(x, h, c, *, weight_ih, weight_hh, bias_ih, bias_hh):
    """A user's own cell; the other libraries compute it by `recurrent_cases.bump`."""
    gates = mg.linear(x, weight_ih, bias_ih) + mg.linear(h, weight_hh, bias_hh)
    i, f, g, o = mg.split(gates, 4)
    keep = mg.sigmoid(f)
    c = keep * c + (1 - keep) * mg.sigmoid(i) * (g * mg.exp(-(g * g)))
    return mg.sigmoid(o) * (c / (1 + mg.abs(c))), c


LAYERS = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "RNN": nn.RNN,
    "custom": functools.partial(nn.Recurrent, custom),
    "GRU reset before": functools.partial(nn.Recurrent, nn.cells.gru_reset_before),
}


class Minigrad:
    """`build` returns a function that does the work of a case once, and one that shows its result."""

    package = "minigrad"

    def __init__(self, threads):
        mg.set_num_threads(threads)

    def build(self, case):
        (T, N, D, H), special = case.size, case.special
        x, parameters, gradient = case.inputs()
        layer = LAYERS[case.cell](D, H, bidirectional=special == "bidirectional")
        for name, value in layer.named_parameters():
            value.copy_(mg.tensor(parameters[name.split("_l0")[0]]))
        x, gradient = mg.tensor(x), mg.tensor(gradient)
        leaves = [getattr(layer, f"{name}_l0") for name in parameters]
        if case.mode == STEP:
            return self._stream(layer.eval(), x), _arrays
        lengths = {"full lengths": [T] * N, "ragged lengths": ragged(T, N)}.get(special)
        times = 2 if special == "two runs" else 1
        if special == "bidirectional":
            gradient = mg.concat([gradient, gradient], axis=-1)

        def inference():
            with mg.no_grad():
                for _ in range(times):
                    output, _ = layer(x, lengths=lengths)
                return [output]

        def training():
            for _ in range(times):
                layer.zero_grad()
                x.grad = None
                output, _ = layer(x, lengths=lengths)
                output.backward(gradient)
            return [output, x.grad, *(leaf.grad for leaf in leaves)]

        if case.mode == "inference":
            layer.eval()
            return inference, _arrays
        x.requires_grad_()
        return training, _arrays

    def _stream(self, layer, x):
        state, first = None, x[0]

        def step():
            nonlocal state
            with mg.no_grad():
                output, state = layer.step(first, state)
            return [output]

        return step


def _arrays(result):
    return [array.detach().numpy() for array in result]
