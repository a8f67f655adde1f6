"""A layer that takes one step at a time does what it does with the whole sequence."""

import copy
import itertools
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import AnomalyError, ArgumentError, DtypeError, ShapeError, TraceError
from minigrad.kernels import cell, scan
from minigrad.nn import recurrent

D, H, T, N = 3, 4, 6, 2


@cell(
    state=("h", "m"),
    params=lambda input_size, hidden_size: {
        "w": (hidden_size, input_size),
        "u": (hidden_size, 2),
        "v": (2, hidden_size),
    },
    widths=lambda hidden_size: {"m": 2},
)
def two_widths(x, h, m, *, w, u, v):
    h = mg.tanh(mg.linear(x, w) + mg.linear(m, u) + h)
    return h, m / 2 + mg.linear(h, v)


class Module(nn.Cell):
    """A cell with a module inside."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.joined = nn.Linear(input_size + hidden_size, hidden_size)

    def step(self, x, h):
        return mg.tanh(self.joined(mg.concat([x, h], axis=-1)))


KINDS = {
    "RNN": nn.RNN,
    "GRU": nn.GRU,
    "LSTM": nn.LSTM,
    "LSTM with a projection": lambda *sizes, **o: nn.LSTM(*sizes, proj_size=2, **o),
    "own": lambda *sizes, **o: nn.Recurrent(two_widths, *sizes, **o),
    "module": lambda *sizes, **o: nn.Recurrent(Module, *sizes, **o),
}
COMPILED_OFTEN = {"LSTM", "own"}  # the others wait for `make full`
every_kind = pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.full] * (k not in COMPILED_OFTEN)) for k in KINDS]
)
shapes = pytest.mark.parametrize("rows", [(), (1,), (N,)], ids=["single", "one row", "batch"])


def stepwise(layer, x, state=None):
    """Call ``step`` for each time step of ``x``."""
    outputs = []
    for now in x:
        output, state = layer.step(now, state)
        outputs.append(output)
    return mg.stack(outputs), state


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def random_state(layer, rows):
    found = tuple(
        mg.randn(layer.num_layers, *rows, width, dtype="float64", requires_grad=True)
        for width in layer._widths
    )
    return found if len(found) > 1 else found[0]


@every_kind
@shapes
@pytest.mark.parametrize("layers", [1, 2])
def test_steps_are_the_whole_in_results_and_gradients(kind, rows, layers):
    layer = KINDS[kind](D, H, num_layers=layers, dtype="float64")
    x = mg.randn(T, *rows, D, dtype="float64", requires_grad=True)
    state = random_state(layer, rows)
    wanted = [x, *as_tuple(state), *layer.parameters()]
    cotangents = None
    found = []
    for run in (stepwise, layer):
        output, finals = run(layer, x, state) if run is stepwise else run(x, state)
        values = (output, *as_tuple(finals))
        assert isinstance(finals, tuple) == isinstance(state, tuple)
        cotangents = cotangents or [mg.randn(*v.shape, dtype="float64") for v in values]
        found.append([*values, *mg.grad(values, wanted, cotangents)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-14)


@every_kind
@shapes
@pytest.mark.parametrize("threads", [1, 2])
def test_steps_are_the_whole_to_the_last_bit(kind, rows, threads):
    layer, before = KINDS[kind](D, H, num_layers=2), mg.get_num_threads()
    x = mg.randn(T, *rows, D)
    try:
        mg.set_num_threads(threads)
        with mg.no_grad():
            output, finals = stepwise(layer, x)
            expected, ends = layer(x)
    finally:
        mg.set_num_threads(before)
    assert not output.requires_grad
    np.testing.assert_array_equal(output.numpy(), expected.numpy())
    for a, b in zip(as_tuple(finals), as_tuple(ends), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@every_kind
def test_steps_equal_the_loop_of_tensors(kind):
    layer, x = KINDS[kind](D, H, dtype="float64"), mg.randn(T, N, D, dtype="float64")
    with mg.no_grad():
        output, _ = stepwise(layer, x)
    of, parameters = layer._run_of("_l0")
    start = tuple(mg.zeros((N, width), dtype="float64") for width in layer._widths)
    expected, _ = scan(of, x, start, parameters, compile="never")
    np.testing.assert_allclose(output.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-14)


def flat(result):
    output, state = result
    return [t.detach().numpy() for t in (output, *as_tuple(state))]


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_sequences_without_gradients_are_those_with_them(kind, layers, bidirectional, threads):
    """To the last bit, the first time and later, when all is at hand; with one row and with many."""
    layer = KINDS[kind](D, H, num_layers=layers, bidirectional=bidirectional)
    before = mg.get_num_threads()
    mg.set_num_threads(threads)
    try:
        for rows in (1, 40):
            x = mg.randn(T, rows, D)
            start = random_state_of(layer, rows)
            for state in (None, start):
                expected = flat(layer(x, state))
                with mg.no_grad():
                    for _ in range(3):
                        assert_equal(flat(layer(x, state)), expected)
    finally:
        mg.set_num_threads(before)


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_sequences_with_lengths_and_without_gradients_are_those_with_them(
    kind, layers, bidirectional
):
    """To the last bit, other lengths each time, also if all are whole, or nobody is there."""
    layer = KINDS[kind](D, H, num_layers=layers, bidirectional=bidirectional)
    for rows in (1, 40):
        start = random_state_of(layer, rows)
        for number in range(6):
            x, lengths = mg.randn(T, rows, D), [(7 * i + number) % (T + 1) for i in range(rows)]
            lengths = {3: [T] * rows, 4: [0] * rows}.get(number, lengths)
            for p in layer.parameters():
                p.copy_(p.detach() * 0.9)
            for state in (None, start):
                expected = flat(layer(x, state, lengths=lengths))
                with mg.no_grad():
                    assert_equal(flat(layer(x, state, lengths=lengths)), expected)
                    given = mg.tensor(lengths)
                    assert_equal(flat(layer(x, state, lengths=given)), expected)


def test_wrong_lengths_are_refused_each_time():
    layer, x = nn.LSTM(D, H), mg.randn(T, N, D)
    for _ in range(4):
        with mg.no_grad():
            layer(x, lengths=[T, 1])
            with pytest.raises(ArgumentError, match="LSTM: the length of row 1 is 7"):
                layer(x, lengths=[T, T + 1])
            with pytest.raises(ShapeError, match="LSTM: lengths have shape"):
                layer(x, lengths=[T])
            with pytest.raises(DtypeError, match="LSTM: lengths must be integers"):
                layer(x, lengths=[1.0, 2.0])


def random_state_of(layer, rows):
    runs = layer.num_layers * (1 + layer.bidirectional)
    found = tuple(mg.randn(runs, rows, width) for width in layer._widths)
    return found if len(found) > 1 else found[0]


def test_a_sequence_sees_every_change_of_weights_options_and_modes():
    layer, x = nn.GRU(D, H, num_layers=2, dropout=0.5), mg.randn(T, N, D)
    layer.eval()
    with mg.no_grad():
        for change in (
            lambda: None,
            lambda: layer.weight_ih_l0.copy_(layer.weight_ih_l0 * 2),
            lambda: setattr(layer, "bias_hh_l1", nn.Parameter(mg.ones(3 * H))),
            lambda: layer.load_state_dict({k: v + 1 for k, v in layer.state_dict().items()}),
        ):
            change()
            expected = copy.deepcopy(layer)  # has been run never
            for _ in range(3):
                assert_equal(flat(layer(x)), flat(expected(x)))
        layer.train()
        first, second = (layer(x)[0].numpy() for _ in range(2))
        assert not np.array_equal(first, second), "each run drops something else"


factor = 1.0


@cell(state="h", params=lambda input_size, hidden_size: {"w": (hidden_size, input_size)})
def scaled(x, h, *, w):
    return mg.tanh(factor * mg.linear(x, w) + h)


@pytest.mark.parametrize("run", ["sequence", "step"])
def test_a_run_sees_what_changes_around_its_cell(run, monkeypatch):
    layer, x = nn.Recurrent(scaled, D, H), mg.randn(T, N, D)
    call = layer if run == "sequence" else lambda x: layer.step(x[0])
    with mg.no_grad():
        for _ in range(3):
            before = call(x)[0].numpy()
        with monkeypatch.context() as patched:
            patched.setitem(globals(), "factor", 3.0)
            for _ in range(3):
                after = call(x)[0].numpy()
    assert not np.allclose(before, after)
    with mg.no_grad():
        np.testing.assert_array_equal(call(x)[0].numpy(), before)


def test_anomalies_are_found_without_gradients_too():
    layer, x = nn.RNN(D, H, nonlinearity="relu"), mg.randn(T, N, D)
    with mg.no_grad():
        for _ in range(3):
            layer(x)
        layer.weight_ih_l0.copy_(mg.ones((H, D)))
        layer.weight_hh_l0.copy_(mg.full((H, H), 1e38))
        with mg.anomaly(), pytest.raises(AnomalyError, match="at time step"):
            layer(mg.full((T, N, D), 1e30))


def test_results_of_sequences_stay_as_they_are():
    layer = nn.LSTM(D, 64)
    with mg.no_grad():
        results = []
        for _ in range(6):
            result = layer(mg.randn(40, 8, D))
            results.append((flat(result), [a.copy() for a in flat(result)]))
    for found, kept in results:
        assert_equal(found, kept)


def test_a_step_sees_every_change_of_the_weights():
    layer, x = nn.LSTM(D, H), mg.randn(N, D)
    with mg.no_grad():
        found = [layer.step(x)[0].numpy()]
        layer.weight_ih_l0.copy_(layer.weight_ih_l0 * 2)
        found.append(layer.step(x)[0].numpy())
        layer.weight_ih_l0 = nn.Parameter(mg.zeros(layer.weight_ih_l0.shape))
        found.append(layer.step(x)[0].numpy())
        layer.load_state_dict({k: v + 1 for k, v in layer.state_dict().items()})
        found.append(layer.step(x)[0].numpy())
        now = layer(x[None])[0][0].numpy()
    for i in range(4):
        assert not any(np.allclose(found[i], other) for other in found[:i])
    np.testing.assert_array_equal(found[-1], now)


def test_results_of_steps_stay_as_they_are():
    layer = nn.LSTM(D, H)
    with mg.no_grad():
        results, state = [], None
        for _ in range(5):
            output, state = layer.step(mg.randn(N, D), state)
            results.append((output, output.numpy().copy(), state[1], state[1].numpy().copy()))
    for output, kept, c, kept_c in results:
        np.testing.assert_array_equal(output.numpy(), kept)
        np.testing.assert_array_equal(c.numpy(), kept_c)


def test_layers_that_took_steps_are_copied_and_stepped_by_several_threads():
    layer, x = nn.GRU(D, H), mg.randn(40, N, D)
    with mg.no_grad():
        expected = layer(x)[0].numpy()
        layer.step(x[0])
        other = copy.deepcopy(layer)
    found = {}

    def work(number):
        with mg.no_grad():
            found[number] = stepwise(other if number else layer, x)[0].numpy()

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in found.values():
        np.testing.assert_array_equal(result, expected)
    assert len(found) == 4


@every_kind
def test_chunks_and_steps_go_on_from_each_other(kind):
    layer, x = KINDS[kind](D, H, num_layers=2, dtype="float64"), mg.randn(T, N, D, dtype="float64")
    with mg.no_grad():
        whole, ends = layer(x)
        first, state = layer(x[:2])
        then, state = stepwise(layer, x[2:4], state)
        last, state = layer(x[4:], state)
    np.testing.assert_allclose(mg.concat([first, then, last]).numpy(), whole.numpy(), rtol=1e-12)
    for a, b in zip(as_tuple(state), as_tuple(ends), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_the_input_of_a_step_has_no_time_axis_with_batch_first_either():
    layer = nn.GRU(D, H, batch_first=True)
    x = mg.randn(N, T, D)
    with mg.no_grad():
        output, state = stepwise(layer, mg.swapaxes(x, 0, 1))
        expected, wanted = layer(x)
    np.testing.assert_allclose(output.numpy(), mg.swapaxes(expected, 0, 1).numpy(), rtol=1e-5)
    np.testing.assert_allclose(state.numpy(), wanted.numpy(), rtol=1e-5)


def test_outputs_between_layers_are_dropped_in_training_only():
    layer = nn.GRU(D, H, num_layers=2, dropout=1.0)
    x, other = mg.randn(N, D), mg.randn(N, D)
    a, b = (layer.step(v)[0].detach().numpy() for v in (x, other))
    np.testing.assert_array_equal(a, b)  # nothing of the input comes through
    layer.eval()
    a, b = (layer.step(v)[0].detach().numpy() for v in (x, other))
    assert not np.allclose(a, b)


def zeros(*shape, dtype="float32"):
    return mg.zeros(shape, dtype=dtype)


GRU = nn.GRU(D, D)
MISTAKES = [
    (lambda: nn.GRU(D, H, bidirectional=True).step(zeros(N, D)), ArgumentError,
     "GRU: a bidirectional layer reads a sequence from its end, too, and cannot take one step; call it"),
    (lambda: nn.LSTM(D, H).step(zeros(T, N, D)), ShapeError,
     r"LSTM: the input has shape \(6, 2, 3\); it must be \(N, 3\), or the same without N"),
    (lambda: nn.LSTM(D, H).step(zeros(N, D), zeros(1, N, H)), ArgumentError,
     "LSTM: hx must be a tuple of 2 states, h, c, not a Tensor"),
    (lambda: nn.GRU(D, H, 2).step(zeros(N, D), zeros(N, H)), ShapeError,
     r"GRU: state h has shape \(2, 4\); it must be \(2, 2, 4\)"),
    (lambda: nn.GRU(D, H).step(zeros(D), zeros(1, 1, H)), ShapeError,
     r"GRU: state h has shape \(1, 1, 4\); it must be \(1, 4\)"),
    (lambda: nn.GRU(D, H).step(zeros(N, D, dtype="float64")), DtypeError,
     "GRU: the input has dtype float64 and the weights float32"),
    (lambda: nn.Recurrent(Module, D, H).step(zeros(N, D, dtype="float64")), DtypeError,
     "Recurrent: the input has dtype float64 and the weights float32"),
    (lambda: scan(lambda x, h: GRU.step(x)[0], zeros(T, N, D), zeros(N, D)), TraceError,
     "GRU is called inside of a traced step"),
]  # fmt: skip


@pytest.mark.parametrize(("run", "error", "text"), MISTAKES)
def test_mistakes(run, error, text):
    with pytest.raises(error, match=text):
        run()


@every_kind
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, True)])
@pytest.mark.parametrize(("steps", "rows"), [(0, 2), (T, 0), (0, 0), (0, None)])
def test_nothing_to_do_is_done_each_time(kind, layers, bidirectional, steps, rows):
    """Final states are the initial ones; with gradients and without, the first time and later."""
    layer = KINDS[kind](D, H, num_layers=layers, bidirectional=bidirectional)
    runs, batch = layers * (1 + bidirectional), () if rows is None else (rows,)
    ones = tuple(mg.ones((runs, *batch, width)) for width in layer._widths)
    start = ones if len(ones) > 1 else ones[0]
    width = layer._widths[0] * (1 + bidirectional)
    flags = [{}] if rows is None else [{}, {"lengths": [0] * rows}, {"lengths": [steps] * rows}]
    flags.append({"mask": np.zeros((steps, *batch), dtype=bool)})
    for batch_first, given, recorded in itertools.product((False, True), flags, (False, True)):
        layer.batch_first = batch_first
        leading = (*batch, steps) if batch_first else (steps, *batch)
        given = {k: v.T if k == "mask" and batch_first else v for k, v in given.items()}
        x = mg.zeros((*leading, D), requires_grad=recorded)
        with mg.set_grad_enabled(recorded):
            for state, value in [(None, 0), (start, 1)] * 3:
                output, finals = layer(x, state, **given)
                assert output.shape == (*leading, width)
                assert [f.shape for f in as_tuple(finals)] == [s.shape for s in ones]
                assert all((f.detach().numpy() == value).all() for f in as_tuple(finals))
                if recorded:
                    output.sum().backward()


@every_kind
@pytest.mark.parametrize("recorded", [False, True])
def test_a_step_of_no_rows(kind, recorded):
    layer = KINDS[kind](D, H, num_layers=2)
    with mg.set_grad_enabled(recorded):
        state = None
        for _ in range(4):
            output, state = layer.step(mg.zeros((0, D)), state)
            assert output.shape == (0, layer._widths[0])
            assert [s.shape for s in as_tuple(state)] == [(2, 0, w) for w in layer._widths]


@pytest.fixture
def loops(monkeypatch):
    """Count the loops that take the general path, through `scan`."""
    found = []

    def counted(*arguments, **options):
        found.append(arguments[1].shape)
        return scan(*arguments, **options)

    monkeypatch.setattr("minigrad.nn.recurrent.scan", counted)
    return found


@pytest.mark.parametrize("recorded", [False, True])
def test_many_lengths_in_turn_leave_the_recent_ones_fast(loops, recorded):
    """As with texts in buckets: what was used last is kept, and what was used long ago goes."""
    layer = nn.GRU(D, H)
    xs = [mg.randn(1 + i, 1, D) for i in range(200)]
    with mg.set_grad_enabled(recorded):
        for x in xs[:100] * 2:
            layer(x)
        loops.clear()
        for x in xs[:100]:
            layer(x)
        assert not loops
        for x in xs[100:]:
            layer(x)
            layer(xs[0])  # used again and again, it stays
        for x in (xs[0], *xs[-64:]):
            layer(x)
        loops.clear()
        for x in (xs[0], *xs[-64:]):
            layer(x)
    assert not loops
    assert len(streams_of(layer)) <= 128


def streams_of(layer):
    return recurrent._streams[layer]._known


def test_what_is_packed_of_old_weights_is_let_go():
    """Else each length that was seen would keep a copy of the weights of its time."""
    layer, xs = nn.LSTM(D, H, num_layers=2), [mg.randn(T + i, N, D) for i in range(3)]
    with mg.no_grad():
        for x in xs * 2:
            layer(x)
        for x in xs:
            layer.weight_hh_l0.copy_(layer.weight_hh_l0 * 0.5)
            new = copy.deepcopy(layer)
            assert_equal(flat(layer(x)), flat(new(x)))
            streams = [s for known in streams_of(layer).values() for s in known]
            packed = [
                s._runner is not None for st in streams for level in st._layers for _, s in level
            ]
            assert sum(packed) == 2


BORDERS = {
    "batch first": ({"batch_first": True}, (N, T, D), {}),
    "batch first, lengths": ({"batch_first": True}, (N, T, D), {"lengths": [T, 2]}),
    "unbatched": ({}, (T, D), {}),
    "full mask": ({}, (T, N, D), {"mask": np.ones((T, N), dtype=bool)}),
    "mask": ({}, (T, N, D), {"mask": np.arange(T * N).reshape(T, N) % 3 > 0}),
    "mask, unbatched": ({}, (T, D), {"mask": np.arange(T) % 3 > 0}),
    "mask and lengths": ({"batch_first": True}, (N, T, D),
                         {"mask": np.arange(T * N).reshape(N, T) % 3 > 0, "lengths": [2, T]}),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["LSTM", pytest.param("module", marks=pytest.mark.full)])
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("recorded", [False, True])
def test_any_order_of_axes_and_a_mask_are_fast_too(kind, border, recorded, loops):
    options, shape, given = BORDERS[border]
    layer = KINDS[kind](D, H, num_layers=2, bidirectional=True, **options)
    x = mg.randn(*shape, requires_grad=recorded)
    rows = (N,) if len(shape) == 3 else ()
    ones = tuple(mg.randn(4, *rows, width) for width in layer._widths)
    for state in (None, ones if len(ones) > 1 else ones[0]):

        def run(state=state):
            output, finals = layer(x, state, **given)
            results = [output, *as_tuple(finals)]
            leaves = [x, *layer.parameters()]
            grads = mg.grad(sum((r * r).sum() for r in results), leaves) if recorded else ()
            return [t.detach().numpy() for t in (*results, *grads)]

        with mg.set_grad_enabled(recorded):
            expected = run()
            run()
            loops.clear()
            assert_equal(run(), expected)
        assert not loops
