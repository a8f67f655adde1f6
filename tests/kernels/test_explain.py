"""What explain says of a loop."""

from functools import partial

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.kernels import cell, explain
from minigrad.kernels.runtime.switch import switch

LSTM = """\
lstm(x[N,5], h[N,4], c[N,4])   float32
  each step       product (N,5)x(5,16) ahead; product (N,4)x(4,16); sweep of 9 operations, width 4
  kept            6 values of T*N rows, 96 bytes a row
  each step back  sweep of 24 operations, width 4; product (N,16)x(16,4); product (N,16)x(16,5)
  every few steps product (16,T*N)x(T*N,4); product (16,T*N)x(T*N,5); \
1 sum over T*N rows"""


def test_a_layer_and_its_cell_are_explained_alike():
    assert explain(nn.LSTM(5, 4)) == explain(nn.LSTMCell(5, 4)) == LSTM
    assert explain(nn.cells.lstm, 5, 4) == LSTM
    assert explain(nn.cells.lstm, 5, 4, dtype="float64") == LSTM.replace("32", "64").replace(
        "96 bytes", "192 bytes"
    )


class Projected(nn.Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.projection = nn.Linear(input_size, hidden_size)

    def step(self, x, h):
        return h + self.projection(x)


@pytest.mark.parametrize("made", [partial(nn.LSTM, 5, 4), partial(nn.Recurrent, Projected, 5, 4)])
def test_all_layers_and_directions_are_explained(made):
    layer = made(num_layers=3, bidirectional=True)
    first, *others = (text for text in explain(layer).splitlines() if not text.startswith(" "))
    assert first.startswith("l0, l0_reverse: ")
    assert [other.partition(": ")[0] for other in others] == ["l1, l1_reverse, l2, l2_reverse"]
    (alike,) = (t for t in explain(made(bidirectional=True)).splitlines() if not t.startswith(" "))
    assert alike == first


def test_with_the_compiler_off_no_plan_is_shown(monkeypatch):
    monkeypatch.setattr(switch, "is_off", True)
    monkeypatch.setattr(switch, "reason", "MINIGRAD_COMPILE=off")
    reason = "interpreted, because the compiler is switched off (MINIGRAD_COMPILE=off)"
    assert explain(nn.cells.lstm, 5, 4) == f"{LSTM.splitlines()[0]}\n  {reason}"


def test_a_product_in_the_middle_and_options():
    text = explain(nn.LSTM(5, 4, proj_size=2))
    assert (
        "each step       product (N,5)x(5,16) ahead; product (N,2)x(2,16); sweep of 9 operations, "
        "width 4; product (N,4)x(4,2)" in text
    )


def test_what_cannot_be_compiled_is_named():
    @cell(state="h", params=lambda width, hidden: {"w": (width, hidden)})
    def running(x, h, *, w):
        return mg.cumulative_sum(h + x @ w, axis=-1)

    line = running.step.__code__.co_firstlineno + 2
    assert explain(running, 3, 4) == (
        "running(x[N,3], h[N,4])   float32\n"
        "  interpreted, because cumulative_sum has no place in a compiled loop, at "
        f"test_explain.py:{line}: return mg.cumulative_sum(h + x @ w, axis=-1)"
    )


class Sum(nn.Cell):
    def step(self, x, h):
        return x + h


class Scaled(nn.Cell):
    factors = frozenset({1})

    def step(self, x, h):
        return x + h


def test_a_layer_without_parameters_is_explained():
    assert explain(nn.Recurrent(Sum, 2, 2)) == (
        "Sum(x[N,2], h[N,2])   float32\n"
        "  each step       sweep of 1 operation, width 2\n"
        "  kept            1 value of T*N rows, 8 bytes a row\n"
        "  each step back  sweep of 1 operation, width 2"
    )
    assert "[N,2])   float64" in explain(nn.Recurrent(Sum, 2, 2), dtype="float64")


class Pooled(nn.Cell):
    """Mean values of parts of the input are taken before the loop, and differentiated behind it."""

    def step(self, x, h):
        return h + mg.mean(mg.reshape(x, (x.shape[0], 2, 3)), axis=2)


def test_what_is_before_and_after_the_loop_is_counted():
    assert explain(nn.Recurrent(Pooled, 6, 2)) == (
        "Pooled(x[N,6], h[N,2])   float32\n"
        "  before the loop 1 reshape, 1 mean\n"
        "  each step       sweep of 1 operation, width 2\n"
        "  kept            1 value of T*N rows, 8 bytes a row\n"
        "  each step back  sweep of 2 operations, width 2\n"
        "  after the loop  2 reshape, 1 broadcast_to"
    )


TABLE = [2.0]


def helper(value):
    return value * TABLE[0]


def reads_a_list(x, h):
    return h + helper(x)


def test_why_a_step_is_traced_at_each_call_is_said():
    made = cell(state="h", params=lambda width, hidden: {})(reads_a_list)
    for of, sizes, reason in (
        (made, (2, 2), "TABLE in helper is a list"),
        (nn.Recurrent(Scaled, 2, 2), (), "factors in a Scaled is a frozenset"),
    ):
        line = explain(of, *sizes).splitlines()[1]
        assert (
            line
            == f"  traced          at each call, because {reason}, and changes in it are not seen"
        )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: explain(nn.Linear(2, 3)),
            "a Linear with sizes .* is neither a recurrent layer nor",
        ),
        (lambda: explain(nn.LSTM(2, 3), 2, 3), "explain: a LSTM with sizes"),
        (lambda: explain(nn.cells.lstm, 2), "the cell needs input_size and hidden_size, not"),
    ],
)
def test_wrong_arguments(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()
