"""Recurrent cells: one plain function of a time step each. `minigrad.kernels.scan` makes the loop.

`nn.Recurrent(nn.cells.mgu, input_size, hidden_size)` is a layer of any of them. `CELLS` lists them by
name: the tests run over it, and docs/cells.md shows it.

A step takes ``x`` of shape (N, input_size) and states of shape (N, hidden_size), all of one floating
dtype, and returns the new states, the output first. Names, shapes and the order of the gates are
PyTorch's where PyTorch has the cell. In the equations W stands for ``weight_ih`` and U for
``weight_hh``, or, with the letter of a gate, for its rows. A product with W or U includes the bias,
``bias_ih`` or ``bias_hh``. σ is the logistic function, ⊙ multiplies element by element, and ' marks the
new state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad.nn.cells.gru import gru as gru
from minigrad.nn.cells.gru import gru_reset_before as gru_reset_before
from minigrad.nn.cells.gru import mgu as mgu
from minigrad.nn.cells.gru import simplified_gru as simplified_gru
from minigrad.nn.cells.lstm import coupled_lstm as coupled_lstm
from minigrad.nn.cells.lstm import layer_norm_lstm as layer_norm_lstm
from minigrad.nn.cells.lstm import lstm as lstm
from minigrad.nn.cells.lstm import original_lstm as original_lstm
from minigrad.nn.cells.lstm import peephole_lstm as peephole_lstm
from minigrad.nn.cells.parallel import mingru as mingru
from minigrad.nn.cells.parallel import minlstm as minlstm
from minigrad.nn.cells.rnn import indrnn as indrnn
from minigrad.nn.cells.rnn import rnn_relu as rnn_relu
from minigrad.nn.cells.rnn import rnn_tanh as rnn_tanh

if TYPE_CHECKING:
    from minigrad.kernels import CellFunction

CELLS: dict[str, CellFunction] = {
    made.__name__: made
    for made in (
        rnn_tanh, rnn_relu, indrnn,
        lstm, original_lstm, peephole_lstm, coupled_lstm, layer_norm_lstm,
        gru, gru_reset_before, simplified_gru, mgu,
        mingru, minlstm,
    )
}  # fmt: skip
