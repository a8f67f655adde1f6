"""minigrad.nn: the layers. They are built from the engine and from the kernels."""

if __name__ != "minigrad.nn":
    raise ImportError(
        f"the folder nn/ is the package 'minigrad.nn' and was imported as {__name__!r}: "
        "write 'from minigrad import nn' (install minigrad first: pip install -e .)"
    )

from minigrad.nn import cells as cells
from minigrad.nn import init as init
from minigrad.nn import optim as optim
from minigrad.nn import text as text
from minigrad.nn.clip import clip_grad_norm_ as clip_grad_norm_
from minigrad.nn.linear import Embedding as Embedding
from minigrad.nn.linear import Linear as Linear
from minigrad.nn.module import Module as Module
from minigrad.nn.module import Parameter as Parameter
from minigrad.nn.recurrent import Recurrent as Recurrent
from minigrad.nn.recurrent_cells import GRUCell as GRUCell
from minigrad.nn.recurrent_cells import LSTMCell as LSTMCell
from minigrad.nn.recurrent_cells import RNNCell as RNNCell
from minigrad.nn.recurrent_layers import GRU as GRU
from minigrad.nn.recurrent_layers import LSTM as LSTM
from minigrad.nn.recurrent_layers import RNN as RNN
