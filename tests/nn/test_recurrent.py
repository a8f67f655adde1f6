"""What holds for a layer of any cell: it does to each sequence what the cell does, step by step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.kernels import CellFunction, cell, scan
from minigrad.nn import cells
from minigrad.testing import gradcheck

pytestmark = pytest.mark.usefixtures("both_loops")

D, H = 3, 4
CLOSE = {"rtol": 1e-11, "atol": 1e-13}


@cell(
    state=("h", "m"),
    params=lambda input_size, hidden_size, start=0.5: {
        "w": (hidden_size, input_size),
        "u": (hidden_size, hidden_size + 2),
        "v": (2, hidden_size),
        "leak": mg.full((2,), start, dtype="float64"),
    },
    widths=lambda hidden_size: {"m": 2},
)
def own(x, h, m, *, w, u, v, leak):
    """A cell as users write them: its second state, of width 2, leaks."""
    h = mg.tanh(mg.linear(x, w) + mg.linear(mg.concat([h, m], axis=-1), u))
    return h, mg.sigmoid(leak) * m + mg.linear(h, v)


KINDS: dict[str, tuple[CellFunction, dict[str, Any]]] = {
    **{name: (of, {}) for name, of in cells.CELLS.items()},
    "lstm without biases": (cells.lstm, {"bias": False}),
    "lstm with a projection": (cells.lstm, {"proj_size": 2}),
    "own": (own, {}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind, num_layers=1, *, dtype="float64", **options):
    of, params = KINDS[kind]
    return nn.Recurrent(of, D, H, num_layers, dtype=dtype, **options, **params)


def random_states(layer, rows):
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = layer.cell.state_widths(H, **layer.options)
    return tuple(mg.randn(count, rows, w, dtype="float64", requires_grad=True) for w in widths)


def call(layer, x, states, **rows):
    """Call a layer; return the output, and the final states as a tuple."""
    output, finals = layer(x, states if len(states) > 1 else states[0], **rows)
    return output, finals if len(states) > 1 else (finals,)


def step_by_step(layer, x, states, lengths=None, mask=None, reset=None):
    """Do what the layer means, for each sequence by itself, with one call of the cell for each step."""
    steps, rows = x.shape[:2]
    lengths = [steps] * rows if lengths is None else lengths
    outputs, finals = [], []
    for n in range(rows):
        values, final = [x[t, n] for t in range(lengths[n])], []
        for level in range(layer.num_layers):
            found = []
            for back, ending in enumerate(("", "_reverse")[: 1 + layer.bidirectional]):
                parameters = named(layer, f"_l{level}{ending}")
                first = tuple(s[len(final), n] for s in states)
                state, result = first, [None] * len(values)
                for t in reversed(range(len(values))) if back else range(len(values)):
                    # a reset at t divides the sequence before t, in both directions
                    border = t + back
                    if reset is not None and border < lengths[n] and reset[border, n]:
                        state = first
                    if mask is None or mask[t, n]:
                        new = layer.cell(values[t], *state, **parameters)
                        state = new if isinstance(new, tuple) else (new,)
                        result[t] = state[0]
                    else:
                        result[t] = mg.zeros(state[0].shape, dtype="float64")
                found.append(result)
                final.append(state)
            values = [mg.concat(parts, axis=-1) for parts in zip(*found, strict=True)]
        width = layer.cell.state_widths(H, **layer.options)[0] * (1 + layer.bidirectional)
        padding = [mg.zeros((width,), dtype="float64")] * (steps - lengths[n])
        outputs.append(mg.stack([*values, *padding]))
        finals.append([mg.stack(parts) for parts in zip(*final, strict=True)])
    return mg.stack(outputs, axis=1), tuple(mg.stack(s, axis=1) for s in zip(*finals, strict=True))


def named(layer, ending):
    """Return the parameters of one direction of one layer, by the cell's names."""
    found = {name: getattr(layer, name + ending, None) for name in layer.cell.parameters}
    return {name: value for name, value in found.items() if value is not None}


def with_gradients(run, layer, x, states, **rows):
    """Return results as arrays, and the gradients of a random combination of them."""
    x = x.detach().requires_grad_()
    states = [state.detach().requires_grad_() for state in states]
    layer.zero_grad()
    output, finals = run(layer, x, states, **rows)
    results = (output, *finals)
    rng = np.random.default_rng(0)
    pairs = [(r, mg.tensor(rng.standard_normal(r.shape))) for r in results]
    mg.backward(*zip(*((r, g) for r, g in pairs if r.requires_grad), strict=True))
    parameters = dict(layer.named_parameters())
    tensors = {"x": x, **dict(zip(layer.cell.states, states, strict=True)), **parameters}
    found = dict(zip(("output", *layer.cell.states), results, strict=True))
    return {f"final {name}": r.detach().numpy() for name, r in found.items()} | {
        f"gradient of {name}": np.zeros(t.shape) if t.grad is None else t.grad.numpy()
        for name, t in tensors.items()
    }


def assert_same(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **(tolerance or CLOSE))


@dataclass(frozen=True)
class Problem:
    """A layer and what it is called with."""

    layer: Any
    x: Any
    states: Any
    lengths: Any
    mask: Any
    reset: Any

    @property
    def rows(self):
        return {"lengths": self.lengths, "mask": self.mask, "reset": self.reset}


@st.composite
def problems(draw, min_steps=1, min_rows=1, flags=("lengths", "mask", "reset")):
    steps, rows = draw(st.integers(min_steps, 5)), draw(st.integers(min_rows, 3))
    mg.manual_seed(draw(st.integers(0, 1000)))
    layer = make(
        draw(st.sampled_from([*KINDS])), draw(st.integers(1, 2)), bidirectional=draw(st.booleans())
    )
    row_lengths = st.lists(st.integers(0, steps), min_size=rows, max_size=rows)
    bits = st.lists(st.booleans(), min_size=steps * rows, max_size=steps * rows)
    drawn = {
        "lengths": draw(st.none() | row_lengths) if "lengths" in flags else None,
        **{
            name: draw(st.none() | bits.map(lambda b: np.array(b, dtype=bool).reshape(steps, rows)))
            if name in flags
            else None
            for name in ("mask", "reset")
        },
    }
    x = mg.randn(steps, rows, D, dtype="float64")
    return Problem(layer, x, random_states(layer, rows), **drawn)


@given(problems())
def test_a_layer_runs_its_cell_over_each_sequence(p):
    found = with_gradients(call, p.layer, p.x, p.states, **p.rows)
    assert_same(found, with_gradients(step_by_step, p.layer, p.x, p.states, **p.rows))


@every_kind
def test_a_layer_with_all_options_does_so_too(kind):
    layer, steps, lengths = make(kind, 2, bidirectional=True), 6, [6, 3, 0, 5]
    rng = np.random.default_rng(2)
    rows = {
        "lengths": lengths,
        "mask": rng.random((steps, 4)) < 0.7,
        "reset": rng.random((steps, 4)) < 0.3,
    }
    x, states = mg.randn(steps, 4, D, dtype="float64"), random_states(layer, 4)
    found = with_gradients(call, layer, x, states, **rows)
    assert_same(found, with_gradients(step_by_step, layer, x, states, **rows))


@given(problems(flags=()))
def test_without_an_initial_state_it_is_zero(p):
    zero = tuple(mg.zeros(s.shape, dtype="float64") for s in p.states)
    output, finals = p.layer(p.x)
    expected, wanted = call(p.layer, p.x, zero)
    np.testing.assert_array_equal(output.detach().numpy(), expected.detach().numpy())
    finals = finals if isinstance(finals, tuple) else (finals,)
    for a, b in zip(finals, wanted, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@given(problems(), st.booleans())
def test_batch_first_and_a_single_sequence_are_other_layouts_of_the_same(p, single):
    expected = with_gradients(call, p.layer, p.x, p.states, **p.rows)

    def batch_first(layer, x, states, lengths, mask, reset):
        flags = {"mask": mask, "reset": reset}
        turned = {name: None if f is None else f.T for name, f in flags.items()}
        layer.batch_first = True
        output, finals = call(layer, mg.swapaxes(x, 0, 1), states, lengths=lengths, **turned)
        return mg.swapaxes(output, 0, 1), finals

    def one_by_one(layer, x, states, lengths, mask, reset):
        outputs, finals = [], []
        for n in range(x.shape[1]):
            flags = {"mask": mask, "reset": reset}
            cut = {name: None if f is None else f[:, n] for name, f in flags.items()}
            output, final = call(layer, x[:, n], tuple(s[:, n] for s in states), **cut)
            outputs.append(output)
            finals.append(final)
        ends = tuple(mg.stack(s, axis=1) for s in zip(*finals, strict=True))
        return mg.stack(outputs, axis=1), ends

    if single:
        assume(p.lengths is None)
    run = one_by_one if single else batch_first
    assert_same(with_gradients(run, p.layer, p.x, p.states, **p.rows), expected)


# time


@every_kind
@pytest.mark.parametrize("t", [0, 2, 4])
def test_causality(kind, t):
    layer, x = make(kind, 2), mg.randn(5, 2, D, dtype="float64", requires_grad=True)
    whole, _ = layer(x)
    late = mg.concat([x[: t + 1], mg.full((4 - t, 2, D), float("nan"), dtype="float64")])
    output, _ = layer(late)
    np.testing.assert_array_equal(output[: t + 1].detach().numpy(), whole[: t + 1].detach().numpy())
    assert np.isnan(output[t + 1 :].detach().numpy()).all() or kind == "rnn_relu"
    (g,) = mg.grad(whole[t].sum(), [x])
    assert not g[t + 1 :].numpy().any()
    assert g[: t + 1].numpy().all(axis=-1).any() or kind == "rnn_relu"


@given(problems(flags=("mask", "reset")), st.data())
def test_chunks_with_the_state_carried_are_the_whole(p, data):
    assume(not p.layer.bidirectional)
    cut = data.draw(st.integers(0, len(p.x)))
    # the initial state of a later chunk is not that of the whole, so a reset would not be the same
    p = Problem(p.layer, p.x, p.states, None, p.mask, None)

    def in_chunks(layer, x, states, lengths, mask, reset):
        parts = []
        for part in (slice(None, cut), slice(cut, None)):
            output, states = call(layer, x[part], states, mask=None if mask is None else mask[part])
            parts.append(output)
        return mg.concat(parts, axis=0), states

    found = with_gradients(in_chunks, p.layer, p.x, p.states, **p.rows)
    assert_same(found, with_gradients(call, p.layer, p.x, p.states, **p.rows))


@every_kind
def test_the_gradient_is_the_sum_over_the_steps_at_which_parameters_act(kind):
    """Backpropagation through time: give each step its own copy of the parameters."""
    layer, steps = make(kind), 5
    x, states = mg.randn(steps, 2, D, dtype="float64"), random_states(layer, 2)
    output, finals = call(layer, x, states)
    results = (output, *finals)
    cotangents = [mg.randn(*r.shape, dtype="float64") for r in results]
    mg.backward(results, cotangents)

    copies = [
        {name: p.detach().clone().requires_grad_() for name, p in named(layer, "_l0").items()}
        for _ in range(steps)
    ]
    state, outputs = tuple(s[0].detach() for s in states), []
    for t in range(steps):
        new = layer.cell(x[t], *state, **copies[t])
        state = new if isinstance(new, tuple) else (new,)
        outputs.append(state[0])
    unrolled = (mg.stack(outputs), *(s[None] for s in state))
    mg.backward(unrolled, cotangents)
    for name, parameter in named(layer, "_l0").items():
        parts = [copy[name].grad.numpy() for copy in copies]
        assert all(part.any() for part in parts)
        np.testing.assert_allclose(parameter.grad.numpy(), sum(parts), err_msg=name, **CLOSE)


@every_kind
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_a_loop_against_differences(kind, reverse):
    of, options = KINDS[kind]
    rng = np.random.default_rng(1)
    shapes = of.initial_parameters(D, H, **options)
    parameters = {name: mg.tensor(rng.standard_normal(s.shape if isinstance(s, mg.Tensor) else s))
                  for name, s in shapes.items()}  # fmt: skip
    states = [mg.tensor(rng.standard_normal((3, w))) for w in of.state_widths(H, **options)]
    count = 1 + len(states)

    def loop(*values):
        named = dict(zip(parameters, values[count:], strict=True))
        reset = np.zeros((4, 3), dtype=bool)
        reset[2, 1] = True
        output, finals = scan(
            of, values[0], values[1:count], named, lengths=[2, 4, 0], reset=reset, reverse=reverse
        )
        return output, *finals

    gradcheck(loop, mg.tensor(rng.standard_normal((4, 3, D))), *states, *parameters.values())


@given(problems())
def test_results_are_the_same_without_gradients(p):
    tracked = call(p.layer, p.x, p.states, **p.rows)
    with mg.no_grad():
        plain = call(p.layer, p.x, p.states, **p.rows)
    for a, b in zip((tracked[0], *tracked[1]), (plain[0], *plain[1]), strict=True):
        assert a.requires_grad
        assert not b.requires_grad
        np.testing.assert_array_equal(a.detach().numpy(), b.numpy())


# lengths, masks, resets


@given(problems(), st.sampled_from([float("nan"), float("inf"), -1e300]))
def test_padding_is_never_read(p, garbage):
    steps, rows = p.x.shape[:2]
    present = np.ones((steps, rows), dtype=bool)
    if p.lengths is not None:
        present &= np.arange(steps)[:, None] < np.array(p.lengths)
    if p.mask is not None:
        present &= p.mask
    clean = np.where(present[..., None], p.x.numpy(), 0.0)
    dirty = np.where(present[..., None], p.x.numpy(), garbage)
    found = with_gradients(call, p.layer, mg.tensor(dirty), p.states, **p.rows)
    expected = with_gradients(call, p.layer, mg.tensor(clean), p.states, **p.rows)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert not found["final output"][~present].any()
    assert not found["gradient of x"][~present].any()


@given(problems(), st.data())
def test_more_padding_changes_nothing(p, data):
    steps, rows = p.x.shape[:2]
    more = data.draw(st.integers(1, 3))
    lengths = [steps] * rows if p.lengths is None else p.lengths
    flags = {"mask": p.mask, "reset": p.reset}
    longer = {
        name: None if f is None else np.concatenate([f, np.ones((more, rows), dtype=bool)])
        for name, f in flags.items()
    }
    x = mg.concat([p.x, mg.randn(more, rows, D, dtype="float64")])

    def cut(layer, x, states, **rows):
        output, finals = call(layer, x, states, **rows)
        assert not output[steps:].detach().numpy().any()
        return output[:steps], finals

    found = with_gradients(cut, p.layer, x, p.states, lengths=lengths, **longer)
    found["gradient of x"] = found["gradient of x"][:steps]
    assert_same(found, with_gradients(call, p.layer, p.x, p.states, **p.rows))


@given(problems(flags=("lengths",)), st.randoms(use_true_random=False))
def test_sequences_may_stand_in_any_order(p, random):
    rows = p.x.shape[1]
    lengths = p.lengths or [p.x.shape[0]] * rows
    order = random.sample(range(rows), rows)

    def reordered(layer, x, states, lengths):
        output, finals = call(
            layer,
            x[:, order],
            tuple(s[:, order] for s in states),
            lengths=[lengths[n] for n in order],
        )
        back = np.argsort(order)
        return output[:, back], tuple(s[:, back] for s in finals)

    found = with_gradients(reordered, p.layer, p.x, p.states, lengths=lengths)
    assert_same(found, with_gradients(call, p.layer, p.x, p.states, lengths=lengths))


@given(problems(flags=("lengths",)), st.sampled_from([tuple, np.array, mg.tensor]))
def test_lengths_come_in_any_container(p, container):
    lengths = p.lengths or [p.x.shape[0]] * p.x.shape[1]
    found = with_gradients(call, p.layer, p.x, p.states, lengths=container(lengths))
    expected = with_gradients(call, p.layer, p.x, p.states, lengths=lengths)
    assert_same(found, expected, rtol=0, atol=0)


@given(problems(flags=("lengths",)))
def test_a_length_is_a_mask_of_the_steps_behind_it(p):
    lengths = p.lengths or [p.x.shape[0]] * p.x.shape[1]
    mask = mg.tensor(np.arange(len(p.x))[:, None] < np.array(lengths))
    found = with_gradients(call, p.layer, p.x, p.states, mask=mask)
    expected = with_gradients(call, p.layer, p.x, p.states, lengths=lengths)
    assert_same(found, expected)


@given(problems(flags=()), st.data())
def test_masked_steps_are_left_out(p, data):
    steps = len(p.x)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=steps, max_size=steps)), dtype=bool)

    def shorter(layer, x, states):
        output, finals = call(layer, x[mask], states)
        rows = mg.zeros((steps, *output.shape[1:]), dtype="float64")
        return rows.at[mask].set(output), finals

    whole = np.broadcast_to(mask[:, None], p.x.shape[:2])
    found = with_gradients(call, p.layer, p.x, p.states, mask=whole)
    assert_same(found, with_gradients(shorter, p.layer, p.x, p.states))


@given(problems(flags=("mask",)), st.data())
def test_a_reset_begins_another_sequence(p, data):
    steps, rows = p.x.shape[:2]
    inner = data.draw(st.sets(st.integers(1, max(steps - 1, 1)).filter(lambda t: t < steps)))
    borders = sorted({0, *inner})
    reset = np.zeros((steps, rows), dtype=bool)
    reset[borders] = True

    def separately(layer, x, states, mask):
        parts, ends = [], []
        for first, last in zip(borders, [*borders[1:], steps], strict=True):
            piece = slice(first, last)
            output, finals = call(
                layer, x[piece], states, mask=None if mask is None else mask[piece]
            )
            parts.append(output)
            ends.append(finals)
        # forwards the last sequence is the last one run; backwards the first one is
        backwards = np.arange(len(states[0])) % 2 == 1 if layer.bidirectional else False
        choose = np.broadcast_to(backwards, len(states[0]))[:, None, None]
        finals = tuple(
            mg.where(mg.tensor(choose), a, b) for a, b in zip(ends[0], ends[-1], strict=True)
        )
        return mg.concat(parts, axis=0), finals

    found = with_gradients(call, p.layer, p.x, p.states, mask=p.mask, reset=reset)
    assert_same(found, with_gradients(separately, p.layer, p.x, p.states, mask=p.mask))


# layers and directions


def part_of(layer, level, ending, width):
    """Return a layer with the parameters of one direction of one of the layers of another."""
    made = nn.Recurrent(layer.cell, width, H, dtype="float64", **layer.options)
    for name, value in named(layer, f"_l{level}{ending}").items():
        setattr(made, f"{name}_l0", value)
    return made


@every_kind
def test_bidirectional_is_two_runs(kind):
    layer, x = make(kind, bidirectional=True), mg.randn(5, 3, D, dtype="float64")
    states, lengths = random_states(layer, 3), [5, 2, 0]

    def two_runs(layer, x, states, lengths):
        ahead, back = (part_of(layer, 0, ending, D) for ending in ("", "_reverse"))
        # the sequences turned round, each within its length
        order = np.stack([[*reversed(range(n)), *range(n, 5)] for n in lengths], axis=1)
        turned = mg.tensor(order)[..., None]
        first, finals = call(ahead, x, tuple(s[:1] for s in states), lengths=lengths)
        mirrored = mg.take_along_axis(x, mg.broadcast_to(turned, x.shape), axis=0)
        second, ends = call(back, mirrored, tuple(s[1:] for s in states), lengths=lengths)
        second = mg.take_along_axis(second, mg.broadcast_to(turned, second.shape), axis=0)
        joined = tuple(mg.concat(parts) for parts in zip(finals, ends, strict=True))
        return mg.concat([first, second], axis=-1), joined

    found = with_gradients(call, layer, x, states, lengths=lengths)
    assert_same(found, with_gradients(two_runs, layer, x, states, lengths=lengths))


@every_kind
def test_stacking_is_one_layer_after_another(kind):
    layer, x = make(kind, 3), mg.randn(5, 2, D, dtype="float64")

    def composed(layer, x, states, lengths):
        finals = []
        for level in range(3):
            single = part_of(layer, level, "", x.shape[-1])
            x, final = call(single, x, tuple(s[level : level + 1] for s in states), lengths=lengths)
            finals.append(final)
        return x, tuple(mg.concat(parts) for parts in zip(*finals, strict=True))

    states = random_states(layer, 2)
    found = with_gradients(call, layer, x, states, lengths=[3, 5])
    assert_same(found, with_gradients(composed, layer, x, states, lengths=[3, 5]))


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_dropout_acts_between_layers_in_training_only(name):
    layer = getattr(nn, name)(D, H, 2, dropout=0.5)
    x = mg.randn(6, 50, D)
    still = layer.eval()(x)[0].detach().numpy()
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), still)
    mg.manual_seed(1)
    first = layer.train()(x)[0].detach().numpy()
    second = layer(x)[0].detach().numpy()
    assert not np.array_equal(first, second)
    mg.manual_seed(1)
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), first)
    assert np.count_nonzero(first) > 0.9 * np.count_nonzero(still)  # nothing after the last layer

    lower, upper = (nn.Recurrent(layer.cell, width, H, **layer.options) for width in (D, H))
    for level, part in enumerate((lower, upper)):
        for key, value in named(layer, f"_l{level}").items():
            getattr(part, f"{key}_l0").copy_(value.detach())
    mg.manual_seed(1)
    composed = upper(nn.Dropout(0.5)(lower(x)[0]))[0]
    np.testing.assert_allclose(first, composed.detach().numpy(), rtol=1e-5, atol=1e-6)


# nothing to do


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("steps", "rows"), [(0, 2), (3, 0), (0, 0)])
def test_no_steps_or_no_rows(kind, steps, rows, bidirectional):
    layer = make(kind, 2, bidirectional=bidirectional)
    states = random_states(layer, rows)
    flags = {"lengths": [0] * rows, "mask": np.ones((steps, rows), dtype=bool),
             "reset": np.ones((steps, rows), dtype=bool)}  # fmt: skip
    for given_rows in ({}, flags):
        output, finals = call(
            layer, mg.zeros((steps, rows, D), dtype="float64"), states, **given_rows
        )
        width = layer.cell.state_widths(H, **layer.options)[0] * (1 + bidirectional)
        assert output.shape == (steps, rows, width)
        for final, state in zip(finals, states, strict=True):
            np.testing.assert_array_equal(final.detach().numpy(), state.detach().numpy())
        layer.zero_grad()
        mg.backward((output, *finals), [mg.ones_like(t) for t in (output, *finals)])
        assert all(p.grad is None or not p.grad.numpy().any() for p in layer.parameters())
        for state in states:
            np.testing.assert_array_equal(state.grad.numpy(), np.ones(state.shape))
            state.grad = None


# what users see


def test_the_names_and_shapes_are_pytorchs():
    assert {name: p.shape for name, p in nn.LSTM(3, 4, 2).named_parameters()} == {
        "weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,),
        "weight_ih_l1": (16, 4), "weight_hh_l1": (16, 4), "bias_ih_l1": (16,), "bias_hh_l1": (16,),
    }  # fmt: skip
    layer = nn.Recurrent(cells.lstm, 3, 4, 2, bidirectional=True, bias=False, proj_size=2)
    assert {name: p.shape for name, p in layer.named_parameters()} == {
        f"{name}_l{level}{ending}": shape
        for level, width in enumerate((3, 4))
        for ending in ("", "_reverse")
        for name, shape in (
            ("weight_ih", (16, width)),
            ("weight_hh", (16, 2)),
            ("weight_hr", (2, 4)),
        )
    }


def test_first_values_are_drawn_or_those_that_the_cell_gives():
    layer = nn.Recurrent(own, 3, 100, dtype="float32", start=0.25)
    assert {p.dtype.name for p in layer.parameters()} == {"float32"}
    assert layer.leak_l0.tolist() == [0.25, 0.25]
    values = layer.u_l0.detach().numpy()
    assert 0.099 < abs(values).max() <= 0.1
    layer.leak_l0.copy_(mg.tensor([1.0, 2.0]))
    layer.reset_parameters()
    assert layer.leak_l0.tolist() == [0.25, 0.25]
    assert not np.array_equal(layer.u_l0.detach().numpy(), values)


def test_it_is_visible_what_a_layer_runs():
    assert nn.RNN(3, 4).cell is cells.rnn_tanh
    assert nn.RNN(3, 4, nonlinearity="relu").cell is cells.rnn_relu
    assert nn.LSTM(3, 4).cell is cells.lstm
    assert nn.GRU(3, 4).cell is cells.gru
    assert (
        repr(nn.Recurrent(own, 3, 4, 2, start=0.25))
        == "Recurrent(own, 3, 4, num_layers=2, start=0.25)"
    )
    assert repr(nn.Recurrent(cells.gru, 3, 4, bias=False)) == "Recurrent(gru, 3, 4, bias=False)"
    assert repr(nn.LSTM(3, 4, 2, False, True, 0.5, True, 2)) == (
        "LSTM(3, 4, proj_size=2, num_layers=2, bias=False, batch_first=True, dropout=0.5, "
        "bidirectional=True)"
    )
