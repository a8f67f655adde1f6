"""minigrad.nn: the layers. They are built from the engine and from the kernels."""

if __name__ != "minigrad.nn":
    raise ImportError(
        f"the folder nn/ is the package 'minigrad.nn' and was imported as {__name__!r}: "
        "write 'from minigrad import nn' (install minigrad first: pip install -e .)"
    )

from minigrad.nn import cells as cells
from minigrad.nn import data as data
from minigrad.nn import decoding as decoding
from minigrad.nn import init as init
from minigrad.nn import metrics as metrics
from minigrad.nn import optim as optim
from minigrad.nn import text as text
from minigrad.nn import training as training
from minigrad.nn.activations import ELU as ELU
from minigrad.nn.activations import GELU as GELU
from minigrad.nn.activations import Hardsigmoid as Hardsigmoid
from minigrad.nn.activations import Hardtanh as Hardtanh
from minigrad.nn.activations import LeakyReLU as LeakyReLU
from minigrad.nn.activations import LogSoftmax as LogSoftmax
from minigrad.nn.activations import PReLU as PReLU
from minigrad.nn.activations import ReLU as ReLU
from minigrad.nn.activations import Sigmoid as Sigmoid
from minigrad.nn.activations import SiLU as SiLU
from minigrad.nn.activations import Softmax as Softmax
from minigrad.nn.activations import Softplus as Softplus
from minigrad.nn.activations import Softsign as Softsign
from minigrad.nn.activations import Tanh as Tanh
from minigrad.nn.cell import Cell as Cell
from minigrad.nn.containers import ModuleDict as ModuleDict
from minigrad.nn.containers import ModuleList as ModuleList
from minigrad.nn.containers import ParameterDict as ParameterDict
from minigrad.nn.containers import ParameterList as ParameterList
from minigrad.nn.containers import Sequential as Sequential
from minigrad.nn.convolution import Conv1d as Conv1d
from minigrad.nn.convolution import Conv2d as Conv2d
from minigrad.nn.convolution import ConvTranspose1d as ConvTranspose1d
from minigrad.nn.convolution import ConvTranspose2d as ConvTranspose2d
from minigrad.nn.dropout import Dropout as Dropout
from minigrad.nn.linear import Embedding as Embedding
from minigrad.nn.linear import Linear as Linear
from minigrad.nn.losses import CRF as CRF
from minigrad.nn.losses import BCEWithLogitsLoss as BCEWithLogitsLoss
from minigrad.nn.losses import CrossEntropyLoss as CrossEntropyLoss
from minigrad.nn.losses import CTCLoss as CTCLoss
from minigrad.nn.losses import HuberLoss as HuberLoss
from minigrad.nn.losses import L1Loss as L1Loss
from minigrad.nn.losses import MSELoss as MSELoss
from minigrad.nn.losses import NLLLoss as NLLLoss
from minigrad.nn.losses import SequenceLoss as SequenceLoss
from minigrad.nn.losses import SmoothL1Loss as SmoothL1Loss
from minigrad.nn.losses import ctc_loss as ctc_loss
from minigrad.nn.module import Module as Module
from minigrad.nn.normalization import BatchNorm1d as BatchNorm1d
from minigrad.nn.normalization import BatchNorm2d as BatchNorm2d
from minigrad.nn.normalization import GroupNorm as GroupNorm
from minigrad.nn.normalization import LayerNorm as LayerNorm
from minigrad.nn.optim.clip import clip_grad_norm_ as clip_grad_norm_
from minigrad.nn.optim.clip import clip_grad_value_ as clip_grad_value_
from minigrad.nn.optim.clip import get_total_norm as get_total_norm
from minigrad.nn.parameter import Buffer as Buffer
from minigrad.nn.parameter import Parameter as Parameter
from minigrad.nn.pooling import AvgPool1d as AvgPool1d
from minigrad.nn.pooling import AvgPool2d as AvgPool2d
from minigrad.nn.pooling import MaxPool1d as MaxPool1d
from minigrad.nn.pooling import MaxPool2d as MaxPool2d
from minigrad.nn.recurrent import Recurrent as Recurrent
from minigrad.nn.recurrent_cells import GRUCell as GRUCell
from minigrad.nn.recurrent_cells import LSTMCell as LSTMCell
from minigrad.nn.recurrent_cells import RNNCell as RNNCell
from minigrad.nn.recurrent_layers import GRU as GRU
from minigrad.nn.recurrent_layers import LSTM as LSTM
from minigrad.nn.recurrent_layers import RNN as RNN
from minigrad.nn.shape import Flatten as Flatten
from minigrad.nn.shape import Identity as Identity
from minigrad.nn.shape import Unflatten as Unflatten
from minigrad.nn.summary import summary as summary
from minigrad.nn.tied_linear import TiedLinear as TiedLinear
from minigrad.nn.training.checkpoint import Checkpoint as Checkpoint
from minigrad.nn.training.checkpoint import save_checkpoint as save_checkpoint
from minigrad.nn.training.interrupt import Interrupt as Interrupt
from minigrad.nn.training.interrupt import noting_interrupts as noting_interrupts
from minigrad.nn.training.truncation import detach_state as detach_state
